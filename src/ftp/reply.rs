//! Reads lines of a server as parts of replies. Read RFC 959 section 4.2 first.
//!
//! A reply is one line `ddd SP text`, or a block from `ddd-text` to `ddd SP text` with the same code. Lines
//! within a block may look like anything, also like replies.

use std::fmt;

/// A reply code, 100 to 699.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl Code {
    /// 1yz: begun; another reply to the same command follows.
    pub fn is_preliminary(self) -> bool {
        self.0 / 100 == 1
    }

    /// 2yz: done.
    pub fn is_completion(self) -> bool {
        self.0 / 100 == 2
    }

    /// 3yz: another command is wanted first.
    pub fn is_intermediate(self) -> bool {
        self.0 / 100 == 3
    }

    /// 4yz: failed for now.
    pub fn is_transient_negative(self) -> bool {
        self.0 / 100 == 4
    }

    /// 5yz: failed for good.
    pub fn is_permanent_negative(self) -> bool {
        self.0 / 100 == 5
    }

    /// 6yz: a protected reply, whose own code is in its text (RFC 2228 section 5).
    pub fn is_protected(self) -> bool {
        self.0 / 100 == 6
    }

    /// 4yz or 5yz.
    pub fn is_negative(self) -> bool {
        self.is_transient_negative() || self.is_permanent_negative()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a line stands in its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// A reply of one line.
    Single,
    /// Begins a block.
    First,
    /// Within a block.
    Middle,
    /// Ends a block.
    Last,
    /// Outside any reply, and no reply itself.
    Stray,
}

/// A server's line, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLine<'a> {
    /// Where it stands.
    pub part: Part,
    /// The reply's code; `None` for [`Part::Middle`] and [`Part::Stray`].
    pub code: Option<Code>,
    /// What follows the code and its separator; a middle line without the block's code is all text.
    pub text: &'a [u8],
}

impl ReplyLine<'_> {
    /// Whether a reply is complete with this line.
    pub fn completes(&self) -> bool {
        matches!(self.part, Part::Single | Part::Last)
    }
}

/// Which block is open in a server's stream.
///
/// Broken servers end a block with another code (`230-` with `226 `). No line alone can tell that from a
/// middle line that looks like a reply ("200 files are here"). What tells is the client, who waits for the
/// end before it goes on: so such a line counts as the end once the client's next command has come with
/// nothing behind it, see [`Replies::rescue`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    open: Option<Code>,
    /// The code of the last line, if that was a line of the open block that could be its end by mistake.
    likely_end: Option<Code>,
}

impl Replies {
    /// Whether a block is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next line, given without its terminator.
    pub fn line<'a>(&mut self, bytes: &'a [u8]) -> ReplyLine<'a> {
        self.likely_end = None;
        let line = |part, code, text| ReplyLine { part, code, text };
        match (self.open, split_head(bytes)) {
            (None, None) => line(Part::Stray, None, bytes),
            (None, Some((code, Separator::Hyphen, text))) => {
                self.open = Some(code);
                line(Part::First, Some(code), text)
            }
            (None, Some((code, _, text))) => line(Part::Single, Some(code), text),
            (Some(open), Some((code, Separator::Blank, text))) if code == open => {
                self.open = None;
                line(Part::Last, Some(code), text)
            }
            (Some(open), Some((code, Separator::Hyphen, text))) if code == open => line(Part::Middle, None, text),
            (Some(_), head) => {
                self.likely_end = head.and_then(likely_end);
                line(Part::Middle, None, bytes)
            }
        }
    }

    /// To be called when the client's next command comes, and at the end of the session.
    ///
    /// If the last line was a middle line that reads as a reply with another code, it ends the block: returns its
    /// code. It was emitted as [`Part::Middle`] before.
    pub fn rescue(&mut self) -> Option<Code> {
        let code = self.likely_end.take()?;
        self.open = None;
        Some(code)
    }
}

/// The code of a line that could end a block of another code: `ddd SP` and printable text.
fn likely_end((code, separator, text): (Code, Separator, &[u8])) -> Option<Code> {
    let printable = text.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\t');
    (separator == Separator::Blank && printable).then_some(code)
}

/// What follows a code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// A blank, or the end of the line: some servers send no text at all.
    Blank,
    /// A hyphen.
    Hyphen,
    /// Text at once, which some servers send.
    Missing,
}

/// Splits a line into code, separator and text; `None` if it begins with no code.
fn split_head(line: &[u8]) -> Option<(Code, Separator, &[u8])> {
    let &[a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] = line else {
        return None;
    };
    let code = Code([a, b, c].iter().fold(0, |code, digit| 10 * code + u16::from(digit - b'0')));
    match rest {
        [] => Some((code, Separator::Blank, rest)),
        [b' ', text @ ..] => Some((code, Separator::Blank, text)),
        [b'-', text @ ..] => Some((code, Separator::Hyphen, text)),
        [b'0'..=b'9', ..] => None,
        text => Some((code, Separator::Missing, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Part::{First, Last, Middle, Single, Stray};
    use proptest::prelude::*;

    /// Reads lines and checks part, code (0 for none) and text of each.
    fn check(rows: &[(&str, Part, u16, &str)]) -> Replies {
        let mut replies = Replies::default();
        for &(line, part, code, text) in rows {
            let code = (code > 0).then_some(Code(code));
            assert_eq!(replies.line(line.as_bytes()), ReplyLine { part, code, text: text.as_bytes() }, "{line}");
            assert_eq!(replies.is_open(), matches!(part, First | Middle), "{line}");
        }
        replies
    }

    #[test]
    fn single_lines() {
        check(&[
            ("220 Welcome", Single, 220, "Welcome"),
            ("150 a", Single, 150, "a"),
            ("226 b", Single, 226, "b"),
            ("200 c", Single, 200, "c"),
            ("230", Single, 230, ""),
            ("230 ", Single, 230, ""),
            ("200Ok", Single, 200, "Ok"),
            ("631 aGVsbG8=", Single, 631, "aGVsbG8="),
        ]);
    }

    #[test]
    fn strays() {
        check(&[
            ("", Stray, 0, ""),
            ("hello", Stray, 0, "hello"),
            ("22", Stray, 0, "22"),
            ("2200 files", Stray, 0, "2200 files"),
            ("099 x", Stray, 0, "099 x"),
            ("700 x", Stray, 0, "700 x"),
            (" 220 x", Stray, 0, " 220 x"),
        ]);
    }

    /// The example of RFC 959 section 4.2, and lines that real banners have.
    #[test]
    fn blocks() {
        check(&[
            ("123-First line", First, 123, "First line"),
            ("Second line", Middle, 0, "Second line"),
            ("  234 A line beginning with numbers", Middle, 0, "  234 A line beginning with numbers"),
            ("123-again", Middle, 0, "again"),
            ("234-other", Middle, 0, "234-other"),
            ("1234", Middle, 0, "1234"),
            ("123there", Middle, 0, "123there"),
            ("", Middle, 0, ""),
            ("123 The last line", Last, 123, "The last line"),
            ("230-", First, 230, ""),
            ("230", Last, 230, ""),
        ]);
    }

    #[test]
    fn a_227_may_be_a_block() {
        check(&[
            ("227-listen socket created", First, 227, "listen socket created"),
            ("227 (10,0,0,1,4,5)", Last, 227, "(10,0,0,1,4,5)"),
        ]);
    }

    #[test]
    fn a_block_closed_by_another_code_ends_with_the_next_command() {
        let mut replies =
            check(&[("230-Welcome", First, 230, "Welcome"), ("226 Logged in", Middle, 0, "226 Logged in")]);
        assert_eq!(replies.rescue(), Some(Code(226)));
        assert_eq!(replies.rescue(), None);
        assert_eq!(replies.line(b"200 Type set").part, Single);
    }

    #[test]
    fn a_middle_line_that_looks_like_a_reply_ends_nothing_if_more_follows() {
        let mut replies = check(&[
            ("230-Welcome", First, 230, "Welcome"),
            ("200 files", Middle, 0, "200 files"),
            ("here", Middle, 0, "here"),
        ]);
        assert_eq!(replies.rescue(), None);
        assert_eq!(replies.line(b"230 Logged in").part, Last);
    }

    #[test]
    fn rescue_needs_a_printable_reply_line() {
        for line in ["226\u{1} x", "226-more", "226x", "text"] {
            let mut replies = Replies::default();
            replies.line(b"230-Welcome");
            replies.line(line.as_bytes());
            assert_eq!(replies.rescue(), None, "{line}");
        }
        assert_eq!(Replies::default().rescue(), None);
    }

    #[test]
    fn classes() {
        assert!(Code(150).is_preliminary() && Code(226).is_completion() && Code(331).is_intermediate());
        assert!(Code(425).is_transient_negative() && Code(425).is_negative());
        assert!(Code(550).is_permanent_negative() && Code(550).is_negative() && !Code(550).is_transient_negative());
        assert!(Code(632).is_protected() && !Code(632).is_negative());
        assert_eq!(Code(227).to_string(), "227");
    }

    proptest! {
        /// Whatever a block holds, as long as it is not its own end, it ends where it ends.
        #[test]
        fn a_block_ends_with_its_own_code(code in 100u16..700, middle in prop::collection::vec(".{0,12}", 0..6)) {
            let mut replies = Replies::default();
            replies.line(format!("{code}-begin").as_bytes());
            for text in &middle {
                prop_assert_eq!(replies.line(format!("{code}-{text}").as_bytes()).part, Middle);
            }
            let end = format!("{code} end");
            prop_assert!(replies.line(end.as_bytes()).completes());
            prop_assert!(!replies.is_open());
        }
    }
}
