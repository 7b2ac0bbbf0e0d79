//! One TCP connection as one tap saw it: its opening and its ending; what each end sent is [`half`](super::half)'s.
//!
//! Read RFC 9293 section 3.5 (opening), 3.6 (closing) and 3.10.7 first. The words are Zeek's `history` spelt out: which
//! packets of the handshake were seen, how often, and who ended the connection.

use crate::cite::{At, Time};
use crate::packet::{Endpoint, IcmpError, Segment};
use crate::tcp::half::{Half, Leg};

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
    /// It is bare, and the segment that it answers acknowledged more than was captured of its sender.
    pub acks_unseen: bool,
}

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
                let acks_unseen = bare && self.half(from).lacks(segment.seq);
                self.reset = Some(Reset { at: segment.at, from, ttl, interface, count: 1, bare, acks_unseen });
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
