//! The counts for people.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use crate::language::{Language, Text, counted, message, say};
use crate::report::stats::ports::{Openings, Range};
use crate::report::stats::{Peers, Stats, Tally};
use crate::report::terminal::{Brush, Style};
use crate::report::words;
use crate::verdict::Outcome;

/// Hosts that are shown.
const SHOWN: usize = 10;

/// Columns of the longest bar.
const BAR: u64 = 40;

pub(super) fn text(stats: &Stats, language: Language, color: bool) -> String {
    let mut sheet = Sheet { out: String::new(), language, brush: Brush { color } };
    sheet.line(&sheet.say(stats.totals.line()));
    let rules = stats.ranked_rules();
    let rules = rules.into_iter().map(|(rule, count)| {
        let says = sheet.say(Text::from(rule.says));
        [format!("{} {}", rule.id, rule.name), format!("{count:>6}"), says]
    });
    let rules = rules.collect();
    sheet.table(message!("Failures by rule").into(), rules);
    sheet.peers(message!("Transfers by server").into(), &stats.servers);
    sheet.peers(message!("Transfers by client").into(), &stats.clients);
    let servers = stats.passive();
    for server in servers.iter().take(SHOWN) {
        let most = server.ranges.iter().map(|range| range.openings.tried()).max().unwrap_or(0);
        let rows = server.ranges.iter().map(|range| sheet.range(range, most)).collect();
        sheet.table(say!("Passive ports of {server}", server = server.ip), rows);
    }
    let hidden = servers.len().saturating_sub(SHOWN) as u64;
    if hidden > 0 {
        sheet.line(&format!("\n{}", sheet.say(counted!(hidden, "more server"))));
    }
    if stats.further > 0 {
        let openings = say!("{count} openings to further ports were counted nowhere", count = stats.further);
        sheet.line(&format!("\n{}", sheet.say(openings)));
    }
    sheet.out
}

/// What is written, and how.
struct Sheet {
    out: String,
    language: Language,
    brush: Brush,
}

impl Sheet {
    /// Names of rules and numbers are all that these texts hold: nothing of it comes from the wire.
    fn say(&self, text: Text) -> String {
        text.said(self.language)
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.out, "{}", line.trim_end());
    }

    /// A heading and rows of three columns; nothing if there are no rows.
    fn table(&mut self, heading: Text, rows: Vec<[String; 3]>) {
        if rows.is_empty() {
            return;
        }
        let heading = self.say(heading);
        self.line(&format!("\n{}", self.brush.paint(Style::Strong, heading)));
        let wide = |column: usize| rows.iter().map(|row| visible(&row[column])).max().unwrap_or(0);
        let (first, second) = (wide(0), wide(1));
        for [name, count, rest] in &rows {
            self.line(&format!("  {}   {}   {rest}", padded(name, first), padded(count, second)));
        }
    }

    fn peers(&mut self, heading: Text, peers: &Peers) {
        let ranked = peers.ranked();
        let mut rows: Vec<[String; 3]> =
            ranked.iter().take(SHOWN).map(|(ip, tally)| self.peer(ip.to_string(), *tally)).collect();
        let hidden = ranked.iter().skip(SHOWN).map(|(_, tally)| *tally).chain([peers.further]).reduce(Tally::sum);
        if let Some(hidden) = hidden.filter(|hidden| *hidden != Tally::default()) {
            rows.push(self.peer(self.say(message!("others").into()), hidden));
        }
        self.table(heading, rows);
    }

    fn peer(&self, name: String, tally: Tally) -> [String; 3] {
        let ended = [(Outcome::Failed, tally.failed), (Outcome::Completed, tally.completed)];
        let ended = ended
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| say!("{count} {outcome}", count, outcome = Text::from(words::outcome(outcome))));
        let control = (tally.failed_control > 0)
            .then(|| say!("{connections} failed", connections = counted!(tally.failed_control, "control connection")));
        let parts = ended.chain(control).reduce(|others, next| say!("{others}, {next}", others, next));
        [name, self.say(counted!(tally.transfers, "transfer")), parts.map(|parts| self.say(parts)).unwrap_or_default()]
    }

    /// A range of ports, its bar, and its counts. `most` is the count of the longest bar.
    fn range(&self, Range { first, last, openings }: &Range, most: u64) -> [String; 3] {
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let Openings { worked, failed } = *openings;
        let (works, fails) = if self.brush.color { ("█", "✗") } else { ("#", "x") };
        let part = |sign: &str, count: u64| sign.repeat(columns(count, most) as usize);
        let bar = [(Style::Good, part(works, worked)), (Style::Bad, part(fails, failed))];
        let bar = bar.into_iter().filter(|(_, part)| !part.is_empty());
        let bar: String = bar.map(|(style, part)| self.brush.paint(style, part).to_string()).collect();
        [ports, bar, self.say(counts(*openings))]
    }
}

/// How many worked, and how many failed.
pub(super) fn counts(Openings { worked, failed }: Openings) -> Text {
    match (worked, failed) {
        (worked, 0) => say!("{worked} worked", worked),
        (0, failed) => say!("{failed} failed", failed),
        (worked, failed) => say!("{worked} worked, {failed} failed", worked, failed),
    }
}

/// Columns of a count, where `most` has all of them; what was seen is to be seen.
fn columns(count: u64, most: u64) -> u64 {
    if most <= BAR { count } else { (count * BAR).div_ceil(most) }
}

/// Columns of a text without the sequences that paint it.
fn visible(text: &str) -> usize {
    let mut parts = text.split('\x1b');
    let plain = parts.next().map_or(0, UnicodeWidthStr::width);
    plain + parts.filter_map(|part| part.split_once('m')).map(|(_, text)| text.width()).sum::<usize>()
}

/// A text and blanks up to so many columns.
fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(visible(text))))
}
