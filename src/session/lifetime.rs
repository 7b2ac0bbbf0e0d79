//! The life of a session: it gets a slot, is waited for, and is forgotten with all that led to it.

use std::collections::hash_map::Entry;
use std::time::Duration;

use crate::cite::Time;
use crate::few::Few;
use crate::packet::Endpoint;
use crate::session::dialogue::Dialogue;
use crate::session::join::same_connection;
use crate::session::tracker::{Census, Live, MAX_SESSIONS, Tracker};
use crate::session::view::{KnownBy, Settled, View};
use crate::tcp::connection::Connection;

/// Views kept for the next sessions: enough for a burst of endings, a trifle of memory.
const MAX_SPARE: usize = 64;
/// With more sessions alive a view keeps nothing but itself: its lists would have the room of the largest session it ever
/// held.
const CROWD: usize = 4096;
/// Events a view may have room for and still be kept: more than almost every session needs.
const MAX_SPARE_EVENTS: usize = 256;
/// After both ends have closed, late packets of the session are still taken for this long.
const LINGER: Duration = Duration::from_secs(2);
/// The same where a data connection is still open or unanswered: a refusal may take an ARP timeout of 3 s.
const LONG_LINGER: Duration = Duration::from_secs(10);
/// Sessions that wait like this at most: where thousands end in a second, they would be most of the memory. Beyond, the
/// first that ended is handed out at once.
pub(super) const MAX_LINGERING: usize = 8192;
/// An unanswered opening is given up after this: the longest pause between two SYNs of Linux is 64 s.
const HALF_OPEN: Duration = Duration::from_secs(150);
/// An established session is given up after this; no idle timer of FTP servers or NATs in use is longer.
const IDLE: Duration = Duration::from_secs(2 * 3600);

impl Live {
    fn is_half_open(&self) -> bool {
        self.view.control.established.is_none()
    }

    /// Nothing more is waited for.
    pub(super) fn conclude(&mut self, why: Settled, sampled: bool, census: &mut Census) {
        self.dialogue.finish(&mut self.view, &mut Vec::new());
        self.view.settled = why;
        self.view.suppose_established(sampled);
        census.data_unseen += u64::from(self.view.lacks_data());
    }

    fn has_open_question(&self) -> bool {
        self.view.attempts.iter().any(|attempt| !attempt.connection.is_over())
    }
}

impl Tracker {
    /// Takes back a view that was handed out, whose memory a next session can use.
    pub fn recycle(&mut self, mut view: Box<View>) {
        if self.alive() > CROWD || view.log.capacity() > MAX_SPARE_EVENTS {
            view.free_lists();
        }
        if self.spare.len() < MAX_SPARE {
            self.spare.push(view);
        }
    }

    /// What was seen so far of the sessions that are not settled, in no order.
    pub fn under_way(&self) -> impl Iterator<Item = &View> {
        self.slots.iter().flatten().filter(|live| !live.candidate).map(|live| &*live.view)
    }

    /// Settles the session with this control connection, seen on another leg of the same host, where it is over.
    pub fn settle_twin(&mut self, control: &Connection) {
        let is_twin = |live: &Live| !live.candidate && same_connection(&live.view.control, control);
        if let Some(slot) = self.slots.iter().position(|live| live.as_ref().is_some_and(is_twin)) {
            self.settle(slot as u32, Settled::Closed);
        }
    }

    fn alive(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts a new session into a slot.
    pub(super) fn add(&mut self, mut view: View) -> u32 {
        if self.alive() >= MAX_SESSIONS {
            self.displace();
        }
        let candidate = view.known_by == KnownBy::Greeting;
        if !candidate {
            self.numbered += 1;
            view.number = self.numbered;
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        let view = match self.spare.pop() {
            Some(mut spare) => {
                spare.replace(view);
                spare
            }
            None => Box::new(view),
        };
        self.stamp = self.stamp.wrapping_add(1);
        self.timers.set(view.began.time.plus(HALF_OPEN), slot, self.stamp);
        let live =
            Live { view, dialogue: Dialogue::default(), listeners: Few::default(), stamp: self.stamp, candidate };
        self.slots[slot as usize] = Some(live);
        slot
    }

    /// Both ends of a control connection have closed.
    pub(super) fn linger(&mut self, slot: u32, stamp: u32, since: Time) {
        self.timers.set(since.plus(LINGER), slot, stamp);
        self.over.push_back((slot, stamp));
        if self.over.len() > MAX_LINGERING
            && let Some((slot, stamp)) = self.over.pop_front()
            && self.is_alive(slot, stamp)
        {
            self.settle(slot, Settled::Closed);
        }
    }

    /// The slot is still that session's.
    fn is_alive(&self, slot: u32, stamp: u32) -> bool {
        self.slots[slot as usize].as_ref().is_some_and(|live| live.stamp == stamp)
    }

    /// Makes room: the session whose timer would end first goes first, so those that are over before half-open ones of a
    /// scan, and these before real ones.
    fn displace(&mut self) {
        while let Some((slot, stamp)) = self.timers.next() {
            let Some(live) = self.slots[slot as usize].as_ref().filter(|live| live.stamp == stamp) else { continue };
            let over = live.view.control.is_over();
            self.census.displaced += u64::from(!over);
            return self.settle(slot, if over { Settled::Closed } else { Settled::Displaced });
        }
    }

    /// Looks at the sessions whose moment has come.
    pub(super) fn look_at_due(&mut self) {
        while let Some((slot, stamp)) = self.timers.due(self.now) {
            self.look_at(slot, stamp);
        }
    }

    fn look_at(&mut self, slot: u32, stamp: u32) {
        let Some(live) = self.slots[slot as usize].as_ref().filter(|live| live.stamp == stamp) else { return };
        let (wait, why) = match () {
            () if live.view.control.is_over() && live.has_open_question() => (LONG_LINGER, Settled::Closed),
            () if live.view.control.is_over() => (LINGER, Settled::Closed),
            () if live.is_half_open() => (HALF_OPEN, Settled::Idle),
            () => (IDLE, Settled::Idle),
        };
        let due = live.view.last_at.time.plus(wait);
        if due <= self.now { self.settle(slot, why) } else { self.timers.set(due, slot, stamp) }
    }

    /// Hands a session out and forgets it.
    pub(super) fn settle(&mut self, slot: u32, why: Settled) {
        if let Some(live) = self.slots[slot as usize].as_mut() {
            live.conclude(why, self.config.sampled, &mut self.census);
            self.release(slot);
        }
    }

    pub(super) fn release(&mut self, slot: u32) {
        let Some(live) = self.slots[slot as usize].take() else { return };
        self.free.push(slot);
        let Live { view, listeners, candidate, .. } = live;
        self.forget_flow(view.client, view.server, slot);
        for attempt in &view.attempts {
            self.forget_flow(attempt.connection.opener, attempt.connection.listener, slot);
        }
        for listener in listeners {
            self.ports.remove(listener.port);
            self.forget_listener(listener, slot);
        }
        if view.known_by == KnownBy::Greeting {
            self.ports.remove(view.server.port);
        }
        if view.encrypted.is_some() || view.known_by == KnownBy::PassiveRange {
            let pair = (view.client.ip, view.server.ip);
            if let Some(slots) = self.secret.get_mut(&pair) {
                slots.retain(|&other| other != slot);
                if slots.is_empty() {
                    self.secret.remove(&pair);
                }
            }
        }
        if !candidate {
            self.settled.push_back(view);
        }
    }

    fn forget_flow(&mut self, one: Endpoint, other: Endpoint, slot: u32) {
        let key = self.keys.ends(one, other).key();
        for table in [&mut self.flows, &mut self.twins] {
            if let Entry::Occupied(entry) = table.entry(key)
                && entry.get().slot == slot
            {
                entry.remove();
            }
        }
    }

    fn forget_listener(&mut self, listener: Endpoint, slot: u32) {
        if let Entry::Occupied(mut entry) = self.expected.entry(self.keys.end(listener)) {
            entry.get_mut().retain(|waiting| waiting.slot != slot);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }
}
