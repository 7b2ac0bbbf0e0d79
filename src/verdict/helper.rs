//! What a Linux helper (`nf_conntrack_ftp`) on the path would have made of the negotiation: [`crate::ftp::helper`] in words.

use crate::ftp::helper::{Reason, Ruling};
use crate::language::{Text, say};
use crate::line::{Side, Stretch};
use crate::session::view::Mode;
use crate::verdict::case::Case;
use crate::verdict::opening::stretch_is_host;

/// What to know of it where the opening of a connection was lost in this stretch.
pub(super) fn helper_notes(case: &Case<'_>, stretch: Stretch) -> Vec<Text> {
    let view = case.view();
    if stretch_is_host(case, stretch, Side::Client)
        && case.negotiation().is_none_or(|n| n.mode.listener() == Side::Server)
    {
        return Vec::new();
    }
    if view.encrypted.is_some() {
        return vec![say!(
            "the control connection is encrypted: no helper or ALG can read the negotiation, so a firewall that relies on one stays closed"
        )];
    }
    let Some(negotiation) = case.negotiation() else { return Vec::new() };
    let mut notes = Vec::new();
    notes.extend(negotiation.helper.and_then(helper_words));
    if view.server.port != 21 {
        let port = view.server.port;
        notes.push(say!("the control port is {port}: a helper assigned to port 21 only does not look at it", port));
    }
    if matches!(negotiation.mode, Mode::Lprt | Mode::Lpsv) {
        notes.push(say!("Linux's helper does not know LPRT and LPSV"));
    }
    notes
}

/// In words, what a Linux helper on the path does with the segment that carries the negotiation, if it does not help.
fn helper_words(ruling: Ruling) -> Option<Text> {
    match ruling {
        Ruling::Ignored | Ruling::Expects(_) => None,
        Ruling::NoExpectation(reason) => Some(say!(
            "a Linux helper (nf_conntrack_ftp) on the path would not have expected this connection: {reason}",
            reason = reason_words(reason)
        )),
        Ruling::Dropped(reason) => Some(say!(
            "a Linux helper (nf_conntrack_ftp) on the path would have dropped this negotiation: {reason}",
            reason = reason_words(reason)
        )),
    }
}

/// Why, in words.
pub(super) fn reason_words(reason: Reason) -> Text {
    match reason {
        Reason::OutOfStep => say!("the segment does not begin right behind a line that it saw"),
        Reason::NotFirst => say!("the negotiation is not the first line of its segment"),
        Reason::ForeignAddress => say!("the announced address is not the sender's"),
        Reason::CutWord => say!("the segment ends within the word that it looks for"),
        Reason::NoOpening => say!("no blank or parenthesis follows the word"),
        Reason::Numbers => say!("the numbers are not written as it wants them, or end with the segment"),
    }
}
