//! A host or router: network, mount, pid and host name namespaces that live as long as the value does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A result, or what went wrong in the laboratory itself.
pub(crate) type Fallible<T> = Result<T, String>;

/// Runs a command to its end; what it printed, on both streams.
pub(crate) fn output(command: &mut Command, input: &str) -> Fallible<String> {
    let told = format!("{command:?}");
    let fail = |error: std::io::Error| format!("{told}: {error}");
    let piped = || if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut child = command.stdin(piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(fail)?;
    }
    let output = child.wait_with_output().map_err(fail)?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{told}: {}\n{text}", output.status)) }
}

/// A host, alive as long as its first process.
#[derive(Debug)]
pub(crate) struct Host {
    /// What it is called in the scenario.
    pub(crate) name: &'static str,
    unshare: Child,
    first: u32,
}

/// What the first process does: private folders that servers and clients write to, then it waits to be killed.
const FIRST: &str = "mount -t tmpfs none /run && mount -t tmpfs none /home && mkdir /home/user && ip link set lo up \
                     && hostname \"$0\" && echo up && exec sleep infinity";

impl Host {
    /// Starts one.
    pub(crate) fn start(name: &'static str) -> Fallible<Host> {
        let mut unshare = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--uts",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
                "-c",
                FIRST,
                name,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        let stdout = unshare.stdout.take().ok_or("unshare has no output")?;
        let read = BufReader::new(stdout).read_line(&mut line);
        let id = unshare.id();
        let mut host = Host { name, unshare, first: 0 };
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        match (read, children.trim().parse()) {
            (Ok(_), Ok(first)) if line == "up\n" => host.first = first,
            _ => return Err(format!("no namespaces for {name}")),
        }
        Ok(host)
    }

    /// The id of its first process, by which ip(8) knows its network namespace.
    pub(crate) fn id(&self) -> String {
        self.first.to_string()
    }

    /// A command that runs there.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.id(), "--net", "--mount", "--pid", "--uts", "--", program]);
        command
    }

    /// Runs a shell script there; what it printed.
    pub(crate) fn run(&self, script: &str) -> Fallible<String> {
        self.run_with(script, "").map_err(|error| format!("on {}: {error}", self.name))
    }

    /// The same with something to read.
    pub(crate) fn run_with(&self, script: &str, input: &str) -> Fallible<String> {
        output(self.command("sh").args(["-ec", script]), input)
    }

    /// A file of its, seen from outside.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first))
    }

    /// Writes a file there.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Fallible<()> {
        fs::write(self.path(path), content).map_err(|error| format!("{path} on {}: {error}", self.name))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}
