//! What `ftpwhy replay` tells beside its verdicts: what would narrow them, what is wrong with the captures, and where.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Standard output, standard error and exit status of a replay in a folder of `captures/`.
fn replay(folder: &str, arguments: &[&str]) -> (String, String, Option<i32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
    let output = command.current_dir(folder).arg("replay").args(arguments).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("what is told is UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// What the report advises to capture, or to say.
fn to_know_more(folder: &str, arguments: &[&str]) -> Option<String> {
    let (report, ..) = replay(folder, arguments);
    report.lines().find_map(|line| line.strip_prefix("  To know more: ")).map(str::to_owned)
}

#[test]
fn what_to_capture_next_depends_on_the_taps_that_are_there() {
    let (one, two) = ("O5-passive-dropped-by-router", "O5-passive-two-routers");
    let (client, server) = (["--client", "client.pcap"], ["--server", "server.pcap"]);
    let both = [client, server].concat();
    let on_server =
        "capture on the server too, at the same time, and add --server FILE: that shows how far the packets come";
    assert_eq!(to_know_more(one, &client).as_deref(), Some(on_server));
    assert_eq!(to_know_more(one, &both), None, "one router stands between");
    assert_eq!(
        to_know_more(two, &both).as_deref(),
        Some(
            "by the TTLs, 2 routers stand between the capture points client.pcap and server.pcap: capture there too, at the \
             same time, and add --between FILE in line order from the client"
        )
    );
    assert_eq!(to_know_more(two, &[client, ["--between", "between-2.pcap"]].concat()), None);
    assert_eq!(to_know_more("O5-passive-router-on-any", &["router-any.pcap"]), None, "the legs of one box");
}

#[test]
fn a_place_that_nobody_gave_is_asked_for() {
    assert_eq!(
        to_know_more("O5-passive-dropped-by-server", &["server.pcap"]).as_deref(),
        Some(
            "say where server.pcap was captured, with --client, --between or --server; if that was not on the server, capture \
             there too, at the same time"
        )
    );
    assert_eq!(
        to_know_more("O5-active-slow-link", &["client.pcap"]).as_deref(),
        Some("if client.pcap was captured on the client itself, give it with --client; if not, capture there too")
    );
}

#[test]
fn a_forwarding_host_is_told_once() {
    let (report, ..) = replay("O5-passive-router-on-any", &["router-any.pcap"]);
    let legs = "UTC\n  router-any.pcap holds both legs of a host that forwards this session\n\n";
    assert!(report.contains(legs), "{report}");
    let (report, ..) = replay("O5-passive-router-on-any", &["router-any.pcap", "--timeline"]);
    assert!(report.contains("router-any.pcap (client's leg)  router-any.pcap (server's leg)"), "{report}");
}

#[test]
fn a_host_that_refused_its_own_packet_leaves_nothing_to_know() {
    for folder in ["C6-control-output-rejected", "O7-passive-output-rejected"] {
        let (report, ..) = replay(folder, &["client-any.pcap"]);
        assert!(report.contains("The client's own host refused to let "), "{report}");
        assert!(!report.contains("To know more") && !report.contains("tried at all"), "{report}");
    }
}

#[test]
fn a_damaged_capture_is_told_once() {
    let cut = "client.pcap: cut off after frame 32: record header says 117 bytes, 73 are there; what it misses proves nothing\n";
    let (report, errors, status) = replay("V2-capture-cut", &["--client", "client.pcap"]);
    assert!(report.contains(cut), "{report}");
    assert_eq!((&*errors, status), ("", Some(0)));
    let (report, errors, _) = replay("V2-capture-cut", &["--client", "client.pcap", "--format", "jsonl"]);
    assert!(!report.contains("cut off"), "{report}");
    assert_eq!(errors, format!("ftpwhy: {cut}"));
}

#[test]
fn a_capture_that_cannot_be_read_is_an_error() {
    let (report, errors, status) =
        replay("V2-capture-cut", &["--client", "client.pcap", "--server", "/nowhere/server.pcap"]);
    assert!(!report.contains("/nowhere"), "{report}");
    assert!(errors.starts_with("ftpwhy: /nowhere/server.pcap: "), "{errors}");
    assert_eq!(status, Some(2));
}

/// A server that listens on port 2121 and does not answer, as 192.168.20.10 did on port 21.
fn on_another_port() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/C1-control-syn-dropped-by-router");
    let mut bytes = fs::read(folder.join("client.pcap")).expect("the capture is there");
    let server = [192, 168, 20, 10];
    for at in 0..bytes.len().saturating_sub(8) {
        if bytes[at..].starts_with(&server) && bytes[at + 6..at + 8] == [0, 21] {
            bytes[at + 6..at + 8].copy_from_slice(&2121u16.to_be_bytes());
        }
    }
    bytes
}

#[test]
fn a_control_port_that_is_not_known_is_asked_for() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("on-another-port.pcap");
    fs::write(&path, on_another_port()).expect("the capture can be written");
    let path = path.to_str().expect("a path of ASCII");
    let (report, _, status) = replay("", &["--client", path]);
    assert!(report.starts_with("0 sessions, 0 transfers\nno FTP session was found; "), "{report}");
    assert!(report.contains("add --control-port PORT"), "{report}");
    assert_eq!(status, Some(0));
    let (report, _, status) = replay("", &["--client", path, "--control-port", "2121"]);
    assert!(report.contains(" -> 192.168.20.10 port 2121   C1 control-syn-unanswered"), "{report}");
    assert_eq!(status, Some(1));
}

#[test]
fn captures_of_one_name_are_told_by_their_paths() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/O5-passive-two-routers");
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for host in ["client", "server"] {
        fs::create_dir_all(copies.join(host)).expect("a folder can be made");
        let copy = copies.join(host).join("ftp.pcap");
        fs::copy(folder.join(format!("{host}.pcap")), copy).expect("the capture can be copied");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ftpwhy"))
        .current_dir(copies)
        .args(["replay", "--client", "client/ftp.pcap", "--server", "server/ftp.pcap"])
        .output()
        .expect("the program runs");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("between the capture points client/ftp.pcap and server/ftp.pcap dropped"), "{report}");
    assert!(report.contains("\n    client/ftp.pcap:21 "), "{report}");
}

#[test]
fn what_programs_get_beside_is_what_they_get_instead() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("beside.jsonl");
    let name = file.to_str().expect("a path that is text");
    let captures = ["--client", "client.pcap", "--server", "server.pcap"];
    let (report, errors, status) = replay("story-2-active-put", &[&captures[..], &["--jsonl", name]].concat());
    let (alone, ..) = replay("story-2-active-put", &captures);
    assert_eq!((&*report, &*errors, status), (&*alone, "", Some(1)));
    let (lines, ..) = replay("story-2-active-put", &[&captures[..], &["--format", "jsonl"]].concat());
    assert_eq!(fs::read_to_string(&file).expect("it was written"), lines);
    fs::remove_file(file).expect("it is there");
    let (_, errors, status) = replay("story-2-active-put", &["client.pcap", "--jsonl", "/nowhere/beside.jsonl"]);
    assert!(errors.starts_with("ftpwhy: cannot write /nowhere/beside.jsonl: "), "{errors}");
    assert_eq!(status, Some(2));
}

#[test]
fn a_snapshot_needs_a_capture_of_its_host_and_has_to_be_one() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("state.txt");
    let name = file.to_str().expect("a path that is text");
    let replay = |arguments: &[&str]| {
        let (_, errors, status) = replay("story-2-active-put", arguments);
        assert_eq!(status, Some(2), "{errors}");
        errors
    };
    fs::write(&file, "Dear colleague,\n").expect("the folder for tests is writable");
    assert_eq!(
        replay(&["--client", "client.pcap", "--client-state", name]),
        format!(
            "ftpwhy: {name}: line 1: this is no snapshot of a host; make one with `ftpwhy snapshot -o FILE`, as root\n"
        )
    );
    for arguments in [&["--client", "client.pcap"][..], &["client.pcap", "server.pcap"]] {
        assert_eq!(
            replay(&[arguments, &["--server-state", name]].concat()),
            "ftpwhy: --server-state needs a capture taken on that host: give it with --server, or as the only FILE\n"
        );
    }
    fs::remove_file(&file).expect("it is there");
    assert!(replay(&["client.pcap", "--client-state", name]).contains("no such file"));
}
