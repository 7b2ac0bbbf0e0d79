//! Several files as one stream, against other programs and public captures.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use super::super::record::Order;
use super::super::samples::{Bytes, Folder, Seen, notes};
use super::super::{Compression, Format};
use super::*;

/// A file with one packet at each of these seconds.
fn pcap(seconds: &[u32]) -> Vec<u8> {
    let header = Bytes::pcap(Order::Little, 0xa1b2_c3d4, 65535, 1);
    seconds.iter().fold(header, |file, second| file.record(*second, 0, 60, &[*second as u8])).bytes
}

fn read(paths: &[PathBuf]) -> (Vec<Seen>, TapReader) {
    let mut tap = TapReader::open(paths).unwrap();
    let mut seen = Vec::new();
    while let Some(frame) = tap.next() {
        seen.push(Seen::from(frame));
    }
    assert!(tap.next().is_none());
    (seen, tap)
}

/// Second, file, frame number.
fn places(seen: &[Seen]) -> Vec<(i64, u16, u32)> {
    seen.iter().map(|frame| (frame.time / 1_000_000_000, frame.file, frame.frame)).collect()
}

fn names(tap: &TapReader) -> Vec<&str> {
    tap.facts().files.iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn rotated_files_follow_each_other_in_the_order_of_time() {
    let folder = Folder::new();
    let files = [("b2", &[5, 6][..]), ("b10", &[7]), ("empty", &[]), ("b1", &[1, 5])];
    let paths = files.map(|(name, seconds)| folder.write(name, &pcap(seconds)));
    let (seen, tap) = read(&paths);
    assert_eq!(places(&seen), [(1, 0, 1), (5, 0, 2), (5, 1, 1), (6, 1, 2), (7, 2, 1)]);
    assert_eq!(names(&tap), ["b1", "b2", "b10", "empty"]);
    assert_eq!((tap.facts().interfaces.len(), notes(tap.facts()).len()), (1, 0));
    assert_eq!(tap.facts().files.iter().map(|file| file.packets).collect::<Vec<_>>(), [2, 2, 1, 0]);
}

#[test]
fn captures_at_the_same_time_are_merged_and_each_keeps_its_order() {
    let folder = Folder::new();
    let eth0 = folder.write("eth0", &pcap(&[1, 4, 3, 9, 9]));
    let eth1 = folder.write("eth1", &pcap(&[2, 3, 4, 8, 9]));
    let (seen, tap) = read(&[eth1, eth0]);
    let want =
        [(1, 0, 1), (2, 1, 1), (3, 1, 2), (4, 0, 2), (3, 0, 3), (4, 1, 3), (8, 1, 4), (9, 0, 4), (9, 0, 5), (9, 1, 5)];
    assert_eq!(places(&seen), want);
    assert_eq!(names(&tap), ["eth0", "eth1"]);
    let total = 2 * (24 + 5 * 17);
    assert_eq!(tap.position(), (total, Some(total)));
}

#[test]
fn files_of_the_same_time_stay_in_the_order_given_and_may_be_of_any_format() {
    let folder = Folder::new();
    let ng = Bytes::new(Order::Big).section(Order::Big).interface(1, 65535, &[]).packet(0, 1_000_000, b"ng", &[]);
    let zstd = ruzstd::encoding::compress_to_vec(&pcap(&[1])[..], ruzstd::encoding::CompressionLevel::Fastest);
    let paths = [folder.write("z", &zstd), folder.write("ng", &ng.bytes), folder.write("a", &pcap(&[1]))];
    let (seen, tap) = read(&paths);
    assert_eq!(places(&seen), [(1, 0, 1), (1, 1, 1), (1, 2, 1)]);
    let about: Vec<_> = tap.facts().files.iter().map(|it| (it.format.unwrap(), it.compression)).collect();
    let plain = Compression::None;
    assert_eq!(about, [(Format::Pcap, Compression::Zstd), (Format::Pcapng, plain), (Format::Pcap, plain)]);
    let total = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(tap.position(), (total, Some(total)));
}

#[test]
fn a_bad_file_is_told_once_and_the_others_are_read() {
    let folder = Folder::new();
    let mut cut = pcap(&[1, 2]);
    cut.pop();
    let paths = [
        folder.path("absent"),
        folder.write("cut", &cut),
        folder.write("text", b"hello"),
        folder.write("good", &pcap(&[3])),
        folder.write("nothing", b""),
    ];
    let (seen, tap) = read(&paths);
    assert_eq!(places(&seen), [(1, 0, 1), (3, 1, 1)]);
    assert_eq!(names(&tap), ["cut", "good", "absent", "text", "nothing"]);
    let kinds: Vec<_> = tap.facts().notes.iter().map(|note| (note.file, note.after, note.kind)).collect();
    let unreadable = |file| (file, 0, NoteKind::Unreadable);
    assert_eq!(kinds, [unreadable(2), unreadable(3), unreadable(4), (0, 1, NoteKind::Ended)]);
    assert_eq!(tap.facts().files[2].format, None);
    let error = TapReader::open(&[folder.path("text"), folder.path("absent")]).err().unwrap();
    assert!(error.to_string().contains("text: not a capture file (starts with 'hello')"));
}

#[test]
fn a_file_that_goes_away_before_its_turn_is_told() {
    let folder = Folder::new();
    let paths = [folder.write("first", &pcap(&[1])), folder.write("second", &pcap(&[2]))];
    let mut tap = TapReader::open(&paths).unwrap();
    assert!(tap.next().is_some());
    fs::remove_file(&paths[1]).unwrap();
    assert!(tap.next().is_none());
    assert!(notes(tap.facts())[0].contains("second: no such file"));
}

/// Each tap has a thread of its own.
#[test]
fn a_reader_can_move_to_a_thread() {
    let folder = Folder::new();
    let mut tap = TapReader::open(&[folder.write("x", &pcap(&[1]))]).unwrap();
    assert!(std::thread::spawn(move || tap.next().is_some()).join().unwrap());
}

#[test]
fn names_are_short_where_that_is_enough() {
    let paths = ["a/x.pcap", "b/x.pcap", "b/y.pcap", "-"].map(Path::new);
    assert_eq!(super::names(&paths), ["a/x.pcap", "b/x.pcap", "y.pcap", "stdin"]);
}

/// A named pipe cannot be looked at and opened again: it comes first in number and is merged all the same.
#[cfg(unix)]
#[test]
fn pipes_are_merged_without_a_glance() {
    let folder = Folder::new();
    let (pipe, file) = (folder.path("pipe"), folder.write("file", &pcap(&[1, 3])));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, pcap(&[2, 4])).unwrap()
    });
    let (seen, tap) = read(&[file, pipe]);
    writer.join().unwrap();
    assert_eq!(places(&seen), [(1, 1, 1), (2, 0, 1), (3, 1, 2), (4, 0, 2)]);
    assert_eq!(tap.position(), (2 * (24 + 34), None));
}

#[test]
fn other_programs_write_the_formats_alike() {
    let folder = Folder::new();
    let original = folder.write("x", &pcap(&[3, 5, 200]));
    let (want, _) = read(std::slice::from_ref(&original));
    let times = |seen: &[Seen]| seen.iter().map(|it| (it.time, it.bytes.clone())).collect::<Vec<_>>();
    let written = [
        ("pcapng", Format::Pcapng),
        ("nsecpcap", Format::PcapNanosecond),
        ("modpcap", Format::PcapModified),
        ("pcap", Format::Pcap),
    ];
    for (name, format) in written {
        let out = folder.path(name);
        match Command::new("editcap").args(["-F", name]).args([&original, &out]).output() {
            Ok(done) if done.status.success() => {
                let (seen, tap) = read(&[out]);
                assert_eq!((times(&seen), tap.facts().files[0].format), (times(&want), Some(format)), "{name}");
            }
            done => eprintln!("skipped: editcap -F {name}: {done:?}"),
        }
    }
    for program in ["gzip", "zstd"] {
        match Command::new(program).arg("-k").arg(&original).output() {
            Ok(done) if done.status.success() => {
                let packed = folder.path(if program == "gzip" { "x.gz" } else { "x.zst" });
                assert_eq!(times(&read(&[packed]).0), times(&want), "{program}");
            }
            done => eprintln!("skipped: {program}: {done:?}"),
        }
    }
}

/// Public captures, with what others count in them.
#[test]
fn public_captures_have_the_packets_that_others_count() {
    let folder = std::env::var_os("FTPWHY_TRACES").map_or_else(|| PathBuf::from("../shared/traces"), PathBuf::from);
    let Ok(truth) = fs::read_to_string(folder.join("truth.jsonl")) else {
        eprintln!("skipped: no captures in {}", folder.display());
        return;
    };
    for line in truth.lines() {
        let truth: serde_json::Value = serde_json::from_str(line).unwrap();
        let (seen, tap) = read(&[folder.join(truth["file"].as_str().unwrap())]);
        assert_eq!(seen.len() as u64, truth["packets"].as_u64().unwrap(), "{truth}");
        assert_eq!(tap.facts().files[0].packets, seen.len() as u64);
        assert_eq!(notes(tap.facts()), [""; 0], "{truth}");
    }
    for path in super::super::expand(&[format!("{}/*/*.pcap*", folder.display())]).unwrap() {
        match Command::new("capinfos").args(["-cMTr"]).arg(&path).output() {
            Ok(done) if done.status.success() => {
                let count = String::from_utf8(done.stdout).unwrap().trim().rsplit('\t').next().unwrap().to_owned();
                assert_eq!(read(std::slice::from_ref(&path)).0.len().to_string(), count, "{}", path.display());
            }
            done => eprintln!("skipped: capinfos {}: {done:?}", path.display()),
        }
    }
}
