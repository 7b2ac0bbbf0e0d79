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
    let header = span.header(Layer::Ipv6, Ipv6Packet::new)?;
    if header.get_version() != 6 {
        return Err(Undecoded::field(Layer::Ip, "version", header.get_version().into()));
    }
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
