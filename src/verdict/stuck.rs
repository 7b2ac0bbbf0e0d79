//! Loss in an established connection: what was sent again and again, and never acknowledged.
//!
//! The same questions serve the control connection and the data connections. An acknowledgement at any tap answers for
//! all taps, since a capture may miss one.

use crate::few::Few;
use crate::language::say;
use crate::line::Side;
use crate::session::join::JoinedAttempt;
use crate::session::view::Settled;
use crate::tcp::connection::{Connection, Reset, Role};
use crate::tcp::half::Half;
use crate::verdict::Evidence;
use crate::verdict::case::Case;
use crate::verdict::outcome::STILL;
use crate::verdict::passage::{GOES_ON, Passage, Transit};

type Connections<'a> = Few<(usize, &'a Connection)>;

/// The role whose bytes are lost; bytes before a mere FIN, and before bytes that were not seen themselves.
pub(super) fn role<'a>(case: &Case<'a>, which: Option<&'a JoinedAttempt>) -> Option<Role> {
    if !case.each_connection(which).any(|(_, connection)| is_troubled(connection)) {
        return None;
    }
    let roles = || [Role::Listener, Role::Opener].into_iter();
    let connections = case.connections(which);
    if acknowledgement_lost(&connections) {
        return Some(Role::Opener);
    }
    roles()
        .find(|&role| bytes_lost(case, &connections, role))
        .or(roles().find(|&role| fin_lost(&connections, role)))
        .or(roles().find(|&role| unseen_lost(&connections, role)))
}

/// Whose segments of a connection that was up are lost; the reset that answered them, where it is not the peer's, and the tap
/// that saw it.
pub(super) fn lost<'a>(case: &Case<'a>, which: Option<&'a JoinedAttempt>) -> Option<(Role, Option<(usize, Reset)>)> {
    let forged = |(sight, connection): (usize, &Connection)| Some((sight, connection.forged_reset()?));
    let answered = || case.each_connection(which).find_map(forged);
    let unacknowledged = role(case, which).map(|role| (role, None));
    unacknowledged.or_else(|| answered().map(|(sight, reset)| (reset.from.other(), Some((sight, reset)))))
}

/// Something of it may be lost. Almost every connection of a healthy network ends the question here.
pub(super) fn is_troubled(connection: &Connection) -> bool {
    let troubled = |half: &Half| {
        half.resent() >= 2 || half.fin.is_some_and(|fin| fin.count.get() >= 2) || half.stood > known(half)
    };
    [Role::Listener, Role::Opener].iter().any(|&role| troubled(connection.half(role))) || goes_on_answering(connection)
}

/// The listener sends its SYN-ACK again though a tap saw it acknowledged, and nobody says anything: the acknowledgement is
/// lost (RFC 9293 section 3.5), as by a stateful filter that does not see the SYN-ACKs because they take another way.
pub(super) fn acknowledgement_lost(connections: &Connections<'_>) -> bool {
    let mute = |half: &Half| half.bytes() == 0 && !half.fin_acked();
    let mute = |c: &Connection| [Role::Opener, Role::Listener].iter().all(|&role| mute(c.half(role)));
    let acknowledged = connections.iter().any(|(_, c)| c.established.is_some());
    let again = connections.iter().any(|(_, c)| goes_on_answering(c));
    acknowledged && again && connections.iter().all(|(_, c)| mute(c))
}

/// Evidence for that.
pub(super) fn answered_again(case: &Case<'_>, sight: usize, connection: &Connection) -> Option<Evidence> {
    let syn_ack = connection.syn_ack?;
    let count = syn_ack.count;
    let text = match connection.established {
        Some(_) => say!("the SYN-ACK is acknowledged here and sent again all the same, {count} times in all", count),
        None => say!("the SYN-ACK is sent again, and no acknowledgement comes by, {count} times in all", count),
    };
    Some(case.seen(sight, syn_ack.last, text))
}

/// The SYN-ACK comes again long after its acknowledgement passed here, or long after itself where none did.
fn goes_on_answering(connection: &Connection) -> bool {
    connection.syn_ack.is_some_and(|syn_ack| {
        let since = connection.established.unwrap_or(syn_ack.first);
        since.time.until(syn_ack.last.time) > GOES_ON
    })
}

/// Bytes were sent again for a good while, and no tap saw them acknowledged.
fn bytes_lost(case: &Case<'_>, connections: &Connections<'_>, role: Role) -> bool {
    let given_up = |(sight, c): &(usize, &Connection)| is_given_up(case, *sight, c.half(role));
    connections.iter().any(given_up) && !is_acknowledged(connections, role)
}

fn is_given_up(case: &Case<'_>, sight: usize, half: &Half) -> bool {
    let Some(view) = case.session.view(sight) else { return false };
    let tried = half.last_new.time.until(half.again().last.time) > STILL;
    let silent = half.again().last.time.until(view.last_at.time) > GOES_ON;
    half.unacked() && half.resent() >= 2 && (tried || silent || view.settled == Settled::Closed)
}

fn fin_lost(connections: &Connections<'_>, role: Role) -> bool {
    let again = connections.iter().any(|(_, c)| {
        c.half(role).fin.is_some_and(|fin| fin.count.get() >= 2 && fin.first.time.until(fin.last.time) > GOES_ON)
    });
    again && connections.iter().all(|(_, c)| !c.half(role).fin_acked())
}

/// After a long silence a bare acknowledgement stands beyond all bytes that were seen: its sender did send them, and they
/// were lost. Without the silence, or where acknowledgements of the other end are not captured or it has left, it is the
/// capture that may have missed them; and so it has, where more of the other end is acknowledged than was seen. A single byte
/// may be the FIN.
fn unseen_lost(connections: &Connections<'_>, role: Role) -> bool {
    let halves = || connections.iter().map(|(_, connection)| connection.half(role));
    let reach = halves().map(|half| half.acked.max(half.reach + 1)).max().unwrap_or(0);
    connections.iter().any(|(_, connection)| {
        let half = connection.half(role);
        let heard = half.last_new.time.max(connection.established.map(|at| at.time).unwrap_or_default());
        let other = connection.half(role.other());
        let answers = other.start.is_some() && !other.acked_unseen();
        let silent = heard.until(half.last) > STILL || closed_on_nothing(connection, role);
        half.from_syn && answers && half.stood > reach && silent && !connection.has_left(role.other())
    })
}

/// The other end, long after the opening, closes without having got anything; the acknowledgement that completed the opening
/// may not be captured.
fn closed_on_nothing(connection: &Connection, role: Role) -> bool {
    let half = connection.half(role);
    let closed = connection.half(role.other()).fin.map(|fin| fin.first.time);
    let waited = connection.syn_ack.zip(closed).is_some_and(|(opened, closed)| opened.first.time.until(closed) > STILL);
    known(half) == 0 && waited
}

/// Where the bytes that were seen or acknowledged end; a FIN counts as one.
fn known(half: &Half) -> u64 {
    half.acked.max(half.seen())
}

/// Sequence number behind what a tap saw of one end; a tap that saw neither bytes nor a FIN of it may have learnt of the
/// bytes from an acknowledgement that stands beyond them.
fn end(half: &Half) -> Option<u32> {
    let start = half.start.filter(|_| half.reach > 0 || half.fin.is_some())?;
    Some(start.wrapping_add(half.reach as u32))
}

/// Sequence number up to which a tap saw one end acknowledged. A tap that joined late knows of none before the first.
fn acknowledged(half: &Half) -> Option<u32> {
    half.start.filter(|_| half.acked > 0).map(|start| start.wrapping_add(half.acked as u32))
}

/// Some tap saw an acknowledgement of all bytes that any tap saw.
pub(super) fn is_acknowledged(connections: &Connections<'_>, role: Role) -> bool {
    let furthest = connections.iter().map(|(_, c)| c.half(role)).max_by_key(|half| half.reach);
    let furthest = furthest.filter(|half| half.reach > 0).and_then(end);
    let covers = |acked: u32, furthest: u32| acked.wrapping_sub(furthest) as i32 >= 0;
    furthest.is_none_or(|furthest| {
        connections.iter().filter_map(|(_, c)| acknowledged(c.half(role))).any(|acked| covers(acked, furthest))
    })
}

/// How far the lost bytes came: to the last tap that saw some behind all that were acknowledged, and again and again if any
/// tap did. Where they passed once and were not repeated, they arrived, and what is lost is the repetition, or the answer that
/// would have made it needless. A tap that joined when they had passed tells nothing.
pub(super) fn passage<'a>(case: &Case<'a>, which: Option<&'a JoinedAttempt>, role: Role) -> Passage {
    let connections = case.connections(which);
    let toward = toward(case, which, role);
    if acknowledgement_lost(&connections) {
        return case.connection_passage(which, toward, |connection| connection.established);
    }
    let halves = || connections.iter().map(|(sight, c)| (*sight, c.half(role)));
    let seen_again = |half: &Half| half.unacked() && half.resent() >= 2;
    let sent = |half: &Half| if seen_again(half) { half.reach } else { half.reach.max(half.stood) };
    let model = halves().max_by_key(|(_, half)| (seen_again(half), sent(half), half.fin.is_some()));
    let Some((sight, model)) = model else { return Passage { toward, last: None, next: None } };
    let only_fin = model.fin.is_some() && (!model.unacked() || is_acknowledged(&connections, role));
    let heard = match model.fin.filter(|_| only_fin) {
        Some(fin) => fin.first.time,
        None if sent(model) > model.reach => model.last,
        None => model.last_new.time,
    };
    let since = case.session.on_main_clock(sight, heard);
    let of = |sight| halves().filter(move |(other, _)| *other == sight).map(|(_, half)| half);
    let edges: Few<u32> = halves().filter_map(|(_, half)| acknowledged(half)).chain(model.start).collect();
    let is_beyond = |end: u32, edge: u32| end.wrapping_sub(edge) as i32 > 0;
    let bytes = |half: &Half| end(half).is_some_and(|end| edges.iter().all(|&edge| is_beyond(end, edge)));
    let again = seen_again(model);
    let seen = |half: &Half| match only_fin {
        true => half.fin.is_some(),
        false => bytes(half) && (!again || half.resent() >= 2),
    };
    let repeated =
        Transit { toward, since: case.session.on_main_clock(sight, model.again().last.time), data: which.is_some() };
    let passed_once = |sight| of(sight).any(|half| again && bytes(half) && half.resent() < 2);
    let lacks_repeats = |sight| of(sight).all(|half| half.resent() == 0) && case.vouches(sight, repeated);
    let joined_before =
        |half: &Half| half.from_syn || half.start.is_none_or(|start| !edges.iter().all(|&edge| is_beyond(start, edge)));
    let tells = |sight| of(sight).all(joined_before) && (!passed_once(sight) || lacks_repeats(sight));
    let transit = Transit { toward, since, data: which.is_some() };
    let passage = case.passage_told(transit, |sight| of(sight).any(seen), tells);
    case.without_answer(passage, transit, |sight| of(sight).any(|half| seen(half) && half.resent() >= 2))
}

/// Which way the bytes of a role go.
pub(super) fn toward<'a>(case: &Case<'a>, which: Option<&'a JoinedAttempt>, role: Role) -> Side {
    let listens = case.listens(which);
    if role == Role::Opener { listens } else { !listens }
}
