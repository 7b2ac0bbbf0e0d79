//! How a transfer and a control connection ended, before anybody is blamed.
//!
//! A positive reply is believed unless the data connection proves it wrong (a server that only filled its socket buffer
//! says 226 too); the absence of a reply is weighed by what the data connection did and by who gave up.

use std::time::Duration;

use crate::cite::{At, Time};
use crate::ftp::command::Verb;
use crate::line::Side;
use crate::session::join::JoinedAttempt;
use crate::session::view::{EventKind, Settled, View};
use crate::tcp::connection::{Connection, Opening, Role};
use crate::verdict::case::{Case, role_at};
use crate::verdict::transfer::{self, sender};
use crate::verdict::{ControlOutcome, Outcome};

/// An opening that was silent for this long and was tried this often is a failure even if the capture ends while the
/// client still waits; a SYN that is lost twice by chance is answered within 7 s.
const HOPELESS: (Duration, u16) = (Duration::from_secs(10), 4);

/// A client that leaves sooner than this after its only SYN did not wait for the answer.
const IMPATIENT: Duration = Duration::from_secs(1);

/// A transfer that stood still for longer than this before its end did not end by choice.
pub(super) const STILL: Duration = Duration::from_secs(3);

/// How the transfer of the case ended.
pub(super) fn transfer(case: &Case<'_>) -> Outcome {
    let Some(transfer) = case.transfer() else { return Outcome::Unknown };
    let opening = case.attempts().last().map(|joined| case.opening(Some(*joined)));
    match (case.code(), opening) {
        (200..=299, Some(Opening::Established)) if transfer::is_stuck(case) || reply_is_lost(case) => Outcome::Failed,
        (200..=299, _) if transfer.command.is_some() => {
            if transfer.abort.is_some() || client_left(case) {
                Outcome::Aborted
            } else {
                Outcome::Completed
            }
        }
        (400.., Some(Opening::Established)) if client_left(case) => Outcome::Aborted,
        (400.., _) => Outcome::Failed,
        (_, Some(Opening::Established)) => established(case),
        (_, Some(opening)) => unopened(case, opening),
        (_, None) => without_connection(case),
    }
}

/// The client ended the data connection while the server still sent and everything arrived, or asked to abort.
fn client_left(case: &Case<'_>) -> bool {
    if case.transfer().is_some_and(|transfer| transfer.abort.is_some()) {
        return !transfer::is_stuck(case);
    }
    let Some(joined) = case.attempts().last().copied() else { return false };
    case.connections(Some(joined)).iter().any(|(_, connection)| left_by_client(case, joined, connection))
}

fn left_by_client(case: &Case<'_>, joined: &JoinedAttempt, connection: &Connection) -> bool {
    let client = role_at(Side::Client, case.listens(Some(joined)));
    let (own, servers) = (connection.half(client), connection.half(client.other()));
    let ended =
        own.fin.map(|fin| fin.first).or(connection.reset.filter(|reset| reset.from == client).map(|reset| reset.at));
    let first = ended.is_some_and(|at| servers.fin.is_none_or(|fin| at < fin.first));
    let downloading = sender(case) == Some(Side::Server);
    let moving = ended.is_some_and(|at| servers.last_new.time.until(at.time) < STILL);
    downloading && first && moving && !transfer::is_stuck(case) && !transfer::is_forged(case, joined)
}

/// The data connection was up, and no final reply was seen.
fn established(case: &Case<'_>) -> Outcome {
    let Some(joined) = case.attempts().last().copied() else { return Outcome::Unknown };
    let Some(transfer) = case.transfer() else { return Outcome::Unknown };
    if transfer.inferred {
        return inferred(case, joined);
    }
    if transfer::is_stuck(case) {
        return Outcome::Failed;
    }
    if transfer.abort.is_some() || client_left(case) {
        return Outcome::Aborted;
    }
    let view = case.view();
    if transfer.command.is_none() {
        return if view.control.half(Role::Opener).fin.is_some() { Outcome::Aborted } else { Outcome::Unfinished };
    }
    if transfer::is_interrupted(case, joined) {
        return Outcome::Failed;
    }
    let waited = flow_ended(case, joined).is_some_and(|ended| ended.until(view.last_at.time) > STILL);
    let client_is_gone = view.control.half(Role::Opener).fin.is_some() || view.control.is_over();
    match (client_is_gone, waited) {
        (true, true) => Outcome::Failed,
        (true, false) => Outcome::Aborted,
        (false, _) if control_is_lost(case) => Outcome::Failed,
        (false, _) => Outcome::Unfinished,
    }
}

/// When the sender of the data was last heard of with something new, on the main tap's clock.
pub(super) fn flow_ended(case: &Case<'_>, joined: &JoinedAttempt) -> Option<Time> {
    let role = sender(case).map(|side| role_at(side, case.listens(Some(joined))));
    let ended = |connection: &Connection| {
        let halves = [Role::Opener, Role::Listener].into_iter().filter(|other| role.is_none_or(|role| role == *other));
        let moments = halves.flat_map(|role| {
            let half = connection.half(role);
            [half.last_new.time, half.fin.map(|fin| fin.first.time).unwrap_or_default()]
        });
        moments.chain(connection.established.map(|at| at.time)).max()
    };
    let connections = case.connections(Some(joined)).into_iter();
    connections.filter_map(|(sight, c)| Some(case.session.on_main_clock(sight, ended(c)?))).max()
}

fn inferred(case: &Case<'_>, joined: &JoinedAttempt) -> Outcome {
    let done = case.connections(Some(joined)).iter().any(|(_, connection)| is_done(connection));
    match () {
        () if transfer::is_stuck(case) => Outcome::Failed,
        () if done => Outcome::Completed,
        () if case.view().settled == Settled::EndOfCapture => Outcome::Unfinished,
        () => Outcome::Unknown,
    }
}

/// Both ends closed, and what each had sent was acknowledged; a reset after the last byte is how some clients close.
fn is_done(connection: &Connection) -> bool {
    let halves = [Role::Opener, Role::Listener].map(|role| connection.half(role));
    let sent = halves.iter().all(|half| !half.unacked() || half.resent == 0);
    sent && halves.iter().any(|half| half.fin.is_some())
}

fn unopened(case: &Case<'_>, opening: Opening) -> Outcome {
    let refused = matches!(opening, Opening::Reset | Opening::IcmpError);
    let Some(joined) = case.attempts().last().copied() else { return Outcome::Unknown };
    let (first, last, count) = case
        .connections(Some(joined))
        .iter()
        .filter_map(|(sight, connection)| {
            let leg = connection.syn.or(connection.syn_ack)?;
            let clock = |at: At| case.session.on_main_clock(*sight, at.time);
            Some((clock(leg.first), clock(leg.last), leg.count))
        })
        .max_by_key(|(.., count)| *count)
        .unwrap_or_default();
    let ended = case.view().last_at.time.max(last);
    let began = At { time: first, ..At::default() };
    match (case.given_up(began), refused) {
        (_, true) => Outcome::Failed,
        (Some(event), _) if first.until(event.at.time) < IMPATIENT && count < 2 => Outcome::Aborted,
        (Some(_), _) => Outcome::Failed,
        (None, _) if first.until(ended) > HOPELESS.0 && count >= HOPELESS.1 => Outcome::Failed,
        (None, _) if case.view().settled == Settled::Idle => Outcome::Failed,
        (None, _) => Outcome::Unfinished,
    }
}

/// No data connection was seen and no final reply came.
fn without_connection(case: &Case<'_>) -> Outcome {
    let Some(transfer) = case.transfer() else { return Outcome::Unknown };
    let over = case.view().control.is_over() || case.due().is_some_and(|due| case.given_up(due).is_some());
    let negotiation = transfer.negotiation.as_ref();
    let refused = negotiation.is_some_and(|negotiation| !negotiation.stands() || negotiation.tells_of_failure());
    match (refused, over || control_is_lost(case)) {
        (true, _) => Outcome::Failed,
        (false, true) if transfer.abort.is_some() => Outcome::Aborted,
        (false, true) if was_wanted(case) => Outcome::Failed,
        (false, true) => Outcome::Unknown,
        (false, false) => Outcome::Unfinished,
    }
}

/// A data connection was agreed upon or a transfer asked for. An active negotiation alone obliges nobody: the server
/// opens its connection only for a transfer command.
fn was_wanted(case: &Case<'_>) -> bool {
    let Some(transfer) = case.transfer() else { return false };
    let passive = transfer.negotiation.as_ref().is_some_and(|negotiation| negotiation.mode.listener() == Side::Server);
    transfer.command.is_some() || passive || control_is_lost(case)
}

/// The conversation stopped because segments of it were lost for good.
pub(super) fn control_is_lost(case: &Case<'_>) -> bool {
    case.views().any(|(_, view)| [Role::Opener, Role::Listener].iter().any(|&role| is_lost(view, role)))
}

/// The final reply was the server's last word, and it never arrived: it was never acknowledged, or a reset in an end's
/// name answered it.
fn reply_is_lost(case: &Case<'_>) -> bool {
    let view = case.view();
    let words =
        view.log.iter().rposition(|event| event.toward == Side::Client && matches!(event.kind, EventKind::Reply(_)));
    let last_word = words.map(|last| last as u32) == case.transfer().and_then(|transfer| transfer.reply);
    let half = view.control.half(Role::Listener);
    let reset = view.control.reset.is_some_and(|reset| reset.from == Role::Opener);
    last_word && half.unacked() && (half.resent >= 2 || reset)
}

/// What one end sent was sent again at least twice, and never acknowledged.
pub(super) fn is_lost(view: &View, role: Role) -> bool {
    let half = view.control.half(role);
    view.control.established.is_some() && half.unacked() && half.resent >= 2
}

/// How the control connection fared.
pub(super) fn control(case: &Case<'_>) -> ControlOutcome {
    let view = case.view();
    if view.known_by == crate::session::view::KnownBy::PassiveRange {
        return ControlOutcome::Unfinished;
    }
    match case.opening(None) {
        Opening::Established => {}
        Opening::Reset | Opening::IcmpError => return ControlOutcome::Failed,
        Opening::HalfOpen | Opening::Unanswered => return unopened_control(view),
    }
    let reset = view.control.reset.is_some_and(|reset| reset.from == Role::Listener) && !said_goodbye(view);
    let broken = control_is_lost(case) || reset || super::control::forged_reset(case).is_some();
    let mute = view.greeting.is_none() && view.control.half(Role::Listener).reach == 0;
    if mute && view.control.half(Role::Opener).fin.is_some() {
        return ControlOutcome::Failed;
    }
    match (broken, view.control.is_over()) {
        (true, _) => ControlOutcome::Interrupted,
        (false, true) => ControlOutcome::Completed,
        (false, false) if view.settled == Settled::Idle => ControlOutcome::Interrupted,
        (false, false) => ControlOutcome::Unfinished,
    }
}

fn unopened_control(view: &View) -> ControlOutcome {
    let leg = view.control.syn.or(view.control.syn_ack);
    let hopeless =
        leg.is_some_and(|leg| leg.count >= HOPELESS.1 && leg.first.time.until(leg.last.time) > HOPELESS.0 / 3);
    let over = view.settled != Settled::EndOfCapture || view.control.is_over();
    if hopeless || over { ControlOutcome::Failed } else { ControlOutcome::Unfinished }
}

/// QUIT was sent, or 221 or 421 received: what follows is no accident.
pub(super) fn said_goodbye(view: &View) -> bool {
    view.log.iter().any(|event| event.verb == Verb::Quit || matches!(event.kind, EventKind::Reply(221 | 421)))
}
