//! The main process is killed: nothing of it may stay.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ftpwhy::capture::live::keeper::Request;

use crate::host::Fallible;
use crate::trial::keeper;
use crate::world::World;

/// The argument that makes this program the main process that is killed.
pub(crate) const ROLE: &str = "main-process";

/// How soon all must be gone.
const SOON: Duration = Duration::from_secs(1);
const ROUNDS: usize = 10;
const TABLES: &str = "nft list tables | grep ftpwhy || true";
const LOGGERS: &str = "cat /proc/sys/net/netfilter/nf_log/2 /proc/sys/net/netfilter/nf_log/10";
const PROCESSES: &str = "ps -eo stat,comm,args | grep -E '^[^Z]\\S* +(nft|ftpwhy)' || true";

/// Has the helper do all that must be undone, says so, and waits to be killed.
pub(crate) fn main_process() -> ExitCode {
    let asked = keeper(None).map(|mut keeper| {
        let asked = keeper.ask(Request::Trace).and_then(|_| keeper.ask(Request::Log));
        println!("{}", asked.map_or_else(|error| error.to_string(), |_| "ready".to_owned()));
        sleep(Duration::from_secs(60));
    });
    if asked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn check(world: &World) -> Fallible<()> {
    let before = world.here(LOGGERS)?;
    for round in 0..ROUNDS {
        let mut main = Command::new(env::current_exe().map_err(|error| error.to_string())?)
            .arg(ROLE)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let stdout = main.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let during = (world.here(TABLES)?, world.here(LOGGERS)?);
        main.kill().and_then(|()| main.wait().map(drop)).map_err(|error| error.to_string())?;
        if line != "ready\n" || !during.0.contains("table inet ftpwhy_") || !during.1.starts_with("nfnetlink_log") {
            return Err(format!("round {round}: {line}{during:?}"));
        }
        let killed = Instant::now();
        let mut left = left(world)?;
        while (!left.0.is_empty() || left.1 != before || !left.2.is_empty()) && killed.elapsed() < SOON {
            left = self::left(world)?;
        }
        if !left.0.is_empty() || left.1 != before || !left.2.is_empty() {
            return Err(format!("round {round}: left after {SOON:?}: {left:?}"));
        }
    }
    Ok(())
}

/// Tables, loggers and processes.
fn left(world: &World) -> Fallible<(String, String, String)> {
    Ok((world.here(TABLES)?, world.here(LOGGERS)?, world.here(PROCESSES)?))
}
