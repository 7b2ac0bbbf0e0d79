//! `cargo bench --bench replay`: whole processes side by side on big captures, and whether what ftpwhy counted is true.
//!
//! In each round `cat`, `tcpdump` and ftpwhy (text, then JSON lines) read the same capture one after another, with the page
//! cache warm; what counts is the ratio within a round, since machines differ and are shared. Times are judged in words only.
//! Counts must equal those of the generator exactly: the exit status is 1 if one differs, 2 if something cannot be run.
//!
//! | variable | what it says | otherwise |
//! |---|---|---|
//! | `FTPWHY_BENCH` | folder of the generator, `ftpgen.rs` | `../shared/bench` |
//! | `FTPWHY_BENCH_DATA` | folder of the captures; what is missing there is generated | `target/bench-data/SCALE` |
//! | `FTPWHY_BENCH_SCALE` | size of all captures, 0.01 for a quick try | 1 |
//!
//! Start reading at [`captures::CAPTURES`]; docs/speed.md tells how to read the tables.

mod captures;
mod counts;
mod folder;
mod process;
mod rounds;
mod table;
mod told;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use crate::captures::{CAPTURES, Capture};
use crate::folder::Folder;

/// Measures `ftpwhy replay` beside its peers.
#[derive(Parser)]
struct Options {
    /// Captures to measure: all of them if none is named
    #[arg(value_name = "CAPTURE", value_parser = CAPTURES.map(|capture| capture.name))]
    captures: Vec<String>,
    /// How often each process reads each capture
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Let tshark read the captures themselves, which takes minutes, and not ones of a tenth of their size
    #[arg(long)]
    tshark: bool,
    /// Passed by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn chosen(&self) -> impl Iterator<Item = &'static Capture> {
        let wanted =
            |capture: &&Capture| self.captures.is_empty() || self.captures.iter().any(|name| name == capture.name);
        CAPTURES.into_iter().filter(wanted)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        eprintln!("replay: measures optimised builds only; run `cargo bench --bench replay`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::from(2)
        }
    }
}

/// True if every count is right.
///
/// Measures everything before it counts anything: a child's peak memory is at least that of the process that started it.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let folder = Folder::full()?;
    let tshark_folder = if options.tshark { folder.clone() } else { folder.tenth() };
    let mut judged = vec![rounds::aims_head()];
    for capture in options.chosen() {
        let measured = rounds::measure(&folder.provide(capture)?, options.rounds)?;
        println!("{}\n{}", measured.title(), table::aligned(&measured.rows()));
        judged.extend(measured.judge(capture));
        if let Some(least) = capture.aims.tshark {
            let dissected = rounds::dissect(&tshark_folder.provide(capture)?, options.rounds)?;
            println!("{}", dissected.line());
            judged.push(dissected.judge(capture, least));
        }
    }
    println!("{}", table::aligned(&judged));

    let tallies = options.chosen().map(|capture| counts::compare(&folder, capture)).collect::<Result<Vec<_>, _>>()?;
    println!("{}", table::aligned(&counts::rows(&tallies)));
    tallies.iter().flat_map(|tally| &tally.examples).for_each(|example| println!("{example}"));
    Ok(tallies.iter().all(counts::Tally::is_true))
}
