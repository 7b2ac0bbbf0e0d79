//! The form for people: the verdict first, in one sentence; what was seen and what was not, each with where to look; what
//! to do; what would settle what is still open.

use std::io::{self, Write};

use crate::cite::{At, Time};
use crate::count::counted;
use crate::line::Side;
use crate::report::alike::{Alike, Telling};
use crate::report::escape::{SHOWN, SHOWN_OF_RULES, escaped, shortened};
use crate::report::facts::{self, Fate};
use crate::report::terminal::{Brush, Style};
use crate::report::time::Clock;
use crate::report::totals::control_failure;
use crate::report::words::{self, Names, summary};
use crate::report::{Options, table};
use crate::session::join::Session;
use crate::tcp::connection::Opening;
use crate::verdict::{Case, ControlOutcome, Evidence, Judgement, Mechanism, Outcome, Remedy, TapFacts, Verdict};

/// Clocks that differ by less, in nanoseconds, are as good as the same: what is told of them is an estimate.
const TELLING_OFFSET: u64 = 1_000_000;

/// What the blocks of one session share.
#[derive(Clone, Copy)]
struct Page<'a> {
    case: Case<'a>,
    clock: Clock,
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
    let page = Page {
        case: Case { session, taps, transfer: None },
        clock: Clock { style: options.time, origin: session.main().began.time },
        brush: Brush { color: options.color },
        width: options.width,
    };
    let before = out.len();
    let findings = page.findings(judgement, told);
    let tellings = match options.timeline || options.session.is_some() {
        true => findings.iter().map(|_| Telling::Full).collect(),
        false => alike.take(&findings),
    };
    let mut found = findings.into_iter().zip(tellings).peekable();
    match found.next_if(|((case, _), _)| case.transfer.is_none()) {
        Some(((case, verdict), telling)) => page.finding(out, case, verdict, telling)?,
        None => page.session(out, judgement, options.shows_healthy())?,
    }
    for (index, judged) in judgement.transfers.iter().enumerate().skip(told) {
        match found.next_if(|((case, _), _)| case.transfer == Some(index)) {
            Some(((case, verdict), telling)) => page.finding(out, case, verdict, telling)?,
            None if options.shows_healthy() => page.transfer(out, index, judged)?,
            None => {}
        }
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

impl<'a> Page<'a> {
    /// What has to be told whatever is asked for: failures, and encrypted sessions that hide whether there was one.
    fn findings(self, judgement: &'a Judgement, told: usize) -> Vec<(Case<'a>, &'a Verdict)> {
        let hidden = judgement.control.1.as_ref().filter(|verdict| verdict.finding.mechanism == Mechanism::Encrypted);
        let control = control_failure(judgement).or(hidden).map(|verdict| (self.case, verdict));
        let transfers = judgement.transfers.iter().enumerate().skip(told).filter_map(|(index, (outcome, verdict))| {
            let verdict = verdict.as_ref().filter(|_| *outcome == Outcome::Failed)?;
            Some((Case { transfer: Some(index), ..self.case }, verdict))
        });
        control.into_iter().chain(transfers).collect()
    }

    /// One of them, and how many more of this session are like it.
    fn finding(self, out: &mut Vec<u8>, case: Case<'_>, verdict: &Verdict, telling: Telling) -> io::Result<()> {
        if matches!(telling, Telling::Told) {
            return Ok(());
        }
        let (mark, head) = match (case.transfer, verdict.finding.mechanism) {
            (Some(_), _) => (Outcome::Failed, self.head(&case)),
            (None, Mechanism::Encrypted) => {
                (Outcome::Unknown, format!("encrypted session   {}   no transfer seen", self.ends()))
            }
            (None, _) => (Outcome::Failed, format!("control connection   {}", self.ends())),
        };
        self.headline(out, mark, &head, Some(verdict))?;
        self.body(out, case, verdict)?;
        if let Telling::ForAll { more, numbers } = telling {
            let more = counted(more as u64, "more transfer");
            let numbers = numbers.listed("#");
            self.paragraph(out, "  ", "  ", &format!("And {more} of this session failed the same way: {numbers}"))?;
            writeln!(out)?;
        }
        Ok(())
    }

    /// A session without any transfer in which nothing failed.
    fn session(self, out: &mut Vec<u8>, judgement: &Judgement, healthy: bool) -> io::Result<()> {
        if !judgement.transfers.is_empty() || !healthy {
            return Ok(());
        }
        let (outcome, verdict) = &judgement.control;
        let (mark, how) = match outcome {
            ControlOutcome::Completed => (Outcome::Completed, "completed"),
            ControlOutcome::Failed => (Outcome::Failed, "failed"),
            ControlOutcome::Interrupted => (Outcome::Failed, "interrupted"),
            ControlOutcome::Unfinished => (Outcome::Unfinished, "unfinished"),
        };
        self.headline(out, mark, &format!("session   {}   {how}, no transfer", self.ends()), verdict.as_ref())?;
        verdict.as_ref().map_or(Ok(()), |verdict| self.sentence(out, self.case, verdict))
    }

    /// A transfer that did not fail; what the capture's end hides is told in full.
    fn transfer(
        self,
        out: &mut Vec<u8>,
        index: usize,
        (outcome, verdict): &(Outcome, Option<Verdict>),
    ) -> io::Result<()> {
        let case = Case { transfer: Some(index), ..self.case };
        let head = format!("{}   {}{}", self.head(&case), words::outcome(*outcome), moved(&case));
        self.headline(out, *outcome, &head, verdict.as_ref())?;
        match verdict {
            Some(verdict) if *outcome == Outcome::Unfinished => self.body(out, case, verdict),
            Some(verdict) => self.sentence(out, case, verdict),
            None => Ok(()),
        }
    }

    /// What was to be transferred, between whom, and how.
    fn head(self, case: &Case<'_>) -> String {
        format!("{}   {}   {}", command(case), self.ends(), endpoint(case))
    }

    /// Client, server, its program and the user.
    fn ends(self) -> String {
        let view = self.case.view();
        let software = facts::software(view).map(|software| escaped(&software).to_string());
        let user = facts::user(view).map(|user| shortened(user, SHOWN));
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
        let evidence = self.in_order(evidence);
        let rows: Vec<[String; 2]> = evidence.iter().map(|evidence| self.cite(evidence)).collect();
        let wide = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (place, time) = (wide(0), wide(1));
        if !rows.is_empty() {
            writeln!(out)?;
        }
        for (row, evidence) in rows.iter().zip(evidence) {
            let cited = if time == 0 { row[0].clone() } else { format!("{:<place$}   {:<time$}", row[0], row[1]) };
            let cited = self.brush.paint(Style::Quiet, cited);
            let shown = if evidence.source.is_some() { SHOWN_OF_RULES } else { SHOWN };
            writeln!(out, "    {cited}   {}", shortened(evidence.text.as_bytes(), shown))?;
        }
        Ok(())
    }

    /// Evidence as the story goes; what has no time comes last. One packet at several taps stays in the order in which it
    /// passed them, which the clocks, being estimated, may not give.
    fn in_order(self, evidence: &[Evidence]) -> Vec<&Evidence> {
        let moment = |one: &Evidence| facts::moment(self.case.session, one).unwrap_or(Time(i64::MAX));
        let first = |text: &str| evidence.iter().filter(|other| other.text == text).map(moment).min();
        let mut told: Vec<&Evidence> = evidence.iter().collect();
        told.sort_by_key(|one| first(&one.text));
        told
    }

    /// Where and when: `tap:frame` and a moment, for an absence the tap and a span of time.
    fn cite(self, evidence: &Evidence) -> [String; 2] {
        let names = Names::of(self.case);
        let moment = |time| self.clock.show(self.case.session.on_main_clock(evidence.sight, time), 3);
        let tap = || escaped(names.tap(evidence.sight)).to_string();
        if let (Some(source), Some(at)) = (evidence.source, evidence.at) {
            return [words::source(source).to_owned(), moment(at.time)];
        }
        match (evidence.at, evidence.until) {
            (Some(at @ At { time, frame, .. }), None) => {
                [format!("{}:{frame}", escaped(names.file(evidence.sight, at))), moment(time)]
            }
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

    /// How the clock of a tap differs from the main tap's, if that is worth knowing.
    fn clock_of(self, sight: usize) -> Option<String> {
        let names = Names::of(self.case);
        let offset = self.case.session.sights[sight].offset_ns;
        let how = if offset < 0 { "ahead of" } else { "behind" };
        let main = names.tap(self.case.session.main_sight());
        let seconds = offset.unsigned_abs() as f64 / 1e9;
        (offset.unsigned_abs() >= TELLING_OFFSET)
            .then(|| format!("{}'s clock is {seconds:.3} s {how} {main}'s", names.tap(sight)))
    }

    /// The taps that saw nothing of the session, and what they should have seen.
    fn blind(self) -> Option<String> {
        let session = self.case.session;
        let capture = |sight| self.case.facts(sight).capture;
        let other_leg = |sight| self.case.views().any(|(seen, _)| capture(seen) == capture(sight));
        let sights = session.sights.iter().enumerate();
        let blind = sights.filter(|(sight, content)| content.view.is_none() && !other_leg(*sight));
        let blind: Vec<&str> = blind.map(|(sight, _)| Names::of(self.case).tap(sight)).collect();
        let (name, more) = blind.split_last()?;
        let taps = if more.is_empty() { (*name).to_owned() } else { format!("{} and {name}", more.join(", ")) };
        let is = if more.is_empty() { "has" } else { "have" };
        Some(match self.case.opening(None) {
            Opening::Established => format!(
                "{taps} {is} nothing of this session, though its control connection passes every point between the hosts: not \
                 captured there then, or not on the way"
            ),
            _ => format!("{taps} {is} nothing of this session, not even the SYN of its control connection"),
        })
    }

    /// Which session this was, when, and where its taps stand.
    fn footer(self, out: &mut Vec<u8>) -> io::Result<()> {
        let session = self.case.session;
        let names = Names::of(self.case);
        writeln!(out, "  session {}, began {}", session.number, self.clock.date())?;
        let mut told = String::new();
        for (sight, content) in session.sights.iter().enumerate() {
            if !content.standing.given && content.view.is_some() {
                let standing = match names.forwards(sight) {
                    true => format!("{} holds both legs of a host that forwards this session", names.tap(sight)),
                    false => words::standing(names.tap(sight), &content.standing),
                };
                if standing != told {
                    self.paragraph(out, "  ", "  ", &standing)?;
                    told = standing;
                }
            }
            if let Some(offset) = self.clock_of(sight).filter(|_| content.view.is_some()) {
                self.paragraph(out, "  ", "  ", &offset)?;
            }
            if let Some(view) = content.view.as_ref().filter(|view| view.uncounted > 0) {
                writeln!(out, "  {} of this session were not kept", counted(view.uncounted, "further event"))?;
            }
        }
        self.blind().map_or(Ok(()), |blind| self.paragraph(out, "  ", "  ", &blind))
    }
}

/// The command and its argument, or what is known instead.
fn command(case: &Case<'_>) -> String {
    let view = case.view();
    let command = case.transfer().and_then(|transfer| transfer.command).and_then(|command| view.event(command));
    match (command, case.transfer().is_some_and(|transfer| transfer.inferred)) {
        (Some(command), _) => shortened(view.text_of(command), SHOWN),
        (None, true) => "encrypted transfer".to_owned(),
        (None, false) => "(no transfer command seen)".to_owned(),
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
