//! What would make the stretch of a verdict smaller: which capture to take, or what to say about one that is there.

use crate::language::{Text, counted, say};
use crate::line::{Place, Point, Side};
use crate::session::place::Why;
use crate::tcp::connection::Role;
use crate::verdict::case::{Case, end};
use crate::verdict::{Confidence, Finding, Mechanism};

/// What to do to know more; none where the remedies say it, a device signed, or the stretch is one box or the line one
/// host.
pub(super) fn what_would_narrow(case: &Case<'_>, finding: &Finding) -> Option<Text> {
    let stretch = finding.stretch?;
    let by_host = finding.owner.is_some() && finding.confidence == Confidence::Certain;
    let signed = by_host || (finding.mechanism == Mechanism::IcmpReject && finding.device.is_some());
    let one_host = case.views().any(|(_, view)| view.client.ip == view.server.ip);
    if signed || one_host || finding.mechanism == Mechanism::IncompleteCapture {
        return None;
    }
    match (stretch.from, stretch.to) {
        (Point::Client, Point::Server) => match (stands(case, Place::Client), stands(case, Place::Server)) {
            (false, false) => Some(say!(
                "capture on the client and on the server, at the same time, and add --client FILE and --server FILE: that shows how far the packets come"
            )),
            (false, true) => Some(capture_on(Side::Client)),
            (true, false) => Some(capture_on(Side::Server)),
            (true, true) => None,
        },
        (Point::Client, Point::Tap(tap)) => at_host(case, Side::Client, tap),
        (Point::Tap(tap), Point::Server) => at_host(case, Side::Server, tap),
        (Point::Tap(from), Point::Tap(to)) => between(case, from, to),
        (Point::Server, _) | (_, Point::Client) => None,
    }
}

/// Some tap stands there.
fn stands(case: &Case<'_>, place: Place) -> bool {
    case.session.sights.iter().any(|sight| sight.standing.place == place)
}

fn capture_on(side: Side) -> Text {
    say!(
        "capture on the {host} too, at the same time, and add --{option} FILE: that shows how far the packets come",
        host = end(side),
        option = option(side)
    )
}

/// The option, without its dashes, that names a capture of this end's host.
fn option(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// The stretch from a tap to an end: the end's own tap, or its name, may be missing.
fn at_host(case: &Case<'_>, side: Side, tap: usize) -> Option<Text> {
    let (host, option) = (end(side), option(side));
    let own = match side {
        Side::Client => Place::Client,
        Side::Server => Place::Server,
    };
    let name = &case.facts(tap).name;
    let standing = case.session.sights[tap].standing;
    match standing.why {
        Why::Ttl { .. } if standing.place == own => Some(say!(
            "if {name} was captured on the {host} itself, give it with --{option}; if not, capture there too",
            name,
            host,
            option
        )),
        _ if standing.place == Place::Unknown => Some(say!(
            "say where {name} was captured, with --client, --between or --server; if that was not on the {host}, capture there too, at the same time",
            name,
            host
        )),
        _ if !stands(case, own) => Some(capture_on(side)),
        _ => None,
    }
}

/// The stretch between two taps: nothing would narrow it if it holds one router, or one host whose legs they are.
fn between(case: &Case<'_>, from: usize, to: usize) -> Option<Text> {
    let (one, other) = (case.facts(from), case.facts(to));
    if one.capture == other.capture {
        return None;
    }
    let (one, other) = (&one.name, &other.name);
    match routers(case, from, to) {
        Some(0 | 1) => None,
        Some(count) => Some(say!(
            "by the TTLs, {routers} stand between the capture points {one} and {other}: capture there too, at the same time, and add --between FILE in line order from the client",
            routers = counted!(count, "router"),
            one,
            other
        )),
        None => Some(say!(
            "if more than one box stands between the capture points {one} and {other}, capture there too, at the same time, and add --between FILE in line order from the client",
            one,
            other
        )),
    }
}

/// Routers between two taps, told by the TTL of one end's packets at both, if both saw any.
fn routers(case: &Case<'_>, from: usize, to: usize) -> Option<u8> {
    [Role::Opener, Role::Listener].into_iter().find_map(|role| {
        let ttl = |sight| {
            let half = case.session.view(sight)?.control.half(role);
            half.start.map(|_| half.ttl)
        };
        Some(ttl(from)?.abs_diff(ttl(to)?))
    })
}
