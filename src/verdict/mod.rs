//! Floor 4: from a session to verdicts.
//!
//! [`judge`] asks the rules of [`RULES`] one after the other; the first that holds wins, like a filter chain, and the
//! last one is the policy: "cannot tell, because ...". The promise all of them keep: the truth never lies outside the
//! stretch that a verdict names.

mod case;
mod control;
mod firewall;
mod healthy;
mod helper;
mod narrower;
mod negotiation;
mod netfilter;
mod opening;
mod outcome;
mod passage;
pub mod remedy;
mod rules;
mod sockets;
mod state;
mod stuck;
mod transfer;
mod unseen;
mod view;

use std::net::IpAddr;
use std::sync::Arc;

use crate::cite::{At, Time};
use crate::language::Text;
use crate::line::{Owner, Stretch};
use crate::netfilter::Dropped;
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::socket::Socket;
use crate::session::join::Session;
use crate::session::tracker::Census;
pub use case::{Case, end};
pub use firewall::{Host, Listing};
pub use netfilter::Named;
pub use passage::OPENINGS_FILTER;
pub use remedy::Remedy;
pub use rules::{RULES, Rule};

/// What is known of a tap as a whole.
#[derive(Clone, Debug, Default)]
pub struct TapFacts {
    /// Name that people know it by: its file's, or the first of its files'.
    pub name: String,
    /// Names of its files, by [`crate::cite::At::file`].
    pub files: Vec<String>,
    /// The capture it is part of; the two legs of a forwarding host share one.
    pub capture: usize,
    /// Packets read.
    pub packets: u64,
    /// The capture filter in libpcap's language, if the capture (pcapng `if_filter`) or the user tells; empty if there was
    /// none.
    pub filter: Option<String>,
    /// A file ended in mid-record or could not be read to its end.
    pub cut: bool,
    /// Packets that the capture itself reports as lost.
    pub lost: u64,
    /// What the tracker counted.
    pub census: Census,
    /// What netfilter on this host dropped, as far as it was asked and told, in order of time.
    pub dropped: Vec<Dropped>,
    /// Sockets of this host whose SYN was not answered for a while, each as it was when it was last seen so, and when.
    pub trying: Vec<(Time, Socket)>,
    /// Listeners of this host whose accept queue was full, and when.
    pub full: Vec<(Time, Socket)>,
    /// Its host and its netfilter, where they are known.
    pub host: Option<Arc<Host>>,
    /// What its host was at some moments, in order of time.
    pub states: Arc<[Snapshot]>,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went through.
    Completed,
    /// It did not.
    Failed,
    /// The client gave it up.
    Aborted,
    /// The capture ends before it does.
    Unfinished,
    /// Too little was captured to say.
    Unknown,
}

/// By what a transfer was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// A packet vanished.
    SilentDrop,
    /// A device refused it with an ICMP error.
    IcmpReject,
    /// It was answered with RST: a closed port, or a tcp-reset rule.
    TcpReset,
    /// No SYN left the opener.
    NeverSent,
    /// A NAT without helper, or a wrong advertised address.
    UnreachableAddress,
    /// The server's program refused.
    RefusedByServer,
    /// The connection was up, then nothing passed any more.
    Stalled,
    /// Only full-size segments vanish.
    PathMtu,
    /// A stateful box forgot the control connection while data ran.
    IdleExpiry,
    /// RST in an established connection.
    Interrupted,
    /// Encryption hides what would decide it.
    Encrypted,
    /// The capture misses what would decide it.
    IncompleteCapture,
}

/// Which packet was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// The control connection's SYN.
    ControlSyn,
    /// Its SYN-ACK.
    ControlSynAck,
    /// Its later segments.
    ControlSegments,
    /// The data connection's SYN.
    DataSyn,
    /// Its SYN-ACK.
    DataSynAck,
    /// Its later segments.
    DataSegments,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// It rests on addresses, timing or reply text.
    Possible,
    /// It rests on an inferred place, or spans several boxes.
    Likely,
    /// A device's own word, or one host or box between complete captures.
    Certain,
}

/// A packet, or the absence of one, that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Position of the tap in line order.
    pub sight: usize,
    /// The packet; for an absence, where the wait began.
    pub at: Option<At>,
    /// For an absence: the end of the wait, on that tap's clock.
    pub until: Option<Time>,
    /// What else than a packet says it, on the tap's own host.
    pub source: Option<Source>,
    /// What was seen or not seen.
    pub text: Text,
}

/// What evidence is taken from where it is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel's trace of a packet through the rules.
    Trace,
    /// The rules, or their counters.
    Rules,
    /// The kernel's list of sockets.
    Sockets,
    /// The connections that the kernel follows.
    Connections,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where the packet vanished; none if nobody's path is to blame.
    pub stretch: Option<Stretch>,
    /// Whose part of the line that is, where addresses tell more than the taps; else it follows from the stretch.
    pub owner: Option<Owner>,
    /// The address that signed an ICMP error.
    pub device: Option<IpAddr>,
    /// By what it was stopped.
    pub mechanism: Mechanism,
    /// What was lost.
    pub lost: Option<Lost>,
    /// How sure this is.
    pub confidence: Confidence,
    /// What it rests on; a packet that several taps saw, in the order in which it passed them.
    pub evidence: Vec<Evidence>,
    /// The rules of the host on which it was lost are known, and let it pass.
    pub passes_rules: bool,
    /// What else to know: a second cause that looks the same, a likely reason.
    pub notes: Vec<Text>,
}

/// A finding, the rule that made it, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The rule.
    pub rule: &'static Rule,
    /// What it found.
    pub finding: Finding,
    /// Whose part of the line is to blame.
    pub owner: Owner,
    /// The rule of a host's netfilter that dropped the packet, if that is known.
    pub netfilter: Option<Named>,
    /// What would narrow it further; none if nothing would.
    pub narrower: Option<Text>,
    /// What to do.
    pub remedies: Vec<Remedy>,
}

/// How the control connection fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlOutcome {
    /// It was opened and closed in order.
    Completed,
    /// It was never opened, or what answered would not serve the client.
    Failed,
    /// It broke.
    Interrupted,
    /// The capture ends first.
    Unfinished,
}

/// All that is said about one session.
#[derive(Debug, PartialEq)]
pub struct Judgement {
    /// How the control connection fared.
    pub control: (ControlOutcome, Option<Verdict>),
    /// The same for every transfer of the main view.
    pub transfers: Vec<(Outcome, Option<Verdict>)>,
}

impl Judgement {
    /// Something went wrong that is worth a person's time.
    pub fn has_failure(&self) -> bool {
        let control = matches!(self.control, (ControlOutcome::Failed | ControlOutcome::Interrupted, Some(_)));
        control || self.transfers.iter().any(|(outcome, _)| *outcome == Outcome::Failed)
    }
}

/// Judges a session. `taps` are the facts of the taps, by the order in which they were given.
pub fn judge(session: &Session, taps: &[TapFacts]) -> Judgement {
    if !healthy::is_healthy(session) {
        return by_the_rules(session, taps);
    }
    let transfers = session.main().transfers.iter().map(|_| (Outcome::Completed, None)).collect();
    let judgement = Judgement { control: (ControlOutcome::Completed, None), transfers };
    debug_assert_eq!(judgement, by_the_rules(session, taps), "the short way leads to the same place");
    judgement
}

fn by_the_rules(session: &Session, taps: &[TapFacts]) -> Judgement {
    let case = Case { session, taps, transfer: None };
    let outcome = outcome::control(&case);
    let found = rules::for_control(&case, outcome).map(|found| verdict(&case, found));
    let refused = found.as_ref().is_some_and(|found| found.finding.mechanism == Mechanism::RefusedByServer);
    let control = (if refused { ControlOutcome::Failed } else { outcome }, found);
    let transfers = (0..session.main().transfers.len())
        .map(|transfer| {
            let case = Case { session, taps, transfer: Some(transfer) };
            let outcome = outcome::transfer(&case);
            (outcome, rules::for_transfer(&case, outcome).map(|found| verdict(&case, found)))
        })
        .collect();
    Judgement { control, transfers }
}

fn verdict(case: &Case<'_>, (rule, finding): (&'static Rule, Finding)) -> Verdict {
    let (finding, netfilter) = netfilter::ask(case, state::ask(case, finding));
    let places: Vec<_> = case.session.sights.iter().map(|sight| sight.standing.place).collect();
    let from_stretch = finding.stretch.map_or(Owner::None, |stretch| stretch.owner(&places));
    let owner = finding.owner.unwrap_or(from_stretch);
    let narrower = netfilter.is_none().then(|| narrower::what_would_narrow(case, &finding)).flatten();
    let remedies = remedy::remedies(case, rule, &finding, owner, netfilter.as_ref());
    Verdict { rule, finding, owner, netfilter, narrower, remedies }
}
