//! The end of the form for people: what to know about the captures, which failures were alike, and the summary line.

use std::io::{self, Write};

use crate::count::counted;
use crate::report::Options;
use crate::report::alike::Alike;
use crate::report::escape::escaped;
use crate::report::totals::Totals;
use crate::verdict::TapFacts;

/// What the captures themselves lost, and what was given up while they were read.
pub fn complaints(taps: &[TapFacts]) -> Vec<String> {
    let lost = taps.iter().filter(|tap| tap.lost > 0).map(|tap| {
        let packets = counted(tap.lost, "packet");
        format!("{}: the capture itself lost {packets}; what it misses proves nothing", tap.name)
    });
    let displaced = taps.iter().filter(|tap| tap.census.displaced > 0).map(|tap| {
        let sessions = counted(tap.census.displaced, "session");
        format!("{}: {sessions} given up before the end, since too many were alive at once", tap.name)
    });
    let mut complaints: Vec<String> = lost.chain(displaced).collect();
    complaints.dedup(); // the legs of one capture lose the same
    complaints
}

/// Writes it; `notes` are what was wrong with the captures.
///
/// # Errors
/// Those of the writer.
pub(super) fn write<W: Write>(
    out: &mut W,
    options: &Options,
    totals: &Totals,
    alike: &Alike,
    taps: &[TapFacts],
    notes: &[String],
) -> io::Result<()> {
    for line in alike.lines() {
        writeln!(out, "{line}")?;
    }
    for note in notes {
        writeln!(out, "{}", escaped(note))?;
    }
    let hint = totals.sessions > 0 && totals.failed_sessions == 0 && !options.shows_healthy();
    writeln!(out, "{}{}", totals.line(), if hint { " (--all shows every session)" } else { "" })?;
    match totals.sessions {
        0 => writeln!(out, "{}", why_nothing(options, taps)),
        _ => Ok(()),
    }
}

/// Why there is no session to tell of, and what to try.
fn why_nothing(options: &Options, taps: &[TapFacts]) -> &'static str {
    match () {
        () if options.session.is_some() || options.host.is_some() => {
            "no session is the one that --session or --host asks for"
        }
        () if taps.iter().all(|tap| tap.packets == 0) => "no packet was read",
        () => {
            "no FTP session was found; if the server listens on another port than 21 or 990, add --control-port PORT (other \
             ports are known by the server's greeting alone)"
        }
    }
}
