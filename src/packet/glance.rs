//! A first look at a frame, for a caller that puts most frames aside by their ports and control bits.
//!
//! It knows only the most frequent frame: Ethernet II, IP without options or extensions, TCP. Nothing is read before it
//! is asked for, so a frame that is put aside costs a few nanoseconds, and one that is not becomes a segment in a third
//! of the time of [`Decoder::decode`](super::Decoder::decode), which has the last word on all others.

use std::net::IpAddr;

use super::tcp::{Flags, Segment};
use super::{Endpoint, Frame};

/// A TCP segment that a frame certainly carries whole, still unread.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    ip: Ip<'a>,
    /// The header without options.
    tcp: &'a [u8; 20],
    /// What was captured of options and text.
    rest: &'a [u8],
    /// How many bytes of options there were on the wire.
    options_len: usize,
    /// How many bytes of options and text there were on the wire.
    rest_len: usize,
}

/// An IP header without options or extensions.
#[derive(Clone, Copy, Debug)]
enum Ip<'a> {
    V4(&'a [u8; 20]),
    V6(&'a [u8; 40]),
}

/// The addresses of a packet as numbers: source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Two of IPv4.
    V4([u32; 2]),
    /// Two of IPv6.
    V6([u128; 2]),
}

impl<'a> Frame<'a> {
    /// The TCP segment that this frame certainly carries whole; None if in any doubt.
    #[inline]
    pub fn glance(&self) -> Option<Glance<'a>> {
        let (&[.., t0, t1], ip) = self.bytes.split_first_chunk::<14>()?;
        let (ip, carried, length) = match (self.link_type, [t0, t1]) {
            (1, [0x08, 0x00]) => in_ipv4(ip)?,
            (1, [0x86, 0xdd]) => in_ipv6(ip)?,
            _ => return None,
        };
        let (tcp, rest) = carried.split_first_chunk::<20>()?;
        let rest_len = length.checked_sub(tcp.len())?;
        let options_len = usize::from(tcp[12] >> 4).checked_sub(5)? * 4;
        let rest = rest.get(..rest_len).unwrap_or(rest);
        (options_len <= rest_len).then_some(Glance { ip, tcp, rest, options_len, rest_len })
    }

    /// Whether this frame certainly carries a UDP datagram, the most frequent of what is [`Packet::Other`].
    ///
    /// [`Packet::Other`]: super::Packet::Other
    #[inline]
    pub fn is_udp(&self) -> bool {
        let Some((&[.., t0, t1], ip)) = self.bytes.split_first_chunk::<14>() else { return false };
        match (self.link_type, [t0, t1], ip) {
            (1, [0x08, 0x00], &[0x45, _, l0, l1, _, _, f0, 0, _, 17, ..]) => {
                ip.len() >= 20 && u16::from_be_bytes([l0, l1]) >= 20 && f0 & 0x3f == 0
            }
            (1, [0x86, 0xdd], &[0x60..=0x6f, _, _, _, _, _, 17, ..]) => ip.len() >= 40,
            _ => false,
        }
    }
}

/// The content of an IPv4 datagram that is no fragment and carries TCP, and its length on the wire.
#[inline]
fn in_ipv4(bytes: &[u8]) -> Option<(Ip<'_>, &[u8], usize)> {
    let (ip, content) = bytes.split_first_chunk::<20>()?;
    let &[version, _, l0, l1, _, _, f0, f1, _, protocol, ..] = ip;
    let whole = f0 & 0x3f == 0 && f1 == 0;
    let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(20)?;
    (version == 0x45 && protocol == 6 && whole).then_some((Ip::V4(ip), content, length))
}

/// The content of an IPv6 datagram without extension headers that carries TCP, and its length on the wire.
#[inline]
fn in_ipv6(bytes: &[u8]) -> Option<(Ip<'_>, &[u8], usize)> {
    let (ip, content) = bytes.split_first_chunk::<40>()?;
    let &[version, _, _, _, l0, l1, next_header, ..] = ip;
    (version >> 4 == 6 && next_header == 6).then_some((Ip::V6(ip), content, u16::from_be_bytes([l0, l1]).into()))
}

impl<'a> Glance<'a> {
    /// Sender's port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.tcp[0], self.tcp[1]])
    }

    /// Receiver's port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.tcp[2], self.tcp[3]])
    }

    /// Source and destination.
    #[inline]
    pub fn addresses(&self) -> Addresses {
        match self.ip {
            Ip::V4(header) => Addresses::V4([12, 16].map(|at| u32::from_be_bytes(field(header, at)))),
            Ip::V6(header) => Addresses::V6([8, 24].map(|at| u128::from_be_bytes(field(header, at)))),
        }
    }

    /// Control bits.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.tcp[13])
    }

    /// The captured text.
    #[inline]
    pub fn text(&self) -> &'a [u8] {
        self.rest.get(self.options_len..).unwrap_or_default()
    }

    /// All of the segment, as the decoder reads it; `frame` is the one that was glanced at.
    #[inline]
    pub fn segment(&self, frame: &Frame<'_>) -> Segment<'a> {
        let (options, text) = self.rest.split_at(self.options_len.min(self.rest.len()));
        let (source, destination, ttl, ip_id) = self.ip.read();
        let &[_, _, _, _, s0, s1, s2, s3, a0, a1, a2, a3, _, flags, w0, w1, _, _, u0, u1] = self.tcp;
        Segment {
            at: frame.at,
            interface: frame.interface(),
            direction: frame.direction,
            source: Endpoint { ip: source, port: self.source_port() },
            destination: Endpoint { ip: destination, port: self.destination_port() },
            ttl,
            ip_id,
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: Flags(flags),
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options,
            text,
            text_len: (self.rest_len - self.options_len) as u32,
            checkable: (self.rest.len() == self.rest_len).then_some(self.tcp),
        }
    }
}

impl Ip<'_> {
    /// Source and destination, time to live or hop limit, and the identification, which IPv6 has not.
    #[inline]
    fn read(&self) -> (IpAddr, IpAddr, u8, u16) {
        match *self {
            Ip::V4(header) => {
                let [source, destination] = [12, 16].map(|at| field::<4>(header, at).into());
                (source, destination, header[8], u16::from_be_bytes(field(header, 4)))
            }
            Ip::V6(header) => {
                let [source, destination] = [8, 24].map(|at| field::<16>(header, at).into());
                (source, destination, header[7], 0)
            }
        }
    }
}

/// The field at `at`, which lies within every header that is asked for it.
#[inline]
fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    header[at..].first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::build::{cut, damaged, ethernet, frame, ipv4, ipv4_fragment, ipv6, segment, tcp};
    use super::super::{Decoder, Packet};
    use super::*;

    #[test]
    fn sees_the_frequent_frames_and_no_others() {
        let tcp = tcp(&[], b"QUIT");
        let seen = Some((21, 49_152, Flags::PSH | Flags::ACK, b"QUIT".to_vec()));
        let of = |ethertype, ip: &[u8]| {
            let bytes = ethernet(ethertype, ip);
            let glance = frame(1, &bytes).glance()?;
            Some((glance.source_port(), glance.destination_port(), glance.flags(), glance.text().to_vec()))
        };
        assert_eq!(of(0x0800, &ipv4(6, &tcp)), seen);
        assert_eq!(of(0x86dd, &ipv6(6, &tcp)), seen);
        assert_eq!(of(0x0800, &ipv4(17, &tcp)), None);
        assert_eq!(of(0x0800, &ipv4_fragment(0, true, &tcp)), None);
        assert_eq!(of(0x0800, &ipv4_fragment(8, false, &tcp)), None);
        assert_eq!(of(0x86dd, &ipv6(44, &tcp)), None);
        assert!(frame(1, &ethernet(0x0800, &ipv4(17, &[0; 8]))).is_udp());
        assert!(frame(1, &ethernet(0x86dd, &ipv6(17, &[0; 8]))).is_udp());
        assert!(frame(101, &ethernet(0x0800, &ipv4(6, &tcp))).glance().is_none());
    }

    proptest! {
        #[test]
        fn agrees_with_the_decoder(
            (bytes, captured) in damaged(6, &tcp(&[1; 4], b"QUIT")),
        ) {
            let cut = cut(&bytes, captured);
            if let Some(glance) = cut.glance() {
                let mut decoder = Decoder::new();
                let segment = segment(&mut decoder, &cut);
                prop_assert_eq!(glance.segment(&cut), segment);
            }
        }

        #[test]
        fn udp_is_other_to_the_decoder(
            (bytes, captured) in damaged(17, &[0; 8]),
        ) {
            let cut = cut(&bytes, captured);
            if cut.is_udp() {
                let mut decoder = Decoder::new();
                prop_assert_eq!(decoder.decode(&cut), Packet::Other);
            }
        }
    }
}
