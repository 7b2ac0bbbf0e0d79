//! Takes out of lists of rules what people wrote for people: comments, log prefixes, texts to look for.
//!
//! Read first: nft(8), "STRING"; iptables-save(8). What decides over packets stays.

use crate::netfilter::Tool;

/// What stands for what is left out.
const MASK: &str = "\"***\"";

/// Words of nft(8) after which a text in quotes is for people.
const OF_NFT: [&str; 2] = ["comment", "prefix"];
/// The same of iptables-extensions(8), with what a packet is searched for; there the text may be without quotes.
const OF_IPTABLES: [&str; 6] =
    ["--comment", "--log-prefix", "--nflog-prefix", "--ulog-prefix", "--string", "--hex-string"];

/// A list that `tool` printed, without the texts that are for people. Those may have line ends.
pub fn masked(text: &str, tool: Tool) -> String {
    let is_nft = tool == Tool::Nft;
    let mut masked = String::with_capacity(text.len());
    let (mut before, mut rest) = ("", text);
    while !rest.is_empty() {
        let blank = rest.len() - rest.trim_start().len();
        let (blanks, begun) = rest.split_at(blank);
        let (word, after) = begun.split_at(word_length(begun, !is_nft));
        let is_text = match is_nft {
            true => OF_NFT.contains(&before) && word.starts_with('"'),
            false => OF_IPTABLES.contains(&before),
        };
        masked.push_str(blanks);
        masked.push_str(if is_text { MASK } else { word });
        (before, rest) = (word, after);
    }
    masked
}

/// Length of the word that a text begins with, blanks within quotes included.
fn word_length(text: &str, escapes: bool) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let is_end = |&(_, c): &(usize, char)| {
        quoted ^= c == '"' && !escaped;
        escaped = escapes && c == '\\' && !escaped;
        c.is_whitespace() && !quoted
    };
    text.char_indices().find(is_end).map_or(text.len(), |(at, _)| at)
}
