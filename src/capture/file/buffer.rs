//! A window on the bytes of an input, in which records are walked in place.
//!
//! Reads are large and always land at the same place; what is left of the bytes before is moved in front of them,
//! into the headroom. Nothing is read while what is asked for is there, so that a record from a pipe is seen when it
//! comes and not when the buffer is full.

use std::io::{self, Read};

use super::input::Input;
use super::record::{End, Found, MAX_PACKET};

/// Bytes asked for in one read. Measured: a capture of big packets is replayed in nine tenths of the time that reads of
/// 128 KiB take; 2 MiB gain nothing more.
pub(super) const READ: usize = 1 << 20;

/// Longest stretch of bytes that can be held at once: a packet with its headers and options.
pub(super) const HEADROOM: usize = 2 * MAX_PACKET as usize;

/// Where reads land is a multiple of this. Measured: to any place but the start of a cache line, the system copies at
/// a quarter of the speed, and large allocations begin 16 bytes off.
const LINE: usize = 64;

/// See the file's head.
pub(super) struct Buffer {
    input: Input,
    bytes: Box<[u8]>,
    /// Where reads land: the end of the headroom.
    landing: usize,
    start: usize,
    end: usize,
    ended: bool,
    fault: Option<io::Error>,
}

impl Buffer {
    /// A window on `input` that reads up to `read` bytes at once.
    pub(super) fn new(input: Input, read: usize) -> Buffer {
        let bytes = vec![0; HEADROOM + LINE + read].into_boxed_slice();
        let landing = HEADROOM + bytes[HEADROOM..].as_ptr().align_offset(LINE).min(LINE);
        Buffer { input, bytes, landing, start: landing, end: landing, ended: false, fault: None }
    }

    /// The next `N` bytes, or none if the input ends before.
    #[inline]
    pub(super) fn peek<const N: usize>(&mut self) -> Option<&[u8; N]> {
        if !self.ensure(N) {
            return None;
        }
        self.bytes[self.start..].first_chunk()
    }

    /// As many of the next `len` bytes as there are.
    pub(super) fn prefix(&mut self, len: usize) -> &[u8] {
        self.ensure(len);
        &self.bytes[self.start..self.end.min(self.start + len)]
    }

    /// Passes over the next `len` bytes, at most [`HEADROOM`], and says where they begin; none if the input ends
    /// before. They stay readable through [`slice`](Self::slice) until something more is asked for.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Option<usize> {
        if !self.ensure(len) {
            return None;
        }
        self.start += len;
        Some(self.start - len)
    }

    /// The `len` bytes from `offset` on, which [`take`](Self::take) gave.
    #[inline]
    pub(super) fn slice(&self, offset: usize, len: usize) -> &[u8] {
        &self.bytes[offset..offset + len]
    }

    /// Passes over the next `len` bytes, however many; says how many there were.
    pub(super) fn skip(&mut self, len: u64) -> u64 {
        let mut left = len;
        while left > 0 && self.ensure(1) {
            let step = usize::try_from(left).map_or(self.available(), |left| left.min(self.available()));
            self.start += step;
            left -= step as u64;
        }
        len - left
    }

    /// The end that a walker meets that wants `says` bytes and does not get them; `who` as in [`End::cut`].
    #[cold]
    pub(super) fn short<T>(&self, who: &'static str, says: usize) -> Found<T> {
        match self.available() {
            0 => Err(Box::new(End::Finished)),
            has => End::cut(who, says as u64, has as u64),
        }
    }

    /// What went wrong when the input was read, if something did.
    pub(super) fn fault(&self) -> Option<&io::Error> {
        self.fault.as_ref()
    }

    /// The input behind the window.
    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    /// Bytes that are there without reading.
    #[inline]
    pub(super) fn available(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    fn ensure(&mut self, len: usize) -> bool {
        self.available() >= len || self.fill(len)
    }

    #[cold]
    fn fill(&mut self, len: usize) -> bool {
        debug_assert!(len <= HEADROOM, "no walker asks for more");
        if self.start == self.end || self.end == self.bytes.len() || self.start + len > self.bytes.len() {
            self.move_to_headroom(len);
        }
        while self.available() < len && !self.ended {
            match self.input.read(&mut self.bytes[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(fault) => {
                    self.ended = true;
                    self.fault = Some(fault);
                }
            }
        }
        self.available() >= len
    }

    /// Makes what is left end where the next read shall land, or so far before that `len` bytes have room. It is
    /// shorter than `len`, so the headroom holds it.
    fn move_to_headroom(&mut self, len: usize) {
        let available = self.available();
        let start = (self.landing - available).min(self.bytes.len() - len);
        self.bytes.copy_within(self.start..self.end, start);
        self.start = start;
        self.end = start + available;
    }
}
