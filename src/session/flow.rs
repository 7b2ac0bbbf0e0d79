//! Keys of the tracker's tables: a connection whatever the packet's direction, and the set of ports worth a look.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::packet::Endpoint;

/// Both ends of a connection, the smaller first, so that both directions give one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowKey(Endpoint, Endpoint);

impl FlowKey {
    pub(super) fn new(one: Endpoint, other: Endpoint) -> Self {
        let ordered = one.port < other.port || (one.port == other.port && one.ip <= other.ip);
        if ordered { FlowKey(one, other) } else { FlowKey(other, one) }
    }
}

/// Hashes addresses as whole numbers: the derived way feeds them byte slice by byte slice and costs four times as much.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(u32::from(self.0.port) << 16 | u32::from(self.1.port));
        for ip in [self.0.ip, self.1.ip] {
            match ip {
                IpAddr::V4(ip) => state.write_u32(ip.to_bits()),
                IpAddr::V6(ip) => state.write_u128(ip.to_bits()),
            }
        }
    }
}

/// A counted set of ports. The bits are 8 KiB and stay in the first-level cache.
pub(super) struct Ports {
    bits: Box<[u64; 1024]>,
    counts: Box<[u32; 65_536]>,
}

impl Ports {
    pub(super) fn new() -> Self {
        Ports {
            bits: Box::new([0; 1024]),
            counts: vec![0; 65_536].into_boxed_slice().try_into().expect("65,536 counts"),
        }
    }

    #[inline]
    pub(super) fn has(&self, port: u16) -> bool {
        self.bits[usize::from(port >> 6)] >> (port & 63) & 1 != 0
    }

    pub(super) fn add(&mut self, port: u16) {
        self.counts[usize::from(port)] += 1;
        self.bits[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    pub(super) fn remove(&mut self, port: u16) {
        let count = &mut self.counts[usize::from(port)];
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.bits[usize::from(port >> 6)] &= !(1 << (port & 63));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: [u8; 4], port: u16) -> Endpoint {
        Endpoint { ip: IpAddr::from(ip), port }
    }

    #[test]
    fn both_directions_give_one_key() {
        let (one, other) = (at([10, 0, 0, 1], 40000), at([10, 0, 0, 2], 21));
        assert_eq!(FlowKey::new(one, other), FlowKey::new(other, one));
        let (one, other) = (at([10, 0, 0, 1], 21), at([10, 0, 0, 2], 21));
        assert_eq!(FlowKey::new(one, other), FlowKey::new(other, one));
        assert_ne!(FlowKey::new(one, other), FlowKey::new(one, at([10, 0, 0, 3], 21)));
    }

    #[test]
    fn a_port_stays_until_its_last_user_leaves() {
        let mut ports = Ports::new();
        ports.add(65535);
        ports.add(65535);
        ports.remove(65535);
        assert!(ports.has(65535));
        ports.remove(65535);
        assert!(!ports.has(65535));
        assert!(!ports.has(65534));
    }
}
