//! From TCP header to segment.
//!
//! Read first: RFC 9293 sections 3.1 (header) and 3.4 (sequence numbers); RFC 7323 section 3 for timestamps.

use std::fmt;
use std::net::IpAddr;
use std::ops::BitOr;

use pnet::packet::tcp::TcpPacket;

use super::ip::Datagram;
use super::link::Link;
use super::undecoded::{Layer, Undecoded};
use super::{Direction, Endpoint};
use crate::cite::At;

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Frame number and time; of the last fragment to arrive if there were several.
    pub at: At,
    /// Interface number: the capture's own, or the kernel's interface index where the link layer has it.
    pub interface: u32,
    /// Direction, where the capture tells.
    pub direction: Option<Direction>,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// IPv4 time to live or IPv6 hop limit.
    pub ttl: u8,
    /// IPv4 identification; 0 for IPv6.
    pub ip_id: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number; without meaning unless ACK is set.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window field as it stands, unscaled.
    pub window: u16,
    /// Urgent pointer; without meaning unless URG is set.
    pub urgent: u16,
    /// Option bytes; fewer than were sent if the snap length cut them.
    pub options: &'a [u8],
    /// Text bytes; fewer than `text_len` if the snap length cut them.
    pub text: &'a [u8],
    /// How many bytes of text there were on the wire, from the IP length.
    pub text_len: u32,
    /// The header without options, if the checksum can be checked: all bytes were captured, they came in one datagram,
    /// and no routing header hides its last destination.
    pub checkable: Option<&'a [u8; 20]>,
}

impl<'a> Segment<'a> {
    /// Without the bytes of its options and text, to be kept.
    #[inline]
    pub fn bare(&self) -> Segment<'static> {
        let Segment { at, interface, direction, source, destination, ttl, ip_id, seq, ack, .. } = *self;
        let Segment { flags, window, urgent, text_len, .. } = *self;
        let (options, text, checkable) = (&[], &[], None);
        Segment {
            at,
            interface,
            direction,
            source,
            destination,
            ttl,
            ip_id,
            seq,
            ack,
            flags,
            window,
            urgent,
            options,
            text,
            text_len,
            checkable,
        }
    }

    /// Reads the segment that a whole datagram carries.
    ///
    /// # Errors
    /// A header that is too short, or a data offset that contradicts itself or the IP length. Options that only the
    /// snap length cut are no error: all else is there.
    #[inline]
    pub(super) fn read<Ip: Into<IpAddr>>(
        at: At,
        link: Link<'_>,
        datagram: Datagram<'a, Ip>,
    ) -> Result<Self, Undecoded> {
        let span = datagram.content.payload;
        let fixed = span.header(Layer::Tcp, <[u8]>::first_chunk::<20>)?;
        let header = span.header(Layer::Tcp, TcpPacket::new)?;
        let header_len = usize::from(header.get_data_offset()) * 4;
        if header_len < fixed.len() {
            return Err(Undecoded::field(Layer::Tcp, "data offset", header_len));
        }
        if header_len > span.wire {
            return Err(span.short(Layer::Tcp, header_len));
        }
        let (header_bytes, text) = span.bytes.split_at(header_len.min(span.bytes.len()));
        let (source, destination) = (datagram.source.into(), datagram.destination.into());
        let checkable = datagram.content.checkable && !span.is_cut();
        Ok(Segment {
            at,
            interface: link.interface,
            direction: link.direction_between(source, destination),
            source: Endpoint { ip: source, port: header.get_source() },
            destination: Endpoint { ip: destination, port: header.get_destination() },
            ttl: datagram.ttl,
            ip_id: datagram.id,
            seq: header.get_sequence(),
            ack: header.get_acknowledgement(),
            flags: Flags(header.get_flags()),
            window: header.get_window(),
            urgent: header.get_urgent_ptr(),
            options: &header_bytes[fixed.len()..],
            text,
            text_len: u32::try_from(span.wire - header_len).unwrap_or(u32::MAX),
            checkable: checkable.then_some(fixed),
        })
    }

    /// The sequence number behind this segment: SYN and FIN count one each.
    #[inline]
    pub fn end_seq(&self) -> u32 {
        let controls = u32::from(self.flags.syn()) + u32::from(self.flags.fin());
        self.seq.wrapping_add(self.text_len).wrapping_add(controls)
    }

    /// Timestamp value and echo reply (RFC 7323).
    pub fn timestamps(&self) -> Option<(u32, u32)> {
        let &[v0, v1, v2, v3, e0, e1, e2, e3] = option(self.options, 8)?.first_chunk::<8>()?;
        Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3])))
    }

    /// Maximum segment size in bytes (RFC 9293 section 3.7.1); only a SYN has it.
    pub fn mss(&self) -> Option<u16> {
        option(self.options, 2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Whether the checksum is wrong, which in packets of the capturing host only says that the network card was to
    /// fill it in. None if it is not [`Segment::checkable`].
    pub fn checksum_is_bad(&self) -> Option<bool> {
        let header = self.checkable?;
        let sum = self.sum_of_pseudo_header() + sum(header) + sum(self.options) + sum(self.text);
        Some(folded(sum) != 0xffff)
    }

    /// Whether the checksum is only begun, as the sending host leaves it to its network card: over the pseudo-header, not
    /// over the text.
    pub fn checksum_is_begun(&self) -> bool {
        let field = self.checkable.map(|header| u16::from_be_bytes([header[16], header[17]]));
        field == Some(folded(self.sum_of_pseudo_header()))
    }

    /// Of a segment that was captured whole.
    fn sum_of_pseudo_header(&self) -> u64 {
        let length = 20 + self.options.len() + self.text.len();
        sum_of_ip(self.source.ip) + sum_of_ip(self.destination.ip) + TCP + length as u64
    }
}

/// Protocol number.
const TCP: u64 = 6;

/// The sum of the 16-bit words, the last one filled up with zero (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let (words, odd) = bytes.as_chunks();
    let words: u64 = words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum();
    words + odd.first().map_or(0, |&byte| u64::from(byte) << 8)
}

/// A sum in one's complement, in 16 bits.
pub(super) fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

fn sum_of_ip(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => sum(&ip.octets()),
        IpAddr::V6(ip) => sum(&ip.octets()),
    }
}

/// The value of the first option of `kind`: RFC 9293 section 3.1, with a list that ends where a length cannot be.
fn option(mut options: &[u8], kind: u8) -> Option<&[u8]> {
    loop {
        options = match *options {
            [] | [0, ..] | [_] => return None,
            [1, ..] => &options[1..],
            [found, length, ..] => {
                let value = options.get(2..length.into())?;
                if found == kind {
                    return Some(value);
                }
                &options[length.into()..]
            }
        }
    }
}

/// Control bits of a TCP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x04);
    /// Push function.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(0x20);

    /// Whether all of `flags` are set.
    #[inline]
    pub fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub fn intersects(self, flags: Flags) -> bool {
        self.0 & flags.0 != 0
    }

    /// Whether FIN is set.
    #[inline]
    pub fn fin(self) -> bool {
        self.contains(Flags::FIN)
    }

    /// Whether SYN is set.
    #[inline]
    pub fn syn(self) -> bool {
        self.contains(Flags::SYN)
    }

    /// Whether RST is set.
    #[inline]
    pub fn rst(self) -> bool {
        self.contains(Flags::RST)
    }

    /// Whether PSH is set.
    #[inline]
    pub fn psh(self) -> bool {
        self.contains(Flags::PSH)
    }

    /// Whether ACK is set.
    #[inline]
    pub fn ack(self) -> bool {
        self.contains(Flags::ACK)
    }

    /// Whether URG is set.
    #[inline]
    pub fn urg(self) -> bool {
        self.contains(Flags::URG)
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// The names of the bits that are set, as "SYN-ACK"; "no flags" if none is.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let mut names = (0..8).filter(|bit| self.0 >> bit & 1 == 1).map(|bit: usize| NAMES[bit]);
        f.write_str(names.next().unwrap_or("no flags"))?;
        names.try_for_each(|name| write!(f, "-{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{bytes, ethernet, frame, ipv4, segment, tcp, undecoded};
    use super::super::{Decoder, End, Fault, Frame, Packet};
    use super::*;

    /// A SYN of curl, Linux 6.18. What is expected of it is what tshark reads.
    const SYN: &str = "663dd20c0fdbee7be6acfef40800 4500003c692440004006ba820a0901020a090202 \
        bc1000158ce8296100000000a002faf001300000020405b40402080aececd56a000000000103030a";

    /// The same over IPv6.
    const SYN_V6: &str = "663dd20c0fdbee7be6acfef486dd \
        60064a6900280640fd000001000000000000000000000002fd000002000000000000000000000002 \
        c914084e293e513100000000a002fd2002300000020405a00402080acdec34f9000000000103030a";

    #[test]
    fn a_syn_as_tshark_reads_it() {
        let (bytes, mut decoder) = (bytes(SYN), Decoder::new());
        let segment = segment(&mut decoder, &frame(1, &bytes));
        assert_eq!(segment.source.to_string(), "10.9.1.2:48144");
        assert_eq!(segment.destination.to_string(), "10.9.2.2:21");
        assert_eq!((segment.seq, segment.ack, segment.end_seq()), (2_364_025_185, 0, 2_364_025_186));
        assert_eq!((segment.flags, segment.window, segment.urgent), (Flags::SYN, 64_240, 0));
        assert_eq!((segment.ttl, segment.ip_id), (64, 0x6924));
        assert_eq!((segment.mss(), segment.timestamps()), (Some(1460), Some((3_974_944_106, 0))));
        assert_eq!((segment.text_len, segment.options.len()), (0, 20));
    }

    #[test]
    fn checksums() {
        for (hex, at) in [(SYN, 50), (SYN_V6, 70)] {
            let (mut bytes, mut decoder) = (bytes(hex), Decoder::new());
            assert_eq!(segment(&mut decoder, &frame(1, &bytes)).checksum_is_bad(), Some(false));
            bytes[at] ^= 1;
            assert_eq!(segment(&mut decoder, &frame(1, &bytes)).checksum_is_bad(), Some(true));
            let cut = Frame { bytes: &bytes[..bytes.len() - 1], ..frame(1, &bytes) };
            assert_eq!(segment(&mut decoder, &cut).checksum_is_bad(), None);
        }
        let odd = bytes("0001 f203 f4f5 f6");
        assert_eq!(sum(&odd), 0x1 + 0xf203 + 0xf4f5 + 0xf600, "RFC 1071 section 3, and one byte filled up");
    }

    #[test]
    fn the_snap_length_cuts_text_and_options_but_not_their_length() {
        let datagram = ethernet(0x0800, &ipv4(6, &tcp(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], b"RETR name")));
        let mut decoder = Decoder::new();
        let mut cut = |kept: usize| {
            let frame = Frame { bytes: &datagram[..kept], ..frame(1, &datagram) };
            let segment = segment(&mut decoder, &frame);
            (segment.timestamps(), segment.text.to_vec(), segment.text_len)
        };
        assert_eq!(cut(70), (Some((1, 2)), b"RETR".to_vec(), 9));
        assert_eq!(cut(60), (None, vec![], 9));
        let cut = Frame { bytes: &datagram[..42], ..frame(1, &datagram) };
        let packet = Packet::Undecoded(Undecoded {
            layer: Layer::Tcp,
            fault: Fault::Short { have: 8, want: 20, end: End::SnapLength },
        });
        assert_eq!(Decoder::new().decode(&cut), packet);
    }

    #[test]
    fn impossible_data_offsets_are_told() {
        let mut segment = tcp(&[], b"");
        segment[12] = 0x40;
        assert_eq!(undecoded(101, &ipv4(6, &segment)).to_string(), "TCP header: data offset 16 is impossible");
        segment[12] = 0x60;
        assert_eq!(
            undecoded(101, &ipv4(6, &segment)).to_string(),
            "TCP header: have 20 bytes, want 24, ended by the IPv4 total length"
        );
    }

    #[test]
    fn options_end_where_a_length_cannot_be() {
        assert_eq!(option(&[1, 1, 2, 4, 5, 0xb4], 2), Some(&[5, 0xb4][..]));
        assert_eq!(option(&[4, 2, 2, 4, 5, 0xb4], 4), Some(&[][..]));
        for hostile in [&[0, 2, 4, 5, 0xb4][..], &[3, 0, 2, 4, 5, 0xb4], &[3, 1, 2, 4, 5, 0xb4], &[2, 5, 1], &[2]] {
            assert_eq!(option(hostile, 2), None);
        }
    }

    #[test]
    fn fin_and_syn_count_one_and_numbers_wrap() {
        let (datagram, mut decoder) = (ipv4(6, &tcp(&[], b"QUIT")), Decoder::new());
        let segment = segment(&mut decoder, &frame(101, &datagram));
        let end = |seq, flags| Segment { seq, flags, ..segment }.end_seq();
        assert_eq!(end(1000, Flags::ACK), 1004);
        assert_eq!(end(u32::MAX, Flags::FIN | Flags::ACK), 4);
    }

    #[test]
    fn flags_are_asked_and_named() {
        let flags = Flags::SYN | Flags::ACK;
        assert!(flags.contains(Flags::ACK) && !flags.contains(Flags::ACK | Flags::FIN));
        assert!(flags.intersects(Flags::ACK | Flags::FIN) && !flags.intersects(Flags::RST));
        assert_eq!([flags.to_string(), Flags(0).to_string()], ["SYN-ACK", "no flags"]);
        let all = Flags(0x3f);
        assert!(all.fin() && all.syn() && all.rst() && all.psh() && all.ack() && all.urg());
    }
}
