//! tcpdump on every interface, on all of a host at once, and on loopbacks, without a filter.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};

use crate::host::{Fallible, Host};

/// A running capture.
#[derive(Debug)]
pub(crate) struct Capture<'a> {
    name: String,
    host: &'a Host,
    tcpdump: Child,
    said: BufReader<ChildStderr>,
}

impl<'a> Capture<'a> {
    /// Starts one. Without `-U` and immediate mode the last packets are missing.
    ///
    /// The ring of a capture on `any` holds as many packets as snap lengths go into it, whatever their own length.
    pub(crate) fn start(host: &'a Host, interface: &str, snap: u32, file: &Path) -> Fallible<Capture<'a>> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fail = |error: std::io::Error| format!("{name}: {error}");
        let output = File::create(file).map_err(fail)?;
        // On `any`, headers that name the interface; elsewhere the option would be refused.
        let cooked: &[&str] = if interface == "any" { &["-y", "LINUX_SLL2"] } else { &[] };
        let mut tcpdump = host
            .command("tcpdump")
            .args(["-Z", "root", "--immediate-mode", "-U", "-B", "16384", "-n", "-i", interface, "-w", "-"])
            .args(cooked)
            .args(["-s", &snap.to_string()])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        let said = BufReader::new(tcpdump.stderr.take().ok_or("tcpdump has no output")?);
        Ok(Capture { name, host, tcpdump, said })
    }

    /// Waits until it captures.
    pub(crate) fn wait(&mut self) -> Fallible<()> {
        let (mut text, mut line) = (String::new(), String::new());
        while !line.contains("listening on") {
            line.clear();
            if self.said.read_line(&mut line).map_err(|error| format!("{}: {error}", self.name))? == 0 {
                return Err(format!("{}: tcpdump did not start: {text}", self.name));
            }
            text += &line;
        }
        Ok(())
    }

    /// Ends it. It is of no use if the kernel lost packets.
    pub(crate) fn stop(mut self) -> Fallible<()> {
        // The first capture of a host ends them all.
        let _ = self.host.run("pkill -INT -x tcpdump || true");
        let mut text = String::new();
        self.said.read_to_string(&mut text).map_err(|error| format!("{}: {error}", self.name))?;
        self.tcpdump.wait().map_err(|error| format!("{}: {error}", self.name))?;
        match text.lines().any(|line| line.ends_with("packets dropped by kernel") && line.starts_with("0 ")) {
            true => Ok(()),
            false => Err(format!("{}: packets were lost: {}", self.name, text.trim())),
        }
    }
}
