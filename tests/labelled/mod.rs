//! Captures whose truth is known, and what is said of them: the labelled cases beside the project and its own captures.
#![allow(dead_code)] // each test takes a part of it

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ftpwhy::line::{Place, Point};
use ftpwhy::replay::Capture;
use ftpwhy::verdict::{Mechanism, Outcome, TapFacts};
use serde_json::Value;

use crate::common;
use crate::shared;

/// Two points of a line by number: 0 the client, then the taps, then the server.
pub(crate) type Interval = (usize, usize);

/// A recorded session that was captured at some taps.
#[derive(Clone, Debug)]
pub(crate) struct Labelled {
    pub(crate) name: String,
    /// Captures in line order from the client, with their places.
    pub(crate) taps: Vec<(Place, PathBuf)>,
    /// Control ports besides the usual.
    pub(crate) ports: Vec<u16>,
    /// Where the packet was lost; none if nobody on the path is to blame.
    pub(crate) truth: Option<Interval>,
    /// A second server, and the same of the client's session with it.
    pub(crate) beside: Option<(IpAddr, Option<Interval>)>,
    /// The transfer went through.
    pub(crate) completed: bool,
}

/// All of them that are here.
pub(crate) fn all() -> Vec<Labelled> {
    let mut all = own();
    if let Some(folder) = shared::folder("FTPWHY_CASES", "cases") {
        all.extend(of_cases(&folder));
    }
    all
}

/// Those of `captures/`.
fn own() -> Vec<Labelled> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(captures).expect("captures is there").flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders.iter().map(|folder| of_folder(folder)).collect()
}

fn of_folder(folder: &Path) -> Labelled {
    let text = fs::read_to_string(folder.join("case.json")).expect("a case has its case.json");
    let value: Value = serde_json::from_str(&text).expect("case.json is JSON");
    let names: Vec<&str> = value["taps"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let number = |value: &Value| match value.as_str()? {
        "client" => Some(0),
        "server" => Some(names.len() + 1),
        tap => names.iter().position(|name| *name == tap).map(|tap| tap + 1),
    };
    let truth = &value["truth"];
    let options = value["options"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Labelled {
        name: folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        taps: names.iter().map(|name| (place(name), folder.join(name))).collect(),
        ports: options.filter_map(|option| option.parse::<u16>().ok()).collect(),
        truth: number(&truth["place"][0]).zip(number(&truth["place"][1])),
        beside: None,
        completed: truth["outcome"] == "completed",
    }
}

/// The name of a file says where it was captured.
fn place(name: &str) -> Place {
    match () {
        () if name.starts_with("client") => Place::Client,
        () if name.starts_with("server") => Place::Server,
        () => Place::Between,
    }
}

/// Those of `truth.json`, each with four taps: the client's, the router's two, the server's.
fn of_cases(folder: &Path) -> Vec<Labelled> {
    let text = fs::read_to_string(folder.join("truth.json")).expect("truth.json is readable");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("truth.json is JSON");
    let suffixes = [("_c", Place::Client), ("_rc", Place::Between), ("_rs", Place::Between), ("_s", Place::Server)];
    let labelled = |case: &Value| {
        let name = case["id"].as_str().expect("a case has an id").to_owned();
        let truth = match case["side"].as_str() {
            Some("client") => Some((0, 1)),
            Some("path") => Some((2, 3)),
            Some("server") => Some((4, 5)),
            _ => None,
        };
        let taps = suffixes.map(|(suffix, place)| (place, folder.join(format!("{name}{suffix}.pcap")))).to_vec();
        Labelled {
            taps,
            ports: vec![2121, 2122, 2123, 2124, 2126],
            truth,
            beside: None,
            completed: truth.is_none(),
            name,
        }
    };
    cases.iter().map(labelled).collect()
}

/// One capture of a case. It holds one tap, or the two legs of a host that forwards.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) place: Place,
    pub(crate) files: Vec<PathBuf>,
    /// Its taps by number, from the client's end.
    pub(crate) taps: Vec<usize>,
}

/// A verdict, without what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) rule: &'static str,
    /// By the numbers of the whole line.
    pub(crate) stretch: Option<Interval>,
    pub(crate) mechanism: Mechanism,
    /// It is about the session with the second server.
    pub(crate) beside: bool,
}

/// What was said of one view of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) verdicts: Vec<Verdict>,
    /// How the transfers ended.
    pub(crate) outcomes: Vec<Outcome>,
    /// Some tap saw nothing of a session.
    pub(crate) unseen: bool,
}

impl Said {
    /// It was said that the capture misses what would decide.
    fn lacks_packets(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.rule == "V3")
    }

    /// The same was said, in stretches that may be wider.
    pub(crate) fn is_wider_than(&self, other: &Said) -> bool {
        let same = |said: &Said| said.verdicts.iter().map(|it| (it.rule, it.mechanism)).collect::<Vec<_>>();
        let covers = |wide: Option<Interval>, narrow: Option<Interval>| match (wide, narrow) {
            (Some(wide), Some(narrow)) => wide.0 <= narrow.0 && narrow.1 <= wide.1,
            (wide, narrow) => wide == narrow,
        };
        same(self) == same(other)
            && self.outcomes == other.outcomes
            && self.verdicts.iter().zip(&other.verdicts).all(|(wide, narrow)| covers(wide.stretch, narrow.stretch))
    }
}

/// The numbers of the taps that a tap of a replay may be. The legs of a capture come from the client's end; if one of two was
/// left out, it is not known which.
fn numbers(watched: &[Watched], facts: &[TapFacts], tap: usize) -> Interval {
    let capture = facts[tap].capture;
    let legs = || facts.iter().enumerate().filter(|(_, other)| other.capture == capture);
    let taps = &watched[capture].taps;
    let last = taps.len() - 1;
    if legs().count() <= last {
        return (taps[0], taps[last]);
    }
    let leg = taps[legs().take_while(|(other, _)| *other < tap).count().min(last)];
    (leg, leg)
}

impl Labelled {
    /// Replays some of the taps, by number, from these files.
    pub(crate) fn replay(&self, taps: &[usize], files: Vec<PathBuf>, given: bool) -> Said {
        let watched =
            |(&tap, file): (&usize, PathBuf)| Watched { place: self.taps[tap].0, files: vec![file], taps: vec![tap] };
        self.replay_watched(&taps.iter().zip(files).map(watched).collect::<Vec<_>>(), given)
    }

    /// The same for captures that hold more than a tap's file.
    pub(crate) fn replay_watched(&self, watched: &[Watched], given: bool) -> Said {
        let capture = |one: &Watched| Capture {
            place: given.then_some(one.place),
            paths: one.files.clone(),
            ..Capture::default()
        };
        let mut said = Said::default();
        common::look_at(watched.iter().map(capture).collect(), &self.ports, |session, judgement, facts| {
            let ends = |point| match point {
                Point::Client => (0, 0),
                Point::Tap(sight) => numbers(watched, facts, session.sights[sight].tap),
                Point::Server => (self.taps.len(), self.taps.len()),
            };
            let shift = |point| usize::from(point != Point::Client);
            let from = |point| ends(point).0 + shift(point);
            let to = |point| ends(point).1 + shift(point);
            let transfers = judgement.transfers.iter().filter_map(|(_, verdict)| verdict.as_ref());
            for verdict in judgement.control.1.iter().chain(transfers) {
                let stretch = verdict.finding.stretch.map(|stretch| (from(stretch.from), to(stretch.to)));
                said.verdicts.push(Verdict {
                    rule: verdict.rule.id,
                    stretch,
                    mechanism: verdict.finding.mechanism,
                    beside: self.beside.is_some_and(|(server, _)| server == session.main().server.ip),
                });
            }
            said.unseen |= session.sights.iter().any(|sight| sight.view.is_none());
            said.outcomes.extend(judgement.transfers.iter().map(|(outcome, _)| *outcome));
        });
        said
    }

    /// What is wrong with what was said: see [`Labelled::misjudged`].
    pub(crate) fn error(&self, said: &Said) -> Option<String> {
        let named = said.verdicts.iter().filter_map(|verdict| Some((verdict.rule, verdict.stretch?, verdict.beside)));
        let failed = said.outcomes.contains(&Outcome::Failed) && !said.lacks_packets();
        self.misjudged(&named.collect::<Vec<_>>(), failed)
    }

    /// What is wrong with rules that name stretches, of the session or of the one with a second server: the truth lies outside
    /// of one, or somebody is blamed where nobody is to blame. Or a transfer that went through is called `failed`.
    pub(crate) fn misjudged(&self, named: &[(&str, Interval, bool)], failed: bool) -> Option<String> {
        let whole = (0, self.taps.len() + 1);
        let truth = |beside| self.beside.filter(|_| beside).map_or(self.truth, |(_, truth)| truth);
        let wrong = named.iter().find(|&&(_, named, beside)| match truth(beside) {
            Some(truth) => named.0 > truth.0 || named.1 < truth.1,
            None => named != whole,
        });
        match wrong {
            Some(&(rule, named, beside)) => Some(format!("{rule} names {named:?}, the truth is {:?}", truth(beside))),
            None if self.completed && failed => Some("a transfer that went through has failed".to_owned()),
            None => None,
        }
    }
}
