//! Texts that a server, a client or a file name chose, made harmless before a person's terminal sees them.
//!
//! A reply may carry control sequences that rewrite the screen, characters that turn the direction of writing round, and
//! bytes that are no UTF-8. All of them are shown as escapes, `\x1b`; what can be read stays as it is.

use std::fmt::{self, Display, Formatter};

use crate::plain::is_plain;

/// Bytes that are shown with their dangerous parts escaped.
#[derive(Clone, Copy)]
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

/// A text that is shown with its dangerous parts escaped.
pub(super) fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text.as_bytes())
}

/// A text with its dangerous parts escaped.
pub(super) fn harmless(text: String) -> String {
    if is_plain(text.as_bytes()) { text } else { escaped(&text).to_string() }
}

/// Characters of a command or reply that people are shown; paths of more are rare, commands of thousands are attacks.
pub(super) const SHOWN: usize = 200;
/// Characters that people are shown of what a host's own rules say: three rules with a dozen ports each.
pub(super) const SHOWN_OF_RULES: usize = 1000;

/// Bytes with their dangerous parts escaped, and cut short if they are more than this.
pub(super) fn shortened(bytes: &[u8], shown: usize) -> String {
    let text = Escaped(bytes).to_string();
    if text.len() <= shown {
        return text;
    }
    match text.char_indices().nth(shown) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], bytes.len()),
        None => text,
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(self.0)
            && let Ok(text) = str::from_utf8(self.0)
        {
            return f.write_str(text);
        }
        for chunk in self.0.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some((at, char)) = rest.char_indices().find(|(_, char)| !is_harmless(*char)) {
                f.write_str(&rest[..at])?;
                escape(f, char)?;
                rest = &rest[at + char.len_utf8()..];
            }
            f.write_str(rest)?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn escape(f: &mut Formatter<'_>, char: char) -> fmt::Result {
    match char {
        '\t' => f.write_str("\\t"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\0'..='\x7f' => write!(f, "\\x{:02x}", u32::from(char)),
        _ => write!(f, "\\u{{{:x}}}", u32::from(char)),
    }
}

/// Neither a control character (C0, DEL, C1) nor one that is invisible or changes how its neighbours are shown: the
/// format characters of Unicode (general category Cf), line and paragraph separators.
pub(super) fn is_harmless(char: char) -> bool {
    if matches!(char, ' '..='~') {
        return true;
    }
    let shapes_others = matches!(char,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !char.is_control() && !shapes_others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_short() {
        assert_eq!(shortened(&[b'A'; SHOWN], SHOWN), "A".repeat(SHOWN));
        assert_eq!(shortened(&[b'A'; 8196], SHOWN), format!("{}... (8196 bytes)", "A".repeat(SHOWN)));
        assert_eq!(shortened("\u{e9}".repeat(SHOWN).as_bytes(), SHOWN), "\u{e9}".repeat(SHOWN));
    }
    use proptest::prelude::*;

    #[test]
    fn shows_what_would_act_on_a_terminal() {
        for (bytes, shown) in [
            (&b"226 done"[..], "226 done"),
            (b"\x1b[2J\x07", r"\x1b[2J\x07"),
            (b"a\tb\r\n\x7f\0", r"a\tb\r\n\x7f\x00"),
            ("gr\u{fc}n \u{65e5}\u{672c}".as_bytes(), "gr\u{fc}n \u{65e5}\u{672c}"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            ("fdp.\u{202e}exe\u{2066}\u{200f}".as_bytes(), r"fdp.\u{202e}exe\u{2066}\u{200f}"),
            (b"caf\xe9 \xff\xfe", r"caf\xe9 \xff\xfe"),
            (b"\xe2\x80", r"\xe2\x80"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_dangerous_comes_through(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let shown = Escaped(&bytes).to_string();
            prop_assert!(shown.chars().all(is_harmless), "{shown:?}");
        }

        #[test]
        fn any_text_comes_through_harmless(text in any::<String>()) {
            let shown = escaped(&text).to_string();
            prop_assert!(shown.chars().all(is_harmless), "{shown:?}");
            if text.chars().all(is_harmless) {
                prop_assert_eq!(shown, text);
            }
        }
    }
}
