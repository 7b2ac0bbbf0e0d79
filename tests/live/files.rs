//! What becomes of the file that is written.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::OPEN;
use crate::process::{FTPWHY, Process, sh, until};
use crate::session::{TOLD, refused_transfer, serve};

/// How many failed transfers are in a file.
fn failures(kept: &str, port: &str) -> usize {
    let mut command = Command::new(FTPWHY);
    let output = command.args(["replay", kept, "--format", "jsonl", "--control-port", port]).output();
    let output = output.expect("it can be run");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8_lossy(&output.stdout).matches(TOLD).count()
}

/// No more room: what fits is kept, and all is told.
pub(crate) fn disk_full() {
    sh(&format!(
        "mkdir {OPEN}/small; mount -t tmpfs -o size=64k none {OPEN}/small; head -c 60k /dev/zero >{OPEN}/small/full"
    ));
    let kept = format!("{OPEN}/small/kept.pcapng");
    let server = serve();
    let port = server.port().to_string();
    let watch = Process::watch(&["-w", &kept, "--format", "jsonl", "--control-port", &port]);
    for _ in 0..3 {
        refused_transfer(server);
    }
    let ended = watch.end();
    assert_eq!(ended.status, Some(2), "{ended:?}");
    assert_eq!(ended.output.matches(TOLD).count(), 3, "{ended:?}");
    assert_eq!(ended.errors.matches("No space left on device").count(), 1, "{ended:?}");
    assert!(ended.errors.contains("what came later is not in the file"), "{ended:?}");
    let replayed = Command::new(FTPWHY).args(["replay", &kept, "--control-port", &port]).output();
    let replayed = String::from_utf8(replayed.expect("it can be run").stdout).expect("it prints text");
    assert!(replayed.contains(TOLD), "{replayed}");
}

/// SIGHUP after the file was moved, as logrotate(8) does: a new one takes its place.
pub(crate) fn moved_away() {
    let [kept, old] = ["kept", "old"].map(|name| format!("{OPEN}/{name}.pcapng"));
    let server = serve();
    let port = server.port().to_string();
    let watch = Process::watch(&["-w", &kept, "--format", "jsonl", "--control-port", &port]);
    refused_transfer(server);
    until("what was captured, in the file", || failures(&kept, &port) == 1);
    fs::rename(&kept, &old).expect("it is there");
    watch.signal("HUP");
    until("a new file", || Path::new(&kept).exists());
    refused_transfer(server);
    watch.signal("HUP");
    refused_transfer(server);
    let ended = watch.end();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert_eq!(ended.output.matches(TOLD).count(), 3, "{ended:?}");
    assert!(ended.errors.contains("File exists (os error 17); the old file goes on"), "{ended:?}");
    sh(&format!("test $(stat -c %a:%u {kept}) = 600:65534"));
    assert_eq!((failures(&old, &port), failures(&kept, &port)), (1, 2));
    assert_eq!(failures(&format!("{old},{kept}"), &port), 3);
}

/// SIGHUP ends a watch that writes no file, and one whose terminal is gone.
pub(crate) fn hung_up() {
    let watch = Process::watch(&[]);
    watch.signal("HUP");
    assert_eq!(watch.ends().status, Some(0));

    let watched = || {
        let found = Command::new("ps").args(["-C", "ftpwhy", "-o", "stat="]).output().expect("ps can be run");
        String::from_utf8_lossy(&found.stdout).lines().any(|state| !state.starts_with('Z'))
    };
    let inside = format!("{FTPWHY} watch -w {OPEN}/kept.pcapng");
    let mut terminal = Command::new("script")
        .args(["-qc", &inside, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("script can be run");
    until("a file", || Path::new(&format!("{OPEN}/kept.pcapng")).exists());
    assert!(watched());
    terminal.kill().and_then(|()| terminal.wait()).expect("it is a child");
    until("its end", || !watched());
}
