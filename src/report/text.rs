//! The form for people: the verdict first, in one sentence; what was seen and what was not, each with where to look; what
//! to do; what would settle what is still open.

use std::io::{self, Write};

use unicode_linebreak::linebreaks;
use unicode_width::UnicodeWidthStr;

use crate::cite::{At, Time};
use crate::language::{Language, Text, counted, message, say};
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
pub(super) struct Page<'a> {
    pub(super) case: Case<'a>,
    pub(super) clock: Clock,
    brush: Brush,
    pub(super) language: Language,
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
    let before = out.len();
    let findings = page.findings(judgement, told);
    let tellings = page.tellings(options, alike, &findings);
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
    page.about().into_iter().try_for_each(|line| page.paragraph(out, line))?;
    if options.timeline {
        table::write(out, page.case, page.clock, page.brush, page.language)?;
    }
    writeln!(out)
}

impl<'a> Page<'a> {
    /// The page of a session.
    pub(super) fn new(options: &Options, session: &'a Session, taps: &'a [TapFacts]) -> Page<'a> {
        Page {
            case: Case { session, taps, transfer: None },
            clock: Clock { style: options.time, origin: session.main().began.time },
            brush: Brush { color: options.color },
            language: options.language,
            width: options.width,
        }
    }

    /// What has to be told whatever is asked for: failures, and encrypted sessions that hide whether there was one.
    pub(super) fn findings(self, judgement: &'a Judgement, told: usize) -> Vec<(Case<'a>, &'a Verdict)> {
        let hidden = judgement.control.1.as_ref().filter(|verdict| verdict.finding.mechanism == Mechanism::Encrypted);
        let control = control_failure(judgement).or(hidden).map(|verdict| (self.case, verdict));
        let transfers = judgement.transfers.iter().enumerate().skip(told).filter_map(|(index, (outcome, verdict))| {
            let verdict = verdict.as_ref().filter(|_| *outcome == Outcome::Failed)?;
            Some((Case { transfer: Some(index), ..self.case }, verdict))
        });
        control.into_iter().chain(transfers).collect()
    }

    /// How each of them is to be told.
    pub(super) fn tellings(
        self,
        options: &Options,
        alike: &mut Alike,
        findings: &[(Case<'_>, &Verdict)],
    ) -> Vec<Telling> {
        match options.timeline || options.session.is_some() {
            true => findings.iter().map(|_| Telling::Full).collect(),
            false => alike.take(findings),
        }
    }

    /// One of them, and how many more of this session are like it.
    fn finding(self, out: &mut Vec<u8>, case: Case<'_>, verdict: &Verdict, telling: Telling) -> io::Result<()> {
        if matches!(telling, Telling::Told) {
            return Ok(());
        }
        let is_hidden = case.transfer.is_none() && verdict.finding.mechanism == Mechanism::Encrypted;
        let mark = if is_hidden { Outcome::Unknown } else { Outcome::Failed };
        self.headline(out, mark, &self.subject(&case, verdict).join(APART), Some(verdict))?;
        self.body(out, case, verdict)?;
        if let Telling::ForAll { more, numbers } = telling {
            let (more, numbers) = (counted!(more as u64, "more transfer"), numbers.listed("#"));
            self.paragraph(out, say!("And {more} of this session failed the same way: {numbers}", more, numbers))?;
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
            ControlOutcome::Completed => (Outcome::Completed, message!("completed")),
            ControlOutcome::Failed => (Outcome::Failed, message!("failed")),
            ControlOutcome::Interrupted => (Outcome::Failed, message!("interrupted")),
            ControlOutcome::Unfinished => (Outcome::Unfinished, message!("unfinished")),
        };
        let how = self.say(say!("{how}, no transfer", how = Text::from(how)));
        let head = [self.say(message!("session")), self.ends(), how];
        self.headline(out, mark, &head.join(APART), verdict.as_ref())?;
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
        let mut head = self.head(&case);
        head.push(self.say(ending(&case, *outcome)));
        self.headline(out, *outcome, &head.join(APART), verdict.as_ref())?;
        match verdict {
            Some(verdict) if *outcome == Outcome::Unfinished => self.body(out, case, verdict),
            Some(verdict) => self.sentence(out, case, verdict),
            None => Ok(()),
        }
    }

    /// What a verdict is about: the transfer, or the control connection.
    pub(super) fn subject(self, case: &Case<'_>, verdict: &Verdict) -> Vec<String> {
        match (case.transfer, verdict.finding.mechanism) {
            (Some(_), _) => self.head(case),
            (None, Mechanism::Encrypted) => {
                vec![self.say(message!("encrypted session")), self.ends(), self.say(message!("no transfer seen"))]
            }
            (None, _) => vec![self.say(message!("control connection")), self.ends()],
        }
    }

    /// What was to be transferred, between whom, and how.
    fn head(self, case: &Case<'_>) -> Vec<String> {
        vec![self.say(command(case)), self.ends(), self.say(endpoint(case))]
    }

    /// Client, server, its program and the user.
    pub(super) fn ends(self) -> String {
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
                let room = width.saturating_sub(head.width() + 2);
                let (line, room) = if room < rule.len() + 2 { ("\n", width) } else { ("", room) };
                writeln!(out, "{line}{}", self.brush.paint(Style::Quiet, format!("{rule:>room$}")))
            }
        }
    }

    fn sentence(self, out: &mut Vec<u8>, case: Case<'_>, verdict: &Verdict) -> io::Result<()> {
        let sure = Text::from(words::confidence(verdict.finding.confidence));
        self.paragraph(out, say!("{summary} [{sure}]", summary = summary(&case, verdict), sure))
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
            self.paragraph(out, say!("Note: {text}", text = note.clone()))?;
        }
        if let Some(narrower) = &verdict.narrower {
            self.paragraph(out, say!("To know more: {text}", text = narrower.clone()))?;
        }
        self.remedies(out, &verdict.remedies)?;
        writeln!(out)
    }

    fn evidence(self, out: &mut Vec<u8>, evidence: &[Evidence]) -> io::Result<()> {
        let evidence = self.in_order(evidence);
        let rows: Vec<[String; 2]> = evidence.iter().map(|evidence| self.cite(evidence)).collect();
        let wide = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let (place, time) = (wide(0), wide(1));
        if !rows.is_empty() {
            writeln!(out)?;
        }
        for (row, evidence) in rows.iter().zip(evidence) {
            let cited = if time == 0 {
                row[0].clone()
            } else {
                format!("{}   {}", padded(&row[0], place), padded(&row[1], time))
            };
            let cited = self.brush.paint(Style::Quiet, cited);
            writeln!(out, "    {cited}   {}", self.told(evidence))?;
        }
        Ok(())
    }

    /// What evidence tells.
    pub(super) fn told(self, evidence: &Evidence) -> String {
        let shown = if evidence.source.is_some() { SHOWN_OF_RULES } else { SHOWN };
        shortened(evidence.text.to(self.language).to_string().as_bytes(), shown)
    }

    /// Evidence as the story goes; what has no time comes last. One packet at several taps stays in the order in which it
    /// passed them, which the clocks, being estimated, may not give.
    pub(super) fn in_order(self, evidence: &[Evidence]) -> Vec<&Evidence> {
        let moment = |one: &Evidence| facts::moment(self.case.session, one).unwrap_or(Time(i64::MAX));
        let first = |text: &Text| evidence.iter().filter(|other| other.text == *text).map(moment).min();
        let mut told: Vec<&Evidence> = evidence.iter().collect();
        told.sort_by_key(|one| first(&one.text));
        told
    }

    /// Where and when: `tap:frame` and a moment, for an absence the tap and a span of time.
    pub(super) fn cite(self, evidence: &Evidence) -> [String; 2] {
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
            (Some(at), Some(until)) => {
                let span = say!("{from} to {to}", from = moment(at.time), to = moment(until));
                [tap(), self.say(span)]
            }
            (None, Some(until)) => [tap(), self.say(say!("until {moment}", moment = moment(until)))],
            (None, None) => [tap(), String::new()],
        }
    }

    fn remedies(self, out: &mut Vec<u8>, remedies: &[Remedy]) -> io::Result<()> {
        for remedy in remedies {
            writeln!(out)?;
            self.paragraph(out, remedy.text.clone())?;
            let tool = remedy.commands.iter().map(|(tool, _)| tool.width()).max().unwrap_or(0);
            for (name, command) in &remedy.commands {
                writeln!(out, "    {}  {}", padded(name, tool), escaped(command))?;
            }
        }
        Ok(())
    }

    /// A text in the language of the page, made harmless.
    pub(super) fn say(self, text: impl Into<Text>) -> String {
        escaped(&text.into().to(self.language).to_string()).to_string()
    }

    /// A text on lines of its own, broken at the width.
    fn paragraph(self, out: &mut Vec<u8>, text: Text) -> io::Result<()> {
        let text = self.say(text);
        let Some(width) = self.width else { return writeln!(out, "  {text}") };
        let mut line = String::new();
        for word in words_of(&text, self.language) {
            if !line.is_empty() && line.width() + word.trim_end().width() + 2 > width {
                writeln!(out, "  {}", line.trim_end())?;
                line.clear();
            }
            line.push_str(word);
        }
        writeln!(out, "  {}", line.trim_end())
    }

    /// How the clock of a tap differs from the main tap's, if that is worth knowing.
    fn clock_of(self, sight: usize) -> Option<Text> {
        let names = Names::of(self.case);
        let offset = self.case.session.sights[sight].offset_ns;
        let (tap, main) = (names.tap(sight), names.tap(self.case.session.main_sight()));
        let seconds = format!("{:.3}", offset.unsigned_abs() as f64 / 1e9);
        (offset.unsigned_abs() >= TELLING_OFFSET).then(|| match offset < 0 {
            true => say!("{tap}'s clock is {seconds} s ahead of {main}'s", tap, seconds, main),
            false => say!("{tap}'s clock is {seconds} s behind {main}'s", tap, seconds, main),
        })
    }

    /// The taps that saw nothing of the session, and what they should have seen.
    fn blind(self) -> Option<Text> {
        let session = self.case.session;
        let capture = |sight| self.case.facts(sight).capture;
        let other_leg = |sight| self.case.views().any(|(seen, _)| capture(seen) == capture(sight));
        let sights = session.sights.iter().enumerate();
        let blind = sights.filter(|(sight, content)| content.view.is_none() && !other_leg(*sight));
        let blind: Vec<&str> = blind.map(|(sight, _)| Names::of(self.case).tap(sight)).collect();
        let (last, others) = blind.split_last()?;
        let taps = match others {
            [] => Text::verbatim(*last),
            others => say!("{others} and {last}", others = others.join(", "), last),
        };
        let established = self.case.opening(None) == Opening::Established;
        Some(match (established, others.is_empty()) {
            (true, true) => say!(
                "{taps} has nothing of this session, though its control connection passes every point between the hosts: not captured there then, or not on the way",
                taps
            ),
            (true, false) => say!(
                "{taps} have nothing of this session, though its control connection passes every point between the hosts: not captured there then, or not on the way",
                taps
            ),
            (false, true) => {
                say!("{taps} has nothing of this session, not even the SYN of its control connection", taps)
            }
            (false, false) => {
                say!("{taps} have nothing of this session, not even the SYN of its control connection", taps)
            }
        })
    }

    /// Which session this was, when, and where its taps stand.
    pub(super) fn about(self) -> Vec<Text> {
        let session = self.case.session;
        let names = Names::of(self.case);
        let mut lines = vec![say!("session {number}, began {date}", number = session.number, date = self.clock.date())];
        for (sight, content) in session.sights.iter().enumerate() {
            let Some(view) = &content.view else { continue };
            if !content.standing.given {
                let standing = match names.forwards(sight) {
                    true => say!("{tap} holds both legs of a host that forwards this session", tap = names.tap(sight)),
                    false => words::standing(names.tap(sight), &content.standing),
                };
                if !lines.contains(&standing) {
                    lines.push(standing);
                }
            }
            lines.extend(self.clock_of(sight));
            if view.uncounted > 0 {
                let events = counted!(view.uncounted, "further event");
                lines.push(say!("{events} of this session were not kept", events));
            }
        }
        lines.extend(self.blind());
        lines
    }
}

/// What stands between the parts of a headline.
const APART: &str = "   ";

/// The command and its argument, or what is known instead.
fn command(case: &Case<'_>) -> Text {
    let view = case.view();
    let command = case.transfer().and_then(|transfer| transfer.command).and_then(|command| view.event(command));
    match (command, case.transfer().is_some_and(|transfer| transfer.inferred)) {
        (Some(command), _) => Text::verbatim(shortened(view.text_of(command), SHOWN)),
        (None, true) => say!("encrypted transfer"),
        (None, false) => say!("(no transfer command seen)"),
    }
}

/// Who opens the data connection, and where to.
fn endpoint(case: &Case<'_>) -> Text {
    let connection = facts::data_connection(case);
    let opener = case.negotiation().map(|negotiation| !negotiation.mode.listener());
    let mode = match opener.or(connection.map(|connection| connection.opener)) {
        Some(Side::Client) => say!("passive"),
        Some(Side::Server) => say!("active"),
        None => return say!("no data connection agreed upon"),
    };
    match case.negotiation() {
        Some(negotiation) => {
            let command = negotiation.mode.name();
            match facts::endpoint(case.view(), negotiation) {
                Some(listener) => say!("{mode}: {command} {listener}", mode, command, listener),
                None => say!("{mode}: {command}", mode, command),
            }
        }
        None => match connection.and_then(|connection| connection.destination) {
            Some(listener) => say!("{mode}, inferred: {listener}", mode, listener),
            None => say!("{mode}, inferred", mode),
        },
    }
}

/// How a transfer ended, and the bytes that its data connection carried, if that was established.
fn ending(case: &Case<'_>, outcome: Outcome) -> Text {
    let outcome = Text::from(words::outcome(outcome));
    match facts::data_connection(case) {
        Some(connection) if connection.result == Fate::Established => {
            let bytes = counted!(connection.bytes_to_server.max(connection.bytes_to_client), "byte");
            say!("{outcome}, {bytes}", outcome, bytes)
        }
        _ => outcome,
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

/// A text and blanks up to so many columns.
fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}
