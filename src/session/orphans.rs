//! Connections that nobody expects yet: a SYN may be captured before the reply that announces it, and the control
//! connection of an FTP server on another port shows itself only with its greeting.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cite::Time;
use crate::packet::{Endpoint, Segment};
use crate::session::flow::{EndKey, FlowKey, Table};
use crate::tcp::connection::Connection;

/// Orphans kept; the oldest give way. Captures are out of order by milliseconds at most, in which even a busy link opens
/// fewer connections.
const MAX_ORPHANS: usize = 1024;

/// How much earlier than its announcement a SYN may stand in a capture.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// The latest connections without an owner. Of a forwarding host both legs are kept, since it is not known yet which of
/// them is looked at: their keys differ ([`FlowKey::on`]).
#[derive(Default)]
pub(super) struct Orphans {
    by_flow: Table<FlowKey, Orphan>,
    by_listener: Table<EndKey, FlowKey>,
    order: VecDeque<FlowKey>,
}

/// A connection without an owner.
pub(super) struct Orphan {
    pub(super) connection: Connection,
    listener: EndKey,
}

impl Orphans {
    /// Takes an opening into account that nobody owns.
    pub(super) fn add(&mut self, key: FlowKey, listener: EndKey, ends: [Endpoint; 2], segment: &Segment<'_>) {
        let orphan = self.by_flow.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Orphan::new(ends, listener)
        });
        if [orphan.connection.opener, orphan.connection.listener] != ends {
            *orphan = Orphan::new(ends, listener);
        }
        orphan.connection.observe(segment);
        self.by_listener.insert(listener, key);
        if self.order.len() > MAX_ORPHANS
            && let Some(oldest) = self.order.pop_front()
        {
            self.take(oldest);
        }
    }

    pub(super) fn get(&mut self, key: FlowKey) -> Option<&mut Orphan> {
        self.by_flow.get_mut(&key)
    }

    pub(super) fn take(&mut self, key: FlowKey) -> Option<Connection> {
        let Orphan { connection, listener } = self.by_flow.remove(&key)?;
        if self.by_listener.get(&listener) == Some(&key) {
            self.by_listener.remove(&listener);
        }
        Some(connection)
    }

    /// The latest orphan that goes to `listener`, unless it began too long before `now` to be the announced one.
    pub(super) fn take_to(&mut self, listener: EndKey, now: Time) -> Option<Connection> {
        let key = *self.by_listener.get(&listener)?;
        let began = self.by_flow.get(&key)?.connection.began()?;
        if began.time.until(now) > OUT_OF_ORDER { None } else { self.take(key) }
    }
}

impl Orphan {
    fn new([opener, at]: [Endpoint; 2], listener: EndKey) -> Orphan {
        Orphan { connection: Connection::new(opener, at), listener }
    }
}
