//! A program that captures until it is told to end, and what it took.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::mem::MaybeUninit;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use crate::host::{Fallible, Host, output};
use crate::pair::beside;

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
        let usage = reap(&self.child).map_err(|error| error.to_string())?;
        let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
        Ok(Took { cpu, peak: usage.ru_maxrss as f64 / 1024.0, said })
    }
}

/// Waits for a child and takes its account (wait4(2), getrusage(2)).
#[allow(unsafe_code)]
fn reap(child: &Child) -> io::Result<libc::rusage> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    let id = child.id().cast_signed();
    // SAFETY: `id` is a child that nobody else waits for; both pointers are to values of the right type that outlive the call.
    if unsafe { libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()) } != id {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: wait4 returned the child, so it has filled in the whole of `usage`.
    Ok(unsafe { usage.assume_init() })
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}
