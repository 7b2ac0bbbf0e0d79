//! T: what goes wrong once the data connection is up.

use crate::cite::{At, Time};
use crate::ftp::command::DataDirection;
use crate::language::{Message, Text, message, say};
use crate::line::{Owner, Side, Stretch};
use crate::session::join::JoinedAttempt;
use crate::tcp::connection::{Connection, Opening, Reset, Role};
use crate::tcp::half::Half;
use crate::verdict::case::{Case, end, role_at, seconds};
use crate::verdict::outcome::{STILL, left_by_server};
use crate::verdict::passage::{Passage, Transit};
use crate::verdict::stuck;
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism};

/// Segments longer than this are full-size ones: no path carries less than 1280 bytes in IPv6, and 1,000 bytes of text
/// leave room for every header.
const FULL_SIZE: u32 = 1000;

/// What accepts in the listener's name, and is not that host.
const DOUBLE: &Message =
    message!("a box on the path accepted the data connection in the listener's place, as transparent proxies do");

/// Who sends the data.
pub(super) fn sender(case: &Case<'_>) -> Option<Side> {
    Some(match case.verb()?.data_direction()? {
        DataDirection::ToServer => Side::Client,
        DataDirection::ToClient => Side::Server,
    })
}

/// The transfer's latest data connection, if it was established.
fn established<'a>(case: &Case<'a>) -> Option<&'a JoinedAttempt> {
    let joined = *case.attempts().last()?;
    (case.opening(Some(joined)) == Opening::Established).then_some(joined)
}

/// Bytes or a FIN were sent again and never acknowledged at any tap.
pub(super) fn is_stuck(case: &Case<'_>) -> bool {
    established(case).is_some_and(|joined| stuck::role(case, Some(joined)).is_some())
}

/// Whose segments of the data connection are lost; the reset that answered them, where it is not the peer's, and the tap that
/// saw it.
pub(super) fn lost(case: &Case<'_>) -> Option<(Role, Option<(usize, Reset)>)> {
    established(case).and_then(|joined| stuck::lost(case, Some(joined)))
}

/// A reset ended the data connection before its sender's FIN was acknowledged.
pub(super) fn is_interrupted(case: &Case<'_>, joined: &JoinedAttempt) -> bool {
    let listens = case.listens(Some(joined));
    let senders = match sender(case) {
        Some(side) => vec![role_at(side, listens)],
        None => vec![Role::Opener, Role::Listener],
    };
    let connections = case.connections(Some(joined));
    let reset = connections.iter().any(|(_, connection)| connection.reset.is_some());
    let under_way = case.transfer().is_some_and(|transfer| transfer.preliminary.is_some()) || has_moved(case);
    reset
        && under_way
        && connections.iter().all(|(_, connection)| senders.iter().all(|&role| !connection.half(role).fin_acked()))
}

/// A box on the path reset the data connection.
pub(super) fn is_forged(case: &Case<'_>, joined: &JoinedAttempt) -> bool {
    case.each_connection(Some(joined)).any(|(_, connection)| connection.forged_reset().is_some())
}

/// A host reset the data connection since it knew nothing of it any more.
pub(super) fn is_forgotten(case: &Case<'_>, joined: &JoinedAttempt) -> bool {
    let roles = [Role::Opener, Role::Listener];
    case.each_connection(Some(joined)).any(|(_, connection)| roles.iter().any(|&role| connection.is_forgotten_by(role)))
}

fn finding(stretch: Option<Stretch>, mechanism: Mechanism, confidence: Confidence, evidence: Vec<Evidence>) -> Finding {
    Finding {
        stretch,
        owner: None,
        device: None,
        mechanism,
        lost: stretch.map(|_| Lost::DataSegments),
        confidence,
        evidence,
        passes_rules: false,
        notes: Vec::new(),
    }
}

/// T3: a box on the path reset the established data connection; or the peer's host did, and not because of anything that
/// was said where the capture has a hole.
pub(super) fn data_reset(case: &Case<'_>) -> Option<Finding> {
    let joined = established(case).filter(|joined| is_interrupted(case, joined))?;
    if case.view().gaps > 0 && !is_forged(case, joined) {
        return None;
    }
    let mut stretch = Stretch::WHOLE;
    let mut evidence = case.transfer_evidence();
    for role in [Role::Opener, Role::Listener] {
        let from = !stuck::toward(case, Some(joined), role);
        stretch = stretch.meet(reset_stretch(case, joined, role, from));
        for (sight, connection) in case.on_the_way(Some(joined), !from) {
            let Some(reset) = connection.reset_from(role) else { continue };
            let ttl = connection.half(role).ttl;
            let text = say!(
                "RST in the {who}'s name, TTL {reset}, where its other packets have {ttl}",
                who = end(from),
                reset = reset.ttl,
                ttl
            );
            evidence.push(case.seen(sight, reset.at, text));
        }
    }
    let confidence = case.confidence(stretch).min(Confidence::Likely);
    let mut found = finding(Some(stretch), Mechanism::Interrupted, confidence, evidence);
    found.notes.extend(said_done(case));
    found.notes.extend(match (is_forged(case, joined), is_forgotten(case, joined)) {
        (true, _) => None,
        (false, true) => Some(say!(
            "the reset answers a FIN: its host knows nothing of the connection any more, though no end of it came from there"
        )),
        (false, false) => Some(say!("the reset looks genuine: the program or the host at that end gave up")),
    });
    Some(found)
}

/// Where the resets in the name of `role`, the end at `from`, came from. Those of a host that a reset from a box had come to before tell nothing.
fn reset_stretch<'a>(case: &Case<'a>, joined: &'a JoinedAttempt, role: Role, from: Side) -> Stretch {
    let connections = case.connections(Some(joined));
    let is_forged = |connection: &Connection, role| connection.forged_reset().is_some_and(|reset| reset.from == role);
    let is_forged_by = |role| connections.iter().any(|(_, connection)| is_forged(connection, role));
    let seen = |connection: &Connection| connection.reset_from(role).map(|reset| reset.at);
    let clock = |sight, at: At| case.session.on_main_clock(sight, at.time);
    let first = connections.iter().filter_map(|(sight, connection)| Some(clock(*sight, seen(connection)?))).min();
    let Some(first) = first.filter(|_| is_forged_by(role) || !is_forged_by(role.other())) else {
        return Stretch::WHOLE;
    };
    // a tap where the other end says at once that it knows of no connection may have missed the reset that came to it
    let tells = |sight: usize, connection: &Connection| {
        let answer =
            connection.reset_from(role.other()).filter(|reset| reset.bare && connection.forged_reset().is_none());
        answer.is_none_or(|answer| first.until(clock(sight, answer.at)) > STILL)
    };
    let passage = case.connection_passage_told(Some(joined), from, seen, tells);
    Passage { next: passage.next.filter(|_| is_forged_by(role)), ..passage }.stretch()
}

/// T2: only full-size segments vanish.
pub(super) fn path_mtu(case: &Case<'_>) -> Option<Finding> {
    let joined = established(case)?;
    let role = stuck::role(case, Some(joined))?;
    let connections = case.connections(Some(joined));
    let half = connections
        .iter()
        .map(|(_, c)| c.half(role))
        .find(|half| half.again().stuck_len >= FULL_SIZE && half.unacked())?;
    let smaller_passed = half.longest_acked > 0 && half.longest_acked < half.again().stuck_len;
    let nothing_passed = half.acked == 0;
    if !(smaller_passed || nothing_passed) {
        return None;
    }
    let mut found = segments_lost(case, joined, role, Mechanism::PathMtu);
    let too_big = connections.iter().find_map(|(sight, c)| Some((*sight, c.too_big.as_deref()?)));
    match too_big {
        Some((sight, error)) => {
            found.device = Some(error.source);
            let (kind, source, mtu) = (error.kind, error.source, format!("{:?}", error.mtu));
            let text = say!("ICMP {kind} from {source}, MTU {mtu}", kind, source, mtu);
            found.evidence.push(case.seen(sight, error.at, text));
        }
        None => {
            found.notes.push(say!("no ICMP \"fragmentation needed\" arrived: it is filtered, or was never sent"));
        }
    }
    if nothing_passed {
        found.confidence = found.confidence.min(Confidence::Likely);
        found
            .notes
            .push(say!("the handshake passed and no full-size segment did; a rule that drops all data looks the same"));
    }
    Some(found)
}

/// T1: bytes are sent again and again, and never acknowledged.
pub(super) fn data_lost(case: &Case<'_>) -> Option<Finding> {
    let joined = established(case)?;
    let role = stuck::role(case, Some(joined))?;
    Some(segments_lost(case, joined, role, Mechanism::Stalled))
}

fn segments_lost<'a>(case: &Case<'a>, joined: &'a JoinedAttempt, role: Role, mechanism: Mechanism) -> Finding {
    let connections = case.connections(Some(joined));
    let toward = stuck::toward(case, Some(joined), role);
    let stretch = stuck::passage(case, Some(joined), role).stretch();
    let mut evidence = case.transfer_evidence();
    for (sight, connection) in case.on_the_way(Some(joined), toward) {
        evidence.extend(match stuck::acknowledgement_lost(&connections) {
            true => stuck::answered_again(case, sight, connection),
            false => stuck_evidence(case, sight, connection.half(role), toward)
                .or_else(|| unseen_evidence(case, sight, connection, role, toward)),
        });
    }
    let mut found = finding(Some(stretch), mechanism, case.confidence(stretch).min(Confidence::Likely), evidence);
    found.notes.extend(said_done(case));
    found
}

/// Why the server says that it sent all, although it did not arrive.
fn said_done(case: &Case<'_>) -> Option<Text> {
    let code = Some(case.code()).filter(|code| (200..=399).contains(code) && sender(case) == Some(Side::Server))?;
    Some(say!("the server's {code} says only that its program takes all data for sent, not that they arrived", code))
}

fn stuck_evidence(case: &Case<'_>, sight: usize, half: &Half, toward: Side) -> Option<Evidence> {
    let to = end(toward);
    half.start?;
    let again = half.again();
    let at = if again.count > 0 { again.last } else { half.last_new };
    let at = (at != At::default()).then_some(at)?;
    let text = match (half.unacked(), half.fin) {
        (true, _) => {
            let (bytes, acked) = (half.reach, half.acked);
            let seen = say!("{bytes} bytes towards the {to} seen, {acked} acknowledged", bytes, to, acked);
            match (again.count, again.stuck_len) {
                (0, _) => seen,
                (count, size) => {
                    say!("{seen}; segments of {size} bytes sent again {count} times", seen, size, count)
                }
            }
        }
        (false, Some(fin)) if fin.count.get() > 1 => {
            say!("FIN towards the {to} sent {count} times, never answered", to, count = fin.count)
        }
        (false, _) => {
            say!("{bytes} bytes towards the {to} seen, all acknowledged, nothing more comes", bytes = half.reach, to)
        }
    };
    Some(case.seen(sight, at, text))
}

/// None of the bytes was seen: their sender stands behind them, and the other end closed without having got any.
fn unseen_evidence(
    case: &Case<'_>,
    sight: usize,
    connection: &Connection,
    role: Role,
    toward: Side,
) -> Option<Evidence> {
    let closed = connection.half(role.other()).fin?.first;
    let half = connection.half(role);
    let (from, to, bytes) = (end(!toward), end(toward), half.stood);
    let text = say!("FIN from the {to}, which has none of the {bytes} bytes that the {from} had sent", to, bytes, from);
    (bytes > 0 && half.acked == 0).then(|| case.seen(sight, closed, text))
}

/// T4: the data stopped coming, and nothing at this tap says why.
pub(super) fn data_silent(case: &Case<'_>) -> Option<Finding> {
    let joined = established(case)?;
    let side = sender(case)?;
    let listens = case.listens(Some(joined));
    let role = role_at(side, listens);
    let connections = case.connections(Some(joined));
    let (sight, half) =
        connections.iter().map(|(sight, c)| (*sight, c.half(role))).max_by_key(|(_, half)| half.reach)?;
    if connections.iter().any(|(_, c)| c.half(role).fin.is_some()) {
        return None;
    }
    let receiver = connections.iter().find(|(_, c)| c.half(role.other()).window == 0);
    // what came by and was not acknowledged is no silence
    if receiver.is_none() && half.unacked() {
        return None;
    }
    let clock = |sight, time| case.session.on_main_clock(sight, time);
    let up = connections.iter().filter_map(|(sight, c)| Some(clock(*sight, c.established?.time))).max()?;
    let since = clock(sight, half.last_new.time).max(up);
    let until: Time = case.session.view(sight)?.last_at.time;
    if since.until(clock(sight, until)) < STILL {
        return None;
    }
    let goes_on = |(sight, c): &(usize, &Connection)| {
        let again = c.half(role).again();
        again.count > 0 && since.until(clock(*sight, again.last.time)) > STILL
    };
    // what is sent again all the while is not acknowledged where it comes from, for whatever reason
    if receiver.is_none() && connections.iter().any(goes_on) {
        return None;
    }
    let taken = case.is_taken(joined);
    let passage = match taken {
        true => passage_to_double(case, joined),
        false => case.passage(Transit { toward: !side, since, data: true }, |_| false),
    };
    let mut evidence = case.transfer_evidence();
    evidence.extend(taken.then(|| double_evidence(case, joined)).flatten());
    let silence = seconds(since, clock(sight, until));
    let text = say!("{bytes} bytes came, then nothing for {silence}", bytes = half.bytes(), silence);
    let opened = case.session.attempt(sight, joined).and_then(|attempt| attempt.connection.established);
    let at = Some(half.last_new).filter(|at| *at != At::default()).or(opened);
    evidence.push(Evidence { sight, at, until: Some(until), source: None, text });
    let mut found = finding(Some(passage.stretch()), Mechanism::Stalled, Confidence::Possible, evidence);
    found.notes.extend(said_done(case));
    found.notes.extend(taken.then(|| DOUBLE.into()));
    if receiver.is_some() {
        found.stretch = None;
        found.lost = None;
        found.owner = Some(Owner::None);
        found.notes.push(say!("the receiver's window is closed: its program does not read"));
    }
    Some(found)
}

/// How far a data connection came that another box than the listener's host accepted. It may lead on to that host by a
/// connection of the box's own; if a tap behind saw such a one, it may be that one which is silent.
fn passage_to_double<'a>(case: &Case<'a>, joined: &'a JoinedAttempt) -> Passage {
    let passage = case.connection_passage(Some(joined), case.listens(Some(joined)), Connection::began);
    let sees = |sight, joined| case.session.attempt(sight, joined).is_some();
    let leads_on = (0..case.session.sights.len())
        .filter(|&sight| !sees(sight, joined))
        .any(|sight| case.attempts().iter().any(|other| sees(sight, other)));
    Passage { next: passage.next.filter(|_| !leads_on), ..passage }
}

/// The answers of that box, at the tap nearest to it.
fn double_evidence(case: &Case<'_>, joined: &JoinedAttempt) -> Option<Evidence> {
    let listens = case.listens(Some(joined));
    let (sight, connection) = case.on_the_way(Some(joined), listens).into_iter().next_back()?;
    let control = case.session.view(sight)?.control.half(role_at(listens, Side::Server)).ttl;
    let ttl = connection.half(Role::Listener).ttl;
    let text = say!("it is accepted with TTL {ttl}, where that address's control packets have {control}", ttl, control);
    Some(case.seen(sight, connection.syn_ack.map_or(connection.established?, |leg| leg.first), text))
}

/// T5: the server's program refused the data connection because of its source address.
pub(super) fn wrong_source(case: &Case<'_>) -> Option<Finding> {
    established(case)?;
    let text = case.reply_text();
    let says_so = ["security", "bad ip", "not the same", "ip address", "different address"]
        .iter()
        .any(|word| text.contains(word));
    let foreign = case.attempts().iter().any(|joined| {
        case.views().any(|(sight, _)| case.session.attempt(sight, joined).is_some_and(|attempt| attempt.foreign))
    });
    let closed = case.code() == 0 && foreign && !has_moved(case);
    if !(case.code() == 425 && (says_so || foreign) || closed) {
        return None;
    }
    let mut found = refused(case);
    found.notes.push(say!(
        "the data connection came from another address than the control connection: a NAT, proxy or load balancer in between"
    ));
    Some(found)
}

/// T6: the data connection's TLS was refused, as for a session that was not resumed.
pub(super) fn tls_refused(case: &Case<'_>) -> Option<Finding> {
    let text = case.reply_text();
    let says_so = ["reuse", "resum", "ssl", "tls"].iter().any(|word| text.contains(word));
    (matches!(case.code(), 425 | 522 | 534) && says_so).then(|| refused(case))
}

/// A tap saw that data passed on the transfer's latest data connection.
fn has_moved(case: &Case<'_>) -> bool {
    let sent =
        |connection: &Connection| [Role::Opener, Role::Listener].iter().any(|&role| connection.half(role).has_sent());
    case.attempts()
        .last()
        .is_some_and(|joined| case.each_connection(Some(*joined)).any(|(_, connection)| sent(connection)))
}

/// T6: the server answered the transfer command with a refusal of its own.
pub(super) fn refused_by_server(case: &Case<'_>) -> Option<Finding> {
    let own_words = match case.code() {
        425 if is_local(&case.reply_text()) => true,
        450 | 452 | 500.. => true,
        _ => nothing_agreed(case),
    };
    own_words.then(|| refused(case))
}

/// T7: the server ended a transfer that was under way, and the data connection shows no cause.
pub(super) fn ended_by_server(case: &Case<'_>) -> Option<Finding> {
    let joined = established(case)?;
    if left_by_server(case, joined) {
        return Some(left(case, joined));
    }
    matches!(case.code(), 421 | 425 | 426 | 451).then(|| refused(case))
}

/// The server's program closed both connections without a word, as one does that is stopped.
fn left(case: &Case<'_>, joined: &JoinedAttempt) -> Finding {
    let server = role_at(Side::Server, case.listens(Some(joined)));
    let closed = case.each_connection(Some(joined)).find_map(|(sight, connection)| {
        let fin = connection.half(server).fin?.first;
        Some(case.seen(sight, fin, say!("the server closes the data connection")))
    });
    let left = case.view().control.half(Role::Listener).fin.map(|fin| {
        let text = say!("the server closes the control connection and has not said how the transfer went");
        case.seen(case.session.main_sight(), fin.first, text)
    });
    let mut found = refused(case);
    found.evidence.extend(closed.into_iter().chain(left));
    found.confidence = Confidence::Likely;
    found
}

/// The client asked for a transfer without any way for its data; the capture has the whole conversation.
fn nothing_agreed(case: &Case<'_>) -> bool {
    let view = case.view();
    let agreed = case.negotiation().is_some_and(|negotiation| negotiation.stands());
    !agreed && case.attempts().is_empty() && view.control.syn.is_some() && view.gaps == 0 && view.encrypted.is_none()
}

/// 425 for a reason on the server itself.
fn is_local(text: &str) -> bool {
    ["already in use", "bind", "not permitted", "use port or pasv"].iter().any(|word| text.contains(word))
}

pub(super) fn refused(case: &Case<'_>) -> Finding {
    let mut evidence = case.negotiation_evidence();
    evidence.extend(case.transfer_evidence());
    Finding { owner: Some(Owner::None), ..finding(None, Mechanism::RefusedByServer, Confidence::Certain, evidence) }
}
