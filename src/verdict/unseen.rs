//! O1 and C16: a connection that was to be, and of which no tap saw anything.
//!
//! It was stopped before the first tap that it would have reached, or never sent; a socket of the opener's own host that
//! goes on trying tells which.

use crate::cite::{At, Time};
use crate::language::{Message, message, say};
use crate::line::{Owner, Side};
use crate::netfilter::socket::Socket;
use crate::session::view::KnownBy;
use crate::verdict::case::Case;
use crate::verdict::opening::{finding, helper_notes, stretch_is_host, unseen};
use crate::verdict::passage::{Passage, Transit};
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism, Source};

/// What keeps packets from a capture on all interfaces though they do leave.
const HIDDEN: &Message =
    message!("what an IPsec policy of this host encrypts, no capture on it shows on its way out: ip xfrm policy tells");

/// A client that ends the session sooner than this after the negotiation was refused at once, or refused by itself.
const AT_ONCE: i64 = 1_500_000_000;

/// O1: the SYN that should have opened the data connection was seen nowhere.
pub(super) fn data_syn_unseen(case: &Case<'_>) -> Option<Finding> {
    let negotiation = case.negotiation().filter(|negotiation| negotiation.stands() && negotiation.offered.is_some())?;
    let due = case.due().filter(|_| case.attempts().is_empty())?;
    let toward = negotiation.mode.listener();
    let passage = case.passage(Transit { toward, since: due.time, data: true }, |_| false);
    passage.next?;
    let stretch = passage.stretch();
    let own_host = stretch_is_host(case, stretch, !toward);
    let given_up = case.given_up(due);
    let at_once = given_up.is_some_and(|event| event.at.time.0 - due.time.0 < AT_ONCE);
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

/// C16: the client's own host sends the SYN of the control connection again and again, and shows it on no interface.
pub(super) fn control_syn_unseen(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let unseen = view.known_by == KnownBy::Socket && view.control.began().is_none();
    let sight = unseen.then(|| case.session.main_sight())?;
    let socket =
        socket_of(case, sight, |socket| (socket.local, socket.remote) == (view.control.opener, view.control.listener))?;
    let stretch = Passage { toward: Side::Server, last: None, next: Some(sight) }.stretch();
    let found =
        finding(stretch, Mechanism::NeverSent, Lost::ControlSyn, Confidence::Likely, vec![tries(case, sight, socket)]);
    Some(Finding { owner: Some(Owner::Client), notes: vec![HIDDEN.into()], ..found })
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

/// The latest that is known of a socket of a tap's host that tries in vain.
pub(super) fn socket_of<'a>(
    case: &Case<'a>,
    sight: usize,
    is_it: impl Fn(&Socket) -> bool,
) -> Option<&'a (Time, Socket)> {
    case.facts(sight).trying.iter().rev().find(|(_, socket)| is_it(socket))
}

fn tries(case: &Case<'_>, sight: usize, (time, socket): &(Time, Socket)) -> Evidence {
    let text = say!(
        "the socket {local} > {remote} has sent its SYN {times} times, and none was seen",
        local = socket.local,
        remote = socket.remote,
        times = u32::from(socket.retransmits) + 1
    );
    Evidence { source: Some(Source::Sockets), ..case.seen(sight, At { time: *time, ..At::default() }, text) }
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
