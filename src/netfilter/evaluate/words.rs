//! A rule's words, with those in quotes.

/// The words of a rule; one in quotes is one word, with its quotes.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = rest.split_at(end(rest));
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// Where the first word ends.
fn end(text: &str) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let ends = |(_, c): &(usize, char)| {
        is_quoted ^= *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        c.is_ascii_whitespace() && !is_quoted
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// A word without its quotes.
pub(super) fn bare(word: &str) -> &str {
    word.trim_matches('"')
}
