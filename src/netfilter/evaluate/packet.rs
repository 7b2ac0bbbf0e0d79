//! What is known of a packet, and whether a condition holds for it.

use std::net::IpAddr;
use std::ops::{BitOr, Not};

use crate::packet::{Endpoint, Flags};

/// A TCP segment as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// IPv6, else IPv4.
    pub v6: bool,
    /// Sender.
    pub source: End,
    /// Receiver.
    pub destination: End,
    /// Control bits; of FIN, SYN, RST and ACK only, the others are not known.
    pub flags: Flags,
    /// The device that it comes in by.
    pub inbound: Device,
    /// The device that it goes out by.
    pub outbound: Device,
    /// The states that connection tracking may give it.
    pub states: States,
    /// Sender and receiver behind the translation that its connection has already; none where it has none, and of a packet
    /// that rules may translate.
    pub translated: Option<(End, End)>,
}

/// An end of a connection as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Address.
    pub ip: Option<IpAddr>,
    /// Port.
    pub port: Option<u16>,
}

impl From<Endpoint> for End {
    fn from(endpoint: Endpoint) -> End {
        End { ip: Some(endpoint.ip), port: Some(endpoint.port) }
    }
}

/// A network device as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// There is none, or it is not known.
    #[default]
    Unknown,
    /// Any but the loopback.
    Outside,
    /// The one with this name.
    Named(String),
}

/// States of connection tracking, a set of them (nft(8), "CONNTRACK EXPRESSIONS").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// The first packets of a connection that nobody expects.
    pub const NEW: States = States(1);
    /// The first packets of a connection that a helper expects.
    pub const RELATED: States = States(2);
    /// Packets of a connection that was answered, the answer included.
    pub const ESTABLISHED: States = States(4);
    /// Packets of no connection.
    pub const INVALID: States = States(8);
    /// Packets that a rule excepts.
    pub const UNTRACKED: States = States(16);
    /// None.
    pub const NONE: States = States(0);
    /// Any of them.
    pub const ALL: States = States(31);

    const NAMES: [(&'static str, States); 5] = [
        ("new", States::NEW),
        ("related", States::RELATED),
        ("established", States::ESTABLISHED),
        ("invalid", States::INVALID),
        ("untracked", States::UNTRACKED),
    ];

    /// Whether all that is in it is in the other.
    fn is_within(self, other: States) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether chains that translate addresses see the packet: those see the first of a connection only.
    pub(super) fn may_be_first(self) -> bool {
        self.0 & (States::NEW | States::RELATED).0 != 0
    }
}

impl BitOr for States {
    type Output = States;

    fn bitor(self, other: States) -> States {
        States(self.0 | other.0)
    }
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    No,
    Unknown,
    Yes,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Truth {
        if holds { Truth::Yes } else { Truth::No }
    }
}

impl Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::No => Truth::Yes,
            Truth::Unknown => Truth::Unknown,
            Truth::Yes => Truth::No,
        }
    }
}

impl Truth {
    /// Whether one of these holds.
    pub(super) fn any(truths: impl Iterator<Item = Truth>) -> Truth {
        truths.max().unwrap_or(Truth::No)
    }
}

/// Control bits of a packet that are known.
const KNOWN: u8 = Flags::FIN.0 | Flags::SYN.0 | Flags::RST.0 | Flags::ACK.0;

impl Packet {
    /// Whether the control bits under `mask` are these.
    pub(super) fn has_flags(&self, mask: u8, value: u8) -> Truth {
        match (self.flags.0 ^ value) & mask {
            differs if differs & KNOWN != 0 => Truth::No,
            _ if mask & !KNOWN == 0 => Truth::Yes,
            _ => Truth::Unknown,
        }
    }

    /// Whether one of the control bits under `mask` is set.
    pub(super) fn has_one_of(&self, mask: u8) -> Truth {
        !self.has_flags(mask, 0)
    }

    /// Whether its state is one of these words; `others` stands for words that are not known.
    pub(super) fn has_state<'a>(&self, words: impl Iterator<Item = &'a str>) -> Truth {
        let mut listed = States(0);
        let mut others = false;
        for word in words {
            match States::NAMES.iter().find(|row| row.0.eq_ignore_ascii_case(word)) {
                Some((_, state)) => listed = listed | *state,
                None => others = true,
            }
        }
        match listed.0 & self.states.0 {
            _ if self.states.is_within(listed) => Truth::Yes,
            0 if !others => Truth::No,
            _ => Truth::Unknown,
        }
    }
}

impl Device {
    /// Whether its name is this one, which may end in a sign for any further letters.
    pub(super) fn is(&self, name: &str, any: char) -> Truth {
        let has_name = |own: &str| name.strip_suffix(any).map_or(own == name, |start| own.starts_with(start));
        match self {
            Device::Named(own) => Truth::from(has_name(own)),
            Device::Outside if name == "lo" => Truth::No,
            Device::Outside | Device::Unknown => Truth::Unknown,
        }
    }
}

/// Whether an address is what `text` says: an address, a prefix, or a first and a last one.
pub(super) fn is_address(ip: Option<IpAddr>, text: &str) -> Truth {
    let within = |ip: IpAddr| match (text.split_once('/'), text.split_once('-')) {
        (Some((network, length)), _) => is_in_network(ip, network.parse().ok()?, length.parse().ok()?),
        (None, Some((first, last))) => {
            let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
            Some(first.is_ipv4() == ip.is_ipv4() && (first..=last).contains(&ip))
        }
        (None, None) => Some(text.parse::<IpAddr>().ok()? == ip),
    };
    ip.and_then(within).map_or(Truth::Unknown, Truth::from)
}

fn is_in_network(ip: IpAddr, network: IpAddr, length: u32) -> Option<bool> {
    let bits = |ip| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32_u32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((ip, width), (network, of_network)) = (bits(ip), bits(network));
    let shift = of_network.checked_sub(length)?;
    let differs = (ip ^ network).checked_shr(shift).unwrap_or(0);
    Some(width == of_network && differs == 0)
}

/// Whether a port is what `text` says: a port, or a first and a last one with `between` between them.
pub(super) fn is_port(port: Option<u16>, text: &str, between: char) -> Truth {
    let within = |port: u16| match text.split_once(between) {
        Some((first, last)) => {
            let first = if first.is_empty() { 0 } else { first.parse().ok()? };
            let last = if last.is_empty() { u16::MAX } else { last.parse().ok()? };
            Some((first..=last).contains(&port))
        }
        None => Some(text.parse::<u16>().ok()? == port),
    };
    port.and_then(within).map_or(Truth::Unknown, Truth::from)
}
