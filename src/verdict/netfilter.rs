//! What netfilter on the hosts of the taps says about a packet that was lost: the kernel's own word, which names the rule.
//!
//! It is believed where the host lies within the stretch that the packets tell; then the host is the stretch. Segments of an
//! established connection are dropped for many reasons that do no harm, late ones above all: they name a rule where the
//! packets tell of this very host, and narrow nothing.

use crate::cite::At;
use crate::language::{Text, say};
use crate::line::{Place, Point, Stretch};
use crate::netfilter::{Dropped, Kind, Rule, Witness};
use crate::packet::{Endpoint, Flags};
use crate::session::join::JoinedAttempt;
use crate::tcp::connection::Role;
use crate::verdict::case::Case;
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism, Source};
use crate::verdict::{firewall, transfer};

/// The rule that dropped the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whose host it is on.
    pub on: Place,
    /// The rule.
    pub rule: Rule,
    /// How that is known.
    pub from: Witness,
    /// It drops the ICMP errors that tell the path MTU, and no segment.
    pub drops_errors: bool,
}

/// A finding with what netfilter adds to it.
pub(super) fn ask(case: &Case<'_>, finding: Finding) -> (Finding, Option<Named>) {
    let Some(told) = told(case, &finding) else { return firewall::ask(case, finding) };
    let Told { sight, own, lost, dropped } = told;
    let drops_errors = dropped.kind == Kind::TooBig;
    let named = Named { on: case.place(sight), rule: dropped.rule.clone(), from: dropped.from, drops_errors };
    let mut evidence = finding.evidence;
    let source = if dropped.from == Witness::Trace { Source::Trace } else { Source::Rules };
    let at = Some(At { time: dropped.time, ..At::default() });
    evidence.push(Evidence { sight, at, until: None, source: Some(source), text: words(dropped) });
    let confidence = match dropped.from {
        Witness::Trace if !drops_errors => Confidence::Certain,
        // an error has no ports here: it may be about another connection of the same sender
        Witness::Trace | Witness::Counter | Witness::Ruleset => finding.confidence,
    };
    (Finding { stretch: Some(own), lost: Some(lost), confidence, evidence, ..finding }, Some(named))
}

/// A drop that explains a finding.
struct Told<'a> {
    sight: usize,
    own: Stretch,
    lost: Lost,
    dropped: &'a Dropped,
}

fn told<'a>(case: &Case<'a>, finding: &Finding) -> Option<Told<'a>> {
    let (stretch, lost) = (finding.stretch?, finding.lost?);
    let is_opening = !matches!(lost, Lost::ControlSegments | Lost::DataSegments);
    (0..case.session.sights.len()).find_map(|sight| {
        let explains = |own: &Stretch| *own == stretch || (is_opening && stretch.hull(*own) == stretch);
        let own = host_of(case, sight).filter(explains)?;
        let drops = case.facts(sight).dropped.iter().rev();
        let lost_by = |dropped: &Dropped| match dropped.kind {
            Kind::Segment { flags, .. } => lost_by(case, lost, dropped, flags),
            Kind::TooBig => tells_path_mtu(case, finding, sight, dropped).then_some(lost),
        };
        let mut drops = drops.filter_map(|dropped| Some((dropped, lost_by(dropped)?)));
        drops.next().map(|(dropped, lost)| Told { sight, own, lost, dropped })
    })
}

/// An ICMP error to the sender of the segments that a finding misses, since the connection began, which would have made it
/// send smaller ones.
fn tells_path_mtu(case: &Case<'_>, finding: &Finding, sight: usize, dropped: &Dropped) -> bool {
    let is_missed = finding.mechanism == Mechanism::PathMtu;
    let Some((role, _)) = transfer::lost(case).filter(|_| is_missed) else { return false };
    case.each_connection(case.attempts().last().copied()).any(|(tap, connection)| {
        let sender = if role == Role::Opener { connection.opener } else { connection.listener };
        let is_here = case.facts(tap).capture == case.facts(sight).capture;
        let is_later = connection.began().is_some_and(|began| { began.time } <= dropped.time);
        is_here && is_later && sender.ip == dropped.destination.ip
    })
}

/// The part of the line that is the host of this tap.
pub(super) fn host_of(case: &Case<'_>, sight: usize) -> Option<Stretch> {
    let tap = Point::Tap(sight);
    match case.place(sight) {
        Place::Client => Some(Stretch { from: Point::Client, to: tap }),
        Place::Server => Some(Stretch { from: tap, to: Point::Server }),
        Place::Between => {
            let is_other_leg = |other: &usize| case.facts(*other).capture == case.facts(sight).capture;
            let other = (sight + 1..case.session.sights.len()).find(is_other_leg)?;
            Some(Stretch { from: tap, to: Point::Tap(other) })
        }
        Place::Unknown => None,
    }
}

/// What was lost with this segment, if it is one of those that the finding misses: of an opening that nothing answered, the
/// answer may be what was dropped.
fn lost_by(case: &Case<'_>, lost: Lost, dropped: &Dropped, flags: Flags) -> Option<Lost> {
    let (syn, ack) = (flags.syn(), flags.ack());
    let is_control = matches!(lost, Lost::ControlSyn | Lost::ControlSynAck | Lost::ControlSegments);
    let lost = match (lost, syn, ack) {
        (Lost::ControlSyn | Lost::DataSyn, true, false) => lost,
        (Lost::ControlSyn | Lost::ControlSynAck, true, true) => Lost::ControlSynAck,
        (Lost::DataSyn | Lost::DataSynAck, true, true) => Lost::DataSynAck,
        (Lost::ControlSegments | Lost::DataSegments, false, _) => lost,
        (_, _, _) => return None,
    };
    let seen = if is_control { known(case, None) } else { data(case) };
    let ends = [Some((dropped.source, dropped.destination)), dropped.translated];
    let toward_listener = |ends: (Endpoint, Endpoint)| if ack && syn { (ends.1, ends.0) } else { ends };
    let is_it = |ends: (Endpoint, Endpoint)| {
        let ends = toward_listener(ends);
        seen.contains(&ends) || (!syn && seen.contains(&(ends.1, ends.0))) || (!is_control && agreed(case, ends))
    };
    ends.into_iter().flatten().any(is_it).then_some(lost)
}

/// Opener and listener of a connection, as the taps saw them.
fn known<'a>(case: &Case<'a>, which: Option<&'a JoinedAttempt>) -> Vec<(Endpoint, Endpoint)> {
    case.each_connection(which).map(|(_, connection)| (connection.opener, connection.listener)).collect()
}

fn data(case: &Case<'_>) -> Vec<(Endpoint, Endpoint)> {
    case.attempts().iter().flat_map(|joined| known(case, Some(joined))).collect()
}

/// No tap saw the connection, and these are the ends that were agreed for it.
fn agreed(case: &Case<'_>, (opener, listener): (Endpoint, Endpoint)) -> bool {
    let Some(negotiation) = case.negotiation().filter(|_| case.attempts().is_empty()) else { return false };
    let Some(offered) = negotiation.offered.filter(|offered| offered.port == listener.port) else { return false };
    let listens = negotiation.mode.listener();
    case.has_address(!listens, opener.ip)
        && (case.has_address(listens, listener.ip) || offered.address == Some(listener.ip))
}

fn words(dropped: &Dropped) -> Text {
    let (rule, source, destination) = (dropped.rule.words(), dropped.source, dropped.destination);
    let kind = match dropped.kind {
        Kind::Segment { flags, .. } if flags.syn() && flags.ack() => say!("SYN-ACK"),
        Kind::Segment { flags, .. } if flags.syn() => say!("SYN"),
        Kind::Segment { .. } => say!("segment"),
        Kind::TooBig => {
            let to = destination.ip;
            return say!("{rule} drops the ICMP error that tells {to} the path MTU", rule, to);
        }
    };
    say!("{rule} drops the {kind} {source} > {destination}", rule, kind, source, destination)
}
