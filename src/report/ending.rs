//! The end of the forms for people: what to know about the captures, which failures were alike, and the summary line.

use crate::language::{Message, Text, counted, message, say};
use crate::report::Options;
use crate::report::alike::Alike;
use crate::report::escape::escaped;
use crate::report::totals::Totals;
use crate::verdict::TapFacts;

/// What the captures themselves lost, and what was given up while they were read.
pub fn complaints(taps: &[TapFacts]) -> Vec<Text> {
    let lost = taps.iter().filter(|tap| tap.lost > 0).map(|tap| {
        let (tap, packets) = (&tap.name, counted!(tap.lost, "packet"));
        say!("{tap}: the capture itself lost {packets}; what it misses proves nothing", tap, packets)
    });
    let displaced = taps.iter().filter(|tap| tap.census.displaced > 0).map(|tap| {
        let (tap, sessions) = (&tap.name, counted!(tap.census.displaced, "session"));
        say!("{tap}: {sessions} given up before the end, since too many were alive at once", tap, sessions)
    });
    let mut complaints: Vec<Text> = lost.chain(displaced).collect();
    complaints.dedup(); // the legs of one capture lose the same
    complaints
}

/// Its lines, harmless; `notes` are what was wrong with the captures.
pub(super) fn lines(
    options: &Options,
    totals: &Totals,
    alike: &Alike,
    taps: &[TapFacts],
    notes: &[Text],
) -> Vec<String> {
    let hint = totals.sessions > 0 && totals.failed_sessions == 0 && !options.shows_healthy();
    let line = totals.line();
    let sum = if hint { say!("{line} (--all shows every session)", line) } else { line };
    let nothing = (totals.sessions == 0).then(|| Text::from(why_nothing(options, taps)));
    let lines = alike.lines().into_iter().chain(notes.iter().cloned()).chain([sum]).chain(nothing);
    lines.map(|line| escaped(&line.said(options.language)).to_string()).collect()
}

/// Why there is no session to tell of, and what to try.
fn why_nothing(options: &Options, taps: &[TapFacts]) -> &'static Message {
    match () {
        () if options.session.is_some() || options.host.is_some() => {
            message!("no session is the one that --session or --host asks for")
        }
        () if taps.iter().all(|tap| tap.packets == 0) => message!("no packet was read"),
        () => message!(
            "no FTP session was found; if the server listens on another port than 21 or 990, add --control-port PORT (other ports are known by the server's greeting alone)"
        ),
    }
}
