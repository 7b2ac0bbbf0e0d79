//! `ftpwhy watch` itself, with `--trace` and without, on every host of the line, beside tcpdump and for the same transfer.
//!
//! It starts when the rules are loaded, as on a host that somebody is called to, and ends by SIGINT. Then nothing of it may be
//! left: no table, no process, and the kernel's loggers are what they were.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};

use crate::host::{Fallible, Host};
use crate::line::At;

/// It ends long before, or hangs.
const LIMIT: &str = "90";

/// What it says when it captures, and nothing else unless something is amiss.
const READY: &str = "ftpwhy: watching any; Ctrl-C ends it\n";

/// What must be as before when it has ended. Its table is held by an nft(8) of its own.
const TRACES: &str = "nft list tables | grep ftpwhy || true; cat /proc/sys/net/netfilter/nf_log/2 \
                      /proc/sys/net/netfilter/nf_log/10; pgrep -l -x ftpwhy || true; pgrep -f '[n]ft -a -i' || true";

/// How a host is asked which rule drops what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// The kernel traces.
    Traced,
    /// The rules are read.
    Read,
}

/// The report of a host, one session a line.
pub(crate) fn report(folder: &Path, at: At, manner: Manner) -> PathBuf {
    folder.join(match manner {
        Manner::Traced => format!("{at}-live.jsonl"),
        Manner::Read => format!("{at}-read.jsonl"),
    })
}

/// What the host kept of what it captured.
pub(crate) fn capture(folder: &Path, at: At) -> PathBuf {
    folder.join(format!("{at}-live.pcapng"))
}

/// A host that is watched from inside.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    host: &'a Host,
    watches: Vec<Watch>,
    before: String,
}

/// One that watches, and what it says.
#[derive(Debug)]
struct Watch {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl<'a> Live<'a> {
    /// Starts one of each manner; the one that traces keeps what it captures.
    pub(crate) fn start(host: &'a Host, at: At, port: u16, folder: &Path) -> Fallible<Live<'a>> {
        let fail = |error: std::io::Error| format!("watch on {at}: {error}");
        let before = host.run(TRACES)?;
        let mut watches = Vec::new();
        for manner in [Manner::Traced, Manner::Read] {
            let mut command = host.command("timeout");
            command.args([LIMIT, env!("CARGO_BIN_EXE_ftpwhy"), "watch", "--format", "jsonl"]);
            command.args(["--control-port", &port.to_string()]);
            if manner == Manner::Traced {
                command.args(["--trace", "-w"]).arg(capture(folder, at));
            }
            let report = File::create(report(folder, at, manner)).map_err(fail)?;
            let mut child = command.stdin(Stdio::null()).stdout(report).stderr(Stdio::piped()).spawn().map_err(fail)?;
            let said = BufReader::new(child.stderr.take().ok_or("watch has no output")?);
            watches.push(Watch { child, said });
        }
        Ok(Live { host, watches, before })
    }

    /// Waits until they capture.
    pub(crate) fn wait(&mut self) -> Fallible<()> {
        for watch in &mut self.watches {
            let mut line = String::new();
            watch.said.read_line(&mut line).map_err(|error| fault(self.host, &error.to_string()))?;
            if line != READY {
                return Err(fault(self.host, &line));
            }
        }
        Ok(())
    }

    /// Asks them to end. Their helpers are left alone.
    pub(crate) fn interrupt(&self) -> Fallible<()> {
        self.host.run("pkill -INT -f '^[^ ]*/ftpwhy watch '").map(drop)
    }

    /// Waits for their end.
    pub(crate) fn stop(self) -> Fallible<()> {
        let Live { host, watches, before } = self;
        for Watch { mut child, mut said } in watches {
            let mut text = String::new();
            said.read_to_string(&mut text).map_err(|error| fault(host, &error.to_string()))?;
            let status = child.wait().map_err(|error| fault(host, &error.to_string()))?;
            if !matches!(status.code(), Some(0 | 1)) || !text.is_empty() {
                return Err(fault(host, &format!("{status}, {text}")));
            }
        }
        let after = host.run(TRACES)?;
        if after == before { Ok(()) } else { Err(fault(host, &format!("before: {before}after: {after}"))) }
    }
}

fn fault(host: &Host, what: &str) -> String {
    format!("watch on {}: {what}", host.name)
}
