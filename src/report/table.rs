//! The timeline of a session as a table: a row an event, a column a tap. A packet that a tap did not see leaves its place
//! empty.

use std::collections::HashMap;
use std::io::{self, Write};

use prettytable::format::{Alignment, FormatBuilder, LinePosition, LineSeparator};
use prettytable::{Cell, Row, Table};

use crate::cite::Time;
use crate::line::Side;
use crate::report::escape::{Escaped, escaped};
use crate::report::terminal::{Brush, Style};
use crate::report::time::{Clock, seconds};
use crate::report::timeline::{Moment, Thread, Threads, Told, moments};
use crate::report::words::Names;
use crate::session::view::EventKind;
use crate::verdict::Case;

/// One packet is at all taps within this time, clock offsets being estimates; TCP repeats a SYN after a second.
const SAME_PACKET: i64 = 500_000_000;

/// One event, wherever it was seen.
struct Line {
    time: Time,
    thread: Thread,
    toward: Side,
    text: String,
    /// The frame at every tap; empty where it was not seen.
    frames: Vec<String>,
}

/// Appends the table.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(out: &mut Vec<u8>, case: Case<'_>, clock: Clock, brush: Brush) -> io::Result<()> {
    let lines = lines(case);
    let mut plain = Vec::new();
    table(case, clock, &lines).print(&mut plain)?;
    let plain = String::from_utf8_lossy(&plain);
    let (head, rows) = plain.split_at(plain.match_indices('\n').nth(HEAD - 1).map_or(0, |(at, _)| at + 1));
    writeln!(out)?;
    for line in head.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    for (row, line) in rows.lines().zip(&lines) {
        let style = if line.thread == Thread::Control { Style::Control } else { Style::Data };
        writeln!(out, "{}", brush.paint(style, row.trim_end()))?;
    }
    Ok(())
}

/// Lines of the table before its first row: titles and rule.
const HEAD: usize = 2;

fn table(case: Case<'_>, clock: Clock, lines: &[Line]) -> Table {
    let mut table = Table::new();
    let rule = LineSeparator::new('-', ' ', ' ', ' ');
    table.set_format(FormatBuilder::new().indent(2).padding(0, 2).separator(LinePosition::Title, rule).build());
    let names = Names::of(case);
    let taps = (0..case.session.sights.len()).map(|sight| escaped(&names.leg(sight)).to_string());
    let titles = ["time", "gap"].map(str::to_owned).into_iter().chain(taps);
    table.set_titles(Row::new(
        titles.chain(["", "", "event"].map(str::to_owned)).map(|title| Cell::new(&title)).collect(),
    ));
    let mut before = None;
    for line in lines {
        table.add_row(row(line, clock, before.replace(line.time)));
    }
    table
}

fn row(line: &Line, clock: Clock, before: Option<Time>) -> Row {
    let right = |text: &str| Cell::new_align(text, Alignment::RIGHT);
    let gap = before.map(|before| seconds(i128::from(line.time.0) - i128::from(before.0), 6)).unwrap_or_default();
    let mut cells = vec![right(&clock.show(line.time, 6)), right(&gap)];
    cells.extend(line.frames.iter().map(|frame| right(frame)));
    cells.push(Cell::new(if line.toward == Side::Server { "->" } else { "<-" }));
    cells.push(Cell::new(if line.thread == Thread::Control { "C" } else { "D" }));
    cells.push(Cell::new(&line.text));
    Row::new(cells)
}

/// What makes two events of two taps one packet: all that they tell, and that it is as often told before.
type Key = (Thread, std::mem::Discriminant<EventKind>, Side, String, usize);

fn lines(case: Case<'_>) -> Vec<Line> {
    let threads = Threads::of(case.session);
    let mut told: Vec<HashMap<Key, usize>> = (0..case.session.sights.len()).map(|_| HashMap::new()).collect();
    let mut known: HashMap<Key, usize> = HashMap::new();
    let mut lines: Vec<Line> = Vec::new();
    for moment in moments(case.session) {
        let Some((line, mut key)) = line(case, &threads, moment) else { continue };
        let times = told[moment.sight].entry(key.clone()).or_insert(0);
        key.4 = *times;
        *times += 1;
        let twin = known.get(&key).copied().filter(|&at| lines[at].time.0.abs_diff(line.time.0) < SAME_PACKET as u64);
        match twin {
            Some(at) => lines[at].frames[moment.sight].clone_from(&line.frames[moment.sight]),
            None => {
                known.insert(key, lines.len());
                lines.push(line);
            }
        }
    }
    lines
}

fn line(case: Case<'_>, threads: &[Threads], moment: Moment) -> Option<(Line, Key)> {
    let view = case.session.view(moment.sight)?;
    let event = view.log.get(moment.index)?;
    let thread = threads[moment.sight].thread(event);
    let text = match Told::of(view, event) {
        Told::Quote(bytes) => Escaped(bytes).to_string(),
        words => escaped(&words.to_string()).to_string(),
    };
    let mut frames = vec![String::new(); case.session.sights.len()];
    let frame = event.at.frame;
    frames[moment.sight] = match Names::of(case).rotated(moment.sight, event.at) {
        Some(file) => format!("{}:{frame}", escaped(file)),
        None => frame.to_string(),
    };
    let key = (thread, std::mem::discriminant(&event.kind), event.toward, text.clone(), 0);
    Some((Line { time: moment.time, thread, toward: event.toward, text, frames }, key))
}
