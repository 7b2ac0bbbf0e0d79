//! One TCP connection as one tap saw it: its opening, its ending, and what each end sent.
//!
//! Read RFC 9293 section 3.5 (opening), 3.6 (closing) and 3.10.7 first. The words are Zeek's `history` spelt out: which
//! packets of the handshake were seen, how often, and who ended the connection. Byte counts follow from sequence
//! numbers, so a capture that keeps only SYN and FIN still gives them.

use std::num::NonZeroU16;

use crate::cite::{At, Time};
use crate::packet::{Endpoint, IcmpError, Segment};
use crate::tcp::seq;

/// Two copies of one segment closer than this are one packet captured twice (a mirror port, `-i any`, a bridge), not a
/// retransmission: no TCP retransmits a SYN within 50 ms (RFC 6298 2.4 asks for a second, Linux uses at least 200 ms).
const SAME_PACKET: i64 = 50_000_000;

/// An end of a connection, named by what it does in the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends the first SYN (active OPEN).
    Opener,
    /// Answers it (passive OPEN).
    Listener,
}

impl Role {
    /// The other end.
    pub fn other(self) -> Role {
        match self {
            Role::Opener => Role::Listener,
            Role::Listener => Role::Opener,
        }
    }
}

/// A packet of the handshake or the ending, with its repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// First copy.
    pub first: At,
    /// Latest copy.
    pub last: At,
    /// Number of copies, duplicates of the capture not counted.
    pub count: NonZeroU16,
}

impl Leg {
    fn add(leg: &mut Option<Leg>, at: At) -> bool {
        match leg {
            None => {
                *leg = Some(Leg { first: at, last: at, count: NonZeroU16::MIN });
                true
            }
            Some(leg) if at.time.0 - leg.last.time.0 < SAME_PACKET => false,
            Some(leg) => {
                leg.last = at;
                leg.count = leg.count.saturating_add(1);
                true
            }
        }
    }
}

/// A reset and where it seems to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// First copy.
    pub at: At,
    /// Whose address it carries.
    pub from: Role,
    /// TTL or hop limit as captured.
    pub ttl: u8,
    /// Interface that it was captured on.
    pub interface: u32,
    /// Number of resets from that address.
    pub count: u16,
    /// It acknowledges nothing: it answers a segment of a connection that its sender does not know (RFC 9293 section 3.10.7.1).
    pub bare: bool,
}

/// Segments that carried nothing new and were sent after a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// How many.
    pub count: u32,
    /// Length of the one at the first byte that was not acknowledged, when it was last sent again.
    pub stuck_len: u32,
    /// The latest of them.
    pub last: At,
}

/// What one end sent, in offsets from its first byte (0 is the byte after the SYN).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Sequence number of offset 0; none before anything was seen.
    pub start: Option<u32>,
    /// The SYN itself was seen, so `start` is no guess.
    pub from_syn: bool,
    /// End of the bytes seen without a hole.
    solid: u64,
    /// End of the furthest byte seen.
    pub reach: u64,
    /// First byte beyond the hole after `solid`, while there is one.
    island: u64,
    /// Furthest offset that the sender stood at in any segment, bare acknowledgements included.
    pub stood: u64,
    /// Furthest offset that the other end acknowledged.
    pub acked: u64,
    /// Few connections have any.
    again: Option<Box<Again>>,
    /// Longest segment that was acknowledged.
    pub longest_acked: u32,
    /// Length of a longer segment under way, 0 if there is none.
    probe_len: u32,
    /// Its end.
    probe_end: u64,
    /// Latest segment with new bytes.
    pub last_new: At,
    /// Time of the latest segment of any kind.
    pub last: Time,
    /// The FIN.
    pub fin: Option<Leg>,
    /// Its offset.
    fin_at: u64,
    /// TTL or hop limit of the latest segment that was no RST.
    pub ttl: u8,
    /// Latest advertised window (unscaled; only zero is meaningful without the scale).
    pub window: u16,
}

impl Half {
    /// Bytes sent, a hole in the capture included where later bytes prove it.
    pub fn bytes(&self) -> u64 {
        self.fin_at().unwrap_or(self.reach.max(self.acked))
    }

    /// Segments that carried nothing new.
    pub fn again(&self) -> Again {
        self.again.as_deref().copied().unwrap_or_default()
    }

    /// How many of these there are.
    #[inline]
    pub fn resent(&self) -> u32 {
        self.again.as_ref().map_or(0, |again| again.count)
    }

    /// The FIN was acknowledged.
    pub fn fin_acked(&self) -> bool {
        self.fin_at().is_some_and(|fin| self.acked > fin)
    }

    /// Offset of the FIN.
    fn fin_at(&self) -> Option<u64> {
        self.fin.map(|_| self.fin_at)
    }

    /// Bytes were sent that the other end never acknowledged.
    pub fn unacked(&self) -> bool {
        self.reach > self.acked
    }

    /// The other end has bytes of the end that were not captured. Only if the FIN was seen is the last byte known to be none.
    pub fn lacks_end(&self) -> bool {
        let end = self.fin_at().map_or(self.acked.saturating_sub(1), |fin| fin.min(self.acked));
        self.start.is_some() && end > self.reach
    }

    /// The offset of `seq` near `edge`, none if it is impossibly far beyond.
    #[inline]
    fn offset(&self, seq: u32, edge: u64) -> Option<u64> {
        let offset = seq::lift(seq.wrapping_sub(self.start?), edge);
        (offset <= edge + MAX_JUMP).then_some(offset)
    }

    /// There is text up to `seq` that was not captured.
    fn lacks(&self, seq: u32) -> bool {
        let edge = self.reach.max(self.acked);
        self.offset(seq, edge).is_some_and(|to| to > edge)
    }

    #[inline]
    fn sent(&mut self, segment: &Segment<'_>) {
        let syn = segment.flags.syn();
        let seq = segment.seq.wrapping_add(u32::from(syn));
        self.start.get_or_insert(seq);
        self.from_syn |= syn;
        self.ttl = segment.ttl;
        self.window = segment.window;
        self.last = segment.at.time;
        let Some(from) = self.offset(seq, self.reach.max(self.acked)) else { return };
        self.stood = self.stood.max(from);
        let to = from + u64::from(segment.text_len);
        if segment.text_len > 0 {
            self.text(segment.at, from, to);
        }
        if segment.flags.fin() {
            self.fin_at = to;
            Leg::add(&mut self.fin, segment.at);
        }
    }

    /// Bytes `from..to` were seen. One hole is kept: `solid..island`; `solid == reach` says that there is none.
    fn text(&mut self, at: At, from: u64, to: u64) {
        let len = (to - from) as u32;
        let fills_hole = self.solid < self.reach && from < self.island && to > self.solid;
        if to <= self.reach && !fills_hole {
            return self.text_again(at, from, to, len);
        }
        self.last_new = at;
        if from <= self.solid {
            self.solid = self.solid.max(to);
        } else if self.solid == self.reach {
            self.island = from;
        } else {
            self.island = self.island.min(from);
        }
        self.reach = self.reach.max(to);
        self.close_hole();
        if self.probe_len == 0 && len > self.longest_acked {
            (self.probe_end, self.probe_len) = (to, len);
        }
    }

    fn text_again(&mut self, at: At, from: u64, to: u64, len: u32) {
        let since = self.last_new.time.max(self.again().last.time);
        if to > self.acked && at.time.0 - since.0 >= SAME_PACKET {
            let again = self.again.get_or_insert_default();
            again.count += 1;
            again.last = at;
            if from <= self.acked {
                again.stuck_len = len;
            }
        }
    }

    fn close_hole(&mut self) {
        if self.solid >= self.island {
            self.solid = self.reach;
            self.island = self.reach;
        }
    }

    /// What the other end has needs no proof by capture: a hole below `ack` is the capture's.
    #[inline]
    fn acknowledge(&mut self, ack: u32) {
        let Some(to) = self.offset(ack, self.reach.max(self.acked)).filter(|to| *to > self.acked) else { return };
        self.acked = to;
        if to >= self.probe_end {
            self.longest_acked = self.longest_acked.max(self.probe_len);
            self.probe_len = 0;
        }
        if to > self.solid {
            self.solid = to.min(self.reach);
            self.close_hole();
        }
    }
}

/// The largest step forward that one segment may make, in bytes: RFC 7323 limits a window to 1 GiB, so a number further
/// off is damage or a stranger's.
const MAX_JUMP: u64 = 1 << 30;

/// What a packet meant for the connection; the timeline shows these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// The opener's SYN.
    Syn,
    /// The same SYN again.
    SynAgain,
    /// The listener's SYN-ACK.
    SynAck,
    /// The same SYN-ACK again.
    SynAckAgain,
    /// The acknowledgement that completes the opening.
    Established,
    /// A FIN.
    Fin,
    /// A FIN sent again.
    FinAgain,
    /// A reset.
    Reset,
    /// A further reset from the same end.
    ResetAgain,
    /// Nothing that changes the connection's state.
    Nothing,
}

/// How an opening ended, as far as this tap saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The handshake was completed, or the connection was already up when the capture began.
    Established,
    /// A reset came before the handshake was complete.
    Reset,
    /// A device answered with an ICMP error.
    IcmpError,
    /// A SYN-ACK came, no acknowledgement followed.
    HalfOpen,
    /// The SYN was never answered.
    Unanswered,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The end that opens.
    pub opener: Endpoint,
    /// The end that listens.
    pub listener: Endpoint,
    /// Interface of the latest packet that was no reset.
    pub interface: u32,
    /// SYN.
    pub syn: Option<Leg>,
    /// SYN-ACK.
    pub syn_ack: Option<Leg>,
    /// First segment of the opener after the SYN-ACK, or any later proof of an established connection.
    pub established: Option<At>,
    /// Its SYN-ACK came before anybody waited for it: an acknowledgement that came then, too, was not looked at.
    pub early: bool,
    /// First reset by either end.
    pub reset: Option<Reset>,
    /// First ICMP error that quotes this connection (path-MTU errors excepted, see `too_big`).
    pub icmp: Option<Box<IcmpError>>,
    /// First path-MTU error.
    pub too_big: Option<Box<IcmpError>>,
    halves: [Half; 2],
}

impl Connection {
    /// A connection of which nothing was seen yet.
    pub fn new(opener: Endpoint, listener: Endpoint) -> Self {
        Connection {
            opener,
            listener,
            interface: 0,
            syn: None,
            syn_ack: None,
            established: None,
            early: false,
            reset: None,
            icmp: None,
            too_big: None,
            halves: Default::default(),
        }
    }

    /// What `role` sent.
    pub fn half(&self, role: Role) -> &Half {
        &self.halves[role as usize]
    }

    /// The reset, if it carries the address of `role`.
    pub fn reset_from(&self, role: Role) -> Option<Reset> {
        self.reset.filter(|reset| reset.from == role)
    }

    /// A reset that comes over another number of routers than its address's other packets: a box on the path sent it. One that
    /// does not was sent by that end, and has passed all that lies before it, whoever saw it.
    pub fn forged_reset(&self) -> Option<Reset> {
        self.reset.filter(|reset| {
            let half = self.half(reset.from);
            half.start.is_some() && half.ttl != reset.ttl
        })
    }

    /// The end `role` answers the other end's FIN by a reset, since it does not know the connection any more, and has not closed
    /// it as far as was seen here.
    pub fn is_forgotten_by(&self, role: Role) -> bool {
        let closed = self.half(role.other()).fin.filter(|_| self.half(role).fin.is_none());
        let reset = self.reset_from(role).filter(|reset| reset.bare);
        closed.zip(reset).is_some_and(|(fin, reset)| fin.first < reset.at)
    }

    /// The end `role` has closed, and its host resets what comes then: nobody is there any more to hear it.
    pub fn has_left(&self, role: Role) -> bool {
        let half = self.half(role);
        let closed = half.fin.zip(self.reset_from(role));
        closed.is_some_and(|(fin, reset)| fin.first < reset.at && reset.ttl == half.ttl)
    }

    /// The end that `endpoint` is.
    pub fn role_of(&self, endpoint: Endpoint) -> Role {
        if endpoint == self.opener { Role::Opener } else { Role::Listener }
    }

    /// Whose packet one between these ends is; none if it is another connection's.
    #[inline]
    pub fn sender(&self, source: Endpoint, destination: Endpoint) -> Option<Role> {
        match () {
            () if source == self.opener && destination == self.listener => Some(Role::Opener),
            () if source == self.listener && destination == self.opener => Some(Role::Listener),
            () => None,
        }
    }

    /// Takes one segment of this connection into account.
    pub fn observe(&mut self, segment: &Segment<'_>) -> Noticed {
        self.observe_from(self.role_of(segment.source), segment)
    }

    /// The same, for a caller that knows who sent it.
    #[inline]
    pub fn observe_from(&mut self, role: Role, segment: &Segment<'_>) -> Noticed {
        if segment.flags.rst() {
            return self.reset_seen(segment, role);
        }
        self.interface = segment.interface;
        let noticed = match (segment.flags.syn(), role) {
            (true, Role::Opener) => self.syn_seen(segment),
            (true, Role::Listener) => self.syn_ack_seen(segment),
            (false, _) => self.later_segment(segment, role),
        };
        self.halves[role as usize].sent(segment);
        if segment.flags.ack() {
            self.halves[role.other() as usize].acknowledge(segment.ack);
        }
        noticed
    }

    /// Takes an ICMP error that quotes this connection into account; true if it is the first.
    pub fn observe_icmp(&mut self, error: &IcmpError) -> bool {
        let place = if error.kind.is_path_mtu() { &mut self.too_big } else { &mut self.icmp };
        let first = place.is_none();
        place.get_or_insert_with(|| Box::new(*error));
        first
    }

    fn syn_seen(&mut self, segment: &Segment<'_>) -> Noticed {
        let first = self.syn.is_none();
        match (Leg::add(&mut self.syn, segment.at), first) {
            (_, true) => Noticed::Syn,
            (true, false) => Noticed::SynAgain,
            (false, false) => Noticed::Nothing,
        }
    }

    fn syn_ack_seen(&mut self, segment: &Segment<'_>) -> Noticed {
        let first = self.syn_ack.is_none();
        match (Leg::add(&mut self.syn_ack, segment.at), first) {
            (_, true) => Noticed::SynAck,
            (true, false) => Noticed::SynAckAgain,
            (false, false) => Noticed::Nothing,
        }
    }

    /// The opener's first acknowledgement completes the opening. A segment of the listener that carries text or FIN
    /// proves the same where the acknowledgement itself was not captured.
    fn later_segment(&mut self, segment: &Segment<'_>, role: Role) -> Noticed {
        let fin = segment.flags.fin();
        let proves = || role == Role::Opener || segment.text_len > 0 || fin || self.syn.is_none();
        let first = self.established.is_none() && proves();
        if first {
            self.established = Some(segment.at);
        }
        match fin {
            true if self.half(role).fin.is_some() => Noticed::FinAgain,
            true => Noticed::Fin,
            false if first => Noticed::Established,
            false => Noticed::Nothing,
        }
    }

    /// One that stands behind text which was not captured, or acknowledges such text, proves that the connection was up.
    fn reset_seen(&mut self, segment: &Segment<'_>, from: Role) -> Noticed {
        let is_behind_text = || {
            let acknowledges = segment.flags.ack() && self.half(from.other()).lacks(segment.ack);
            acknowledges || self.half(from).lacks(segment.seq)
        };
        if self.syn_ack.is_some() && self.established.is_none() && is_behind_text() {
            self.established = Some(segment.at);
        }
        match &mut self.reset {
            None => {
                let (ttl, interface, bare) = (segment.ttl, segment.interface, !segment.flags.ack());
                self.reset = Some(Reset { at: segment.at, from, ttl, interface, count: 1, bare });
                Noticed::Reset
            }
            Some(reset) => {
                if reset.from == from {
                    reset.count = reset.count.saturating_add(1);
                }
                Noticed::ResetAgain
            }
        }
    }

    /// How the opening ended.
    pub fn opening(&self) -> Opening {
        match (&self.established, &self.icmp, &self.reset) {
            (Some(_), ..) => Opening::Established,
            (None, Some(_), _) => Opening::IcmpError,
            (None, None, Some(_)) => Opening::Reset,
            (None, None, None) if self.syn_ack.is_some() => Opening::HalfOpen,
            (None, None, None) => Opening::Unanswered,
        }
    }

    /// Both ends are done: FIN from both, or a reset.
    pub fn is_over(&self) -> bool {
        self.reset.is_some() || self.halves.iter().all(|half| half.fin.is_some())
    }

    /// Time of the first packet that was seen.
    pub fn began(&self) -> Option<At> {
        let legs = [self.syn.map(|leg| leg.first), self.syn_ack.map(|leg| leg.first), self.established];
        let words = [self.reset.map(|reset| reset.at), self.icmp.as_ref().map(|icmp| icmp.at)];
        legs.into_iter().chain(words).flatten().min()
    }

    /// Time of the latest packet that was seen.
    pub fn last(&self) -> Time {
        let halves = self.halves.iter().map(|half| half.last);
        let words = [self.reset.map(|reset| reset.at.time), self.icmp.as_ref().map(|icmp| icmp.at.time)];
        halves.chain(words.into_iter().flatten()).max().unwrap_or_default()
    }
}
