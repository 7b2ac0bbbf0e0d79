//! The short way past the table, for the session that almost every session is: opened and closed in order, nothing lost,
//! every transfer completed. All that a rule could hold against it is known to be absent.
//!
//! That the long way says the same is asserted for every session wherever debug assertions are on.

use crate::ftp::command::DataDirection;
use crate::line::Side;
use crate::session::join::Session;
use crate::session::view::{KnownBy, Negotiation, Transfer, View};
use crate::tcp::connection::{Connection, Role};
use crate::verdict::case::role_at;
use crate::verdict::stuck;

/// Both ends greeted, moved files and left, and one tap saw all of it: control connection and transfers are completed, and
/// no rule has anything to say.
pub(super) fn is_healthy(session: &Session) -> bool {
    let view = session.main();
    let spoke = view.greeting.is_some() && view.control.half(Role::Listener).bytes() > 0;
    let alone = session.sights.len() == 1 && view.known_by != KnownBy::PassiveRange;
    let moved = || (0..).zip(&view.transfers).all(|(index, transfer)| is_completed(view, index, transfer));
    alone && spoke && !view.transfers.is_empty() && is_orderly(&view.control) && moved()
}

/// Opened and closed by both ends, and nothing of it may have been lost.
fn is_orderly(connection: &Connection) -> bool {
    let closed = [Role::Opener, Role::Listener].iter().all(|&role| connection.half(role).fin.is_some());
    connection.established.is_some() && connection.reset.is_none() && closed && !stuck::is_troubled(connection)
}

/// The server says so, its latest data connection does not contradict, and the address was the listener's own.
fn is_completed(view: &View, index: usize, transfer: &Transfer) -> bool {
    let Some(command) = transfer.command.and_then(|command| view.event(command)) else { return false };
    let Some((_, attempt)) = view.attempts_of(index).last() else { return false };
    let fin = |side| attempt.connection.half(role_at(side, attempt.listens)).fin.map(|fin| fin.first);
    let client_left =
        command.verb.data_direction() == Some(DataDirection::ToClient) && fin(Side::Client) < fin(Side::Server);
    let said_so = matches!(transfer.code, 200..=399) && transfer.abort.is_none();
    let own = transfer.negotiation.as_ref().is_none_or(|negotiation| offers_own_address(view, negotiation));
    said_so && own && is_orderly(&attempt.connection) && !client_left
}

fn offers_own_address(view: &View, negotiation: &Negotiation) -> bool {
    let own = if negotiation.mode.listener() == Side::Server { view.server.ip } else { view.client.ip };
    negotiation.offered.and_then(|offered| offered.address).is_none_or(|announced| announced == own)
}
