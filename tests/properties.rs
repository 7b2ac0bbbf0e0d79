//! What must hold for verdicts whatever captures go through: clocks that differ, packets twice or out of order, packets
//! missing, files cut short. A wider stretch is allowed where less was captured; a wrong one never is.
//!
//! `FTPWHY_ROUNDS=100` plays so many variants of every case. A failure names its round; `FTPWHY_ONLY="that name"` plays
//! it alone, which leaves its captures in `target/tmp`.

mod common;
mod damage;
mod labelled;
mod shared;

use std::fs;
use std::io::Write;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use damage::{Random, Records};
use ftpwhy::capture::file::TapReader;
use ftpwhy::packet::{Decoder, Packet};
use ftpwhy::verdict::Outcome;
use labelled::{Labelled, Said, all};

/// Variants of every case in a normal run.
const ROUNDS: usize = 8;

/// One way to look at a case.
struct Round<'a> {
    case: &'a Labelled,
    /// Some of its taps.
    taps: Vec<usize>,
    /// Their places are given.
    given: bool,
    folder: &'a Path,
    random: Random,
    name: String,
}

impl Round<'_> {
    /// What is said of the captures as they are.
    fn plain(&self) -> Said {
        let files = self.taps.iter().map(|&tap| self.case.taps[tap].1.clone()).collect();
        self.case.replay(&self.taps, files, self.given)
    }

    /// What is said after `change` was done to the captures; the number is the position in `taps`.
    fn changed(&mut self, mut change: impl FnMut(usize, Records, &mut Random) -> Records) -> Said {
        let files: Vec<PathBuf> = (0..self.taps.len())
            .map(|position| {
                let source = &self.case.taps[self.taps[position]].1;
                let records = Records::of(&fs::read(source).expect("a capture is readable"));
                let path = self.folder.join(format!("{position}.pcap"));
                fs::write(&path, change(position, records, &mut self.random).file()).expect("the folder is writable");
                path
            })
            .collect();
        self.case.replay(&self.taps, files, self.given)
    }

    fn error(&self, said: &Said) -> Option<String> {
        self.case.error(said).map(|error| format!("{}: {error}\n    {said:?}", self.name))
    }
}

/// Plays rounds of a property over all cases; it returns what is wrong with one.
fn play(property: &str, mut holds: impl FnMut(&mut Round<'_>) -> Option<String>) {
    let rounds = std::env::var("FTPWHY_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(property);
    fs::create_dir_all(&folder).expect("the folder for tests is writable");
    let only = std::env::var("FTPWHY_ONLY").ok();
    let (cases, mut wrong, mut played) = (all(), Vec::new(), 0);
    for (number, case) in (0..).zip(&cases) {
        for round in 0..rounds {
            let mut random = Random((number << 32) + round as u64);
            let bits = 1 + random.below((1 << case.taps.len()) - 1);
            let taps: Vec<usize> = (0..case.taps.len()).filter(|tap| bits >> tap & 1 == 1).collect();
            let given = random.once_in(2);
            let name = format!("{} {taps:?} given={given} round {round}", case.name);
            if only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            wrong.extend(holds(&mut Round { case, taps, given, folder: &folder, random, name }));
            played += 1;
        }
    }
    assert!(only.is_some() || played >= 50 * rounds, "only {played} rounds");
    assert!(wrong.is_empty(), "{} of {played}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_said_of_the_captures_as_they_are_is_right() {
    play("plain", |round| round.error(&round.plain()));
}

/// Only of a tap that saw nothing of a session is the clock all that tells whether it could have.
#[test]
fn the_clock_of_a_tap_does_not_matter() {
    const SKEWS: [i64; 8] = [-400 * 86_400, -86_400, -3600, -7, 7, 3600, 86_400, 400 * 86_400];
    play("skew", |round| {
        let skewed = round.random.below(round.taps.len());
        let skew = SKEWS[round.random.below(SKEWS.len())] * 1_000_000 + round.random.below(1_000_000) as i64;
        let plain = round.plain();
        let said = round.changed(|position, mut records, _| {
            for record in records.records.iter_mut().filter(|_| position == skewed) {
                let micros = Records::micros(record);
                Records::set_micros(record, micros + skew);
            }
            records
        });
        let same = said == plain || plain.unseen && said.is_wider_than(&plain);
        (!same).then(|| format!("{}: tap {skewed} by {skew} µs\n    {plain:?}\n    {said:?}", round.name))
    });
}

#[test]
fn packets_twice_and_out_of_order_do_no_harm() {
    play("order", |round| {
        let said = round.changed(|_, mut records, random| {
            double(&mut records, random);
            reorder(&mut records, random);
            records
        });
        round.error(&said)
    });
}

/// One packet in five was captured twice.
fn double(records: &mut Records, random: &mut Random) {
    let twice = |record| if random.once_in(5) { vec![Clone::clone(&record), record] } else { vec![record] };
    records.records = std::mem::take(&mut records.records).into_iter().flat_map(twice).collect();
}

/// Half of the neighbours less than a millisecond apart change places, with their times or without.
fn reorder(records: &mut Records, random: &mut Random) {
    let with_times = random.once_in(2);
    for at in 1..records.records.len() {
        let times = [at - 1, at].map(|at| Records::micros(&records.records[at]));
        if (times[1] - times[0]).abs() < 1000 && random.once_in(2) {
            records.records.swap(at - 1, at);
            if !with_times {
                Records::set_micros(&mut records.records[at - 1], times[0]);
                Records::set_micros(&mut records.records[at], times[1]);
            }
        }
    }
}

/// Places are given: of two taps on one link only what each saw tells which is nearer to whom, and a loss turns that round.
/// Of a transfer between two servers each of two sessions tells half, and a hole in one hides it from the other.
#[test]
fn missing_packets_mislead_nobody() {
    play("loss", |round| {
        if round.case.name == "V9-two-servers" {
            return None;
        }
        round.given = true;
        let said = round.changed(|_, mut records, random| {
            let one = random.below(records.records.len().max(1));
            let mut at = 0;
            records.records.retain(|_| {
                at += 1;
                at != one + 1 && !random.once_in(100)
            });
            records
        });
        round.error(&said)
    });
}

/// Every packet of every case is missing once, alone and with the two behind it, from a capture which is alone or together with
/// all others. Who misses a SYN and all that followed cannot know that it was sent.
#[test]
fn no_hole_in_a_capture_misleads_anybody() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("holes");
    fs::create_dir_all(&folder).expect("the folder for tests is writable");
    let (mut played, mut wrong) = (0, Vec::new());
    for case in &all() {
        let unknowable =
            UNKNOWABLE.iter().find(|(name, _)| case.name == *name).map_or(usize::MAX, |(_, frames)| *frames);
        let files: Vec<PathBuf> = case.taps.iter().map(|(_, file)| file.clone()).collect();
        for (tap, file) in files.iter().enumerate() {
            let records = Records::of(&fs::read(file).expect("a capture is readable"));
            let lacking = folder.join(format!("{tap}.pcap"));
            for hole in holes(file).into_iter().filter(|hole| hole.len() < unknowable) {
                let mut left = records.clone();
                left.records.drain(hole.clone());
                fs::write(&lacking, left.file()).expect("the folder is writable");
                for taps in [vec![tap], (0..files.len()).collect()] {
                    let files = taps.iter().map(|&other| if other == tap { &lacking } else { &files[other] });
                    let error = case.error(&case.replay(&taps, files.cloned().collect(), true));
                    wrong.extend(
                        error.map(|error| format!("{} {taps:?} without {hole:?} of {tap}: {error}", case.name)),
                    );
                    played += 1;
                }
            }
        }
    }
    assert!(played > 20_000, "only {played}");
    assert!(wrong.is_empty(), "{} of {played}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Cases, and how many frames a hole takes to hide the truth. Of a transfer between two servers each of two sessions tells half,
/// and a PORT that is missing hides it from the other. A reset that a box sends in an end's name, and the only packet that it
/// answers, may have been between any two taps if one missed both.
const UNKNOWABLE: [(&str, usize); 2] = [("V9-two-servers", 1), ("idle", 3)];

/// Places of one frame, and of three without a SYN.
fn holes(file: &Path) -> Vec<Range<usize>> {
    let syns = syns(file);
    let three = (3..=syns.len()).map(|end| end - 3..end).filter(|hole| !syns[hole.clone()].contains(&true));
    (0..syns.len()).map(|at| at..at + 1).chain(three).collect()
}

/// Whether each frame of a capture carries a SYN.
fn syns(file: &Path) -> Vec<bool> {
    let mut reader = TapReader::open(&[file.to_owned()]).expect("a capture is readable");
    let mut decoder = Decoder::new();
    let is_syn = |packet: Packet<'_>| matches!(packet, Packet::Segment(segment) if segment.flags.syn());
    iter::from_fn(|| reader.next().map(|frame| is_syn(decoder.decode(&frame)))).collect()
}

/// The client tries again, and leaves at once; of that its capture misses the only SYN.
#[test]
fn a_client_that_let_others_out_is_not_blamed_for_one_syn() {
    let case = all().into_iter().find(|case| case.name == "O5-helper-matched").expect("it is of this repository");
    let syns = syns(&case.taps[0].1);
    let last = syns.iter().rposition(|&syn| syn).expect("it was captured");
    let mut records = Records::of(&fs::read(&case.taps[0].1).expect("a capture is readable"));
    records.records.remove(last);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-syn.pcap");
    fs::write(&path, records.file()).expect("the folder is writable");
    let said = case.replay(&[0], vec![path], true);
    assert_eq!(said.verdicts.iter().map(|verdict| verdict.rule).collect::<Vec<_>>(), ["O5", "V6"], "{said:?}");
    assert_eq!(case.error(&said), None, "{said:?}");
}

/// The client stays for a while after its transfer went through; the capture misses one thing that was said of that, each time
/// it was sent.
#[test]
fn of_a_success_what_was_said_and_not_captured_is_no_failure() {
    for (folder, lost) in
        [("story-3-success", "226 "), ("story-3-success", "STOR "), ("story-5-passive-success", "226 ")]
    {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(folder).join("client.pcap");
        let mut records = Records::of(&fs::read(&case).expect("a capture is readable"));
        let says = |record: &[u8], word: &str| record.windows(word.len()).any(|text| text == word.as_bytes());
        let leaves = records.records.iter().position(|record| says(record, "QUIT")).expect("the client leaves");
        for record in &mut records.records[leaves..] {
            let micros = Records::micros(record) + 8_000_000;
            Records::set_micros(record, micros);
        }
        let all = records.records.len();
        records.records.retain(|record| !says(record, lost));
        assert!(records.records.len() < all, "{folder}: {lost}");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unsaid-{folder}.pcap"));
        fs::write(&path, records.file()).expect("the folder is writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
        let output = command.args(["replay", "--format", "jsonl"]).arg("--client").arg(&path).output();
        let output = output.expect("the program runs");
        fs::remove_file(&path).expect("it is there");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{folder}: {lost}: {said}");
        assert!(said.contains(r#""outcome":"unknown""#), "{folder}: {lost}: {said}");
    }
}

/// A router drops the data of a download; of what the server sends again its capture holds the last alone, and no final reply.
#[test]
fn what_is_sent_again_once_more_is_not_silent_where_it_comes_from() {
    let case = all().into_iter().find(|case| case.name == "T1-data-blackhole").expect("it is of this repository");
    let server = case.taps.len() - 1;
    let mut records = Records::of(&fs::read(&case.taps[server].1).expect("a capture is readable"));
    let began = Records::micros(&records.records[0]);
    let is_data = |record: &Vec<u8>| record.len() > 1448;
    let again = |record: &Vec<u8>| is_data(record) && Records::micros(record) > began + 100_000;
    let last = records.records.iter().rfind(|record| again(record)).expect("it is sent again").clone();
    let is_final = |record: &[u8]| record.windows(4).any(|text| text == b"226 ");
    records.records.retain(|record| !is_final(record) && (!again(record) || *record == last));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("again-once-more.pcap");
    fs::write(&path, records.file()).expect("the folder is writable");
    let said = case.replay(&[server], vec![path], true);
    assert_eq!(said.outcomes, [Outcome::Failed], "{said:?}");
    assert_eq!(case.error(&said), None, "{said:?}");
}

#[test]
fn a_short_snap_length_misleads_nobody() {
    play("snap", |round| {
        let said = round.changed(|_, mut records, _| {
            records.snap(96);
            records
        });
        round.error(&said)
    });
}

#[test]
fn a_cut_capture_misleads_nobody() {
    play("cut", |round| {
        let cut = round.random.below(round.taps.len());
        let said = round.changed(|position, records, random| {
            let mut file = records.file();
            if position == cut {
                file.truncate(24 + random.below(file.len() - 23));
            }
            Records { head: file, records: Vec::new() }
        });
        round.error(&said)
    });
}

#[test]
fn a_capture_that_begins_late_misleads_nobody() {
    play("late", |round| {
        let late = round.random.below(round.taps.len());
        let said = round.changed(|position, mut records, random| {
            if position == late {
                let before = random.below(records.records.len());
                records.records.drain(..before);
            }
            records
        });
        round.error(&said)
    });
}

#[test]
fn a_pipe_in_odd_pieces_says_what_the_file_says() {
    play("pipe", |round| {
        let plain = round.plain();
        let pipes: Vec<PathBuf> = (0..round.taps.len()).map(|position| pipe(round.folder, position)).collect();
        let writers: Vec<_> = (0..round.taps.len())
            .map(|position| {
                let bytes = fs::read(&round.case.taps[round.taps[position]].1).expect("a capture is readable");
                let (path, random) = (pipes[position].clone(), Random(round.random.next()));
                thread::spawn(move || write_in_pieces(&path, &bytes, random))
            })
            .collect();
        let said = round.case.replay(&round.taps, pipes, round.given);
        writers.into_iter().for_each(|writer| writer.join().expect("a pipe takes all"));
        (said != plain).then(|| format!("{}\n    {plain:?}\n    {said:?}", round.name))
    });
}

fn pipe(folder: &Path, number: usize) -> PathBuf {
    let path = folder.join(format!("pipe-{number}"));
    if !path.exists() {
        let status = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(status.success());
    }
    path
}

fn write_in_pieces(path: &Path, mut bytes: &[u8], mut random: Random) {
    let mut pipe = fs::OpenOptions::new().write(true).open(path).expect("the pipe can be opened");
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((1 + random.below(3000)).min(bytes.len()));
        pipe.write_all(piece).expect("the pipe takes all");
        bytes = rest;
    }
}
