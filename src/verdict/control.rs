//! C: the control connection after its opening.

use std::borrow::Cow;
use std::time::Duration;

use crate::cite::At;
use crate::language::say;
use crate::line::{Owner, Side, Stretch};
use crate::session::view::{CONTROL, Event, EventKind, KnownBy, View};
use crate::tcp::connection::{Connection, Opening, Reset, Role};
use crate::tcp::half::Half;
use crate::verdict::case::{Case, end, lasting, role_at, said, seconds};
use crate::verdict::helper::reason_words;
use crate::verdict::outcome::{STILL, flow_ended, is_reset_by_server};
use crate::verdict::passage::{Passage, Transit};
use crate::verdict::stuck;
use crate::verdict::transfer::sender;
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism};

/// A control connection that was silent for longer than this while data ran may have been forgotten by a box on the way;
/// the shortest idle timers in use are a few seconds.
const FORGOTTEN: Duration = Duration::from_secs(2);

fn finding(stretch: Stretch, mechanism: Mechanism, confidence: Confidence, evidence: Vec<Evidence>) -> Finding {
    Finding {
        stretch: Some(stretch),
        owner: None,
        device: None,
        mechanism,
        lost: Some(Lost::ControlSegments),
        confidence,
        evidence,
        passes_rules: false,
        notes: Vec::new(),
    }
}

fn is_up(case: &Case<'_>) -> bool {
    case.view().known_by != KnownBy::PassiveRange && case.opening(None) == Opening::Established
}

/// C7, C8, C9: segments of the control connection were sent again and never acknowledged, or answered by a reset that is
/// not the peer's.
pub(super) fn segments_lost(case: &Case<'_>) -> Option<Finding> {
    let (toward, mut found) = match lost(case)? {
        (role, None) => lost_by_loss(case, role),
        (_, Some((sight, reset))) => lost_by_reset(case, sight, reset)?,
    };
    let silence = silence_while_data_ran(case.view());
    if let Some(drop) = case.views().flat_map(|(_, view)| &view.helper_drops).find(|drop| drop.toward == toward) {
        let reason = reason_words(drop.reason);
        found
            .notes
            .push(say!("a Linux helper (nf_conntrack_ftp) on the path would drop this segment: {reason}", reason));
    } else if silence > FORGOTTEN {
        found.mechanism = Mechanism::IdleExpiry;
        let silence = lasting(silence);
        found.notes.push(say!("the control connection had been silent for {silence} while data ran", silence));
    }
    Some(found)
}

/// Whose segments of the control connection are lost; the reset that answered them, where it is not the peer's, and the tap that
/// saw it.
pub(super) fn lost(case: &Case<'_>) -> Option<(Role, Option<(usize, Reset)>)> {
    is_up(case).then(|| stuck::lost(case, None)).flatten()
}

fn lost_by_loss(case: &Case<'_>, role: Role) -> (Side, Finding) {
    let toward = stuck::toward(case, None, role);
    let passage = stuck::passage(case, None, role);
    let all = case.connections(None);
    let again = stuck::acknowledgement_lost(&all);
    let arrived = stuck::is_acknowledged(&all, role);
    let connections = case.on_the_way(None, toward).into_iter();
    let evidence = connections.filter_map(|(sight, connection)| match again {
        true => stuck::answered_again(case, sight, connection),
        false => lost_evidence(case, sight, case.session.view(sight)?, role, arrived),
    });
    let evidence = evidence.collect();
    let stretch = passage.stretch();
    (toward, finding(stretch, Mechanism::Stalled, case.confidence(stretch), evidence))
}

/// What a tap saw of lost bytes, or of a lost FIN where all bytes that were seen have arrived.
fn lost_evidence(case: &Case<'_>, sight: usize, view: &View, role: Role, arrived: bool) -> Option<Evidence> {
    let half = view.control.half(role);
    let who = end(if role == Role::Opener { Side::Client } else { Side::Server });
    if let Some(fin) = half.fin.filter(|_| arrived) {
        let text = say!("the {who}'s FIN is sent {times} times and never acknowledged", who, times = fin.count);
        return Some(case.seen(sight, fin.first, text));
    }
    if half.last_new == At::default() {
        return None;
    }
    if arrived || !half.unacked() {
        let text = say!("nothing from the {who} after its first {bytes} bytes", who, bytes = half.reach);
        return Some(case.seen(sight, half.last_new, text));
    }
    let (bytes, times) = (half.reach - half.acked, half.resent() + 1);
    let text = match last_line(view, role) {
        Some(line) => say!(
            "the {who}'s last {bytes} bytes are sent {times} times and never acknowledged: {line}",
            who,
            bytes,
            times,
            line
        ),
        None => say!("the {who}'s last {bytes} bytes are sent {times} times and never acknowledged", who, bytes, times),
    };
    Some(case.seen(sight, half.last_new, text))
}

fn last_line(view: &View, role: Role) -> Option<Cow<'_, str>> {
    let toward = if role == Role::Opener { Side::Server } else { Side::Client };
    let spoken = |kind| matches!(kind, EventKind::Command | EventKind::Reply(_) | EventKind::ReplyPart);
    let last = view.log.iter().rev().find(|event| event.toward == toward && spoken(event.kind));
    last.map(|event| String::from_utf8_lossy(view.text_of(event)))
}

/// A reset on the control connection whose TTL is not its address's: a box on the way sent it.
fn lost_by_reset(case: &Case<'_>, sight: usize, reset: Reset) -> Option<(Side, Finding)> {
    let from = if reset.from == Role::Opener { Side::Client } else { Side::Server };
    let passed = bytes_unanswered(case, reset.from.other());
    let passage = case.connection_passage(None, from, |connection| {
        let reset = connection.reset_from(reset.from).map(|reset| reset.at);
        reset.or_else(|| passed(connection))
    });
    let stretch = passage.stretch();
    let ttl = case.session.view(sight)?.control.half(reset.from).ttl;
    let text = say!(
        "RST in the {who}'s name with TTL {forged}, where its other packets have {ttl}",
        who = end(from),
        forged = reset.ttl,
        ttl
    );
    let mut evidence: Vec<Evidence> = case.transfer_evidence();
    evidence.push(case.seen(sight, reset.at, text));
    Some((from, finding(stretch, Mechanism::Interrupted, case.confidence(stretch).min(Confidence::Likely), evidence)))
}

/// What a box answers with a reset, it does not send on: it lies behind every tap that saw the last of the bytes which nobody
/// acknowledged. Tells when a tap saw them.
fn bytes_unanswered(case: &Case<'_>, sender: Role) -> impl Fn(&Connection) -> Option<At> + use<> {
    let reach = case.views().map(|(_, view)| view.control.half(sender).reach).max().unwrap_or_default();
    let is_last = move |half: &Half| half.reach == reach && half.unacked();
    let halves = || case.views().map(|(_, view)| view.control.half(sender));
    let unanswered = halves().all(|half| half.reach < reach || half.unacked());
    move |connection| {
        let half = connection.half(sender);
        (unanswered && is_last(half)).then_some(half.last_new)
    }
}

/// How long the control connection was silent before its last word, or before its end if no word follows, if data ran
/// in the meantime.
fn silence_while_data_ran(view: &View) -> Duration {
    let spoken = |kind| matches!(kind, EventKind::Command | EventKind::Reply(_));
    let counts = |event: &&Event| {
        event.attempt == CONTROL && (spoken(event.kind) || matches!(event.kind, EventKind::Fin | EventKind::Reset))
    };
    let events: Vec<&Event> = view.log.iter().filter(counts).collect();
    let Some(last_word) = events.iter().rposition(|event| spoken(event.kind)) else { return Duration::ZERO };
    let ran = |pair: &&[&Event]| {
        view.attempts.iter().any(|attempt| {
            let last = attempt.connection.last();
            let within = last <= pair[1].at.time.plus(FORGOTTEN);
            attempt.connection.established.is_some() && within && pair[0].at.time.until(last) > FORGOTTEN
        })
    };
    let silences = events[last_word.saturating_sub(1)..].windows(2).filter(ran);
    silences.map(|pair| pair[0].at.time.until(pair[1].at.time)).max().unwrap_or(Duration::ZERO)
}

/// C10: the data connection is through, and the final reply never comes.
pub(super) fn final_reply_missing(case: &Case<'_>) -> Option<Finding> {
    let transfer = case.transfer().filter(|transfer| transfer.reply.is_none() && transfer.command.is_some())?;
    let joined = case.attempts().last().copied()?;
    if case.opening(Some(joined)) != Opening::Established || case.is_taken(joined) {
        return None;
    }
    let ended = flow_ended(case, joined)?;
    let role = sender(case).map(|side| role_at(side, case.listens(Some(joined))));
    let mut roles = [Role::Opener, Role::Listener].into_iter().filter(|other| role.is_none_or(|role| role == *other));
    let done = roles.any(|role| case.each_connection(Some(joined)).any(|(_, c)| c.half(role).fin_acked()));
    let waited = ended.until(case.view().last_at.time);
    if !done || waited < STILL {
        return None;
    }
    let command = case.view().event(transfer.command?)?;
    let passage = case.passage(Transit { toward: Side::Client, since: ended, data: false }, |_| false);
    let stretch = passage.stretch();
    let silence = command.at.time.until(ended);
    let mechanism = if silence > FORGOTTEN { Mechanism::IdleExpiry } else { Mechanism::Stalled };
    let mut evidence = case.transfer_evidence();
    let until = case.view().last_at.time;
    let text = say!("no final reply, {time} after the data connection closed", time = seconds(ended, until));
    evidence.push(Evidence { sight: case.session.main_sight(), at: None, until: Some(until), source: None, text });
    Some(finding(stretch, mechanism, Confidence::Possible, evidence))
}

/// C11: the connection is up and the server says nothing.
pub(super) fn no_greeting(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let silent =
        case.views().all(|(_, view)| view.control.half(Role::Listener).bytes() == 0) && view.encrypted.is_none();
    let answered = case.views().any(|(_, view)| view.control.syn_ack.is_some());
    let since = view.control.established.filter(|_| is_up(case) && silent && answered)?;
    if since.time.until(view.last_at.time) < STILL || stuck::acknowledgement_lost(&case.connections(None)) {
        return None;
    }
    let passage = case.passage(Transit { toward: Side::Client, since: since.time, data: false }, |_| false);
    let until = view.last_at.time;
    let text = say!("connected, and not one byte from the server for {time}", time = seconds(since.time, until));
    let evidence =
        vec![Evidence { sight: case.session.main_sight(), at: Some(since), until: Some(until), source: None, text }];
    let mut found = finding(passage.stretch(), Mechanism::Stalled, Confidence::Possible, evidence);
    found.notes.push(say!(
        "the usual causes are TCP wrappers, a name look-up that hangs, a full process table, a proxy without its server"
    ));
    Some(found)
}

/// C12: the server speaks, but not FTP.
pub(super) fn not_ftp(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let first = view
        .log
        .iter()
        .find(|event| event.toward == Side::Client && matches!(event.kind, EventKind::Stray | EventKind::Reply(_)))?;
    (first.kind == EventKind::Stray && view.greeting.is_none() && view.control.syn.is_some())
        .then(|| nobody(vec![case.seen(case.session.main_sight(), first.at, said(view, first))]))
}

/// C13: the server turned the session away itself.
pub(super) fn turned_away(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let refusal = view.log.iter().find(|event| matches!(event.kind, EventKind::Reply(421 | 530 | 533 | 534)))?;
    let early = view.transfers.is_empty();
    let EventKind::Reply(code) = refusal.kind else { return None };
    let greeting = view.greeting.and_then(|greeting| view.event(greeting)) == Some(refusal);
    let no_login = !view.log.iter().any(|event| event.kind == EventKind::Reply(230));
    (early && (greeting || (no_login && code != 421)))
        .then(|| nobody(vec![case.seen(case.session.main_sight(), refusal.at, said(view, refusal))]))
}

/// C15: the client asks for a transfer after the server has ended the session.
pub(super) fn already_ended(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let asked = view.event(case.negotiation().map(|negotiation| negotiation.command).or(case.transfer()?.command)?)?;
    let farewell = view.log.iter().find(|event| event.attempt == CONTROL && event.kind == EventKind::Reply(421));
    let closed = view.control.half(Role::Listener).fin.map(|fin| fin.first);
    let at = farewell.map(|event| event.at).or(closed).filter(|at| *at < asked.at)?;
    let words = farewell.map_or_else(|| say!("the server closes the control connection"), |event| said(view, event));
    Some(nobody(vec![case.seen(case.session.main_sight(), at, words)]))
}

/// C14: the server's host ended the conversation before its end.
pub(super) fn reset_by_server(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let reset = view.control.reset.filter(|_| is_up(case) && view.encrypted.is_none() && is_reset_by_server(view))?;
    let passage = case.connection_passage(None, Side::Server, |connection| connection.reset.map(|reset| reset.at));
    let text = say!("RST from the server's address, TTL {ttl} as its other packets", ttl = reset.ttl);
    let evidence = vec![case.seen(case.session.main_sight(), reset.at, text)];
    let stretch = Passage { next: None, ..passage }.stretch();
    Some(finding(stretch, Mechanism::Interrupted, Confidence::Possible, evidence))
}

fn nobody(evidence: Vec<Evidence>) -> Finding {
    Finding {
        stretch: None,
        lost: None,
        owner: Some(Owner::None),
        ..finding(Stretch::WHOLE, Mechanism::RefusedByServer, Confidence::Certain, evidence)
    }
}
