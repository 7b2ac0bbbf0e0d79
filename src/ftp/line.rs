//! Splits one direction of a control connection into lines. Read RFC 959 section 5.3 and RFC 854 ("NVT
//! printer") first.
//!
//! A line should end with CR LF. Bare LF and CR NUL are met too.

use memchr::memchr2_iter;

use crate::cite::At;
use crate::plain;

/// Bytes of a line that are kept. The longest legal lines carry a path (4096 bytes on Linux, doubled by escapes); a
/// longer one is no FTP.
pub const MAX_LINE: usize = 8192;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its terminator, [`MAX_LINE`] bytes at most.
    pub bytes: &'a [u8],
    /// Frame that carried the last byte, terminator included.
    pub last: At,
    /// Whether bytes at its end are missing: those beyond [`MAX_LINE`], or what the capture lacks.
    pub truncated: bool,
}

/// The splitter of one direction: two words, and nothing on the heap between lines.
#[derive(Debug, Default)]
pub struct Lines {
    unfinished: Option<Box<Unfinished>>,
    /// Bytes of the unfinished line are missing.
    broken: bool,
}

/// A line whose end is still to come.
#[derive(Debug, Default)]
struct Unfinished {
    /// Its bytes up to [`MAX_LINE`] and, if it is longer, the last byte seen.
    kept: Vec<u8>,
    /// Its bytes so far, kept or not.
    length: usize,
    /// Frame that carried the latest.
    last: At,
}

impl Lines {
    /// Takes the text of one segment, or what of it was new, and emits each line that ends in it.
    ///
    /// Lines that lie within the segment are emitted as slices of it.
    #[inline]
    pub fn push(&mut self, at: At, segment: &[u8], mut emit: impl FnMut(Line<'_>)) {
        if self.unfinished.is_none()
            && !self.broken
            && let Some(text) = plain::line(segment)
        {
            return emit(line(text, text.len(), at));
        }
        let mut rest = segment;
        while let Some((length, end)) = find_end(self.last_byte(), rest) {
            let (text, behind) = rest.split_at(length);
            if self.unfinished.is_none() && !self.broken {
                emit(line(text, length - end, at));
            } else {
                self.append(at, text);
                self.complete(end, &mut emit);
            }
            rest = behind;
        }
        if !rest.is_empty() {
            self.append(at, rest);
        }
    }

    /// Bytes are missing: the unfinished line, and all up to the next line end, is dropped.
    pub fn gap(&mut self) {
        *self = Lines { broken: true, unfinished: None };
    }

    /// The rest of the unfinished line is missing: emits what there is of it.
    pub fn cut(&mut self, mut emit: impl FnMut(Line<'_>)) {
        if !self.pending().is_empty() {
            self.complete(0, &mut |line| emit(Line { truncated: true, ..line }));
        }
    }

    /// Whether a gap was met, and no line end since.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// What comes begins a line, though no line end was seen since the gap.
    pub fn resume(&mut self) {
        *self = Lines::default();
    }

    /// Ends the stream: emits an unfinished line.
    pub fn flush(&mut self, mut emit: impl FnMut(Line<'_>)) {
        self.complete(0, &mut emit);
    }

    /// The unfinished line so far; empty between lines and behind a gap.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        match &self.unfinished {
            Some(line) if !self.broken => &line.kept[..line.kept.len().min(MAX_LINE)],
            _ => &[],
        }
    }

    #[inline]
    fn last_byte(&self) -> Option<u8> {
        self.unfinished.as_ref()?.kept.last().copied()
    }

    /// Adds bytes to the unfinished line, which they may begin.
    fn append(&mut self, at: At, bytes: &[u8]) {
        let line = self.unfinished.get_or_insert_default();
        line.last = at;
        line.length += bytes.len();
        line.kept.truncate(MAX_LINE);
        let room = MAX_LINE - line.kept.len();
        line.kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if let Some(&last) = bytes[room.min(bytes.len())..].last() {
            line.kept.push(last);
        }
    }

    /// Emits the line that the kept bytes make, less a terminator of `end` bytes, and begins the next.
    fn complete(&mut self, end: usize, emit: &mut impl FnMut(Line<'_>)) {
        let Lines { unfinished, broken } = std::mem::take(self);
        if let Some(unfinished) = unfinished.filter(|_| !broken) {
            emit(line(&unfinished.kept, unfinished.length - end, unfinished.last));
        }
    }
}

/// A line of `length` bytes, of which `bytes` has as many as are kept.
#[inline]
fn line(bytes: &[u8], length: usize, last: At) -> Line<'_> {
    Line { bytes: &bytes[..length.min(MAX_LINE)], last, truncated: length > MAX_LINE }
}

/// Finds the first line end in `bytes`: the length up to and with it, and how many bytes of that it has itself: CR LF, LF
/// alone, or CR NUL, a bare carriage return in Telnet (RFC 854). `before` is the byte that came before them.
#[inline]
fn find_end(before: Option<u8>, bytes: &[u8]) -> Option<(usize, usize)> {
    memchr2_iter(b'\n', 0, bytes).find_map(|i| {
        let after_cr = i.checked_sub(1).map_or(before, |previous| Some(bytes[previous])) == Some(b'\r');
        match (bytes[i], after_cr) {
            (_, true) => Some((i + 1, 2)),
            (b'\n', false) => Some((i + 1, 1)),
            (_, false) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cite::Time;
    use proptest::prelude::*;

    fn at(frame: usize) -> At {
        At { time: Time(0), frame: frame as u32, file: 0 }
    }

    /// The lines of a stream that comes in the given segments, and whether they are truncated; frames count from 1.
    fn lines(segments: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        let mut note = |line: Line<'_>| found.push((line.bytes.to_vec(), line.truncated));
        for (i, segment) in segments.iter().enumerate() {
            lines.push(at(i + 1), segment, &mut note);
        }
        lines.flush(&mut note);
        found
    }

    #[test]
    fn knows_three_line_ends_and_none() {
        let expected = [&b"USER a"[..], b"PASS b", b"NOOP", b"", b"CWD x\0y\rz\r", b"QUI"];
        let expected = expected.map(|line| (line.to_vec(), false));
        assert_eq!(lines(&[b"USER a\r\nPASS b\nNOOP\r\0\r\nCWD x\0y\rz\r\r\nQUI"]), expected);
    }

    #[test]
    fn a_line_is_where_its_end_is() {
        let mut frames = Vec::new();
        let mut lines = Lines::default();
        for (frame, segment) in (1..).zip([&b"TYPE I\r\nPA"[..], b"SV", b"\r\nNOOP\r", b"\nxx"]) {
            lines.push(at(frame), segment, |line| frames.push((line.bytes.to_vec(), line.last.frame)));
        }
        lines.flush(|line| frames.push((line.bytes.to_vec(), line.last.frame)));
        let expected = [(&b"TYPE I"[..], 1), (b"PASV", 3), (b"NOOP", 4), (b"xx", 4)];
        assert_eq!(frames, expected.map(|(line, frame)| (line.to_vec(), frame)));
    }

    #[test]
    fn shows_the_unfinished_line() {
        let mut lines = Lines::default();
        lines.push(at(1), b"\x16\x03\x01", |_| unreachable!("no line ends"));
        assert_eq!(lines.pending(), b"\x16\x03\x01");
        lines.push(at(2), b"\n", |_| ());
        assert_eq!(lines.pending(), b"");
        assert!(lines.unfinished.is_none(), "nothing is kept between lines");
    }

    #[test]
    fn a_gap_drops_the_line_it_hits() {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        let mut note = |line: Line<'_>| found.push(line.bytes.to_vec());
        lines.push(at(1), b"USER a\r\nPAS", &mut note);
        lines.gap();
        lines.push(at(2), b"secret\r", &mut note);
        assert_eq!(lines.pending(), b"");
        lines.push(at(3), b"\nNOOP\r\n", &mut note);
        lines.gap();
        lines.push(at(4), b"lost", &mut note);
        lines.flush(&mut note);
        assert_eq!(found, [&b"USER a"[..], b"NOOP"]);
    }

    #[test]
    fn truncates_at_the_limit_and_skips_to_the_line_end() {
        for (length, truncated) in [(MAX_LINE, false), (MAX_LINE + 1, true), (3 * MAX_LINE, true)] {
            for end in ["\r\n", "\n", "\r\0"] {
                let text = ["x".repeat(length).as_str(), end, "QUIT\r\n"].concat();
                let expected = [(vec![b'x'; MAX_LINE], truncated), (b"QUIT".to_vec(), false)];
                assert_eq!(lines(&[text.as_bytes()]), expected);
                for chunk in [1, 1000, MAX_LINE, length + 1] {
                    let segments: Vec<&[u8]> = text.as_bytes().chunks(chunk).collect();
                    assert_eq!(lines(&segments), expected);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n\0".to_vec()), 0..60),
            mut cuts in prop::collection::vec(0usize..60, 0..12),
        ) {
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(text.len()));
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let segments: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&segments), lines(&[&text]));
        }
    }
}
