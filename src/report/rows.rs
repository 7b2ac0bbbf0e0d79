//! The rows of a session's timeline: one an event, whichever taps saw it.

use std::collections::HashMap;

use crate::cite::{At, Time};
use crate::language::Language;
use crate::line::Side;
use crate::report::escape::{Escaped, escaped};
use crate::report::timeline::{Moment, Thread, Threads, Told, moments};
use crate::session::view::EventKind;
use crate::verdict::Case;

/// One packet is at all taps within this time, clock offsets being estimates; TCP repeats a SYN after a second.
const SAME_PACKET: u64 = 500_000_000;

/// One event, wherever it was seen.
pub(super) struct Row {
    /// When the first tap saw it, on the main tap's clock.
    pub(super) time: Time,
    /// Its connection.
    pub(super) thread: Thread,
    /// The transfer that it belongs to, from 1.
    pub(super) transfer: Option<u32>,
    /// Which way it went.
    pub(super) toward: Side,
    /// What it is.
    pub(super) kind: EventKind,
    /// What it tells, made harmless.
    pub(super) text: String,
    /// Where every tap saw it, in line order; none where it was not seen.
    pub(super) seen: Vec<Option<At>>,
}

/// What makes two events of two taps one packet: all that they tell, and that it is as often told before.
type Key = (Thread, std::mem::Discriminant<EventKind>, Side, String, usize);

/// All rows, in order of time.
pub(super) fn rows(case: Case<'_>, language: Language) -> Vec<Row> {
    let threads = Threads::of(case.session);
    let mut told: Vec<HashMap<Key, usize>> = (0..case.session.sights.len()).map(|_| HashMap::new()).collect();
    let mut known: HashMap<Key, usize> = HashMap::new();
    let mut rows: Vec<Row> = Vec::new();
    for moment in moments(case.session) {
        let Some((row, mut key)) = row(case, language, &threads, moment) else { continue };
        let times = told[moment.sight].entry(key.clone()).or_insert(0);
        key.4 = *times;
        *times += 1;
        let twin = known.get(&key).copied().filter(|&at| rows[at].time.0.abs_diff(row.time.0) < SAME_PACKET);
        match twin {
            Some(at) => rows[at].seen[moment.sight] = row.seen[moment.sight],
            None => {
                known.insert(key, rows.len());
                rows.push(row);
            }
        }
    }
    rows
}

fn row(case: Case<'_>, language: Language, threads: &[Threads], moment: Moment) -> Option<(Row, Key)> {
    let view = case.session.view(moment.sight)?;
    let event = view.log.get(moment.index)?;
    let thread = threads[moment.sight].thread(event);
    let text = match Told::of(view, event) {
        Told::Quote(bytes) => Escaped(bytes).to_string(),
        Told::Words(words) => escaped(&words.said(language)).to_string(),
    };
    let mut seen = vec![None; case.session.sights.len()];
    seen[moment.sight] = Some(event.at);
    let key = (thread, std::mem::discriminant(&event.kind), event.toward, text.clone(), 0);
    let transfer = threads[moment.sight].transfer(moment.index, event);
    Some((Row { time: moment.time, thread, transfer, toward: event.toward, kind: event.kind, text, seen }, key))
}
