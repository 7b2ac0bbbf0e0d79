//! The laboratory: real FTP clients and servers behind real firewalls, and verdicts that are held to the truth.
//!
//! ```text
//! cargo test --test lab -- [--jobs N] [--list] [--keep FOLDER] [--judge FOLDER] [--rounds N] [--seed N] [NAME...]
//! RECORD=1 cargo test --test lab -- NAME...
//! ```
//!
//! [`scenarios`] says what happens, a few lines of data each. [`trial`] makes it happen in namespaces ([`world`], [`host`],
//! [`line`]) and captures at every interface; [`label`] checks that it happened as said; [`judge`] holds every verdict on
//! every set of taps to it; [`table`] is what is printed. `docs/lab.md` tells how to add a scenario.

#[path = "../common/mod.rs"]
mod common;
#[path = "../damage/mod.rs"]
mod damage;
#[path = "../labelled/mod.rs"]
mod labelled;
#[path = "../shared/mod.rs"]
mod shared;

mod capture;
mod client;
mod crash;
mod degrade;
mod files;
mod firewall;
mod heard;
mod host;
mod judge;
mod label;
mod line;
mod live;
mod publish;
mod scenario;
mod scenarios;
mod server;
mod table;
mod trial;
mod vantage;
mod world;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use heard::Heard;
use host::Fallible;
use judge::{Grade, Judged};
use scenario::{Scenario, Twin};
use table::{LiveTable, Table};

/// Scenarios that run at once: they mostly wait.
const JOBS: usize = 8;

/// Faults of a scenario that are told; the others are counted.
const TOLD: usize = 400;

/// What the command line asks for.
struct Options {
    jobs: usize,
    list: bool,
    /// Where recordings are kept.
    keep: Option<PathBuf>,
    /// Where recordings are that were kept, to be judged again: nothing is recorded.
    judge: Option<PathBuf>,
    /// How often every recording is damaged at random, each time otherwise.
    rounds: u64,
    /// What chance begins with; the same seed damages the same recordings alike.
    seed: u64,
    filters: Vec<String>,
}

impl Options {
    /// Options of the standard test harness that cargo may hand on are no filters.
    fn of(arguments: &[String]) -> Options {
        let mut options =
            Options { jobs: JOBS, list: false, keep: None, judge: None, rounds: 1, seed: 0, filters: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--jobs" => options.jobs = arguments.next().and_then(|jobs| jobs.parse().ok()).unwrap_or(JOBS),
                "--judge" => options.judge = arguments.next().map(PathBuf::from),
                "--rounds" => options.rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(1),
                "--seed" => options.seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(0),
                "--keep" => options.keep = arguments.next().map(PathBuf::from),
                "--list" => options.list = true,
                option if option.starts_with('-') => {}
                filter => options.filters.push(filter.to_owned()),
            }
        }
        options
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| scenario.name.contains(filter))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::of(&arguments);
    if options.list {
        scenarios::all().iter().for_each(|scenario| println!("{}: test", scenario.name));
        return ExitCode::SUCCESS;
    }
    if let Some(folder) = &options.judge {
        return if run(&options, folder) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if !world::is_inside() {
        world::sweep();
        let wanted = std::env::var("FTPWHY_LAB").unwrap_or_default();
        let missing = if wanted == "off" { vec!["FTPWHY_LAB is off".to_owned()] } else { world::missing() };
        if !missing.is_empty() {
            println!("lab: skipped\n  {}", missing.join("\n  "));
            return if wanted == "required" { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
        if options.filters.is_empty() {
            let result = crash::check();
            println!("killed in the middle, nothing is left ... {}", result.as_ref().map_or("FAILED", |()| "ok"));
            if let Err(error) = result {
                println!("{error}");
                return ExitCode::FAILURE;
            }
        }
        return world::enter(&arguments);
    }
    if std::env::var_os("RECORD").is_some() && options.filters.is_empty() {
        println!("lab: RECORD=1 wants the names of scenarios");
        return ExitCode::FAILURE;
    }
    let folder = world::folder();
    let passed = run(&options, options.keep.as_deref().unwrap_or(&folder));
    let _ = fs::remove_dir_all(&folder);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs all scenarios that are asked for; whether all is well.
fn run(options: &Options, folder: &Path) -> bool {
    let accounts = world::folder().join("accounts");
    if options.judge.is_none()
        && let Err(error) = server::accounts(&accounts)
    {
        println!("lab: {error}");
        return false;
    }
    let mut queue = scenarios::all();
    queue.retain(|scenario| options.wants(scenario));
    let (total, began) = (queue.len(), Instant::now());
    let census = scenario::census(&queue);
    let queue = Mutex::new(VecDeque::from(queue));
    let results = Mutex::new(Results::default());
    let next = || queue.lock().map(|mut queue| queue.pop_front()).ok().flatten();
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(scenario) = next() {
                    let began = Instant::now();
                    let result = attempt(&scenario, folder, &accounts, options);
                    if let Ok(mut results) = results.lock() {
                        results.take(&scenario, result, began.elapsed().as_secs_f32());
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_default();
    results.tell(total, &census, began.elapsed().as_secs());
    results.faults.is_empty() && results.passed == total
}

/// Runs one scenario, checks its label and judges it. What shook the laboratory gets a second chance.
fn attempt(
    scenario: &Scenario,
    folder: &Path,
    accounts: &Path,
    options: &Options,
) -> Fallible<(Vec<Judged>, Vec<Heard>)> {
    let folder = folder.join(&scenario.name);
    if options.judge.is_none() {
        record(scenario, &folder, accounts).or_else(|_| record(scenario, &folder, accounts))?;
    }
    let case = judge::case(scenario, &folder);
    let judged = judge::judge(scenario, &case, &folder, options.rounds, options.seed)?;
    let heard = heard::judge(scenario, &case, &folder)?;
    if options.judge.is_none() && options.keep.is_none() {
        let _ = fs::remove_dir_all(&folder);
    }
    Ok((judged, heard))
}

fn record(scenario: &Scenario, folder: &Path, accounts: &Path) -> Fallible<()> {
    let _ = fs::remove_dir_all(folder);
    let recording = trial::run(scenario, folder, accounts)?;
    let proof = label::check(scenario, &recording)?;
    match std::env::var_os("RECORD") {
        Some(_) => publish::publish(scenario, &recording, &proof),
        None => Ok(()),
    }
}

/// What all scenarios came to.
#[derive(Default)]
struct Results {
    table: Table,
    live: LiveTable,
    passed: usize,
    faults: Vec<String>,
    /// Where the rule to blame is not named.
    lacks: Vec<String>,
}

impl Results {
    fn take(&mut self, scenario: &Scenario, result: Fallible<(Vec<Judged>, Vec<Heard>)>, seconds: f32) {
        let word = match result {
            Err(error) => {
                self.faults.push(format!("{}: lab error: {error}", scenario.name));
                "lab error"
            }
            Ok((judged, heard)) => {
                judged.iter().for_each(|judged| self.table.count(judged));
                heard.iter().for_each(|heard| self.live.count(heard));
                self.lacks.extend(heard.iter().filter_map(|heard| heard.lacks.clone()));
                let is_needed = |twin: &Twin| judged.iter().any(|judged| judged.needed.contains(&twin.story));
                let stale = scenario.twins.iter().filter(|twin| !is_needed(twin));
                let mut faults: Vec<String> =
                    stale.map(|twin| format!("{}: no twin of it: {}", scenario.name, twin.story)).collect();
                faults.extend(heard.into_iter().flat_map(|heard| heard.faults));
                faults.extend(judged.into_iter().filter_map(|judged| judged.fault));
                self.faults.extend(faults.iter().take(TOLD).cloned());
                if faults.len() > TOLD {
                    self.faults.push(format!("{}: {} more", scenario.name, faults.len() - TOLD));
                }
                if faults.is_empty() { "ok" } else { "FAILED" }
            }
        };
        self.passed += usize::from(word == "ok");
        println!("{seconds:5.1} s  {} ... {word}", scenario.name);
    }

    fn tell(&self, total: usize, census: &str, seconds: u64) {
        self.faults.iter().for_each(|fault| println!("\n{fault}"));
        println!("\n{}\n{}", self.table, self.live);
        self.lacks.iter().for_each(|lack| println!("no rule is named: {lack}"));
        println!("{census}, in {seconds} s; wrong: {}", self.table.total(Grade::Wrong));
        println!("lab: {} passed, {} failed", self.passed, total - self.passed);
    }
}
