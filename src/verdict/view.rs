//! V: the view itself is too poor, and the policy at the end of the table.

use crate::language::{Text, counted, say};
use crate::line::{Owner, Side, Stretch};
use crate::tcp::connection::Opening;
use crate::verdict::case::{Case, end};
use crate::verdict::outcome::STILL;
use crate::verdict::{Confidence, Evidence, Finding, Mechanism};

fn finding(case: &Case<'_>, mechanism: Mechanism, text: Text) -> Finding {
    let mut evidence = case.negotiation_evidence();
    evidence.extend(case.transfer_evidence());
    let sight = case.session.main_sight();
    evidence.push(Evidence { sight, at: None, until: None, source: None, text });
    Finding {
        stretch: Some(Stretch::WHOLE),
        owner: Some(Owner::Unknown),
        device: None,
        mechanism,
        lost: None,
        confidence: Confidence::Possible,
        evidence,
        passes_rules: false,
        notes: Vec::new(),
    }
}

/// V1: the transfer went through, and its data connection is not in the capture.
pub(super) fn data_not_captured(case: &Case<'_>) -> Option<Finding> {
    let absent = case.attempts().is_empty() && case.negotiation().is_some() && matches!(case.code(), 226 | 250);
    absent.then(|| Finding {
        stretch: None,
        owner: Some(Owner::None),
        confidence: Confidence::Certain,
        ..finding(
            case,
            Mechanism::IncompleteCapture,
            say!("the data connection is not in the capture: it was not captured, not dropped"),
        )
    })
}

/// V2: the capture ends while the transfer is under way.
pub(super) fn capture_ends(case: &Case<'_>) -> Option<Finding> {
    let waiting = case.attempts().last().is_some_and(|joined| case.opening(Some(joined)) != Opening::Established);
    let what = if waiting {
        say!("the capture ends while the data connection is being opened")
    } else {
        say!("the capture ends before the transfer does")
    };
    Some(Finding { stretch: None, ..finding(case, Mechanism::IncompleteCapture, what) })
}

/// V3: packets are missing from the capture.
pub(super) fn packets_missing(case: &Case<'_>) -> Option<Finding> {
    let gaps: u32 = case.views().map(|(_, view)| view.gaps).sum();
    let lost: u64 = case.taps.iter().map(|tap| tap.lost).sum();
    let text = match (gaps, lost) {
        (0, 0) => return None,
        (0, lost) => say!("the capture itself lost {packets}", packets = counted!(lost, "packet")),
        (gaps, _) => say!(
            "the control connection has {holes}: the capture lost packets, or its snap length cut them",
            holes = counted!(gaps, "hole")
        ),
    };
    Some(finding(case, Mechanism::IncompleteCapture, text))
}

/// V4: only one direction was captured.
pub(super) fn one_direction(case: &Case<'_>) -> Option<Finding> {
    use crate::tcp::connection::Role;
    let one = case
        .views()
        .all(|(_, view)| [Role::Opener, Role::Listener].iter().any(|&role| view.control.half(role).start.is_none()));
    one.then(|| {
        finding(case, Mechanism::IncompleteCapture, say!("only one direction of the control connection was captured"))
    })
}

/// V9: the data connection runs between two servers, and this line is not its path. The last part of its path is, where a tap
/// sees how it comes to this server and is not accepted.
pub(super) fn between_servers(case: &Case<'_>) -> Option<Finding> {
    let refused = case.negotiation().is_some_and(|negotiation| !negotiation.stands());
    let arrives = case.attempts().last().is_some_and(|joined| {
        let opening = case.opening(Some(joined));
        case.listens(Some(joined)) == Side::Server && !matches!(opening, Opening::HalfOpen | Opening::Established)
    });
    case.transfer().filter(|_| case.is_between_servers() && !refused && !arrives)?;
    let text =
        say!("another session names the same listener: the data connection runs between two servers, not on this line");
    Some(finding(case, Mechanism::IncompleteCapture, text))
}

/// V8: an encrypted session without any data connection in sight.
pub(super) fn encrypted_and_nothing_else(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let since = view.encrypted.filter(|_| view.transfers.is_empty())?;
    (since.time.until(view.last_at.time) > STILL).then(|| {
        finding(
            case,
            Mechanism::Encrypted,
            say!("no data connection in sight, and whether one was agreed upon cannot be read"),
        )
    })
}

/// V6: the data connection is nowhere, and the capture may have been filtered, or have missed it.
pub(super) fn perhaps_filtered(case: &Case<'_>) -> Option<Finding> {
    let negotiation = case.negotiation().filter(|negotiation| negotiation.stands() && case.attempts().is_empty())?;
    if !case.holds_only_control() {
        let text = say!("no packet of the data connection: none was sent, or the capture missed it");
        return Some(finding(case, Mechanism::IncompleteCapture, text));
    }
    let text =
        say!("no packet of the data connection, nor of anything else: perhaps the filter kept only the control port");
    let mut found = finding(case, Mechanism::IncompleteCapture, text);
    found.notes.push(say!(
        "if the capture was taken without a filter, say so with --unfiltered: then the {opener}'s SYN was stopped before it came here; to know, take it again with `tcpdump -i any host ADDRESS`",
        opener = end(!negotiation.mode.listener())
    ));
    Some(found)
}

/// V7, the policy.
pub(super) fn cannot_tell(case: &Case<'_>) -> Option<Finding> {
    let text = match case.view().control.syn {
        None => say!("the capture begins in the middle of the session: what was said before is not in it"),
        Some(_) => say!("what was captured fits more than one cause"),
    };
    Some(finding(case, Mechanism::IncompleteCapture, text))
}
