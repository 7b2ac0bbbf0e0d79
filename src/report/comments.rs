//! What an annotated capture says of one session: its verdicts, and what the packets are that they rest on. It is handed on,
//! and so in English, as the forms for programs are.

use crate::cite::At;
use crate::language::Language;
use crate::report::Options;
use crate::report::escape::{SHOWN, SHOWN_OF_RULES, escaped, shortened};
use crate::report::page::{clock_of, command, told_of_control};
use crate::report::words::{self, Names, summary};
use crate::session::join::Session;
use crate::session::view::EventKind;
use crate::verdict::{Case, Evidence, Judgement, Outcome, TapFacts, Verdict};

/// Comments on one session.
#[derive(Debug, Default)]
pub struct Comments {
    /// A line a verdict: of whom it is, and its sentence.
    pub verdicts: Vec<String>,
    /// What is to be said of a packet: the position of its tap in line order, the packet, the words.
    pub packets: Vec<(usize, At, String)>,
}

impl Options {
    /// Whether people are shown anything of this session.
    pub fn shows(&self, session: &Session, judgement: &Judgement) -> bool {
        let failed = judgement.transfers.iter().any(|(outcome, _)| *outcome == Outcome::Failed);
        self.selects(session) && (self.shows_healthy() || failed || told_of_control(judgement).is_some())
    }
}

/// The comments on a session. `taps` are the facts of the taps, by the order in which they were given.
pub fn comments(session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> Comments {
    let mut comments = Comments::default();
    let of_control = judgement.control.1.iter().map(|verdict| (None, verdict));
    let transfers = judgement.transfers.iter().enumerate();
    let of_transfers = transfers.filter_map(|(index, (_, verdict))| Some((Some(index), verdict.as_ref()?)));
    for (transfer, verdict) in of_control.chain(of_transfers) {
        comments.add(&Case { session, taps, transfer }, verdict);
    }
    comments
}

impl Comments {
    fn add(&mut self, case: &Case<'_>, verdict: &Verdict) {
        let sure = words::confidence(verdict.finding.confidence).to(Language::English);
        let sentence = escaped(&summary(case, verdict).english()).to_string();
        let (id, name) = (verdict.rule.id, verdict.rule.name);
        self.verdicts.push(format!("{}: {sentence} [{sure}] ({id} {name})", subject(case)));
        let (sight, at) = deciding(case, &verdict.finding.evidence);
        self.packets.push((sight, at, format!("{id} {name}: {sentence} [{sure}]")));
        for evidence in &verdict.finding.evidence {
            let shown = if evidence.source.is_some() { SHOWN_OF_RULES } else { SHOWN };
            let words = shortened(evidence.text.english().as_bytes(), shown);
            self.packets.push(match (evidence.at, evidence.until, evidence.source) {
                (Some(at), None, None) => (evidence.sight, at, format!("{id}: {words}")),
                (Some(from), Some(until), None) => {
                    let seconds = from.time.until(until).as_secs_f64();
                    (evidence.sight, from, format!("{id}: {words}, for {seconds:.3} s from here"))
                }
                (_, _, source) => {
                    let tap = Names::of(*case).tap(evidence.sight);
                    let who =
                        source.map_or_else(|| escaped(tap).to_string(), |source| words::source(source).to_owned());
                    (sight, at, format!("{id}: {who}: {words}"))
                }
            });
        }
    }
}

/// What a verdict is about: the session, and the transfer.
fn subject(case: &Case<'_>) -> String {
    let view = case.view();
    let what = case.transfer.map_or_else(|| "control connection".to_owned(), |_| command(case).english());
    format!("session {}, {} -> {}, {what}", case.session.number, view.client.ip, view.server.ip)
}

/// The packet where a verdict is best seen: where a wait began that nothing ended; else the latest of the connection, not of the
/// words on it; else whatever it rests on.
fn deciding(case: &Case<'_>, evidence: &[Evidence]) -> (usize, At) {
    let packets = evidence.iter().filter(|one| one.source.is_none());
    let packets = packets.filter_map(|one| Some((one.sight, one.at?, one.until)));
    let is_word = |sight, at| {
        let log = case.session.view(sight).map_or(&[][..], |view| &view.log);
        log.iter().any(|event| event.at == at && is_said(event.kind))
    };
    let rank = |&(sight, at, until): &(usize, At, Option<_>)| (until.is_some(), !is_word(sight, at));
    let best = packets.max_by_key(rank).map(|(sight, at, _)| (sight, at));
    best.unwrap_or((case.session.main_sight(), case.view().began))
}

fn is_said(kind: EventKind) -> bool {
    matches!(kind, EventKind::Command | EventKind::Reply(_) | EventKind::ReplyPart | EventKind::Stray)
}

/// Where a tap stands for a session, how that is known, and how its clock goes.
pub fn standing(session: &Session, sight: usize, taps: &[TapFacts]) -> String {
    let case = Case { session, taps, transfer: None };
    let standing = &session.sights[sight].standing;
    let tap = Names::of(case).tap(sight);
    let place = match standing.given {
        true => format!("{tap} was captured {}", words::place(standing.place)),
        false => words::standing(tap, standing).english(),
    };
    match clock_of(case, sight) {
        Some(clock) => escaped(&format!("{place}; {}", clock.english())).to_string(),
        None => escaped(&place).to_string(),
    }
}
