//! Why the decoding of a frame stopped: which header, how many bytes it had, how many it wanted, who ended them.
//!
//! These are facts to count and tell ("TCP header: have 8 bytes, want 20, cut by snaplen"), not errors: a capture with
//! a short snap length or of an odd link is still worth a verdict about all that could be read.

use std::fmt;

/// The header that could not be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Undecoded {
    /// The header at which decoding stopped.
    pub layer: Layer,
    /// What was wrong with it.
    pub fault: Fault,
}

/// A header, in the order in which they follow each other in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Layer {
    /// The link layer as a whole.
    Link,
    /// Ethernet II: addresses and EtherType.
    Ethernet,
    /// One 802.1Q or 802.1ad tag: the tag and the EtherType behind it.
    Vlan,
    /// PPPoE session header with the PPP protocol behind it.
    Pppoe,
    /// Linux cooked header, first version.
    Sll,
    /// Linux cooked header, second version.
    Sll2,
    /// The address family before a loopback packet of the BSDs and of Windows.
    Loopback,
    /// Netfilter log header, or one attribute behind it.
    Nflog,
    /// The version number with which every IP header begins.
    Ip,
    /// IPv4 header.
    Ipv4,
    /// IPv6 fixed header.
    Ipv6,
    /// IPv6 extension header.
    Extension,
    /// IPv6 fragment header, or the place of a fragment in its datagram.
    Fragment,
    /// TCP header.
    Tcp,
    /// The two ports with which a quoted TCP header begins.
    Ports,
    /// ICMP or ICMPv6 header.
    Icmp,
}

impl Layer {
    const COUNT: usize = Layer::Icmp as usize + 1;

    /// The fixed part of the header in bytes, without which nothing of it is read.
    pub(super) const fn header_len(self) -> usize {
        match self {
            Layer::Link => 0,
            Layer::Ip => 1,
            Layer::Vlan | Layer::Loopback | Layer::Nflog | Layer::Ports => 4,
            Layer::Pppoe | Layer::Extension | Layer::Fragment | Layer::Icmp => 8,
            Layer::Ethernet => 14,
            Layer::Sll => 16,
            Layer::Sll2 | Layer::Ipv4 | Layer::Tcp => 20,
            Layer::Ipv6 => 40,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Link => "link layer",
            Layer::Ethernet => "Ethernet header",
            Layer::Vlan => "VLAN tag",
            Layer::Pppoe => "PPPoE header",
            Layer::Sll => "LINUX_SLL header",
            Layer::Sll2 => "LINUX_SLL2 header",
            Layer::Loopback => "loopback header",
            Layer::Nflog => "NFLOG attribute",
            Layer::Ip => "IP header",
            Layer::Ipv4 => "IPv4 header",
            Layer::Ipv6 => "IPv6 header",
            Layer::Extension => "IPv6 extension header",
            Layer::Fragment => "fragment",
            Layer::Tcp => "TCP header",
            Layer::Ports => "quoted TCP ports",
            Layer::Icmp => "ICMP header",
        })
    }
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// This program does not read this link type (`LINKTYPE_*`).
    LinkType(u32),
    /// Fewer bytes than the header has.
    Short {
        /// Bytes there are.
        have: usize,
        /// Bytes the header has.
        want: usize,
        /// Who says that there are no more.
        end: End,
    },
    /// A field whose value cannot be.
    Field {
        /// The field's name in its RFC.
        name: &'static str,
        /// Its value; lengths and offsets in bytes.
        value: usize,
    },
}

/// What ends the bytes of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The capture kept fewer bytes than there were on the wire.
    SnapLength,
    /// The end of the frame.
    Frame,
    /// The length of the NFLOG attribute.
    NflogLength,
    /// The IPv4 total length.
    Ipv4TotalLength,
    /// The IPv6 payload length.
    Ipv6PayloadLength,
    /// The end of the last fragment.
    LastFragment,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::SnapLength => "cut by snaplen",
            End::Frame => "at the end of the frame",
            End::NflogLength => "ended by the NFLOG attribute's length",
            End::Ipv4TotalLength => "ended by the IPv4 total length",
            End::Ipv6PayloadLength => "ended by the IPv6 payload length",
            End::LastFragment => "at the end of the last fragment",
        })
    }
}

impl Undecoded {
    /// How many different values [`Undecoded::kind`] has.
    pub const KINDS: usize = Layer::COUNT * 4;

    /// A number below [`Undecoded::KINDS`] that is equal for faults of the same sort at the same header, whatever
    /// their numbers say: the index into a table of counts.
    pub fn kind(self) -> usize {
        let sort = match self.fault {
            Fault::LinkType(_) => 0,
            Fault::Short { end: End::SnapLength, .. } => 1,
            Fault::Short { .. } => 2,
            Fault::Field { .. } => 3,
        };
        self.layer as usize * 4 + sort
    }

    /// A field of `layer` has a value that cannot be.
    pub(super) fn field(layer: Layer, name: &'static str, value: usize) -> Self {
        Undecoded { layer, fault: Fault::Field { name, value } }
    }
}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = self.layer;
        match self.fault {
            Fault::LinkType(number) => write!(f, "{layer}: link type {number} is not supported"),
            Fault::Short { have, want, end } => {
                write!(f, "{layer}: have {have} bytes, want {want}, {end}")
            }
            Fault::Field { name, value } => write!(f, "{layer}: {name} {value} is impossible"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(layer: Layer, end: End) -> Undecoded {
        Undecoded { layer, fault: Fault::Short { have: 8, want: 20, end } }
    }

    #[test]
    fn displays_a_sentence() {
        let cases = [
            (short(Layer::Tcp, End::SnapLength), "TCP header: have 8 bytes, want 20, cut by snaplen"),
            (
                short(Layer::Tcp, End::Ipv4TotalLength),
                "TCP header: have 8 bytes, want 20, ended by the IPv4 total length",
            ),
            (
                Undecoded { layer: Layer::Link, fault: Fault::LinkType(253) },
                "link layer: link type 253 is not supported",
            ),
            (Undecoded::field(Layer::Ip, "version", 5), "IP header: version 5 is impossible"),
        ];
        for (undecoded, words) in cases {
            assert_eq!(undecoded.to_string(), words);
        }
    }

    #[test]
    fn kinds_tell_layer_and_sort_apart_but_not_numbers() {
        let kinds = [
            Undecoded { layer: Layer::Link, fault: Fault::LinkType(1) }.kind(),
            short(Layer::Tcp, End::SnapLength).kind(),
            short(Layer::Tcp, End::Frame).kind(),
            short(Layer::Icmp, End::Frame).kind(),
            Undecoded::field(Layer::Icmp, "type", 1).kind(),
        ];
        assert!(kinds.is_sorted_by(|a, b| a < b) && kinds[4] == Undecoded::KINDS - 1);
        assert_eq!(
            Undecoded::field(Layer::Tcp, "data offset", 0).kind(),
            Undecoded::field(Layer::Tcp, "data offset", 16).kind()
        );
    }
}
