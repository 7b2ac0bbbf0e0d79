//! New sessions without end, and how many of them the capture tells as they were.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bulk::lost_nothing;
use crate::capture::{FTPWHY, Running};
use crate::host::{Fallible, output};
use crate::pair::{Pair, beside};

/// New sessions a second for the whole minute: where nothing may be lost.
const RATE: u32 = 1000;
/// Seconds of each doubled rate.
const SHORT: u64 = 10;

/// One rate for some seconds.
struct Held {
    /// Sessions that went well.
    sessions: u64,
    /// Sessions a second that the machine made.
    made: f64,
    /// Whether each of them was told, with its download, and no packet was lost.
    is_whole: bool,
}

/// Prints what became of each rate; true if nothing was lost at a thousand a second.
pub(crate) fn measure(pair: &Pair, seconds: u64) -> Fallible<bool> {
    println!("Storm: sessions of a login and a passive download, ftpwhy watch on the server's host\n");
    println!("| wanted a second | seconds | sessions | made a second | told right | processor s | peak MiB |");
    println!("|---|---|---|---|---|---|---|");
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let program = program.to_string_lossy();
    let mut server = beside(&pair.server, &program).arg("serve").stdout(Stdio::piped()).spawn();
    let server = server.as_mut().map_err(|error| format!("{program}: {error}"))?;
    let stdout = server.stdout.take().ok_or("it is piped")?;
    BufReader::new(stdout).read_line(&mut String::new()).map_err(|error| error.to_string())?;

    let must = hold(pair, &program, RATE, seconds)?;
    let mut rate = RATE;
    let mut last = must.made;
    while rate < 1 << 20 {
        rate *= 2;
        let held = hold(pair, &program, rate, SHORT)?;
        if !held.is_whole {
            println!("\nit breaks at {:.0} new sessions a second", held.made);
            break;
        }
        if held.made < last * 1.1 {
            println!("\nnothing was lost; this machine makes no more than {:.0} new sessions a second", held.made);
            break;
        }
        last = held.made;
    }
    let _ = server.kill();
    Ok(must.is_whole && must.sessions > 0)
}

fn hold(pair: &Pair, program: &str, rate: u32, seconds: u64) -> Fallible<Held> {
    let told = env::temp_dir().join(format!("ftpwhy-watch-bench-{}", std::process::id()));
    let stdout = File::create(&told).map_err(|error| format!("{}: {error}", told.display()))?;
    let watch = Running::start(&pair.server, FTPWHY, &["watch", "--format", "jsonl"], stdout, "watching")?;
    let mut call = Command::new("nsenter");
    call.args(["-t", &pair.client.id(), "--net", "--", program, "call", &rate.to_string(), &seconds.to_string()]);
    let held = output(&mut call, "")?;
    let took = watch.end()?;
    let (sessions, length) = held.trim().split_once(' ').ok_or("the caller tells two numbers")?;
    let sessions: u64 = sessions.parse().map_err(|_| format!("no number: {sessions}"))?;
    let length: f64 = length.parse().map_err(|_| format!("no number: {length}"))?;
    let right = told_right(&told)?;
    let _ = std::fs::remove_file(&told);
    let made = sessions as f64 / length;
    let (cpu, peak) = (took.cpu.as_secs_f64(), took.peak);
    println!("| {rate} | {length:.1} | {sessions} | {made:.0} | {right} | {cpu:.2} | {peak:.0} |");
    Ok(Held { sessions, made, is_whole: lost_nothing(&took) && right == sessions })
}

/// Sessions that are told with a login and one completed download of the right size.
fn told_right(path: &std::path::Path) -> Fallible<u64> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut right = 0;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let session: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        let transfers = session["transfers"].as_array().map_or(&[][..], Vec::as_slice);
        let [transfer] = transfers else { continue };
        let connection = &transfer["data_connection"];
        right += u64::from(transfer["outcome"] == "completed" && connection["bytes_to_client"] == 512);
    }
    Ok(right)
}
