//! Damaged captures: whatever is in a file, a run ends soon, takes little memory and never panics.
//!
//! Every capture of the project and of the public traces, damaged by chance. `FTPWHY_HOSTILE=10000` makes as many
//! variants; a variant is told by its seed.

mod counting;
mod damage;
mod shared;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use damage::{Random, damage};
use ftpwhy::annotate::Annotation;
use ftpwhy::replay::{Capture, Replay, Sink, replay};
use ftpwhy::report::{Format, Options, Reporter, complaints};
use ftpwhy::session::join::Session;
use ftpwhy::verdict::{Judgement, TapFacts};

/// Variants of a normal run.
const VARIANTS: usize = 300;

/// Bytes that a run may have allocated at once, on top of what the test itself holds.
const MAX_BYTES: usize = 256 << 20;

/// A damaged capture of at most a megabyte takes milliseconds; a machine may be busy.
const MAX_TIME: Duration = Duration::from_secs(30);

#[test]
fn damage_is_borne() {
    let files = captures();
    let variants = std::env::var("FTPWHY_HOSTILE").map_or(VARIANTS, |text| text.parse().expect("a number of variants"));
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    for seed in 0..variants as u64 {
        let (took, bytes) = run(seed, &files);
        assert!(bytes < MAX_BYTES, "seed {seed}: {bytes} bytes at once");
        (slowest, largest) = (slowest.max(took), largest.max(bytes));
    }
    println!("{variants} variants; slowest {slowest:?}, largest {} KiB", largest >> 10);
}

/// Replays the captures that a seed stands for: one or two files, damaged.
fn run(seed: u64, files: &[PathBuf]) -> (Duration, usize) {
    let mut random = Random(seed);
    let one = random.below(files.len());
    let paths: Vec<PathBuf> = (0..1 + random.below(2))
        .map(|tap| {
            let source = &files[(one + tap) % files.len()];
            let damaged = damage(&fs::read(source).expect("a capture is readable"), &mut random);
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{tap}.pcap"));
            fs::write(&path, damaged).expect("the folder for tests is writable");
            path
        })
        .collect();
    let began = Instant::now();
    let bytes = counting::peak(|| within_time(seed, move || report(paths)));
    (began.elapsed(), bytes)
}

/// Does `work` on a thread of its own, which must neither panic nor take too long.
fn within_time(seed: u64, work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    if wait.recv_timeout(MAX_TIME) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("seed {seed}: not done after {MAX_TIME:?}");
    }
    assert!(worker.join().is_ok(), "seed {seed}: panicked");
}

/// Reports what is found in every form, and remembers it to be annotated.
#[derive(Default)]
struct Report {
    form: Vec<u8>,
    annotation: Annotation,
}

impl Sink for Report {
    type Error = std::io::Error;

    fn session(&mut self, session: &Session, judgement: &Judgement, taps: &[TapFacts]) -> std::io::Result<()> {
        for format in [Format::Text, Format::Json] {
            self.form.clear();
            let options = Options { format, timeline: true, all: true, ..Options::default() };
            let mut reporter = Reporter::new(&mut self.form, options);
            reporter.session(session, judgement, taps)?;
            reporter.finish(taps, &complaints(taps))?;
        }
        self.annotation.add(session, judgement, taps);
        Ok(())
    }

    fn progress(&mut self, _: u64, _: Option<u64>) {}
}

fn report(paths: Vec<PathBuf>) {
    let captures = paths.into_iter().map(|path| Capture { paths: vec![path], ..Capture::default() }).collect();
    let what = Replay { captures, control_ports: vec![21, 990], passive_range: None, filter: None, unfiltered: false };
    let mut report = Report::default();
    if let Ok(found) = replay(&what, &mut report) {
        let taps = found.expect("a vector takes all").taps;
        annotate(report.annotation, &what, &taps);
    }
}

/// Keeps what is found, and reads it again.
fn annotate(annotation: Annotation, what: &Replay, taps: &[TapFacts]) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-annotated.pcapng");
    let file = fs::File::create(&path).expect("the folder for tests is writable");
    annotation.write(file, what, taps, false).expect("the captures are still there");
    let captures = Capture::of_files(None, vec![path]).expect("no place is given");
    let again = Replay { captures, ..what.clone() };
    if let Ok(found) = replay(&again, &mut Report::default()) {
        found.expect("a vector takes all");
    }
}

/// All capture files at hand.
fn captures() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let shared = [("FTPWHY_TRACES", "traces"), ("FTPWHY_CASES", "cases")];
    let folders = shared.into_iter().filter_map(|(variable, name)| shared::folder(variable, name));
    let mut files: Vec<PathBuf> = folders.chain([own]).flat_map(|folder| captures_in(&folder)).collect();
    files.sort();
    assert!(files.len() > 100, "only {} captures", files.len());
    files
}

/// The capture files in a folder and those in it.
fn captures_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => captures_in(&path),
            false if path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng") => {
                vec![path]
            }
            false => Vec::new(),
        })
        .collect()
}
