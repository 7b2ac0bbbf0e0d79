//! Wires the floors: arguments in, a report out, an error once, the exit status.

use std::io::{self, BufWriter, ErrorKind, StdoutLock};
use std::process::ExitCode;

use clap::Parser;
use ftpwhy::cli::{Cli, Command, ReplayArgs};
use ftpwhy::replay::{Sink, Summary, replay};
use ftpwhy::report::{Progress, Reporter, Totals, explain};
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

fn run_replay(args: &ReplayArgs) -> Result<u8, Box<dyn std::error::Error>> {
    let what = args.replay()?;
    let out = BufWriter::new(io::stdout().lock());
    let mut sink = Output { reporter: Reporter::new(out, args.report()), progress: Progress::new() };
    let ended = replay(&what, &mut sink)?.and_then(|summary| sink.finish(summary));
    match ended {
        Ok((_, true)) => Ok(UNUSABLE),
        Ok((totals, false)) => Ok(if totals.failed_sessions > 0 { FAILURE_FOUND } else { HEALTHY }),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(HEALTHY),
        Err(error) => Err(format!("cannot write the report: {error}").into()),
    }
}

/// Standard output for the report, standard error for the progress and for what is wrong with the captures.
struct Output<'a> {
    reporter: Reporter<BufWriter<StdoutLock<'a>>>,
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
        let totals = self.reporter.finish(&summary.taps)?;
        for note in &summary.notes {
            eprintln!("ftpwhy: {}", note.text);
        }
        Ok((totals, summary.notes.iter().any(|note| note.unreadable)))
    }
}
