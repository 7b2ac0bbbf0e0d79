//! Connections that nobody expects yet: a SYN may be captured before the reply that announces it, and the control
//! connection of an FTP server on another port shows itself only with its greeting.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::cite::Time;
use crate::packet::{Endpoint, Segment};
use crate::session::flow::FlowKey;
use crate::tcp::connection::Connection;

/// Orphans kept; the oldest give way. Captures are out of order by milliseconds at most, in which even a busy link opens
/// fewer connections.
const MAX_ORPHANS: usize = 1024;

/// How much earlier than its announcement a SYN may stand in a capture.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// The latest connections without an owner.
#[derive(Default)]
pub(super) struct Orphans {
    by_flow: HashMap<FlowKey, Connection, RandomState>,
    by_listener: HashMap<Endpoint, FlowKey, RandomState>,
    order: VecDeque<FlowKey>,
}

impl Orphans {
    /// Takes an opening into account that nobody owns.
    pub(super) fn add(&mut self, key: FlowKey, opener: Endpoint, listener: Endpoint, segment: &Segment<'_>) {
        let connection = self.by_flow.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Connection::new(opener, listener)
        });
        if connection.listener != listener {
            *connection = Connection::new(opener, listener);
        }
        connection.observe(segment);
        self.by_listener.insert(listener, key);
        if self.order.len() > MAX_ORPHANS
            && let Some(oldest) = self.order.pop_front()
        {
            self.take(oldest);
        }
    }

    pub(super) fn get(&mut self, key: FlowKey) -> Option<&mut Connection> {
        if self.by_flow.is_empty() { None } else { self.by_flow.get_mut(&key) }
    }

    pub(super) fn take(&mut self, key: FlowKey) -> Option<Connection> {
        let connection = self.by_flow.remove(&key)?;
        if self.by_listener.get(&connection.listener) == Some(&key) {
            self.by_listener.remove(&connection.listener);
        }
        Some(connection)
    }

    /// The latest orphan that goes to `listener`, unless it began too long before `now` to be the announced one.
    pub(super) fn take_to(&mut self, listener: Endpoint, now: Time) -> Option<(FlowKey, Connection)> {
        let key = *self.by_listener.get(&listener)?;
        let began = self.by_flow.get(&key)?.began()?;
        if began.time.until(now) > OUT_OF_ORDER { None } else { self.take(key).map(|connection| (key, connection)) }
    }
}
