//! The line from the client to the server with its taps, the stretch of the verdict marked.

use maud::{Markup, html};

use super::Sheet;
use crate::language::{Text, message, say};
use crate::line::{Owner, Place, Point, Side, Stretch};
use crate::report::escape::escaped;
use crate::report::facts;
use crate::report::words::{self, Names};
use crate::verdict::{Case, Verdict};

/// Points of a line that is drawn across the page; a longer one goes downwards, as every one does on a narrow page.
const MAX_ACROSS: usize = 4;

/// The list of what stands on the line.
pub(super) fn figure(sheet: &Sheet<'_>, case: Case<'_>, verdict: &Verdict) -> Markup {
    let Some(stretch) = verdict.finding.stretch else { return html! {} };
    let points = points(case);
    let view = case.view();
    let software = facts::software(view).map(|software| escaped(&software).to_string());
    let is_host = |side| owned(verdict) == Some(side);
    html! {
        figure {
            figcaption {
                (sheet.say(message!("Where on the line it was lost"))) ": "
                strong { (sheet.say(words::owner(verdict.owner))) }
            }
            ol.line.long[points.len() > MAX_ACROSS] {
                li.host.lost[is_host(Side::Client)] {
                    strong { (sheet.say(message!("client"))) } " " (view.client.ip)
                }
                @for pair in points.windows(2) {
                    li.part.lost[owned(verdict).is_none() && is_within(&points, pair, stretch)] {
                        (sheet.say(part(sheet.names, pair[0], pair[1])))
                        @if let Some(device) = verdict.finding.device
                            && owned(verdict).is_none() && is_within(&points, pair, stretch) { " (" (device) ")" }
                    }
                    @if let Point::Tap(sight) = pair[1] { li.tap { (sheet.say(sheet.names.leg(sight))) } }
                }
                li.host.lost[is_host(Side::Server)] {
                    strong { (sheet.say(message!("server"))) } " " (view.server.ip)
                    @if let Some(software) = software { br; (software) }
                }
            }
        }
    }
}

/// All points of the line, from the client to the server.
pub(super) fn points(case: Case<'_>) -> Vec<Point> {
    let taps = (0..case.session.sights.len()).map(Point::Tap);
    std::iter::once(Point::Client).chain(taps).chain([Point::Server]).collect()
}

/// The end that addresses narrow the verdict to, where the taps alone would leave more.
pub(super) fn owned(verdict: &Verdict) -> Option<Side> {
    match verdict.finding.owner? {
        Owner::Client => Some(Side::Client),
        Owner::Server => Some(Side::Server),
        _ => None,
    }
}

fn is_within(points: &[Point], pair: &[Point], stretch: Stretch) -> bool {
    let at = |point| points.iter().position(|other| *other == point);
    at(stretch.from) <= at(pair[0]) && at(pair[1]) <= at(stretch.to)
}

/// What lies between two neighbours on the line.
pub(super) fn part(names: Names<'_>, from: Point, to: Point) -> Text {
    let place = |point| match point {
        Point::Client => Place::Client,
        Point::Tap(sight) => names.place(sight),
        Point::Server => Place::Server,
    };
    match (from, to) {
        (Point::Tap(one), Point::Tap(other)) if names.is_one_box(one, other) => say!("inside the box"),
        (Point::Client, Point::Tap(_)) if place(to) == Place::Client => say!("own firewall"),
        (Point::Tap(_), Point::Server) if place(from) == Place::Server => say!("own firewall"),
        (Point::Client, Point::Tap(_)) => say!("own firewall, network"),
        (Point::Tap(_), Point::Server) => say!("network, own firewall"),
        _ => say!("network"),
    }
}
