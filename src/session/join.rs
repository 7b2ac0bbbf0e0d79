//! From the views of one session at several taps to the session on the whole line. Pure functions.
//!
//! Packets are joined by what they are, never by the clock: the same ports and sequence numbers, and behind a NAT the
//! same initial sequence numbers. The clocks' offsets follow from the joined packets and serve only for showing one
//! timeline.

use std::collections::HashMap;
use std::mem;

use crate::cite::Time;
use crate::few::Few;
use crate::line::Side;
use crate::packet::Endpoint;
use crate::session::place::{self, Placing, Standing};
use crate::session::view::{Attempt, Event, EventKind, Transfer, View};
use crate::tcp::connection::{Connection, Role};
use crate::tcp::half::Half;

/// One session as all taps of the line saw it.
#[derive(Debug)]
pub struct Session {
    /// Its number, from 1.
    pub number: u64,
    /// The taps in line order, from the client.
    pub sights: Vec<Sight>,
    /// Data connections over all taps.
    pub attempts: Vec<JoinedAttempt>,
    /// The sight whose conversation is the fullest, and so the session's own.
    main: usize,
}

/// What one tap contributes.
#[derive(Debug)]
pub struct Sight {
    /// The tap, by the order in which taps were given.
    pub tap: usize,
    /// What it saw; nothing, if none of the session's packets passed it.
    pub view: Option<Box<View>>,
    /// Where it stands for this session.
    pub standing: Standing,
    /// What to add to this tap's times to get the main tap's.
    pub offset_ns: i64,
    /// Index of this view's transfer for every transfer of the main view.
    transfers: Vec<Option<usize>>,
}

/// One data connection over all taps.
#[derive(Debug)]
pub struct JoinedAttempt {
    /// Transfer of the main view.
    pub transfer: usize,
    /// Index of the attempt in the view of every sight.
    pub seen: Few<Option<usize>>,
}

impl Session {
    /// A session that only one tap could see.
    pub fn of_one(view: impl Into<Box<View>>, tap: usize, placing: &Placing) -> Session {
        let view = view.into();
        let seen = seen_attempts(&view);
        let attempts = seen
            .map(|(index, attempt)| JoinedAttempt {
                transfer: usize::from(attempt.transfer),
                seen: Few::One(Some(index)),
            })
            .collect();
        let standing = place::standing(&view, placing);
        let number = view.number;
        let transfers = (0..view.transfers.len()).map(Some).collect();
        let sight = Sight { tap, view: Some(view), standing, offset_ns: 0, transfers };
        Session { number, sights: vec![sight], attempts, main: 0 }
    }

    /// The view whose conversation is the session's own.
    pub fn main(&self) -> &View {
        self.sights[self.main].view.as_deref().expect("the main sight has a view: it was chosen among those that have")
    }

    /// Index of the sight of [`Session::main`].
    pub fn main_sight(&self) -> usize {
        self.main
    }

    /// A view, by position in line order.
    pub fn view(&self, sight: usize) -> Option<&View> {
        self.sights.get(sight)?.view.as_deref()
    }

    /// A transfer of the main view as another tap saw it.
    pub fn transfer(&self, sight: usize, transfer: usize) -> Option<&Transfer> {
        let index = (*self.sights.get(sight)?.transfers.get(transfer)?)?;
        self.view(sight)?.transfers.get(index)
    }

    /// The data connections of a transfer of the main view.
    pub fn attempts_of(&self, transfer: usize) -> impl Iterator<Item = &JoinedAttempt> {
        self.attempts.iter().filter(move |attempt| attempt.transfer == transfer)
    }

    /// An attempt as one tap saw it.
    pub fn attempt(&self, sight: usize, joined: &JoinedAttempt) -> Option<&Attempt> {
        let index = (*joined.seen.get(sight)?)?;
        self.view(sight)?.attempts.get(index)
    }

    /// A moment of one tap on the main tap's clock.
    pub fn on_main_clock(&self, sight: usize, time: Time) -> Time {
        Time(time.0.saturating_add(self.sights[sight].offset_ns))
    }
}

/// A view and the tap it comes from.
type Found = (usize, Box<View>);

/// Joins the views of all taps. `views[tap]` holds the views of one tap; `placings[tap]` what is known of its
/// place.
pub fn join(views: Vec<Vec<Box<View>>>, placings: &[Placing]) -> Vec<Session> {
    let mut groups: Vec<Vec<Found>> = Vec::new();
    let mut index = Index::default();
    for (tap, views) in views.into_iter().enumerate() {
        for view in views {
            let found = index.find(&groups, tap, &view);
            let group = found.first().copied().unwrap_or(groups.len());
            if found.is_empty() {
                groups.push(Vec::new());
            }
            let others: Vec<Found> = found.iter().skip(1).flat_map(|&other| mem::take(&mut groups[other])).collect();
            for one in others.into_iter().chain([(tap, view)]) {
                index.add(group, &one.1);
                groups[group].push(one);
            }
        }
    }
    groups.retain(|group| !group.is_empty());
    let mut sessions: Vec<Session> = groups.into_iter().map(|group| assemble(group, placings)).collect();
    sessions.sort_by_key(|session| session.main().began.time);
    for (number, session) in (1..).zip(&mut sessions) {
        session.number = number;
    }
    sessions
}

/// A sequence number that more sessions than this begin with identifies none of them: a scan sends them all alike.
const ALIKE: usize = 64;

/// Finds the groups that a view belongs to.
#[derive(Default)]
struct Index {
    by_ends: HashMap<(Endpoint, Endpoint), Vec<usize>>,
    by_start: HashMap<(u32, u16), Vec<usize>>,
}

impl Index {
    fn add(&mut self, group: usize, view: &View) {
        let by_ends = self.by_ends.entry((view.client, view.server)).or_default();
        if by_ends.last() != Some(&group) {
            by_ends.push(group);
        }
        for key in start_keys(view) {
            let by_start = self.by_start.entry(key).or_default();
            if by_start.len() <= ALIKE && !by_start.contains(&group) {
                by_start.push(group);
            }
        }
    }

    /// More than one where the view shows that these are one: of a connection that is not up, one tap may have seen one end
    /// only, and another one the other. No tap saw a session twice.
    fn find(&self, groups: &[Vec<Found>], tap: usize, view: &View) -> Vec<usize> {
        let by_ends = self.by_ends.get(&(view.client, view.server)).into_iter().flatten();
        let alike = |groups: &&Vec<usize>| groups.len() <= ALIKE;
        let by_start = start_keys(view).into_iter().filter_map(|key| self.by_start.get(&key)).filter(alike).flatten();
        let is_same = |(_, other): &Found| same_connection(&other.control, &view.control) || same_words(other, view);
        let mut found: Vec<usize> = Vec::new();
        for &group in by_ends.chain(by_start) {
            let known = || found.iter().flat_map(|&group| &groups[group]);
            let fits = |(other, seen): &Found| {
                *other != tap && known().all(|(tap, known)| other != tap && !contradict(&seen.control, &known.control))
            };
            let joins = || groups[group].iter().all(fits);
            if !found.contains(&group) && groups[group].iter().any(is_same) && joins() {
                found.push(group);
            }
        }
        found
    }
}

/// Sequence numbers that no NAT changes, with the end they belong to.
fn start_keys(view: &View) -> Vec<(u32, u16)> {
    [(Role::Opener, 0), (Role::Listener, 1)]
        .into_iter()
        .filter_map(|(role, tag)| Some((view.control.half(role).start?, tag)))
        .collect()
}

/// One connection seen twice: both ends count alike, whatever their addresses.
pub fn same_connection(one: &Connection, other: &Connection) -> bool {
    let same_ends = one.opener == other.opener && one.listener == other.listener;
    let counts = same_halves(one, other);
    !counts.contains(&Some(false)) && (counts.contains(&Some(true)) || same_ends)
}

/// An end counts otherwise.
fn contradict(one: &Connection, other: &Connection) -> bool {
    same_halves(one, other).contains(&Some(false))
}

fn same_halves(one: &Connection, other: &Connection) -> [Option<bool>; 2] {
    [Role::Opener, Role::Listener].map(|role| same_half(one.half(role), other.half(role)))
}

/// None if one of the two shows nothing.
fn same_half(one: &Half, other: &Half) -> Option<bool> {
    let (a, b) = (one.start?, other.start?);
    if one.from_syn && other.from_syn {
        return Some(a == b);
    }
    let ahead = b.wrapping_sub(a);
    let behind = a.wrapping_sub(b);
    Some(u64::from(ahead) <= one.bytes() + 1 || u64::from(behind) <= other.bytes() + 1)
}

/// A box that rewrites sequence numbers leaves the words: the same ends, and the same commands and replies.
fn same_words(one: &View, other: &View) -> bool {
    let said = |view: &View| (view.log.len(), view.text.clone());
    one.client == other.client && one.server == other.server && one.text.len() > MIN_WORDS && said(one) == said(other)
}

/// Less text than this (a greeting and a user name) may be the same in two sessions.
const MIN_WORDS: usize = 64;

fn assemble(mut group: Vec<Found>, placings: &[Placing]) -> Session {
    let main_tap = group.iter().max_by_key(|(tap, view)| (words(view), usize::MAX - tap)).map_or(0, |(tap, _)| *tap);
    let standing: Vec<(usize, Standing)> = group
        .iter()
        .map(|(tap, view)| {
            let placing = &placings[*tap];
            let legs = group.iter().filter(|(other, _)| placings[*other] == *placing).count();
            (*tap, if legs > 1 { place::standing_of_leg(view, placing) } else { place::standing(view, placing) })
        })
        .collect();
    let order = if placings.iter().all(|placing| placing.given().is_some()) {
        (0..placings.len()).collect()
    } else {
        place::order(&group, placings)
    };
    let mut sights: Vec<Sight> = order
        .into_iter()
        .map(|tap| {
            let view = group.iter().position(|(other, _)| *other == tap).map(|at| group.swap_remove(at).1);
            let standing = standing.iter().find(|(other, _)| *other == tap).map(|(_, standing)| *standing);
            let standing = standing.unwrap_or_else(|| Standing::unseen(&placings[tap]));
            Sight { tap, view, standing, offset_ns: 0, transfers: Vec::new() }
        })
        .collect();
    let main = sights.iter().position(|sight| sight.tap == main_tap).unwrap_or(0);
    align(&mut sights, main);
    let attempts = join_attempts(&sights, main);
    Session { number: 0, sights, attempts, main }
}

/// How much of the conversation a view holds.
fn words(view: &View) -> usize {
    view.text.len() + view.log.len() + view.transfers.len() * 100
}

fn align(sights: &mut [Sight], main: usize) {
    let Some(model) = sights[main].view.take() else { return };
    for sight in sights.iter_mut() {
        if let Some(view) = &sight.view {
            sight.transfers = align_transfers(&model, view);
            sight.offset_ns = clock_offset(&model, view);
        }
    }
    sights[main].transfers = (0..model.transfers.len()).map(Some).collect();
    sights[main].view = Some(model);
}

/// For every transfer of `model`, the one in `view` that says the same, in order; where none does, the next one if it is
/// of the same kind, since a box may have rewritten what it says; but not if that says the same as a later one of `model`.
fn align_transfers(model: &View, view: &View) -> Vec<Option<usize>> {
    let mut next = 0;
    model
        .transfers
        .iter()
        .enumerate()
        .map(|(index, transfer)| {
            let same = (next..view.transfers.len()).find(|&at| {
                same_kind(model, transfer, view, &view.transfers[at]) && same_port(transfer, &view.transfers[at])
            });
            let is_later = |other: &Transfer| {
                let mut later = model.transfers[index + 1..].iter().filter(|later| has_port_of(later, other));
                later.any(|later| same_kind(model, later, view, other))
            };
            let alike = || {
                let other = view.transfers.get(next)?;
                (same_kind(model, transfer, view, other) && !is_later(other)).then_some(next)
            };
            let found = same.or_else(alike)?;
            next = found + 1;
            Some(found)
        })
        .collect()
}

/// The same mode and, as far as both have one, the same transfer command.
fn same_kind(model: &View, one: &Transfer, view: &View, other: &Transfer) -> bool {
    let mode = |transfer: &Transfer| transfer.negotiation.as_ref().map(|negotiation| negotiation.mode);
    let command = |view: &View, transfer: &Transfer| {
        transfer.command.and_then(|command| view.event(command)).map(|event| view.text_of(event).to_vec())
    };
    let (mine, its) = (command(model, one), command(view, other));
    mode(one) == mode(other) && one.inferred == other.inferred && (mine == its || mine.is_none() || its.is_none())
}

fn same_port(one: &Transfer, other: &Transfer) -> bool {
    port(one).is_none() || port(other).is_none() || port(one) == port(other)
}

fn has_port_of(one: &Transfer, other: &Transfer) -> bool {
    port(one).is_some() && port(one) == port(other)
}

fn port(transfer: &Transfer) -> Option<u16> {
    transfer.negotiation.as_ref()?.offered.map(|offered| offered.port)
}

/// How many sayings one tap may have missed in a row before its clock is no longer followed.
const AHEAD: usize = 64;

/// What to add to the times of `view` to get those of `model`: for either direction the median over what both heard said,
/// the handshake's first packets included, and of the two the mean. The transit times of the two directions pull it in
/// opposite ways.
fn clock_offset(model: &View, view: &View) -> i64 {
    let ways = [Side::Server, Side::Client].map(|toward| median(time_differences(model, view, toward)));
    match ways {
        [Some(one), Some(other)] => one.midpoint(other),
        [one, other] => one.or(other).unwrap_or(0),
    }
}

fn time_differences(model: &View, view: &View, toward: Side) -> Vec<i64> {
    let leg = |view: &View| if toward == Side::Server { view.control.syn } else { view.control.syn_ack };
    let handshake = leg(model).zip(leg(view)).map(|(one, other)| (one.first, other.first));
    let spoken =
        |event: &&Event| event.toward == toward && matches!(event.kind, EventKind::Command | EventKind::Reply(_));
    let mut mine = model.log.iter().filter(spoken);
    let words = view.log.iter().filter(spoken).filter_map(|event| {
        let twin = mine.clone().take(AHEAD).position(|other| model.text_of(other) == view.text_of(event))?;
        Some((mine.nth(twin)?.at, event.at))
    });
    handshake.into_iter().chain(words).map(|(one, other)| one.time.0.saturating_sub(other.time.0)).collect()
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The data connections of which this tap saw a packet. Of one between two servers the other leg of a host may have been
/// first.
fn seen_attempts(view: &View) -> impl Iterator<Item = (usize, &Attempt)> {
    view.attempts.iter().enumerate().filter(|(_, attempt)| attempt.connection.last() > Time::default())
}

fn join_attempts(sights: &[Sight], main: usize) -> Vec<JoinedAttempt> {
    let mut joined: Vec<JoinedAttempt> = Vec::new();
    let order = std::iter::once(main).chain((0..sights.len()).filter(|&sight| sight != main));
    for sight in order {
        let Some(view) = &sights[sight].view else { continue };
        for (index, attempt) in seen_attempts(view) {
            match joined.iter_mut().find(|other| other.seen[sight].is_none() && is_same(sights, other, attempt)) {
                Some(other) => other.seen[sight] = Some(index),
                None => {
                    let own = usize::from(attempt.transfer);
                    let transfer = sights[sight].transfers.iter().position(|mapped| *mapped == Some(own));
                    let Some(transfer) = transfer else { continue };
                    let mut seen: Few<_> = sights.iter().map(|_| None).collect();
                    seen[sight] = Some(index);
                    joined.push(JoinedAttempt { transfer, seen });
                }
            }
        }
    }
    joined
}

fn is_same(sights: &[Sight], joined: &JoinedAttempt, attempt: &Attempt) -> bool {
    joined.seen.iter().zip(sights).any(|(index, sight)| {
        let other = index.and_then(|index| sight.view.as_ref()?.attempts.get(index));
        other.is_some_and(|other| same_connection(&other.connection, &attempt.connection))
    })
}
