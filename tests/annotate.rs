//! Annotated files: that they are judged as the captures that they were made of, that Wireshark's programs read them, and that no
//! password is in them.
//!
//! What passwords there are, and what is in a file, is what tshark says (package tshark).

mod common;
mod labelled;
mod shared;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ftpwhy::annotate::Annotation;
use ftpwhy::replay::{Capture, Replay};
use ftpwhy::report::{Format, Options, Reporter};
use serde_json::Value;

/// What is asked of tshark about every packet.
const FIELDS: [&str; 9] = [
    "frame.comment",
    "frame.cap_len",
    "frame.len",
    "tcp.len",
    "tcp.srcport",
    "tcp.dstport",
    "ftp.request.command",
    "ftp.request.arg",
    "frame.interface_name",
];

/// A file for one test.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// What a program of Wireshark's prints, and what it complains of.
fn wireshark(program: &str, arguments: &[&str]) -> (String, Vec<String>) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|why| panic!("{program}: {why}; install the package tshark"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints = errors.lines().filter(|line| !line.starts_with("Running as user \"root\"")).map(str::to_owned);
    (String::from_utf8_lossy(&output.stdout).into_owned(), complaints.collect())
}

/// The fields of every packet, as tshark reads a file with these control ports, and what it complains of.
fn read(file: &Path, ports: &[String], fields: &[&str], more: &[&str]) -> (Vec<Vec<String>>, Vec<String>) {
    let file = file.to_str().expect("a path that is text");
    let decoded: Vec<String> = ports.iter().map(|port| format!("tcp.port=={port},ftp")).collect();
    let mut arguments = vec!["-n", "-r", file, "-T", "fields"];
    decoded.iter().for_each(|rule| arguments.extend(["-d", rule]));
    fields.iter().for_each(|field| arguments.extend(["-e", field]));
    arguments.extend(more);
    let (rows, complaints) = wireshark("tshark", &arguments);
    (rows.lines().map(|row| row.split('\t').map(str::to_owned).collect()).collect(), complaints)
}

/// The same of an annotated file, of which there is nothing to complain.
fn tshark(file: &Path, ports: &[String], fields: &[&str], more: &[&str]) -> Vec<Vec<String>> {
    let (rows, complaints) = read(file, ports, fields, more);
    assert_eq!(complaints, [""; 0], "{}", file.display());
    rows
}

/// What ftpwhy prints, and its exit status.
fn ftpwhy(folder: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
    let output = command.current_dir(folder).arg("replay").args(arguments).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("what is told is UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// A report but for where in its file each packet is, and how many there are.
fn without_places(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            ["frame", "file", "packets"].iter().for_each(|name| drop(fields.remove(*name)));
            fields.values_mut().for_each(|field| *field = without_places(field.take()));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| *element = without_places(element.take())),
        _ => {}
    }
    value
}

fn lines(report: &str) -> Vec<Value> {
    report.lines().map(|line| without_places(serde_json::from_str(line).expect("a line is JSON"))).collect()
}

/// Replays, keeps all sessions in `file` if there is one, and gives the report.
fn replayed(what: &Replay, file: Option<&Path>) -> Vec<Value> {
    let mut report = Reporter::new(Vec::new(), Options { format: Format::Jsonl, ..Options::default() });
    let mut annotation = Annotation::default();
    let mut written = Vec::new();
    let summary = common::look_into(what, |session, judgement, taps| {
        let mut out = Reporter::new(&mut written, Options { format: Format::Jsonl, ..Options::default() });
        out.session(session, judgement, taps).expect("a vector takes all");
        report.session(session, judgement, taps).expect("a vector takes all");
        annotation.add(session, judgement, taps);
    });
    if let Some(file) = file {
        let file = File::create(file).expect("the folder for tests is writable");
        annotation.write(file, what, &summary.taps, false).expect("the captures are still there");
    }
    lines(&String::from_utf8(written).expect("a report is UTF-8"))
}

#[test]
fn every_case_is_judged_alike_by_all_taps_and_by_each() {
    let file = scratch("alike.pcapng");
    let (mut views, mut verdicts) = (0, 0);
    for case in labelled::all() {
        let singles = (0..case.taps.len()).map(|tap| vec![tap]);
        for taps in singles.chain([(0..case.taps.len()).collect()]) {
            for given in [true, false] {
                let capture = |tap: &usize| common::capture(given.then_some(case.taps[*tap].0), &case.taps[*tap].1);
                let what = common::replay_of(taps.iter().map(capture).collect(), &case.ports);
                let told = replayed(&what, Some(&file));
                let captures = Capture::of_files(None, vec![file.clone()]).expect("no place is given");
                assert_eq!(captures.len(), taps.len(), "{} {taps:?}", case.name);
                let again = replayed(&common::replay_of(captures, &[]), None);
                assert_eq!(again, told, "{} {taps:?} given={given}", case.name);
                views += 1;
                verdicts += told.iter().filter(|session| session.to_string().contains("\"rule\"")).count();
            }
        }
    }
    assert!(views > 400 && verdicts > 300, "only {views} views, {verdicts} with verdicts");
}

/// A folder of `captures/`: its taps with the options that give their places, its other options, its snapshots with theirs,
/// its control ports.
struct Folder {
    path: PathBuf,
    taps: Vec<String>,
    arguments: Vec<String>,
    states: Vec<String>,
    ports: Vec<String>,
}

fn folders() -> Vec<Folder> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let entries = fs::read_dir(captures).expect("captures is there").flatten().map(|entry| entry.path());
    let mut folders: Vec<Folder> = entries.filter(|path| path.is_dir()).map(folder).collect();
    folders.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(folders.len() >= 50, "only {} folders", folders.len());
    folders
}

fn folder(path: PathBuf) -> Folder {
    let text = fs::read_to_string(path.join("case.json")).expect("a folder has its case.json");
    let case: Value = serde_json::from_str(&text).expect("case.json is JSON");
    let list = |name: &str| -> Vec<String> {
        case[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (taps, options) = (list("taps"), list("options"));
    let ports = options.windows(2).filter(|pair| pair[0] == "--control-port").map(|pair| pair[1].clone()).collect();
    let places = taps.iter().flat_map(|tap| [common::option(tap).to_owned(), tap.clone()]);
    let arguments = options.into_iter().filter(|option| option != "--all").chain(places).collect();
    let named = |state: String| [common::state_option(&state), path.join(state).display().to_string()];
    let states = list("states").into_iter().flat_map(named).collect();
    Folder { path, taps, arguments, states, ports }
}

/// The sentence of every diagnosis.
fn sentences(report: &[Value]) -> Vec<String> {
    let judged = report.iter().flat_map(|session| {
        session["transfers"].as_array().into_iter().flatten().chain([&session["control"]]).collect::<Vec<_>>()
    });
    judged.filter_map(|judged| judged["diagnosis"]["summary"].as_str()).map(str::to_owned).collect()
}

#[test]
fn wireshark_shows_the_verdicts_and_no_password() {
    let mut files = Vec::new();
    let mut verdicts = 0;
    let folders = folders();
    let secrets = passwords(&folders);
    for folder in &folders {
        let name = folder.path.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let file = scratch(&format!("wireshark-{name}.pcapng"));
        let path = file.to_str().expect("a path that is text");
        let mut arguments = vec!["--all", "--annotate", path];
        let states: Vec<&str> = folder.states.iter().map(String::as_str).collect();
        arguments.extend(folder.arguments.iter().map(String::as_str));
        let (_, errors, _) = ftpwhy(&folder.path, &[&arguments[..], &states, &["--format", "jsonl"]].concat());
        assert!(!errors.contains("annotate"), "{errors}");
        let golden = lines(&fs::read_to_string(folder.path.join("replay.jsonl")).expect("there is a golden report"));
        let (again, ..) = ftpwhy(Path::new("/"), &[&["--format", "jsonl", path][..], &states].concat());
        assert_eq!(lines(&again), golden, "{name}");

        let rows = tshark(&file, &folder.ports, &FIELDS, &[]);
        let comments: String = match &rows[..] {
            [] => wireshark("capinfos", &[path]).0, // of a session without any packet the section tells
            rows => rows.iter().map(|row| format!("{}\n", row[0])).collect(),
        };
        for sentence in sentences(&golden) {
            assert!(comments.contains(&sentence), "{name}: {sentence}\n{comments}");
            verdicts += 1;
        }
        for row in &rows {
            only_headers_of_data(row, folder, &name);
            let is_secret = ["PASS", "ACCT"].contains(&row[6].to_uppercase().as_str());
            assert!(!is_secret || row[7].bytes().all(|byte| byte == b'*'), "{name}: {row:?}");
            assert!(folder.taps.iter().any(|tap| row[8].starts_with(tap.as_str())), "{name}: {row:?}");
        }
        let bytes = fs::read(&file).expect("it was written");
        let kept: Vec<&String> = secrets.iter().filter(|secret| contains(&bytes, secret.as_bytes())).collect();
        assert!(kept.is_empty(), "{name}: {kept:?}");
        files.push(path.to_owned());
    }
    assert!(verdicts > 50, "only {verdicts} verdicts");
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let (told, complaints) = wireshark("capinfos", &files);
    assert_eq!((told.matches("kept by ftpwhy").count(), complaints), (files.len(), Vec::new()));
    files.iter().for_each(|file| fs::remove_file(file).expect("it is there"));
}

/// Arguments of PASS and ACCT in the captures as they were, one after the other in one file (mergecap comes with tshark). One of
/// them is cut off, which is complained of.
fn passwords(folders: &[Folder]) -> BTreeSet<String> {
    let all = scratch("wireshark-all.pcapng");
    let taps = folders.iter().flat_map(|folder| folder.taps.iter().map(|tap| folder.path.join(tap)));
    let taps: Vec<String> = taps.map(|tap| tap.to_string_lossy().into_owned()).collect();
    let mut arguments = vec!["-a", "-w", all.to_str().expect("a path that is text")];
    arguments.extend(taps.iter().map(String::as_str));
    wireshark("mergecap", &arguments);
    let ports: BTreeSet<&String> = folders.iter().flat_map(|folder| &folder.ports).collect();
    let ports: Vec<String> = ports.into_iter().cloned().collect();
    let each = ["-Y", "ftp.request", "-o", "tcp.analyze_sequence_numbers:FALSE"];
    let (rows, _) = read(&all, &ports, &FIELDS[6..8], &each);
    fs::remove_file(&all).expect("it is there");
    let is_secret = |row: &&Vec<String>| ["PASS", "ACCT"].contains(&row[0].to_uppercase().as_str());
    let found: Vec<String> = rows.iter().filter(is_secret).filter_map(|row| row.get(1)).cloned().collect();
    assert!(found.len() > 100, "only {found:?}");
    found.into_iter().filter(|secret| !secret.is_empty()).collect()
}

/// A packet that is none of a control connection ends with its headers.
fn only_headers_of_data(row: &[String], folder: &Folder, name: &str) {
    let number = |at: usize| row[at].parse::<u64>().unwrap_or(0);
    let is_control = |at: usize| ["21", "990"].contains(&&*row[at]) || folder.ports.contains(&row[at]);
    if !row[4].contains(',') && !is_control(4) && !is_control(5) && number(3) > 0 {
        assert_eq!(number(1) + number(3), number(2), "{name}: {row:?}");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The sum of RFC 1071 in the field at `at` of what begins at `from`, over `pseudo` too.
fn seal(bytes: &mut [u8], from: usize, at: usize, pseudo: &[u8]) {
    let sum = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
    };
    let total = sum(pseudo) + sum(&bytes[from..]);
    let folded = (total >> 16) + (total & 0xffff);
    let folded = (folded >> 16) + (folded & 0xffff);
    bytes[from + at..from + at + 2].copy_from_slice(&(!folded as u16).to_be_bytes());
}

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// A datagram of IPv4.
fn datagram([source, destination]: [[u8; 4]; 2], protocol: u8, content: &[u8]) -> Vec<u8> {
    let length = (20 + content.len()) as u16;
    let mut bytes = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0];
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes.extend([source, destination].concat());
    seal(&mut bytes, 0, 10, &[]);
    bytes.extend(content);
    bytes
}

/// A segment on the control connection, from the client if it is so.
fn segment(from_client: bool, seq: u32, ack: u32, flags: u8, text: &[u8]) -> Vec<u8> {
    let (hosts, ports) = match from_client {
        true => ([CLIENT, SERVER], [40_000_u16, 21]),
        false => ([SERVER, CLIENT], [21, 40_000]),
    };
    let mut tcp = ports.map(u16::to_be_bytes).concat();
    tcp.extend([seq, ack].map(u32::to_be_bytes).concat());
    tcp.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    tcp.extend(text);
    let length = [0, 6, 0, tcp.len() as u8];
    seal(&mut tcp, 0, 16, &[&hosts.concat()[..], &length].concat());
    datagram(hosts, 6, &tcp)
}

/// A capture (LINKTYPE_RAW) of these packets, a millisecond apart.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let word = |number: u32| number.to_le_bytes();
    let head = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101].map(word).concat();
    let record = |(at, packet): (u32, &Vec<u8>)| {
        let length = packet.len() as u32;
        [&[1_700_000_000, at * 1000, length, length].map(word).concat()[..], packet].concat()
    };
    (0..).zip(packets).fold(head, |file, packet| [file, record(packet)].concat())
}

const SYN: u8 = 2;
const ACK: u8 = 16;

/// A login whose words come in pieces, late, twice, quoted by an error, and behind a hole.
fn login() -> Vec<Vec<u8>> {
    let said = |seq: u32, text: &[u8]| segment(true, 1001 + seq, 2001, ACK, text);
    let quoted = [&[3, 4, 0, 0, 0, 0, 2, 0], &said(8, b"PASS hunter2-secret\r\n")[..]].concat();
    let mut error = quoted;
    seal(&mut error, 0, 2, &[]);
    vec![
        segment(true, 1000, 0, SYN, b""),
        segment(false, 2000, 1001, SYN | ACK, b""),
        segment(true, 1001, 2001, ACK, b""),
        segment(false, 2001, 1001, ACK, b"220 hello\r\n"),
        said(0, b"USER u\r\n"),
        said(21, b"secret\r\n"),
        said(12, b" hunt"),
        datagram([SERVER, CLIENT], 1, &error),
        said(8, b"PASS hunter2-"),
        said(8, b"PASS hunter2-secret\r\n"),
        segment(false, 2012, 1030, ACK, b"332 account?\r\n"),
        said(29, b"acct 4711-0815\r\nREIN\r\n"),
        segment(false, 2026, 1052, ACK, b"220 again\r\n"),
        said(51, b"USER v\r\n"),
        said(63, b" half-a-password\r\nPWD\r\n"),
        segment(false, 2037, 1087, ACK, b"530 no\r\n"),
        said(60, b"ASS half-a-"),
        segment(true, 1087, 2045, ACK | 4, b""),
    ]
}

#[test]
fn passwords_in_pieces_late_twice_quoted_and_behind_holes_are_found() {
    let (source, file) = (scratch("login.pcap"), scratch("login.pcapng"));
    let (from, to) = (source.to_str().expect("text"), file.to_str().expect("text"));
    fs::write(&source, capture(&login())).expect("the folder for tests is writable");
    let (report, errors, _) = ftpwhy(Path::new("/"), &["--all", "--annotate", to, from, "--format", "jsonl"]);
    assert_eq!(errors, "");
    let bytes = fs::read(&file).expect("it was written");
    for part in ["hunt", "er2-", "secret", "4711", "0815", "half", "password"] {
        assert!(!contains(&bytes, part.as_bytes()), "{part}");
    }
    for part in ["USER u\r\n", "acct *********\r\nREIN\r\n", "USER v\r\n", "PWD\r\n", "530 no\r\n"] {
        assert!(contains(&bytes, part.as_bytes()), "{part}");
    }
    let sums = tshark(&file, &[], &["tcp.checksum.status"], &["-o", "tcp.check_checksum:TRUE", "-Y", "tcp && !icmp"]);
    assert_eq!(sums, vec![["1"]; login().len() - 1], "all are as right as they were");
    let (again, ..) = ftpwhy(Path::new("/"), &["--format", "jsonl", to]);
    assert_eq!(lines(&again), lines(&report));

    ftpwhy(Path::new("/"), &["--all", "--annotate", to, "--keep-secrets", from]);
    assert!(contains(&fs::read(&file).expect("it was written"), b"PASS hunter2-secret\r\n"));
}

#[test]
fn only_what_is_shown_is_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/story-3-success");
    let file = scratch("shown.pcapng");
    let path = file.to_str().expect("a path that is text");
    let kept = |more: &[&str]| {
        ftpwhy(&folder, &[&["--client", "client.pcap", "--annotate", path], more].concat());
        tshark(&file, &[], &["frame.number"], &[]).len()
    };
    assert_eq!(kept(&[]), 0, "nothing failed");
    let all = kept(&["--all"]);
    assert!(all > 0);
    assert_eq!((kept(&["--session", "1"]), kept(&["--all", "--host", "192.0.2.77"])), (all, 0));
}

#[test]
fn what_the_user_assured_is_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/V6-only-port-21-failure");
    let file = scratch("assured.pcapng");
    let path = file.to_str().expect("a path that is text");
    for (assured, rule) in [(&["--unfiltered"][..], "O1 data-syn-"), (&[], "V6 ")] {
        ftpwhy(&folder, &[&["--client", "client.pcap", "--annotate", path], assured].concat());
        let (report, ..) = ftpwhy(&folder, &[path]);
        assert!(report.contains(rule), "{rule}: {report}");
    }
}

#[test]
fn what_cannot_be_annotated_or_read_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/story-2-active-put");
    let file = scratch("told.pcapng");
    let path = file.to_str().expect("a path that is text");
    let errors = |arguments: &[&str]| {
        let (_, errors, status) = ftpwhy(&folder, arguments);
        assert_eq!(status, Some(2), "{errors}");
        errors
    };
    let copy = scratch("told.pcap");
    fs::copy(folder.join("client.pcap"), &copy).expect("the capture can be copied");
    let copy = copy.to_str().expect("a path that is text");
    assert_eq!(
        errors(&[copy, "--annotate", copy]),
        format!("ftpwhy: cannot write {copy}: it is one of the captures; name another file\n")
    );
    assert!(errors(&["-", "--annotate", path]).starts_with("ftpwhy: cannot annotate -: what comes through a pipe "));
    assert!(errors(&[copy, "--annotate", "/nowhere/x"]).starts_with("ftpwhy: cannot write /nowhere/x: "));

    let (_, told, _) = ftpwhy(&folder, &["--client", "client.pcap", "--server", "server.pcap", "--annotate", path]);
    assert_eq!(told, "");
    let several = "an annotated file of 2 captures, which says itself where they were taken; name it as FILE";
    assert!(errors(&["--client", path]).contains(several));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
    let pipe = command.args(["replay", "-"]).stdin(Stdio::from(File::open(&file).expect("it was written"))).output();
    assert!(String::from_utf8_lossy(&pipe.expect("the program runs").stderr).contains(several));
}
