//! Floor 1: from the bytes of a frame to a packet.
//!
//! Layer by layer: `link` takes off what the link put around the IP packet, `ip` reads its header, `fragment` puts
//! fragments together, `tcp` and `icmp` read what it carries. `span` checks every length; `undecoded` says which failed.
//! Nothing is copied but fragments. Field names are those of the RFCs that each file names.

use std::fmt;
use std::net::IpAddr;

use pnet::packet::ip::IpNextHeaderProtocols;

use crate::cite::At;
use fragment::{Key, Reassembly};
use ip::{Datagram, Fragment};
use link::Link;

pub use icmp::{IcmpError, IcmpKind, Quoted};
pub use tcp::{Flags, Segment};
pub use undecoded::{End, Fault, Layer, Undecoded};

mod fragment;
mod icmp;
mod ip;
mod link;
mod span;
mod tcp;
mod undecoded;

/// A frame as a capture gives it, before anything is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Frame number and time.
    pub at: At,
    /// Link type (`LINKTYPE_*`, the number in a pcap header).
    pub link_type: u32,
    /// Interface number within the capture; 0 for a pcap file.
    pub interface: u32,
    /// Direction, where the capture format itself carries it (pcapng `epb_flags`).
    pub direction: Option<Direction>,
    /// Captured bytes, from the link layer header on.
    pub bytes: &'a [u8],
    /// Length on the wire in bytes; more than `bytes.len()` if the snap length cut the frame.
    pub original_len: u32,
}

/// Which way a frame passed the capturing host's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received.
    Incoming,
    /// Sent by, or forwarded out of, the capturing host.
    Outgoing,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// IPv4 or IPv6 address.
    pub ip: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A TCP segment.
    Segment(Segment<'a>),
    /// An ICMP error about a TCP segment.
    IcmpError(IcmpError),
    /// Anything else that is as it should be: ARP, UDP, echo, a fragment whose datagram is still incomplete.
    Other,
    /// Bytes that cannot be read.
    Undecoded(Undecoded),
}

/// Why there is no segment and no ICMP error in a frame.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// It is something else.
    Other,
    /// It cannot be read.
    Undecoded(Undecoded),
}

impl From<Undecoded> for Stop {
    #[inline]
    fn from(undecoded: Undecoded) -> Self {
        Stop::Undecoded(undecoded)
    }
}

impl From<Stop> for Packet<'_> {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Other => Packet::Other,
            Stop::Undecoded(undecoded) => Packet::Undecoded(undecoded),
        }
    }
}

/// Decodes the frames of one tap, in the order of the capture.
///
/// Its memory is that of the fragments that wait for others of their datagram: a megabyte at most.
#[derive(Debug, Default)]
pub struct Decoder {
    reassembly: Reassembly,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What `frame` is. Only a segment that came in fragments borrows from the decoder; any other from the frame.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Packet<'a> {
        match link::strip(frame) {
            Ok(link) if ip::is_v4(link.rest) => self.packet(frame.at, link, ip::v4(link.rest)),
            Ok(link) => self.packet(frame.at, link, ip::v6(link.rest)),
            Err(stop) => stop.into(),
        }
    }

    /// How many fragmented datagrams were never completed, or are not yet. Their segments are missing from what
    /// [`Decoder::decode`] returned.
    pub fn incomplete_datagrams(&self) -> u64 {
        self.reassembly.incomplete()
    }

    #[inline]
    fn packet<'a, Ip: Into<IpAddr> + Copy>(
        &'a mut self,
        at: At,
        link: Link<'_>,
        datagram: Result<Datagram<'a, Ip>, Undecoded>,
    ) -> Packet<'a> {
        match datagram {
            Ok(datagram) => match datagram.content.fragment {
                None => carried(at, link, datagram),
                Some(fragment) => self.reassembled(at, link, datagram, fragment),
            },
            Err(undecoded) => Packet::Undecoded(undecoded),
        }
    }

    /// What the whole datagram carries, if `datagram` is the last fragment missing.
    #[cold]
    fn reassembled<'a, Ip: Into<IpAddr> + Copy>(
        &'a mut self,
        at: At,
        link: Link<'_>,
        datagram: Datagram<'a, Ip>,
        fragment: Fragment,
    ) -> Packet<'a> {
        let Datagram { source, destination, content: part, .. } = datagram;
        let key = Key {
            interface: link.interface,
            direction: link.direction,
            source: source.into(),
            destination: destination.into(),
            protocol: part.protocol,
            id: fragment.id,
        };
        match self.reassembly.content(at.time, key, fragment, part.payload) {
            Ok(content) => carried(at, link, Datagram { content, ..datagram }),
            Err(stop) => stop.into(),
        }
    }
}

/// What a whole datagram carries.
#[inline]
fn carried<'a, Ip: Into<IpAddr>>(at: At, link: Link<'_>, datagram: Datagram<'a, Ip>) -> Packet<'a> {
    match datagram.content.protocol {
        IpNextHeaderProtocols::Tcp => Segment::read(at, link, datagram).map_or_else(Packet::Undecoded, Packet::Segment),
        IpNextHeaderProtocols::Icmp | IpNextHeaderProtocols::Icmpv6 => {
            IcmpError::read(at, link, datagram).map_or_else(Packet::from, Packet::IcmpError)
        }
        _ => Packet::Other,
    }
}
