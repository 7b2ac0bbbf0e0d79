//! Every sentence that is said to people, and its translations, by where it is said.

mod evidence;
mod html;
mod remedies;
mod report;
mod rules;
mod stats;
mod words;

use super::Message;

/// Rows of a part of the catalogue: the English, which is the key, and the Japanese.
macro_rules! rows {
    ($($en:literal => $ja:literal)*) => {
        pub(super) const ROWS: &[super::Message] = &[$(super::Message { en: $en, ja: $ja }),*];
    };
}
use rows;

pub(super) const CATALOGUE: &[&[Message]] =
    &[words::ROWS, evidence::ROWS, html::ROWS, remedies::ROWS, report::ROWS, rules::ROWS, stats::ROWS];
