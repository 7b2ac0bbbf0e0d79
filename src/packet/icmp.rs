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
        let quoted = quoted(span.skip(Layer::Icmp.header_len()))?;
        Ok(IcmpError {
            at,
            interface: link.interface,
            direction: link.direction_between(quoted.source.ip, quoted.destination.ip),
            source,
            destination: datagram.destination.into(),
            ttl: datagram.ttl,
            kind,
            mtu: kind.mtu(word),
            quoted,
        })
    }

    /// The host that wanted to send the quoted packet tells itself: the packet never left it.
    pub fn is_to_itself(&self) -> bool {
        let sender = self.quoted.source.ip;
        self.source == sender && self.destination == sender
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
pub(super) fn first_fragment(content: Content<'_>) -> Result<Span<'_>, Stop> {
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

    /// Whether it tells of an error that ends a segment's way. Source quench (deprecated, RFC 6633) and redirect tell
    /// of none.
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

#[cfg(test)]
mod tests {
    use super::super::build::{bytes, frame, ipv4, ipv6, tcp};
    use super::super::{Decoder, Frame, Packet};
    use super::*;

    /// What Linux's `reject with icmpx admin-prohibited` sends; what is expected of it is what tshark reads.
    const PROHIBITED: &str = "45c0005827b500003f013c1b0a0902020a090102 030d143700000000 \
        4500003c253640003f06ff700a0901020a090202 \
        8d48c3593e6b0b3800000000a002faf01f8c0000020405b40402080a3e5b3dca000000000103030a";

    const PROHIBITED_V6: &str = "6004985d00583a3ffd000002000000000000000000000002fd000001000000000000000000000002 \
        01012be300000000 600272450028063ffd000001000000000000000000000002fd000002000000000000000000000002 \
        b064c3588af5f0ab00000000a002fd20f4a30000020405a00402080a767bf669000000000103030a";

    fn error(frame: &Frame<'_>) -> Option<IcmpError> {
        match Decoder::new().decode(frame) {
            Packet::IcmpError(error) => Some(error),
            _ => None,
        }
    }

    /// The error of `kind` with `word` as last word of its header about `quote`.
    fn about(kind: u8, code: u8, word: u32, quote: &[u8]) -> Option<IcmpError> {
        let message = [&[kind, code, 0, 0], &word.to_be_bytes()[..], quote].concat();
        let datagram = match quote.first() {
            Some(0x60) => ipv6(58, &message),
            _ => ipv4(1, &message),
        };
        error(&frame(101, &datagram))
    }

    #[test]
    fn errors_as_tshark_reads_them() {
        let error_of = |hex: &str| error(&frame(101, &bytes(hex))).expect("an error");
        let error = error_of(PROHIBITED);
        assert_eq!((error.source.to_string(), error.ttl), ("10.9.2.2".into(), 63));
        assert_eq!(error.destination.to_string(), "10.9.1.2");
        assert_eq!(error.kind.to_string(), "communication administratively prohibited (3/13)");
        assert_eq!(error.quoted.source.to_string(), "10.9.1.2:36168");
        assert_eq!(error.quoted.destination.to_string(), "10.9.2.2:50009");
        assert_eq!((error.quoted.ttl, error.quoted.ip_id), (63, 0x2536));
        assert_eq!((error.quoted.seq, error.quoted.flags), (Some(1_047_202_616), Some(Flags::SYN)));
        assert_eq!(error.mtu, None);

        let error = error_of(PROHIBITED_V6);
        assert_eq!(error.source.to_string(), "fd00:2::2");
        assert_eq!(error.kind.to_string(), "communication administratively prohibited (ICMPv6 1/1)");
        assert_eq!(error.quoted.source.to_string(), "[fd00:1::2]:45156");
        assert_eq!((error.quoted.ttl, error.quoted.seq), (63, Some(2_331_373_739)));
    }

    #[test]
    fn eight_bytes_are_enough_and_four_give_the_ports() {
        let quote = |length: usize| about(3, 3, 0, &ipv4(6, &tcp(&[], b""))[..20 + length]);
        let quoted = quote(8).expect("eight bytes").quoted;
        assert_eq!((quoted.source.port, quoted.seq, quoted.flags), (21, Some(1000), None));
        assert_eq!(quote(7).expect("ports").quoted.seq, None);
        assert_eq!(quote(3), None);
        assert_eq!(about(3, 3, 0, &[]), None);
    }

    #[test]
    fn only_errors_about_tcp() {
        let segment = tcp(&[], b"QUIT");
        let udp = ipv4(17, &segment);
        assert_eq!(about(3, 3, 0, &udp), None);
        for other in [0, 4, 5, 8] {
            assert_eq!(about(other, 0, 0, &ipv4(6, &segment)), None);
        }
        for error in [3, 11, 12] {
            assert!(about(error, 0, 0, &ipv4(6, &segment)).is_some());
        }
        for error in [1, 2, 3, 4] {
            assert!(about(error, 0, 0, &ipv6(6, &segment)).is_some());
        }
        assert_eq!(about(128, 0, 0, &ipv6(6, &segment)), None);
    }

    #[test]
    fn quotes_with_extension_headers_and_fragments() {
        let hop_by_hop = [&[6, 0, 5, 2, 0, 0, 1, 0], &tcp(&[], b"")[..]].concat();
        let quoted = about(1, 4, 0, &ipv6(0, &hop_by_hop)).expect("hop-by-hop").quoted;
        assert_eq!((quoted.destination.port, quoted.seq), (49_152, Some(1000)));
        let fragment = |field: u8| [&[6, 0, 0, field, 0, 0, 0, 7], &tcp(&[], b"")[..]].concat();
        assert!(about(1, 4, 0, &ipv6(44, &fragment(1))).is_some(), "first fragment");
        assert_eq!(about(1, 4, 0, &ipv6(44, &fragment(8))), None);
        let mut later = ipv4(6, &tcp(&[], b""));
        later[7] = 1;
        assert_eq!(about(3, 3, 0, &later), None);
    }

    #[test]
    fn a_quote_cut_by_the_snap_length_is_told() {
        let datagram = bytes(PROHIBITED);
        let cut = Frame { bytes: &datagram[..50], ..frame(101, &datagram) };
        let Packet::Undecoded(undecoded) = Decoder::new().decode(&cut) else { panic!("decoded") };
        assert_eq!(undecoded.to_string(), "quoted TCP ports: have 2 bytes, want 4, cut by snaplen");
    }

    #[test]
    fn path_mtu_is_no_refusal() {
        let quote = ipv4(6, &tcp(&[], b""));
        let error = about(3, 4, 1400, &quote).expect("an error");
        assert!(error.kind.is_path_mtu() && !error.kind.is_unreachable());
        assert_eq!(error.mtu, Some(1400));
        assert_eq!(about(3, 4, 0, &quote).expect("an error").mtu, None);
        let refused = about(3, 10, 1400, &quote).expect("an error");
        assert!(!refused.kind.is_path_mtu() && refused.kind.is_unreachable());
        assert_eq!((refused.mtu, refused.kind.to_string()), (None, "host administratively prohibited (3/10)".into()));
        let error = about(2, 0, 70_000, &ipv6(6, &tcp(&[], b""))).expect("an error");
        assert_eq!((error.mtu, error.kind.to_string()), (Some(70_000), "packet too big (ICMPv6 2/0)".into()));
        let expired = about(11, 0, 0, &quote).expect("an error").kind;
        assert!(!expired.is_path_mtu() && !expired.is_unreachable());
    }

    #[test]
    fn words_are_sorted_and_unknown_codes_have_numbers() {
        assert!(WORDS.is_sorted_by_key(|row| (row.0, row.1, row.2)));
        assert_eq!(IcmpKind { version: 4, kind: 3, code: 77 }.to_string(), "ICMP error (3/77)");
    }
}
