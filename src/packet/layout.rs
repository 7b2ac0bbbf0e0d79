//! Where the parts of a frame lie, for a caller that keeps some and overwrites others.
//!
//! Read first: RFC 1624 for checksums that follow a change.

use std::net::IpAddr;
use std::ops::Range;

use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};

use super::icmp::first_fragment;
use super::ip::{self, Content};
use super::span::Span;
use super::tcp::folded;
use super::undecoded::Layer;
use super::{Frame, link};

/// Where the parts of a frame with an IP datagram lie, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Who sent the datagram.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// It is a fragment, of a TCP segment as far as can be seen.
    pub is_fragment: bool,
    /// What the datagram carries: a TCP header, unless it is a later fragment.
    pub content: usize,
    /// What is behind all headers: the text of a TCP segment, or of the one that an ICMP error quotes; of a later fragment
    /// and of all else the content. The end of what was captured, if that is not reached.
    pub text: usize,
}

impl Frame<'_> {
    /// Where its parts lie; none if no IP datagram can be read.
    pub fn layout(&self) -> Option<Layout> {
        let datagram = link::strip(self).ok()?.rest;
        let (source, destination, content): (IpAddr, IpAddr, _) = if ip::is_v4(datagram) {
            let datagram = ip::v4(datagram).ok()?;
            (datagram.source.into(), datagram.destination.into(), datagram.content)
        } else {
            let datagram = ip::v6(datagram).ok()?;
            (datagram.source.into(), datagram.destination.into(), datagram.content)
        };
        let place = |span: Span<'_>| match span.bytes {
            [] => self.bytes.len(),
            bytes => bytes.as_ptr().addr() - self.bytes.as_ptr().addr(),
        };
        Some(Layout {
            source,
            destination,
            is_fragment: content.fragment.is_some() && may_be_tcp(content.protocol),
            content: place(content.payload),
            text: place(behind_headers(content)),
        })
    }
}

fn may_be_tcp(protocol: IpNextHeaderProtocol) -> bool {
    protocol == IpNextHeaderProtocols::Tcp || ip::is_extension(protocol)
}

/// What is behind the TCP header of a segment, of the first fragment of one, or of the one that an ICMP error quotes.
fn behind_headers(content: Content<'_>) -> Span<'_> {
    let payload = content.payload;
    let is_icmp = matches!(content.protocol, IpNextHeaderProtocols::Icmp | IpNextHeaderProtocols::Icmpv6);
    let content = if is_icmp { quoted(payload.skip(Layer::Icmp.header_len())) } else { Some(content) };
    let Some(segment) = content.and_then(|content| first_fragment(content).ok()) else { return payload };
    let words = segment.bytes.get(12).map_or(0, |byte| usize::from(byte >> 4));
    segment.skip((words * 4).max(Layer::Tcp.header_len()))
}

fn quoted(span: Span<'_>) -> Option<Content<'_>> {
    let content = if ip::is_v4(span) { ip::v4(span).map(|it| it.content) } else { ip::v6(span).map(|it| it.content) };
    content.ok()
}

impl Layout {
    /// Overwrites bytes of the text of a TCP segment in the `frame` that this is the layout of, but for line ends and NUL,
    /// with `filler`. The checksum follows ([RFC 1624, equation 3]): one that was wrong stays as wrong as it was. If the
    /// checksum `is_begun` only, it does not hold the text, and stays.
    ///
    /// [RFC 1624, equation 3]: https://www.rfc-editor.org/rfc/rfc1624
    pub fn overwrite(&self, frame: &mut [u8], text: Range<usize>, filler: u8, is_begun: bool) {
        let mut change = 0;
        for at in self.text + text.start..(self.text + text.end).min(frame.len()) {
            let old = frame[at];
            if !matches!(old, b'\r' | b'\n' | 0) {
                let shift = if (at - self.content).is_multiple_of(2) { 8 } else { 0 };
                change += u64::from(!(u16::from(old) << shift)) + (u64::from(filler) << shift);
                frame[at] = filler;
            }
        }
        let field = self.content + 16..self.content + 18;
        if let Some([high, low]) = frame.get_mut(field).filter(|_| !is_begun) {
            let sum = u64::from(!u16::from_be_bytes([*high, *low]));
            [*high, *low] = (!folded(sum + change)).to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::build::{cut, damaged, ethernet, frame, ipv4, ipv4_fragment, ipv6, segment, tcp};
    use super::super::{Decoder, Segment};
    use super::*;

    fn places(bytes: &[u8]) -> Option<(usize, usize, bool)> {
        frame(1, bytes).layout().map(|layout| (layout.content, layout.text, layout.is_fragment))
    }

    #[test]
    fn parts_lie_behind_their_headers() {
        let (plain, with_options) = (tcp(&[], b"QUIT"), tcp(&[1; 8], b"QUIT"));
        assert_eq!(places(&ethernet(0x0800, &ipv4(6, &plain))), Some((34, 54, false)));
        assert_eq!(places(&ethernet(0x86dd, &ipv6(6, &with_options))), Some((54, 82, false)));
        assert_eq!(places(&ethernet(0x0800, &ipv4(6, &plain))[..50]), Some((34, 50, false)), "cut");
        assert_eq!(places(&ethernet(0x0800, &ipv4_fragment(0, true, &plain))), Some((34, 54, true)));
        assert_eq!(places(&ethernet(0x0800, &ipv4_fragment(24, false, &plain))), Some((34, 34, true)));
        assert_eq!(places(&ethernet(0x0800, &ipv4(17, &plain))), Some((34, 34, false)));
        assert_eq!(places(&ethernet(0x0806, &plain)), None);
    }

    #[test]
    fn the_text_of_an_error_is_that_of_the_segment_that_it_quotes() {
        let quote = |segment: &[u8]| [&[3, 13, 0, 0, 0, 0, 0, 0], &ipv4(6, segment)[..]].concat();
        let error = ipv4(1, &quote(&tcp(&[1; 4], b"PASS x")));
        assert_eq!(places(&ethernet(0x0800, &error)), Some((34, 34 + 8 + 20 + 24, false)));
        let short = ipv4(1, &quote(&tcp(&[], b"PASS x"))[..8 + 20 + 8]);
        assert_eq!(places(&ethernet(0x0800, &short)), Some((34, 34 + 8 + 20 + 8, false)), "the end");
    }

    fn sealed(text: &[u8], error: u16) -> Vec<u8> {
        let mut bytes = ethernet(0x0800, &ipv4(6, &tcp(&[], text)));
        let layout = frame(1, &bytes).layout().expect("a datagram");
        let sum: u64 =
            bytes[26..].chunks(2).map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0))).sum();
        let sum = sum + 6 + (bytes.len() - layout.content) as u64;
        let field = (!folded(sum)).wrapping_add(error);
        bytes[layout.content + 16..][..2].copy_from_slice(&field.to_be_bytes());
        bytes
    }

    fn look<T>(bytes: &[u8], at: impl FnOnce(Segment<'_>) -> T) -> T {
        at(segment(&mut Decoder::new(), &frame(1, bytes)))
    }

    proptest! {
        #[test]
        fn a_checksum_stays_right_or_wrong(
            text in prop::collection::vec(any::<u8>(), 1..40),
            (from, to) in (0_usize..40, 0_usize..50),
            error in prop_oneof![Just(0_u16), 1..0xfffe_u16],
        ) {
            let mut bytes = sealed(&text, error);
            let bad = look(&bytes, |segment| segment.checksum_is_bad());
            let layout = frame(1, &bytes).layout().expect("a datagram");
            layout.overwrite(&mut bytes, from..to, b'*', false);
            let expected: Vec<u8> = (0..).zip(&text).map(|(at, &byte)| match byte {
                _ if !(from..to).contains(&at) => byte,
                b'\r' | b'\n' | 0 => byte,
                _ => b'*',
            }).collect();
            prop_assert_eq!(look(&bytes, |segment| segment.text.to_vec()), expected);
            prop_assert_eq!(look(&bytes, |segment| segment.checksum_is_bad()), bad);
        }

        #[test]
        fn text_begins_where_the_decoder_finds_it(
            (bytes, captured) in damaged(6, &tcp(&[1; 4], b"QUIT")),
        ) {
            let cut = cut(&bytes, captured);
            let layout = cut.layout();
            if let super::super::Packet::Segment(segment) = Decoder::new().decode(&cut) {
                let layout = layout.expect("a segment is in a datagram");
                prop_assert!(cut.bytes[layout.text..].starts_with(segment.text));
            }
        }
    }

    #[test]
    fn a_checksum_that_is_begun_stays() {
        let mut bytes = ethernet(0x0800, &ipv4(6, &tcp(&[], b"PASS x")));
        // RFC 9293 section 3.1: 0a00 + 0001 + 0a00 + 0002 + 0006 + the length, 26
        bytes[34 + 16..][..2].copy_from_slice(&(0x0a00 + 1 + 0x0a00 + 2 + 6 + 26_u16).to_be_bytes());
        let begun = look(&bytes, |segment| segment.checksum_is_begun());
        assert!(begun && !look(&sealed(b"PASS x", 0), |segment| segment.checksum_is_begun()));
        let before = bytes.clone();
        frame(1, &before).layout().expect("a datagram").overwrite(&mut bytes, 5..6, b'*', begun);
        assert_eq!((&bytes[..59], bytes[59]), (&before[..59], b'*'));
    }
}
