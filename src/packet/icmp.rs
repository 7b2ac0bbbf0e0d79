//! From ICMP error to the TCP segment that it is about.
//!
//! Read first: RFC 792; RFC 1122 section 3.2.2 and RFC 1812 section 5.2.7.1 for the codes of type 3; RFC 1191 and
//! RFC 8201 for path MTU; RFC 4443 section 3 for IPv6.

use std::fmt;
use std::net::IpAddr;

use pnet::packet::ip::IpNextHeaderProtocols;

use super::ip::{self, Content, Datagram, Fragment};
use super::link::Link;
use super::span::Span;
use super::tcp::Flags;
use super::undecoded::{Layer, Undecoded};
use super::{Direction, Endpoint, Stop};
use crate::cite::At;

/// An ICMP error about a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Frame number and time.
    pub at: At,
    /// Interface number, as in [`Segment`](super::Segment).
    pub interface: u32,
    /// Direction, where the capture tells.
    pub direction: Option<Direction>,
    /// Who signed the error.
    pub source: IpAddr,
    /// To whom it goes: the sender of the quoted segment.
    pub destination: IpAddr,
    /// Time to live or hop limit of the error itself.
    pub ttl: u8,
    /// What it says.
    pub kind: IcmpKind,
    /// Next-hop MTU in bytes, where a path MTU error has one (routers before RFC 1191 do not).
    pub mtu: Option<u32>,
    /// The segment that it is about.
    pub quoted: Quoted,
}

/// What an ICMP error quotes of a TCP segment, as that looked where the error arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Sender of the segment.
    pub source: Endpoint,
    /// Receiver of the segment.
    pub destination: Endpoint,
    /// Time to live or hop limit with which it arrived there.
    pub ttl: u8,
    /// IPv4 identification; 0 for IPv6.
    pub ip_id: u16,
    /// Sequence number, if the quote reaches that far.
    pub seq: Option<u32>,
    /// Control bits, if the quote reaches that far; RFC 792 asks for less.
    pub flags: Option<Flags>,
}

impl IcmpError {
    /// Reads the error that a whole datagram carries.
    ///
    /// # Errors
    /// [`Stop::Other`] for any other ICMP message, [`Stop::Undecoded`] for what the snap length cut before the ports.
    pub(super) fn read<Ip: Into<IpAddr>>(at: At, link: Link<'_>, datagram: Datagram<'_, Ip>) -> Result<Self, Stop> {
        let span = datagram.content.payload;
        let &[kind, code, _, _, word @ ..] = span.header(Layer::Icmp, <[u8]>::first_chunk::<8>)?;
        let source = datagram.source.into();
        let version = if source.is_ipv4() { 4 } else { 6 };
        let kind = IcmpKind { version, kind, code };
        if !kind.is_error() {
            return Err(Stop::Other);
        }
        Ok(IcmpError {
            at,
            interface: link.interface,
            direction: link.direction,
            source,
            destination: datagram.destination.into(),
            ttl: datagram.ttl,
            kind,
            mtu: kind.mtu(word),
            quoted: quoted(span.skip(Layer::Icmp.header_len()))?,
        })
    }
}

/// Reads as much as is there of the datagram that an error quotes. A quote that its sender cut too short is as good as
/// none; one that the snap length cut is a fact to tell.
fn quoted(span: Span<'_>) -> Result<Quoted, Stop> {
    let quoted = if ip::is_v4(span) { quote(ip::v4(span)) } else { quote(ip::v6(span)) };
    quoted.map_err(|stop| if span.is_cut() { stop } else { Stop::Other })
}

fn quote<Ip: Into<IpAddr>>(datagram: Result<Datagram<'_, Ip>, Undecoded>) -> Result<Quoted, Stop> {
    let datagram = datagram?;
    let tcp = first_fragment(datagram.content)?;
    let &[s0, s1, d0, d1] = tcp.header(Layer::Ports, <[u8]>::first_chunk::<4>)?;
    Ok(Quoted {
        source: Endpoint { ip: datagram.source.into(), port: u16::from_be_bytes([s0, s1]) },
        destination: Endpoint { ip: datagram.destination.into(), port: u16::from_be_bytes([d0, d1]) },
        ttl: datagram.ttl,
        ip_id: datagram.id,
        seq: tcp.bytes[4..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes)),
        flags: tcp.bytes.get(13).map(|&bits| Flags(bits)),
    })
}

/// Where the TCP header begins, if the datagram is a TCP segment or the first fragment of one.
fn first_fragment(content: Content<'_>) -> Result<Span<'_>, Stop> {
    let content = match content.fragment {
        Some(Fragment { offset: 0, .. }) => ip::content(content.protocol, content.payload)?,
        _ => content,
    };
    match (content.protocol, content.fragment) {
        (IpNextHeaderProtocols::Tcp, None | Some(Fragment { offset: 0, .. })) => Ok(content.payload),
        _ => Err(Stop::Other),
    }
}

/// A message type with its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpKind {
    /// IP version: 4 for ICMP, 6 for ICMPv6.
    pub version: u8,
    /// Message type.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
}

impl IcmpKind {
    /// Whether the segment was too big for a link on its path: no refusal, but an order to send smaller ones.
    pub fn is_path_mtu(self) -> bool {
        matches!((self.version, self.kind, self.code), (4, 3, 4) | (6, 2, _))
    }

    /// Whether the segment was refused: destination unreachable, for whatever reason but its size.
    pub fn is_unreachable(self) -> bool {
        matches!((self.version, self.kind), (4, 3) | (6, 1)) && !self.is_path_mtu()
    }

    /// Whether it tells of an error that ends a segment's way. Source quench (deprecated, RFC 6633) and redirect do not.
    fn is_error(self) -> bool {
        matches!((self.version, self.kind), (4, 3 | 11 | 12) | (6, 1..=4))
    }

    /// The MTU in the fourth to seventh byte of the header.
    fn mtu(self, word: [u8; 4]) -> Option<u32> {
        let [.., high, low] = word;
        let mtu = match self.version {
            4 => u32::from_be_bytes([0, 0, high, low]),
            _ => u32::from_be_bytes(word),
        };
        (self.is_path_mtu() && mtu > 0).then_some(mtu)
    }
}

/// The standard's words with the numbers behind: "host administratively prohibited (3/10)".
impl fmt::Display for IcmpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IcmpKind { version, kind, code } = *self;
        let words = WORDS.iter().find(|row| (row.0, row.1, row.2) == (version, kind, code));
        let words = words.map_or("ICMP error", |row| row.3);
        let protocol = if version == 6 { "ICMPv6 " } else { "" };
        write!(f, "{words} ({protocol}{kind}/{code})")
    }
}

/// Version, type, code and the words for them in the RFCs named above.
const WORDS: &[(u8, u8, u8, &str)] = &[
    (4, 3, 0, "network unreachable"),
    (4, 3, 1, "host unreachable"),
    (4, 3, 2, "protocol unreachable"),
    (4, 3, 3, "port unreachable"),
    (4, 3, 4, "fragmentation needed and DF set"),
    (4, 3, 5, "source route failed"),
    (4, 3, 6, "destination network unknown"),
    (4, 3, 7, "destination host unknown"),
    (4, 3, 8, "source host isolated"),
    (4, 3, 9, "network administratively prohibited"),
    (4, 3, 10, "host administratively prohibited"),
    (4, 3, 11, "network unreachable for type of service"),
    (4, 3, 12, "host unreachable for type of service"),
    (4, 3, 13, "communication administratively prohibited"),
    (4, 3, 14, "host precedence violation"),
    (4, 3, 15, "precedence cutoff in effect"),
    (4, 11, 0, "time to live exceeded in transit"),
    (4, 11, 1, "fragment reassembly time exceeded"),
    (4, 12, 0, "parameter problem"),
    (4, 12, 1, "required option missing"),
    (4, 12, 2, "bad length"),
    (6, 1, 0, "no route to destination"),
    (6, 1, 1, "communication administratively prohibited"),
    (6, 1, 2, "beyond scope of source address"),
    (6, 1, 3, "address unreachable"),
    (6, 1, 4, "port unreachable"),
    (6, 1, 5, "source address failed ingress/egress policy"),
    (6, 1, 6, "reject route to destination"),
    (6, 1, 7, "error in source routing header"),
    (6, 2, 0, "packet too big"),
    (6, 3, 0, "hop limit exceeded in transit"),
    (6, 3, 1, "fragment reassembly time exceeded"),
    (6, 4, 0, "erroneous header field"),
    (6, 4, 1, "unrecognized next header type"),
    (6, 4, 2, "unrecognized IPv6 option"),
];
