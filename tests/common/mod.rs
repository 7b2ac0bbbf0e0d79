//! What the integration tests share: a sink that shows sessions, and the subsets of a case's taps.

#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::path::{Path, PathBuf};

use ftpwhy::line::{Place, Stretch};
use ftpwhy::replay::{Capture, Replay, Sink, Summary, replay};
use ftpwhy::session::join::Session;
use ftpwhy::verdict::{Judgement, TapFacts};
use serde_json::Value;

/// Shows every session to a closure.
struct Show<'a>(&'a mut dyn FnMut(&Session, &Judgement, &[TapFacts]));

impl Sink for Show<'_> {
    type Error = ();

    fn session(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> Result<(), ()> {
        (self.0)(session, judgement, taps);
        Ok(())
    }

    fn progress(&mut self, _: u64, _: Option<u64>) {}
}

/// A capture with its place.
pub(crate) fn capture(place: Option<Place>, path: impl Into<PathBuf>) -> Capture {
    Capture { place, paths: vec![path.into()], ..Capture::default() }
}

/// Replays captures and shows every session to `look`.
pub(crate) fn look_at(
    captures: Vec<Capture>,
    ports: &[u16],
    look: impl FnMut(&Session, &Judgement, &[TapFacts]),
) -> Summary {
    look_into(&replay_of(captures, ports), look)
}

/// What a replay of captures with these control ports besides the usual is.
pub(crate) fn replay_of(captures: Vec<Capture>, ports: &[u16]) -> Replay {
    let control_ports = [21, 990].iter().chain(ports).copied().collect();
    Replay { captures, control_ports, passive_range: None, filter: None, unfiltered: false }
}

/// Replays and shows every session to `look`.
pub(crate) fn look_into(what: &Replay, mut look: impl FnMut(&Session, &Judgement, &[TapFacts])) -> Summary {
    replay(what, &mut Show(&mut look)).expect("the captures can be opened").expect("the sink takes all")
}

/// Every choice of at least one of `count` taps, in line order.
pub(crate) fn subsets(count: usize) -> impl Iterator<Item = Vec<usize>> {
    (1..1_usize << count).map(move |bits| (0..count).filter(|tap| bits >> tap & 1 == 1).collect())
}

/// Every stretch that a judgement names.
pub(crate) fn stretches(judgement: &Judgement) -> impl Iterator<Item = Stretch> {
    let control = judgement.control.1.iter();
    let transfers = judgement.transfers.iter().filter_map(|(_, verdict)| verdict.as_ref());
    control.chain(transfers).filter_map(|verdict| verdict.finding.stretch)
}

/// The folders of `captures/`, each with the arguments of `replay` that name its captures and snapshots with their places.
pub(crate) fn cases() -> Vec<(PathBuf, Vec<String>)> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let entries = fs::read_dir(captures).expect("captures/ is there");
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= 50, "only {} cases", folders.len());
    folders.into_iter().map(|folder| (folder.clone(), arguments(&folder))).collect()
}

fn arguments(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("case.json")).expect("a folder has its case.json");
    let case: Value = serde_json::from_str(&text).expect("case.json is JSON");
    let strings = |key: &str| case[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let mut arguments: Vec<String> = strings("options").collect();
    let named = |option: String, file: &str| [option, folder.join(file).display().to_string()];
    arguments.extend(strings("taps").flat_map(|tap| named(option(&tap).to_owned(), &tap)));
    arguments.extend(strings("states").flat_map(|state| named(state_option(&state), &state)));
    arguments
}

/// Where a capture with this name was taken.
pub(crate) fn place(tap: &str) -> Place {
    match tap {
        _ if tap.starts_with("client") => Place::Client,
        _ if tap.starts_with("server") => Place::Server,
        _ => Place::Between,
    }
}

/// The option that says so.
pub(crate) fn option(tap: &str) -> &'static str {
    match place(tap) {
        Place::Client => "--client",
        Place::Server => "--server",
        Place::Between | Place::Unknown => "--between",
    }
}

/// The option that says whose snapshot it is that has this name.
pub(crate) fn state_option(state: &str) -> String {
    format!("{}-state", option(state))
}
