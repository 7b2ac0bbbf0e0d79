//! Holds the program to the truth: every subset of taps, places given and inferred, full and degraded views.

use std::fs;
use std::path::Path;

use ftpwhy::verdict::Outcome;

use crate::damage::Random;
use crate::degrade::{self, View};
use crate::host::Fallible;
use crate::labelled::{Interval, Labelled, Said, Watched};
use crate::scenario::Scenario;
use crate::vantage::{self, Set, Sort, Vantage};

/// How a view was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// The smallest stretch that these taps allow; or nobody, where nobody is to blame.
    Right,
    /// The truth is in it, and more.
    Wide,
    /// Nothing is said: no stretch, or no session was seen.
    Silent,
    /// The truth is not in it, or somebody is blamed for nothing.
    Wrong,
}

/// What was said of one view of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) view: View,
    pub(crate) vantage: Vantage,
    pub(crate) given: bool,
    pub(crate) grade: Grade,
    /// What must not be, in words.
    pub(crate) fault: Option<String>,
    /// The reason for which it may be wide.
    pub(crate) excused: Option<&'static str>,
}

/// A recording with its label.
pub(crate) fn case(scenario: &Scenario, folder: &Path) -> Labelled {
    let names = scenario.line.taps();
    Labelled {
        name: scenario.name.clone(),
        taps: names.iter().map(|name| (vantage::place(name), folder.join(name))).collect(),
        ports: vec![scenario.server.port],
        truth: scenario.interval(),
        completed: scenario.truth.outcome == Outcome::Completed,
    }
}

/// Judges a recording in every way, and damages it at random so many times, with a seed of its own.
pub(crate) fn judge(
    scenario: &Scenario,
    case: &Labelled,
    folder: &Path,
    rounds: u64,
    seed: u64,
) -> Fallible<Vec<Judged>> {
    let mut random = Random(scenario.name.bytes().fold(seed, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte)));
    let mut judged = Vec::new();
    for round in 0..=rounds {
        let views = View::ALL.into_iter().filter(|view| view.is_random() == (round > 0));
        for view in views {
            let files = folder.join(format!("{view:?}-{round}"));
            judged.extend(judge_view(scenario, case, view, folder, &files, &mut random)?);
        }
    }
    Ok(judged)
}

fn judge_view(
    scenario: &Scenario,
    case: &Labelled,
    view: View,
    folder: &Path,
    files: &Path,
    random: &mut Random,
) -> Fallible<Vec<Judged>> {
    fs::create_dir_all(files).map_err(|error| error.to_string())?;
    for (name, host) in vantage::files(scenario.line) {
        degrade::write(view, host, scenario.server.port, &folder.join(&name), &files.join(name), random)?;
    }
    let sets = vantage::sets(scenario.line, case.completed);
    let sets = sets.iter().flat_map(|set| [(set, true), (set, false)]);
    let judged: Vec<Judged> = sets.map(|(set, given)| look(scenario, case, view, set, given, files)).collect();
    // A view with a fault is kept as long as the recording is.
    if judged.iter().all(|judged| judged.fault.is_none()) {
        fs::remove_dir_all(files).map_err(|error| error.to_string())?;
    }
    Ok(judged)
}

fn look(scenario: &Scenario, case: &Labelled, view: View, set: &Set, given: bool, files: &Path) -> Judged {
    let path = |name: &String| files.join(name);
    let watched = |eye: &vantage::Eye| Watched {
        place: eye.place,
        files: eye.files.iter().map(path).collect(),
        taps: eye.taps.clone(),
    };
    let mut said = case.replay_watched(&set.eyes.iter().map(watched).collect::<Vec<_>>(), given);
    if let Some(also) = scenario.truth.also.map(|at| scenario.line.interval(at)) {
        let names = |stretch: Option<Interval>| stretch.is_some_and(|(from, to)| from <= also.0 && also.1 <= to);
        said.verdicts
            .retain(|(_, stretch, mechanism)| !names(*stretch) || Some(*mechanism) == scenario.truth.mechanism);
    }
    let wrong = case.error(&said);
    let taps = set.taps();
    let stretches: Vec<Interval> = said.verdicts.iter().filter_map(|(_, stretch, _)| *stretch).collect();
    let grade = if wrong.is_some() { Grade::Wrong } else { grade(case, &stretches, &taps) };
    let names = scenario.line.taps();
    let names: Vec<&str> = taps.iter().filter_map(|&tap| names[tap].strip_suffix(".pcap")).collect();
    let excuse =
        scenario.wider.iter().find(|wider| wider.taps.is_empty() || names.iter().all(|name| wider.taps.contains(name)));
    let strict = view == View::Full && given && set.sort != Sort::Aside;
    let fault = match (grade, excuse) {
        (Grade::Wrong, _) => wrong,
        (Grade::Wide, None) if strict => Some("too wide".to_owned()),
        (Grade::Silent, None) if strict && !said.outcomes.is_empty() => Some("says nothing".to_owned()),
        (Grade::Right | Grade::Silent, _) if strict && taps.len() == case.taps.len() => {
            mechanism(scenario, set.sort, &said)
        }
        _ => None,
    };
    let kind = if given { "given" } else { "inferred" };
    let fault = fault.map(|what| format!("{} {view:?} {kind} {set}: {what}: {said:?}", scenario.name));
    let excused = excuse.filter(|_| strict && matches!(grade, Grade::Wide | Grade::Silent)).map(|wider| wider.reason);
    Judged { view, vantage: set.vantage(), given, grade, fault, excused }
}

/// How narrow the stretches are that are named, none of them wrongly.
pub(crate) fn grade(case: &Labelled, stretches: &[Interval], taps: &[usize]) -> Grade {
    match case.truth {
        None if stretches.is_empty() => Grade::Right,
        Some(_) if stretches.is_empty() => Grade::Silent,
        Some(truth) if stretches.iter().all(|named| *named == hull(case, truth, taps)) => Grade::Right,
        _ => Grade::Wide,
    }
}

/// The smallest stretch between these taps that holds the truth.
fn hull(case: &Labelled, truth: Interval, taps: &[usize]) -> Interval {
    let numbers = || taps.iter().map(|tap| tap + 1);
    let from = numbers().filter(|&number| number <= truth.0).max().unwrap_or(0);
    let to = numbers().filter(|&number| number >= truth.1).min().unwrap_or(case.taps.len() + 1);
    (from, to)
}

/// What all taps together must say of how.
fn mechanism(scenario: &Scenario, sort: Sort, said: &Said) -> Option<String> {
    let on_loopback = scenario.truth.on_loopback.filter(|_| sort != Sort::Taps);
    let Some(true_one) = on_loopback.or(scenario.truth.mechanism) else {
        let failed = said.outcomes.contains(&Outcome::Failed);
        return failed.then(|| "a transfer that did not fail is called failed".to_owned());
    };
    if said.verdicts.is_empty() && said.outcomes.is_empty() {
        return None;
    }
    let named = said.verdicts.iter().any(|(.., mechanism)| *mechanism == true_one);
    (!named).then(|| format!("{true_one:?} is not named"))
}
