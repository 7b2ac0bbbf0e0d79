//! Sums over all sessions of a report.

use crate::language::{Text, counted, say};
use crate::line::Owner;
use crate::report::words;
use crate::verdict::{ControlOutcome, Judgement, Outcome, Verdict};

/// What a report counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions.
    pub sessions: u64,
    /// Transfers.
    pub transfers: u64,
    /// Sessions in which something failed.
    pub failed_sessions: u64,
    /// Sessions whose control connection was never opened, or broke.
    pub failed_control: u64,
    /// Transfers by outcome, in the order of [`OUTCOMES`].
    outcomes: [u64; OUTCOMES.len()],
    /// Failures, of transfers and of control connections, by side, in the order of [`OWNERS`].
    owners: [u64; OWNERS.len()],
}

/// Every outcome, in the order in which the summary tells them.
pub(super) const OUTCOMES: [Outcome; 5] =
    [Outcome::Failed, Outcome::Completed, Outcome::Aborted, Outcome::Unfinished, Outcome::Unknown];

/// Every side, in the same way.
pub(super) const OWNERS: [Owner; 7] = [
    Owner::Client,
    Owner::Network,
    Owner::Server,
    Owner::BeyondClient,
    Owner::BeyondServer,
    Owner::None,
    Owner::Unknown,
];

impl Totals {
    /// Transfers that ended so.
    pub fn ended(&self, outcome: Outcome) -> u64 {
        OUTCOMES.iter().position(|other| *other == outcome).map_or(0, |at| self.outcomes[at])
    }

    /// Failures that are this side's.
    pub(super) fn blamed(&self, owner: Owner) -> u64 {
        OWNERS.iter().position(|other| *other == owner).map_or(0, |at| self.owners[at])
    }

    /// Adds a session.
    pub(super) fn add(&mut self, judgement: &Judgement) {
        self.sessions += 1;
        self.transfers += judgement.transfers.len() as u64;
        self.failed_sessions += u64::from(judgement.has_failure());
        for (outcome, verdict) in &judgement.transfers {
            if let Some(at) = OUTCOMES.iter().position(|other| other == outcome) {
                self.outcomes[at] += 1;
            }
            if let Some(verdict) = verdict.as_ref().filter(|_| *outcome == Outcome::Failed) {
                self.blame(verdict);
            }
        }
        if let Some(verdict) = control_failure(judgement) {
            self.failed_control += 1;
            self.blame(verdict);
        }
    }

    fn blame(&mut self, verdict: &Verdict) {
        if let Some(at) = OWNERS.iter().position(|other| *other == verdict.owner) {
            self.owners[at] += 1;
        }
    }

    /// The summary line: `1 session, 1 transfer: 1 failed (client's side 1)`.
    pub(super) fn line(&self) -> Text {
        let mut parts = Vec::new();
        if self.failed_control > 0 {
            let connections = counted!(self.failed_control, "control connection");
            parts.push(say!("{connections} failed", connections));
        }
        let outcomes = OUTCOMES.into_iter().zip(self.outcomes).filter(|(_, count)| *count > 0);
        let (failed, others): (Vec<_>, Vec<_>) = outcomes.partition(|(outcome, _)| *outcome == Outcome::Failed);
        let words = |(outcome, count): (Outcome, u64)| {
            say!("{count} {outcome}", count, outcome = Text::from(words::outcome(outcome)))
        };
        parts.extend(failed.into_iter().map(words));
        if let (Some(part), Some(sides)) = (parts.pop(), self.sides()) {
            parts.push(say!("{part} ({sides})", part, sides));
        }
        parts.extend(others.into_iter().map(words));
        let (sessions, transfers) = (counted!(self.sessions, "session"), counted!(self.transfers, "transfer"));
        let counts = say!("{sessions}, {transfers}", sessions, transfers);
        match listed(parts) {
            Some(parts) => say!("{counts}: {parts}", counts, parts),
            None => counts,
        }
    }

    fn sides(&self) -> Option<Text> {
        let counts = OWNERS.into_iter().zip(self.owners).filter(|(_, count)| *count > 0);
        listed(counts.map(|(owner, count)| say!("{owner} {count}", owner = Text::from(words::owner(owner)), count)))
    }
}

/// `one, next, ...`; none if there is nothing.
fn listed(texts: impl IntoIterator<Item = Text>) -> Option<Text> {
    texts.into_iter().reduce(|others, next| say!("{others}, {next}", others, next))
}

/// The failure of a control connection that no failed transfer tells already.
pub(super) fn control_failure(judgement: &Judgement) -> Option<&Verdict> {
    let (ControlOutcome::Failed | ControlOutcome::Interrupted, Some(verdict)) = &judgement.control else { return None };
    let mut failed = judgement.transfers.iter().filter(|(outcome, _)| *outcome == Outcome::Failed);
    let told = failed.any(|(_, other)| other.as_ref().is_some_and(|other| other.rule.id == verdict.rule.id));
    (!told).then_some(verdict)
}
