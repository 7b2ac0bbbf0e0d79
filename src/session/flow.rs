//! Keys of the tracker's tables: a connection whatever the packet's direction, and the set of ports worth a look.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::net::IpAddr;

use foldhash::quality::RandomState;

use crate::packet::{Addresses, Endpoint, Glance};
use crate::tcp::connection::Role;

/// Makes keys of addresses, with a random secret that a hostile sender would need to make keys collide.
///
/// A key is a digest of 64 bits. Whoever finds a connection by it compares the addresses themselves: a packet of another
/// connection with the same digest, which is to be expected once in 10^14 of 100,000 connections, is then nobody's.
#[derive(Default)]
pub(super) struct Keys(RandomState);

impl Keys {
    /// The key of an end.
    #[inline]
    pub(super) fn end(&self, end: Endpoint) -> EndKey {
        match end.ip {
            IpAddr::V4(ip) => self.v4(ip.to_bits(), end.port),
            IpAddr::V6(ip) => self.v6(ip.to_bits(), end.port),
        }
    }

    /// The ends of a packet on its way between two ends.
    #[inline]
    pub(super) fn ends(&self, from: Endpoint, to: Endpoint) -> Ends {
        Ends { from: self.end(from), to: self.end(to) }
    }

    /// The ends of a packet, straight from its headers.
    #[inline]
    pub(super) fn glanced(&self, glance: &Glance<'_>) -> Ends {
        let (source, destination) = (glance.source_port(), glance.destination_port());
        match glance.addresses() {
            Addresses::V4([from, to]) => Ends { from: self.v4(from, source), to: self.v4(to, destination) },
            Addresses::V6([from, to]) => Ends { from: self.v6(from, source), to: self.v6(to, destination) },
        }
    }

    #[inline]
    fn v4(&self, address: u32, port: u16) -> EndKey {
        EndKey(self.0.hash_one(u128::from(address) << 16 | u128::from(port)))
    }

    #[inline]
    fn v6(&self, address: u128, port: u16) -> EndKey {
        EndKey(self.0.hash_one((address, port)))
    }
}

/// Tells what is known of the listener's side of a forwarding host from what is known of the opener's.
const FAR: u64 = 1 << 63;

/// Stands for an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EndKey(u64);

impl EndKey {
    /// The same end as one of the two legs of a forwarding host knows it.
    pub(super) fn on(self, near_opener: bool) -> EndKey {
        if near_opener { self } else { EndKey(self.0 ^ FAR) }
    }

    /// Which of so many chains it belongs to.
    #[inline]
    pub(super) fn chain(self, chains: usize) -> usize {
        self.0 as usize % chains
    }
}

/// Sender and receiver of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) from: EndKey,
    pub(super) to: EndKey,
}

impl Ends {
    /// The end that listens, if `from` sends.
    #[inline]
    pub(super) fn listener(self, from: Role) -> EndKey {
        if from == Role::Opener { self.to } else { self.from }
    }

    /// The key of the connection, the same for both directions.
    #[inline]
    pub(super) fn key(self) -> FlowKey {
        FlowKey(self.from.0.wrapping_add(self.to.0))
    }
}

/// Stands for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowKey(u64);

impl FlowKey {
    /// The same connection as one of the two legs of a forwarding host knows it.
    pub(super) fn on(self, near_opener: bool) -> FlowKey {
        if near_opener { self } else { FlowKey(self.0 ^ FAR) }
    }

    /// Which of so many chains it belongs to.
    #[inline]
    pub(super) fn chain(self, chains: usize) -> usize {
        self.0 as usize % chains
    }
}

/// A table by [`EndKey`] or [`FlowKey`].
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Digested>>;

/// Passes on what is a digest already.
#[derive(Default)]
pub(super) struct Digested(u64);

impl Hasher for Digested {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    #[inline]
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
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
        let keys = Keys::default();
        let key = |one, other| keys.ends(one, other).key();
        let (one, other) = (at([10, 0, 0, 1], 40000), at([10, 0, 0, 2], 21));
        assert_eq!(key(one, other), key(other, one));
        assert_ne!(key(one, other), key(one, at([10, 0, 0, 3], 21)));
        assert_ne!(key(one, other), key(at([10, 0, 0, 1], 21), at([10, 0, 0, 2], 40000)));
    }

    #[test]
    fn trackers_do_not_share_a_secret() {
        let end = at([10, 0, 0, 1], 21);
        assert_ne!(Keys::default().end(end), Keys::default().end(end));
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
