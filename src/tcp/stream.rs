//! Reassembly of one direction of a control connection. Read RFC 9293 section 3.10.7.4 first.
//!
//! A capture sees what a receiver sees, with one difference: it may have missed a segment that the receiver has.
//! So a hole is closed in one of two ways: the bytes come after all, or something proves that they never
//! will, and then the stream says [`Piece::Gap`] and goes on behind the hole.
//!
//! Data connections never come here: their bytes are only counted.

use crate::cite::At;
use crate::tcp::seq::{before, distance};

/// Segments held at most while waiting for an earlier one. A peer that fills a hole does so within a
/// window or two; on a control connection that is a handful of segments.
pub const MAX_HELD_SEGMENTS: usize = 32;

/// Bytes held at most while waiting for an earlier segment: a full window without scaling.
pub const MAX_HELD_BYTES: usize = 65_535;

/// The largest window of RFC 7323, in bytes. What lies further ahead was not sent by this peer.
const MAX_WINDOW: i32 = 1 << 30;

/// What a stream yields, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes of the stream.
    Text {
        /// Frame that carried them.
        at: At,
        /// Sequence number of the first byte.
        seq: u32,
        /// The bytes; never empty.
        bytes: &'a [u8],
        /// Whether the first of them began its segment; false if older bytes were cut off before it.
        starts_segment: bool,
    },
    /// Bytes are missing here: the capture does not have them.
    Gap,
}

/// The state of one direction: where it has got to, and what came too early.
///
/// 32 bytes, and nothing on the heap unless segments come out of order.
#[derive(Debug, Default)]
pub struct Stream {
    next: Option<u32>,
    /// Ordered by sequence number, all beyond `next`, without overlap.
    held: Vec<Held>,
}

impl Stream {
    /// A stream of which nothing has been seen.
    pub const fn new() -> Self {
        Stream { next: None, held: Vec::new() }
    }

    /// Sets the sequence number of the first byte: that of the SYN plus one. What was held is forgotten.
    pub fn start(&mut self, seq: u32) {
        *self = Stream { next: Some(seq), held: Vec::new() };
    }

    /// The sequence number of the next byte in order; `None` before the first segment.
    #[inline]
    pub fn next_seq(&self) -> Option<u32> {
        self.next
    }

    /// Whether nothing waits behind a hole.
    #[inline]
    pub fn is_in_order(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes one segment and emits what is now in order.
    ///
    /// `cut` counts the bytes of the segment that the snap length cut off behind `text`; they become a gap. Of
    /// bytes seen twice the first copy wins, so retransmissions and keep-alives give nothing. A session that the
    /// capture joins midway starts with the first segment seen.
    #[inline]
    pub fn push(&mut self, at: At, seq: u32, text: &[u8], cut: u32, mut emit: impl FnMut(Piece<'_>)) {
        if Some(seq) == self.next && cut == 0 && self.held.is_empty() {
            return self.in_order(at, seq, text, emit);
        }
        if text.is_empty() && cut == 0 {
            return;
        }
        let next = *self.next.get_or_insert(seq);
        let segment = Segment { at, seq, text, cut, starts_segment: true };
        let Some(segment) = segment.from(next).filter(|rest| rest.is_within_window(next)) else {
            return;
        };
        if segment.seq == next && self.held.is_empty() {
            self.next = Some(segment.emit(&mut emit));
        } else {
            self.hold(segment);
            self.drain(&mut emit);
            self.relieve(&mut emit);
        }
    }

    /// The usual case: the next bytes, with nothing in wait behind them.
    #[inline]
    fn in_order(&mut self, at: At, seq: u32, text: &[u8], mut emit: impl FnMut(Piece<'_>)) {
        self.next = Some(seq.wrapping_add(text.len() as u32));
        if !text.is_empty() {
            emit(Piece::Text { at, seq, bytes: text, starts_segment: true });
        }
    }

    /// Takes the acknowledgment number of a segment that came the other way: its sender has every byte below it.
    ///
    /// A hole below it was missed by the capture. The stream passes a hole only up to data it has seen behind
    /// it, and only if the hole is acknowledged to its end: a forged or broken number moves nothing by
    /// itself.
    #[inline]
    pub fn acknowledged(&mut self, ack: u32, mut emit: impl FnMut(Piece<'_>)) {
        while let Some(first) = self.held.first()
            && !before(ack, first.seq)
        {
            self.skip_hole(&mut emit);
        }
    }

    /// Ends the stream: emits what is held, each hole as a gap.
    pub fn finish(&mut self, mut emit: impl FnMut(Piece<'_>)) {
        while !self.held.is_empty() {
            self.skip_hole(&mut emit);
        }
    }

    /// Emits what is held from `next` on without a hole.
    fn drain(&mut self, emit: &mut impl FnMut(Piece<'_>)) {
        while let Some(first) = self.held.first()
            && Some(first.seq) == self.next
        {
            self.next = Some(first.segment().emit(emit));
            self.held.remove(0);
        }
    }

    /// Gives up the hole before the first held segment.
    fn skip_hole(&mut self, emit: &mut impl FnMut(Piece<'_>)) {
        if let Some(first) = self.held.first() {
            self.next = Some(first.seq);
            emit(Piece::Gap);
            self.drain(emit);
        }
    }

    /// Gives up holes until the bounds hold again.
    fn relieve(&mut self, emit: &mut impl FnMut(Piece<'_>)) {
        while self.held.len() > MAX_HELD_SEGMENTS || self.held_bytes() > MAX_HELD_BYTES {
            self.skip_hole(emit);
        }
    }

    fn held_bytes(&self) -> usize {
        self.held.iter().map(|held| held.text.len()).sum()
    }

    /// Keeps those parts of a segment that no held segment covers.
    fn hold(&mut self, segment: Segment<'_>) {
        let mut rest = segment;
        let mut i = 0;
        while let Some((seq, end)) = self.held.get(i).map(Held::span)
            && before(seq, rest.end())
        {
            if before(rest.seq, seq) {
                let (head, tail) = rest.split(seq);
                self.held.insert(i, head.to_held());
                i += 1;
                rest = tail;
            }
            let Some(tail) = rest.from(end) else { return };
            rest = tail;
            i += 1;
        }
        self.held.insert(i, rest.to_held());
    }
}

/// A segment, or what is left of it.
#[derive(Clone, Copy)]
struct Segment<'a> {
    at: At,
    seq: u32,
    text: &'a [u8],
    cut: u32,
    starts_segment: bool,
}

impl<'a> Segment<'a> {
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.text.len() as u32).wrapping_add(self.cut)
    }

    /// Whether it lies in the largest window that can begin at `next`.
    #[inline]
    fn is_within_window(&self, next: u32) -> bool {
        let (first, end) = (distance(next, self.seq), distance(next, self.end()));
        0 <= first && first < end && end <= MAX_WINDOW
    }

    /// The part from `seq` on, the whole if it begins there or later; `None` if nothing is left.
    fn from(self, seq: u32) -> Option<Segment<'a>> {
        if !before(self.seq, seq) {
            return Some(self);
        }
        before(seq, self.end()).then(|| self.split(seq).1)
    }

    /// The parts before and from `seq`, which must lie inside.
    fn split(self, seq: u32) -> (Segment<'a>, Segment<'a>) {
        let length = distance(self.seq, seq).cast_unsigned();
        let (text, rest) = self.text.split_at(self.text.len().min(length as usize));
        let cut = length - text.len() as u32;
        let head = Segment { text, cut, ..self };
        let tail = Segment { seq, text: rest, cut: self.cut.wrapping_sub(cut), starts_segment: false, ..self };
        (head, tail)
    }

    /// Emits the segment and returns its end.
    #[inline]
    fn emit(&self, emit: &mut impl FnMut(Piece<'_>)) -> u32 {
        if !self.text.is_empty() {
            let Segment { at, seq, text: bytes, starts_segment, .. } = *self;
            emit(Piece::Text { at, seq, bytes, starts_segment });
        }
        if self.cut > 0 {
            emit(Piece::Gap);
        }
        self.end()
    }

    fn to_held(self) -> Held {
        let Segment { at, seq, text, cut, starts_segment } = self;
        Held { at, seq, text: text.into(), cut, starts_segment }
    }
}

/// A [`Segment`] that owns its text.
#[derive(Debug)]
struct Held {
    at: At,
    seq: u32,
    text: Box<[u8]>,
    cut: u32,
    starts_segment: bool,
}

impl Held {
    /// Its first sequence number and the one behind it.
    fn span(&self) -> (u32, u32) {
        (self.seq, self.segment().end())
    }

    fn segment(&self) -> Segment<'_> {
        Segment { at: self.at, seq: self.seq, text: &self.text, cut: self.cut, starts_segment: self.starts_segment }
    }
}

#[cfg(test)]
mod tests;
