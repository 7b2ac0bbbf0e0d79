//! `cargo bench --bench watch`: what a live capture costs the host that it runs on, and what escapes it.
//!
//! Two hosts in namespaces of their own, joined by a veth; the capture runs on the server's. [`bulk`] saturates the veth with
//! transfers of one big file by real programs, beside an unfiltered `tcpdump`; [`storm`] opens a thousand sessions a second for
//! a minute, then doubles their rate until something is lost or the machine makes no more. Needs root, vsftpd, curl and
//! tcpdump.
//!
//! The exit status is 1 if the capture lost packets or sessions where it must not, 2 if something cannot be run. Times are
//! judged in words only.

mod bulk;
mod capture;
#[allow(dead_code, reason = "the laboratory uses all of it")]
#[path = "../../tests/lab/host.rs"]
mod host;
mod pair;
#[allow(dead_code, reason = "the other bench uses all of it")]
#[path = "../replay/process.rs"]
mod process;
mod session;
mod storm;

use std::env;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use crate::host::Fallible;
use crate::pair::Pair;

/// Set inside the namespaces.
const INSIDE: &str = "FTPWHY_WATCH_BENCH_INSIDE";

/// Measures `ftpwhy watch` on a busy server.
#[derive(Parser)]
struct Options {
    /// Rounds of bulk transfers; 0 leaves them out
    #[arg(long, value_name = "N", default_value_t = 9)]
    rounds: u32,
    /// Length of the minute in which a thousand sessions a second come
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Passed by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does within a host.
#[derive(Subcommand)]
enum Role {
    /// Answers sessions
    #[command(hide = true)]
    Serve,
    /// Holds sessions
    #[command(hide = true)]
    Call { rate: u32, seconds: u64 },
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.role {
        Some(Role::Serve) => return ended(session::serve().map(|()| true)),
        Some(Role::Call { rate, seconds }) => return ended(session::call(rate, seconds).map(|()| true)),
        None if !options.bench => {
            eprintln!("watch: measures optimised builds only; run `cargo bench --bench watch`");
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    if env::var_os(INSIDE).is_some() {
        return ended(run(&options));
    }
    let inside = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(env::args_os())
        .env(INSIDE, "1")
        .status();
    let code = inside.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(2))
}

fn ended(result: Fallible<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("watch: {error}");
            ExitCode::from(2)
        }
    }
}

/// True if nothing was lost that must not be.
fn run(options: &Options) -> Fallible<bool> {
    let pair = Pair::new()?;
    let bulk = options.rounds == 0 || bulk::measure(&pair, options.rounds)?;
    let storm = storm::measure(&pair, options.seconds)?;
    Ok(bulk && storm)
}
