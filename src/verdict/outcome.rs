//! How a transfer and a control connection ended, before anybody is blamed.
//!
//! A positive reply is believed unless the data connection proves it wrong (a server that only filled its socket buffer
//! says 226 too); the absence of a reply is weighed by what the data connection did and by who gave up.

use std::time::Duration;

use crate::cite::{At, Time};
use crate::ftp::command::Verb;
use crate::line::Side;
use crate::session::join::JoinedAttempt;
use crate::session::view::{CONTROL, Event, EventKind, Negotiation, Settled, Transfer, View};
use crate::tcp::connection::{Connection, Opening, Reset, Role};
use crate::verdict::case::{Case, role_at};
use crate::verdict::stuck;
use crate::verdict::transfer::{self, sender};
use crate::verdict::{ControlOutcome, Outcome};

/// An opening that was tried for longer than this and this often is a failure even if the capture ends while the client
/// still waits: chance does not take four SYNs in a row.
const HOPELESS: (Duration, u16) = (Duration::from_secs(3), 4);

/// A client that leaves sooner than this after its only SYN did not wait for the answer.
const IMPATIENT: Duration = Duration::from_secs(1);

/// A transfer that stood still for longer than this before its end did not end by choice.
pub(super) const STILL: Duration = Duration::from_secs(3);

/// How the transfer of the case ended.
pub(super) fn transfer(case: &Case<'_>) -> Outcome {
    let Some(transfer) = case.transfer() else { return Outcome::Unknown };
    let opening = case.attempts().last().map(|joined| case.opening(Some(*joined)));
    match (case.code(), opening) {
        (200..=399, _) if transfer.command.is_some() => match opening {
            _ if transfer.abort.is_some() || client_left(case) || left_upload(case) => Outcome::Aborted,
            Some(Opening::Established) if is_disproved(case) => Outcome::Failed,
            _ => Outcome::Completed,
        },
        (400.., Some(Opening::Established)) if client_left(case) => Outcome::Aborted,
        (400.., _) => Outcome::Failed,
        (_, Some(Opening::Established)) => established(case),
        (_, Some(opening)) => unopened(case, opening),
        (_, None) => without_connection(case),
    }
}

/// The server says that all went well, and the data connection or the reply's own fate says otherwise.
fn is_disproved(case: &Case<'_>) -> bool {
    let Some(joined) = case.attempts().last().copied() else { return false };
    let cut_off = transfer::is_interrupted(case, joined) && transfer::is_forged(case, joined);
    cut_off || transfer::is_stuck(case) || reply_is_lost(case) || lacks_end(case, joined)
}

/// The sender of the data did not close, long after the server said that all was sent; a reset that comes later still answers
/// what the client sent to a connection that was gone. A client that begins another transfer, and has not closed it either, has
/// read all: the capture missed how both closed.
fn lacks_end(case: &Case<'_>, joined: &JoinedAttempt) -> bool {
    let view = case.view();
    let reply = case.transfer().and_then(|transfer| transfer.reply).and_then(|reply| view.event(reply));
    let Some(reply) = reply.filter(|_| sender(case) == Some(Side::Server)) else { return false };
    let role = role_at(Side::Server, case.listens(Some(joined)));
    case.connections(Some(joined)).iter().all(|&(sight, connection)| {
        let half = connection.half(role);
        let reset = connection.reset_from(role).map(|reset| case.session.on_main_clock(sight, reset.at.time));
        let ended = reset.unwrap_or(view.last_at.time);
        let other = connection.half(role.other());
        let went_on = other.fin.is_none() && connection.reset.is_none() && begins_another(view, reply);
        let misses_packets = half.acked_unseen() || other.acked_unseen() || went_on;
        let end_unseen = misses_packets && !connection.is_forgotten_by(role);
        half.from_syn && half.fin.is_none() && !end_unseen && reply.at.time.until(ended) > STILL
    })
}

/// The client negotiated or began a transfer after this event.
fn begins_another(view: &View, event: &Event) -> bool {
    view.log.iter().any(|other| other.at > event.at && (other.verb.is_negotiation() || other.verb.is_transfer()))
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
    let ended = own.fin.map(|fin| fin.first).or(connection.reset_from(client).map(|reset| reset.at));
    let first = ended.is_some_and(|at| servers.fin.is_none_or(|fin| at < fin.first));
    let downloading = sender(case) == Some(Side::Server);
    let uncaptured = servers.reach == 0 && servers.bytes() > 0;
    let moving = ended.is_some_and(|at| uncaptured || servers.last_new.time.until(at.time) < STILL);
    let going_on = moving && !connection.is_forgotten_by(client.other());
    downloading && first && going_on && !transfer::is_stuck(case) && !transfer::is_forged(case, joined)
}

/// The data connection was up, and no final reply was seen.
fn established(case: &Case<'_>) -> Outcome {
    let Some(joined) = case.attempts().last().copied() else { return Outcome::Unknown };
    let Some(transfer) = case.transfer() else { return Outcome::Unknown };
    if transfer.inferred {
        return inferred(case, joined);
    }
    if transfer::is_stuck(case) || is_reset_by_server(case.view()) {
        return Outcome::Failed;
    }
    if transfer.abort.is_some() || client_left(case) {
        return Outcome::Aborted;
    }
    let view = case.view();
    let unread = is_unread(view, transfer);
    if transfer.command.is_none() {
        return match view.control.half(Role::Opener).fin {
            Some(_) if unread => Outcome::Unknown,
            Some(_) => Outcome::Aborted,
            None => Outcome::Unfinished,
        };
    }
    if transfer::is_interrupted(case, joined) || left_by_server(case, joined) {
        return Outcome::Failed;
    }
    let waited = flow_ended(case, joined).is_some_and(|ended| ended.until(view.last_at.time) > STILL);
    let client_is_gone = view.control.half(Role::Opener).fin.is_some() || view.control.is_over();
    match (client_is_gone, waited) {
        (true, _) if unread => Outcome::Unknown,
        (true, true) => Outcome::Failed,
        (true, false) if server_left_first(view) || view.gaps > 0 => Outcome::Unknown,
        (true, false) if client_closed(case, joined) => Outcome::Aborted,
        (false, _) if control_is_lost(case) => Outcome::Failed,
        _ => Outcome::Unfinished,
    }
}

/// The server itself ended a download, before the client ended anything, and then the conversation, and never said how the
/// transfer went: a program that is alive says so as soon as it has closed the data connection.
pub(super) fn left_by_server(case: &Case<'_>, joined: &JoinedAttempt) -> bool {
    let server = role_at(Side::Server, case.listens(Some(joined)));
    let fin = |connection: &Connection, role| connection.half(role).fin.map(|fin| fin.first);
    let closed_first = |(sight, connection): (usize, &Connection)| {
        let clients = case.session.view(sight).and_then(|view| fin(&view.control, Role::Opener));
        let clients = clients.into_iter().chain(fin(connection, server.other()));
        let closed = fin(connection, server).is_some_and(|closed| clients.min().is_none_or(|client| closed < client));
        closed && connection.reset_from(server.other()).is_none()
    };
    let view = case.view();
    let silent = case.code() < 200 && view.gaps == 0 && view.encrypted.is_none() && !said_goodbye(view);
    let left = silent && fin(&view.control, Role::Listener).is_some();
    left && sender(case) == Some(Side::Server) && case.each_connection(Some(joined)).all(closed_first)
}

/// The server closed the control connection before the client did.
fn server_left_first(view: &View) -> bool {
    let end = |role| view.control.half(role).fin.map(|fin| fin.first);
    end(Role::Listener).is_some_and(|left| end(Role::Opener).is_none_or(|followed| left < followed))
}

/// The client ended the data connection: a client that leaves does, unless its FIN is lost.
fn client_closed(case: &Case<'_>, joined: &JoinedAttempt) -> bool {
    let client = role_at(Side::Client, case.listens(Some(joined)));
    case.connections(Some(joined)).iter().any(|(_, connection)| {
        let reset = connection.reset_from(client).is_some();
        reset || connection.half(client).fin.is_some() || connection.half(client.other()).fin.is_some()
    })
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
    let sent = halves.iter().all(|half| !half.unacked() || half.resent() == 0);
    sent && halves.iter().any(|half| half.fin.is_some())
}

/// The data connection was seen, and not established.
fn unopened(case: &Case<'_>, opening: Opening) -> Outcome {
    let Some(joined) = case.attempts().last().copied() else { return Outcome::Unknown };
    let Some(tries) = tries(case, Some(joined)) else { return Outcome::Failed };
    let given_up = case.given_up(At { time: tries.first, ..At::default() });
    let unread = case.transfer().is_some_and(|transfer| is_unread(case.view(), transfer));
    match given_up {
        _ if matches!(opening, Opening::Reset | Opening::IcmpError) => Outcome::Failed,
        Some(event) if tries.first.until(event.at.time) < IMPATIENT && tries.count < 2 => Outcome::Aborted,
        Some(_) if unread && !tries.are_hopeless() => Outcome::Unknown,
        Some(_) => Outcome::Failed,
        None if tries.are_hopeless() || case.view().settled == Settled::Idle => Outcome::Failed,
        None => Outcome::Unfinished,
    }
}

/// The SYNs of an opening, or the SYN-ACKs where those were sent again, at the tap that saw most of them.
#[derive(Clone, Copy, Debug)]
struct Tries {
    /// On the main tap's clock.
    first: Time,
    last: Time,
    count: u16,
    /// How long that tap went on capturing after the last.
    silence: Duration,
}

impl Tries {
    /// Tried for long, or given up: each pause is about twice the one before, and this one is longer.
    fn are_hopeless(self) -> bool {
        let tried = self.first.until(self.last);
        let (long, often) = HOPELESS;
        (self.count >= often && tried >= long) || (self.count >= 2 && self.silence > tried * 2 + STILL)
    }
}

fn tries<'a>(case: &Case<'a>, which: Option<&'a JoinedAttempt>) -> Option<Tries> {
    let tries = case.connections(which).into_iter().filter_map(|(sight, connection)| {
        let leg = [connection.syn_ack, connection.syn].into_iter().flatten().max_by_key(|leg| leg.count)?;
        let clock = |time| case.session.on_main_clock(sight, time);
        let silence = leg.last.time.until(case.facts(sight).census.ended);
        Some(Tries { first: clock(leg.first.time), last: clock(leg.last.time), count: leg.count.get(), silence })
    });
    tries.max_by_key(|tries| tries.count)
}

/// No data connection was seen and no final reply came.
fn without_connection(case: &Case<'_>) -> Outcome {
    let Some(transfer) = case.transfer() else { return Outcome::Unknown };
    let over = case.view().control.is_over() || case.due().is_some_and(|due| is_given_up(case, due));
    let negotiation = transfer.negotiation.as_ref();
    let refused = negotiation.is_some_and(|negotiation| !negotiation.stands() || negotiation.tells_of_failure());
    let goes_on = over || transfer.command.is_some() || is_followed(case, negotiation);
    match (refused, over || control_is_lost(case)) {
        (true, false) if !goes_on => Outcome::Unfinished,
        (true, _) => Outcome::Failed,
        (false, true) if transfer.abort.is_some() => Outcome::Aborted,
        (false, true) if transfer.command.is_some() && case.is_between_servers() => Outcome::Unknown,
        (false, true) if is_unread(case.view(), transfer) => Outcome::Unknown,
        (false, true) if was_wanted(case) => Outcome::Failed,
        (false, true) => Outcome::Unknown,
        (false, false) => Outcome::Unfinished,
    }
}

/// The capture misses what may be the transfer command, or the final reply to it.
fn is_unread(view: &View, transfer: &Transfer) -> bool {
    let negotiated = transfer.negotiation.as_ref().map(|negotiation| negotiation.command);
    let began = transfer.command.or(negotiated).unwrap_or_default();
    let toward = if transfer.command.is_some() { Side::Client } else { Side::Server };
    view.log.iter().skip(began as usize).any(|event| event.kind == EventKind::Gap && event.toward == toward)
}

/// Something was said after this negotiation: else the client may have been about to try another.
fn is_followed(case: &Case<'_>, negotiation: Option<&Negotiation>) -> bool {
    let last = case.view().log.iter().rposition(|event| event.attempt == CONTROL);
    let reply = negotiation.and_then(|negotiation| negotiation.reply);
    reply.is_none_or(|reply| last.is_some_and(|last| last > reply as usize))
}

/// Somebody gave up what was due. A further command that follows at once says so only if the capture shows what comes of
/// it: clients ask twice.
fn is_given_up(case: &Case<'_>, due: At) -> bool {
    let hasty = |event: &Event| {
        event.kind == EventKind::Command && event.verb != Verb::Quit && due.time.until(event.at.time) < IMPATIENT
    };
    let view = case.view();
    case.given_up(due).is_some_and(|event| !hasty(event) || view.settled != Settled::EndOfCapture)
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
    case.opening(None) == Opening::Established && stuck::role(case, None).is_some()
}

/// The final reply was the server's last word, and it never arrived: it was never acknowledged, or a reset in an end's
/// name answered it.
fn reply_is_lost(case: &Case<'_>) -> bool {
    let view = case.view();
    let words =
        view.log.iter().rposition(|event| event.toward == Side::Client && matches!(event.kind, EventKind::Reply(_)));
    let last_word = words.map(|last| last as u32) == case.transfer().and_then(|transfer| transfer.reply);
    let half = view.control.half(Role::Listener);
    let reset = view.control.reset_from(Role::Opener).is_some();
    last_word && half.unacked() && (half.resent() >= 2 || reset && !is_unheard(view))
}

/// The client had closed the control connection when the server's last words came, and its host says so.
fn is_unheard(view: &View) -> bool {
    view.control.has_left(Role::Opener) && view.control.half(Role::Listener).unacked()
}

/// The client closed both connections, and did not wait to hear whether its upload arrived: the server takes the end of the
/// data for the end of the file.
fn left_upload(case: &Case<'_>) -> bool {
    sender(case) == Some(Side::Client) && is_unheard(case.view()) && !reply_is_lost(case)
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
        Opening::HalfOpen | Opening::Unanswered => return unopened_control(case),
    }
    let reset = is_reset_by_server(view);
    let is_forged = case.views().any(|(_, view)| view.control.forged_reset().is_some());
    let broken = control_is_lost(case) || reset || is_forged;
    let mute =
        view.greeting.is_none() && view.control.syn_ack.is_some() && view.control.half(Role::Listener).reach == 0;
    if mute && view.control.half(Role::Opener).fin.is_some() {
        return ControlOutcome::Failed;
    }
    match (broken, view.control.is_over()) {
        (true, _) => ControlOutcome::Interrupted,
        (false, true) if reset_without_goodbye(view).is_some() => ControlOutcome::Unfinished,
        (false, true) => ControlOutcome::Completed,
        (false, false) if view.settled == Settled::Idle => ControlOutcome::Interrupted,
        (false, false) => ControlOutcome::Unfinished,
    }
}

fn unopened_control(case: &Case<'_>) -> ControlOutcome {
    let hopeless = tries(case, None).is_none_or(Tries::are_hopeless);
    let over = case.view().settled != Settled::EndOfCapture || case.view().control.is_over();
    if hopeless || over { ControlOutcome::Failed } else { ControlOutcome::Unfinished }
}

/// The server's address reset the conversation, and the capture heard all that the server had said before: a goodbye may be in
/// what it missed. A reset that answers the client stands where the client had heard the server.
pub(super) fn is_reset_by_server(view: &View) -> bool {
    let missed = view.control.half(Role::Listener).acked_unseen();
    reset_without_goodbye(view).is_some_and(|reset| !missed && !reset.acks_unseen)
}

/// A reset in the server's name before either end had closed the conversation, where the server was heard to speak before, and
/// not to say goodbye.
fn reset_without_goodbye(view: &View) -> Option<Reset> {
    let reset = view.control.reset_from(Role::Listener)?;
    let closed = [Role::Opener, Role::Listener]
        .iter()
        .any(|&role| view.control.half(role).fin.is_some_and(|fin| fin.first <= reset.at));
    let heard = view.control.syn.is_some() || view.log.iter().any(|event| matches!(event.kind, EventKind::Reply(_)));
    (!closed && heard && !said_goodbye(view)).then_some(reset)
}

/// QUIT was sent, or 221 or 421 received: what follows is no accident.
fn said_goodbye(view: &View) -> bool {
    view.log.iter().any(|event| event.verb == Verb::Quit || matches!(event.kind, EventKind::Reply(221 | 421)))
}
