//! The timeline of a session as a table: a row an event, a column a tap. A packet that a tap did not see leaves its place
//! empty.

use std::io::{self, Write};

use prettytable::format::{Alignment, FormatBuilder, LinePosition, LineSeparator};
use prettytable::{Cell, Table};

use crate::cite::Time;
use crate::language::message;
use crate::line::Side;
use crate::report::page::Page;
use crate::report::rows::{Row, rows};
use crate::report::terminal::{Brush, Style};
use crate::report::time::seconds;
use crate::report::timeline::Thread;
use crate::report::words::Names;

/// Appends the table.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(out: &mut Vec<u8>, page: Page<'_>, brush: Brush) -> io::Result<()> {
    let rows = rows(page.case, page.language);
    let mut plain = Vec::new();
    table(page, &rows).print(&mut plain)?;
    let plain = String::from_utf8_lossy(&plain);
    let (head, body) = plain.split_at(plain.match_indices('\n').nth(HEAD - 1).map_or(0, |(at, _)| at + 1));
    writeln!(out)?;
    for line in head.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    for (line, row) in body.lines().zip(&rows) {
        let style = if row.thread == Thread::Control { Style::Control } else { Style::Data };
        writeln!(out, "{}", brush.paint(style, line.trim_end()))?;
    }
    Ok(())
}

/// Lines of the table before its first row: titles and rule.
const HEAD: usize = 2;

fn table(page: Page<'_>, rows: &[Row]) -> Table {
    let mut table = Table::new();
    let rule = LineSeparator::new('-', ' ', ' ', ' ');
    table.set_format(FormatBuilder::new().indent(2).padding(0, 2).separator(LinePosition::Title, rule).build());
    table.set_titles(prettytable::Row::new(titles(page).iter().map(|title| Cell::new(title)).collect()));
    for cells in cells(page, rows) {
        let numbers = cells.len() - WORDS;
        let align = |at| if at < numbers { Alignment::RIGHT } else { Alignment::LEFT };
        let cells = cells.iter().enumerate().map(|(at, cell)| Cell::new_align(cell, align(at)));
        table.add_row(prettytable::Row::new(cells.collect()));
    }
    table
}

/// The titles of the columns; those of direction and connection have none.
pub(super) fn titles(page: Page<'_>) -> Vec<String> {
    let names = Names::of(page.case);
    let taps = (0..page.case.session.sights.len()).map(|sight| page.say(names.leg(sight)));
    let [time, gap, event] = [message!("time"), message!("gap"), message!("event")].map(|title| page.say(title));
    [time, gap].into_iter().chain(taps).chain([String::new(), String::new(), event]).collect()
}

/// Columns at the end that hold no numbers: direction, connection, and what happened.
const WORDS: usize = 3;

/// The cells of these rows.
pub(super) fn cells(page: Page<'_>, rows: &[Row]) -> Vec<Vec<String>> {
    let before = [None].into_iter().chain(rows.iter().map(|row| Some(row.time)));
    rows.iter().zip(before).map(|(row, before)| line(page, row, before)).collect()
}

fn line(page: Page<'_>, row: &Row, before: Option<Time>) -> Vec<String> {
    let names = Names::of(page.case);
    let gap = before.map(|before| seconds(i128::from(row.time.0) - i128::from(before.0), 6)).unwrap_or_default();
    let arrow = if row.toward == Side::Server { "->" } else { "<-" };
    let thread = if row.thread == Thread::Control { "C" } else { "D" };
    let frames = row.seen.iter().enumerate();
    let frames = frames.map(|(sight, at)| at.map_or(String::new(), |at| names.frame(sight, at)));
    let ends = [arrow.to_owned(), thread.to_owned(), row.text.clone()];
    [page.clock.show(row.time, 6), gap].into_iter().chain(frames).chain(ends).collect()
}
