//! Wires the floors: arguments in, a report out, an error once, the exit status.

use std::io::{self, BufWriter, ErrorKind, StdoutLock};
use std::process::ExitCode;

use clap::Parser;
#[cfg(all(feature = "live", target_os = "linux"))]
use ftpwhy::capture::live::keeper::keep;
#[cfg(all(feature = "live", target_os = "linux"))]
use ftpwhy::cli::KeeperArgs;
use ftpwhy::cli::{Cli, Command, ReplayArgs};
use ftpwhy::replay::{Note, Sink, Summary, replay};
use ftpwhy::report::{Format, Progress, Reporter, Totals, complaints, explain};
use ftpwhy::session::join::Session;
use ftpwhy::verdict::{Judgement, TapFacts};

/// Every transfer went through.
const HEALTHY: u8 = 0;
/// At least one transfer, or a control connection, failed.
const FAILURE_FOUND: u8 = 1;
/// A capture or an argument could not be used.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let status = match Cli::parse().command {
        Command::Replay(args) => run_replay(&args),
        Command::Explain { rule } => run_explain(rule.as_deref()),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Keeper(args) => run_keeper(args),
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        eprintln!("ftpwhy: {error}");
        UNUSABLE
    }))
}

fn run_explain(rule: Option<&str>) -> Result<u8, Box<dyn std::error::Error>> {
    print!("{}", explain(rule)?);
    Ok(HEALTHY)
}

#[cfg(all(feature = "live", target_os = "linux"))]
fn run_keeper(args: KeeperArgs) -> Result<u8, Box<dyn std::error::Error>> {
    keep(&args.traced(), io::stdin().lock(), io::stdout().lock())?;
    Ok(HEALTHY)
}

fn run_replay(args: &ReplayArgs) -> Result<u8, Box<dyn std::error::Error>> {
    let what = args.replay()?;
    let out = BufWriter::new(io::stdout().lock());
    let options = args.report();
    let mut sink = Output { reporter: Reporter::new(out, options), format: options.format, progress: Progress::new() };
    let ended = replay(&what, &mut sink)?.and_then(|summary| sink.finish(summary));
    match ended {
        Ok((_, true)) => Ok(UNUSABLE),
        Ok((totals, false)) => Ok(if totals.failed_sessions > 0 { FAILURE_FOUND } else { HEALTHY }),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(HEALTHY),
        Err(error) => Err(format!("cannot write the report: {error}").into()),
    }
}

/// Standard output for the report; standard error for the progress and for what is wrong with the captures, unless the
/// report says it.
struct Output<'a> {
    reporter: Reporter<BufWriter<StdoutLock<'a>>>,
    format: Format,
    progress: Progress,
}

impl Sink for Output<'_> {
    type Error = io::Error;

    fn session(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> io::Result<()> {
        let reporter = &mut self.reporter;
        self.progress.aside(|| reporter.session(session, judgement, taps))
    }

    fn progress(&mut self, read: u64, total: Option<u64>) {
        self.progress.update(read, total);
    }
}

impl Output<'_> {
    /// Sums up; true if a capture could not be read.
    fn finish(mut self, summary: Summary) -> io::Result<(Totals, bool)> {
        self.progress.clear();
        let (errors, notes): (Vec<Note>, Vec<Note>) = summary.notes.into_iter().partition(|note| note.unreadable);
        let mut notes: Vec<String> = notes.into_iter().map(|note| note.text).collect();
        notes.extend(complaints(&summary.taps));
        let totals = self.reporter.finish(&summary.taps, &notes)?;
        let untold = if self.format == Format::Text { Vec::new() } else { notes };
        for line in errors.iter().map(|error| &error.text).chain(&untold) {
            eprintln!("ftpwhy: {line}");
        }
        Ok((totals, !errors.is_empty()))
    }
}
