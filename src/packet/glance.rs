//! A first look at a frame, for a caller that puts most frames aside by their ports and control bits.
//!
//! It knows only the most frequent frame: Ethernet II, IP without options or extensions, TCP. It takes a fifth of the
//! time of [`Decoder::decode`](super::Decoder::decode), which has the last word on all others.

use super::Frame;
use super::tcp::Flags;

/// What tells most frames apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub destination_port: u16,
    /// Control bits.
    pub flags: Flags,
}

impl Frame<'_> {
    /// Ports and control bits of the TCP segment that this frame certainly carries whole; None if in any doubt.
    #[inline]
    pub fn glance(&self) -> Option<Glance> {
        let (&[.., t0, t1], ip) = self.bytes.split_first_chunk::<14>()?;
        let (tcp, length) = match (self.link_type, [t0, t1]) {
            (1, [0x08, 0x00]) => in_ipv4(ip)?,
            (1, [0x86, 0xdd]) => in_ipv6(ip)?,
            _ => return None,
        };
        let &[s0, s1, d0, d1, .., offset, flags, _, _, _, _, _, _] = tcp.first_chunk::<20>()?;
        let header_len = usize::from(offset >> 4) * 4;
        (20..=length).contains(&header_len).then_some(Glance {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            flags: Flags(flags),
        })
    }
}

/// The TCP segment in an IPv4 datagram that is no fragment, and its length on the wire.
#[inline]
fn in_ipv4(ip: &[u8]) -> Option<(&[u8], usize)> {
    let (&[version, _, l0, l1, _, _, f0, f1, _, protocol, ..], tcp) = ip.split_first_chunk::<20>()?;
    let whole = f0 & 0x3f == 0 && f1 == 0;
    let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(20)?;
    (version == 0x45 && protocol == 6 && whole).then_some((tcp, length))
}

/// The TCP segment in an IPv6 datagram without extension headers, and its length on the wire.
#[inline]
fn in_ipv6(ip: &[u8]) -> Option<(&[u8], usize)> {
    let (&[version, _, _, _, l0, l1, next_header, ..], tcp) = ip.split_first_chunk::<40>()?;
    (version >> 4 == 6 && next_header == 6).then_some((tcp, u16::from_be_bytes([l0, l1]).into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Decoder;
    use super::super::build::{ethernet, frame, ipv4, ipv4_fragment, ipv6, segment, tcp};
    use super::*;

    #[test]
    fn sees_the_frequent_frames_and_no_others() {
        let tcp = tcp(&[], b"QUIT");
        let seen = Some(Glance { source_port: 21, destination_port: 49_152, flags: Flags::PSH | Flags::ACK });
        let of = |ethertype, ip: &[u8]| frame(1, &ethernet(ethertype, ip)).glance();
        assert_eq!(of(0x0800, &ipv4(6, &tcp)), seen);
        assert_eq!(of(0x86dd, &ipv6(6, &tcp)), seen);
        assert_eq!(of(0x0800, &ipv4(17, &tcp)), None);
        assert_eq!(of(0x0800, &ipv4_fragment(0, true, &tcp)), None);
        assert_eq!(of(0x0800, &ipv4_fragment(8, false, &tcp)), None);
        assert_eq!(of(0x86dd, &ipv6(44, &tcp)), None);
        assert_eq!(frame(101, &ethernet(0x0800, &ipv4(6, &tcp))).glance(), None);
    }

    proptest! {
        #[test]
        fn agrees_with_the_decoder(
            version_6 in any::<bool>(),
            changes in prop::collection::vec((12_usize..70, any::<u8>()), 0..4),
            captured in 30_usize..100,
        ) {
            let tcp = tcp(&[1; 4], b"QUIT");
            let mut bytes = match version_6 {
                true => ethernet(0x86dd, &ipv6(6, &tcp)),
                false => ethernet(0x0800, &ipv4(6, &tcp)),
            };
            for (at, value) in changes {
                let at = at.min(bytes.len() - 1);
                bytes[at] = value;
            }
            let whole = frame(1, &bytes);
            let cut = Frame { bytes: &bytes[..captured.min(bytes.len())], ..whole };
            if let Some(glance) = cut.glance() {
                let mut decoder = Decoder::new();
                let segment = segment(&mut decoder, &cut);
                prop_assert_eq!(glance, Glance {
                    source_port: segment.source.port,
                    destination_port: segment.destination.port,
                    flags: segment.flags,
                });
            }
        }
    }
}
