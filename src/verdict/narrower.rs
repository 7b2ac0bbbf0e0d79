//! What would make the stretch of a verdict smaller: which capture to take, or what to say about one that is there.

use crate::count::counted;
use crate::line::{Place, Point, Side};
use crate::session::place::Why;
use crate::tcp::connection::Role;
use crate::verdict::case::Case;
use crate::verdict::{Confidence, Finding, Mechanism};

/// What to do to know more; none where the remedies say it, a device signed, or the stretch is one box or the line one
/// host.
pub(super) fn what_would_narrow(case: &Case<'_>, finding: &Finding) -> Option<String> {
    let stretch = finding.stretch?;
    let by_host = finding.owner.is_some() && finding.confidence == Confidence::Certain;
    let signed = by_host || (finding.mechanism == Mechanism::IcmpReject && finding.device.is_some());
    let one_host = case.views().any(|(_, view)| view.client.ip == view.server.ip);
    if signed || one_host || finding.mechanism == Mechanism::IncompleteCapture {
        return None;
    }
    match (stretch.from, stretch.to) {
        (Point::Client, Point::Server) => match (stands(case, Place::Client), stands(case, Place::Server)) {
            (false, false) => Some(capture_on("the client and on the server", "--client FILE and --server FILE")),
            (false, true) => Some(capture_on("the client too", "--client FILE")),
            (true, false) => Some(capture_on("the server too", "--server FILE")),
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

fn capture_on(hosts: &str, options: &str) -> String {
    format!("capture on {hosts}, at the same time, and add {options}: that shows how far the packets come")
}

/// The stretch from a tap to an end: the end's own tap, or its name, may be missing.
fn at_host(case: &Case<'_>, side: Side, tap: usize) -> Option<String> {
    let (host, own) = match side {
        Side::Client => ("client", Place::Client),
        Side::Server => ("server", Place::Server),
    };
    let name = &case.facts(tap).name;
    let standing = case.session.sights[tap].standing;
    match standing.why {
        Why::Ttl { .. } if standing.place == own => Some(format!(
            "if {name} was captured on the {host} itself, give it with --{host}; if not, capture there too"
        )),
        _ if standing.place == Place::Unknown => Some(format!(
            "say where {name} was captured, with --client, --between or --server; if that was not on the {host}, capture there \
             too, at the same time"
        )),
        _ if !stands(case, own) => Some(capture_on(&format!("the {host} too"), &format!("--{host} FILE"))),
        _ => None,
    }
}

/// The stretch between two taps: nothing would narrow it if it holds one router, or one host whose legs they are.
fn between(case: &Case<'_>, from: usize, to: usize) -> Option<String> {
    let (one, other) = (case.facts(from), case.facts(to));
    if one.capture == other.capture {
        return None;
    }
    let add = "capture there too, at the same time, and add --between FILE in line order from the client";
    match routers(case, from, to) {
        Some(0 | 1) => None,
        Some(count) => {
            let routers = counted(count, "router");
            Some(format!(
                "by the TTLs, {routers} stand between the capture points {} and {}: {add}",
                one.name, other.name
            ))
        }
        None => Some(format!(
            "if more than one box stands between the capture points {} and {}, {add}",
            one.name, other.name
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
