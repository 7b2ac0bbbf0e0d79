//! The form for people: the verdict first, in one sentence; what was seen and what was not, each with where to look; what
//! to do; what would settle what is still open.

use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, Write};

use unicode_linebreak::linebreaks;
use unicode_width::UnicodeWidthStr;

use crate::language::{Language, Text, say};
use crate::plain::is_plain;
use crate::report::alike::Alike;
use crate::report::escape::escaped;
use crate::report::page::{Block, Page};
use crate::report::terminal::{Brush, Style};
use crate::report::{Options, table};
use crate::session::join::Session;
use crate::verdict::{Evidence, Judgement, Outcome, Remedy, TapFacts, Verdict};

/// What stands between the parts of a headline.
const APART: &str = "   ";

/// A page, and the terminal that it is for.
#[derive(Clone, Copy)]
struct Sheet<'a> {
    page: Page<'a>,
    brush: Brush,
    width: Option<usize>,
}

/// Appends what people are to read about one session: a block a failure, and what else is asked for. They were told of
/// the first `told` transfers before.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(
    out: &mut Vec<u8>,
    options: &Options,
    alike: &mut Alike,
    session: &Session,
    judgement: &Judgement,
    taps: &[TapFacts],
    told: usize,
) -> io::Result<()> {
    let page = Page::new(options, session, taps);
    let blocks = page.blocks(options, alike, judgement, told);
    if blocks.is_empty() {
        return Ok(());
    }
    let sheet = Sheet { page, brush: Brush { color: options.color }, width: options.width };
    blocks.into_iter().try_for_each(|block| sheet.block(out, block))?;
    page.about().into_iter().try_for_each(|line| sheet.paragraph(out, line))?;
    if options.timeline {
        table::write(out, page, sheet.brush)?;
    }
    writeln!(out)
}

/// Writes the end of the report.
///
/// # Errors
/// Those of the writer.
pub(super) fn end<W: Write>(out: &mut W, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

impl Sheet<'_> {
    fn block(self, out: &mut Vec<u8>, block: Block<'_>) -> io::Result<()> {
        self.headline(out, block.outcome, &block.facts.join(APART), block.verdict)?;
        block.sentence.map_or(Ok(()), |sentence| self.paragraph(out, sentence))?;
        if let Some(verdict) = block.verdict.filter(|_| block.in_full) {
            self.details(out, verdict)?;
        }
        let Some(more) = block.more else { return Ok(()) };
        self.paragraph(out, more)?;
        writeln!(out)
    }

    fn headline(self, out: &mut Vec<u8>, outcome: Outcome, head: &str, verdict: Option<&Verdict>) -> io::Result<()> {
        let (mark, style) = match outcome {
            Outcome::Failed => ("✗", Style::Bad),
            Outcome::Completed => ("✓", Style::Good),
            Outcome::Aborted => ("-", Style::Doubtful),
            Outcome::Unfinished => ("…", Style::Doubtful),
            Outcome::Unknown => ("?", Style::Doubtful),
        };
        write!(out, "{} {}", self.brush.paint(style, mark), self.brush.paint(Style::Strong, head))?;
        let rule = verdict.map(|verdict| format!("{} {}", verdict.rule.id, verdict.rule.name));
        match (rule, self.width) {
            (None, _) => writeln!(out),
            (Some(rule), None) => writeln!(out, "   {}", self.brush.paint(Style::Quiet, rule)),
            (Some(rule), Some(width)) => {
                let room = width.saturating_sub(columns(head) + 2);
                let (line, room) = if room < rule.len() + 2 { ("\n", width) } else { ("", room) };
                writeln!(out, "{line}{}", self.brush.paint(Style::Quiet, format!("{rule:>room$}")))
            }
        }
    }

    /// What a verdict rests on, what else to know, and what to do.
    fn details(self, out: &mut Vec<u8>, verdict: &Verdict) -> io::Result<()> {
        self.evidence(out, &verdict.finding.evidence)?;
        if !verdict.finding.notes.is_empty() || verdict.narrower.is_some() {
            writeln!(out)?;
        }
        for note in &verdict.finding.notes {
            self.paragraph(out, say!("Note: {text}", text = note.clone()))?;
        }
        if let Some(narrower) = &verdict.narrower {
            self.paragraph(out, say!("To know more: {text}", text = narrower.clone()))?;
        }
        self.remedies(out, &verdict.remedies)?;
        writeln!(out)
    }

    fn evidence(self, out: &mut Vec<u8>, evidence: &[Evidence]) -> io::Result<()> {
        let evidence = self.page.in_order(evidence);
        let rows: Vec<[String; 2]> = evidence.iter().map(|evidence| self.page.cite(evidence)).collect();
        let wide = |column: usize| rows.iter().map(|row| columns(&row[column])).max().unwrap_or(0);
        let (place, time) = (wide(0), wide(1));
        if !rows.is_empty() {
            writeln!(out)?;
        }
        for (row, evidence) in rows.iter().zip(evidence) {
            let cited = if time == 0 {
                row[0].clone()
            } else {
                format!("{}   {}", Padded(&row[0], place), Padded(&row[1], time))
            };
            let cited = self.brush.paint(Style::Quiet, cited);
            writeln!(out, "    {cited}   {}", self.page.told(evidence))?;
        }
        Ok(())
    }

    fn remedies(self, out: &mut Vec<u8>, remedies: &[Remedy]) -> io::Result<()> {
        for remedy in remedies {
            writeln!(out)?;
            self.paragraph(out, remedy.text.clone())?;
            let tool = remedy.commands.iter().map(|(tool, _)| columns(tool)).max().unwrap_or(0);
            for (name, command) in &remedy.commands {
                writeln!(out, "    {}  {}", Padded(name, tool), escaped(command))?;
            }
        }
        Ok(())
    }

    /// A text on lines of its own, broken at the width.
    fn paragraph(self, out: &mut Vec<u8>, text: Text) -> io::Result<()> {
        let text = self.page.say(text);
        let Some(width) = self.width else { return writeln!(out, "  {text}") };
        let mut line = String::new();
        for word in words_of(&text, self.page.language) {
            if !line.is_empty() && columns(&line) + columns(word.trim_end()) + 2 > width {
                writeln!(out, "  {}", line.trim_end())?;
                line.clear();
            }
            line.push_str(word);
        }
        writeln!(out, "  {}", line.trim_end())
    }
}

/// What a line may be broken between, with the blanks behind: addresses and commands stay whole.
fn words_of(text: &str, language: Language) -> Vec<&str> {
    match language {
        Language::English => text.split_inclusive(' ').collect(),
        Language::Japanese => {
            let ends = linebreaks(text).map(|(end, _)| end).filter(|&end| may_break(text, end));
            let mut from = 0;
            ends.map(|end| &text[std::mem::replace(&mut from, end)..end]).collect()
        }
    }
}

/// Not within a word of Latin letters and signs, which UAX #14 would break behind a hyphen or a slash.
fn may_break(text: &str, at: usize) -> bool {
    let (before, behind) = text.split_at(at);
    !(before.ends_with(|char: char| char.is_ascii_graphic())
        && behind.starts_with(|char: char| char.is_ascii_graphic()))
}

/// Columns that a text takes on a terminal.
fn columns(text: &str) -> usize {
    if is_plain(text.as_bytes()) { text.len() } else { text.width() }
}

/// A text and blanks up to so many columns.
struct Padded<'a>(&'a str, usize);

impl Display for Padded<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Padded(text, up_to) = *self;
        f.write_str(text)?;
        (columns(text)..up_to).try_for_each(|_| f.write_char(' '))
    }
}
