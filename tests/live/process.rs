//! Programs that run until they are told to end, and what they say.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const FTPWHY: &str = env!("CARGO_BIN_EXE_ftpwhy");

/// How long anything may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn sh(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh can be run");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it does not come: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A process whose output is read.
pub(crate) struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
    /// What it said on standard error before it was ready.
    pub(crate) said: String,
}

/// What a process said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) output: String,
    pub(crate) errors: String,
    pub(crate) status: Option<i32>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Process {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        Process { child, output, errors, said: String::new() }
    }

    /// `ftpwhy watch` with these arguments, when it watches and its door is closed.
    pub(crate) fn watch(arguments: &[&str]) -> Process {
        Process::start(Command::new(FTPWHY).arg("watch").args(arguments)).watching()
    }

    /// Waits until a watch watches and its door is closed.
    pub(crate) fn watching(mut self) -> Process {
        while !self.said.contains("watching") {
            let read = self.errors.read_line(&mut self.said).expect("it prints text");
            assert!(read > 0, "it ends at once: {}", self.said);
        }
        self.closes_the_door();
        self
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it prints text");
        line.trim_end().to_owned()
    }

    /// The fields of proc_pid_status(5).
    fn status(&self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs")
    }

    /// Waits for the last that it does before it goes on.
    fn closes_the_door(&self) {
        until("seccomp", || self.status().contains("\nSeccomp:\t2\n"));
    }

    pub(crate) fn has_no_rights(&self, user: &str) {
        let status = self.status();
        let fields = status.lines().filter_map(|line| line.split_once(':'));
        let fields: HashMap<&str, Vec<&str>> =
            fields.map(|(name, values)| (name, values.split_whitespace().collect())).collect();
        assert_eq!((&fields["Uid"], &fields["Gid"]), (&vec![user; 4], &vec![user; 4]));
        assert_eq!(fields["Groups"], [""; 0]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(fields[set], ["0000000000000000"], "{set}");
        }
        assert_eq!((&fields["NoNewPrivs"][..], &fields["Seccomp"][..]), (&["1"][..], &["2"][..]));
    }

    pub(crate) fn signal(&self, name: &str) {
        sh(&format!("kill -{name} {}", self.child.id()));
    }

    /// Ends it kindly, as Ctrl-C does.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        self.ends()
    }

    /// Waits until it ends by itself.
    pub(crate) fn ends(mut self) -> Ended {
        let mut ended = Ended { output: String::new(), errors: self.said, status: None };
        self.output.read_to_string(&mut ended.output).expect("it prints text");
        self.errors.read_to_string(&mut ended.errors).expect("it prints text");
        ended.status = self.child.wait().expect("it is a child").code();
        ended
    }
}
