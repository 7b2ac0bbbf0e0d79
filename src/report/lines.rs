//! What the forms with a line a transfer have lines of: every transfer, and every control connection that failed.

use crate::report::names;
use crate::report::totals::control_failure;
use crate::session::join::Session;
use crate::verdict::{Case, Judgement, TapFacts, Verdict};

/// A transfer, or a control connection that failed.
pub(super) struct Line<'a> {
    /// Which.
    pub(super) case: Case<'a>,
    /// How it ended: a word of [`names::outcome`] or [`names::control`].
    pub(super) outcome: &'static str,
    /// What is said of it.
    pub(super) verdict: Option<&'a Verdict>,
}

/// The lines of a session. A control connection whose failure a failed transfer tells has none.
pub(super) fn lines<'a>(
    session: &'a Session,
    judgement: &'a Judgement,
    taps: &'a [TapFacts],
) -> impl Iterator<Item = Line<'a>> {
    let case = Case { session, taps, transfer: None };
    let outcome = names::control(judgement.control.0);
    let control = control_failure(judgement).map(|verdict| Line { case, outcome, verdict: Some(verdict) });
    let transfers = judgement.transfers.iter().enumerate().map(move |(index, (outcome, verdict))| Line {
        case: Case { transfer: Some(index), ..case },
        outcome: names::outcome(*outcome),
        verdict: verdict.as_ref(),
    });
    control.into_iter().chain(transfers)
}
