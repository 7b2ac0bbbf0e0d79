//! The stretch of a verdict in plain words: where it is, and who stands there.

use crate::language::{Text, say};
use crate::line::{Owner, Place, Point, Side, Stretch};
use crate::report::words::Names;
use crate::verdict::end;

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

/// What acts on a host of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Own {
    Firewall,
    Host,
}

impl Own {
    fn words(self) -> Text {
        match self {
            Own::Firewall => say!("firewall"),
            Own::Host => say!("host"),
        }
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
    pub(super) fn location(self, names: Names<'_>) -> Text {
        match self {
            Region::Host(side) => say!("on the {side}'s own host", side = end(side)),
            Region::Link(side) => say!("on the {side}'s own host or link", side = end(side)),
            Region::SideOf(side, tap) => {
                say!("on the {side}'s side of the capture point {tap}", side = end(side), tap = names.tap(tap))
            }
            Region::AllBut(Side::Client, tap) => {
                say!("between the client and the capture point {tap}", tap = names.tap(tap))
            }
            Region::AllBut(Side::Server, tap) => {
                say!("between the capture point {tap} and the server", tap = names.tap(tap))
            }
            Region::Between(one, other) => {
                say!("between the capture points {one} and {other}", one = names.tap(one), other = names.tap(other))
            }
            Region::Box(tap) => say!("within the box on which {tap} was captured", tap = names.tap(tap)),
            Region::Whole => say!("between the client and the server"),
        }
    }

    /// Who acted there.
    pub(super) fn actor(self, names: Names<'_>, own: Own) -> Text {
        let own = own.words();
        match self {
            Region::Host(side) => say!("the {side}'s own {own}", side = end(side), own),
            Region::Link(side) => say!("the {side}'s own {own}, or a box on its own link", side = end(side), own),
            Region::Box(tap) => say!("the box on which {tap} was captured", tap = names.tap(tap)),
            Region::Between(..) => say!("a firewall or router {location}", location = self.location(names)),
            _ => say!("something {location}", location = self.location(names)),
        }
    }

    /// The same before a verb.
    pub(super) fn subject(self, names: Names<'_>, own: Own) -> Text {
        let actor = self.actor(names, own);
        if matches!(self, Region::Link(_)) { say!("{actor},", actor) } else { actor }
    }

    /// Who it may have been, where that is more than one.
    pub(super) fn suspects(self, own: Own) -> Vec<Text> {
        let own = own.words();
        match self {
            Region::Host(_) | Region::Link(_) | Region::Box(_) | Region::Between(..) => Vec::new(),
            Region::SideOf(side, _) | Region::AllBut(side, _) => {
                vec![say!("the path"), say!("the {side}'s own {own}", side = end(side), own)]
            }
            Region::Whole => vec![say!("the path"), say!("either end's own {own}", own)],
        }
    }
}
