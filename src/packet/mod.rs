//! Floor 1: from the bytes of a frame to a packet.
//!
//! Layer by layer: `link` takes off what the link put around the IP packet, `ip` reads its header, `fragment` puts
//! fragments together, `tcp` and `icmp` read what it carries. `span` checks every length; `undecoded` says which was
//! wrong. `glance` is a short cut past all of it for frames that the caller does not need. Nothing is copied but
//! fragments. Read first: the RFC that each file names; fields are called as there.

use std::fmt;
use std::net::IpAddr;

use pnet::packet::ip::IpNextHeaderProtocols;

use crate::cite::At;
use fragment::{Key, Reassembly};
use ip::{Datagram, Fragment};
use link::Link;

pub use glance::{Addresses, Glance};
pub use icmp::{IcmpError, IcmpKind, Quoted};
pub use layout::Layout;
pub use tcp::{Flags, Segment};
pub use undecoded::{End, Fault, Layer, Undecoded};

#[cfg(test)]
mod build;
mod fragment;
mod glance;
mod icmp;
mod ip;
mod layout;
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

/// The number of an interface that the link layer shows to be a host's loopback.
pub const LOOPBACK: u32 = u32::MAX;

impl Frame<'_> {
    /// The number of its interface. On its loopback Linux writes Ethernet headers without addresses.
    #[inline]
    fn interface(&self) -> u32 {
        let unaddressed = self.link_type == 1 && self.bytes.first_chunk() == Some(&[0; 12]);
        if unaddressed { LOOPBACK } else { self.interface }
    }
}

/// Which way a frame passed the capturing host's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received.
    Incoming,
    /// Received, though its link layer address is another host's: a mirror port's, or what a bridge forwards.
    Overheard,
    /// Sent by, or forwarded out of, the capturing host.
    Outgoing,
    /// From an address of the capturing host to the same, over its loopback: sent and received, and captured once.
    Looped,
}

impl Direction {
    /// The other way on the same interface.
    pub fn reversed(self) -> Direction {
        match self {
            Direction::Incoming | Direction::Overheard => Direction::Outgoing,
            Direction::Outgoing => Direction::Incoming,
            Direction::Looped => Direction::Looped,
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::build::{ethernet, frame, ipv4, ipv4_fragment, ipv6, segment, tcp};
    use super::*;

    const LINK_TYPES: [u32; 13] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 239, 276, 253, 147];

    #[test]
    fn endpoints_read_as_in_a_url() {
        let endpoint = |ip: &str| Endpoint { ip: ip.parse().expect("an address"), port: 21 }.to_string();
        assert_eq!(endpoint("10.0.0.1"), "10.0.0.1:21");
        assert_eq!(endpoint("fd00::1"), "[fd00::1]:21");
    }

    #[test]
    fn what_is_not_ours_is_other() {
        for bytes in [
            ethernet(0x0806, &[0; 28]),             // ARP
            ethernet(0x0026, &[0x42; 38]),          // spanning tree: IEEE 802.3 with a length
            ethernet(0x0800, &ipv4(17, &[0; 8])),   // UDP
            ethernet(0x0800, &ipv4(1, &[8; 8])),    // echo
            ethernet(0x86dd, &ipv6(58, &[135; 8])), // neighbor solicitation
            ethernet(0x86dd, &ipv6(59, &[])),       // no next header
            ethernet(0x0800, &ipv4_fragment(8, true, &[0; 8])),
        ] {
            assert_eq!(Decoder::new().decode(&frame(1, &bytes)), Packet::Other);
        }
    }

    #[test]
    fn fragments_in_any_order_make_one_segment() {
        let whole = tcp(&[], b"RETR a-long-name");
        let [first, middle, last] = [
            ipv4_fragment(0, true, &whole[..16]),
            ipv4_fragment(16, true, &whole[16..32]),
            ipv4_fragment(32, false, &whole[32..]),
        ];
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&frame(101, &last)), Packet::Other);
        assert_eq!(decoder.decode(&frame(101, &first)), Packet::Other);
        assert_eq!(decoder.incomplete_datagrams(), 1);
        let segment = segment(&mut decoder, &frame(101, &middle));
        assert_eq!((segment.seq, segment.text, segment.text_len), (1000, &b"RETR a-long-name"[..], 16));
        assert_eq!((segment.ip_id, segment.checksum_is_bad()), (7, None));
        assert_eq!(decoder.incomplete_datagrams(), 0);
    }

    #[test]
    fn fragments_of_two_interfaces_do_not_mix() {
        let whole = tcp(&[], b"QUIT");
        let [first, last] = [ipv4_fragment(0, true, &whole[..8]), ipv4_fragment(8, false, &whole[8..])];
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&frame(101, &first)), Packet::Other);
        let elsewhere = Frame { interface: 1, ..frame(101, &last) };
        assert_eq!(decoder.decode(&elsewhere), Packet::Other);
        assert_eq!(segment(&mut decoder, &frame(101, &last)).text, b"QUIT");
    }

    #[test]
    fn ipv6_fragments_make_one_segment() {
        let destination_options = [6, 0, 1, 4, 0, 0, 0, 0];
        let whole = [&destination_options[..], &tcp(&[], b"QUIT")].concat();
        let fragment = |field: u8, part: &[u8]| ipv6(44, &[&[60, 0, 0, field, 0, 0, 0, 7], part].concat());
        let [first, last] = [fragment(1, &whole[..24]), fragment(24, &whole[24..])];
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&frame(101, &first)), Packet::Other);
        assert_eq!(segment(&mut decoder, &frame(101, &last)).text, b"QUIT");
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            link_type in prop::sample::select(&LINK_TYPES),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            original_len in any::<u32>(),
        ) {
            let mut decoder = Decoder::new();
            decoder.decode(&Frame { original_len, ..frame(link_type, &bytes) });
        }

        #[test]
        fn no_change_or_cut_of_a_frame_breaks_it(
            version_6 in any::<bool>(),
            changes in prop::collection::vec((0_usize..120, any::<u8>()), 0..6),
            captured in 0_usize..140,
        ) {
            let segment = tcp(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], b"PASV\r\n");
            let mut bytes = match version_6 {
                true => ethernet(0x86dd, &ipv6(0, &[&[6, 0, 5, 2, 0, 0, 1, 0], &segment[..]].concat())),
                false => ethernet(0x0800, &ipv4(6, &segment)),
            };
            for (at, value) in changes {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let whole = frame(1, &bytes);
            let cut = Frame { bytes: &bytes[..captured.min(bytes.len())], ..whole };
            let mut decoder = Decoder::new();
            if let Packet::Segment(segment) = decoder.decode(&cut) {
                let of_cut = (segment.source, segment.seq, segment.flags, segment.text_len);
                prop_assert!(segment.text.len() <= segment.text_len as usize);
                let (mut decoder, whole) = (Decoder::new(), whole);
                let segment = build::segment(&mut decoder, &whole);
                prop_assert_eq!(of_cut, (segment.source, segment.seq, segment.flags, segment.text_len));
            }
        }
    }
}
