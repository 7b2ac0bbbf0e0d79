//! The captures of the repository and what `ftpwhy replay` says of them.
//!
//! A folder of `captures/` holds the capture files of a case, how they were made (`README.md`), what is true of them
//! (`case.json`) and the golden reports. `FTPWHY_BLESS=1 cargo test --test golden` writes the reports anew; read the
//! difference before you commit it.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ftpwhy::line::{Point, Stretch};
use ftpwhy::session::join::Session;
use ftpwhy::verdict::{Outcome, RULES, TapFacts};
use serde::Deserialize;
use serde_json::Value;

/// Folders below this number mean that the captures were not found.
const CASES: usize = 50;

/// Words of the passwords that were typed when the captures were made.
const PASSWORDS: [&str; 2] = ["secret", "lab@"];

/// The rule for sessions that hide whether a transfer was tried: the exit status does not count them.
const NO_TRANSFER: [&str; 1] = ["V8"];

/// A folder of `captures/`.
#[derive(Deserialize)]
struct Case {
    #[serde(skip)]
    folder: PathBuf,
    /// Capture files in line order from the client; a file's name says where it was captured.
    taps: Vec<String>,
    /// Further arguments of `replay`.
    options: Vec<String>,
    /// Snapshots of hosts; a file's name says of which.
    #[serde(default)]
    states: Vec<String>,
    truth: Truth,
}

/// What is true of a case, whoever looks.
#[derive(Deserialize)]
struct Truth {
    /// The stretch that holds the cause, in these taps' terms; none if nobody's path is to blame.
    place: Option<(String, String)>,
    side: String,
    mechanism: Option<String>,
    outcome: String,
    /// The rule that all taps together call for; none if all went well.
    rule: Option<String>,
    /// Why these taps allow no verdict as narrow as the truth.
    wider: Option<String>,
}

impl Case {
    fn read(folder: PathBuf) -> Case {
        let text = fs::read_to_string(folder.join("case.json")).expect("a folder has its case.json");
        let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Case { folder, ..case }
    }

    fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The program's report on all taps, and its exit status.
    fn replay(&self, format: &str) -> (String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
        command.current_dir(&self.folder).args(["replay", "--format", format]).args(&self.options);
        self.taps.iter().for_each(|tap| _ = command.args([common::option(tap), tap]));
        self.states.iter().for_each(|state| _ = command.args([&common::state_option(state), state]));
        let output = command.output().expect("the program runs");
        (String::from_utf8(output.stdout).expect("a report is UTF-8"), output.status.code())
    }

    fn exit_status(&self) -> i32 {
        let counts = !NO_TRANSFER.iter().any(|rule| self.truth.rule.as_deref() == Some(rule));
        i32::from(counts && self.truth.outcome == "failed")
    }

    fn control_ports(&self) -> Vec<u16> {
        let values = self.options.windows(2).filter(|pair| pair[0] == "--control-port");
        values.map(|pair| pair[1].parse::<u16>().expect("a port")).collect()
    }

    /// The true place by numbers: 0 the client, then the taps, then the server.
    fn place(&self) -> Option<(usize, usize)> {
        let number = |point: &str| match point {
            "client" => 0,
            "server" => self.taps.len() + 1,
            tap => self.taps.iter().position(|other| other == tap).expect("a place names taps") + 1,
        };
        self.truth.place.as_ref().map(|(from, to)| (number(from), number(to)))
    }
}

fn cases() -> Vec<Case> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let entries = fs::read_dir(captures).expect("captures/ is there");
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= CASES, "only {} cases", folders.len());
    folders.into_iter().map(Case::read).collect()
}

#[test]
fn reports_are_as_blessed() {
    let bless = std::env::var_os("FTPWHY_BLESS").is_some();
    for case in cases() {
        for (format, file) in [("text", "replay.txt"), ("jsonl", "replay.jsonl")] {
            let (report, status) = case.replay(format);
            let told = PASSWORDS.iter().find(|password| report.contains(*password));
            assert_eq!(told, None, "{}: a password is told", case.name());
            assert_eq!(status, Some(case.exit_status()), "{} {format}: exit status", case.name());
            let golden = case.folder.join(file);
            if bless {
                fs::write(&golden, &report).expect("a golden report can be written");
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            assert!(report == expected, "{}/{file} differs; now it is\n{report}", case.name());
        }
    }
}

#[test]
fn the_readme_shows_what_its_first_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("the file is there");
    let shown = format!("```text\n{}```\n", read("captures/story-2-active-put/replay.txt"));
    assert!(read("README.md").contains(&shown), "README.md shows another report");
}

#[test]
fn all_taps_together_tell_the_truth() {
    for case in cases() {
        let (report, _) = case.replay("jsonl");
        let sessions = report.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
        let verdicts: Vec<(String, Value)> = sessions.flat_map(|session: Value| verdicts(&session)).collect();
        let Some(rule) = &case.truth.rule else {
            assert!(verdicts.is_empty(), "{}: {verdicts:?}", case.name());
            continue;
        };
        let named = verdicts.iter().find(|(_, verdict)| verdict["rule"] == rule.as_str());
        let (outcome, verdict) = named.unwrap_or_else(|| panic!("{}: {rule} is not named", case.name()));
        if !NO_TRANSFER.contains(&rule.as_str()) {
            assert_eq!(*outcome, case.truth.outcome, "{}: outcome", case.name());
        }
        if case.truth.wider.is_none() {
            let stretch = verdict["stretch"].as_object().map(|ends| (ends["from"].clone(), ends["to"].clone()));
            let place = case.truth.place.clone().map(|(from, to)| (Value::from(from), Value::from(to)));
            assert_eq!(stretch, place, "{}: stretch", case.name());
            assert_eq!(verdict["side"], case.truth.side.as_str(), "{}: side", case.name());
            assert_eq!(verdict["mechanism"].as_str(), case.truth.mechanism.as_deref(), "{}: mechanism", case.name());
        }
    }
}

/// The diagnoses of a session, each with the outcome of what it is about.
fn verdicts(session: &Value) -> Vec<(String, Value)> {
    let transfers = session["transfers"].as_array().into_iter().flatten();
    let judged = transfers.chain([&session["control"]]).filter(|judged| !judged["diagnosis"].is_null());
    let outcome = |judged: &Value| match judged["outcome"].as_str() {
        Some("interrupted") => "failed".to_owned(),
        outcome => outcome.unwrap_or_default().to_owned(),
    };
    judged.map(|judged| (outcome(judged), judged["diagnosis"].clone())).collect()
}

#[test]
fn every_rule_has_a_case() {
    let cases = cases();
    let shown: BTreeSet<&str> = cases.iter().filter_map(|case| case.truth.rule.as_deref()).collect();
    let missing: Vec<&str> = RULES.iter().map(|rule| rule.id).filter(|id| !shown.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_subset_of_taps_names_a_false_place() {
    let mut views = 0;
    let mut wrong = Vec::new();
    for case in cases() {
        for taps in common::subsets(case.taps.len()) {
            for given in [true, false] {
                views += 1;
                look(&case, &taps, given, |what| wrong.push(format!("{} {taps:?} given={given}: {what}", case.name())));
            }
        }
    }
    assert!(views > 1000, "only {views} views");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Judges the case by some of its taps, and says what is wrong with the judgement.
fn look(case: &Case, taps: &[usize], given: bool, mut complain: impl FnMut(String)) {
    let captures = taps.iter().map(|&tap| {
        let name = &case.taps[tap];
        common::capture(given.then_some(common::place(name)), case.folder.join(name))
    });
    common::look_at(captures.collect(), &case.control_ports(), |session, judgement, facts| {
        for stretch in common::stretches(judgement).filter(|stretch| *stretch != Stretch::WHOLE) {
            let named = interval(case, stretch, session, taps, facts);
            if case.place().is_none_or(|truth| named.0 > truth.0 || named.1 < truth.1) {
                complain(format!("{named:?} is named, the truth is {:?}", case.place()));
            }
        }
        let failed = judgement.transfers.iter().any(|(outcome, _)| *outcome == Outcome::Failed);
        if failed && matches!(case.truth.outcome.as_str(), "completed" | "aborted") {
            complain(format!("a transfer {} and is called failed", case.truth.outcome));
        }
    });
}

fn interval(case: &Case, stretch: Stretch, session: &Session, taps: &[usize], facts: &[TapFacts]) -> (usize, usize) {
    let number = |point| match point {
        Point::Client => 0,
        Point::Tap(sight) => taps[facts[session.sights[sight].tap].capture] + 1,
        Point::Server => case.taps.len() + 1,
    };
    (number(stretch.from), number(stretch.to))
}
