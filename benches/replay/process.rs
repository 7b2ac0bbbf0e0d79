//! One process from its start to its end: how long it took and what it used.
//!
//! Read `wait4(2)` and `getrusage(2)` first. The peak of a child counts from the fork, so it is never less than what this
//! process held at that time: keep it small while measuring.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a process took.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    /// From before its start to its end.
    pub(crate) wall: Duration,
    /// On processors, in user and in system mode.
    pub(crate) cpu: Duration,
    /// Most memory resident at once, in MiB.
    pub(crate) peak: f64,
}

/// Runs a command to its end with all output to `/dev/null`.
///
/// # Errors
/// It cannot be started, or ends otherwise than with a status from `fine`.
pub(crate) fn measure(command: &mut Command, fine: &[i32]) -> io::Result<Spent> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().map_err(|error| told(command, &error))?;
    let (status, usage) = reap(&child)?;
    let wall = start.elapsed();
    expect(command, status, fine)?;
    Ok(Spent { wall, cpu: duration(usage.ru_utime) + duration(usage.ru_stime), peak: usage.ru_maxrss as f64 / 1024.0 })
}

/// Runs a command that must succeed; what it has to say on standard error is shown.
///
/// # Errors
/// It cannot be started, or fails.
pub(crate) fn succeed(command: &mut Command) -> io::Result<()> {
    let status = command.stdout(Stdio::null()).status().map_err(|error| told(command, &error))?;
    expect(command, status, &[0])
}

/// An error unless the process ended with a status from `fine`.
///
/// # Errors
/// Any other end, with the command's line.
pub(crate) fn expect(command: &Command, status: ExitStatus, fine: &[i32]) -> io::Result<()> {
    match status.code() {
        Some(code) if fine.contains(&code) => Ok(()),
        _ => Err(told(command, &status)),
    }
}

fn told(command: &Command, what: &impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{command:?}: {what}"))
}

/// Waits for a child and takes its account.
///
/// # Errors
/// Somebody else has waited for it.
#[allow(unsafe_code)]
pub(crate) fn reap(child: &Child) -> io::Result<(ExitStatus, libc::rusage)> {
    let id = child.id().cast_signed();
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `id` is a child that nobody else waits for; both pointers are to values of the right type that outlive the call.
    if unsafe { libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()) } != id {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: wait4 returned the child, so it has filled in the whole of `usage`.
    Ok((ExitStatus::from_raw(status), unsafe { usage.assume_init() }))
}

/// A time of an account.
pub(crate) fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}
