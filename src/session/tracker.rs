//! From the packets of one tap to the views of its sessions.
//!
//! Four verbs: [`Tracker::observe`] a packet, [`Tracker::advance`] the time, [`Tracker::finish`], and
//! [`Tracker::poll`] the views that are settled. Replay and live capture differ only in who advances the time.
//!
//! Almost every packet of a busy capture is put aside by its flags and ports; what remains is looked up in one table of
//! connections. Memory is bounded by live sessions: a session is settled, handed out and forgotten.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use foldhash::fast::RandomState;

use crate::cite::{At, Time};
use crate::few::Few;
use crate::ftp::command::Verb;
use crate::line::Side;
use crate::packet::{Direction, Endpoint, Flags, Frame, Glance, Packet, Segment};
use crate::session::dialogue::{Dialogue, Effect};
use crate::session::flow::{EndKey, Ends, FlowKey, Keys, Ports, Table};
use crate::session::orphans::Orphans;
use crate::session::timers::Timers;
use crate::session::view::{Attempt, CONTROL, EventKind, Settled, View};
use crate::tcp::connection::{Connection, Noticed, Role};

/// What the tracker is to look for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports of control connections.
    pub control_ports: Vec<u16>,
    /// Ports of the server's passive range, for sessions whose negotiations cannot be read.
    pub passive_range: Option<RangeInclusive<u16>>,
    /// Which leg of a forwarding host to watch; see [`Leg`].
    pub leg: Leg,
    /// The capture leaves out most of what passes on established data connections, as a live one does.
    pub sampled: bool,
}

/// A capture on all interfaces of a forwarding host holds every packet twice, once on its way in and once on its way
/// out. Each leg is a tap of its own; a host that does not forward shows everything on one of the two. What it says to itself
/// is on the leg towards the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Every packet.
    Both,
    /// Only packets on the side towards this end of the control connection.
    Toward(Side),
}

impl Leg {
    /// Whether a packet on its way `toward` an end, captured in this direction, passed this leg.
    pub(super) fn carries(self, toward: Side, direction: Option<Direction>) -> bool {
        match (self, direction) {
            (Leg::Both, _) | (_, None) => true,
            (Leg::Toward(side), Some(Direction::Outgoing)) => toward == side,
            (Leg::Toward(side), Some(Direction::Incoming | Direction::Overheard)) => toward != side,
            (Leg::Toward(side), Some(Direction::Looped)) => side == Side::Server,
        }
    }

    /// Whether a packet that an opener sent, or was sent, passed the host's leg towards that opener; where one tap sees all,
    /// it is always that one.
    pub(super) fn is_near_opener(self, from_opener: bool, direction: Option<Direction>) -> bool {
        match (self, direction) {
            (Leg::Both, _) | (_, None | Some(Direction::Looped)) => true,
            (Leg::Toward(_), Some(Direction::Outgoing)) => !from_opener,
            (Leg::Toward(_), Some(Direction::Incoming | Direction::Overheard)) => from_opener,
        }
    }

    /// Whether this is the leg towards an opener.
    pub(super) fn is_toward(self, opener: Side) -> bool {
        self == Leg::Both || self == Leg::Toward(opener)
    }
}

/// Sessions alive at once; more displace first those that are over and only wait for late packets, then the ones that
/// were silent longest. With three KiB for a session of two transfers they take 150 MiB at most.
pub const MAX_SESSIONS: usize = 49_152;

/// Follows the FTP sessions that pass one tap.
pub struct Tracker {
    pub(super) config: Config,
    pub(super) ports: Ports,
    pub(super) keys: Keys,
    pub(super) flows: Table<FlowKey, Owner>,
    /// Second owner of a data connection between two servers (FXP).
    pub(super) twins: Table<FlowKey, Owner>,
    pub(super) expected: Table<EndKey, Few<Waiting>>,
    pub(super) secret: HashMap<(IpAddr, IpAddr), Vec<u32>, RandomState>,
    pub(super) slots: Vec<Option<Live>>,
    pub(super) free: Vec<u32>,
    pub(super) orphans: Orphans,
    pub(super) timers: Timers,
    /// The latest sessions that ended, by slot and stamp; some may have been handed out.
    pub(super) over: VecDeque<(u32, u32)>,
    pub(super) settled: VecDeque<Box<View>>,
    /// Sessions still to be settled at the end, the first last.
    ending: Vec<u32>,
    #[allow(clippy::vec_box)] // they go and come boxed, to be handed on without being moved
    pub(super) spare: Vec<Box<View>>,
    effects: Vec<Effect>,
    pub(super) now: Time,
    pub(super) numbered: u64,
    pub(super) stamp: u32,
    pub(super) census: Census,
}

/// What a tracker counts over the whole tap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Time of the first packet.
    pub began: Option<Time>,
    /// Time of the latest packet.
    pub ended: Time,
    /// A packet was seen that belongs to no control connection: the capture filter did not keep only those.
    pub other_traffic: bool,
    /// A session's first packet was for another host on its link: the capturing one need not forward what it receives.
    pub overheard: bool,
    /// Sessions with a transfer that went through though its data connection was not seen: the capture left it out.
    pub data_unseen: u64,
    /// Sessions displaced before their end because [`MAX_SESSIONS`] were alive.
    pub displaced: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) slot: u32,
    pub(super) attempt: u16,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) slot: u32,
    pub(super) transfer: u16,
}

pub(super) struct Live {
    pub(super) view: Box<View>,
    pub(super) dialogue: Dialogue,
    pub(super) listeners: Few<Endpoint>,
    pub(super) stamp: u32,
    /// On a port that is no control port: `220` was seen, the first command not yet.
    pub(super) candidate: bool,
}

impl Tracker {
    /// A tracker that has seen nothing.
    pub fn new(config: Config) -> Self {
        let mut ports = Ports::new();
        config.control_ports.iter().for_each(|&port| ports.add(port));
        Tracker {
            config,
            ports,
            keys: Keys::default(),
            flows: HashMap::default(),
            twins: HashMap::default(),
            expected: HashMap::default(),
            secret: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            orphans: Orphans::new(),
            timers: Timers::default(),
            over: VecDeque::new(),
            settled: VecDeque::new(),
            ending: Vec::new(),
            spare: Vec::new(),
            effects: Vec::new(),
            now: Time(i64::MIN),
            numbered: 0,
            stamp: 0,
            census: Census::default(),
        }
    }

    /// Takes one packet into account. Its time advances the tracker's.
    #[inline]
    pub fn observe(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Segment(segment) => {
                let ports = [segment.source.port, segment.destination.port];
                match self.is_interesting(ports, segment.flags, segment.text) {
                    true => self.segment(self.keys.ends(segment.source, segment.destination), segment),
                    false => self.census.other_traffic = true,
                }
            }
            Packet::IcmpError(error) => self.icmp(error),
            Packet::Other | Packet::Undecoded(_) => self.census.other_traffic = true,
        }
    }

    /// The same for a segment that was only glanced at and is read no further than it has to be.
    #[inline]
    pub fn observe_glance(&mut self, glance: &Glance<'_>, frame: &Frame<'_>) {
        let ports = [glance.source_port(), glance.destination_port()];
        match self.is_interesting(ports, glance.flags(), glance.text()) {
            true => self.segment(self.keys.glanced(glance), &glance.segment(frame)),
            false => self.census.other_traffic = true,
        }
    }

    /// Settles what nobody waits for any longer at this time.
    #[inline]
    pub fn advance(&mut self, now: Time) {
        self.census.began.get_or_insert(now);
        self.census.ended = self.census.ended.max(now);
        self.now = self.now.max(now);
        if self.timers.is_due(self.now) {
            self.look_at_due();
        }
    }

    /// The capture ends: settles everything, in order of beginning. Views are handed out one by one from where they are,
    /// so that nothing is doubled where most is alive.
    pub fn finish(&mut self) {
        let mut alive: Vec<u32> = Vec::new();
        for (slot, live) in (0..).zip(&mut self.slots) {
            let Some(live) = live else { continue };
            let why = if live.view.control.is_over() { Settled::Closed } else { Settled::EndOfCapture };
            live.conclude(why, self.config.sampled, &mut self.census);
            alive.push(slot);
        }
        alive.sort_by_key(|&slot| Reverse(self.slots[slot as usize].as_ref().map(|live| live.view.number)));
        self.ending = alive;
    }

    /// The next settled view.
    #[inline]
    pub fn poll(&mut self) -> Option<Box<View>> {
        while self.settled.is_empty()
            && let Some(slot) = self.ending.pop()
        {
            self.release(slot);
        }
        self.settled.pop_front()
    }

    /// Whether [`Tracker::poll`] has something.
    #[inline]
    pub fn has_settled(&self) -> bool {
        !self.settled.is_empty() || !self.ending.is_empty()
    }

    /// What was counted so far.
    pub fn census(&self) -> Census {
        self.census
    }

    #[inline]
    fn is_interesting(&self, [from, to]: [u16; 2], flags: Flags, text: &[u8]) -> bool {
        // both ports are asked in any case: which of the two it is cannot be predicted
        self.ports.has(from) | self.ports.has(to)
            || flags.intersects(Flags::SYN | Flags::FIN | Flags::RST)
            || text.starts_with(b"220")
    }

    pub(super) fn is_control(&self, port: u16) -> bool {
        self.config.control_ports.contains(&port)
    }

    #[inline]
    fn segment(&mut self, ends: Ends, segment: &Segment<'_>) {
        match self.flows.get(&ends.key()).copied() {
            Some(owner) if !self.reopens(owner, segment) => self.hand_out(ends, owner, segment),
            Some(owner) => {
                if owner.attempt == CONTROL {
                    self.settle(owner.slot, Settled::Displaced);
                }
                self.stranger(ends, segment);
            }
            None => self.stranger(ends, segment),
        }
    }

    /// A SYN that is no retransmission of the connection's own: its ports are used anew.
    fn reopens(&self, owner: Owner, segment: &Segment<'_>) -> bool {
        if !segment.flags.syn() || segment.flags.ack() {
            return false;
        }
        let Some(connection) = self.connection(owner) else { return false };
        let start = connection.half(Role::Opener).start;
        match connection.sender(segment.source, segment.destination) {
            Some(Role::Opener) => start.is_some_and(|start| start != segment.seq.wrapping_add(1)),
            Some(Role::Listener) => true,
            None => false,
        }
    }

    fn connection(&self, owner: Owner) -> Option<&Connection> {
        let view = &self.slots.get(owner.slot as usize)?.as_ref()?.view;
        match owner.attempt {
            CONTROL => Some(&view.control),
            attempt => view.attempts.get(usize::from(attempt)).map(|attempt| &attempt.connection),
        }
    }

    /// Hands a segment of a known connection to its owner, and to the owner's twin if there is one.
    #[inline]
    pub(super) fn hand_out(&mut self, ends: Ends, owner: Owner, segment: &Segment<'_>) {
        self.owned(owner, segment);
        if let Some(twin) = self.twin(ends) {
            self.owned(twin, segment);
        }
    }

    /// The other session's attempt that a connection is, between two servers.
    #[inline]
    pub(super) fn twin(&self, ends: Ends) -> Option<Owner> {
        if self.twins.is_empty() { None } else { self.twins.get(&ends.key()).copied() }
    }

    /// A segment of a known connection; one that only shares its digest is nobody's.
    #[inline]
    pub(super) fn owned(&mut self, owner: Owner, segment: &Segment<'_>) {
        match owner.attempt {
            CONTROL => self.control_segment(owner.slot, segment),
            attempt => self.data_segment(owner.slot, attempt, segment),
        }
    }

    pub(super) fn control_segment(&mut self, slot: u32, segment: &Segment<'_>) {
        let Some(live) = self.slots[slot as usize].as_mut() else { return };
        let Live { view, dialogue, .. } = live;
        let Some(role) = view.control.sender(segment.source, segment.destination) else { return };
        let toward = if role == Role::Opener { Side::Server } else { Side::Client };
        if !self.config.leg.carries(toward, segment.direction) {
            return;
        }
        view.last_at = segment.at;
        let ends = segment.flags.intersects(Flags::FIN | Flags::RST) && !view.control.is_over();
        let resent = view.control.half(role).resent();
        let noticed = view.control.observe_from(role, segment);
        record(view, segment.at, CONTROL, noticed, toward);
        if segment.flags.syn() {
            dialogue.start(toward, segment.seq.wrapping_add(1));
        }
        if view.control.half(role).resent() > resent {
            view.record(segment.at, CONTROL, EventKind::Resent, toward, Verb::Unknown, &[]);
        }
        if segment.flags.ack() {
            dialogue.acknowledged(view, !toward, segment.ack, &mut self.effects);
        }
        if segment.text_len > 0 {
            dialogue.text(view, toward, segment, &mut self.effects);
        }
        if ends && view.control.is_over() {
            let stamp = live.stamp;
            self.linger(slot, stamp, segment.at.time);
        }
        if !self.effects.is_empty() {
            self.apply_effects(slot);
        }
    }

    fn data_segment(&mut self, slot: u32, attempt: u16, segment: &Segment<'_>) {
        let Some(live) = self.slots[slot as usize].as_mut() else { return };
        let Some(Attempt { connection, listens, .. }) = live.view.attempts.get_mut(usize::from(attempt)) else {
            return;
        };
        let Some(role) = connection.sender(segment.source, segment.destination) else { return };
        let toward = if role == Role::Opener { *listens } else { !*listens };
        if !self.config.leg.carries(toward, segment.direction) {
            return;
        }
        let noticed = connection.observe_from(role, segment);
        live.view.last_at = segment.at;
        record(&mut live.view, segment.at, attempt, noticed, toward);
    }

    fn apply_effects(&mut self, slot: u32) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Expect { transfer, listener } => self.expect(slot, transfer, listener),
                Effect::Encrypted => self.keep_secret(slot),
                Effect::FirstCommand(verb) => self.confirm(slot, verb),
            }
        }
        self.effects = effects;
    }

    pub(super) fn expect(&mut self, slot: u32, transfer: u16, listener: Endpoint) {
        let Some(live) = self.slots[slot as usize].as_mut() else { return };
        live.listeners.push(listener);
        self.ports.add(listener.port);
        let end = self.keys.end(listener);
        self.mark_between_servers(Waiting { slot, transfer }, listener.ip, end);
        self.expected.entry(end).or_default().push(Waiting { slot, transfer });
        let near = self.config.leg.is_toward(!self.listening_side(slot, transfer, listener.ip));
        if let Some(connection) = self.orphans.take_to(end.on(near), self.now) {
            self.adopt(Waiting { slot, transfer }, connection);
        }
    }

    /// One session listens where another has its server connect to, and neither end there is a client's.
    fn mark_between_servers(&mut self, new: Waiting, listener: IpAddr, end: EndKey) {
        let Some(others) = self.expected.get(&end) else { return };
        let mode = |waiting: &Waiting| {
            let view = &self.slots[waiting.slot as usize].as_ref()?.view;
            let negotiation = view.transfers.get(usize::from(waiting.transfer))?.negotiation.as_ref()?;
            Some((negotiation.mode.listener(), view.client.ip))
        };
        let Some((side, client)) = mode(&new).filter(|(_, client)| *client != listener) else { return };
        let pair = others.iter().find(|other| {
            other.slot != new.slot && mode(other).is_some_and(|(other, ip)| other != side && ip == client)
        });
        let Some(pair) = pair.copied() else { return };
        for waiting in [pair, new] {
            let live = self.slots[waiting.slot as usize].as_mut();
            if let Some(transfer) = live.and_then(|live| live.view.transfers.get_mut(usize::from(waiting.transfer))) {
                transfer.between_servers = true;
            }
        }
    }

    pub(super) fn keep_secret(&mut self, slot: u32) {
        if let Some(live) = self.slots[slot as usize].as_ref() {
            self.secret.entry((live.view.client.ip, live.view.server.ip)).or_default().push(slot);
        }
    }

    /// `220` on a strange port is FTP if `USER` or `AUTH` follows; SMTP says `220` too.
    fn confirm(&mut self, slot: u32, verb: Verb) {
        let Some(live) = self.slots[slot as usize].as_mut().filter(|live| live.candidate) else { return };
        if matches!(verb, Verb::User | Verb::Auth) {
            live.candidate = false;
            self.numbered += 1;
            live.view.number = self.numbered;
        } else {
            self.settle(slot, Settled::Displaced);
        }
    }
}

/// Puts what a segment meant into the log.
#[inline]
pub(super) fn record(view: &mut View, at: At, attempt: u16, noticed: Noticed, toward: Side) {
    if noticed == Noticed::Nothing {
        return;
    }
    let kind = match noticed {
        Noticed::Syn => EventKind::Syn,
        Noticed::SynAgain => EventKind::SynAgain,
        Noticed::SynAck => EventKind::SynAck,
        Noticed::SynAckAgain => EventKind::SynAckAgain,
        Noticed::Established => EventKind::Established,
        Noticed::Fin => EventKind::Fin,
        Noticed::FinAgain => EventKind::FinAgain,
        Noticed::Reset => EventKind::Reset,
        Noticed::ResetAgain | Noticed::Nothing => return,
    };
    view.record(at, attempt, kind, toward, Verb::Unknown, &[]);
}
