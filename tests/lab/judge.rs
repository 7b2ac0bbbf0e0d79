//! Holds the program to the truth: every subset of taps, places given and inferred, full and degraded views.

use std::fs;
use std::path::Path;

use ftpwhy::verdict::Outcome;

use crate::common;
use crate::damage::Random;
use crate::degrade::{self, View};
use crate::host::Fallible;
use crate::labelled::{Interval, Labelled, Said, Watched};
use crate::scenario::{Scenario, Twin};
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
    /// Stories of the twins without which another stretch would be asked for.
    pub(crate) needed: Vec<&'static str>,
}

/// A recording with its label.
pub(crate) fn case(scenario: &Scenario, folder: &Path) -> Labelled {
    let names = scenario.line.taps();
    Labelled {
        name: scenario.name.clone(),
        taps: names.iter().map(|name| (common::place(name), folder.join(name))).collect(),
        ports: vec![scenario.server.port],
        truth: scenario.interval(),
        beside: scenario.of_other(),
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
    let said = case.replay_watched(&set.eyes.iter().map(watched).collect::<Vec<_>>(), given);
    let wrong = case.error(&said);
    let taps = set.taps();
    let own = said.verdicts.iter().filter(|verdict| !verdict.beside);
    let stretches: Vec<Interval> = own.filter_map(|verdict| verdict.stretch).collect();
    let twins = scenario.twins(&taps);
    let grade_among = |twins: &[Twin]| grade(case, &scenario.places(twins), &stretches, &taps);
    let grade = if wrong.is_some() { Grade::Wrong } else { grade_among(&twins) };
    let strict = view == View::Full && given && set.sort != Sort::Aside;
    let fault = match grade {
        Grade::Wrong => wrong,
        Grade::Wide if strict => Some("too wide".to_owned()),
        Grade::Silent if strict && !said.outcomes.is_empty() => Some("says nothing".to_owned()),
        Grade::Right | Grade::Silent if strict && taps.len() == case.taps.len() => mechanism(scenario, set.sort, &said),
        _ => None,
    };
    let kind = if given { "given" } else { "inferred" };
    let fault = fault.map(|what| format!("{} {view:?} {kind} {set}: {what}: {said:?}", scenario.name));
    let counts = strict && grade == Grade::Right;
    let needed = if counts { needed(&twins, |others| grade_among(others) != grade) } else { Vec::new() };
    Judged { view, vantage: set.vantage(), given, grade, fault, needed }
}

/// The stories of the twins without which something changes.
fn needed(twins: &[Twin], changes: impl Fn(&[Twin]) -> bool) -> Vec<&'static str> {
    let without = |number: usize| [&twins[..number], &twins[number + 1..]].concat();
    (0..twins.len()).filter(|&number| changes(&without(number))).map(|number| twins[number].story).collect()
}

/// How narrow the stretches are that are named, none of them wrongly, where twins of the truth have these places.
pub(crate) fn grade(case: &Labelled, twins: &[Option<Interval>], stretches: &[Interval], taps: &[usize]) -> Grade {
    let worlds = || std::iter::once(&case.truth).chain(twins);
    let places = worlds().flatten().copied().reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let all = |stretch: Interval| stretches.iter().all(|named| *named == stretch);
    let is_right = match places {
        None => stretches.is_empty(),
        // Nobody, or somebody: nothing, or that it cannot be told.
        Some(_) if worlds().any(Option::is_none) => all((0, case.taps.len() + 1)),
        Some(places) => !stretches.is_empty() && all(hull(case, places, taps)),
    };
    match (is_right, stretches.is_empty()) {
        (true, _) => Grade::Right,
        (false, true) => Grade::Silent,
        (false, false) => Grade::Wide,
    }
}

/// The smallest stretch between these taps that holds a place.
fn hull(case: &Labelled, place: Interval, taps: &[usize]) -> Interval {
    let numbers = || taps.iter().map(|tap| tap + 1);
    let from = numbers().filter(|&number| number <= place.0).max().unwrap_or(0);
    let to = numbers().filter(|&number| number >= place.1).min().unwrap_or(case.taps.len() + 1);
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
    let named = said.verdicts.iter().any(|verdict| verdict.mechanism == true_one);
    (!named).then(|| format!("{true_one:?} is not named"))
}
