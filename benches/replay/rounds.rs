//! Rounds: every process once in turn, so that a disturbance hits neighbours alike; ratios are taken within a round.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::captures::Capture;
use crate::process::{self, Spent};

/// The processes of a round, in their order.
const NAMES: [&str; 4] = ["cat", "tcpdump -w /dev/null 'tcp port 21'", "ftpwhy replay", "ftpwhy replay --format jsonl"];
const CAT: usize = 0;
const TCPDUMP: usize = 1;
const TEXT: usize = 2;
const JSONL: usize = 3;

/// Statuses of ftpwhy after a complete replay: nothing failed, something failed.
pub(crate) const REPLAYED: &[i32] = &[0, 1];

/// One of the times of a process, in seconds.
type Value = fn(&Spent) -> f64;

fn wall(spent: &Spent) -> f64 {
    spent.wall.as_secs_f64()
}

fn cpu(spent: &Spent) -> f64 {
    spent.cpu.as_secs_f64()
}

/// What the processes took to read one capture.
pub(crate) struct Measured {
    file: PathBuf,
    rounds: Vec<[Spent; NAMES.len()]>,
}

/// Lets every process read the capture, once to warm up and then `rounds` times.
///
/// # Errors
/// A process that cannot be started or fails.
pub(crate) fn measure(file: &Path, rounds: u32) -> io::Result<Measured> {
    round(file)?;
    let rounds = (0..rounds).map(|_| round(file)).collect::<io::Result<_>>()?;
    Ok(Measured { file: file.to_owned(), rounds })
}

fn round(file: &Path) -> io::Result<[Spent; NAMES.len()]> {
    Ok([
        process::measure(Command::new("cat").arg(file), &[0])?,
        process::measure(Command::new("tcpdump").arg("-r").arg(file).args(["-w", "/dev/null", "tcp port 21"]), &[0])?,
        process::measure(&mut replay(file, "text"), REPLAYED)?,
        process::measure(&mut replay(file, "jsonl"), REPLAYED)?,
    ])
}

/// The command that replays a capture.
pub(crate) fn replay(file: &Path, format: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
    command.args(["replay", "--format", format]).arg(file);
    command
}

impl Measured {
    /// The capture and how it was measured.
    pub(crate) fn title(&self) -> String {
        format!("{}, {} rounds: medians; of ratios also (least .. most)", self.file.display(), self.rounds.len())
    }

    /// A row for each process, below a head.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let head = ["", "wall s", "cpu s", "peak MiB", "wall x cat", "wall x tcpdump", "cpu x cat", "cpu x tcpdump"];
        let head = head.map(String::from).into();
        std::iter::once(head).chain((0..NAMES.len()).map(|process| self.row(process))).collect()
    }

    fn row(&self, process: usize) -> Vec<String> {
        let median = |value: Value| Spread::of(self.rounds.iter().map(|round| value(&round[process]))).median;
        vec![
            NAMES[process].to_owned(),
            format!("{:.3}", median(wall)),
            format!("{:.3}", median(cpu)),
            format!("{:.1}", self.peak(process)),
            self.ratio(process, CAT, wall).to_string(),
            self.ratio(process, TCPDUMP, wall).to_string(),
            self.ratio(process, CAT, cpu).to_string(),
            self.ratio(process, TCPDUMP, cpu).to_string(),
        ]
    }

    fn ratio(&self, process: usize, over: usize, value: Value) -> Spread {
        Spread::of(self.rounds.iter().map(|round| value(&round[process]) / value(&round[over])))
    }

    fn peak(&self, process: usize) -> f64 {
        self.rounds.iter().map(|round| round[process].peak).fold(0.0, f64::max)
    }

    /// A row for each aim of the capture.
    pub(crate) fn judge(&self, capture: &Capture) -> Vec<Vec<String>> {
        let at_most = |what: &str, measured: f64, aim: Option<f64>| {
            aim.map(|aim| judged(capture, what, measured, format!("at most {aim}"), measured <= aim))
        };
        let both = [(TEXT, "text"), (JSONL, "jsonl")].into_iter().flat_map(|(process, form)| {
            [
                at_most(&format!("{form}, x cat"), self.ratio(process, CAT, wall).median, capture.aims.cat),
                at_most(&format!("{form}, x tcpdump"), self.ratio(process, TCPDUMP, wall).median, capture.aims.tcpdump),
                at_most(&format!("{form}, peak MiB"), self.peak(process), capture.aims.peak),
            ]
        });
        both.flatten().collect()
    }
}

/// The head of the table of aims.
pub(crate) fn aims_head() -> Vec<String> {
    ["aims (set for scale 1)", "measured", "aim", ""].map(String::from).into()
}

fn judged(capture: &Capture, what: &str, measured: f64, aim: String, reached: bool) -> Vec<String> {
    let word = if reached { "reached" } else { "missed" };
    vec![format!("{} {what}", capture.name), format!("{measured:.2}"), aim, word.to_owned()]
}

/// tshark beside ftpwhy on one capture.
pub(crate) struct Dissected {
    file: PathBuf,
    tshark: Spent,
    ours: Spread,
}

/// Lets tshark dissect the FTP of a capture once and ftpwhy replay it `rounds` times.
///
/// # Errors
/// A process that cannot be started or fails.
pub(crate) fn dissect(file: &Path, rounds: u32) -> io::Result<Dissected> {
    const FIELDS: [&str; 10] =
        ["-Y", "ftp", "-T", "fields", "-e", "frame.number", "-e", "ftp.request.command", "-e", "ftp.response.code"];
    let ours = || process::measure(&mut replay(file, "text"), REPLAYED).map(|spent| spent.wall.as_secs_f64());
    ours()?;
    let tshark = process::measure(Command::new("tshark").arg("-r").arg(file).args(FIELDS), &[0])?;
    let ours = (0..rounds).map(|_| ours()).collect::<io::Result<Vec<_>>>()?;
    Ok(Dissected { file: file.to_owned(), tshark, ours: Spread::of(ours) })
}

impl Dissected {
    /// What the two took.
    pub(crate) fn line(&self) -> String {
        let Spent { wall, peak, .. } = self.tshark;
        let (file, wall, ours) = (self.file.display(), wall.as_secs_f64(), self.ours.median);
        format!("{file}: tshark -Y ftp took {wall:.2} s and {peak:.0} MiB, ftpwhy replay {ours:.4} s\n")
    }

    /// The row for the aim of the capture.
    pub(crate) fn judge(&self, capture: &Capture, least: f64) -> Vec<String> {
        let measured = self.tshark.wall.as_secs_f64() / self.ours.median;
        judged(capture, "tshark, x text", measured, format!("at least {least}"), measured >= least)
    }
}

/// The middle and the ends of some numbers.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Of at least one number; of an even count, the median is the upper of the two in the middle.
    fn of(numbers: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Spread { median: sorted[sorted.len() / 2], least: sorted[0], most: sorted[sorted.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2} .. {:.2})", self.median, self.least, self.most)
    }
}
