//! Floor 5: words out.
//!
//! [`Reporter`] writes sessions and their verdicts for people (`page`: as `text`, with `table` for timelines, or as
//! `markdown`) or for programs (`json`; `lines`: as `csv` or `ecs`), or as one page with pictures (`html`). [`Stats`] counts
//! them. `words` makes the sentence of a verdict. What others wrote on the wire is escaped before a terminal sees it.

mod alike;
mod comments;
mod csv;
mod ecs;
mod ending;
mod escape;
mod explain;
mod facts;
mod html;
mod json;
mod lines;
mod markdown;
mod names;
mod page;
mod progress;
mod rows;
mod stats;
mod table;
mod terminal;
#[cfg(test)]
mod testing;
mod text;
mod time;
mod timeline;
mod totals;
mod words;

use std::io::{self, Write};
use std::net::IpAddr;

use crate::language::{Language, Text};
use crate::session::join::Session;
use crate::verdict::{Judgement, TapFacts};
use alike::Alike;
pub use comments::{Comments, comments, standing};
pub use ending::complaints;
pub use explain::{UnknownRule, explain, reference};
use html::Document;
pub use progress::Progress;
pub use stats::Stats;
pub use terminal::{wants_color, width};
pub use time::utc;
pub use totals::Totals;

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// One page for people.
    Html,
    /// For people, as Markdown.
    Markdown,
    /// One line a transfer, for spreadsheets.
    Csv,
    /// One JSON object a transfer, in the Elastic Common Schema.
    Ecs,
}

impl Format {
    /// People read it, in their language and as much as they ask for; the others hold every session.
    pub fn is_for_people(self) -> bool {
        matches!(self, Format::Text | Format::Markdown | Format::Html)
    }
}

/// How people are told moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeStyle {
    /// Seconds since the first packet of the session.
    #[default]
    Relative,
    /// Time of day in UTC.
    Utc,
    /// Time of day where the program runs.
    Local,
}

/// What to write, and how. Only `format` concerns JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The form.
    pub format: Format,
    /// Adds the whole timeline of every session that is shown.
    pub timeline: bool,
    /// Shows healthy sessions too.
    pub all: bool,
    /// The language of the form for people.
    pub language: Language,
    /// How moments are told.
    pub time: TimeStyle,
    /// Uses colors.
    pub color: bool,
    /// Breaks sentences at this many columns; none: never.
    pub width: Option<usize>,
    /// Shows only this session, healthy or not.
    pub session: Option<u64>,
    /// Shows only sessions of this client or server.
    pub host: Option<IpAddr>,
}

impl Options {
    fn selects(&self, session: &Session) -> bool {
        let views = session.sights.iter().filter_map(|sight| sight.view.as_ref());
        let has = |host| views.into_iter().any(|view| [view.client.ip, view.server.ip].contains(&host));
        self.session.is_none_or(|number| number == session.number) && self.host.is_none_or(has)
    }

    fn shows_healthy(&self) -> bool {
        self.all || self.session.is_some()
    }
}

/// Writes what is said of sessions, one after the other.
pub struct Reporter<W: Write> {
    out: W,
    options: Options,
    totals: Totals,
    alike: Alike,
    /// The page under way, if that is the form.
    document: Document,
    /// The session under way: a reader of `out` gets whole sessions only.
    buffer: Vec<u8>,
}

impl<W: Write> Reporter<W> {
    /// A reporter that has written nothing.
    pub fn new(out: W, options: Options) -> Self {
        Reporter {
            out,
            options,
            totals: Totals::default(),
            alike: Alike::default(),
            document: Document::default(),
            buffer: Vec::new(),
        }
    }

    /// Reports one session. `taps` are the facts of the taps, by the order in which they were given.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn session(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> io::Result<()> {
        self.rest_of_session(session, judgement, taps, 0)
    }

    /// The same for a session whose first `told` transfers people were told of by [`Reporter::so_far`].
    ///
    /// # Errors
    /// Those of the writer.
    pub fn rest_of_session(
        &mut self,
        session: &Session,
        judgement: &Judgement,
        taps: &[TapFacts],
        told: usize,
    ) -> io::Result<()> {
        self.buffer.clear();
        let first = self.totals.sessions == 0;
        match self.options.format {
            form if form.is_for_people() && !self.options.selects(session) => return Ok(()),
            Format::Text => self.text(session, judgement, taps, told)?,
            Format::Html => self.document.session(&self.options, &mut self.alike, session, judgement, taps),
            Format::Json => {
                self.buffer.extend_from_slice(if first { b"[\n" } else { b",\n" });
                json::write(&mut self.buffer, session, judgement, taps)?;
            }
            Format::Jsonl => {
                json::write(&mut self.buffer, session, judgement, taps)?;
                self.buffer.push(b'\n');
            }
            Format::Markdown => {
                markdown::write(&mut self.buffer, &self.options, &mut self.alike, session, judgement, taps)?;
            }
            Format::Csv => {
                if first {
                    csv::head(&mut self.buffer)?;
                }
                csv::write(&mut self.buffer, session, judgement, taps)?;
            }
            Format::Ecs => ecs::write(&mut self.buffer, session, judgement, taps)?,
        }
        self.totals.add(judgement);
        self.out.write_all(&self.buffer)
    }

    /// Tells people of the transfers of a session that is still under way, but for the first `told`. The other forms have
    /// one object a session, when it is over.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn so_far(
        &mut self,
        session: &Session,
        judgement: &Judgement,
        taps: &[TapFacts],
        told: usize,
    ) -> io::Result<()> {
        self.buffer.clear();
        if self.options.format == Format::Text && self.options.selects(session) {
            self.text(session, judgement, taps, told)?;
        }
        self.out.write_all(&self.buffer)
    }

    fn text(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts], told: usize) -> io::Result<()> {
        text::write(&mut self.buffer, &self.options, &mut self.alike, session, judgement, taps, told)
    }

    /// Brings what was reported to its readers at once.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the report: closes the array, or sums up for people, who are told the `notes` on the captures too. `taps` are
    /// the facts of the taps at the end.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, taps: &[TapFacts], notes: &[Text]) -> io::Result<Totals> {
        let last = ending::lines(&self.options, &self.totals, &self.alike, taps, notes);
        match self.options.format {
            Format::Text => text::end(&mut self.out, &last)?,
            Format::Markdown => markdown::end(&mut self.out, &last)?,
            Format::Json if self.totals.sessions == 0 => self.out.write_all(b"[]\n")?,
            Format::Json => self.out.write_all(b"\n]\n")?,
            Format::Html => self.document.write(&mut self.out, &self.options, &self.totals, &self.alike, notes)?,
            Format::Csv if self.totals.sessions == 0 => {
                csv::head(&mut self.buffer)?;
                self.out.write_all(&self.buffer)?;
            }
            Format::Csv | Format::Jsonl | Format::Ecs => {}
        }
        self.out.flush()?;
        Ok(self.totals)
    }
}

#[cfg(test)]
mod tests;
