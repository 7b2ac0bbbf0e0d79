//! What of a session that is under way is due: to be told, to be looked for, to be followed.

use std::time::Duration;

use crate::cite::{At, Time};
use crate::packet::Endpoint;
use crate::session::view::{Transfer, View};

/// Late packets of a transfer are waited for this long after its last reply: an ICMP error or a RST comes within a round
/// trip.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// A data connection is agreed upon, for [`GRACE`] already, and was not seen.
pub(super) fn awaits_data(view: &View, now: Time) -> bool {
    let Some((index, transfer)) = view.transfers.iter().enumerate().next_back() else { return false };
    let agreed =
        transfer.negotiation.as_ref().filter(|negotiation| negotiation.stands() && negotiation.offered.is_some());
    let since = agreed.and_then(|negotiation| view.event(negotiation.command)).map(|event| event.at);
    let is_due = since.is_some_and(|At { time, .. }| time.plus(GRACE) <= now);
    is_due && transfer.code == 0 && !view.control.is_over() && view.attempts_of(index).next().is_none()
}

/// Listeners of the session's data connections that others than its two ends are to reach, or that are others: a second
/// address of an end, or a server that another server is to send to.
pub(super) fn foreign_listeners(view: &View) -> impl Iterator<Item = Endpoint> {
    let agreed = view.transfers.last().and_then(|transfer| transfer.negotiation.as_ref());
    let offered = agreed.filter(|negotiation| negotiation.stands()).and_then(|negotiation| negotiation.offered);
    let announced = offered.and_then(|offered| Some(Endpoint { ip: offered.address?, port: offered.port }));
    let is_foreign = |listener: &Endpoint| ![view.client.ip, view.server.ip].contains(&listener.ip);
    let unanswered = view.attempts.iter().filter(|attempt| attempt.foreign && attempt.connection.syn_ack.is_none());
    announced.filter(is_foreign).into_iter().chain(unanswered.map(|attempt| attempt.connection.listener))
}

/// How many of the session's transfers can be told: up to the last one that was refused [`GRACE`] ago.
pub(super) fn ripe(view: &View, due: Time) -> usize {
    let is_over = |transfer: &Transfer| {
        let reply = transfer.reply.filter(|_| transfer.code >= 400).and_then(|reply| view.event(reply));
        reply.is_some_and(|reply| { reply.at }.time.plus(GRACE) <= due)
    };
    view.transfers.iter().rposition(is_over).map_or(0, |last| last + 1)
}
