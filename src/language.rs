//! Floor 0: what is said to people, in the language that they ask for.
//!
//! A sentence is written in English where it is needed, with names for what changes: `say!("{opener} sent {count} SYNs",
//! opener, count)`. Its row in the catalogue holds the same in the other languages. A sentence without a row does not
//! compile, nor does one whose names are not those that are given.

mod catalogue;

use std::fmt::{self, Display, Formatter, Write};

use memchr::memchr;

use catalogue::CATALOGUE;

/// A language to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, the language of the JSON form too.
    #[default]
    English,
    /// Japanese.
    Japanese,
}

/// A sentence, or a part of one, in every language. `{name}` stands for what changes; in English, `{Name}` for the same
/// with a capital, and `{name:clause}` for a sentence without its full stop.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Message {
    en: &'static str,
    ja: &'static str,
}

/// A message, and what its names stand for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text {
    message: &'static Message,
    parts: Vec<(&'static str, Part)>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Words, which have a language.
    Text(Text),
    /// The same in every language: numbers, addresses, what others wrote.
    Verbatim(String),
}

impl From<Text> for Part {
    fn from(text: Text) -> Part {
        Part::Text(text)
    }
}

impl<T: Display> From<T> for Part {
    fn from(value: T) -> Part {
        Part::Verbatim(value.to_string())
    }
}

/// A [`Text`]: its English with names, and for each name what it stands for, `name` or `name = value`.
macro_rules! say {
    ($english:expr $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::language::Text::new(
            const { $crate::language::row($english, &[$(stringify!($name)),*]) },
            vec![$((stringify!($name), $crate::language::part!($name $(, $value)?))),*],
        )
    };
}

macro_rules! part {
    ($name:ident) => {
        $crate::language::Part::from($name)
    };
    ($name:ident, $value:expr) => {
        $crate::language::Part::from($value)
    };
}

/// A count with its noun: `counted!(2, "session")` is `2 sessions`.
macro_rules! counted {
    ($count:expr, $noun:literal) => {
        match u64::from($count) {
            1 => $crate::language::say!(concat!("1 ", $noun)),
            count => $crate::language::say!(concat!("{count} ", $noun, "s"), count),
        }
    };
}

/// A message that has no names.
macro_rules! message {
    ($english:literal) => {
        const { $crate::language::row($english, &[]) }
    };
}

pub(crate) use {counted, message, part, say};

/// Bytes for which room is made at once: few sentences are longer.
const SENTENCE: usize = 192;

impl Text {
    pub(crate) fn new(message: &'static Message, parts: Vec<(&'static str, Part)>) -> Text {
        Text { message, parts }
    }

    /// What is the same in every language.
    pub fn verbatim(text: impl Into<String>) -> Text {
        let text = text.into();
        say!("{text}", text)
    }

    /// The text in a language.
    pub fn to(&self, language: Language) -> impl Display {
        Spoken { text: self, language }
    }

    /// The same as a string.
    pub(crate) fn said(&self, language: Language) -> String {
        let mut said = String::with_capacity(SENTENCE);
        write!(said, "{}", self.to(language)).expect("a string takes all");
        said
    }

    /// The text in English, as programs get it.
    pub fn english(&self) -> String {
        self.said(Language::English)
    }
}

impl From<&'static Message> for Text {
    fn from(message: &'static Message) -> Text {
        Text { message, parts: Vec::new() }
    }
}

impl Message {
    /// The message in a language.
    pub fn to(&self, language: Language) -> &'static str {
        match language {
            Language::English => self.en,
            Language::Japanese => self.ja,
        }
    }
}

struct Spoken<'a> {
    text: &'a Text,
    language: Language,
}

impl Display for Spoken<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Spoken { text: Text { message, parts }, language } = *self;
        for piece in Pieces(message.to(language)) {
            match piece {
                Piece::Words(words) => f.write_str(words)?,
                Piece::Name { name, clause } => {
                    let part = parts.iter().find(|(other, _)| same_name(name.as_bytes(), other.as_bytes()));
                    let Some((_, part)) = part else { continue };
                    let capital = name.starts_with(|first: char| first.is_ascii_uppercase());
                    match part {
                        Part::Verbatim(words) => write_part(f, words, clause, capital)?,
                        Part::Text(text) if clause || capital => {
                            write_part(f, &text.said(language), clause, capital)?;
                        }
                        Part::Text(text) => text.to(language).fmt(f)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Words without their full stop, if they are a clause, and with a capital, if they are to have one.
fn write_part(f: &mut Formatter<'_>, words: &str, clause: bool, capital: bool) -> fmt::Result {
    let words = if clause { words.trim_end_matches(['.', '。']) } else { words };
    let mut chars = words.chars();
    if capital && let Some(first) = chars.next() {
        first.to_uppercase().try_for_each(|upper| f.write_char(upper))?;
    }
    f.write_str(chars.as_str())
}

/// The pieces of a message in one language.
struct Pieces(&'static str);

enum Piece {
    Words(&'static str),
    Name { name: &'static str, clause: bool },
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let text = self.0;
        let open = memchr(b'{', text.as_bytes()).unwrap_or(text.len());
        if open > 0 {
            self.0 = &text[open..];
            return Some(Piece::Words(&text[..open]));
        }
        let (name, rest) = text.strip_prefix('{')?.split_once('}')?;
        self.0 = rest;
        let clause = name.strip_suffix(":clause");
        Some(Piece::Name { name: clause.unwrap_or(name), clause: clause.is_some() })
    }
}

/// The row of the catalogue with this English.
///
/// # Panics
/// While compiling, if there is none, or if the names in it are not exactly `names`.
pub(crate) const fn row(english: &str, names: &[&str]) -> &'static Message {
    let mut list = 0;
    while list < CATALOGUE.len() {
        let rows = CATALOGUE[list];
        let mut row = 0;
        while row < rows.len() {
            if same(rows[row].en.as_bytes(), english.as_bytes()) {
                assert!(has_names(english.as_bytes(), names), "the names in the sentence are not those that are given");
                return &rows[row];
            }
            row += 1;
        }
        list += 1;
    }
    panic!("the catalogue has no such sentence: add it there with its translation (src/language/catalogue/)")
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Two names but for the case of their first letter.
const fn same_name(one: &[u8], other: &[u8]) -> bool {
    match (one.split_first(), other.split_first()) {
        (Some((a, one)), Some((b, other))) => a.eq_ignore_ascii_case(b) && same(one, other),
        _ => false,
    }
}

/// Every `{name}` is one of `names`, and every one of them is there.
const fn has_names(text: &[u8], names: &[&str]) -> bool {
    let mut used = 0_u64;
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'{' {
            continue;
        }
        let mut end = 0;
        while end < rest.len() && rest[end] != b'}' && rest[end] != b':' {
            end += 1;
        }
        let (name, behind) = rest.split_at(end);
        let mut at = 0;
        while at < names.len() && !same_name(name, names[at].as_bytes()) {
            at += 1;
        }
        if at == names.len() {
            return false;
        }
        used |= 1 << at;
        rest = behind;
    }
    used.count_ones() as usize == names.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(text: &'static str) -> BTreeSet<String> {
        let name = |piece| match piece {
            Piece::Name { name, .. } => Some(name.to_ascii_lowercase()),
            Piece::Words(_) => None,
        };
        Pieces(text).filter_map(name).collect()
    }

    #[test]
    fn every_row_is_said_in_every_language_with_the_same_names() {
        for Message { en, ja } in CATALOGUE.iter().copied().flatten() {
            assert_eq!(names(en), names(ja), "{en}");
            let words = |text: &'static str| {
                Pieces(text).filter_map(|piece| match piece {
                    Piece::Words(words) => Some(words),
                    Piece::Name { .. } => None,
                })
            };
            let says = words(en).any(|words| words.contains(|char: char| char.is_ascii_alphanumeric()));
            assert!(!says || words(ja).next().is_some(), "{en}");
        }
    }

    #[test]
    fn no_sentence_has_two_rows() {
        let mut known = BTreeSet::new();
        for Message { en, .. } in CATALOGUE.iter().copied().flatten() {
            assert!(known.insert(en), "{en}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert!(has_names(b"{Actor} dropped {what:clause}", &["actor", "what"]));
        assert!(!has_names(b"{Actor} dropped {what}", &["actor"]));
        assert!(!has_names(b"{actor} dropped it", &["actor", "what"]));
        assert!(has_names(b"nothing", &[]));
    }

    #[test]
    fn a_name_may_ask_for_a_capital_or_a_clause() {
        const ROW: Message = Message { en: "{Who}, {who}: {what:clause}; {what}", ja: "{who}{what}" };
        let text = Text::new(&ROW, vec![("who", "it".into()), ("what", Text::verbatim("Done.").into())]);
        assert_eq!(text.to(Language::English).to_string(), "It, it: Done; Done.");
        assert_eq!(text.to(Language::Japanese).to_string(), "itDone.");
    }
}
