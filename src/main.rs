//! Wires the floors: arguments in, a report out, an error once, the exit status.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ftpwhy::annotate::{self, Annotation};
#[cfg(all(feature = "live", target_os = "linux"))]
use ftpwhy::capture::live::{create, keeper::keep};
#[cfg(all(feature = "live", target_os = "linux"))]
use ftpwhy::cli::KeeperArgs;
use ftpwhy::cli::{Command, Generate, ReplayArgs, ShowArgs, StatsArgs, StatsFormat, language};
use ftpwhy::generate::{completions, write_manual};
use ftpwhy::language::{Language, Text};
use ftpwhy::replay::{Note, Replay, Sink, Summary, replay};
use ftpwhy::report::{Format, Options, Progress, Reporter, Stats, Totals, complaints, explain, reference};
use ftpwhy::session::join::Session;
use ftpwhy::settings;
use ftpwhy::verdict::{Judgement, TapFacts};

/// Every transfer went through.
const HEALTHY: u8 = 0;
/// At least one transfer, or a control connection, failed.
const FAILURE_FOUND: u8 = 1;
/// A capture, an argument or a setting could not be used.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let cli = settings::parse().unwrap_or_else(|error| error.exit());
    let status = match cli.command {
        Command::Replay(args) => run_replay(&args),
        Command::Stats(args) => run_stats(&args),
        Command::Explain { rule, lang } => run_explain(rule.as_deref(), language(lang)),
        Command::Generate(what) => run_generate(&what),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Watch(args) => live::watch(&args),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Run(args) => live::run(&args),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Snapshot(args) => live::snapshot(&args),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Interfaces { peer } => live::interfaces(peer),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Keeper(args) => run_keeper(args),
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        eprintln!("ftpwhy: {error}");
        UNUSABLE
    }))
}

fn run_explain(rule: Option<&str>, language: Language) -> Result<u8, Box<dyn std::error::Error>> {
    print(explain(rule, language)?.as_bytes())?;
    Ok(HEALTHY)
}

fn run_generate(what: &Generate) -> Result<u8, Box<dyn std::error::Error>> {
    let written = match what {
        Generate::Man { folder } => write_manual(folder)
            .map_err(|why| format!("cannot write manual pages to {}: {why}; name a folder of yours", folder.display())),
        Generate::Completions { shell } => print(&completions(*shell)),
        Generate::Rules => print(reference().as_bytes()),
    };
    Ok(written.map(|()| HEALTHY)?)
}

fn print(text: &[u8]) -> Result<(), String> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("cannot write to standard output: {error}")),
        _ => Ok(()),
    }
}

#[cfg(all(feature = "live", target_os = "linux"))]
fn run_keeper(args: KeeperArgs) -> Result<u8, Box<dyn std::error::Error>> {
    keep(&args.traced(), io::stdin().lock(), io::stdout().lock())?;
    Ok(HEALTHY)
}

fn run_replay(args: &ReplayArgs) -> Result<u8, Box<dyn std::error::Error>> {
    let what = args.source.replay()?;
    let mut sink = Output::new(&args.show)?;
    let annotated = args.annotate.as_ref().map(|path| annotated(path, &what)).transpose()?;
    sink.annotation = annotated.as_ref().map(|_| Annotation::default());
    let ended = replay(&what, &mut sink)?;
    let kept = sink.annotation.take().zip(annotated).map(|(annotation, file)| {
        let taps = ended.as_ref().map_or(&[][..], |summary| &summary.taps);
        annotation.write(file, &what, taps, args.keep_secrets)
    });
    // the report is ended first: what was found is not lost with the file
    let status = status(ended.and_then(|summary| sink.finish(summary)))?;
    kept.transpose()?;
    Ok(status)
}

/// Makes the annotated file of a replay.
fn annotated(path: &Path, what: &Replay) -> Result<File, Box<dyn std::error::Error>> {
    annotate::check(path, what)?;
    create(path).map_err(|why| cannot_write(path, &why).into())
}

fn run_stats(args: &StatsArgs) -> Result<u8, Box<dyn std::error::Error>> {
    let what = args.source.replay()?;
    let language = language(args.lang);
    let mut counts = Counts { stats: Stats::default(), progress: Progress::new() };
    let Ok(summary) = replay(&what, &mut counts)?;
    counts.progress.clear();
    let text = match args.format {
        StatsFormat::Text => counts.stats.text(language, args.color.is_now()),
        StatsFormat::Json => counts.stats.json(),
    };
    let written = io::stdout().write_all(text.as_bytes());
    let unreadable = summary.notes.iter().any(|note| note.unreadable);
    let notes = summary.notes.into_iter().map(|note| Text::verbatim(note.text)).chain(complaints(&summary.taps));
    notes.for_each(|note| eprintln!("ftpwhy: {}", note.to(language)));
    status(written.map(|()| (counts.stats.totals().clone(), unreadable)))
}

/// Counts sessions.
struct Counts {
    stats: Stats,
    progress: Progress,
}

impl Sink for Counts {
    type Error = Infallible;

    fn session(&mut self, session: &Session, judgement: &Judgement, _: &[TapFacts]) -> Result<(), Infallible> {
        self.stats.add(session, judgement);
        Ok(())
    }

    fn progress(&mut self, read: u64, total: Option<u64>) {
        self.progress.update(read, total);
    }
}

/// The exit status of a report that ended so.
fn status(ended: io::Result<(Totals, bool)>) -> Result<u8, Box<dyn std::error::Error>> {
    match ended {
        Ok((_, true)) => Ok(UNUSABLE),
        Ok((totals, false)) => Ok(if totals.failed_sessions > 0 { FAILURE_FOUND } else { HEALTHY }),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(HEALTHY),
        Err(error) => Err(format!("cannot write the report: {error}").into()),
    }
}

/// Makes a file, or empties it.
#[cfg(not(all(feature = "live", target_os = "linux")))]
fn create(path: &Path) -> io::Result<File> {
    File::create(path)
}

fn cannot_write(path: &Path, why: &io::Error) -> String {
    format!("cannot write {}: {why}; name a file in a folder of yours", path.display())
}

/// Standard output for the report; standard error for the progress and for what is wrong with the captures, unless the
/// report says it.
struct Output<'a> {
    reporter: Reporter<BufWriter<StdoutLock<'a>>>,
    /// The same in other forms, each in a file.
    beside: Vec<Reporter<BufWriter<File>>>,
    /// What of the sessions is to be kept.
    annotation: Option<Annotation>,
    options: Options,
    progress: Progress,
}

impl Sink for Output<'_> {
    type Error = io::Error;

    fn session(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> io::Result<()> {
        let Output { reporter, beside, annotation, options, .. } = self;
        if let Some(annotation) = annotation
            && (options.shows(session, judgement) || Annotation::needs(session))
        {
            annotation.add(session, judgement, taps);
        }
        self.progress.aside(|| reporter.session(session, judgement, taps))?;
        beside.iter_mut().try_for_each(|beside| beside.session(session, judgement, taps))
    }

    fn progress(&mut self, read: u64, total: Option<u64>) {
        self.progress.update(read, total);
    }
}

impl Output<'_> {
    /// Makes the files beside, which takes the rights of who calls: do so before they are given up.
    fn new(show: &ShowArgs) -> Result<Self, String> {
        let options = show.report();
        let out = BufWriter::new(io::stdout().lock());
        let beside = |(path, format): (&PathBuf, Format)| {
            let file = create(path).map_err(|why| cannot_write(path, &why))?;
            Ok(Reporter::new(BufWriter::new(file), Options { format, ..options }))
        };
        let files = [(&show.jsonl, Format::Jsonl), (&show.html, Format::Html)];
        let files = files.into_iter().filter_map(|(path, format)| Some((path.as_ref()?, format)));
        let beside = files.map(beside).collect::<Result<_, String>>()?;
        Ok(Output {
            reporter: Reporter::new(out, options),
            beside,
            annotation: None,
            options,
            progress: Progress::new(),
        })
    }

    /// Sums up; true if a capture could not be read.
    fn finish(mut self, summary: Summary) -> io::Result<(Totals, bool)> {
        self.progress.clear();
        let (errors, notes): (Vec<Note>, Vec<Note>) = summary.notes.into_iter().partition(|note| note.unreadable);
        let unreadable = !errors.is_empty();
        let mut notes: Vec<Text> = notes.into_iter().map(|note| Text::verbatim(note.text)).collect();
        notes.extend(complaints(&summary.taps));
        let totals = self.reporter.finish(&summary.taps, &notes)?;
        self.beside.into_iter().try_for_each(|beside| beside.finish(&summary.taps, &notes).map(drop))?;
        let untold = if self.options.format.is_for_people() { Vec::new() } else { notes };
        for line in errors.into_iter().map(|error| Text::verbatim(error.text)).chain(untold) {
            eprintln!("ftpwhy: {}", line.to(self.options.language));
        }
        Ok((totals, unreadable))
    }
}

#[cfg(all(feature = "live", target_os = "linux"))]
mod live {
    //! Live captures: until Ctrl-C, or around a command.

    use std::error::Error;
    use std::fs::{self, File, Permissions};
    use std::io::{self, Write};
    use std::net::IpAddr;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use ftpwhy::capture::live::privileges::sudo_caller;
    use ftpwhy::capture::live::{self, Sniffer};
    use ftpwhy::cite::Time;
    use ftpwhy::cli::{RunArgs, SnapshotArgs, WatchArgs};
    use ftpwhy::report::utc;
    use ftpwhy::watch::{Found, Signals, Sink, watch as follow};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;

    use super::{HEALTHY, Output, status};

    /// After the command's end, late packets of its transfers are waited for this long.
    const LATE: Duration = Duration::from_millis(1500);

    pub(super) fn watch(args: &WatchArgs) -> Result<u8, Box<dyn Error>> {
        let signals = signals(args.capture.write.is_some())?;
        let mut sink = Live { output: Output::new(&args.show)?, command: None };
        let ended = follow(&args.watch(), &signals, &mut sink)?.and_then(|summary| sink.output.finish(summary));
        status(ended)
    }

    pub(super) fn run(args: &RunArgs) -> Result<u8, Box<dyn Error>> {
        let signals = signals(args.capture.write.is_some())?;
        let command = Some((args.command.clone(), Arc::clone(&signals.end)));
        let mut sink = Live { output: Output::new(&args.show)?, command };
        let ended = follow(&args.watch(), &signals, &mut sink)?.and_then(|summary| sink.output.finish(summary));
        status(ended)
    }

    pub(super) fn snapshot(args: &SnapshotArgs) -> Result<u8, Box<dyn Error>> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Time::default().plus(since);
        let (text, absent) = live::snapshot(now, &utc(now), &args.control_ports());
        let written = match &args.output {
            Some(path) => live::create(path)
                .and_then(|mut file| only_for_owner(&file).and_then(|()| file.write_all(text.as_bytes())))
                .map_err(|why| format!("cannot write {}: {why}", path.display())),
            None => io::stdout().write_all(text.as_bytes()).map_err(|why| format!("cannot write the snapshot: {why}")),
        };
        written?;
        absent.iter().for_each(|line| eprintln!("ftpwhy: {line}"));
        Ok(HEALTHY)
    }

    /// A file that was there before may be open to others.
    fn only_for_owner(file: &File) -> io::Result<()> {
        if file.metadata()?.is_file() { file.set_permissions(Permissions::from_mode(0o600)) } else { Ok(()) }
    }

    pub(super) fn interfaces(peer: Option<IpAddr>) -> Result<u8, Box<dyn Error>> {
        let interfaces = live::interfaces()?;
        interfaces.iter().for_each(|interface| println!("{interface}"));
        if let Some(peer) = peer {
            let own = live::address_toward(peer).map_err(|why| format!("no route leads to {peer}: {why}"))?;
            let through = interfaces.iter().find(|interface| interface.addresses.contains(&own));
            let through = through.map_or("another interface", |interface| &interface.name);
            println!("this host speaks to {peer} as {own}, an address of {through}");
        }
        Ok(HEALTHY)
    }

    fn signals(writes: bool) -> io::Result<Signals> {
        let signals = Signals::default();
        for (signal, asked) in [(SIGINT, &signals.end), (SIGTERM, &signals.end), (SIGHUP, &signals.hang_up)] {
            if signal != SIGHUP || writes || !ignores_hang_up() {
                flag::register(signal, Arc::clone(asked))?;
            }
        }
        Ok(signals)
    }

    /// Whether nohup(1) started this program: the lowest bit of what proc_pid_status(5) calls `SigIgn` is SIGHUP.
    fn ignores_hang_up() -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        ignored.is_some_and(|mask| mask.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']))
    }

    struct Live<'a> {
        output: Output<'a>,
        /// To be started when the capture runs; its end stops that.
        command: Option<(Vec<String>, Arc<AtomicBool>)>,
    }

    impl Sink for Live<'_> {
        type Error = io::Error;

        fn ready(&mut self, sniffer: &Sniffer, absent: &[String]) -> io::Result<()> {
            absent.iter().for_each(|line| eprintln!("ftpwhy: {line}"));
            match self.command.take() {
                Some((command, stop)) => start(&command, stop),
                None => {
                    eprintln!("ftpwhy: watching {}; Ctrl-C ends it", sniffer.device());
                    Ok(())
                }
            }
        }

        fn so_far(&mut self, found: Found<'_>) -> io::Result<()> {
            let Found { session, judgement, taps, told } = found;
            self.output.reporter.so_far(session, judgement, taps, told)?;
            self.output.reporter.flush()
        }

        fn settled(&mut self, found: Found<'_>) -> io::Result<()> {
            let Found { session, judgement, taps, told } = found;
            self.output.reporter.rest_of_session(session, judgement, taps, told)?;
            self.output.reporter.flush()?;
            self.output.beside.iter_mut().try_for_each(|beside| {
                beside.session(session, judgement, taps)?;
                beside.flush()
            })
        }
    }

    /// Starts the command, as the user who called sudo, and sets `stop` some time after its end.
    fn start(command: &[String], stop: Arc<AtomicBool>) -> io::Result<()> {
        let mut child = spawn(command)?;
        thread::spawn(move || {
            if let Err(error) = child.wait() {
                eprintln!("ftpwhy: the command's end was not seen: {error}");
            }
            thread::sleep(LATE);
            stop.store(true, Ordering::Relaxed);
        });
        Ok(())
    }

    fn spawn(command: &[String]) -> io::Result<Child> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some((user, group)) = sudo_caller() {
            command.uid(user).gid(group);
        }
        command.spawn().map_err(|why| io::Error::new(why.kind(), format!("cannot run {program}: {why}")))
    }
}
