//! The form for tickets and wikis: what the form for people tells, as GitHub-flavoured Markdown (<https://github.github.com/gfm/>).
//!
//! What others wrote is in code spans; our own sentences, which may hold names of files, have their marks escaped. Neither can
//! become markup, a link, a mention or HTML, nor end a table or a fence.

use std::io::{self, Write};

use crate::language::{message, say};
use crate::report::alike::Alike;
use crate::report::escape::escaped;
use crate::report::page::{Block, Page};
use crate::report::rows::rows;
use crate::report::{Options, table};
use crate::session::join::Session;
use crate::verdict::{Judgement, Outcome, Remedy, TapFacts, Verdict};

/// Appends what people are to read about one session: a section a failure, and what else is asked for.
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
) -> io::Result<()> {
    let page = Page::new(options, session, taps);
    let blocks = page.blocks(options, alike, judgement, 0);
    if blocks.is_empty() {
        return Ok(());
    }
    blocks.into_iter().try_for_each(|block| section(out, page, block))?;
    let about: Vec<String> = page.about().into_iter().map(|line| page.say(line)).collect();
    list(out, &about)?;
    if options.timeline {
        let titles = table::titles(page);
        let rows = table::cells(page, &rows(page.case, page.language));
        let what = titles.len() - 1;
        let row = |cells: Vec<String>| {
            let cells = cells.into_iter().enumerate();
            cells.map(|(at, cell)| if at == what { cell_of_code(&cell) } else { words(&cell) }).collect()
        };
        table_of(out, titles.iter().map(|title| words(title)).collect(), rows.into_iter().map(row))?;
    }
    Ok(())
}

/// Writes the end of the report.
///
/// # Errors
/// Those of the writer.
pub(super) fn end<W: Write>(out: &mut W, lines: &[String]) -> io::Result<()> {
    writeln!(out, "---\n")?;
    list(out, lines)
}

fn section(out: &mut Vec<u8>, page: Page<'_>, block: Block<'_>) -> io::Result<()> {
    let mark = match block.outcome {
        Outcome::Failed => "✗",
        Outcome::Completed => "✓",
        Outcome::Aborted => "–",
        Outcome::Unfinished => "…",
        Outcome::Unknown => "?",
    };
    let rule = block.verdict.map(|verdict| format!("{} {}", verdict.rule.id, verdict.rule.name));
    let facts: Vec<String> = block.facts.iter().chain(&rule).map(|fact| code(fact)).collect();
    match block.sentence {
        Some(sentence) => writeln!(out, "## {mark} {}\n\n{}\n", words(&page.say(sentence)), facts.join(" · "))?,
        None => writeln!(out, "## {mark} {}\n", facts.join(" · "))?,
    }
    if let Some(verdict) = block.verdict.filter(|_| block.in_full) {
        details(out, page, verdict)?;
    }
    block.more.map_or(Ok(()), |more| paragraph(out, &page.say(more)))
}

/// What a verdict rests on, what else to know, and what to do.
fn details(out: &mut Vec<u8>, page: Page<'_>, verdict: &Verdict) -> io::Result<()> {
    let evidence = page.in_order(&verdict.finding.evidence);
    if !evidence.is_empty() {
        let titles = [message!("seen at"), message!("time"), message!("what")].map(|title| words(&page.say(title)));
        let rows = evidence.iter().map(|evidence| {
            let [place, moment] = page.cite(evidence);
            vec![cell_of_code(&place), words(&moment), cell_of_code(&page.told(evidence))]
        });
        table_of(out, titles.to_vec(), rows)?;
    }
    let notes = verdict.finding.notes.iter().map(|note| say!("Note: {text}", text = note.clone()));
    let narrower = verdict.narrower.iter().map(|narrower| say!("To know more: {text}", text = narrower.clone()));
    notes.chain(narrower).try_for_each(|text| paragraph(out, &page.say(text)))?;
    verdict.remedies.iter().try_for_each(|one| remedy(out, page, one))
}

/// What to do, and the commands of each tool in a fence of its own.
fn remedy(out: &mut Vec<u8>, page: Page<'_>, Remedy { text, commands, .. }: &Remedy) -> io::Result<()> {
    paragraph(out, &page.say(text.clone()))?;
    for commands in commands.chunk_by(|(one, _), (next, _)| one == next) {
        let lines: Vec<String> = commands.iter().map(|(_, command)| escaped(command).to_string()).collect();
        let fence = "`".repeat(lines.iter().map(|line| longest_run(line)).max().unwrap_or(0).max(2) + 1);
        writeln!(out, "{}:\n\n{fence}\n{}\n{fence}\n", words(commands[0].0), lines.join("\n"))?;
    }
    Ok(())
}

fn paragraph(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    writeln!(out, "{}\n", line(text))
}

fn list<W: Write>(out: &mut W, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|text| writeln!(out, "- {}", line(text)))?;
    writeln!(out)
}

/// A table of cells that are Markdown already.
fn table_of(out: &mut Vec<u8>, titles: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> io::Result<()> {
    let rule = vec!["---".to_owned(); titles.len()];
    [titles, rule].into_iter().chain(rows).try_for_each(|cells| writeln!(out, "| {} |", cells.join(" | ")))?;
    writeln!(out)
}

/// A harmless line as a line of its own, which begins neither a list nor a heading or rule.
fn line(text: &str) -> String {
    let text = words(text.trim_start());
    let digits = text.len() - text.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    match text.as_bytes().get(digits) {
        Some(b'.' | b')') if digits > 0 => format!("{}\\{}", &text[..digits], &text[digits..]),
        Some(b'-' | b'+' | b'=') if digits == 0 => format!("\\{text}"),
        _ => text,
    }
}

/// A harmless text in a line. Words of which GitHub makes links or mentions are code spans, since no escape keeps it from that.
fn words(text: &str) -> String {
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if ["@", "://", "www.", "#", "mailto:", "xmpp:"].iter().any(|link| lower.contains(link)) {
        return cell_of_code(word);
    }
    let mut text = String::new();
    for char in word.chars() {
        if "\\`*_[]<>&|~$".contains(char) {
            text.push('\\');
        }
        text.push(char);
    }
    text
}

/// A harmless line as a code span.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(text) + 1);
    let edge = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let pad = if edge && !text.trim().is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// The same in a table, where a bar ends the cell unless a backslash is before it. One that was there already is told by its
/// number, since readers differ about two of them.
fn cell_of_code(text: &str) -> String {
    code(text).replace("\\|", "\\x5c|").replace('|', "\\|")
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
