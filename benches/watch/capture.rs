//! A program that captures until it is told to end, and what it took.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use crate::host::{Fallible, Host, output};
use crate::pair::beside;
use crate::process::{duration, reap};

/// The program that is measured.
pub(crate) const FTPWHY: &str = env!("CARGO_BIN_EXE_ftpwhy");

/// A capture under way.
pub(crate) struct Running {
    child: Child,
    errors: BufReader<ChildStderr>,
}

/// What a capture took, and what it said on standard error.
pub(crate) struct Took {
    /// On processors, in user and in system mode.
    pub(crate) cpu: Duration,
    /// Most memory resident at once, in MiB.
    pub(crate) peak: f64,
    pub(crate) said: String,
}

impl Running {
    /// Starts it and waits for the line that says so.
    pub(crate) fn start(
        host: &Host,
        program: &str,
        arguments: &[&str],
        stdout: File,
        ready: &str,
    ) -> Fallible<Running> {
        let fail = |error: io::Error| format!("{program}: {error}");
        let mut command = beside(host, program);
        let mut child = command.args(arguments).stdout(stdout).stderr(Stdio::piped()).spawn().map_err(fail)?;
        let mut errors = BufReader::new(child.stderr.take().ok_or("it is piped")?);
        let mut line = String::new();
        while !line.contains(ready) {
            line.clear();
            if errors.read_line(&mut line).map_err(fail)? == 0 {
                return Err(format!("{program} did not begin"));
            }
        }
        Ok(Running { child, errors })
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn end(mut self) -> Fallible<Took> {
        output(Command::new("kill").args(["-INT", &self.child.id().to_string()]), "")?;
        let mut said = String::new();
        self.errors.read_to_string(&mut said).map_err(|error| error.to_string())?;
        let (_, usage) = reap(&self.child).map_err(|error| error.to_string())?;
        let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
        Ok(Took { cpu, peak: usage.ru_maxrss as f64 / 1024.0, said })
    }
}
