//! O and part of C: the opening of a connection, from the SYN to the last acknowledgement.
//!
//! The same questions serve the control connection and the data connections: which leg of the handshake came furthest,
//! which tap saw it last, and what answered it.

use crate::cite::{At, Time};
use crate::language::{Message, Text, counted, message, say};
use crate::line::{Owner, Place, Point, Side, Stretch};
use crate::packet::{IcmpError, LOOPBACK};
use crate::session::join::JoinedAttempt;
use crate::session::place::hops;
use crate::tcp::connection::{Connection, Opening, Reset, Role};
use crate::tcp::half::Leg;
use crate::verdict::case::{Case, role_at, seconds};
use crate::verdict::helper::helper_notes;
use crate::verdict::passage::{Passage, Transit};
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism};

/// The connection that a rule asks about: the control connection, or the transfer's latest data connection.
type Which<'a> = Option<&'a JoinedAttempt>;

/// A packet that was sent as often as this was not answered: chance does not take as many answers, even from a capture that
/// misses packets.
const PERSISTENT: u16 = 3;

/// What answers as the listener's host would, and is not that host.
const DOUBLE: &Message = message!(
    "another machine answered, as far away as the listener: a load balancer or a NAT sends this port elsewhere than the control connection"
);

/// The transfer's data connection that decides: the last one, since clients try again.
fn deciding<'a>(case: &Case<'a>) -> Option<Which<'a>> {
    case.attempts().last().map(|joined| Some(*joined))
}

fn failed<'a>(case: &Case<'a>, which: Which<'a>, opening: Opening) -> Option<Which<'a>> {
    (case.opening(which) == opening).then_some(which)
}

/// The stretch is nothing but this end's own host.
pub(super) fn stretch_is_host(case: &Case<'_>, stretch: Stretch, side: Side) -> bool {
    let place = |point| match point {
        Point::Tap(sight) => Some(case.place(sight)),
        Point::Client | Point::Server => None,
    };
    match side {
        Side::Client => stretch.from == Point::Client && place(stretch.to) == Some(Place::Client),
        Side::Server => stretch.to == Point::Server && place(stretch.from) == Some(Place::Server),
    }
}

/// O2, C2: a device answered the SYN with an ICMP error.
pub(super) fn syn_icmp<'a>(case: &Case<'a>, which: Which<'a>) -> Option<Finding> {
    let which = failed(case, which, Opening::IcmpError)?;
    let (sight, error) = first_icmp(case, which, Role::Opener)?;
    let listens = case.listens(which);
    let toward = listens;
    let passage = case.connection_passage(which, toward, |c| first_syn(c).or(c.icmp.as_ref().map(|error| error.at)));
    let mut passage = refused(passage, sight, error);
    let owner = signer_side(case, sight, error, listens);
    if owner.is_some() {
        passage.next = None;
    }
    let stretch = passage.stretch();
    let mut evidence = syn_evidence(case, which);
    evidence.push(case.seen(sight, error.at, icmp_words(error)));
    let mut notes = helper_notes(case, stretch);
    notes.extend(icmp_note(error));
    let found = finding(
        stretch,
        Mechanism::IcmpReject,
        lost(which, Lost::ControlSyn, Lost::DataSyn),
        Confidence::Certain,
        evidence,
    );
    Some(Finding { owner, device: Some(error.source), notes, ..found })
}

/// The passage of a packet that an ICMP error quotes, which the tap at `sight` saw.
fn refused(passage: Passage, sight: usize, error: &IcmpError) -> Passage {
    let own = error.is_to_itself();
    let next = match (is_host_unreachable(error), own) {
        (true, _) => None,
        (false, true) => Some(sight),
        (false, false) => passage.next,
    };
    Passage { last: passage.last.filter(|_| !own), next, ..passage }
}

/// O7, C6: the opener's own host refused its SYN, which never left it: the answer was captured on another interface than
/// the session, or goes from the host's address to itself.
pub(super) fn own_output_rejected<'a>(case: &Case<'a>, which: Which<'a>) -> Option<Finding> {
    let (sight, mechanism, answer) = own_icmp(case, which).or_else(|| own_reset(case, which))?;
    let toward = case.listens(which);
    let stretch = Passage { toward, last: None, next: Some(sight) }.stretch();
    let mut evidence = if which.is_some() { case.negotiation_evidence() } else { Vec::new() };
    evidence.push(answer);
    let lost = lost(which, Lost::ControlSyn, Lost::DataSyn);
    let found = finding(stretch, mechanism, lost, Confidence::Certain, evidence);
    let owner = if toward == Side::Server { Owner::Client } else { Owner::Server };
    Some(Finding { owner: Some(owner), ..found })
}

fn own_icmp<'a>(case: &Case<'a>, which: Which<'a>) -> Option<(usize, Mechanism, Evidence)> {
    let which = failed(case, which, Opening::IcmpError)?;
    let (sight, error) = first_icmp(case, which, Role::Opener)?;
    let own = error.is_to_itself() && !is_host_unreachable(error);
    own.then(|| (sight, Mechanism::IcmpReject, case.seen(sight, error.at, icmp_words(error))))
}

fn own_reset<'a>(case: &Case<'a>, which: Which<'a>) -> Option<(usize, Mechanism, Evidence)> {
    let which = failed(case, which, Opening::Reset)?;
    let (sight, connection) = *case.connections(which).first()?;
    let reset = connection.reset.filter(|reset| reset.from == Role::Listener && connection.syn.is_none())?;
    let elsewhere = match which {
        Some(_) => reset.interface != case.session.view(sight)?.control.interface,
        None => reset.interface == LOOPBACK && connection.opener.ip != connection.listener.ip,
    };
    elsewhere.then(|| {
        let text = match reset.interface == LOOPBACK {
            true => say!("RST in the listener's name on its loopback, and no SYN on the wire"),
            false => say!("RST in the listener's name on another interface than the session's, and no SYN on the wire"),
        };
        (sight, Mechanism::TcpReset, case.seen(sight, reset.at, text))
    })
}

/// The listener's own host answered its SYN-ACK, which never left it, with a reset in the opener's name.
fn own_reset_of_answer<'a>(case: &Case<'a>, which: Which<'a>) -> Option<(usize, Reset)> {
    case.connections(which).into_iter().find_map(|(sight, connection)| {
        let reset = connection.reset_from(Role::Opener).filter(|reset| reset.interface == LOOPBACK)?;
        let own = connection.syn_ack.is_none() && connection.opener.ip != connection.listener.ip;
        own.then_some((sight, reset))
    })
}

/// O3, C3: the listener's host answered the SYN with RST.
pub(super) fn syn_reset<'a>(case: &Case<'a>, which: Which<'a>) -> Option<Finding> {
    reset_by(case, which, true)
}

/// O4, C4: a box on the path answered the SYN with RST in the listener's name.
pub(super) fn syn_reset_forged<'a>(case: &Case<'a>, which: Which<'a>) -> Option<Finding> {
    reset_by(case, which, false)
}

fn reset_by<'a>(case: &Case<'a>, which: Which<'a>, genuine: bool) -> Option<Finding> {
    let which = failed(case, which, Opening::Reset)?;
    let listens = case.listens(which);
    let (sight, reset) = nearest_reset(case, which, Role::Listener, listens)?;
    let distance = if which.is_some() { case.same_distance(sight, listens, reset.ttl) } else { None };
    let mut passage = case.connection_passage(which, listens, |c| first_syn(c).or(c.reset.map(|reset| reset.at)));
    if distance == Some(true) {
        passage.next = passage.next.filter(|&next| case.shows_other_ports(next));
    }
    let by_double = distance == Some(true) && passage.next.is_some();
    if (distance != Some(false) && !by_double) != genuine {
        return None;
    }
    let stretch = or_before(case, which, sight, passage);
    let host = if listens == Side::Server { Owner::Server } else { Owner::Client };
    let at_host = stretch_is_host(case, stretch, listens) && case.is_given(sight);
    let owner = (distance == Some(true) && !spans_one_box(case, stretch)).then_some(host);
    let mut evidence = syn_evidence(case, which);
    let ttl = reset_words(case, sight, listens, &reset);
    evidence.push(case.seen(sight, reset.at, ttl));
    let notes = match (genuine, by_double) {
        (true, _) => Vec::new(),
        (false, true) => vec![DOUBLE.into()],
        (false, false) => helper_notes(case, stretch),
    };
    if by_double {
        evidence.extend(unseen_behind(case, which, &passage, listens));
    }
    let confidence = if at_host { Confidence::Certain } else { Confidence::Likely };
    let found =
        finding(stretch, Mechanism::TcpReset, lost(which, Lost::ControlSyn, Lost::DataSyn), confidence, evidence);
    Some(Finding { owner: owner.filter(|_| genuine), notes, ..found })
}

/// A refusal whose SYN no tap saw may come from before the taps too: a host's own reject is seen on its loopback only,
/// with the other end's address on it.
fn or_before<'a>(case: &Case<'a>, which: Which<'a>, sight: usize, passage: Passage) -> Stretch {
    let syn_seen = case.connections(which).iter().any(|(_, connection)| connection.syn.is_some());
    let before = Passage { last: None, next: Some(sight), ..passage };
    if syn_seen { passage.stretch() } else { passage.stretch().hull(before.stretch()) }
}

/// Taps on both sides leave nothing for the address to narrow.
fn spans_one_box(case: &Case<'_>, stretch: Stretch) -> bool {
    matches!((stretch.from, stretch.to), (Point::Tap(_), Point::Tap(_))) && case.session.sights.len() > 1
}

/// O5, C1: the SYN was seen, an answer was not.
pub(super) fn syn_unanswered<'a>(case: &Case<'a>, which: Which<'a>) -> Option<Finding> {
    let unanswered = failed(case, which, Opening::Unanswered);
    let which = unanswered.or_else(|| failed(case, which, Opening::Reset))?;
    let connections = case.connections(which);
    let listens = case.listens(which);
    connections.iter().find(|(_, connection)| connection.syn.is_some())?;
    let passage = without_answer(case, which, case.connection_passage(which, listens, first_syn), |c| c.syn);
    let stretch = passage.stretch();
    let mut evidence = syn_evidence(case, which);
    evidence.extend(unseen_behind(case, which, &passage, listens));
    evidence.extend(case.transfer_evidence());
    let notes = if which.is_some() { helper_notes(case, stretch) } else { Vec::new() };
    let found = finding(
        stretch,
        Mechanism::SilentDrop,
        lost(which, Lost::ControlSyn, Lost::DataSyn),
        case.confidence(stretch),
        evidence,
    );
    Some(Finding { notes, ..found })
}

/// O6, C5: the SYN-ACK was seen, and neither an acknowledgement nor anything else answered it; or its receiver's host
/// refused it, or its sender's own, which let none be seen.
pub(super) fn syn_ack_unanswered<'a>(case: &Case<'a>, which: Which<'a>) -> Option<Finding> {
    let refusal = first_icmp(case, which, Role::Listener);
    let own_reset = own_reset_of_answer(case, which);
    let was_seen = case.connections(which).iter().any(|(_, connection)| connection.syn_ack.is_some());
    if case.opening(which) == Opening::Established || !(was_seen || refusal.is_some() || own_reset.is_some()) {
        return None;
    }
    let toward = !case.listens(which);
    let reset = nearest_reset(case, which, Role::Opener, toward);
    let passage = case.connection_passage(which, toward, |c| {
        let refused = c.icmp.as_ref().filter(|error| c.role_of(error.quoted.source) == Role::Listener);
        let answered = c.reset_from(Role::Opener).map(|reset| reset.at).or(refused.map(|error| error.at));
        c.syn_ack.map(|leg| leg.first).or(answered)
    });
    let passage = match (refusal, own_reset, reset) {
        (Some((sight, error)), ..) => refused(passage, sight, error),
        (None, Some((sight, _)), _) => Passage { last: None, next: Some(sight), ..passage },
        (None, None, Some(_)) => passage,
        (None, None, None) => without_answer(case, which, passage, |c| c.syn_ack),
    };
    let stretch = passage.stretch();
    let mut evidence = syn_evidence(case, which);
    evidence.extend(syn_ack_evidence(case, which));
    let mut mechanism = Mechanism::SilentDrop;
    if let Some((sight, error)) = refusal {
        mechanism = Mechanism::IcmpReject;
        evidence.push(case.seen(sight, error.at, icmp_words(error)));
    } else if let Some((sight, reset)) = own_reset {
        mechanism = Mechanism::TcpReset;
        let text = say!("RST in the opener's name on the listener's own loopback, and no SYN-ACK on the wire");
        evidence.push(case.seen(sight, reset.at, text));
    } else if let Some((sight, reset)) = reset {
        mechanism = Mechanism::TcpReset;
        evidence.push(case.seen(sight, reset.at, reset_words(case, sight, toward, &reset)));
    } else {
        evidence.extend(unseen_behind(case, which, &passage, toward));
    }
    let device = refusal.map(|(_, error)| error.source);
    let confidence = if device.is_some() { Confidence::Certain } else { case.confidence(stretch) };
    let found = finding(stretch, mechanism, lost(which, Lost::ControlSynAck, Lost::DataSynAck), confidence, evidence);
    let owner = refusal.and_then(|(sight, error)| signer_side(case, sight, error, toward));
    let notes = refusal.and_then(|(_, error)| icmp_note(error)).into_iter().collect();
    Some(Finding { device, owner, notes, ..found })
}

/// The rules ask about the transfer's deciding data connection.
pub(super) fn data<'a>(case: &Case<'a>, rule: fn(&Case<'a>, Which<'a>) -> Option<Finding>) -> Option<Finding> {
    rule(case, deciding(case)?)
}

fn lost(which: Which<'_>, control: Lost, data: Lost) -> Lost {
    if which.is_some() { data } else { control }
}

pub(super) fn finding(
    stretch: Stretch,
    mechanism: Mechanism,
    lost: Lost,
    confidence: Confidence,
    evidence: Vec<Evidence>,
) -> Finding {
    Finding {
        stretch: Some(stretch),
        owner: None,
        device: None,
        mechanism,
        lost: Some(lost),
        confidence,
        evidence,
        passes_rules: false,
        notes: Vec::new(),
    }
}

/// The passage of a leg that nothing answered.
fn without_answer<'a>(
    case: &Case<'a>,
    which: Which<'a>,
    passage: Passage,
    leg: impl Fn(&Connection) -> Option<Leg>,
) -> Passage {
    let first = |(sight, connection): (usize, &Connection)| Some((sight, leg(connection)?));
    let legs: Vec<(usize, Leg)> = case.each_connection(which).filter_map(first).collect();
    let since = legs.iter().map(|(sight, leg)| case.session.on_main_clock(*sight, leg.first.time)).min();
    let Some(since) = since else { return passage };
    let transit = Transit { toward: passage.toward, since, data: which.is_some() };
    let again = |sight| legs.iter().any(|(other, leg)| *other == sight && leg.count.get() >= PERSISTENT);
    case.without_answer(passage, transit, again)
}

fn first_syn(connection: &Connection) -> Option<At> {
    connection.syn.map(|leg| leg.first)
}

/// The first ICMP error that quotes a packet of this role.
fn first_icmp<'a>(case: &Case<'a>, which: Which<'a>, quoted: Role) -> Option<(usize, &'a IcmpError)> {
    case.connections(which).into_iter().find_map(|(sight, connection)| {
        let error = connection.icmp.as_deref()?;
        (connection.role_of(error.quoted.source) == quoted).then_some((sight, error))
    })
}

/// The reset as the tap saw it that is nearest to the host whose address it carries.
fn nearest_reset<'a>(case: &Case<'a>, which: Which<'a>, from: Role, side: Side) -> Option<(usize, Reset)> {
    let mut resets = case
        .connections(which)
        .into_iter()
        .filter_map(|(sight, connection)| Some((sight, connection.reset_from(from)?)));
    if side == Side::Server { resets.next_back() } else { resets.next() }
}

/// Whose host signed an ICMP error: the one at `side` if the error carries its address and comes over as many routers as
/// its other packets.
fn signer_side(case: &Case<'_>, sight: usize, error: &IcmpError, side: Side) -> Option<Owner> {
    let same_host =
        case.address(sight, side) == Some(error.source) && case.same_distance(sight, side, error.ttl) == Some(true);
    same_host.then_some(if side == Side::Server { Owner::Server } else { Owner::Client })
}

fn icmp_words(error: &IcmpError) -> Text {
    let quoted = &error.quoted;
    say!(
        "ICMP {kind} from {device}, quotes {source} > {destination} with TTL {ttl}",
        kind = error.kind,
        device = error.source,
        source = quoted.source,
        destination = quoted.destination,
        ttl = quoted.ttl
    )
}

/// The last router, or the opener's own host, found nobody with that address (RFC 1812 section 5.2.7.1; RFC 4861 section
/// 7.2.2), so the packet never left it: who is missing is the host behind.
fn is_host_unreachable(error: &IcmpError) -> bool {
    matches!((error.kind.version, error.kind.kind, error.kind.code), (4, 3, 1) | (6, 1, 3))
}

fn icmp_note(error: &IcmpError) -> Option<Text> {
    is_host_unreachable(error).then(|| match error.is_to_itself() {
        true => say!(
            "host unreachable: this host found nobody with the address of its next hop, unless a rule of its own says so in its place"
        ),
        false => {
            say!("host unreachable: the last router found nobody with that address, unless a rule says so in its place")
        }
    })
}

fn reset_words(case: &Case<'_>, sight: usize, side: Side, reset: &Reset) -> Text {
    let half = case.session.view(sight).map(|view| view.control.half(role_at(side, Side::Server)));
    match half.filter(|half| half.start.is_some()).map(|half| half.ttl) {
        Some(ttl) if ttl != reset.ttl => match hops(reset.ttl) {
            0 => say!(
                "RST with TTL {reset} where that address's control packets have {ttl}: another box sent it, on this very link",
                reset = reset.ttl,
                ttl
            ),
            routers => say!(
                "RST with TTL {reset} where that address's control packets have {ttl}: another box sent it, {routers} from here",
                reset = reset.ttl,
                ttl,
                routers = counted!(routers, "router")
            ),
        },
        Some(ttl) => {
            say!("RST with TTL {reset}, as that address's control packets ({ttl})", reset = reset.ttl, ttl)
        }
        None => say!("RST with TTL {reset}", reset = reset.ttl),
    }
}

pub(super) fn syn_evidence<'a>(case: &Case<'a>, which: Which<'a>) -> Vec<Evidence> {
    let mut evidence = if which.is_some() { case.negotiation_evidence() } else { Vec::new() };
    for (sight, connection) in case.on_the_way(which, case.listens(which)) {
        if let Some(syn) = connection.syn {
            let Connection { opener, listener, .. } = connection;
            let once = say!("SYN {opener} > {listener}", opener, listener);
            evidence.push(case.seen(sight, syn.first, times(once, &syn)));
        }
    }
    evidence
}

fn syn_ack_evidence<'a>(case: &Case<'a>, which: Which<'a>) -> Vec<Evidence> {
    let connections = case.on_the_way(which, !case.listens(which)).into_iter();
    let legs = connections.filter_map(|(sight, connection)| Some((sight, connection, connection.syn_ack?)));
    legs.map(|(sight, connection, leg)| {
        let Connection { opener, listener, .. } = connection;
        let once = say!("SYN-ACK {listener} > {opener}", listener, opener);
        case.seen(sight, leg.first, times(once, &leg))
    })
    .collect()
}

/// How often, if more than once.
fn times(what: Text, leg: &Leg) -> Text {
    match leg.count.get() {
        ..2 => what,
        count => {
            let time = seconds(leg.first.time, leg.last.time);
            say!("{what}, {count} times in {time}", what, count, time)
        }
    }
}

/// The absence at the tap behind the last one that saw the packet, or at that very tap if none is behind.
fn unseen_behind<'a>(case: &Case<'a>, which: Which<'a>, passage: &Passage, toward: Side) -> Option<Evidence> {
    let is_syn = toward == case.listens(which);
    if let Some(next) = passage.next {
        let since = case.connections(which).into_iter().find_map(|(_, connection)| connection.began())?;
        let forwards = passage.last.is_some_and(|last| case.facts(last).capture == case.facts(next).capture);
        let fate = match (is_syn, forwards) {
            (true, true) => say!("the SYN comes in here, and this box never sends it on"),
            (true, false) => say!("the SYN does not arrive"),
            (false, true) => say!("the SYN-ACK comes in here, and this box never sends it on"),
            (false, false) => say!("the SYN-ACK does not arrive"),
        };
        return Some(unseen(case, passage, since.time, fate));
    }
    let sight = passage.last?;
    let connection: &Connection = case.connections(which).into_iter().find(|(other, _)| *other == sight)?.1;
    let leg = if is_syn { connection.syn? } else { connection.syn_ack? };
    let until = case.session.view(sight)?.last_at.time;
    let text = match is_syn {
        true => say!("nothing answers the SYN: no SYN-ACK, RST or ICMP error"),
        false => say!("no acknowledgement follows the SYN-ACK"),
    };
    Some(Evidence { sight, at: Some(leg.first), until: Some(until), source: None, text })
}

/// What the tap behind did not see.
pub(super) fn unseen(case: &Case<'_>, passage: &Passage, since: Time, what: Text) -> Evidence {
    let sight = passage.next.unwrap_or(0);
    let view = case.session.view(sight);
    let offset = case.session.sights[sight].offset_ns;
    let from = Time(since.0.saturating_sub(offset));
    let until = view.map_or(case.facts(sight).census.ended, |view| view.last_at.time);
    Evidence {
        sight,
        at: None,
        until: Some(until),
        source: None,
        text: say!("{what}; looked for it for {time}", what, time = seconds(from, until)),
    }
}
