//! What snapshots of the hosts of the taps say about a connection that was not opened, besides [their rules](super::firewall):
//! that its SYN has passed, that nobody listens, that no helper reads the control connection.

use crate::cite::{At, Time};
use crate::language::{Text, say};
use crate::line::{Place, Side, Stretch};
use crate::netfilter::Hook;
use crate::netfilter::conntrack::{Status, Tracked};
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::socket::{Socket, State};
use crate::packet::Endpoint;
use crate::tcp::connection::Connection;
use crate::verdict::case::Case;
use crate::verdict::netfilter::host_of;
use crate::verdict::{Evidence, Finding, Lost, Mechanism, Source};

/// A finding with what the snapshots add to it.
pub(super) fn ask(case: &Case<'_>, mut finding: Finding) -> Finding {
    for sight in hosts(case, &finding).collect::<Vec<_>>() {
        let missed = finding.lost.and_then(|lost| Missed::of(case, sight, lost));
        finding.evidence.extend(missed.iter().flat_map(|missed| missed.evidence(case, finding.mechanism)));
    }
    finding
}

/// The SYN that a finding misses has passed the rules of the host of this tap.
pub(super) fn has_passed(case: &Case<'_>, sight: usize, lost: Lost) -> bool {
    Missed::of(case, sight, lost).is_some_and(|missed| missed.followed().next().is_some())
}

/// The taps on hosts within the stretch of an opening of which there are snapshots. A snapshot whose addresses are not those
/// of that end is of another host, or of another network namespace.
fn hosts(case: &Case<'_>, finding: &Finding) -> impl Iterator<Item = usize> {
    let stretch = finding.stretch;
    (0..case.session.sights.len()).filter(move |&sight| {
        let states = &case.facts(sight).states;
        let end = side_of(case, sight).and_then(|side| case.address(sight, side));
        let is_there = end.is_none_or(|end| states.iter().all(|state| state.has(end)));
        let is_within = |own: Stretch| stretch.is_some_and(|stretch| stretch.hull(own) == stretch);
        is_there && host_of(case, sight).is_some_and(is_within)
    })
}

/// The end whose host this tap is on; none between.
pub(super) fn side_of(case: &Case<'_>, sight: usize) -> Option<Side> {
    match case.place(sight) {
        Place::Client => Some(Side::Client),
        Place::Server => Some(Side::Server),
        Place::Between | Place::Unknown => None,
    }
}

fn told(sight: usize, time: Time, source: Source, text: Text) -> Evidence {
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
        })
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

    /// What is plain to see.
    fn evidence(&self, case: &Case<'_>, mechanism: Mechanism) -> Vec<Evidence> {
        let passed = self.followed().next().map(|(time, tracked)| {
            let listener = self.ends.1;
            let text = match tracked.status.contains(Status::SEEN_REPLY) {
                true => say!("the SYN to {listener} has passed the rules of this host, and is answered", listener),
                false => say!("the SYN to {listener} has passed the rules of this host, and is unanswered", listener),
            };
            told(self.sight, time, Source::Connections, text)
        });
        let closed = self.closed(case).filter(|_| mechanism == Mechanism::TcpReset);
        passed.into_iter().chain(closed).chain(self.helper(case)).collect()
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
        let text = say!("none of the {count} sockets of this host listens on port {port}", count = sockets.len(), port);
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
            Some(helper) => say!("the helper {helper} reads the control connection here", helper),
            None => say!("no helper reads the control connection here: its data connections are not `related`"),
        };
        Some(told(self.sight, time, Source::Connections, text))
    }
}

/// When the last packet of its opening was seen.
fn opened_until(connection: &Connection) -> Time {
    let legs = [connection.syn, connection.syn_ack].into_iter().flatten().map(|leg| { leg.last }.time);
    legs.max().unwrap_or(connection.last())
}
