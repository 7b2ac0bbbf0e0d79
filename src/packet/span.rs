//! The bytes of one layer: those that were captured, and how many there were on the wire.
//!
//! Every length is checked here, once; behind it the field accessors of pnet cannot go wrong.

use super::Frame;
use super::undecoded::{End, Fault, Layer, Undecoded};

/// Captured bytes and the length they had on the wire, which is never less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// The captured bytes.
    pub(super) bytes: &'a [u8],
    /// Length on the wire in bytes.
    pub(super) wire: usize,
    /// Who says that `wire` ends there.
    end: End,
}

impl<'a> Span<'a> {
    /// The whole frame.
    #[inline]
    pub(super) fn of_frame(frame: &Frame<'a>) -> Self {
        let wire = frame.bytes.len().max(frame.original_len as usize);
        Span { bytes: frame.bytes, wire, end: End::Frame }
    }

    /// A datagram of `wire` bytes put together from fragments, known up to the first byte that was not captured.
    pub(super) fn of_fragments(bytes: &'a [u8], wire: usize) -> Self {
        Span { bytes, wire, end: End::LastFragment }
    }

    /// Whether the capture kept only a part of it.
    #[inline]
    pub(super) fn is_cut(&self) -> bool {
        self.bytes.len() < self.wire
    }

    /// The fixed part of a header of `layer`, as `read` sees it.
    ///
    /// `read` gets exactly the [`Layer::header_len`] first bytes.
    #[inline]
    pub(super) fn header<T>(&self, layer: Layer, read: impl FnOnce(&'a [u8]) -> Option<T>) -> Result<T, Undecoded> {
        let want = layer.header_len();
        self.bytes.get(..want).and_then(read).ok_or_else(|| self.short(layer, want))
    }

    /// Checks that `want` bytes of `layer` were captured.
    #[inline]
    pub(super) fn need(&self, layer: Layer, want: usize) -> Result<(), Undecoded> {
        if self.bytes.len() < want { Err(self.short(layer, want)) } else { Ok(()) }
    }

    /// Why there are not `want` bytes of `layer`.
    #[cold]
    pub(super) fn short(&self, layer: Layer, want: usize) -> Undecoded {
        let (have, end) = match want <= self.wire {
            true => (self.bytes.len(), End::SnapLength),
            false => (self.wire, self.end),
        };
        Undecoded { layer, fault: Fault::Short { have, want, end } }
    }

    /// What follows the first `count` bytes; nothing if there are fewer.
    #[inline]
    pub(super) fn skip(self, count: usize) -> Self {
        Span {
            bytes: self.bytes.get(count..).unwrap_or_default(),
            wire: self.wire.saturating_sub(count),
            end: self.end,
        }
    }

    /// The first `wire` bytes, as a length field claims. What the capture does not have of them counts as cut off.
    #[inline]
    pub(super) fn of_length(self, wire: usize, end: End) -> Self {
        Span { bytes: self.bytes.get(..wire).unwrap_or(self.bytes), wire, end }
    }
}
