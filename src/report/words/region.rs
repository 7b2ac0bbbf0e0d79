//! The stretch of a verdict in plain words: where it is, and who stands there.

use crate::line::{Owner, Place, Point, Side, Stretch};
use crate::report::words::Names;

/// A part of the line as people speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// One end's own host.
    Host(Side),
    /// One end's own host, or its own link: its packets come to the tap untouched, which says no more.
    Link(Side),
    /// Everything between this end and a tap that is on neither host, or nobody knows where; the end's host included.
    SideOf(Side, usize),
    /// Everything between this end and a tap on the other end's host.
    AllBut(Side, usize),
    /// Between two taps.
    Between(usize, usize),
    /// The host whose two legs two taps are.
    Box(usize),
    /// The whole line.
    Whole,
}

/// The end's name.
pub(super) fn end(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

impl Region {
    /// The region of a stretch; `owner` is what addresses tell beyond it.
    pub(super) fn of(names: Names<'_>, stretch: Stretch, owner: Option<Owner>) -> Region {
        match (owner, stretch.from, stretch.to) {
            (Some(Owner::Client), ..) => Region::Host(Side::Client),
            (Some(Owner::Server), ..) => Region::Host(Side::Server),
            (_, Point::Client, Point::Tap(tap)) => Region::from_end(names, Side::Client, tap),
            (_, Point::Tap(tap), Point::Server) => Region::from_end(names, Side::Server, tap),
            (_, Point::Tap(one), Point::Tap(other)) if names.is_one_box(one, other) => Region::Box(one),
            (_, Point::Tap(one), Point::Tap(other)) => Region::Between(one, other),
            (_, Point::Client | Point::Server, _) | (_, _, Point::Client) => Region::Whole,
        }
    }

    fn from_end(names: Names<'_>, side: Side, tap: usize) -> Region {
        match (names.place(tap), side) {
            (Place::Client, Side::Client) | (Place::Server, Side::Server) if names.is_told_by_ttl(tap) => {
                Region::Link(side)
            }
            (Place::Client, Side::Client) | (Place::Server, Side::Server) => Region::Host(side),
            (Place::Client, Side::Server) | (Place::Server, Side::Client) => Region::AllBut(side, tap),
            (Place::Between | Place::Unknown, _) => Region::SideOf(side, tap),
        }
    }

    /// Where it is.
    pub(super) fn location(self, names: Names<'_>) -> String {
        match self {
            Region::Host(side) => format!("on the {}'s own host", end(side)),
            Region::Link(side) => format!("on the {}'s own host or link", end(side)),
            Region::SideOf(side, tap) => format!("on the {}'s side of the capture point {}", end(side), names.tap(tap)),
            Region::AllBut(Side::Client, tap) => format!("between the client and the capture point {}", names.tap(tap)),
            Region::AllBut(Side::Server, tap) => format!("between the capture point {} and the server", names.tap(tap)),
            Region::Between(one, other) => {
                format!("between the capture points {} and {}", names.tap(one), names.tap(other))
            }
            Region::Box(tap) => format!("within the box on which {} was captured", names.tap(tap)),
            Region::Whole => "between the client and the server".to_owned(),
        }
    }

    /// Who acted there; `own` is what acts on a host: its `firewall`, or the `host` itself.
    pub(super) fn actor(self, names: Names<'_>, own: &str) -> String {
        match self {
            Region::Host(side) => format!("the {}'s own {own}", end(side)),
            Region::Link(side) => format!("the {}'s own {own}, or a box on its own link,", end(side)),
            Region::Box(tap) => format!("the box on which {} was captured", names.tap(tap)),
            Region::Between(..) => format!("a firewall or router {}", self.location(names)),
            _ => format!("something {}", self.location(names)),
        }
    }

    /// Who it may have been, where that is more than one.
    pub(super) fn suspects(self, own: &str) -> Vec<String> {
        match self {
            Region::Host(_) | Region::Link(_) | Region::Box(_) | Region::Between(..) => Vec::new(),
            Region::SideOf(side, _) | Region::AllBut(side, _) => {
                vec!["the path".to_owned(), format!("the {}'s own {own}", end(side))]
            }
            Region::Whole => vec!["the path".to_owned(), format!("either end's own {own}")],
        }
    }
}
