//! `ftpwhy watch --trace` itself, on every host of the line, beside tcpdump and for the same transfer.
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

/// The report of a host, one session a line.
pub(crate) fn report(folder: &Path, at: At) -> PathBuf {
    folder.join(format!("{at}-live.jsonl"))
}

/// What the host kept of what it captured.
pub(crate) fn capture(folder: &Path, at: At) -> PathBuf {
    folder.join(format!("{at}-live.pcapng"))
}

/// A host that is watched from inside.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    host: &'a Host,
    watch: Child,
    said: BufReader<ChildStderr>,
    before: String,
}

impl<'a> Live<'a> {
    /// Starts it.
    pub(crate) fn start(host: &'a Host, at: At, port: u16, folder: &Path) -> Fallible<Live<'a>> {
        let fail = |error: std::io::Error| format!("watch on {at}: {error}");
        let before = host.run(TRACES)?;
        let mut watch = host
            .command("timeout")
            .args([LIMIT, env!("CARGO_BIN_EXE_ftpwhy"), "watch", "--trace", "--format", "jsonl"])
            .args(["--control-port", &port.to_string(), "-w"])
            .arg(capture(folder, at))
            .stdin(Stdio::null())
            .stdout(File::create(report(folder, at)).map_err(fail)?)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        let said = BufReader::new(watch.stderr.take().ok_or("watch has no output")?);
        Ok(Live { host, watch, said, before })
    }

    /// Waits until it captures.
    pub(crate) fn wait(&mut self) -> Fallible<()> {
        let mut line = String::new();
        self.said.read_line(&mut line).map_err(|error| self.fault(&error.to_string()))?;
        if line == READY { Ok(()) } else { Err(self.fault(&line)) }
    }

    /// Asks it to end. Its helper, which is younger, is left alone.
    pub(crate) fn interrupt(&self) -> Fallible<()> {
        self.host.run("pkill -INT -o -x ftpwhy").map(drop)
    }

    /// Waits for its end.
    pub(crate) fn stop(mut self) -> Fallible<()> {
        let mut text = String::new();
        self.said.read_to_string(&mut text).map_err(|error| self.fault(&error.to_string()))?;
        let status = self.watch.wait().map_err(|error| self.fault(&error.to_string()))?;
        let after = self.host.run(TRACES)?;
        match status.code() {
            Some(0 | 1) if text.is_empty() && after == self.before => Ok(()),
            Some(0 | 1) if text.is_empty() => Err(self.fault(&format!("before: {}after: {after}", self.before))),
            _ => Err(self.fault(&format!("{status}, {text}"))),
        }
    }

    fn fault(&self, what: &str) -> String {
        format!("watch on {}: {what}", self.host.name)
    }
}
