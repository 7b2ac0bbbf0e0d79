//! What one end of a connection sent, as one tap saw it, in offsets from its first byte.
//!
//! Byte counts follow from sequence numbers (RFC 9293 section 3.4), so a capture that keeps only SYN and FIN still gives them.

use std::num::NonZeroU16;

use crate::cite::{At, Time};
use crate::packet::Segment;
use crate::tcp::seq;

/// Two copies of one segment closer than this are one packet captured twice (a mirror port, `-i any`, a bridge), not a
/// retransmission: no TCP retransmits a SYN within 50 ms (RFC 6298 2.4 asks for a second, Linux uses at least 200 ms).
const SAME_PACKET: i64 = 50_000_000;

/// The largest step forward that one segment may make, in bytes: RFC 7323 limits a window to 1 GiB, so a number further
/// off is damage or a stranger's.
const MAX_JUMP: u64 = 1 << 30;

/// A packet of the handshake or the ending, with its repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// First copy.
    pub first: At,
    /// Latest copy.
    pub last: At,
    /// Number of copies, duplicates of the capture not counted.
    pub count: NonZeroU16,
}

impl Leg {
    pub(super) fn add(leg: &mut Option<Leg>, at: At) -> bool {
        match leg {
            None => {
                *leg = Some(Leg { first: at, last: at, count: NonZeroU16::MIN });
                true
            }
            Some(leg) if at.time.0 - leg.last.time.0 < SAME_PACKET => false,
            Some(leg) => {
                leg.last = at;
                leg.count = leg.count.saturating_add(1);
                true
            }
        }
    }
}

/// Segments that carried nothing new and were sent after a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// How many.
    pub count: u32,
    /// Length of the one at the first byte that was not acknowledged, when it was last sent again.
    pub stuck_len: u32,
    /// The latest of them.
    pub last: At,
}

/// What one end sent, in offsets from its first byte (0 is the byte after the SYN).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Sequence number of offset 0; none before anything was seen.
    pub start: Option<u32>,
    /// The SYN itself was seen, so `start` is no guess.
    pub from_syn: bool,
    /// End of the bytes seen without a hole.
    solid: u64,
    /// End of the furthest byte seen.
    pub reach: u64,
    /// First byte beyond the hole after `solid`, while there is one.
    island: u64,
    /// Furthest offset that the sender stood at in any segment, bare acknowledgements included.
    pub stood: u64,
    /// Furthest offset that the other end acknowledged.
    pub acked: u64,
    /// Few connections have any.
    again: Option<Box<Again>>,
    /// Longest segment that was acknowledged.
    pub longest_acked: u32,
    /// Length of a longer segment under way, 0 if there is none.
    probe_len: u32,
    /// Its end.
    probe_end: u64,
    /// Latest segment with new bytes.
    pub last_new: At,
    /// Time of the latest segment of any kind.
    pub last: Time,
    /// The FIN.
    pub fin: Option<Leg>,
    /// Its offset.
    fin_at: u64,
    /// TTL or hop limit of the latest segment that was no RST.
    pub ttl: u8,
    /// Latest advertised window (unscaled; only zero is meaningful without the scale).
    pub window: u16,
}

impl Half {
    /// Bytes sent, a hole in the capture included where later bytes prove it.
    pub fn bytes(&self) -> u64 {
        self.fin_at().unwrap_or(self.reach.max(self.acked))
    }

    /// Bytes were sent. Where the FIN was not seen, the last byte that is acknowledged may be it.
    pub fn has_sent(&self) -> bool {
        self.fin_at().unwrap_or(self.reach.max(self.acked.saturating_sub(1))) > 0
    }

    /// Segments that carried nothing new.
    pub fn again(&self) -> Again {
        self.again.as_deref().copied().unwrap_or_default()
    }

    /// How many of these there are.
    #[inline]
    pub fn resent(&self) -> u32 {
        self.again.as_ref().map_or(0, |again| again.count)
    }

    /// The FIN was acknowledged.
    pub fn fin_acked(&self) -> bool {
        self.fin_at().is_some_and(|fin| self.acked > fin)
    }

    /// Offset of the FIN.
    fn fin_at(&self) -> Option<u64> {
        self.fin.map(|_| self.fin_at)
    }

    /// Bytes were sent that the other end never acknowledged.
    pub fn unacked(&self) -> bool {
        self.reach > self.acked
    }

    /// The other end has bytes of the end that were not captured. Only if the FIN was seen is the last byte known to be none.
    pub fn lacks_end(&self) -> bool {
        let end = self.fin_at().map_or(self.acked.saturating_sub(1), |fin| fin.min(self.acked));
        self.start.is_some() && end > self.reach
    }

    /// Where what was seen ends; a FIN counts as one byte.
    pub fn seen(&self) -> u64 {
        self.reach + u64::from(self.fin.is_some())
    }

    /// The other end has something of it that was not captured, be it only the FIN: the capture misses packets.
    pub fn acked_unseen(&self) -> bool {
        self.acked > self.seen()
    }

    /// The offset of `seq` near `edge`, none if it is impossibly far beyond.
    #[inline]
    fn offset(&self, seq: u32, edge: u64) -> Option<u64> {
        let offset = seq::lift(seq.wrapping_sub(self.start?), edge);
        (offset <= edge + MAX_JUMP).then_some(offset)
    }

    /// There is text up to `seq` that was not captured.
    pub(super) fn lacks(&self, seq: u32) -> bool {
        let edge = self.reach.max(self.acked);
        self.offset(seq, edge).is_some_and(|to| to > edge)
    }

    #[inline]
    pub(super) fn sent(&mut self, segment: &Segment<'_>) {
        let syn = segment.flags.syn();
        let seq = segment.seq.wrapping_add(u32::from(syn));
        self.start.get_or_insert(seq);
        self.from_syn |= syn;
        self.ttl = segment.ttl;
        self.window = segment.window;
        self.last = segment.at.time;
        let Some(from) = self.offset(seq, self.reach.max(self.acked)) else { return };
        self.stood = self.stood.max(from);
        let to = from + u64::from(segment.text_len);
        if segment.text_len > 0 {
            self.text(segment.at, from, to);
        }
        if segment.flags.fin() {
            self.fin_at = to;
            Leg::add(&mut self.fin, segment.at);
        }
    }

    /// Bytes `from..to` were seen. One hole is kept: `solid..island`; `solid == reach` says that there is none.
    fn text(&mut self, at: At, from: u64, to: u64) {
        let len = (to - from) as u32;
        let fills_hole = self.solid < self.reach && from < self.island && to > self.solid;
        if to <= self.reach && !fills_hole {
            return self.text_again(at, from, to, len);
        }
        self.last_new = at;
        if from <= self.solid {
            self.solid = self.solid.max(to);
        } else if self.solid == self.reach {
            self.island = from;
        } else {
            self.island = self.island.min(from);
        }
        self.reach = self.reach.max(to);
        self.close_hole();
        if self.probe_len == 0 && len > self.longest_acked {
            (self.probe_end, self.probe_len) = (to, len);
        }
    }

    fn text_again(&mut self, at: At, from: u64, to: u64, len: u32) {
        let since = self.last_new.time.max(self.again().last.time);
        if to > self.acked && at.time.0 - since.0 >= SAME_PACKET {
            let again = self.again.get_or_insert_default();
            again.count += 1;
            again.last = at;
            if from <= self.acked {
                again.stuck_len = len;
            }
        }
    }

    fn close_hole(&mut self) {
        if self.solid >= self.island {
            self.solid = self.reach;
            self.island = self.reach;
        }
    }

    /// What the other end has needs no proof by capture: a hole below `ack` is the capture's.
    #[inline]
    pub(super) fn acknowledge(&mut self, ack: u32) {
        let Some(to) = self.offset(ack, self.reach.max(self.acked)).filter(|to| *to > self.acked) else { return };
        self.acked = to;
        if to >= self.probe_end {
            self.longest_acked = self.longest_acked.max(self.probe_len);
            self.probe_len = 0;
        }
        if to > self.solid {
            self.solid = to.min(self.reach);
            self.close_hole();
        }
    }
}
