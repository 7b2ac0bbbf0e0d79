//! `ftpwhy watch --trace` is killed at any moment: nothing of it may stay.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::host::Fallible;
use crate::world::World;

/// How soon all must be gone.
const SOON: Duration = Duration::from_secs(2);
const ROUNDS: u64 = 100;
/// Milliseconds after its start; the trace is set up in the first two hundred.
const MOMENTS: u64 = 600;
const TABLES: &str = "nft list tables | grep ftpwhy || true";
const LOGGERS: &str = "cat /proc/sys/net/netfilter/nf_log/2 /proc/sys/net/netfilter/nf_log/10";
const PROCESSES: &str = "ps -eo stat,comm,args | grep -E '^[^Z]\\S* +(nft|ftpwhy|ip6?tables|xtables)' || true";

pub(crate) fn check(world: &World) -> Fallible<()> {
    // rules of the older iptables, so that loggers are changed, too
    world.here(
        "iptables-legacy -A INPUT -p tcp --dport 4711 -j DROP; ip6tables-legacy -A INPUT -p tcp --dport 4711 -j DROP",
    )?;
    let before = left(world)?;
    let (mut with_table, mut with_logger, mut moment) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut watch = Command::new(env!("CARGO_BIN_EXE_ftpwhy"))
            .args(["watch", "--trace"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        moment = next_moment(moment);
        sleep(Duration::from_millis(moment));
        let during = left(world)?;
        watch.kill().and_then(|()| watch.wait().map(drop)).map_err(|error| error.to_string())?;
        with_table += u64::from(during.0 != before.0);
        with_logger += u64::from(during.1 != before.1);
        let killed = Instant::now();
        let mut after = left(world)?;
        while after != before && killed.elapsed() < SOON {
            after = left(world)?;
        }
        if after != before {
            return Err(format!("round {round}, killed after {moment} ms: {SOON:?} later {after:?}, not {before:?}"));
        }
    }
    // or else nothing was tried
    if with_table < ROUNDS / 4 || with_logger < ROUNDS / 4 {
        return Err(format!("only {with_table} rounds with a table, {with_logger} with another logger"));
    }
    Ok(())
}

/// Moments without an order, the same every time: a linear congruence whose period is their number.
fn next_moment(moment: u64) -> u64 {
    (moment * 421 + 397) % MOMENTS
}

/// Tables, loggers and processes.
fn left(world: &World) -> Fallible<(String, String, String)> {
    Ok((world.here(TABLES)?, world.here(LOGGERS)?, world.here(PROCESSES)?))
}
