//! The report as one page for people who were not there: the verdict, the line, what was said and sent as a picture, what
//! it rests on, what to do, and the whole timeline. One file, without scripts, which loads nothing.
//!
//! `line` draws the line with its taps, `diagram` the packets of a failed transfer. Whatever others wrote is made harmless
//! (`report::escape`) and then escaped by maud, which does so with every value.

mod diagram;
mod line;

use std::collections::HashMap;
use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::cite::At;
use crate::language::{Language, Message, Text, counted, message, say};
use crate::line::Side;
use crate::report::Options;
use crate::report::alike::{Alike, Telling};
use crate::report::escape::escaped;
use crate::report::names;
use crate::report::page::Page;
use crate::report::rows::{Row, rows};
use crate::report::stats::Stats;
use crate::report::time::seconds;
use crate::report::timeline::Thread;
use crate::report::totals::Totals;
use crate::report::words::{self, Names, summary};
use crate::session::join::Session;
use crate::verdict::{Case, Confidence, Evidence, Judgement, Remedy, TapFacts, Verdict};

/// How the page looks: light and dark, narrow and wide, on paper.
const STYLE: &str = include_str!("html/style.css");

/// Findings, and sessions in which nothing failed, that a page shows in full; nobody reads more, and a browser has to hold
/// them.
const MAX_SHOWN: usize = 500;

/// Rows of a timeline that a page shows.
const MAX_ROWS: usize = 5000;

/// A page on its way.
#[derive(Default)]
pub(super) struct Document {
    /// The sections of sessions so far.
    sections: String,
    /// The place and the sentence of every finding in them.
    findings: Vec<(String, String)>,
    /// Findings that are not shown.
    untold: u64,
    /// Sessions in which nothing failed, shown or not.
    healthy: usize,
    stats: Stats,
}

impl Document {
    /// Takes up a session, if there is something to show of it.
    pub(super) fn session(
        &mut self,
        options: &Options,
        alike: &mut Alike,
        session: &Session,
        judgement: &Judgement,
        taps: &[TapFacts],
    ) {
        self.stats.add(session, judgement);
        let page = Page::new(options, session, taps);
        let findings = page.findings(judgement, 0);
        let tellings = page.tellings(options, alike, &findings);
        let full = findings.into_iter().zip(tellings).filter(|(_, telling)| !matches!(telling, Telling::Told));
        let mut full: Vec<_> = full.collect();
        let room = MAX_SHOWN.saturating_sub(self.findings.len());
        let beyond = full.len().saturating_sub(room);
        self.untold += beyond as u64;
        full.truncate(room);
        if full.is_empty() {
            let is_healthy = options.shows_healthy() && beyond == 0;
            self.healthy += usize::from(is_healthy);
            if !is_healthy || self.healthy > MAX_SHOWN {
                return;
            }
        }
        let sheet = Sheet::new(page);
        for ((case, verdict), _) in &full {
            self.findings.push((sheet.id(case), page.say(summary(case, verdict))));
        }
        let markup = html! {
            section.session {
                @for ((case, verdict), telling) in &full { (sheet.finding(*case, verdict, telling)) }
                @if full.is_empty() { h2 { (page.say(message!("session"))) " " (session.number) ": " (page.ends()) } }
                (sheet.footer())
                (sheet.timeline())
            }
        };
        self.sections.push_str(&markup.into_string());
    }

    /// Writes the page, with the sums and the notes on the captures.
    ///
    /// # Errors
    /// Those of the writer.
    pub(super) fn write<W: Write>(
        &self,
        out: &mut W,
        options: &Options,
        totals: &Totals,
        alike: &Alike,
        notes: &[Text],
    ) -> io::Result<()> {
        let say = |text: &Text| escaped(&text.said(options.language)).to_string();
        let untold = (self.untold > 0).then(|| counted!(self.untold, "further finding"));
        let hidden = self.healthy.saturating_sub(MAX_SHOWN) as u64;
        let hidden = (hidden > 0).then(|| counted!(hidden, "further session"));
        let untold: Vec<Text> =
            untold.into_iter().chain(hidden).map(|findings| say!("{findings} not shown", findings)).collect();
        let lines = alike.lines();
        let more: Vec<String> = lines.iter().chain(notes).chain(&untold).map(say).collect();
        let sums = say(&totals.line());
        let title = match &self.findings[..] {
            [(_, only)] => only,
            _ => &sums,
        };
        let markup = html! {
            (DOCTYPE)
            html lang=(tag(options.language)) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content=(concat!("ftpwhy ", env!("CARGO_PKG_VERSION")));
                    title { "ftpwhy: " (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body.single[self.findings.len() == 1] {
                    header {
                        p.kicker { "ftpwhy" }
                        h1 { (title) }
                        @if self.findings.len() == 1 { p.sums { (sums) } }
                        @if self.findings.len() > 1 {
                            ol.findings { @for (id, sentence) in &self.findings { li { a href={ "#" (id) } { (sentence) } } } }
                        }
                    }
                    main { (PreEscaped(&self.sections)) (self.stats.ports(options.language)) }
                    @if !more.is_empty() { footer { ul { @for line in &more { li { (line) } } } } }
                }
            }
        };
        out.write_all(markup.into_string().as_bytes())
    }
}

/// The language tag (RFC 5646).
fn tag(language: Language) -> &'static str {
    match language {
        Language::English => "en",
        Language::Japanese => "ja",
    }
}

/// What the parts of one session's section share.
struct Sheet<'a> {
    page: Page<'a>,
    names: Names<'a>,
    rows: Vec<Row>,
    /// The places in the timeline that can be linked to, each with the first row that tells of that packet.
    shown: HashMap<String, usize>,
}

impl<'a> Sheet<'a> {
    fn new(page: Page<'a>) -> Sheet<'a> {
        let rows = rows(page.case, page.language);
        let mut sheet = Sheet { page, names: Names::of(page.case), rows, shown: HashMap::new() };
        for (number, row) in sheet.rows.iter().enumerate().take(MAX_ROWS) {
            for (sight, at) in row.seen.iter().enumerate() {
                let Some(place) = at.map(|at| sheet.place(sight, at)) else { continue };
                sheet.shown.entry(place).or_insert(number);
            }
        }
        sheet
    }

    fn say(&self, text: impl Into<Text>) -> String {
        self.page.say(text)
    }

    /// Where a finding is in the page.
    fn id(&self, case: &Case<'_>) -> String {
        format!("s{}t{}", case.session.number, case.transfer.map_or(0, |transfer| transfer + 1))
    }

    /// Where a packet is in the timeline.
    fn place(&self, sight: usize, at: At) -> String {
        let At { file, frame, .. } = at;
        format!("s{}-{sight}-{file}-{frame}", self.page.case.session.number)
    }

    /// A frame number, which leads to the timeline if it is there.
    fn frame(&self, sight: usize, at: At, words: &str) -> Markup {
        let place = self.place(sight, at);
        html! { @if self.shown.contains_key(&place) { a href={ "#" (place) } { (words) } } @else { (words) } }
    }

    fn finding(&self, case: Case<'_>, verdict: &Verdict, telling: &Telling) -> Markup {
        let id = self.id(&case);
        let confidence = verdict.finding.confidence;
        html! {
            article id=(id) aria-labelledby={ (id) "-h" } {
                p.kicker { (self.page.subject(&case, verdict).join(" · ")) }
                h2 id={ (id) "-h" } { (self.say(summary(&case, verdict))) }
                p.sure {
                    span.badge.(names::confidence(confidence)) { (self.say(words::confidence(confidence))) }
                    " " (self.say(sureness(confidence)))
                    " " code.rule { (verdict.rule.id) " " (verdict.rule.name) }
                }
                p.because { (self.say(verdict.rule.because)) }
                (line::figure(self, case, verdict))
                (diagram::figure(self, case, verdict))
                @if let Telling::ForAll { more, numbers } = telling {
                    p { (self.say(say!(
                        "And {more} of this session failed the same way: {numbers}",
                        more = counted!(*more as u64, "more transfer"),
                        numbers = numbers.listed("#")
                    ))) }
                }
                (self.evidence(verdict))
                @for note in &verdict.finding.notes { p.note { (self.say(say!("Note: {text}", text = note.clone()))) } }
                @if let Some(narrower) = &verdict.narrower {
                    p.note { (self.say(say!("To know more: {text}", text = narrower.clone()))) }
                }
                (self.remedies(&verdict.remedies))
            }
        }
    }

    fn evidence(&self, verdict: &Verdict) -> Markup {
        let evidence = self.page.in_order(&verdict.finding.evidence);
        html! {
            @if !evidence.is_empty() {
                h3 { (self.say(message!("How we know"))) }
                div.wide tabindex="0" role="region" aria-label=(self.say(message!("How we know"))) {
                    table.evidence {
                        thead { tr {
                            @for head in [message!("seen at"), message!("time"), message!("what")] {
                                th scope="col" { (self.say(head)) }
                            }
                        } }
                        tbody { @for one in evidence { (self.line_of(one)) } }
                    }
                }
            }
        }
    }

    fn line_of(&self, evidence: &Evidence) -> Markup {
        let [place, time] = self.page.cite(evidence);
        let packet = evidence.at.filter(|_| evidence.source.is_none());
        html! {
            tr {
                td.place { @match packet {
                    Some(at) => (self.frame(evidence.sight, at, &place)),
                    None => (place),
                } }
                td.time { (time) }
                td { (self.page.told(evidence)) }
            }
        }
    }

    fn remedies(&self, remedies: &[Remedy]) -> Markup {
        html! {
            @if !remedies.is_empty() {
                h3 { (self.say(message!("What to do"))) }
                ol.remedies { @for remedy in remedies {
                    li {
                        p { (self.say(remedy.text.clone())) }
                        @if !remedy.commands.is_empty() {
                            dl.commands { @for (tool, commands) in by_tool(&remedy.commands) {
                                dt { (tool) }
                                dd { pre tabindex="0" { @for command in commands { code { (escaped(command)) } "\n" } } }
                            } }
                        }
                    }
                } }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! { ul.about { @for line in self.page.about() { li { (self.say(line)) } } } }
    }

    fn timeline(&self) -> Markup {
        let title = self.say(message!("Timeline"));
        let shown = &self.rows[..self.rows.len().min(MAX_ROWS)];
        let before = std::iter::once(None).chain(shown.iter().map(Some));
        html! {
            details.timeline open {
                summary { (title) }
                div.wide tabindex="0" role="region" aria-label=(title) {
                    table {
                        thead { tr {
                            th scope="col" { (self.say(message!("time"))) }
                            th scope="col" { (self.say(message!("gap"))) }
                            @for sight in 0..self.page.case.session.sights.len() {
                                th scope="col" { (self.say(self.names.leg(sight))) }
                            }
                            th scope="col" { (self.say(message!("direction"))) }
                            th scope="col" { (self.say(message!("connection"))) }
                            th scope="col" { (self.say(message!("event"))) }
                        } }
                        tbody { @for (number, (row, before)) in shown.iter().zip(before).enumerate() { (self.row(number, row, before)) } }
                    }
                }
                @if self.rows.len() > shown.len() {
                    p { (self.say(say!(
                        "{events} not shown",
                        events = counted!((self.rows.len() - shown.len()) as u64, "further event")
                    ))) }
                }
            }
        }
    }

    fn row(&self, number: usize, row: &Row, before: Option<&Row>) -> Markup {
        let gap =
            before.map(|before| seconds(i128::from(row.time.0) - i128::from(before.time.0), 6)).unwrap_or_default();
        let (class, connection) = match row.thread {
            Thread::Control => ("control", message!("control")),
            Thread::Data(_) | Thread::Stray => ("data", message!("data")),
        };
        let (arrow, toward) = match row.toward {
            Side::Server => ("→", message!("to the server")),
            Side::Client => ("←", message!("to the client")),
        };
        html! {
            tr.(class) {
                td.time { (self.page.clock.show(row.time, 6)) }
                td.time { (gap) }
                @for (sight, at) in row.seen.iter().enumerate() {
                    @match at {
                        Some(at) => {
                            @let place = Some(self.place(sight, *at)).filter(|place| self.shown.get(place) == Some(&number));
                            td.frame id=[place] { (self.names.frame(sight, *at)) }
                        },
                        None => td.frame {},
                    }
                }
                td.arrow { span aria-hidden="true" { (arrow) } span.unseen { (self.say(toward)) } }
                td { (self.say(connection)) }
                td.event { (row.text) }
            }
        }
    }
}

/// The commands of each tool together, in order.
fn by_tool<'a>(commands: &'a [(&'static str, String)]) -> Vec<(&'static str, Vec<&'a str>)> {
    let mut tools: Vec<(&'static str, Vec<&'a str>)> = Vec::new();
    for (tool, command) in commands {
        match tools.last_mut().filter(|last| last.0 == *tool) {
            Some(last) => last.1.push(command),
            None => tools.push((tool, vec![command])),
        }
    }
    tools
}

/// What that degree of certainty rests on.
fn sureness(confidence: Confidence) -> &'static Message {
    match confidence {
        Confidence::Certain => {
            message!("It rests on a device's own word, or on complete captures around one host or box.")
        }
        Confidence::Likely => message!("It rests on an inferred place, or several boxes are in question."),
        Confidence::Possible => message!("It rests on addresses, timing or the text of a reply."),
    }
}
