//! O1: a data connection that was agreed upon, and of which no tap saw anything.
//!
//! It was stopped before the first tap that it would have reached, or never sent; a socket of the opener's own host that
//! goes on trying tells which.

use crate::language::{Message, message, say};
use crate::line::Side;
use crate::verdict::case::Case;
use crate::verdict::helper::helper_notes;
use crate::verdict::opening::{finding, stretch_is_host, unseen};
use crate::verdict::passage::Transit;
use crate::verdict::sockets::{socket_of, tries};
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism};

/// A client that ends the session sooner than this after the negotiation was refused at once, or refused by itself.
const AT_ONCE: i64 = 1_500_000_000;

/// O1: the SYN that should have opened the data connection was seen nowhere.
pub(super) fn data_syn_unseen(case: &Case<'_>) -> Option<Finding> {
    let negotiation = case.negotiation().filter(|negotiation| negotiation.stands() && negotiation.offered.is_some())?;
    let due = case.due().filter(|_| case.attempts().is_empty())?;
    let toward = negotiation.mode.listener();
    let passage = case.passage(Transit { toward, since: due.time, data: true }, |_| false);
    let given_up = case.given_up(due);
    let at_once = given_up.is_some_and(|event| event.at.time.0 - due.time.0 < AT_ONCE);
    passage.next.filter(|&sight| !(at_once && toward == Side::Server && others_passed(case, sight)))?;
    let stretch = passage.stretch();
    let own_host = stretch_is_host(case, stretch, !toward);
    let mechanism = match (own_host, at_once) {
        (true, _) => Mechanism::NeverSent,
        (false, true) => Mechanism::IcmpReject,
        (false, false) => Mechanism::SilentDrop,
    };
    let mut evidence = case.negotiation_evidence();
    evidence.extend(case.transfer_evidence());
    evidence.push(unseen(case, &passage, due.time, say!("no SYN of the data connection")));
    let mut notes = helper_notes(case, stretch);
    let trying = passage.next.filter(|_| own_host).and_then(|sight| trying(case, sight, !toward));
    match trying {
        Some(trying) => evidence.push(trying),
        None if own_host => notes.push(never_sent_note(!toward).into()),
        None => {}
    }
    let confidence = if at_once { Confidence::Possible } else { case.confidence(stretch) };
    Some(Finding { notes, ..finding(stretch, mechanism, Lost::DataSyn, confidence, evidence) })
}

/// Other SYNs of the client, which were to open data connections of this session, passed this tap. Where there was time for a
/// single one, a capture that missed it is as likely as a rule that stops this one alone. A server would say that it failed.
fn others_passed(case: &Case<'_>, sight: usize) -> bool {
    let mut attempts = case.session.view(sight).into_iter().flat_map(|view| &view.attempts);
    attempts.any(|attempt| attempt.listens == Side::Server && attempt.connection.syn.is_some())
}

/// The opener's own host has a socket whose SYN is to open the data connection that nobody saw.
fn trying(case: &Case<'_>, sight: usize, opener: Side) -> Option<Evidence> {
    let offered = case.negotiation()?.offered?;
    let peers = [case.address(sight, !opener), offered.address];
    let socket = socket_of(case, sight, |socket| {
        socket.remote.port == offered.port && peers.contains(&Some(socket.remote.ip)) && socket.retransmits > 0
    })?;
    Some(tries(case, sight, socket))
}

fn never_sent_note(opener: Side) -> &'static Message {
    match opener {
        Side::Client => message!(
            "a rule on the client's own OUTPUT, or its program never tried; a capture on its loopback shows a REJECT"
        ),
        Side::Server => {
            message!("a rule on the server's own OUTPUT, or its program could not bind its end; its log tells")
        }
    }
}
