//! What the points of a session's line are called, and its packets.

use std::path::Path;

use crate::cite::At;
use crate::language::{Text, say};
use crate::line::{Place, Point};
use crate::report::escape::escaped;
use crate::session::place::Why;
use crate::tcp::connection::Role;
use crate::verdict::{Case, TapFacts};

/// What the points of a session's line are called.
#[derive(Clone, Copy)]
pub(in crate::report) struct Names<'a> {
    case: Case<'a>,
}

impl<'a> Names<'a> {
    /// The names for this case.
    pub(in crate::report) fn of(case: Case<'a>) -> Names<'a> {
        Names { case }
    }

    fn facts(self, sight: usize) -> Option<&'a TapFacts> {
        self.case.taps.get(self.case.session.sights.get(sight)?.tap)
    }

    /// The name of a tap, by position in line order.
    pub(in crate::report) fn tap(self, sight: usize) -> &'a str {
        self.facts(sight).map_or("capture", |facts| &facts.name)
    }

    /// The file that a packet is in, if its tap has several, or is called by the file that an annotated one keeps it of.
    pub(in crate::report) fn rotated(self, sight: usize, at: At) -> Option<&'a str> {
        let TapFacts { name, files, .. } = self.facts(sight)?;
        let is_name = |file: &String| file == name || Path::new(name).ends_with(file); // comparing paths takes long
        let tells = |file: &&String| files.len() > 1 || !is_name(file);
        files.get(usize::from(at.file)).filter(tells).map(|file| &**file)
    }

    /// The file that a packet is in.
    pub(in crate::report) fn file(self, sight: usize, at: At) -> &'a str {
        self.rotated(sight, at).unwrap_or_else(|| self.tap(sight))
    }

    /// The frame number of a packet, with its file if the tap has several.
    pub(in crate::report) fn frame(self, sight: usize, at: At) -> String {
        let At { frame, .. } = at;
        match self.rotated(sight, at) {
            Some(file) => format!("{}:{frame}", escaped(file)),
            None => frame.to_string(),
        }
    }

    /// The name of a point of the line.
    pub(in crate::report) fn point(self, point: Point) -> &'a str {
        match point {
            Point::Client => "client",
            Point::Tap(sight) => self.tap(sight),
            Point::Server => "server",
        }
    }

    /// Where a tap stands.
    pub(in crate::report) fn place(self, sight: usize) -> Place {
        self.case.session.sights.get(sight).map_or(Place::Unknown, |sight| sight.standing.place)
    }

    /// The place of a tap is inferred from untouched TTLs, which tell a host's link from the rest and no more.
    pub(super) fn is_told_by_ttl(self, sight: usize) -> bool {
        self.case.session.sights.get(sight).is_some_and(|sight| matches!(sight.standing.why, Why::Ttl { .. }))
    }

    /// The name of a tap, and which leg it is of a host whose both legs are there.
    pub(in crate::report) fn leg(self, sight: usize) -> Text {
        let name = self.tap(sight);
        let twin = (0..self.case.session.sights.len()).find(|&other| self.is_one_box(sight, other));
        match twin {
            Some(twin) if sight < twin => say!("{name} (client's leg)", name),
            Some(_) => say!("{name} (server's leg)", name),
            None => Text::verbatim(name),
        }
    }

    /// The capture of this tap shows the session on its way in and on its way out, each with both ends' packets.
    pub(in crate::report) fn forwards(self, sight: usize) -> bool {
        let whole = |sight: usize| {
            let control = self.case.session.view(sight).map(|view| &view.control);
            control.is_some_and(|control| {
                [Role::Opener, Role::Listener].iter().all(|&role| control.half(role).start.is_some())
            })
        };
        (0..self.case.session.sights.len()).any(|other| self.is_one_box(sight, other) && whole(sight) && whole(other))
    }

    /// Two legs of one forwarding host.
    pub(in crate::report) fn is_one_box(self, one: usize, other: usize) -> bool {
        let capture = |sight| self.facts(sight).map(|facts| facts.capture);
        one != other && capture(one).is_some() && capture(one) == capture(other)
    }
}
