//! What the ends said and sent about a failed transfer, as a sequence diagram: the client left, the server right, time
//! downwards. What was lost ends in a cross, there where it was lost.

use maud::{Markup, html};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Sheet;
use super::line::{owned, points};
use crate::cite::{At, Time};
use crate::ftp::command::DataDirection;
use crate::language::{Text, message, say};
use crate::line::{Place, Point, Side, Stretch};
use crate::report::facts;
use crate::report::rows::Row;
use crate::report::timeline::Thread;
use crate::session::view::EventKind;
use crate::verdict::{Case, Lost, Mechanism, Verdict};

/// All lengths are in units of the picture, which is as wide as this.
const WIDTH: i32 = 480;
const CLIENT: i32 = 70;
const SERVER: i32 = 404;
const HEAD: i32 = 74;
const STEP: i32 = 38;
/// What a folded gap takes.
const FOLD: i32 = 22;

/// A pause that is folded, in nanoseconds.
const LONG: i64 = 500_000_000;

/// Arrows that a picture holds; of more, the first and the last are drawn.
const MAX_ARROWS: usize = 30;

/// Columns of a label that have room (UAX #11), on a narrow page too.
const ROOM: usize = 56;

/// Columns of the name of a tap.
const ROOM_OF_TAP: usize = 24;

/// One arrow, or a note.
struct Arrow {
    time: Time,
    thread: Thread,
    toward: Side,
    kind: Option<EventKind>,
    label: String,
    /// How often it was sent.
    times: u32,
    /// Until when, if it was sent again.
    until: Time,
    /// Where the first and, if it is repeated, the last of them was seen.
    seen: Vec<Option<At>>,
    is_lost: bool,
}

/// The picture, if there is something to draw.
pub(super) fn figure(sheet: &Sheet<'_>, case: Case<'_>, verdict: &Verdict) -> Markup {
    let (arrows, left_out) = shortened(arrows(sheet, case, verdict));
    if arrows.is_empty() {
        return html! {};
    }
    let scale = Scale::of(sheet, case, verdict, arrows.iter().find(|arrow| arrow.is_lost));
    let mut y = HEAD;
    let mut before: Option<Time> = None;
    let places: Vec<(i32, Option<i64>)> = arrows
        .iter()
        .map(|arrow| {
            let pause =
                before.replace(arrow.until).map(|before| arrow.time.0 - before.0).filter(|pause| *pause >= LONG);
            y += STEP + if pause.is_some() { FOLD } else { 0 };
            (y, pause)
        })
        .collect();
    let height = y + STEP / 2;
    let title = sheet.say(message!("What was said and sent"));
    html! {
        figure {
            figcaption { (title) }
            div.wide tabindex="0" role="region" aria-label=(title) {
                svg.sequence viewBox={ "0 0 " (WIDTH) " " (height) } {
                    @if let Some((from, to)) = scale.stretch {
                        rect.lost x=(from) y=(HEAD - 12) width=(to - from) height=(height - HEAD + 8) {}
                    }
                    (scale.heads(sheet, case, height))
                    @for (arrow, (y, pause)) in arrows.iter().zip(&places) {
                        @if let Some(pause) = pause {
                            text.time x="0" y=(y - STEP + 4) { "⋮ " (sheet.say(lasting(*pause))) }
                        }
                        (scale.arrow(sheet, arrow, *y))
                    }
                }
            }
            @if left_out > 0 {
                p { (sheet.say(say!("{count} events in the middle are not drawn; the timeline has them", count = left_out))) }
            }
        }
    }
}

fn lasting(nanoseconds: i64) -> Text {
    say!("{seconds} s", seconds = format!("{:.1}", nanoseconds as f64 / 1e9))
}

/// The first and the last of too many, and how many were left out.
fn shortened(mut arrows: Vec<Arrow>) -> (Vec<Arrow>, usize) {
    let excess = arrows.len().saturating_sub(MAX_ARROWS);
    if excess > 0 {
        arrows.drain(MAX_ARROWS / 2..MAX_ARROWS / 2 + excess);
    }
    (arrows, excess)
}

/// The rows of the transfer, or of the control connection, with what is repeated put together, and with what was never seen.
fn arrows(sheet: &Sheet<'_>, case: Case<'_>, verdict: &Verdict) -> Vec<Arrow> {
    let number = case.transfer.map(|transfer| transfer as u32 + 1);
    let is_of = |row: &&Row| match number {
        Some(_) => row.transfer == number || is_loss(case, verdict, row),
        None => row.thread == Thread::Control,
    };
    let mut arrows: Vec<Arrow> = Vec::new();
    for row in sheet.rows.iter().filter(is_of) {
        let is_lost = is_loss(case, verdict, row);
        match arrows.iter_mut().rev().find(|arrow| is_again(arrow, row)) {
            Some(first) => {
                first.times += 1;
                first.until = row.time;
                first.is_lost |= is_lost;
            }
            None => arrows.push(Arrow {
                time: row.time,
                thread: row.thread,
                toward: row.toward,
                kind: Some(row.kind),
                label: row.text.clone(),
                times: 1,
                until: row.time,
                seen: row.seen.clone(),
                is_lost,
            }),
        }
    }
    if !arrows.iter().any(|arrow| arrow.is_lost)
        && let Some(unseen) = unseen(sheet, case, verdict, &arrows)
    {
        let at = arrows.partition_point(|arrow| arrow.time <= unseen.time);
        arrows.insert(at, unseen);
    }
    arrows
}

/// The same packet again.
fn is_again(arrow: &Arrow, row: &Row) -> bool {
    use EventKind::{Fin, FinAgain, Resent, Syn, SynAck, SynAckAgain, SynAgain};
    let same = matches!(
        (arrow.kind, row.kind),
        (Some(Syn | SynAgain), SynAgain)
            | (Some(SynAck | SynAckAgain), SynAckAgain)
            | (Some(Fin | FinAgain), FinAgain)
            | (Some(Resent), Resent)
    );
    same && arrow.thread == row.thread && arrow.toward == row.toward
}

/// This row is one of the packets that were lost.
fn is_loss(case: Case<'_>, verdict: &Verdict, row: &Row) -> bool {
    use EventKind::{FinAgain, Resent, Syn, SynAck, SynAckAgain, SynAgain};
    let Some(lost) = verdict.finding.lost.filter(|_| vanished(verdict)) else { return false };
    let number = case.transfer.map(|transfer| transfer as u32 + 1);
    let is_data = row.thread != Thread::Control && row.transfer == number;
    match lost {
        Lost::ControlSyn => row.thread == Thread::Control && matches!(row.kind, Syn | SynAgain),
        Lost::ControlSynAck => row.thread == Thread::Control && matches!(row.kind, SynAck | SynAckAgain),
        Lost::ControlSegments => row.thread == Thread::Control && matches!(row.kind, Resent | FinAgain),
        Lost::DataSyn => is_data && matches!(row.kind, Syn | SynAgain),
        Lost::DataSynAck => is_data && matches!(row.kind, SynAck | SynAckAgain),
        Lost::DataSegments => false,
    }
}

/// A packet vanished or was refused on its way.
fn vanished(verdict: &Verdict) -> bool {
    !matches!(
        verdict.finding.mechanism,
        Mechanism::RefusedByServer | Mechanism::Interrupted | Mechanism::IncompleteCapture
    ) && verdict.finding.stretch.is_some()
}

/// What should have been there, and no event tells: it was lost before the first tap, or is one of many segments.
fn unseen(sheet: &Sheet<'_>, case: Case<'_>, verdict: &Verdict, drawn: &[Arrow]) -> Option<Arrow> {
    let lost = verdict.finding.lost.filter(|_| vanished(verdict))?;
    let listens = case.negotiation().map(|negotiation| negotiation.mode.listener());
    let listens = listens.or(facts::data_connection(&case).map(|connection| !connection.opener));
    let (toward, label) = match lost {
        Lost::ControlSyn | Lost::ControlSynAck => return None,
        Lost::ControlSegments => {
            let toward = drawn.iter().rev().find(|arrow| arrow.thread == Thread::Control)?.toward;
            (if is_reply_missing(verdict) { Side::Client } else { toward }, say!("segments of the control connection"))
        }
        Lost::DataSyn => (listens?, say!("SYN, seen nowhere")),
        Lost::DataSynAck => (!listens?, say!("SYN-ACK, seen nowhere")),
        Lost::DataSegments => {
            let toward = match case.verb().and_then(|verb| verb.data_direction()) {
                Some(DataDirection::ToServer) => Side::Server,
                Some(DataDirection::ToClient) | None => Side::Client,
            };
            (toward, say!("segments of the data connection"))
        }
    };
    let moments = verdict.finding.evidence.iter().filter(|one| one.source.is_none());
    let moments = moments.filter_map(|one| facts::moment(case.session, one));
    let last_word = drawn.last().map(|arrow| arrow.time)?;
    let time = moments.filter(|time| *time < last_word).max().unwrap_or(last_word);
    let thread = match lost {
        Lost::ControlSegments => Thread::Control,
        _ => Thread::Stray,
    };
    let label = sheet.say(label);
    Some(Arrow { time, thread, toward, kind: None, label, times: 1, until: time, seen: Vec::new(), is_lost: true })
}

/// The verdict is that the server's last word is missing, or its first.
fn is_reply_missing(verdict: &Verdict) -> bool {
    matches!(verdict.rule.id, "C10" | "C11")
}

/// Where the points of the line are in the picture.
struct Scale {
    taps: Vec<i32>,
    /// The stretch of the verdict.
    stretch: Option<(i32, i32)>,
    /// Where the lost packet ends.
    cross: i32,
    /// A box in the stretch answered in an end's name, or with an ICMP error.
    answers: bool,
}

impl Scale {
    fn of(sheet: &Sheet<'_>, case: Case<'_>, verdict: &Verdict, lost: Option<&Arrow>) -> Scale {
        let names = sheet.names;
        let points = points(case);
        let weight = |pair: &[Point]| match (pair[0], pair[1]) {
            (Point::Client, Point::Tap(tap)) if names.place(tap) == Place::Client => 2,
            (Point::Tap(tap), Point::Server) if names.place(tap) == Place::Server => 2,
            (Point::Tap(one), Point::Tap(other)) if names.is_one_box(one, other) => 2,
            _ => 5,
        };
        let weights: Vec<i32> = points.windows(2).map(weight).collect();
        let all: i32 = weights.iter().sum();
        let mut reached = 0;
        let taps: Vec<i32> = weights
            .iter()
            .map(|weight| {
                reached += weight;
                CLIENT + (SERVER - CLIENT) * reached / all
            })
            .collect();
        let x = |point| match point {
            Point::Client => CLIENT,
            Point::Tap(tap) => taps.get(tap).copied().unwrap_or(SERVER),
            Point::Server => SERVER,
        };
        let stretch = verdict.finding.stretch.map(|stretch| (x(stretch.from), x(stretch.to)));
        let stretch = match (owned(verdict), stretch) {
            (Some(Side::Client), Some(_)) => Some((CLIENT - 10, CLIENT + 10)),
            (Some(Side::Server), Some(_)) => Some((SERVER - 10, SERVER + 10)),
            (None, stretch) => stretch,
            (Some(_), None) => None,
        };
        let cross = match lost.and_then(astray).filter(|_| verdict.finding.mechanism == Mechanism::UnreachableAddress) {
            Some(stretch) => (x(stretch.from) + x(stretch.to)) / 2,
            None => stretch.map_or(SERVER, |(from, to)| (from + to) / 2),
        };
        let forged = verdict.rule.name.ends_with("forged");
        Scale { taps, stretch, cross, answers: forged || verdict.finding.device.is_some() }
    }

    /// The names, the addresses and the lines downwards.
    fn heads(&self, sheet: &Sheet<'_>, case: Case<'_>, height: i32) -> Markup {
        let view = case.view();
        html! {
            @for (x, name, ip) in [
                (CLIENT, message!("client"), view.client.ip),
                (SERVER, message!("server"), view.server.ip),
            ] {
                text.head x=(x) y="14" { (sheet.say(name)) }
                text.address x=(x) y="29" { (ip) }
                line.life x1=(x) x2=(x) y1=(HEAD - 12) y2=(height) {}
            }
            @for sight in 0..case.session.sights.len() {
                @let x = self.taps[sight];
                text.tap x=(x) y=(if sight % 2 == 0 { 44 } else { 57 }) { (short(&sheet.say(sheet.names.leg(sight)), ROOM_OF_TAP)) }
                line.tap x1=(x) x2=(x) y1=(HEAD - 10) y2=(height) {}
            }
        }
    }

    fn arrow(&self, sheet: &Sheet<'_>, arrow: &Arrow, y: i32) -> Markup {
        let (from, to) = if arrow.toward == Side::Server { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let is_answer = matches!(arrow.kind, Some(EventKind::Icmp | EventKind::Reset)) && self.answers;
        let from = if is_answer { self.cross } else { from };
        let to = if arrow.is_lost { self.cross } else { to };
        let class = if arrow.thread == Thread::Control { "control" } else { "data" };
        let is_note = matches!(arrow.kind, Some(EventKind::Gap | EventKind::Encrypted | EventKind::Clear));
        let tip = if to > from { -7 } else { 7 };
        let again = |what: &str| {
            let (time, count) = (lasting(arrow.until.0 - arrow.time.0), arrow.times);
            sheet.say(say!("{what}, {count} times in {time}", what, count, time))
        };
        let label = match arrow.times {
            1 => short(&arrow.label, ROOM),
            _ => again(&short(&arrow.label, ROOM.saturating_sub(again("").width()))),
        };
        html! {
            g.(class).unseen[arrow.seen.is_empty()] {
                text.time x="0" y=(y + 4) { (sheet.page.clock.show(arrow.time, 3)) }
                @if !is_note { line x1=(from) x2=(to) y1=(y) y2=(y) {} }
                @if !is_note && !arrow.is_lost {
                    polygon points={ (to) "," (y) " " (to + tip) "," (y - 4) " " (to + tip) "," (y + 4) } {}
                }
                @if arrow.is_lost {
                    path.cross d={ "M" (to - 6) " " (y - 6) "l12 12m0 -12l-12 12" } { title { (sheet.say(message!("lost here"))) } }
                }
                text.label x=((CLIENT + SERVER) / 2) y=(y - 7) { (label) }
                text.frames x=(WIDTH) y=(y + 4) {
                    @let frames = frames(arrow);
                    @for (nth, (sight, at)) in frames.into_iter().enumerate() {
                        @if nth > 0 { " · " }
                        (sheet.frame(sight, at, &sheet.names.frame(sight, at)))
                    }
                }
            }
        }
    }
}

/// The taps that saw it, and where.
fn seen(arrow: &Arrow) -> impl DoubleEndedIterator<Item = (usize, At)> {
    arrow.seen.iter().enumerate().filter_map(|(sight, at)| Some((sight, (*at)?)))
}

/// The same of the first and the last tap, for which there is room.
fn frames(arrow: &Arrow) -> Vec<(usize, At)> {
    let (first, last) = (seen(arrow).next(), seen(arrow).next_back());
    first.into_iter().chain(last.filter(|_| first != last)).collect()
}

/// Behind the last tap that saw it: what was sent to an address that is not the line's own goes astray there.
fn astray(arrow: &Arrow) -> Option<Stretch> {
    let last = if arrow.toward == Side::Server { seen(arrow).next_back() } else { seen(arrow).next() };
    let (last, _) = last?;
    let next = if arrow.toward == Side::Server { Some(last + 1) } else { last.checked_sub(1) };
    Some(Stretch::beyond(arrow.toward, Some(last), next.filter(|next| *next < arrow.seen.len())))
}

/// A text that has to fit, cut short if need be.
fn short(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(1);
    let fits = |char: &char| {
        let rest = left.checked_sub(char.width().unwrap_or(0));
        rest.inspect(|rest| left = *rest).is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_its_columns() {
        for (text, room, shown) in [
            ("220 ready", 9, "220 ready"),
            ("220 ready", 8, "220 rea…"),
            ("クライアント", 12, "クライアント"),
            ("クライアント", 8, "クライ…"),
        ] {
            assert_eq!(short(text, room), shown);
        }
    }
}
