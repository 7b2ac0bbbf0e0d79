//! From IPv4 or IPv6 header to what it carries.
//!
//! Read first: RFC 791 section 3.1; RFC 8200 sections 3 and 4; RFC 4302 section 2 for the authentication header.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::packet::ipv4::{Ipv4Flags, Ipv4Packet};
use pnet::packet::ipv6::{ExtensionPacket, FragmentPacket, Ipv6Packet};

use super::span::Span;
use super::undecoded::{End, Layer, Undecoded};

/// An IP datagram, or a fragment of one, with addresses of type `Ip`. That the two versions stay two types to the end
/// halves the time of the whole floor: fields wait in registers, not in memory where both versions would have to meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a, Ip> {
    pub(super) source: Ip,
    pub(super) destination: Ip,
    /// Time to live or hop limit.
    pub(super) ttl: u8,
    /// IPv4 identification; 0 for IPv6.
    pub(super) id: u16,
    /// What it carries.
    pub(super) content: Content<'a>,
}

/// What follows the IP header and its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    /// Protocol of the first byte, or, behind a fragment header, of the first byte of the whole datagram.
    pub(super) protocol: IpNextHeaderProtocol,
    /// Set if this is not a whole datagram.
    pub(super) fragment: Option<Fragment>,
    /// Whether the source and destination above are those of the TCP pseudo-header, and all bytes are in one piece.
    pub(super) checkable: bool,
    /// The bytes, without padding.
    pub(super) payload: Span<'a>,
}

/// The place of a fragment in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Identification; 16 bits in IPv4.
    pub(super) id: u32,
    /// Offset in bytes, a multiple of 8.
    pub(super) offset: usize,
    /// Whether more fragments follow.
    pub(super) more: bool,
}

impl Fragment {
    /// None for a datagram in one piece, with (RFC 6946) or without a fragment header.
    #[inline]
    fn unless_whole(id: u32, offset: usize, more: bool) -> Option<Self> {
        (offset > 0 || more).then_some(Fragment { id, offset, more })
    }
}

/// Whether the header says that it is one of IPv4.
#[inline]
pub(super) fn is_v4(span: Span<'_>) -> bool {
    span.bytes.first().is_some_and(|byte| byte >> 4 == 4)
}

#[inline]
/// Reads an IPv4 header.
///
/// # Errors
/// A header that is too short or contradicts itself.
pub(super) fn v4(span: Span<'_>) -> Result<Datagram<'_, Ipv4Addr>, Undecoded> {
    let header = span.header(Layer::Ipv4, Ipv4Packet::new)?;
    let header_len = usize::from(header.get_header_length()) * 4;
    if header_len < Layer::Ipv4.header_len() {
        return Err(Undecoded::field(Layer::Ipv4, "header length", header_len));
    }
    let span = match usize::from(header.get_total_length()) {
        0 => span, // left to the network card, which cuts the datagram into pieces
        total if total < header_len => {
            return Err(Undecoded::field(Layer::Ipv4, "total length", total));
        }
        total => span.of_length(total, End::Ipv4TotalLength),
    };
    span.need(Layer::Ipv4, header_len)?;
    let id = header.get_identification();
    let offset = usize::from(header.get_fragment_offset()) * 8;
    let more = header.get_flags() & Ipv4Flags::MoreFragments != 0;
    Ok(Datagram {
        source: header.get_source(),
        destination: header.get_destination(),
        ttl: header.get_ttl(),
        id,
        content: Content {
            protocol: header.get_next_level_protocol(),
            fragment: Fragment::unless_whole(id.into(), offset, more),
            checkable: true,
            payload: span.skip(header_len),
        },
    })
}

#[inline]
/// Reads an IPv6 header with its extensions.
///
/// # Errors
/// The first header that is too short, or is of no IP version at all.
pub(super) fn v6(span: Span<'_>) -> Result<Datagram<'_, Ipv6Addr>, Undecoded> {
    let version = span.header(Layer::Ip, <[u8]>::first)? >> 4;
    if version != 6 {
        return Err(Undecoded::field(Layer::Ip, "version", version.into()));
    }
    let header = span.header(Layer::Ipv6, Ipv6Packet::new)?;
    let rest = span.skip(Layer::Ipv6.header_len());
    let payload = match header.get_payload_length() {
        0 => rest, // a jumbogram, or left to the network card
        length => rest.of_length(length.into(), End::Ipv6PayloadLength),
    };
    Ok(Datagram {
        source: header.get_source(),
        destination: header.get_destination(),
        ttl: header.get_hop_limit(),
        id: 0,
        content: content(header.get_next_header(), payload)?,
    })
}

/// Follows IPv6 extension headers to the first header that is none, or into a fragment. Every turn takes eight bytes
/// or more.
#[inline]
pub(super) fn content(mut protocol: IpNextHeaderProtocol, mut payload: Span<'_>) -> Result<Content<'_>, Undecoded> {
    let mut checkable = true;
    let mut fragment = None;
    while fragment.is_none() && is_extension(protocol) {
        if protocol == IpNextHeaderProtocols::Ipv6Frag {
            let header = payload.header(Layer::Fragment, FragmentPacket::new)?;
            fragment = place(&header);
        }
        // A routing header leaves the last address, which the pseudo-header has, elsewhere.
        checkable &= protocol != IpNextHeaderProtocols::Ipv6Route;
        (protocol, payload) = extension(protocol, payload)?;
    }
    Ok(Content { protocol, fragment, checkable, payload })
}

/// Whether a header of this number may stand before the TCP header.
#[inline]
pub(super) fn is_extension(protocol: IpNextHeaderProtocol) -> bool {
    matches!(
        protocol,
        IpNextHeaderProtocols::Hopopt
            | IpNextHeaderProtocols::Ipv6Route
            | IpNextHeaderProtocols::Ipv6Frag
            | IpNextHeaderProtocols::Ipv6Opts
            | IpNextHeaderProtocols::Ah
    )
}

/// Takes off one extension header; the number of what follows, and its bytes.
fn extension(protocol: IpNextHeaderProtocol, span: Span<'_>) -> Result<(IpNextHeaderProtocol, Span<'_>), Undecoded> {
    let header = span.header(Layer::Extension, ExtensionPacket::new)?;
    let units = usize::from(header.get_hdr_ext_len());
    let length = match protocol {
        IpNextHeaderProtocols::Ipv6Frag => Layer::Fragment.header_len(), // its second byte is reserved
        IpNextHeaderProtocols::Ah => (units + 2) * 4,
        _ => (units + 1) * 8,
    };
    span.need(Layer::Extension, length)?;
    Ok((header.get_next_header(), span.skip(length)))
}

/// RFC 8200 section 4.5: thirteen bits of offset in units of eight bytes, two reserved, one "more".
fn place(header: &FragmentPacket<'_>) -> Option<Fragment> {
    let field = header.get_fragment_offset_with_flags();
    Fragment::unless_whole(header.get_id(), usize::from(field & !7), field & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::super::build::{bytes, ethernet, frame, ipv4, ipv6, segment, tap, tcp, undecoded};
    use super::super::{Decoder, Fault, Frame, Packet};
    use super::*;

    #[test]
    fn header_fields_are_where_the_rfcs_put_them() {
        let mut decoder = Decoder::new();
        let datagram = ipv4(6, &tcp(&[], b"QUIT"));
        let found = segment(&mut decoder, &frame(101, &datagram));
        assert_eq!((found.source.to_string(), found.ttl, found.ip_id), ("10.0.0.1:21".into(), 64, 7));
        let datagram = ipv6(6, &tcp(&[], b"QUIT"));
        let found = segment(&mut decoder, &frame(101, &datagram));
        assert_eq!((found.destination.to_string(), found.ttl, found.ip_id), ("[fd00::2]:49152".into(), 63, 0));
    }

    #[test]
    fn padding_is_no_text_and_length_zero_means_the_rest() {
        let padded = [ipv4(6, &tcp(&[], b"QUIT")), vec![0; 6]].concat();
        tap(1, &ethernet(0x0800, &padded));
        let padded = [ipv6(6, &tcp(&[], b"QUIT")), vec![0; 6]].concat();
        tap(1, &ethernet(0x86dd, &padded));
        let mut offloaded = ipv4(6, &tcp(&[], b"QUIT"));
        offloaded[2..4].fill(0);
        tap(1, &ethernet(0x0800, &offloaded));
        let mut offloaded = ipv6(6, &tcp(&[], b"QUIT"));
        offloaded[4..6].fill(0);
        tap(1, &ethernet(0x86dd, &offloaded));
    }

    #[test]
    fn options_and_extension_headers_are_passed_over() {
        let mut router_alert = ipv4(6, &[&[148, 4, 0, 0], &tcp(&[], b"QUIT")[..]].concat());
        router_alert[0] = 0x46;
        tap(101, &router_alert);
        let chain = [
            bytes("2b 00 0502 0000 0100"),                                  // hop-by-hop, router alert
            bytes("3c 02 0400 00000000 fd000000000000000000000000000009"),  // routing
            bytes("2c 00 0104 00000000"),                                   // destination options
            bytes("33 00 0000 00000001"),                                   // fragment header of a whole datagram
            bytes("06 04 0000 00000001 00000001 000000000000000000000000"), // authentication
            tcp(&[], b"QUIT"),
        ];
        tap(101, &ipv6(0, &chain.concat()));
    }

    #[test]
    fn checksum_behind_a_routing_header_cannot_be_checked() {
        let routing = bytes("06 00 0000 00000000");
        let datagram = ipv6(43, &[routing, tcp(&[], b"QUIT")].concat());
        let mut decoder = Decoder::new();
        assert_eq!(segment(&mut decoder, &frame(101, &datagram)).checksum_is_bad(), None);
    }

    #[test]
    fn impossible_headers_are_told() {
        let told = |bytes: &[u8]| undecoded(101, bytes).to_string();
        assert_eq!(told(&[]), "IP header: have 0 bytes, want 1, at the end of the frame");
        assert_eq!(told(&[0x50; 60]), "IP header: version 5 is impossible");
        assert_eq!(told(&[0x44; 60]), "IPv4 header: header length 16 is impossible");
        assert_eq!(told(&[0x45; 19]), "IPv4 header: have 19 bytes, want 20, at the end of the frame");
        assert_eq!(told(&[0x60; 39]), "IPv6 header: have 39 bytes, want 40, at the end of the frame");
        let mut datagram = ipv4(6, &[]);
        datagram[3] = 19;
        assert_eq!(told(&datagram), "IPv4 header: total length 19 is impossible");
        assert_eq!(
            told(&ipv6(0, &[6, 1, 0, 0, 0, 0, 0, 0])),
            "IPv6 extension header: have 8 bytes, want 16, ended by the IPv6 payload length"
        );
    }

    #[test]
    fn a_cut_option_is_the_snap_length_s_doing() {
        let mut datagram = ipv4(6, &[0; 40]);
        datagram[0] = 0x4f;
        let cut = Frame { bytes: &datagram[..40], ..frame(101, &datagram) };
        let Packet::Undecoded(undecoded) = Decoder::new().decode(&cut) else { panic!("decoded") };
        assert_eq!(undecoded.fault, Fault::Short { have: 40, want: 60, end: End::SnapLength });
    }
}
