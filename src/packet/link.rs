//! From the link layer header to the IP packet behind it.
//!
//! Read first: the list of link layer header types at tcpdump.org; IEEE 802.1Q clause 9 for tags; RFC 2516 section 4
//! for PPPoE; libpcap's `pcap/sll.h` and `pcap/nflog.h`. A link type is a function and a row of [`strip`].

use std::net::IpAddr;

use pnet::packet::ethernet::{EtherType, EtherTypes, EthernetPacket};
use pnet::packet::sll::SLLPacket;
use pnet::packet::sll2::SLL2Packet;
use pnet::packet::vlan::VlanPacket;

use super::span::Span;
use super::undecoded::{End, Fault, Layer, Undecoded};
use super::{Direction, Frame, LOOPBACK, Stop};

/// What the link layer tells about a frame, and what it carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    /// Interface number: the capture's own, the kernel's where the header has it, or [`LOOPBACK`].
    pub(super) interface: u32,
    /// Direction, where the capture or the header has it.
    pub(super) direction: Option<Direction>,
    /// What remains of the frame; in the end the IP packet, perhaps with padding behind it.
    pub(super) rest: Span<'a>,
}

impl Link<'_> {
    /// The direction of what belongs to a connection between these addresses. Over its loopback a host also hears what it
    /// tells itself of connections to others, errors above all.
    pub(super) fn direction_between(&self, source: IpAddr, destination: IpAddr) -> Option<Direction> {
        let is_looped = self.interface == LOOPBACK && source == destination;
        self.direction.map(|direction| if is_looped { Direction::Looped } else { direction })
    }

    fn skip(self, layer: Layer) -> Self {
        Link { rest: self.rest.skip(layer.header_len()), ..self }
    }
}

/// Takes off the link layer header, or tells why there is no IP packet behind it.
#[inline]
pub(super) fn strip<'a>(frame: &Frame<'a>) -> Result<Link<'a>, Stop> {
    let link = Link { interface: frame.interface(), direction: frame.direction, rest: Span::of_frame(frame) };
    match frame.link_type {
        1 => ethernet(link),
        113 => sll(link),
        276 => sll2(link),
        12 | 14 | 101 | 228 | 229 => Ok(link),
        0 => loopback(link, host_order),
        108 => loopback(link, u32::from_be_bytes),
        239 => nflog(link),
        number => Err(unsupported(number)),
    }
}

#[cold]
fn unsupported(number: u32) -> Stop {
    Undecoded { layer: Layer::Link, fault: Fault::LinkType(number) }.into()
}

#[inline]
fn ethernet(link: Link<'_>) -> Result<Link<'_>, Stop> {
    let header = link.rest.header(Layer::Ethernet, EthernetPacket::new)?;
    network(header.get_ethertype(), link.skip(Layer::Ethernet))
}

/// Follows EtherTypes through any number of tags; every turn takes four bytes.
#[inline]
fn network(mut ethertype: EtherType, mut link: Link<'_>) -> Result<Link<'_>, Stop> {
    loop {
        match ethertype {
            EtherTypes::Ipv4 | EtherTypes::Ipv6 => return Ok(link),
            EtherTypes::Vlan | EtherTypes::PBridge | EtherTypes::QinQ => {
                ethertype = link.rest.header(Layer::Vlan, VlanPacket::new)?.get_ethertype();
                link = link.skip(Layer::Vlan);
            }
            EtherTypes::PppoeSession => return pppoe(link),
            _ => return Err(Stop::Other),
        }
    }
}

/// RFC 2516 section 4, with the PPP protocol numbers of IPv4 (RFC 1332) and IPv6 (RFC 5072).
fn pppoe(link: Link<'_>) -> Result<Link<'_>, Stop> {
    match link.rest.header(Layer::Pppoe, <[u8]>::first_chunk::<8>)? {
        [.., 0x00, 0x21 | 0x57] => Ok(link.skip(Layer::Pppoe)),
        _ => Err(Stop::Other),
    }
}

/// `if_arp.h`: the type of a loopback's link layer address.
const ARPHRD_LOOPBACK: u16 = 772;

fn sll(link: Link<'_>) -> Result<Link<'_>, Stop> {
    let header = link.rest.header(Layer::Sll, SLLPacket::new)?;
    let direction = cooked_direction(header.get_packet_type()).or(link.direction);
    let interface = if header.get_link_layer_address_type() == ARPHRD_LOOPBACK { LOOPBACK } else { link.interface };
    network(header.get_protocol(), Link { interface, direction, ..link.skip(Layer::Sll) })
}

fn sll2(link: Link<'_>) -> Result<Link<'_>, Stop> {
    let header = link.rest.header(Layer::Sll2, SLL2Packet::new)?;
    let direction = cooked_direction(header.get_packet_type().into()).or(link.direction);
    let on_loopback = header.get_arphrd_type() == ARPHRD_LOOPBACK;
    let interface = if on_loopback { LOOPBACK } else { header.get_interface_index() };
    network(header.get_protocol_type(), Link { interface, direction, ..link.skip(Layer::Sll2) })
}

/// Packet types of a cooked header: to us, broadcast, multicast, between others, sent by us.
fn cooked_direction(packet_type: u16) -> Option<Direction> {
    match packet_type {
        0..=2 => Some(Direction::Incoming),
        3 => Some(Direction::Overheard),
        4 => Some(Direction::Outgoing),
        _ => None,
    }
}

/// An address family number, then the packet. `AF_INET` is 2 everywhere; `AF_INET6` is 10 on Linux, 23 on Windows, 24
/// on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS.
fn loopback(link: Link<'_>, number: fn([u8; 4]) -> u32) -> Result<Link<'_>, Stop> {
    let family = link.rest.header(Layer::Loopback, <[u8]>::first_chunk::<4>)?;
    match number(*family) {
        2 | 10 | 23 | 24 | 28 | 30 => Ok(Link { interface: LOOPBACK, ..link.skip(Layer::Loopback) }),
        _ => Err(Stop::Other),
    }
}

/// A small number in the byte order of an unknown host: the order that makes it small.
fn host_order(bytes: [u8; 4]) -> u32 {
    u32::from_le_bytes(bytes).min(u32::from_be_bytes(bytes))
}

/// Family, version and resource number, then attributes until the payload.
fn nflog(link: Link<'_>) -> Result<Link<'_>, Stop> {
    link.rest.need(Layer::Nflog, Layer::Nflog.header_len())?;
    let mut link = link.skip(Layer::Nflog);
    while link.rest.wire > 0 {
        let header = link.rest.header(Layer::Nflog, <[u8]>::first_chunk::<4>)?;
        let Attribute { kind, length } = Attribute::from(*header);
        if length < header.len() {
            return Err(Undecoded::field(Layer::Nflog, "length", length).into());
        }
        let value = link.rest.of_length(length, End::NflogLength).skip(header.len());
        match kind {
            Attribute::PACKET_HEADER => {
                let value = value.header(Layer::Nflog, <[u8]>::first_chunk::<4>)?;
                link.direction = hook_direction(value[2]).or(link.direction);
            }
            Attribute::PAYLOAD => {
                return Ok(Link { rest: value, ..link });
            }
            _ => {}
        }
        link.rest = link.rest.skip(length.next_multiple_of(4));
    }
    Err(Stop::Other)
}

/// The head of an NFLOG attribute, `struct nflog_tlv`.
struct Attribute {
    /// `NFULA_*`.
    kind: u16,
    /// Bytes with this head, without the padding to a multiple of four.
    length: usize,
}

impl Attribute {
    /// `NFULA_PACKET_HDR`: protocol, hook and a byte of padding.
    const PACKET_HEADER: u16 = 1;
    /// `NFULA_PAYLOAD`.
    const PAYLOAD: u16 = 9;
}

impl From<[u8; 4]> for Attribute {
    /// Both numbers are in the byte order of the capturing host. No kind reaches 256, so the kind shows which.
    fn from([l0, l1, k0, k1]: [u8; 4]) -> Self {
        let number = if k0 == 0 { u16::from_be_bytes } else { u16::from_le_bytes };
        Attribute { kind: number([k0, k1]), length: number([l0, l1]).into() }
    }
}

/// `NF_INET_*` hooks. A packet at `FORWARD` is neither in nor out.
fn hook_direction(hook: u8) -> Option<Direction> {
    match hook {
        0 | 1 => Some(Direction::Incoming),
        3 | 4 => Some(Direction::Outgoing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use Direction::{Incoming, Outgoing, Overheard};

    use super::super::build::{bytes, ethernet, frame, ipv4, ipv6, tap, tcp, undecoded};
    use super::super::{Decoder, Packet};
    use super::*;

    /// `header` in hex before an IPv4 datagram with the segment that [`tap`] expects.
    fn before_ipv4(header: &str) -> Vec<u8> {
        [bytes(header), ipv4(6, &tcp(&[], b"QUIT"))].concat()
    }

    fn before_ipv6(header: &str) -> Vec<u8> {
        [bytes(header), ipv6(6, &tcp(&[], b"QUIT"))].concat()
    }

    #[test]
    fn ethernet_with_any_tags() {
        for tags in ["0800", "8100 0001 0800", "88a8 0064 8100 0001 0800", "9100 0001 9100 0002 8100 0003 0800"] {
            assert_eq!(tap(1, &before_ipv4(&format!("{}{tags}", "02".repeat(12)))), (9, None));
        }
        assert_eq!(tap(1, &ethernet(0x86dd, &before_ipv6(""))), (9, None));
        assert_eq!(tap(1, &ethernet(0x8864, &before_ipv4("11 00 0001 0000 0021"))), (9, None));
        assert_eq!(tap(1, &ethernet(0x8864, &before_ipv6("11 00 0001 0000 0057"))), (9, None));
        let lcp = ethernet(0x8864, &bytes("11 00 0001 0006 c021 0101 0004"));
        assert_eq!(Decoder::new().decode(&frame(1, &lcp)), Packet::Other);
    }

    #[test]
    fn cooked_headers_tell_direction_and_interface() {
        for (packet_type, direction) in [(0, Some(Incoming)), (3, Some(Overheard)), (4, Some(Outgoing)), (5, None)] {
            let sll = format!("000{packet_type} 0001 0006 020000000001 0000 0800");
            assert_eq!(tap(113, &before_ipv4(&sll)), (9, direction));
            let sll2 = format!("86dd 0000 00000003 0001 0{packet_type} 06 020000000001 0000");
            assert_eq!(tap(276, &before_ipv6(&sll2)), (3, direction));
        }
        let tagged = "0004 0001 0006 020000000001 0000 8100 0001 0800";
        assert_eq!(tap(113, &before_ipv4(tagged)), (9, Some(Outgoing)));
    }

    #[test]
    fn every_link_layer_shows_a_loopback() {
        let on_loopback = |link_type, hex: &str| tap(link_type, &before_ipv4(hex)).0 == LOOPBACK;
        assert!(on_loopback(1, "000000000000 000000000000 0800"));
        assert!(!on_loopback(1, "000000000000 020000000001 0800"));
        assert!(on_loopback(113, "0000 0304 0006 000000000000 0000 0800"));
        assert!(on_loopback(276, "0800 0000 00000001 0304 00 06 000000000000 0000"));
        assert!(on_loopback(0, "02000000"));
        let glanced = [&[0; 12][..], &before_ipv4("0800")].concat();
        let frame = frame(1, &glanced);
        assert_eq!(frame.glance().map(|glance| glance.segment(&frame).interface), Some(LOOPBACK));
    }

    #[test]
    fn loopback_in_either_order_and_raw() {
        for family in ["02000000", "00000002"] {
            tap(0, &before_ipv4(family));
        }
        for family in ["17000000", "18000000", "1c000000", "1e000000", "0000001e"] {
            tap(0, &before_ipv6(family));
        }
        tap(108, &before_ipv4("00000002"));
        tap(108, &before_ipv6("00000018"));
        assert_eq!(Decoder::new().decode(&frame(0, &before_ipv4("07000000"))), Packet::Other);
        for link_type in [12, 14, 101, 228] {
            tap(link_type, &before_ipv4(""));
        }
        tap(229, &before_ipv6(""));
    }

    #[test]
    fn nflog_in_either_order() {
        // Packet header at hook 1, interface index, prefix "x" with padding, payload of 44 bytes with its head of 4.
        let little = "02 00 0005  0800 0100 0800 01 00  0800 0400 00000002  0600 0a00 7800 0000  3000 0900";
        assert_eq!(tap(239, &before_ipv4(little)), (9, Some(Incoming)));
        let big = "02 00 0005  0008 0001 0800 03 00  0006 000a 7800 0000  0030 0009";
        assert_eq!(tap(239, &before_ipv4(big)), (9, Some(Outgoing)));
        let forward = "0a 00 0005  0800 0100 86dd 02 00  4400 0900";
        assert_eq!(tap(239, &before_ipv6(forward)), (9, None));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let told = |link_type, hex: &str| undecoded(link_type, &bytes(hex)).to_string();
        assert_eq!(told(147, "00"), "link layer: link type 147 is not supported");
        assert_eq!(told(1, "00"), "Ethernet header: have 1 bytes, want 14, at the end of the frame");
        assert_eq!(
            told(1, "000000000000 000000000000 8100 0001"),
            "VLAN tag: have 2 bytes, want 4, at the end of the frame"
        );
        assert_eq!(told(113, "0000"), "LINUX_SLL header: have 2 bytes, want 16, at the end of the frame");
        assert_eq!(told(239, "02000005 0300 0a00"), "NFLOG attribute: length 3 is impossible");
        assert_eq!(
            told(239, "02000005 0600 0100 0000 0000"),
            "NFLOG attribute: have 2 bytes, want 4, ended by the NFLOG attribute's length"
        );
    }
}
