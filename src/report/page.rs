//! What the forms for people tell of a session, whatever they look like: which blocks, and what they are made of.

use crate::cite::{At, Time};
use crate::language::{Language, Text, counted, message, say};
use crate::line::Side;
use crate::report::Options;
use crate::report::alike::{Alike, Telling};
use crate::report::escape::{SHOWN, SHOWN_OF_RULES, escaped, harmless, shortened};
use crate::report::facts::{self, Fate};
use crate::report::time::Clock;
use crate::report::totals::control_failure;
use crate::report::words::{self, Names, summary};
use crate::session::join::Session;
use crate::tcp::connection::Opening;
use crate::verdict::{Case, ControlOutcome, Evidence, Judgement, Mechanism, Outcome, TapFacts, Verdict};

/// Clocks that differ by less, in nanoseconds, are as good as the same: what is told of them is an estimate.
const TELLING_OFFSET: u64 = 1_000_000;

/// A session to tell of, and how.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) case: Case<'a>,
    pub(super) clock: Clock,
    pub(super) language: Language,
}

/// Something to tell of a session: a failure, or what else was asked for.
pub(super) struct Block<'a> {
    /// How it ended.
    pub(super) outcome: Outcome,
    /// What was tried, between whom, and how; harmless.
    pub(super) facts: Vec<String>,
    /// What is said of it.
    pub(super) verdict: Option<&'a Verdict>,
    /// The sentence of the verdict, and how sure it is.
    pub(super) sentence: Option<Text>,
    /// The verdict is to be told with all that it rests on, and what to do.
    pub(super) in_full: bool,
    /// How many more of this session are like it.
    pub(super) more: Option<Text>,
}

impl<'a> Page<'a> {
    /// The page of a session.
    pub(super) fn new(options: &Options, session: &'a Session, taps: &'a [TapFacts]) -> Page<'a> {
        Page {
            case: Case { session, taps, transfer: None },
            clock: Clock { style: options.time, origin: session.main().began.time },
            language: options.language,
        }
    }

    /// What is to be told of the session; people were told of the first `told` transfers before.
    pub(super) fn blocks(
        self,
        options: &Options,
        alike: &mut Alike,
        judgement: &'a Judgement,
        told: usize,
    ) -> Vec<Block<'a>> {
        let findings = self.findings(judgement, told);
        let tellings = self.tellings(options, alike, &findings);
        let mut found = findings.into_iter().zip(tellings).peekable();
        let mut blocks = Vec::new();
        match found.next_if(|((case, _), _)| case.transfer.is_none()) {
            Some(((case, verdict), telling)) => blocks.extend(self.finding(case, verdict, telling)),
            None if judgement.transfers.is_empty() && options.shows_healthy() => {
                blocks.push(self.session(&judgement.control));
            }
            None => {}
        }
        for (index, judged) in judgement.transfers.iter().enumerate().skip(told) {
            match found.next_if(|((case, _), _)| case.transfer == Some(index)) {
                Some(((case, verdict), telling)) => blocks.extend(self.finding(case, verdict, telling)),
                None if options.shows_healthy() => blocks.push(self.transfer(index, judged)),
                None => {}
            }
        }
        blocks
    }

    /// What has to be told whatever is asked for: failures, and encrypted sessions that hide whether there was one.
    pub(super) fn findings(self, judgement: &'a Judgement, told: usize) -> Vec<(Case<'a>, &'a Verdict)> {
        let control = told_of_control(judgement).map(|verdict| (self.case, verdict));
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

    /// One of them, unless one that is alike was told.
    fn finding(self, case: Case<'a>, verdict: &'a Verdict, telling: Telling) -> Option<Block<'a>> {
        let more = match telling {
            Telling::Told => return None,
            Telling::Full => None,
            Telling::ForAll { more, numbers } => {
                let (more, numbers) = (counted!(more as u64, "more transfer"), numbers.listed("#"));
                Some(say!("And {more} of this session failed the same way: {numbers}", more, numbers))
            }
        };
        let is_hidden = case.transfer.is_none() && verdict.finding.mechanism == Mechanism::Encrypted;
        let outcome = if is_hidden { Outcome::Unknown } else { Outcome::Failed };
        let facts = self.subject(&case, verdict);
        Some(Block { more, ..self.block(case, outcome, facts, Some(verdict), true) })
    }

    /// A session without any transfer in which nothing failed.
    fn session(self, (outcome, verdict): &'a (ControlOutcome, Option<Verdict>)) -> Block<'a> {
        let (outcome, how) = match outcome {
            ControlOutcome::Completed => (Outcome::Completed, message!("completed")),
            ControlOutcome::Failed => (Outcome::Failed, message!("failed")),
            ControlOutcome::Interrupted => (Outcome::Failed, message!("interrupted")),
            ControlOutcome::Unfinished => (Outcome::Unfinished, message!("unfinished")),
        };
        let how = self.say(say!("{how}, no transfer", how = Text::from(how)));
        let facts = vec![self.say(message!("session")), self.ends(), how];
        self.block(self.case, outcome, facts, verdict.as_ref(), false)
    }

    /// A transfer that did not fail; what the capture's end hides is told in full.
    fn transfer(self, index: usize, (outcome, verdict): &'a (Outcome, Option<Verdict>)) -> Block<'a> {
        let case = Case { transfer: Some(index), ..self.case };
        let mut facts = self.facts(&case);
        facts.push(self.say(ending(&case, *outcome)));
        self.block(case, *outcome, facts, verdict.as_ref(), *outcome == Outcome::Unfinished)
    }

    fn block(
        self,
        case: Case<'a>,
        outcome: Outcome,
        facts: Vec<String>,
        verdict: Option<&'a Verdict>,
        in_full: bool,
    ) -> Block<'a> {
        let sentence = verdict.map(|verdict| {
            let sure = Text::from(words::confidence(verdict.finding.confidence));
            say!("{summary} [{sure}]", summary = summary(&case, verdict), sure)
        });
        Block { outcome, facts, verdict, sentence, in_full, more: None }
    }

    /// What a verdict is about: the transfer, or the control connection.
    pub(super) fn subject(self, case: &Case<'_>, verdict: &Verdict) -> Vec<String> {
        match (case.transfer, verdict.finding.mechanism) {
            (Some(_), _) => self.facts(case),
            (None, Mechanism::Encrypted) => {
                vec![self.say(message!("encrypted session")), self.ends(), self.say(message!("no transfer seen"))]
            }
            (None, _) => vec![self.say(message!("control connection")), self.ends()],
        }
    }

    /// What was to be transferred, between whom, and how.
    fn facts(self, case: &Case<'_>) -> Vec<String> {
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

    /// What evidence tells.
    pub(super) fn told(self, evidence: &Evidence) -> String {
        let shown = if evidence.source.is_some() { SHOWN_OF_RULES } else { SHOWN };
        shortened(evidence.text.said(self.language).as_bytes(), shown)
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

    /// A text in the language of the page, made harmless.
    pub(super) fn say(self, text: impl Into<Text>) -> String {
        harmless(text.into().said(self.language))
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
            lines.extend(clock_of(self.case, sight));
            if view.uncounted > 0 {
                let events = counted!(view.uncounted, "further event");
                lines.push(say!("{events} of this session were not kept", events));
            }
        }
        lines.extend(self.blind());
        lines
    }
}

/// How the clock of a tap differs from the main tap's, if that is worth knowing.
pub(super) fn clock_of(case: Case<'_>, sight: usize) -> Option<Text> {
    let names = Names::of(case);
    let offset = case.session.sights[sight].offset_ns;
    let (tap, main) = (names.tap(sight), names.tap(case.session.main_sight()));
    let seconds = format!("{:.3}", offset.unsigned_abs() as f64 / 1e9);
    (offset.unsigned_abs() >= TELLING_OFFSET).then(|| match offset < 0 {
        true => say!("{tap}'s clock is {seconds} s ahead of {main}'s", tap, seconds, main),
        false => say!("{tap}'s clock is {seconds} s behind {main}'s", tap, seconds, main),
    })
}

/// What has to be told of a control connection: that it failed, or that it is encrypted and hides whether something did.
pub(super) fn told_of_control(judgement: &Judgement) -> Option<&Verdict> {
    let hidden = judgement.control.1.as_ref().filter(|verdict| verdict.finding.mechanism == Mechanism::Encrypted);
    control_failure(judgement).or(hidden)
}

/// The command and its argument, or what is known instead.
pub(super) fn command(case: &Case<'_>) -> Text {
    match (facts::command(case), case.transfer().is_some_and(|transfer| transfer.inferred)) {
        (Some(command), _) => Text::verbatim(shortened(command, SHOWN)),
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
