//! What to do about a verdict: the text, and the exact commands with the session's own ports and addresses.

use crate::line::Owner;
use crate::verdict::case::Case;
use crate::verdict::{Finding, Rule};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// On which host: client, server or router.
    pub on: &'static str,
    /// What, in one sentence.
    pub text: String,
    /// Commands or settings, each with the tool they belong to.
    pub commands: Vec<(&'static str, String)>,
}

/// What to do about a finding.
pub(super) fn remedies(_case: &Case<'_>, _rule: &Rule, _finding: &Finding, _owner: Owner) -> Vec<Remedy> {
    Vec::new()
}
