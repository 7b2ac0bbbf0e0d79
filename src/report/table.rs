//! The timeline of a session as a table: a row an event, a column a tap. A packet that a tap did not see leaves its place
//! empty.

use std::io::{self, Write};

use prettytable::format::{Alignment, FormatBuilder, LinePosition, LineSeparator};
use prettytable::{Cell, Table};

use crate::cite::Time;
use crate::language::{Language, message};
use crate::line::Side;
use crate::report::escape::escaped;
use crate::report::rows::{Row, rows};
use crate::report::terminal::{Brush, Style};
use crate::report::time::{Clock, seconds};
use crate::report::timeline::Thread;
use crate::report::words::Names;
use crate::verdict::Case;

/// Appends the table.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(
    out: &mut Vec<u8>,
    case: Case<'_>,
    clock: Clock,
    brush: Brush,
    language: Language,
) -> io::Result<()> {
    let rows = rows(case, language);
    let mut plain = Vec::new();
    table(case, clock, language, &rows).print(&mut plain)?;
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

fn table(case: Case<'_>, clock: Clock, language: Language, rows: &[Row]) -> Table {
    let mut table = Table::new();
    let rule = LineSeparator::new('-', ' ', ' ', ' ');
    table.set_format(FormatBuilder::new().indent(2).padding(0, 2).separator(LinePosition::Title, rule).build());
    let names = Names::of(case);
    let taps =
        (0..case.session.sights.len()).map(|sight| escaped(&names.leg(sight).to(language).to_string()).to_string());
    let [time, gap, event] =
        [message!("time"), message!("gap"), message!("event")].map(|title| title.to(language).to_owned());
    let titles = [time, gap].into_iter().chain(taps).chain([String::new(), String::new(), event]);
    table.set_titles(prettytable::Row::new(titles.map(|title| Cell::new(&title)).collect()));
    let mut before = None;
    for row in rows {
        table.add_row(line(names, row, clock, before.replace(row.time)));
    }
    table
}

fn line(names: Names<'_>, row: &Row, clock: Clock, before: Option<Time>) -> prettytable::Row {
    let right = |text: &str| Cell::new_align(text, Alignment::RIGHT);
    let gap = before.map(|before| seconds(i128::from(row.time.0) - i128::from(before.0), 6)).unwrap_or_default();
    let mut cells = vec![right(&clock.show(row.time, 6)), right(&gap)];
    cells.extend(
        row.seen.iter().enumerate().map(|(sight, at)| right(&at.map_or(String::new(), |at| names.frame(sight, at)))),
    );
    cells.push(Cell::new(if row.toward == Side::Server { "->" } else { "<-" }));
    cells.push(Cell::new(if row.thread == Thread::Control { "C" } else { "D" }));
    cells.push(Cell::new(&row.text));
    prettytable::Row::new(cells)
}
