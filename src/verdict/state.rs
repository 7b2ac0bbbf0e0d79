//! What the hosts of the taps say, besides [their rules](super::firewall): of a connection that was not opened, that its SYN
//! has passed, that nobody listens, that no helper reads the control connection, or what one expected; of a control
//! connection that died, that the kernel had forgotten it.

use std::time::Duration;

use crate::cite::{At, Time};
use crate::language::{Text, say};
use crate::line::{Place, Side, Stretch};
use crate::netfilter::Hook;
use crate::netfilter::conntrack::{Change, Expected, Status, Tracked, Tuple};
use crate::netfilter::snapshot::Snapshot;
use crate::netfilter::socket::{Socket, State};
use crate::packet::Endpoint;
use crate::session::view::CONTROL;
use crate::tcp::connection::{Connection, Role};
use crate::verdict::case::{Case, seconds};
use crate::verdict::netfilter::host_of;
use crate::verdict::{Evidence, Finding, Lost, Mechanism, Source};

/// The kernel's word about a packet comes within this time.
const AT_ONCE: Duration = Duration::from_millis(500);

/// An expectation lives longer than this (`ftp_exp_policy` in `nf_conntrack_ftp.c`: 300 s).
const PATIENCE: Duration = Duration::from_secs(240);

/// A finding with what the hosts add to it.
pub(super) fn ask(case: &Case<'_>, mut finding: Finding) -> Finding {
    for sight in hosts(case, &finding).collect::<Vec<_>>() {
        let missed = finding.lost.and_then(|lost| Missed::of(case, sight, lost));
        finding.evidence.extend(missed.iter().flat_map(|missed| missed.evidence(case, finding.mechanism)));
        finding.evidence.extend(forgotten(case, sight, &finding));
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
    /// Packets of it were seen.
    is_seen: bool,
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
            is_seen: true,
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
            is_seen: false,
            ends: (Endpoint { ip: opener, port: 0 }, Endpoint { ip: listener, port: offered.port }),
            listens,
            from: due.time,
            until: case.given_up(due).map_or(case.view().last_at, |event| event.at).time,
        })
    }

    /// What the kernel follows of it: a connection is followed when its SYN has passed all rules but those of an egress
    /// hook. One with the same ends that was opened may be older.
    fn followed(&self) -> impl Iterator<Item = &'a Tracked> + use<'a> {
        use crate::netfilter::conntrack::State::{SynRecv, SynSent};
        let (opener, listener) = self.ends;
        let is_it = move |tracked: &Tracked| {
            let ends = (tracked.original.source, tracked.original.destination);
            matches!(tracked.state, Some(SynSent | SynRecv)) && ends == (opener, listener)
        };
        let vouches = |state: &&Snapshot| state.all_rules && state.rules.hooks().all(|hook| hook != Hook::Egress);
        let from = self.from;
        let states = self.states.iter().filter(vouches);
        states
            .flat_map(|state| state.connections.iter().flatten())
            .filter(move |tracked| from <= tracked.time && is_it(tracked))
    }

    /// What is plain to see.
    fn evidence(&self, case: &Case<'_>, mechanism: Mechanism) -> Vec<Evidence> {
        let passed = self.followed().next().map(|tracked| {
            let listener = self.ends.1;
            let text = match tracked.status.contains(Status::SEEN_REPLY) {
                true => say!("the SYN to {listener} has passed the rules of this host, and is answered", listener),
                false => say!("the SYN to {listener} has passed the rules of this host, and is unanswered", listener),
            };
            told(self.sight, tracked.time, Source::Connections, text)
        });
        let closed = self.closed(case).filter(|_| mechanism == Mechanism::TcpReset);
        passed.into_iter().chain(closed).chain(self.helper(case)).chain(self.expectation(case)).collect()
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

    /// The control connection as the kernel follows it, of a data connection that is missed.
    fn control(&self, case: &Case<'_>) -> Option<&'a Tracked> {
        let is_data = matches!(self.lost, Lost::DataSyn | Lost::DataSynAck);
        control(case, self.sight, self.states).filter(|_| is_data)
    }

    /// Whether a helper reads the control connection here.
    fn helper(&self, case: &Case<'_>) -> Option<Evidence> {
        let tracked = self.control(case)?;
        let text = match &tracked.helper {
            Some(helper) => say!("the helper {helper} reads the control connection here", helper),
            None => say!("no helper reads the control connection here: its data connections are not `related`"),
        };
        Some(told(self.sight, tracked.time, Source::Connections, text))
    }

    /// What the helper expected of it.
    fn expectation(&self, case: &Case<'_>) -> Option<Evidence> {
        let control = self.control(case)?;
        let port = self.ends.1.port;
        let agreed = case.session.view(self.sight)?.event(case.negotiation()?.command)?.at.time;
        let all = || self.states.iter().flat_map(|state| &state.expected);
        let is_it = |expected: &&Expected| {
            let of_this = expected.master == control.original && expected.tuple.destination.port == port;
            of_this && agreed <= expected.time
        };
        let expected = all().rfind(is_it)?;
        let text = match expected.change {
            Change::Destroy if self.is_used_up(expected, control, agreed, all()) => {
                say!("a packet used up what the helper expected of port {port}, and did not pass this host", port)
            }
            Change::New | Change::Update if !self.is_seen => {
                say!("the helper still expects a connection to port {port}: no packet of it has reached it", port)
            }
            Change::Destroy | Change::New | Change::Update => return None,
        };
        Some(told(self.sight, expected.time, Source::Connections, text))
    }

    /// The first packet that matches ends an expectation, even if it is dropped then. It also ends by itself, with its control
    /// connection, or for the sake of a later one of that.
    fn is_used_up<'b>(
        &self,
        expected: &Expected,
        control: &Tracked,
        agreed: Time,
        mut all: impl Iterator<Item = &'b Expected>,
    ) -> bool {
        let is_then = |time: Time| time.until(expected.time).max(expected.time.until(time)) < AT_ONCE;
        let with_another =
            all.any(|other| other.master == expected.master && other.tuple != expected.tuple && is_then(other.time));
        let with_control = control.change == Change::Destroy && control.time < expected.time.plus(AT_ONCE);
        let by_itself = agreed.until(expected.time) > PATIENCE;
        let mut connections = self.states.iter().flat_map(|state| state.connections.iter().flatten());
        let came = connections.any(|tracked| {
            let port = expected.tuple.destination.port;
            tracked.status.contains(Status::EXPECTED) && tracked.original.destination.port == port
        });
        let by_what_was_seen = !self.is_seen || self.from <= expected.time && is_then(self.from);
        by_what_was_seen && !(with_another || with_control || by_itself || came)
    }
}

/// The control connection as the kernel of this tap's host follows it.
fn control<'a>(case: &Case<'_>, sight: usize, states: &'a [Snapshot]) -> Option<&'a Tracked> {
    let control = &case.session.view(sight)?.control;
    let ends = (control.opener, control.listener);
    let is_it = |tracked: &&Tracked| {
        let (original, reply) = (tracked.original, tracked.reply);
        [(original.source, original.destination), (reply.destination, reply.source)].contains(&ends)
    };
    states.iter().flat_map(|state| state.connections.iter().flatten()).find(is_it)
}

/// Sender and receiver of a packet behind the translation of its connection, if the kernel of this tap's host follows that.
pub(super) fn translated(case: &Case<'_>, sight: usize, ends: (Endpoint, Endpoint)) -> Option<(Endpoint, Endpoint)> {
    let tracked = case.facts(sight).states.iter().flat_map(|state| state.connections.iter().flatten());
    let known = tracked.filter(|tracked| tracked.change != Change::Destroy);
    let one_way = known.flat_map(|tracked| [(tracked.original, tracked.reply), (tracked.reply, tracked.original)]);
    let is_it = |comes: &Tuple| (comes.source, comes.destination) == ends;
    let mut behind = one_way.filter(|(comes, _)| is_it(comes)).map(|(_, back)| (back.destination, back.source));
    behind.next()
}

/// The kernel had forgotten the control connection while its ends had not closed it.
fn forgotten(case: &Case<'_>, sight: usize, finding: &Finding) -> Option<Evidence> {
    let (view, states) = (case.session.view(sight)?, &case.facts(sight).states);
    let dies = finding.mechanism == Mechanism::IdleExpiry || finding.lost == Some(Lost::ControlSegments);
    let tracked = control(case, sight, states).filter(|tracked| dies && tracked.change == Change::Destroy)?;
    let spoken = view.log.iter().filter(|event| event.attempt == CONTROL).map(|event| event.at.time);
    let before = spoken.filter(|time| *time < tracked.time).max()?;
    let fins = [Role::Opener, Role::Listener].map(|role| view.control.half(role).fin.map(|fin| fin.first.time));
    let closes = fins.into_iter().chain([view.control.reset.map(|reset| reset.at.time)]).flatten();
    let is_open = closes.min().is_none_or(|closed| tracked.time < closed);
    let silence = seconds(before, tracked.time);
    let text = say!("this host has forgotten the control connection, {silence} after its last packet", silence);
    is_open.then(|| told(sight, tracked.time, Source::Connections, text))
}

/// When the last packet of its opening was seen.
fn opened_until(connection: &Connection) -> Time {
    let legs = [connection.syn, connection.syn_ack].into_iter().flatten().map(|leg| { leg.last }.time);
    legs.max().unwrap_or(connection.last())
}
