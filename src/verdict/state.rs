//! What snapshots of the hosts of the taps say about a connection that was not opened.
//!
//! Two of them, before and after, name a rule where their counters leave no other: a wrong rule is worse than none. One says
//! what it says without much thought: that nothing there drops at all, that nobody listens, that the SYN has passed.

use crate::cite::{At, Time};
use crate::line::{Place, Side, Stretch};
use crate::netfilter::conntrack::{Status, Tracked};
use crate::netfilter::ruleset::suspects::Suspects;
use crate::netfilter::ruleset::terms::{Probe, Through, translates};
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::socket::{Socket, State};
use crate::netfilter::{Hook, Rule, Witness};
use crate::packet::{Endpoint, Flags};
use crate::tcp::connection::{Connection, Leg};
use crate::verdict::case::Case;
use crate::verdict::netfilter::host;
use crate::verdict::{Evidence, Finding, Lost, Mechanism, Named, Source};

/// What drops packets on a host whose rules drop none.
const NO_RULE: &str = "its rules drop nothing, so look elsewhere on that host: `nstat -az | grep -E 'IPReversePathFilter|ListenOverflows'`, \
                       programs of XDP and tc, the network namespace of a container";

/// A finding with what the snapshots add to it.
pub(super) fn ask(case: &Case<'_>, mut finding: Finding) -> (Finding, Option<Named>) {
    let hosts: Vec<(usize, Stretch)> = hosts(case, &finding).collect();
    for (sight, own) in hosts {
        let Some(missed) = finding.lost.and_then(|lost| Missed::of(case, sight, lost)) else { continue };
        if let Some(convicted) = missed.convict(case) {
            let Convicted { rule, lost, text, time } = convicted;
            finding.evidence.push(told(sight, time, Source::Rules, text));
            let named = Named { on: case.place(sight), rule, from: Witness::Counter };
            return (Finding { stretch: Some(own), lost: Some(lost), ..finding }, Some(named));
        }
        finding.evidence.extend(missed.evidence(case, finding.mechanism));
        let is_dropped_there = finding.stretch == Some(own) && finding.mechanism == Mechanism::SilentDrop;
        if is_dropped_there && missed.states.iter().all(is_open) {
            finding.notes.push(NO_RULE.to_owned());
        }
    }
    (finding, None)
}

/// The taps on hosts within the stretch of an opening of which there are snapshots, each with its host. A snapshot whose
/// addresses are not those of that end is of another host, or of another network namespace.
fn hosts(case: &Case<'_>, finding: &Finding) -> impl Iterator<Item = (usize, Stretch)> {
    let stretch = finding.stretch;
    (0..case.session.sights.len()).filter_map(move |sight| {
        let states = &case.facts(sight).states;
        let end = side_of(case, sight).and_then(|side| case.address(sight, side));
        let is_there = end.is_none_or(|end| states.iter().all(|state| state.has(end)));
        let own = host(case, sight).filter(|own| stretch.is_some_and(|stretch| stretch.hull(*own) == stretch))?;
        (!states.is_empty() && is_there).then_some((sight, own))
    })
}

/// The end whose host this tap is on; none between.
fn side_of(case: &Case<'_>, sight: usize) -> Option<Side> {
    match case.place(sight) {
        Place::Client => Some(Side::Client),
        Place::Server => Some(Side::Server),
        Place::Between | Place::Unknown => None,
    }
}

fn told(sight: usize, time: Time, source: Source, text: String) -> Evidence {
    Evidence { sight, at: Some(At { time, ..At::default() }), until: None, source: Some(source), text }
}

/// A connection that was not opened, as one host should have seen it.
struct Missed<'a> {
    sight: usize,
    states: &'a [Snapshot],
    lost: Lost,
    /// Opener and listener; the opener's port is zero where it is not known.
    ends: (Endpoint, Endpoint),
    listens: Side,
    /// First and last sign of it, on this host's clock.
    from: Time,
    until: Time,
    /// SYNs and SYN-ACKs that the tap saw.
    seen: (u64, u64),
}

/// A rule that dropped it.
struct Convicted {
    rule: Rule,
    lost: Lost,
    text: String,
    time: Time,
}

/// A SYN or SYN-ACK on its way through this host.
#[derive(Clone, Copy)]
struct Passing {
    lost: Lost,
    flags: Flags,
    seen: u64,
}

impl<'a> Missed<'a> {
    fn of(case: &Case<'a>, sight: usize, lost: Lost) -> Option<Missed<'a>> {
        let connections: Vec<&Connection> = match lost {
            Lost::ControlSyn | Lost::ControlSynAck => vec![&case.session.view(sight)?.control],
            Lost::DataSyn | Lost::DataSynAck => {
                let attempts = case.attempts();
                let seen = attempts.iter().filter_map(|joined| case.session.attempt(sight, joined));
                seen.map(|attempt| &attempt.connection).collect()
            }
            Lost::ControlSegments | Lost::DataSegments => return None,
        };
        let states = &case.taps[case.session.sights[sight].tap].states[..];
        match connections.first() {
            Some(first) => Missed::seen(case, sight, states, lost, &connections, first),
            None => Missed::agreed(case, sight, states),
        }
    }

    fn seen(
        case: &Case<'a>,
        sight: usize,
        states: &'a [Snapshot],
        lost: Lost,
        connections: &[&Connection],
        first: &Connection,
    ) -> Option<Missed<'a>> {
        let is_data = matches!(lost, Lost::DataSyn | Lost::DataSynAck);
        let attempts = case.attempts();
        let listens = case.listens(attempts.first().copied().filter(|_| is_data));
        let count = |leg: fn(&Connection) -> Option<Leg>| {
            connections.iter().filter_map(|connection| leg(connection)).map(|leg| u64::from(leg.count.get())).sum()
        };
        let is_one = connections.len() == 1;
        let opener = Endpoint { port: if is_one { first.opener.port } else { 0 }, ..first.opener };
        Some(Missed {
            sight,
            states,
            lost,
            ends: (opener, first.listener),
            listens,
            from: connections.iter().filter_map(|connection| connection.began()).min()?.time,
            until: connections.iter().map(|connection| opened_until(connection)).max()?,
            seen: (count(|connection| connection.syn), count(|connection| connection.syn_ack)),
        })
    }

    /// No packet of it was seen; what was agreed tells its ends.
    fn agreed(case: &Case<'a>, sight: usize, states: &'a [Snapshot]) -> Option<Missed<'a>> {
        let is_alone = case.attempts().is_empty() && sight == case.session.main_sight();
        let negotiation = case.negotiation().filter(|negotiation| is_alone && negotiation.stands())?;
        let (offered, listens) = (negotiation.offered?, negotiation.mode.listener());
        let due = case.due()?;
        let (opener, listener) = (case.address(sight, !listens)?, case.address(sight, listens)?);
        let is_same = offered.address.is_none_or(|address| address == listener);
        is_same.then(|| Missed {
            sight,
            states,
            lost: Lost::DataSyn,
            ends: (Endpoint { ip: opener, port: 0 }, Endpoint { ip: listener, port: offered.port }),
            listens,
            from: due.time,
            until: case.given_up(due).map_or(case.view().last_at, |event| event.at).time,
            seen: (0, 0),
        })
    }

    /// What of it may have been lost on this host.
    fn passing(&self, case: &Case<'_>) -> Vec<Passing> {
        let (syn, answer) = match self.lost {
            Lost::ControlSyn | Lost::ControlSynAck | Lost::ControlSegments => (Lost::ControlSyn, Lost::ControlSynAck),
            Lost::DataSyn | Lost::DataSynAck | Lost::DataSegments => (Lost::DataSyn, Lost::DataSynAck),
        };
        let is_answer = self.lost == answer;
        let may_be_answer = is_answer || side_of(case, self.sight) == Some(self.listens);
        let syn = Passing { lost: syn, flags: Flags::SYN, seen: self.seen.0 };
        let answer = Passing { lost: answer, flags: Flags::SYN | Flags::ACK, seen: self.seen.1 };
        let syn = Some(syn).filter(|_| !is_answer && self.followed().next().is_none());
        syn.into_iter().chain(Some(answer).filter(|_| may_be_answer)).collect()
    }

    /// What the kernel follows of it: a connection is followed when its SYN has passed all rules but those of an egress
    /// hook. One with the same ends that was opened may be older.
    fn followed(&self) -> impl Iterator<Item = (Time, &'a Tracked)> + use<'a> {
        use crate::netfilter::conntrack::State::{SynRecv, SynSent};
        let (opener, listener) = self.ends;
        let is_it = move |tracked: &Tracked| {
            let ends = (tracked.original.source, tracked.original.destination);
            matches!(tracked.state, Some(SynSent | SynRecv)) && ends == (opener, listener)
        };
        let hooks = |state: &Snapshot| state.rules.hooks().any(|hook| hook == Hook::Egress);
        let from = self.from;
        let states = self.states.iter().filter(move |state| from <= state.time && !hooks(state));
        states
            .flat_map(|state| state.connections.iter().flatten().map(|tracked| (state.time, tracked)))
            .filter(move |row| is_it(row.1))
    }

    /// The rule that dropped it, if counters leave no other.
    fn convict(&self, case: &Case<'_>) -> Option<Convicted> {
        let before = self.states.iter().rev().find(|state| state.time <= self.from)?;
        let after = self.states.iter().find(|state| state.time >= self.until)?;
        if !(before.all_rules && after.all_rules) {
            return None;
        }
        let led = self.passing(case).into_iter().map(|passing| (passing, self.lead(case, passing, before, after)));
        let led: Vec<(Passing, Suspects)> = led.collect();
        let (rule, counted) = Suspects::convicted(led.iter().map(|row| &row.1))?;
        let (passing, _) = led.iter().find(|(_, suspects)| suspects.include(rule))?;
        let what = if passing.flags.ack() { "SYN-ACK" } else { "SYN" };
        let text = format!(
            "{rule} counted {counted} between the snapshots; no other rule here can have dropped the {what} of {}",
            self.ends.1
        );
        (counted >= passing.seen.max(1)).then(|| Convicted {
            rule: rule.clone(),
            lost: passing.lost,
            text,
            time: after.time,
        })
    }

    /// Leads a packet through the rules. Behind a translation, addresses and ports may be others.
    fn lead(&self, case: &Case<'_>, passing: Passing, before: &Snapshot, after: &Snapshot) -> Suspects {
        let side = side_of(case, self.sight);
        let toward = if passing.flags.ack() { !self.listens } else { self.listens };
        let (early, late): (&[Hook], &[Hook]) = match side {
            Some(side) if side == toward => (&[Hook::Ingress, Hook::Prerouting, Hook::Input], &[]),
            Some(_) => (&[Hook::Output], &[Hook::Postrouting, Hook::Egress]),
            None => (&[Hook::Ingress, Hook::Prerouting, Hook::Forward], &[Hook::Postrouting, Hook::Egress]),
        };
        let probe = self.probe(passing.flags, side.map(|side| side == toward), before, after);
        let changed = |senders| after.rules.any(|rule| translates(rule, senders));
        let as_seen = |is_changed| match is_changed {
            true => Probe { addresses: None, source_port: None, destination_port: None, ..probe },
            false => probe,
        };
        let lead = |probe, hooks| Suspects::of(&before.rules, &after.rules, &probe, hooks);
        let mut suspects = lead(as_seen(changed(passing.flags.ack())), early);
        suspects.join(lead(as_seen(changed(true)), late));
        suspects
    }

    fn probe<'s>(&self, flags: Flags, comes: Option<bool>, before: &Snapshot, after: &'s Snapshot) -> Probe<'s> {
        let (opener, listener) = self.ends;
        let (source, destination) = if flags.ack() { (listener, opener) } else { (opener, listener) };
        let port = |end: Endpoint| Some(end.port).filter(|&port| port != 0);
        let (inbound, outbound) = match comes {
            Some(true) => (outside(after), Through::None),
            Some(false) => (Through::None, outside(after)),
            None => (Through::Outside, Through::Outside),
        };
        Probe {
            addresses: Some((source.ip, destination.ip)),
            v6: source.ip.is_ipv6(),
            source_port: port(source),
            destination_port: port(destination),
            flags,
            may_be_related: before.may_help() || after.may_help(),
            inbound,
            outbound,
        }
    }

    /// What is plain to see.
    fn evidence(&self, case: &Case<'_>, mechanism: Mechanism) -> Vec<Evidence> {
        let rules = self.states.last().filter(|_| self.states.iter().all(is_open)).map(|state| {
            let text = "no rule of this host drops or rejects anything, and all policies accept";
            told(self.sight, state.time, Source::Rules, text.to_owned())
        });
        let passed = self.followed().next().map(|(time, tracked)| {
            let answered = tracked.status.contains(Status::SEEN_REPLY);
            let answered = if answered { "answered" } else { "unanswered" };
            let text = format!("the SYN to {} has passed the rules of this host, and is {answered}", self.ends.1);
            told(self.sight, time, Source::Connections, text)
        });
        let closed = self.closed(case).filter(|_| mechanism == Mechanism::TcpReset);
        rules.into_iter().chain(passed).chain(closed).chain(self.helper(case)).collect()
    }

    /// Nobody listens, on the listener's own host. Listeners of data connections come and go.
    fn closed(&self, case: &Case<'_>) -> Option<Evidence> {
        let is_control = matches!(self.lost, Lost::ControlSyn | Lost::ControlSynAck);
        let is_meanwhile = |state: &&Snapshot| is_control || (self.from..=self.until).contains(&state.time);
        let is_there = side_of(case, self.sight) == Some(self.listens);
        let state = self.states.iter().filter(|_| is_there).find(is_meanwhile)?;
        let port = self.ends.1.port;
        let is_it = |socket: &Socket| socket.state == State::Listen && socket.local.port == port;
        let sockets = state.sockets.as_ref().filter(|sockets| !sockets.iter().any(is_it))?;
        let text = format!("none of the {} sockets of this host listens on port {port}", sockets.len());
        Some(told(self.sight, state.time, Source::Sockets, text))
    }

    /// Whether a helper reads the control connection here.
    fn helper(&self, case: &Case<'_>) -> Option<Evidence> {
        let view = case.session.view(self.sight).filter(|_| matches!(self.lost, Lost::DataSyn | Lost::DataSynAck))?;
        let is_it = |tracked: &&Tracked| {
            let ends = tracked.original;
            (ends.source, ends.destination) == (view.control.opener, view.control.listener)
        };
        let find = |state: &'a Snapshot| Some((state.time, state.connections.iter().flatten().find(is_it)?));
        let (time, tracked) = self.states.iter().find_map(find)?;
        let text = match &tracked.helper {
            Some(helper) => format!("the helper {helper} reads the control connection here"),
            None => "no helper reads the control connection here: its data connections are not `related`".to_owned(),
        };
        Some(told(self.sight, time, Source::Connections, text))
    }
}

fn is_open(state: &Snapshot) -> bool {
    state.all_rules && state.rules.drops_nothing()
}

/// When the last packet of its opening was seen.
fn opened_until(connection: &Connection) -> Time {
    let legs = [connection.syn, connection.syn_ack].into_iter().flatten().map(|leg| { leg.last }.time);
    legs.max().unwrap_or(connection.last())
}

/// The one interface that leads to others, if there is one.
fn outside(state: &Snapshot) -> Through<'_> {
    let mut others = state.interfaces.iter().filter(|(name, _)| name != "lo");
    match (others.next(), others.next()) {
        (Some((name, _)), None) => Through::Interface(name),
        (_, _) => Through::Outside,
    }
}
