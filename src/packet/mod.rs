//! Floor 1: from the bytes of a frame to a packet.

use std::fmt;
use std::net::IpAddr;

use crate::cite::At;

/// A frame as a capture gives it, before anything is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Frame number and time.
    pub at: At,
    /// Link type (`LINKTYPE_*`, the number in a pcap header).
    pub link_type: u32,
    /// Interface number within the capture; 0 for a pcap file.
    pub interface: u32,
    /// Direction, where the capture format itself carries it (pcapng `epb_flags`).
    pub direction: Option<Direction>,
    /// Captured bytes, from the link layer header on.
    pub bytes: &'a [u8],
    /// Length on the wire in bytes; more than `bytes.len()` if the snap length cut the frame.
    pub original_len: u32,
}

/// Which way a frame passed the capturing host's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received.
    Incoming,
    /// Sent by, or forwarded out of, the capturing host.
    Outgoing,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// IPv4 or IPv6 address.
    pub ip: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}
