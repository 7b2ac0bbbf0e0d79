//! Holds the program to the truth: every subset of taps, places given and inferred, full and degraded views.

use std::fs;
use std::path::Path;

use ftpwhy::verdict::Outcome;

use crate::common;
use crate::damage::Random;
use crate::degrade::{self, View};
use crate::host::Fallible;
use crate::labelled::{Interval, Labelled, Said};
use crate::scenario::Scenario;
use crate::table::Vantage;

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

/// Judges a recording in every way, and damages it at random so many times.
pub(crate) fn judge(scenario: &Scenario, folder: &Path, rounds: u64) -> Fallible<Vec<Judged>> {
    let names = scenario.line.taps();
    let case = Labelled {
        name: scenario.name.clone(),
        taps: names.iter().map(|name| (place(name), folder.join(name))).collect(),
        ports: vec![scenario.server.port],
        truth: scenario.interval(),
        completed: scenario.truth.outcome == Outcome::Completed,
    };
    let mut random = Random(scenario.name.bytes().fold(0, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte)));
    let mut judged = Vec::new();
    for round in 0..=rounds {
        let views = View::ALL.into_iter().filter(|view| view.is_random() == (round > 0));
        for view in views {
            let files = folder.join(format!("{view:?}-{round}"));
            judged.extend(judge_view(scenario, &case, view, &files, &mut random)?);
        }
    }
    Ok(judged)
}

fn judge_view(
    scenario: &Scenario,
    case: &Labelled,
    view: View,
    files: &Path,
    random: &mut Random,
) -> Fallible<Vec<Judged>> {
    fs::create_dir_all(files).map_err(|error| error.to_string())?;
    for (number, (name, (_, file))) in scenario.line.taps().iter().zip(&case.taps).enumerate() {
        degrade::write(view, number, scenario.server.port, file, &files.join(name), random)?;
    }
    let subsets = common::subsets(case.taps.len()).flat_map(|taps| [(taps.clone(), true), (taps, false)]);
    let look = |(taps, given): (Vec<usize>, bool)| look(scenario, case, view, &taps, given, files);
    let judged: Vec<Judged> = subsets.map(look).collect();
    // A view with a fault is kept as long as the recording is.
    if judged.iter().all(|judged| judged.fault.is_none()) {
        fs::remove_dir_all(files).map_err(|error| error.to_string())?;
    }
    Ok(judged)
}

fn look(scenario: &Scenario, case: &Labelled, view: View, taps: &[usize], given: bool, files: &Path) -> Judged {
    let names = scenario.line.taps();
    let said = case.replay(taps, taps.iter().map(|&tap| files.join(&names[tap])).collect(), given);
    let wrong = case.error(&said);
    let grade = if wrong.is_some() { Grade::Wrong } else { grade(case, &said, taps) };
    let names: Vec<&str> = taps.iter().filter_map(|&tap| names[tap].strip_suffix(".pcap")).collect();
    let excuse =
        scenario.wider.iter().find(|wider| wider.taps.is_empty() || names.iter().all(|name| wider.taps.contains(name)));
    let strict = view == View::Full && given;
    let fault = match (grade, excuse) {
        (Grade::Wrong, _) => wrong,
        (Grade::Wide, None) if strict => Some("too wide".to_owned()),
        (Grade::Silent, None) if strict && !said.outcomes.is_empty() => Some("says nothing".to_owned()),
        (Grade::Right | Grade::Silent, _) if strict && taps.len() == case.taps.len() => mechanism(scenario, &said),
        _ => None,
    };
    let kind = if given { "given" } else { "inferred" };
    let fault = fault.map(|what| format!("{} {view:?} {kind} {}: {what}: {said:?}", scenario.name, names.join(" ")));
    let excused = excuse.filter(|_| strict && matches!(grade, Grade::Wide | Grade::Silent)).map(|wider| wider.reason);
    Judged { view, vantage: Vantage::of(&names), given, grade, fault, excused }
}

fn grade(case: &Labelled, said: &Said, taps: &[usize]) -> Grade {
    let stretches: Vec<Interval> = said.verdicts.iter().filter_map(|(_, stretch, _)| *stretch).collect();
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
fn mechanism(scenario: &Scenario, said: &Said) -> Option<String> {
    let Some(true_one) = scenario.truth.mechanism else {
        let failed = said.outcomes.contains(&Outcome::Failed);
        return failed.then(|| "a transfer that did not fail is called failed".to_owned());
    };
    if said.verdicts.is_empty() && said.outcomes.is_empty() {
        return None;
    }
    let named = said.verdicts.iter().any(|(.., mechanism)| *mechanism == true_one);
    (!named).then(|| format!("{true_one:?} is not named"))
}

fn place(name: &str) -> ftpwhy::line::Place {
    match name {
        "client.pcap" => ftpwhy::line::Place::Client,
        "server.pcap" => ftpwhy::line::Place::Server,
        _ => ftpwhy::line::Place::Between,
    }
}
