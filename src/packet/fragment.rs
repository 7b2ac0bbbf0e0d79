//! Puts fragmented datagrams together.
//!
//! Read first: RFC 791 section 3.2 and RFC 8200 section 4.5; `net/ipv4/ip_fragment.c`. Fragments are laid down in units
//! of eight bytes, of which the first to arrive wins, so no overlap can turn a sum around.
//!
//! A datagram that lacks a fragment yields nothing, even if its first fragment holds a whole TCP header: it never
//! reaches the receiver's TCP either. It is counted, and above it shows as a gap in the sequence numbers.

use std::net::IpAddr;
use std::time::Duration;

use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};

use super::ip::{self, Content, Fragment};
use super::span::Span;
use super::undecoded::{Layer, Undecoded};
use super::{Direction, Stop};
use crate::cite::Time;

/// How many datagrams may wait for their fragments. TCP avoids fragments, so that even a handful is much; and the
/// search for one among them stays short.
const DATAGRAMS: usize = 64;

/// How many bytes all of them may hold: sixteen of the largest.
const BYTES: usize = 16 * DATAGRAM_BYTES;

/// The largest datagram: its length is a number of 16 bits.
const DATAGRAM_BYTES: usize = 65_535;

/// How long a datagram waits in capture time; `net.ipv4.ipfrag_time` is the same.
const AGE: Duration = Duration::from_secs(30);

/// The unit of fragment offsets in bytes.
const UNIT: usize = 8;

/// What the fragments of one datagram have in common. Interface and direction keep the two legs of a forwarding host
/// apart in a capture on all of its interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) interface: u32,
    pub(super) direction: Option<Direction>,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: IpNextHeaderProtocol,
    pub(super) id: u32,
}

/// The datagrams that wait, oldest first, and the last that was completed.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    waiting: Vec<Partial>,
    whole: Vec<u8>,
    given_up: u64,
}

impl Reassembly {
    /// Adds a fragment; the content of the whole datagram if it was the last one missing.
    ///
    /// # Errors
    /// [`Stop::Other`] while others are missing, or if the datagram is none of TCP; [`Stop::Undecoded`] for a place in
    /// the datagram that is impossible: the fragment is not added.
    pub(super) fn content(
        &mut self,
        now: Time,
        key: Key,
        fragment: Fragment,
        payload: Span<'_>,
    ) -> Result<Content<'_>, Stop> {
        if key.protocol != IpNextHeaderProtocols::Tcp && !ip::is_extension(key.protocol) {
            return Err(Stop::Other);
        }
        let whole = self.add(now, key, fragment, payload)?.ok_or(Stop::Other)?;
        match ip::content(key.protocol, whole)? {
            Content { fragment: Some(_), .. } => Err(Stop::Other), // a fragment in a fragment: no host sends it
            content => Ok(Content { checkable: false, ..content }),
        }
    }

    /// Adds a fragment; the payload of the whole datagram if it was the last one missing.
    fn add(
        &mut self,
        now: Time,
        key: Key,
        fragment: Fragment,
        payload: Span<'_>,
    ) -> Result<Option<Span<'_>>, Undecoded> {
        let end = checked_end(fragment, payload.wire)?;
        self.give_up_old(now);
        let index = self.position(key, now);
        let partial = &mut self.waiting[index];
        partial.check_total(fragment, end)?;
        partial.lay_down(fragment, payload, end);
        if !partial.is_complete() {
            self.make_room();
            return Ok(None);
        }
        let Partial { bytes, known, .. } = self.waiting.remove(index);
        self.whole = bytes;
        let known = known.min(self.whole.len());
        Ok(Some(Span::of_fragments(&self.whole[..known], self.whole.len())))
    }

    /// How many datagrams were given up or still wait.
    pub(super) fn incomplete(&self) -> u64 {
        self.given_up + self.waiting.len() as u64
    }

    /// Where the datagram of `key` waits, from now on if it is new.
    fn position(&mut self, key: Key, now: Time) -> usize {
        self.waiting.iter().position(|partial| partial.key == key).unwrap_or_else(|| {
            self.waiting.push(Partial::new(key, now));
            self.waiting.len() - 1
        })
    }

    fn give_up_old(&mut self, now: Time) {
        let before = self.waiting.len();
        self.waiting.retain(|partial| partial.since.until(now) <= AGE);
        self.given_up += (before - self.waiting.len()) as u64;
    }

    fn make_room(&mut self) {
        let bytes = |waiting: &[Partial]| waiting.iter().map(|p| p.bytes.len()).sum::<usize>();
        while self.waiting.len() > DATAGRAMS || bytes(&self.waiting) > BYTES {
            self.waiting.remove(0);
            self.given_up += 1;
        }
    }
}

/// Where a fragment ends in its datagram, in bytes.
fn checked_end(fragment: Fragment, length: usize) -> Result<usize, Undecoded> {
    let end = fragment.offset + length;
    if fragment.more && !length.is_multiple_of(UNIT) {
        return Err(Undecoded::field(Layer::Fragment, "length", length));
    }
    if end > DATAGRAM_BYTES {
        return Err(Undecoded::field(Layer::Fragment, "end", end));
    }
    Ok(end)
}

/// A datagram of which not all fragments have arrived.
#[derive(Debug)]
struct Partial {
    key: Key,
    /// When its first fragment arrived.
    since: Time,
    /// Its bytes up to the furthest end so far, zero where nothing is held.
    bytes: Vec<u8>,
    /// For each unit of `bytes`, whether it is held.
    held: Vec<bool>,
    /// How many are.
    units: usize,
    /// Its length, once the last fragment has told.
    total: Option<usize>,
    /// Where the first byte lies that the capture cut off.
    known: usize,
}

impl Partial {
    fn new(key: Key, since: Time) -> Self {
        Partial { key, since, bytes: Vec::new(), held: Vec::new(), units: 0, total: None, known: usize::MAX }
    }

    /// Refuses bytes beyond the total length, and a total length before bytes that are held.
    fn check_total(&self, fragment: Fragment, end: usize) -> Result<(), Undecoded> {
        let beyond = self.total.is_some_and(|total| end > total);
        let before = !fragment.more && end < self.bytes.len();
        if beyond || before {
            return Err(Undecoded::field(Layer::Fragment, "end", end));
        }
        Ok(())
    }

    fn lay_down(&mut self, fragment: Fragment, payload: Span<'_>, end: usize) {
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.held.resize(end.div_ceil(UNIT), false);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        if payload.is_cut() {
            self.known = self.known.min(fragment.offset + payload.bytes.len());
        }
        for start in (0..payload.wire).step_by(UNIT) {
            let unit = (fragment.offset + start) / UNIT;
            if !std::mem::replace(&mut self.held[unit], true) {
                self.units += 1;
                copy_unit(&mut self.bytes[unit * UNIT..], &payload.bytes[start.min(payload.bytes.len())..]);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.units == total.div_ceil(UNIT))
    }
}

/// Copies one unit, or as much of it as there is.
fn copy_unit(target: &mut [u8], source: &[u8]) {
    let length = UNIT.min(source.len());
    target[..length].copy_from_slice(&source[..length]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn key(id: u32) -> Key {
        Key {
            interface: 0,
            direction: None,
            source: Ipv4Addr::new(10, 0, 0, 1).into(),
            destination: Ipv4Addr::new(10, 0, 0, 2).into(),
            protocol: IpNextHeaderProtocols::Tcp,
            id,
        }
    }

    /// Adds `bytes` at `offset` to datagram `id`, at `second`; the whole datagram if it is complete.
    fn add(
        reassembly: &mut Reassembly,
        (id, second): (u32, i64),
        (offset, more): (usize, bool),
        bytes: &[u8],
    ) -> Result<Option<Vec<u8>>, Undecoded> {
        let fragment = Fragment { id, offset, more };
        let payload = Span::of_fragments(bytes, bytes.len());
        let whole = reassembly.add(Time(second * 1_000_000_000), key(id), fragment, payload)?;
        Ok(whole.map(|span| span.bytes.to_vec()))
    }

    #[test]
    fn first_bytes_win_and_order_does_not_matter() {
        let mut reassembly = Reassembly::default();
        assert_eq!(add(&mut reassembly, (1, 0), (16, false), b"cd"), Ok(None));
        assert_eq!(add(&mut reassembly, (1, 0), (8, true), b"bbbbbbbb"), Ok(None));
        let whole = add(&mut reassembly, (1, 0), (0, true), b"aaaaaaaaXXXXXXXX").unwrap();
        assert_eq!(whole.as_deref(), Some(&b"aaaaaaaabbbbbbbbcd"[..]));
        assert_eq!(reassembly.incomplete(), 0);
    }

    #[test]
    fn impossible_places_are_refused() {
        let mut reassembly = Reassembly::default();
        let refused = |value, name| Err(Undecoded::field(Layer::Fragment, name, value));
        // A length between others that is no multiple of 8; the ping of death: an end beyond 65,535.
        assert_eq!(add(&mut reassembly, (1, 0), (0, true), b"abc"), refused(3, "length"));
        assert_eq!(add(&mut reassembly, (1, 0), (65_528, false), &[0; 8]), refused(65_536, "end"));
        // Teardrop (CVE-1999-0015): a last fragment that ends within an earlier one.
        assert_eq!(add(&mut reassembly, (1, 0), (0, true), &[0; 40]), Ok(None));
        assert_eq!(add(&mut reassembly, (1, 0), (24, false), &[0; 4]), refused(28, "end"));
        // Bytes behind the end that the last fragment has set.
        assert_eq!(add(&mut reassembly, (1, 0), (48, false), &[0; 4]), Ok(None));
        assert_eq!(add(&mut reassembly, (1, 0), (48, true), &[0; 8]), refused(56, "end"));
        let whole = add(&mut reassembly, (1, 0), (40, true), &[0; 8]).unwrap();
        assert_eq!(whole.map(|bytes| bytes.len()), Some(52));
    }

    #[test]
    fn a_cut_fragment_ends_what_is_known() {
        let mut reassembly = Reassembly::default();
        let first = Fragment { id: 1, offset: 0, more: true };
        let cut = Span::of_fragments(b"abcde", 8);
        assert!(reassembly.add(Time(0), key(1), first, cut).unwrap().is_none());
        let last = Fragment { id: 1, offset: 8, more: false };
        let whole = reassembly.add(Time(0), key(1), last, Span::of_fragments(b"fg", 2));
        let whole = whole.unwrap().unwrap();
        assert_eq!((whole.bytes, whole.wire), (&b"abcde"[..], 10));
    }

    #[test]
    fn waiting_is_bounded_in_time_number_and_bytes() {
        let mut reassembly = Reassembly::default();
        add(&mut reassembly, (1, 0), (0, true), &[0; 8]).unwrap();
        assert_eq!(add(&mut reassembly, (1, 31), (8, false), &[0; 8]), Ok(None), "too late");
        assert_eq!(reassembly.incomplete(), 2);
        for id in 2..=70 {
            add(&mut reassembly, (id, 31), (0, true), &[0; 8]).unwrap();
        }
        assert_eq!((reassembly.waiting.len(), reassembly.incomplete()), (DATAGRAMS, 71));
        for id in 100..120 {
            add(&mut reassembly, (id, 31), (65_520, true), &[0; 8]).unwrap();
        }
        assert_eq!((reassembly.waiting.len(), reassembly.incomplete()), (16, 91));
    }

    proptest! {
        #[test]
        fn any_pieces_in_any_order_make_the_datagram(
            bytes in prop::collection::vec(any::<u8>(), 1..600),
            pieces in prop::collection::vec((0_usize..80, 1_usize..20), 0..40),
        ) {
            let mut reassembly = Reassembly::default();
            let covering = (0..bytes.len().div_ceil(UNIT)).map(|unit| (unit, 1)).rev();
            let whole = pieces.into_iter().chain(covering).find_map(|(unit, units)| {
                let start = (unit * UNIT).min(bytes.len());
                let end = (start + units * UNIT).min(bytes.len());
                let place = (unit * UNIT, end < bytes.len());
                (start == unit * UNIT).then(|| add(&mut reassembly, (1, 0), place, &bytes[start..end]).unwrap())?
            });
            prop_assert_eq!(whole, Some(bytes));
        }

        #[test]
        fn no_fragment_breaks_it(
            pieces in prop::collection::vec(
                (0_u32..4, 0_usize..8192, any::<bool>(), 0_usize..100, 0_usize..100),
                0..200,
            ),
        ) {
            let mut reassembly = Reassembly::default();
            for (id, unit, more, have, missing) in pieces {
                let bytes = vec![0; have];
                let fragment = Fragment { id, offset: unit * UNIT, more };
                let payload = Span::of_fragments(&bytes, have + missing);
                if let Ok(Some(whole)) = reassembly.add(Time(0), key(id), fragment, payload) {
                    prop_assert!(whole.bytes.len() <= whole.wire && whole.wire <= DATAGRAM_BYTES);
                }
                prop_assert!(reassembly.waiting.len() <= DATAGRAMS);
            }
        }
    }
}
