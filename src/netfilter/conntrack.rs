//! From the kernel's messages about connections to plain facts: which it follows, and which it expects.
//!
//! Read first: conntrack(8); `linux/netfilter/nfnetlink_conntrack.h`; `net/netfilter/nf_conntrack_netlink.c` of Linux. A connection
//! is followed from when its first packet has left the host or reached a program: one that a rule drops on the way never is.
//! A helper that reads `PORT` or `227` makes an expectation, which ends with the first packet that matches, even if that is
//! dropped then. So an expectation that ends and no [expected](Status::EXPECTED) connection that begins: dropped on this host.

mod journal;

use std::net::IpAddr;
use std::time::Duration;

use super::netlink::{Message, attribute, messages, number, string};
use crate::cite::Time;
use crate::packet::Endpoint;

pub use journal::Journal;

/// `NFNL_SUBSYS_CTNETLINK`, with `IPCTNL_MSG_CT_NEW` and `IPCTNL_MSG_CT_DELETE`.
const CONNECTION: u16 = 1 << 8;
const CONNECTION_GONE: u16 = CONNECTION | 2;
/// `NFNL_SUBSYS_CTNETLINK_EXP`, with `IPCTNL_MSG_EXP_NEW` and `IPCTNL_MSG_EXP_DELETE`.
const EXPECTATION: u16 = 2 << 8;
const EXPECTATION_GONE: u16 = EXPECTATION | 2;
/// `NLM_F_CREATE`: what the message tells of is new.
const CREATE: u16 = 0x400;

// `CTA_*`
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4;
const HELPER: u16 = 5;
const TIMEOUT: u16 = 7;
const TUPLE_MASTER: u16 = 14;

/// `CTA_HELP_NAME`.
const HELPER_NAME: u16 = 1;
/// `CTA_PROTOINFO_TCP`.
const TCP_INFO: u16 = 1;
/// `CTA_PROTOINFO_TCP_STATE`.
const TCP_STATE: u16 = 1;

// `CTA_TUPLE_*`
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;

// `CTA_IP_*`
const IPV4_SOURCE: u16 = 1;
const IPV4_DESTINATION: u16 = 2;
const IPV6_SOURCE: u16 = 3;
const IPV6_DESTINATION: u16 = 4;

// `CTA_PROTO_*`
const PROTOCOL_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;

// `CTA_EXPECT_*`
const EXPECT_MASTER: u16 = 1;
const EXPECT_TUPLE: u16 = 2;
const EXPECT_MASK: u16 = 3;
const EXPECT_TIMEOUT: u16 = 4;
const EXPECT_HELPER_NAME: u16 = 6;

/// Sender and receiver of the packets of one direction of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
}

/// Two addresses, the lesser first.
pub type Pair = (IpAddr, IpAddr);

impl Tuple {
    /// The two addresses.
    pub fn pair(&self) -> Pair {
        pair(self.source.ip, self.destination.ip)
    }
}

/// The two addresses of a connection, whoever opened it.
pub fn pair(one: IpAddr, other: IpAddr) -> Pair {
    (one.min(other), one.max(other))
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was made.
    New,
    /// It changed.
    Update,
    /// It is gone.
    Destroy,
}

/// State of a connection (`enum tcp_conntrack`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of conntrack(8)")]
pub enum State {
    SynSent,
    SynRecv,
    Established,
    FinWait,
    CloseWait,
    LastAck,
    TimeWait,
    Close,
    SynSent2,
}

/// All states, from number 1.
const STATES: [State; 9] = [
    State::SynSent,
    State::SynRecv,
    State::Established,
    State::FinWait,
    State::CloseWait,
    State::LastAck,
    State::TimeWait,
    State::Close,
    State::SynSent2,
];

/// Status bits (`IPS_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

impl Status {
    /// An expectation was there for it.
    pub const EXPECTED: Status = Status(1 << 0);
    /// It was answered.
    pub const SEEN_REPLY: Status = Status(1 << 1);
    /// It is kept even if room runs short.
    pub const ASSURED: Status = Status(1 << 2);
    /// Its sender is translated.
    pub const SRC_NAT: Status = Status(1 << 4);
    /// Its receiver is translated.
    pub const DST_NAT: Status = Status(1 << 5);

    /// Whether all bits of `status` are set.
    pub fn contains(self, status: Status) -> bool {
        self.0 & status.0 == status.0
    }
}

/// A TCP connection that the kernel follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// When it was known here.
    pub time: Time,
    /// What became of it.
    pub change: Change,
    /// The direction of its first packet, as that came to this host.
    pub original: Tuple,
    /// The direction of the answers, as they come to this host: where an address or a port is translated, not the mirror of
    /// the other.
    pub reply: Tuple,
    /// Its state; none where the message does not tell.
    pub state: Option<State>,
    /// Its status.
    pub status: Status,
    /// Until it is forgotten if nothing passes.
    pub timeout: Option<Duration>,
    /// Name of the helper that reads it; a message of the end does not tell.
    pub helper: Option<String>,
    /// The connection that expected it, in the direction of its first packet; only when it is new.
    pub master: Option<Tuple>,
}

impl Tracked {
    /// The two addresses on each side of a translation.
    pub fn pairs(&self) -> [Pair; 2] {
        [self.original, self.reply].map(|tuple| tuple.pair())
    }

    /// An end of it, on either side of a translation, has one of these ports.
    pub fn has_port(&self, ports: &[u16]) -> bool {
        let ends = [self.original, self.reply].map(|tuple| [tuple.source, tuple.destination]);
        ends.as_flattened().iter().any(|end| ports.contains(&end.port))
    }
}

/// A TCP connection that a helper expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// When it was known here.
    pub time: Time,
    /// What became of the expectation.
    pub change: Change,
    /// The connection that made it expected, in the direction of its first packet.
    pub master: Tuple,
    /// What is expected; what the mask leaves out is zero.
    pub tuple: Tuple,
    /// Which bits of addresses and ports count.
    pub mask: Tuple,
    /// Until it is forgotten.
    pub timeout: Option<Duration>,
    /// Name of the helper.
    pub helper: Option<String>,
}

/// What a message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Of a connection.
    Tracked(Tracked),
    /// Of an expectation.
    Expected(Expected),
}

/// The messages that ask for lists: one of the connections, one of the expectations. Each entry of a list is told of as an
/// [update](Change::Update).
pub fn requests() -> [Vec<u8>; 2] {
    /// `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_EXP_GET`.
    const GET: u16 = 1;
    /// `NLM_F_REQUEST` and `NLM_F_DUMP`.
    const FLAGS: u16 = 1 | 0x300;
    const LENGTH: u32 = 16 + 4;
    [CONNECTION | GET, EXPECTATION | GET]
        .map(|kind| [&LENGTH.to_ne_bytes()[..], &kind.to_ne_bytes(), &FLAGS.to_ne_bytes(), &[0; 8], &[0; 4]].concat())
}

/// How a list ends that this datagram belongs to, an error number or 0; none if more is to come.
pub fn list_end(datagram: &[u8]) -> Option<i32> {
    /// `NLMSG_ERROR`.
    const ERROR: u16 = 2;
    /// `NLMSG_DONE`.
    const DONE: u16 = 3;
    let end = messages(datagram).flatten().find(|message| matches!(message.kind, ERROR | DONE))?;
    end.payload.first_chunk().map(|error| i32::from_ne_bytes(*error).wrapping_neg())
}

/// What a datagram of the groups `NFNLGRP_CONNTRACK_*`, read at `now`, tells of TCP.
pub fn events(now: Time, datagram: &[u8]) -> impl Iterator<Item = Event> {
    messages(datagram).flatten().filter_map(move |message| event(now, &message))
}

fn event(now: Time, message: &Message<'_>) -> Option<Event> {
    let made = if message.flags & CREATE == 0 { Change::Update } else { Change::New };
    match message.kind {
        CONNECTION => tracked(now, made, message.attributes).map(Event::Tracked),
        CONNECTION_GONE => tracked(now, Change::Destroy, message.attributes).map(Event::Tracked),
        EXPECTATION => expected(now, made, message.attributes).map(Event::Expected),
        EXPECTATION_GONE => expected(now, Change::Destroy, message.attributes).map(Event::Expected),
        _ => None,
    }
}

fn tracked(time: Time, change: Change, attributes: &[u8]) -> Option<Tracked> {
    let value = |wanted| attribute(attributes, wanted);
    Some(Tracked {
        time,
        change,
        original: tuple(value(TUPLE_ORIGINAL)?)?,
        reply: tuple(value(TUPLE_REPLY)?)?,
        state: value(PROTOCOL_INFO).and_then(state),
        status: value(STATUS).and_then(number).map(Status).unwrap_or_default(),
        timeout: value(TIMEOUT).and_then(seconds),
        helper: value(HELPER).and_then(|helper| name(attribute(helper, HELPER_NAME)?)),
        master: value(TUPLE_MASTER).and_then(tuple),
    })
}

fn expected(time: Time, change: Change, attributes: &[u8]) -> Option<Expected> {
    let value = |wanted| attribute(attributes, wanted);
    Some(Expected {
        time,
        change,
        master: tuple(value(EXPECT_MASTER)?)?,
        tuple: tuple(value(EXPECT_TUPLE)?)?,
        mask: tuple(value(EXPECT_MASK)?)?,
        timeout: value(EXPECT_TIMEOUT).and_then(seconds),
        helper: value(EXPECT_HELPER_NAME).and_then(name),
    })
}

/// None of what is not TCP.
fn tuple(nested: &[u8]) -> Option<Tuple> {
    const TCP: [u8; 1] = [6];
    let (addresses, protocol) = (attribute(nested, ADDRESSES)?, attribute(nested, PROTOCOL)?);
    if attribute(protocol, PROTOCOL_NUMBER)? != TCP {
        return None;
    }
    let end = |ipv4, ipv6, port| {
        let ipv4 = attribute(addresses, ipv4).and_then(address::<4>);
        let ip = ipv4.or_else(|| attribute(addresses, ipv6).and_then(address::<16>))?;
        let port = attribute(protocol, port)?.try_into().ok().map(u16::from_be_bytes)?;
        Some(Endpoint { ip, port })
    };
    Some(Tuple {
        source: end(IPV4_SOURCE, IPV6_SOURCE, SOURCE_PORT)?,
        destination: end(IPV4_DESTINATION, IPV6_DESTINATION, DESTINATION_PORT)?,
    })
}

fn address<const LENGTH: usize>(value: &[u8]) -> Option<IpAddr>
where
    IpAddr: From<[u8; LENGTH]>,
{
    <[u8; LENGTH]>::try_from(value).ok().map(IpAddr::from)
}

fn state(nested: &[u8]) -> Option<State> {
    let &[number] = attribute(attribute(nested, TCP_INFO)?, TCP_STATE)? else { return None };
    STATES.get(usize::from(number).checked_sub(1)?).copied()
}

fn seconds(value: &[u8]) -> Option<Duration> {
    number(value).map(|seconds| Duration::from_secs(seconds.into()))
}

fn name(value: &[u8]) -> Option<String> {
    string(value).map(str::to_owned)
}

#[cfg(test)]
mod tests;
