//! The form for people: the verdict first, in one sentence; what was seen and what was not, each with where to look; what
//! to do; what would settle what is still open.

use std::io::{self, Write};

use crate::cite::Time;
use crate::line::Side;
use crate::report::escape::{Escaped, escaped};
use crate::report::facts::{self, Fate};
use crate::report::terminal::{Brush, Style};
use crate::report::time::Clock;
use crate::report::totals::{Totals, control_failure};
use crate::report::words::{self, Names, counted, summary};
use crate::report::{Options, table};
use crate::session::join::Session;
use crate::verdict::{Case, ControlOutcome, Evidence, Judgement, Mechanism, Outcome, Remedy, TapFacts, Verdict};

/// Clocks that differ by less, in nanoseconds, are as good as the same: what is told of them is an estimate.
const OFFSET: u64 = 1_000_000;

/// What the blocks of one session share.
#[derive(Clone, Copy)]
struct Page<'a> {
    case: Case<'a>,
    clock: Clock,
    brush: Brush,
    width: Option<usize>,
}

/// Appends what people are to read about one session: a block a failure, and what else is asked for.
///
/// # Errors
/// None that a vector could cause.
pub(super) fn write(
    out: &mut Vec<u8>,
    options: &Options,
    session: &Session,
    judgement: &Judgement,
    taps: &[TapFacts],
) -> io::Result<()> {
    let page = Page {
        case: Case { session, taps, transfer: None },
        clock: Clock { style: options.time, origin: session.main().began.time },
        brush: Brush { color: options.color },
        width: options.width,
    };
    let before = out.len();
    page.control(out, judgement, options.shows_healthy())?;
    for (index, judged) in judgement.transfers.iter().enumerate() {
        page.transfer(out, index, judged, options.shows_healthy())?;
    }
    if out.len() == before {
        return Ok(());
    }
    page.footer(out)?;
    if options.timeline {
        table::write(out, page.case, page.clock, page.brush)?;
    }
    writeln!(out)
}

impl Page<'_> {
    fn control(self, out: &mut Vec<u8>, judgement: &Judgement, healthy: bool) -> io::Result<()> {
        let (outcome, verdict) = &judgement.control;
        if let Some(verdict) = control_failure(judgement) {
            let head = format!("control connection   {}", self.ends());
            self.headline(out, Outcome::Failed, &head, Some(verdict))?;
            return self.body(out, self.case, verdict);
        }
        let refused = verdict.as_ref().is_some_and(|verdict| verdict.finding.mechanism == Mechanism::RefusedByServer);
        if !judgement.transfers.is_empty() || !(healthy || refused) {
            return Ok(());
        }
        let (mark, how) = match outcome {
            ControlOutcome::Completed if refused => (Outcome::Aborted, "refused"),
            ControlOutcome::Completed => (Outcome::Completed, "completed"),
            ControlOutcome::Failed => (Outcome::Failed, "failed"),
            ControlOutcome::Interrupted => (Outcome::Failed, "interrupted"),
            ControlOutcome::Unfinished => (Outcome::Unfinished, "unfinished"),
        };
        self.headline(out, mark, &format!("no transfer   {}   {how}", self.ends()), verdict.as_ref())?;
        let Some(verdict) = verdict else { return Ok(()) };
        self.sentence(out, self.case, verdict)?;
        if refused { self.details(out, verdict) } else { Ok(()) }
    }

    fn transfer(
        self,
        out: &mut Vec<u8>,
        index: usize,
        (outcome, verdict): &(Outcome, Option<Verdict>),
        healthy: bool,
    ) -> io::Result<()> {
        let failure = verdict.as_ref().filter(|_| *outcome == Outcome::Failed);
        if failure.is_none() && !healthy {
            return Ok(());
        }
        let case = Case { transfer: Some(index), ..self.case };
        let head = format!("{}   {}   {}", command(&case), self.ends(), endpoint(&case));
        if let Some(verdict) = failure {
            self.headline(out, *outcome, &head, Some(verdict))?;
            return self.body(out, case, verdict);
        }
        let head = format!("{head}   {}{}", words::outcome(*outcome), moved(&case));
        self.headline(out, *outcome, &head, verdict.as_ref())?;
        verdict.as_ref().map_or(Ok(()), |verdict| self.sentence(out, case, verdict))
    }

    /// Client, server, its program and the user.
    fn ends(self) -> String {
        let view = self.case.view();
        let software = facts::software(view).map(|software| escaped(&software).to_string());
        let user = facts::user(view).map(|user| Escaped(user).to_string());
        let known: Vec<String> = software.into_iter().chain(user).collect();
        let known = if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) };
        let port = if view.server.port == 21 { String::new() } else { format!(" port {}", view.server.port) };
        format!("{} -> {}{port}{known}", view.client.ip, view.server.ip)
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
                let room = width.saturating_sub(head.chars().count() + 2);
                let (line, room) = if room < rule.len() + 2 { ("\n", width) } else { ("", room) };
                writeln!(out, "{line}{}", self.brush.paint(Style::Quiet, format!("{rule:>room$}")))
            }
        }
    }

    fn sentence(self, out: &mut Vec<u8>, case: Case<'_>, verdict: &Verdict) -> io::Result<()> {
        let sure = words::confidence(verdict.finding.confidence);
        let text = format!("{} [{sure}]", summary(&case, verdict));
        self.paragraph(out, "  ", "  ", &text)
    }

    fn body(self, out: &mut Vec<u8>, case: Case<'_>, verdict: &Verdict) -> io::Result<()> {
        self.sentence(out, case, verdict)?;
        self.details(out, verdict)
    }

    /// What a verdict rests on, what else to know, and what to do.
    fn details(self, out: &mut Vec<u8>, verdict: &Verdict) -> io::Result<()> {
        self.evidence(out, &verdict.finding.evidence)?;
        if !verdict.finding.notes.is_empty() || verdict.narrower.is_some() {
            writeln!(out)?;
        }
        for note in &verdict.finding.notes {
            self.paragraph(out, "  Note: ", "  ", note)?;
        }
        if let Some(narrower) = &verdict.narrower {
            self.paragraph(out, "  To know more: ", "  ", narrower)?;
        }
        self.remedies(out, &verdict.remedies)?;
        writeln!(out)
    }

    fn evidence(self, out: &mut Vec<u8>, evidence: &[Evidence]) -> io::Result<()> {
        let mut evidence: Vec<&Evidence> = evidence.iter().collect();
        evidence.sort_by_key(|evidence| self.moment(evidence));
        let rows: Vec<[String; 2]> = evidence.iter().map(|evidence| self.cite(evidence)).collect();
        let wide = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (place, time) = (wide(0), wide(1));
        if !rows.is_empty() {
            writeln!(out)?;
        }
        for (row, evidence) in rows.iter().zip(evidence) {
            let cited = self.brush.paint(Style::Quiet, format!("{:<place$}   {:<time$}", row[0], row[1]));
            writeln!(out, "    {cited}   {}", escaped(&evidence.text))?;
        }
        Ok(())
    }

    /// Where evidence stands in the story; what has no time comes last.
    fn moment(self, evidence: &Evidence) -> Time {
        let time = evidence.at.map(|at| at.time).or(evidence.until);
        time.map_or(Time(i64::MAX), |time| self.case.session.on_main_clock(evidence.sight, time))
    }

    /// Where and when: `tap:frame` and a moment, for an absence the tap and a span of time.
    fn cite(self, evidence: &Evidence) -> [String; 2] {
        let names = Names::of(self.case);
        let moment = |time| self.clock.show(self.case.session.on_main_clock(evidence.sight, time), 3);
        let tap = || escaped(names.tap(evidence.sight)).to_string();
        match (evidence.at, evidence.until) {
            (Some(at), None) => [format!("{}:{}", escaped(names.file(evidence.sight, at)), at.frame), moment(at.time)],
            (Some(at), Some(until)) => [tap(), format!("{} to {}", moment(at.time), moment(until))],
            (None, Some(until)) => [tap(), format!("until {}", moment(until))],
            (None, None) => [tap(), String::new()],
        }
    }

    fn remedies(self, out: &mut Vec<u8>, remedies: &[Remedy]) -> io::Result<()> {
        for remedy in remedies {
            writeln!(out)?;
            self.paragraph(out, "  ", "  ", &remedy.text)?;
            let tool = remedy.commands.iter().map(|(tool, _)| tool.chars().count()).max().unwrap_or(0);
            for (name, command) in &remedy.commands {
                writeln!(out, "    {name:<tool$}  {}", escaped(command))?;
            }
        }
        Ok(())
    }

    /// A text of ours or of a rule, broken at the width.
    fn paragraph(self, out: &mut Vec<u8>, first: &str, others: &str, text: &str) -> io::Result<()> {
        let text = escaped(text).to_string();
        let Some(width) = self.width else { return writeln!(out, "{first}{text}") };
        let mut line = first.to_owned();
        let mut is_new = true;
        for word in text.split(' ') {
            if !is_new && line.chars().count() + 1 + word.chars().count() > width {
                writeln!(out, "{line}")?;
                line = others.to_owned();
                is_new = true;
            }
            if !is_new {
                line.push(' ');
            }
            line.push_str(word);
            is_new = false;
        }
        writeln!(out, "{line}")
    }

    /// How the clock of a tap differs from the main tap's; `offset` is what to add to it.
    fn clocks(self, sight: usize, offset: i64) -> String {
        let names = Names::of(self.case);
        let how = if offset < 0 { "ahead of" } else { "behind" };
        let main = names.tap(self.case.session.main_sight());
        format!("{}'s clock is {:.6} s {how} {main}'s", names.tap(sight), offset.unsigned_abs() as f64 / 1e9)
    }

    /// Which session this was, when, and where its taps stand.
    fn footer(self, out: &mut Vec<u8>) -> io::Result<()> {
        let session = self.case.session;
        let names = Names::of(self.case);
        writeln!(out, "  session {}, began {}", session.number, self.clock.date())?;
        for (sight, content) in session.sights.iter().enumerate() {
            if !content.standing.given {
                self.paragraph(out, "  ", "  ", &words::standing(names.tap(sight), &content.standing))?;
            }
            if content.view.is_none() {
                self.paragraph(out, "  ", "  ", &format!("{} shows nothing of this session", names.tap(sight)))?;
            } else if sight != session.main_sight() && content.offset_ns.unsigned_abs() >= OFFSET {
                self.paragraph(out, "  ", "  ", &self.clocks(sight, content.offset_ns))?;
            }
            if let Some(view) = content.view.as_ref().filter(|view| view.uncounted > 0) {
                writeln!(out, "  {} of this session were not kept", counted(view.uncounted, "further event"))?;
            }
        }
        Ok(())
    }
}

/// The command and its argument, or what is known instead.
fn command(case: &Case<'_>) -> String {
    let view = case.view();
    let command = case.transfer().and_then(|transfer| transfer.command).and_then(|command| view.event(command));
    match (command, case.transfer().is_some_and(|transfer| transfer.inferred)) {
        (Some(command), _) => Escaped(view.text_of(command)).to_string(),
        (None, true) => "encrypted transfer".to_owned(),
        (None, false) => "no transfer command".to_owned(),
    }
}

/// Who opens the data connection, and where to.
fn endpoint(case: &Case<'_>) -> String {
    let connection = facts::data_connection(case);
    let opener = case.negotiation().map(|negotiation| !negotiation.mode.listener());
    let how = match opener.or(connection.map(|connection| connection.opener)) {
        Some(Side::Client) => "passive",
        Some(Side::Server) => "active",
        None => return "no data connection agreed upon".to_owned(),
    };
    match case.negotiation() {
        Some(negotiation) => {
            let listener = facts::endpoint(case.view(), negotiation);
            let listener = listener.map(|listener| format!(" {listener}")).unwrap_or_default();
            format!("{how}: {}{listener}", negotiation.mode.name())
        }
        None => {
            let listener = connection.and_then(|connection| connection.destination);
            format!("{how}, inferred{}", listener.map(|listener| format!(": {listener}")).unwrap_or_default())
        }
    }
}

/// The bytes that an established data connection carried.
fn moved(case: &Case<'_>) -> String {
    match facts::data_connection(case) {
        Some(connection) if connection.result == Fate::Established => {
            format!(", {}", counted(connection.bytes_to_server.max(connection.bytes_to_client), "byte"))
        }
        _ => String::new(),
    }
}

/// What there is to say at the end: about the captures, and the summary line.
///
/// # Errors
/// Those of the writer.
pub(super) fn sum_up<W: Write>(out: &mut W, options: &Options, totals: &Totals, taps: &[TapFacts]) -> io::Result<()> {
    for tap in taps {
        let name = escaped(&tap.name);
        if tap.cut {
            writeln!(out, "{name}: the capture is cut or damaged; what it misses proves nothing")?;
        }
        if tap.lost > 0 {
            writeln!(
                out,
                "{name}: the capture itself lost {}; what it misses proves nothing",
                counted(tap.lost, "packet")
            )?;
        }
        if tap.census.displaced > 0 {
            let displaced = counted(tap.census.displaced, "session");
            writeln!(out, "{name}: {displaced} given up before the end, since too many were alive at once")?;
        }
    }
    let hint = totals.sessions > 0 && totals.failed_sessions == 0 && !options.shows_healthy();
    writeln!(out, "{}{}", totals.line(), if hint { " (--all shows every session)" } else { "" })
}
