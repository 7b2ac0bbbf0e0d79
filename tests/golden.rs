//! The captures of the repository and what `ftpwhy replay` says of them.
//!
//! A folder of `captures/` holds the capture files of a case, its recipe, its truth (`case.json`) and the golden reports.
//! `FTPWHY_BLESS=1 cargo test --test golden` writes the reports anew; read the difference before you commit it.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ftpwhy::line::{Place, Point};
use ftpwhy::verdict::{Outcome, RULES};
use serde_json::Value;

/// A folder of `captures/`.
struct Case {
    folder: PathBuf,
    /// Capture files in line order from the client.
    taps: Vec<String>,
    options: Vec<String>,
    truth: Value,
}

impl Case {
    fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn rule(&self) -> Option<&str> {
        self.truth["rule"].as_str()
    }

    fn outcome(&self) -> &str {
        self.truth["outcome"].as_str().expect("a truth has an outcome")
    }

    /// Runs the program in the case's folder with all taps; its output and exit status.
    fn replay(&self, format: &str) -> (String, i32) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
        command.current_dir(&self.folder).args(["replay", "--format", format]).args(&self.options);
        for tap in &self.taps {
            command.args([option(tap), tap]);
        }
        let output = command.output().expect("the program runs");
        (String::from_utf8(output.stdout).expect("the report is UTF-8"), output.status.code().unwrap_or(-1))
    }
}

fn option(tap: &str) -> &'static str {
    match place(tap) {
        Place::Client => "--client",
        Place::Server => "--server",
        Place::Between | Place::Unknown => "--between",
    }
}

/// The name of a file says where it was captured.
fn place(tap: &str) -> Place {
    match () {
        () if tap.starts_with("client") => Place::Client,
        () if tap.starts_with("server") => Place::Server,
        () => Place::Between,
    }
}

fn cases() -> Vec<Case> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(captures).expect("captures is there").flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let cases: Vec<Case> = folders.into_iter().map(read).collect();
    assert!(cases.len() > 40, "only {} cases", cases.len());
    cases
}

fn read(folder: PathBuf) -> Case {
    let text = fs::read_to_string(folder.join("case.json")).expect("a case has its case.json");
    let value: Value = serde_json::from_str(&text).expect("case.json is JSON");
    let strings = |field: &str| {
        let items = value[field].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    Case { taps: strings("taps"), options: strings("options"), truth: value["truth"].clone(), folder }
}

#[test]
fn reports_are_as_blessed() {
    let bless = std::env::var_os("FTPWHY_BLESS").is_some();
    for case in cases() {
        for (format, file) in [("text", "replay.txt"), ("jsonl", "replay.jsonl")] {
            let (report, status) = case.replay(format);
            assert!(!report.contains("secret") && !report.contains("throwaway"), "{}: a password", case.name());
            let failed = case.outcome() == "failed" && !matches!(case.rule(), Some("C12" | "C13" | "V8"));
            assert_eq!(status, i32::from(failed), "{} {format}: exit status", case.name());
            let golden = case.folder.join(file);
            if bless {
                fs::write(&golden, &report).expect("the golden report can be written");
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            assert!(report == expected, "{}/{file} differs:\n{report}", case.name());
        }
    }
}

#[test]
fn the_rule_of_each_case_is_named() {
    for case in cases() {
        let Some(rule) = case.rule() else { continue };
        let (report, _) = case.replay("jsonl");
        assert!(report.contains(&format!("\"rule\":\"{rule}\"")), "{}: {rule} is not named", case.name());
    }
}

#[test]
fn every_rule_but_the_policy_has_a_case() {
    let cases = cases();
    let shown: BTreeSet<&str> = cases.iter().filter_map(Case::rule).collect();
    let missing: Vec<&str> = RULES.iter().map(|rule| rule.id).filter(|id| !shown.contains(id) && *id != "V7").collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn the_truth_is_inside_the_stretch_for_every_subset_of_taps() {
    let mut views = 0;
    for case in cases() {
        let ports: Vec<u16> = case.options.iter().filter_map(|option| option.parse::<u16>().ok()).collect();
        for bits in 1_usize..1 << case.taps.len() {
            let taps: Vec<usize> = (0..case.taps.len()).filter(|tap| bits >> tap & 1 == 1).collect();
            for given in [true, false] {
                judge_view(&case, &taps, given, &ports);
                views += 1;
            }
        }
    }
    assert!(views > 400, "only {views} views");
}

fn judge_view(case: &Case, taps: &[usize], given: bool, ports: &[u16]) {
    let captures = taps.iter().map(|&tap| {
        let name = &case.taps[tap];
        common::capture(given.then_some(place(name)), case.folder.join(name))
    });
    let truth = interval(case);
    common::look_at(captures.collect(), ports, |session, judgement, facts| {
        let control = judgement.control.1.iter();
        let transfers = judgement.transfers.iter().filter_map(|(_, verdict)| verdict.as_ref());
        for verdict in control.chain(transfers) {
            let Some(stretch) = verdict.finding.stretch else { continue };
            let number = |point| match point {
                Point::Client => 0,
                Point::Tap(sight) => taps[facts[session.sights[sight].tap].capture] + 1,
                Point::Server => case.taps.len() + 1,
            };
            let named = (number(stretch.from), number(stretch.to));
            match truth {
                Some(truth) => assert!(
                    named.0 <= truth.0 && truth.1 <= named.1,
                    "{} {taps:?} given={given}: {} names {named:?}, the truth is {truth:?}",
                    case.name(),
                    verdict.rule.id
                ),
                None => assert!(
                    named == (0, case.taps.len() + 1) || matches!(case.outcome(), "failed" | "unfinished"),
                    "{} {taps:?} given={given}: {} blames {named:?} for a success",
                    case.name(),
                    verdict.rule.id
                ),
            }
        }
        if case.outcome() == "completed" {
            let failed = judgement.transfers.iter().any(|(outcome, _)| *outcome == Outcome::Failed);
            assert!(!failed, "{} {taps:?} given={given}: a transfer that went through has failed", case.name());
        }
    });
}

/// The true place by numbers: 0 the client, then the taps, then the server.
fn interval(case: &Case) -> Option<(usize, usize)> {
    let number = |value: &Value| match value.as_str()? {
        "client" => Some(0),
        "server" => Some(case.taps.len() + 1),
        tap => case.taps.iter().position(|other| other == tap).map(|tap| tap + 1),
    };
    Some((number(&case.truth["place"][0])?, number(&case.truth["place"][1])?))
}
