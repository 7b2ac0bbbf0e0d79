//! What the sockets of a tap's host tell: C16, a SYN that no interface shows, and C17, a program that accepts nothing more.

use crate::cite::{At, Time};
use crate::language::{Text, say};
use crate::line::{Owner, Place, Point, Stretch};
use crate::netfilter::socket::Socket;
use crate::packet::Endpoint;
use crate::session::view::KnownBy;
use crate::tcp::half::Leg;
use crate::verdict::case::Case;
use crate::verdict::opening::{finding, syn_evidence};
use crate::verdict::passage::GOES_ON;
use crate::verdict::{Confidence, Evidence, Finding, Lost, Mechanism, Source};

/// C16: the client's own host sends the SYN of the control connection again and again, and shows it on no interface. What an
/// IPsec policy encrypts is not shown either (`xfrm_output` in `net/xfrm/xfrm_output.c` hands on the encrypted packet), so
/// that only the host's netfilter narrows it to that host.
pub(super) fn control_syn_unseen(case: &Case<'_>) -> Option<Finding> {
    let view = case.view();
    let unseen = view.known_by == KnownBy::Socket && view.control.began().is_none();
    let sight = unseen.then(|| case.session.main_sight())?;
    let ends = (view.control.opener, view.control.listener);
    let socket = socket_of(case, sight, |socket| (socket.local, socket.remote) == ends)?;
    let evidence = vec![tries(case, sight, socket)];
    Some(finding(Stretch::WHOLE, Mechanism::NeverSent, Lost::ControlSyn, Confidence::Likely, evidence))
}

/// C17: the SYN came to a host whose program did not accept what came before, from the first SYN to the last.
pub(super) fn accept_queue_full(case: &Case<'_>) -> Option<Finding> {
    let (sight, (time, listener)) = case.connections(None).into_iter().find_map(|(sight, connection)| {
        let is_bare = connection.syn_ack.is_none() && connection.reset.is_none() && connection.icmp.is_none();
        let syn = connection.syn.filter(|_| is_bare && case.place(sight) == Place::Server)?;
        Some((sight, full_during(case, sight, connection.listener, &syn)?))
    })?;
    let text = say!(
        "{waiting} connections to {listener} wait to be accepted, and no more than {most} may",
        waiting = listener.receive_queue,
        listener = listener.local,
        most = listener.send_queue
    );
    let mut evidence = syn_evidence(case, None);
    evidence.push(told(case, sight, time, text));
    let stretch = Stretch { from: Point::Tap(sight), to: Point::Server };
    let found = finding(stretch, Mechanism::RefusedByServer, Lost::ControlSyn, Confidence::Likely, evidence);
    Some(Finding { owner: Some(Owner::Server), ..found })
}

/// The accept queue of a listener that was full both when the first SYN came and when the last one did.
fn full_during(case: &Case<'_>, sight: usize, listener: Endpoint, syn: &Leg) -> Option<(Time, Socket)> {
    let listens = |own: Endpoint| own.port == listener.port && (own.ip == listener.ip || own.ip.is_unspecified());
    let at = |moment: Time| {
        let around = moment.minus(GOES_ON)..=moment.plus(GOES_ON);
        let full = &case.facts(sight).full;
        full.iter().find(|(time, socket)| around.contains(time) && listens(socket.local)).copied()
    };
    at(syn.first.time).and(at(syn.last.time))
}

/// The latest that is known of a socket of a tap's host that tries in vain.
pub(super) fn socket_of<'a>(
    case: &Case<'a>,
    sight: usize,
    is_it: impl Fn(&Socket) -> bool,
) -> Option<&'a (Time, Socket)> {
    case.facts(sight).trying.iter().rev().find(|(_, socket)| is_it(socket))
}

/// That it does.
pub(super) fn tries(case: &Case<'_>, sight: usize, (time, socket): &(Time, Socket)) -> Evidence {
    let text = say!(
        "the socket {local} > {remote} has sent its SYN {times} times, and none was seen",
        local = socket.local,
        remote = socket.remote,
        times = u32::from(socket.retransmits) + 1
    );
    told(case, sight, *time, text)
}

fn told(case: &Case<'_>, sight: usize, time: Time, text: Text) -> Evidence {
    Evidence { source: Some(Source::Sockets), ..case.seen(sight, At { time, ..At::default() }, text) }
}

#[cfg(test)]
mod tests;
