//! What a verdict says to a person, in one sentence that can be acted on.
//!
//! A wrong culprit is the worst mistake: no sentence claims more than stretch, owner and mechanism do. Where a stretch
//! holds more than one box, the sentence names all that may be meant.

mod region;

use crate::cite::At;
use crate::few::Few;
use crate::line::{Owner, Place, Point, Side, Stretch};
use crate::netfilter::Rule;
use crate::session::place::{Standing, Why};
use crate::tcp::connection::Role;
use crate::verdict::{Case, Confidence, Finding, Lost, Mechanism, Outcome, Source, TapFacts, Verdict};
use region::{Region, end};

/// What the points of a session's line are called.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    case: Case<'a>,
}

impl<'a> Names<'a> {
    /// The names for this case.
    pub(super) fn of(case: Case<'a>) -> Names<'a> {
        Names { case }
    }

    fn facts(self, sight: usize) -> Option<&'a TapFacts> {
        self.case.taps.get(self.case.session.sights.get(sight)?.tap)
    }

    /// The name of a tap, by position in line order.
    pub(super) fn tap(self, sight: usize) -> &'a str {
        self.facts(sight).map_or("capture", |facts| &facts.name)
    }

    /// The file that a packet is in, if its tap has several.
    pub(super) fn rotated(self, sight: usize, at: At) -> Option<&'a str> {
        let files = &self.facts(sight)?.files;
        files.get(usize::from(at.file)).filter(|_| files.len() > 1).map(|name| &**name)
    }

    /// The file that a packet is in.
    pub(super) fn file(self, sight: usize, at: At) -> &'a str {
        self.rotated(sight, at).unwrap_or_else(|| self.tap(sight))
    }

    /// The name of a point of the line.
    pub(super) fn point(self, point: Point) -> &'a str {
        match point {
            Point::Client => "client",
            Point::Tap(sight) => self.tap(sight),
            Point::Server => "server",
        }
    }

    fn place(self, sight: usize) -> Place {
        self.case.session.sights.get(sight).map_or(Place::Unknown, |sight| sight.standing.place)
    }

    /// The place of a tap is inferred from untouched TTLs, which tell a host's link from the rest and no more.
    fn is_told_by_ttl(self, sight: usize) -> bool {
        self.case.session.sights.get(sight).is_some_and(|sight| matches!(sight.standing.why, Why::Ttl { .. }))
    }

    /// The name of a tap, and which leg it is of a host whose both legs are there.
    pub(super) fn leg(self, sight: usize) -> String {
        let name = self.tap(sight);
        let twin = (0..self.case.session.sights.len()).find(|&other| self.is_one_box(sight, other));
        match twin {
            Some(twin) if sight < twin => format!("{name} (client's leg)"),
            Some(_) => format!("{name} (server's leg)"),
            None => name.to_owned(),
        }
    }

    /// The capture of this tap shows the session on its way in and on its way out, each with both ends' packets.
    pub(super) fn forwards(self, sight: usize) -> bool {
        let whole = |sight: usize| {
            let control = self.case.session.view(sight).map(|view| &view.control);
            control.is_some_and(|control| {
                [Role::Opener, Role::Listener].iter().all(|&role| control.half(role).start.is_some())
            })
        };
        (0..self.case.session.sights.len()).any(|other| self.is_one_box(sight, other) && whole(sight) && whole(other))
    }

    /// Two legs of one forwarding host.
    fn is_one_box(self, one: usize, other: usize) -> bool {
        let capture = |sight| self.facts(sight).map(|facts| facts.capture);
        one != other && capture(one).is_some() && capture(one) == capture(other)
    }
}

/// The sentence of a verdict.
pub(super) fn summary(case: &Case<'_>, verdict: &Verdict) -> String {
    let finding = &verdict.finding;
    let says = verdict.rule.says;
    match (finding.mechanism, finding.stretch) {
        (Mechanism::RefusedByServer, _) => format!("{says} No firewall is to blame."),
        (Mechanism::IncompleteCapture | Mechanism::Encrypted, None) => says.to_owned(),
        (Mechanism::IncompleteCapture | Mechanism::Encrypted, Some(_)) => {
            format!("{says} Whose firewall is to blame, if any is, cannot be told.")
        }
        (Mechanism::UnreachableAddress, None) => says.to_owned(),
        (Mechanism::Stalled, None) => {
            format!("{says} The receiver's own program does not read; no firewall is to blame.")
        }
        (_, None) => format!("{says} Nobody on the path is to blame."),
        (_, Some(stretch)) => {
            let blame = Blame::of(case, verdict, stretch);
            verdict.netfilter.as_ref().map_or_else(|| sentence(&blame), |named| by_rule(&blame, &named.rule))
        }
    }
}

/// How the word of a tap's own host is cited, where a packet would be by its tap.
pub(super) fn source(source: Source) -> &'static str {
    match source {
        Source::Trace => "nft:trace",
        Source::Rules => "rules",
        Source::Sockets => "socket",
        Source::Connections => "conntrack",
    }
}

/// What a sentence about a loss is made of.
struct Blame<'a> {
    names: Names<'a>,
    verdict: &'a Verdict,
    region: Region,
    /// Who opens the connection in question.
    opener: Side,
    /// A packet of the connection was captured.
    seen: bool,
    /// The address that the negotiation offers.
    offered: Option<String>,
    /// The port that the listener offers, as sent and as it arrives, if that differs.
    rewritten: Option<(u16, u16)>,
}

impl<'a> Blame<'a> {
    fn of(case: &Case<'a>, verdict: &'a Verdict, stretch: Stretch) -> Blame<'a> {
        let names = Names::of(*case);
        let is_data =
            !matches!(verdict.finding.lost, Some(Lost::ControlSyn | Lost::ControlSynAck | Lost::ControlSegments));
        let negotiation = case.negotiation().filter(|_| is_data);
        let attempts = if is_data { case.attempts() } else { Few::default() };
        let opener = match (attempts.last(), negotiation) {
            (Some(joined), _) => !case.listens(Some(*joined)),
            (None, Some(negotiation)) => !negotiation.mode.listener(),
            (None, None) => Side::Client,
        };
        Blame {
            names,
            verdict,
            region: Region::of(names, stretch, verdict.finding.owner),
            opener,
            seen: !is_data || !attempts.is_empty(),
            offered: negotiation
                .and_then(|negotiation| negotiation.offered?.address)
                .map(|address| address.to_string()),
            rewritten: rewritten(case, stretch, !opener).filter(|_| verdict.rule.name.ends_with("rewritten")),
        }
    }

    fn finding(&self) -> &'a Finding {
        &self.verdict.finding
    }

    fn location(&self) -> String {
        self.region.location(self.names)
    }

    /// Who may have kept packets from passing; if none was seen, the opener may never have sent one.
    fn droppers(&self) -> Vec<String> {
        let mut suspects = self.region.suspects("firewall");
        if !self.seen {
            suspects.push(format!("the {} never sent it", end(self.opener)));
        }
        suspects
    }

    /// The connection or the part of it that was lost.
    fn what(&self) -> String {
        let (opener, listener) = (end(self.opener), end(!self.opener));
        match self.finding().lost {
            Some(Lost::ControlSyn) => "the client's control connection".to_owned(),
            Some(Lost::ControlSynAck) => "the server's answer to the control connection".to_owned(),
            Some(Lost::ControlSegments) => "segments of the control connection".to_owned(),
            Some(Lost::DataSyn) => format!("the {opener}'s data connection"),
            Some(Lost::DataSynAck) => format!("the {listener}'s answer to the data connection"),
            Some(Lost::DataSegments) => "segments of the established data connection".to_owned(),
            None => "the connection".to_owned(),
        }
    }

    /// The connection that was established.
    fn connection(&self) -> &'static str {
        if self.finding().lost == Some(Lost::ControlSegments) { "control connection" } else { "data connection" }
    }

    /// The opener's own host refused its SYN.
    fn never_left(&self) -> bool {
        let is_syn = matches!(self.finding().lost, Some(Lost::ControlSyn | Lost::DataSyn));
        is_syn && self.finding().device.is_none() && self.region == Region::Host(self.opener)
    }

    /// The packets are proved to have been sent.
    fn is_proved(&self) -> bool {
        self.finding().confidence > Confidence::Possible
    }
}

fn sentence(blame: &Blame<'_>) -> String {
    match blame.finding().mechanism {
        Mechanism::IcmpReject | Mechanism::TcpReset if blame.never_left() => {
            let opener = end(blame.opener);
            format!("The {opener}'s own host refused to let {} out.", blame.what())
        }
        Mechanism::SilentDrop => dropped(blame),
        Mechanism::IcmpReject => rejected(blame),
        Mechanism::TcpReset => reset(blame),
        Mechanism::NeverSent => never_sent(blame),
        Mechanism::UnreachableAddress => unreachable(blame),
        Mechanism::Stalled if blame.is_proved() => dropped(blame),
        Mechanism::Stalled => or_never_sent(blame),
        Mechanism::PathMtu => format!(
            "Full-size segments of the {} vanished {}, after the handshake passed: the path MTU, most likely.",
            blame.connection(),
            blame.location()
        ),
        Mechanism::IdleExpiry => forgotten(blame),
        Mechanism::Interrupted => {
            let actor = blame.region.actor(blame.names, "host");
            let start = format!("The established {} was broken by a reset from {actor}", blame.connection());
            with_suspects(start.trim_end_matches(',').to_owned(), &blame.region.suspects("host"))
        }
        Mechanism::RefusedByServer | Mechanism::Encrypted | Mechanism::IncompleteCapture => {
            blame.verdict.rule.says.to_owned()
        }
    }
}

/// The host's netfilter names the rule.
fn by_rule(blame: &Blame<'_>, rule: &Rule) -> String {
    let actor = capitalised(blame.region.actor(blame.names, "firewall").trim_end_matches(','));
    let verb = if rule.rejects() { "rejected" } else { "dropped" };
    format!("{actor} {verb} {}: {}.", blame.what(), rule.place())
}

fn dropped(blame: &Blame<'_>) -> String {
    let actor = capitalised(&blame.region.actor(blame.names, "firewall"));
    with_suspects(format!("{actor} dropped {}", blame.what()), &blame.droppers())
}

fn rejected(blame: &Blame<'_>) -> String {
    let what = blame.what();
    match (blame.finding().device, blame.region) {
        (Some(device), Region::Host(side)) => {
            format!("The {}'s own host ({device}) refused {what} with an ICMP error.", end(side))
        }
        (Some(device), _) => format!("{device}, {}, refused {what} with an ICMP error.", blame.location()),
        (None, _) => {
            let actor = capitalised(&blame.region.actor(blame.names, "firewall"));
            let start =
                format!("{actor} stopped {what}, and the {} gave up at once, as after a refusal", end(blame.opener));
            with_suspects(start, &blame.droppers())
        }
    }
}

fn reset(blame: &Blame<'_>) -> String {
    let actor = capitalised(&blame.region.actor(blame.names, "host"));
    match blame.finding().lost {
        Some(Lost::ControlSynAck | Lost::DataSynAck) => {
            let (what, opener) = (blame.what(), end(blame.opener));
            format!("{actor} reset {what}: the {opener}'s program had given up, or a rule rejects with tcp-reset.")
        }
        _ if blame.verdict.rule.name.ends_with("forged") => format!(
            "{actor} answered {} with a reset in the {}'s name, most likely by a rule that rejects with tcp-reset.",
            blame.what(),
            end(!blame.opener)
        ),
        _ => format!(
            "{actor} answered {} with a reset: a closed port, or a rule that rejects with tcp-reset.",
            blame.what()
        ),
    }
}

fn never_sent(blame: &Blame<'_>) -> String {
    let opener = end(blame.opener);
    let tried = blame.finding().evidence.iter().any(|evidence| evidence.source == Some(Source::Sockets));
    if tried {
        return format!("The {opener}'s own firewall did not let the SYN of its data connection out.");
    }
    let link = if matches!(blame.region, Region::Link(_)) { "a box on its own link dropped it, " } else { "" };
    format!(
        "The SYN of the {opener}'s data connection never got out: the {opener}'s own firewall stopped it, {link}or its program did not try."
    )
}

/// The ports that the taps at both ends of a stretch read in the listener's offer, if they differ: as sent, as arrived.
fn rewritten(case: &Case<'_>, stretch: Stretch, listener: Side) -> Option<(u16, u16)> {
    let port = |point| match point {
        Point::Tap(sight) => case.session.transfer(sight, case.transfer?)?.negotiation.as_ref()?.offered,
        Point::Client | Point::Server => None,
    };
    let (nearer, further) = (port(stretch.from)?.port, port(stretch.to)?.port);
    let ports = if listener == Side::Client { (nearer, further) } else { (further, nearer) };
    (nearer != further).then_some(ports)
}

fn unreachable(blame: &Blame<'_>) -> String {
    if let Some((sent, arrived)) = blame.rewritten {
        return format!(
            "A box on the path changes the port that the {} offers: {sent} became {arrived}. It stands {}.",
            end(!blame.opener),
            blame.location()
        );
    }
    let says = blame.verdict.rule.says.trim_end_matches('.');
    let address = blame.offered.as_ref().map(|address| format!(" ({address})")).unwrap_or_default();
    let place = match blame.region {
        Region::Host(side) | Region::Link(side) => format!("on the {}'s side", end(side)),
        _ => blame.location(),
    };
    format!("{says}{address}; the cause lies {place}.")
}

fn or_never_sent(blame: &Blame<'_>) -> String {
    let says = blame.verdict.rule.says.trim_end_matches('.');
    format!("{says}: what should come was lost {}, or never sent.", blame.location())
}

fn forgotten(blame: &Blame<'_>) -> String {
    let actor = blame.region.actor(blame.names, "firewall");
    let actor = actor.trim_end_matches(',');
    if blame.is_proved() {
        format!(
            "The control connection was most likely forgotten by {actor}, while it was silent and data ran: its segments are dropped since."
        )
    } else {
        let says = blame.verdict.rule.says.trim_end_matches('.');
        format!("{says}: the silent control connection was forgotten by {actor}, or nothing more was sent.")
    }
}

/// `start: one, or other.`; a single suspect besides the actor is the alternative to all that was said.
fn with_suspects(start: String, suspects: &[String]) -> String {
    match suspects {
        [] => format!("{start}."),
        [only] => format!("{start}, or {only}."),
        [first @ .., last] => format!("{start}: {}, or {last}.", first.join(", ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Whose side, in the summary line.
pub(super) fn owner(owner: Owner) -> &'static str {
    match owner {
        Owner::Client => "client's side",
        Owner::Network => "network",
        Owner::Server => "server's side",
        Owner::BeyondClient => "network or server's side",
        Owner::BeyondServer => "client's side or network",
        Owner::None => "nobody's firewall",
        Owner::Unknown => "undecided",
    }
}

/// How a transfer ended.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
        Outcome::Unfinished => "unfinished",
        Outcome::Unknown => "unknown",
    }
}

/// How sure a verdict is.
pub(super) fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    }
}

/// Where a tap seems to stand, and why.
pub(super) fn standing(tap: &str, standing: &Standing) -> String {
    let why = standing.why;
    let link = if matches!(why, Why::Ttl { .. }) { " or link" } else { "" };
    match standing.place {
        Place::Client => format!("{tap} seems to stand on the client's own host{link}: {why}"),
        Place::Between => format!("{tap} seems to stand between the hosts: {why}"),
        Place::Server => format!("{tap} seems to stand on the server's own host{link}: {why}"),
        Place::Unknown => format!("where {tap} stands is unknown: {why}"),
    }
}

#[cfg(test)]
mod tests;
