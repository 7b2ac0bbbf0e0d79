//! Splits one direction of a control connection into lines. Read RFC 959 section 5.3 and RFC 854 ("NVT
//! printer") first.
//!
//! A line should end with CR LF. Bare LF and CR NUL are met too. A line remembers how it lay in segments,
//! since firewalls that read FTP read segments, not lines.

use memchr::memchr2_iter;

use crate::cite::At;

/// Bytes of a line that are kept. The longest legal lines carry a path (4096 bytes on Linux, doubled by escapes); a
/// longer one is no FTP.
pub const MAX_LINE: usize = 8192;

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineEnd {
    /// CR LF, as the RFC wants it.
    CrLf,
    /// LF alone.
    Lf,
    /// CR NUL: a bare carriage return in Telnet (RFC 854).
    CrNul,
    /// The stream ended first.
    None,
}

impl LineEnd {
    /// Bytes of the terminator.
    fn length(self) -> usize {
        match self {
            LineEnd::CrLf | LineEnd::CrNul => 2,
            LineEnd::Lf => 1,
            LineEnd::None => 0,
        }
    }
}

/// One line, and how it lay in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its terminator, [`MAX_LINE`] bytes at most.
    pub bytes: &'a [u8],
    /// Frame that carried the first byte.
    pub first: At,
    /// Frame that carried the last byte, terminator included.
    pub last: At,
    /// Whether its first byte was the first byte of a segment.
    pub began_segment: bool,
    /// Whether it began and ended in one segment.
    pub whole: bool,
    /// Whether its terminator is the last byte of a segment.
    pub ended_segment: bool,
    /// The terminator.
    pub end: LineEnd,
    /// Whether bytes at its end are missing: those beyond [`MAX_LINE`], or what the capture lacks.
    pub truncated: bool,
}

/// The splitter of one direction: holds the line that is still unfinished, and nothing on the heap between lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The unfinished line up to [`MAX_LINE`] bytes and, if it is longer, the last byte seen.
    partial: Vec<u8>,
    /// Bytes of the unfinished line, kept or not.
    length: usize,
    first: At,
    last: At,
    began_segment: bool,
    /// Bytes of the unfinished line are missing.
    broken: bool,
}

impl Lines {
    /// Takes the text of one segment, or what of it was new, and emits each line that ends in it.
    ///
    /// Lines that lie within the segment are emitted as slices of it.
    #[inline]
    pub fn push(&mut self, at: At, segment: &[u8], mut emit: impl FnMut(Line<'_>)) {
        let mut rest = segment;
        while let Some((length, end)) = find_end(self.partial.last().copied(), rest) {
            let (text, behind) = rest.split_at(length);
            let began_segment = rest.len() == segment.len();
            if self.partial.is_empty() && !self.broken {
                emit(whole(at, text, end, began_segment, behind.is_empty()));
            } else {
                self.append(at, text, began_segment);
                self.complete(end, behind.is_empty(), &mut emit);
            }
            rest = behind;
        }
        if !rest.is_empty() {
            self.append(at, rest, rest.len() == segment.len());
        }
    }

    /// Bytes are missing: the unfinished line, and all up to the next line end, is dropped.
    pub fn gap(&mut self) {
        *self = Lines { broken: true, ..Lines::default() };
    }

    /// The rest of the unfinished line is missing: emits what there is of it.
    pub fn cut(&mut self, mut emit: impl FnMut(Line<'_>)) {
        if !self.pending().is_empty() {
            self.complete(LineEnd::None, false, &mut |line| emit(Line { truncated: true, ..line }));
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
        if !self.partial.is_empty() {
            self.complete(LineEnd::None, false, &mut emit);
        }
    }

    /// The unfinished line so far; empty between lines and behind a gap.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        if self.broken { &[] } else { &self.partial[..self.partial.len().min(MAX_LINE)] }
    }

    /// Adds bytes to the unfinished line, which they may begin.
    fn append(&mut self, at: At, bytes: &[u8], begins_segment: bool) {
        if self.partial.is_empty() {
            self.first = at;
            self.began_segment = begins_segment;
        }
        self.last = at;
        self.length += bytes.len();
        self.partial.truncate(MAX_LINE);
        let room = MAX_LINE - self.partial.len();
        self.partial.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if let Some(&last) = bytes[room.min(bytes.len())..].last() {
            self.partial.push(last);
        }
    }

    /// Emits the line that the kept bytes make, and begins the next.
    fn complete(&mut self, end: LineEnd, ended_segment: bool, emit: &mut impl FnMut(Line<'_>)) {
        let line = std::mem::take(self);
        let length = line.length - end.length();
        if !line.broken {
            emit(Line {
                bytes: &line.partial[..length.min(MAX_LINE)],
                first: line.first,
                last: line.last,
                began_segment: line.began_segment,
                whole: false,
                ended_segment,
                end,
                truncated: length > MAX_LINE,
            });
        }
    }
}

/// A line that lies within one segment; `text` includes its terminator.
#[inline]
fn whole(at: At, text: &[u8], end: LineEnd, began_segment: bool, ended_segment: bool) -> Line<'_> {
    let length = text.len() - end.length();
    Line {
        bytes: &text[..length.min(MAX_LINE)],
        first: at,
        last: at,
        began_segment,
        whole: true,
        ended_segment,
        end,
        truncated: length > MAX_LINE,
    }
}

/// Finds the first line end in `bytes`: the length up to and with it, and which it is. `before` is the byte that came
/// before them.
#[inline]
fn find_end(before: Option<u8>, bytes: &[u8]) -> Option<(usize, LineEnd)> {
    memchr2_iter(b'\n', 0, bytes).find_map(|i| {
        let after_cr = i.checked_sub(1).map_or(before, |previous| Some(bytes[previous])) == Some(b'\r');
        match (bytes[i], after_cr) {
            (b'\n', true) => Some((i + 1, LineEnd::CrLf)),
            (b'\n', false) => Some((i + 1, LineEnd::Lf)),
            (_, true) => Some((i + 1, LineEnd::CrNul)),
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

    /// The lines of a stream that comes in the given segments, with their ends; frames count from 1.
    fn lines(segments: &[&[u8]]) -> Vec<(Vec<u8>, LineEnd, bool)> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        let mut note = |line: Line<'_>| found.push((line.bytes.to_vec(), line.end, line.truncated));
        for (i, segment) in segments.iter().enumerate() {
            lines.push(at(i + 1), segment, &mut note);
        }
        lines.flush(&mut note);
        found
    }

    /// How the only line of a stream lay in its segments: first and last frame, began, whole, ended.
    fn lie(segments: &[&[u8]]) -> (u32, u32, bool, bool, bool) {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        for (i, segment) in segments.iter().enumerate() {
            lines.push(at(i + 1), segment, |line| {
                found.push((line.first.frame, line.last.frame, line.began_segment, line.whole, line.ended_segment));
            });
        }
        *found.last().expect("the last line is finished")
    }

    #[test]
    fn knows_three_line_ends_and_none() {
        let row = |text: &[u8], end| (text.to_vec(), end, false);
        assert_eq!(
            lines(&[b"USER a\r\nPASS b\nNOOP\r\0\r\nCWD x\0y\rz\r\r\nQUI"]),
            [
                row(b"USER a", LineEnd::CrLf),
                row(b"PASS b", LineEnd::Lf),
                row(b"NOOP", LineEnd::CrNul),
                row(b"", LineEnd::CrLf),
                row(b"CWD x\0y\rz\r", LineEnd::CrLf),
                row(b"QUI", LineEnd::None),
            ]
        );
    }

    #[test]
    fn remembers_how_a_line_lay_in_segments() {
        assert_eq!(lie(&[b"PASV\r\n"]), (1, 1, true, true, true));
        assert_eq!(lie(&[b"TYPE I\r\nPASV\r\n"]), (1, 1, false, true, true));
        assert_eq!(lie(&[b"PASV\r\nxx"]), (1, 1, true, true, false));
        assert_eq!(lie(&[b"PA", b"SV", b"\r\n"]), (1, 3, true, false, true));
        assert_eq!(lie(&[b"NOOP\r\nPASV\r", b"\nxx"]), (1, 2, false, false, false));
    }

    #[test]
    fn shows_the_unfinished_line() {
        let mut lines = Lines::default();
        lines.push(at(1), b"\x16\x03\x01", |_| unreachable!("no line ends"));
        assert_eq!(lines.pending(), b"\x16\x03\x01");
        lines.push(at(2), b"\n", |_| ());
        assert_eq!(lines.pending(), b"");
        assert_eq!(lines.partial.capacity(), 0, "nothing is kept between lines");
    }

    #[test]
    fn a_gap_drops_the_line_it_hits() {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        let mut note = |line: Line<'_>| found.push((line.bytes.to_vec(), line.began_segment));
        lines.push(at(1), b"USER a\r\nPAS", &mut note);
        lines.gap();
        lines.push(at(2), b"secret\r", &mut note);
        assert_eq!(lines.pending(), b"");
        lines.push(at(3), b"\nNOOP\r\n", &mut note);
        lines.gap();
        lines.push(at(4), b"lost", &mut note);
        lines.flush(&mut note);
        assert_eq!(found, [(b"USER a".to_vec(), true), (b"NOOP".to_vec(), false)]);
    }

    #[test]
    fn truncates_at_the_limit_and_skips_to_the_line_end() {
        for (length, truncated) in [(MAX_LINE, false), (MAX_LINE + 1, true), (3 * MAX_LINE, true)] {
            for (end, kind) in [("\r\n", LineEnd::CrLf), ("\n", LineEnd::Lf), ("\r\0", LineEnd::CrNul)] {
                let text = ["x".repeat(length).as_str(), end, "QUIT\r\n"].concat();
                let expected = [(vec![b'x'; MAX_LINE], kind, truncated), (b"QUIT".to_vec(), LineEnd::CrLf, false)];
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
