//! `RECORD=1`: makes a folder of `captures/` of a scenario, with how it was made and how its truth is known. `RECORD=` with
//! the name of a host instead keeps only the capture on all of its interfaces.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use ftpwhy::verdict::{Mechanism, Outcome};
use serde_json::json;

use crate::common;
use crate::host::{Fallible, output};
use crate::line::At;
use crate::scenario::Scenario;
use crate::server::Program;
use crate::trial::Recording;
use crate::world;

/// Writes the folder of a scenario; its name begins with the rule that all taps together call for.
pub(crate) fn publish(scenario: &Scenario, recording: &Recording, proof: &[String]) -> Fallible<()> {
    let rule = rule(scenario, recording);
    let name = match &rule {
        Some(rule) => format!("{rule}-{}", scenario.name),
        None => scenario.name.clone(),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
    let write = |name: &str, content: &[u8]| {
        fs::write(folder.join(name), content).map_err(|error| format!("{}: {error}", folder.display()))
    };
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (file, _) in files(scenario) {
        write(&file, &fs::read(recording.folder.join(&file)).map_err(|error| error.to_string())?)?;
    }
    write("case.json", case(scenario, rule.as_deref()).as_bytes())?;
    write("README.md", recipe(scenario, recording, proof)?.as_bytes())
}

/// The files that are kept, each with its taps.
fn files(scenario: &Scenario) -> Vec<(String, Vec<usize>)> {
    let host = std::env::var("RECORD").unwrap_or_default();
    let whole = scenario.line.wholes().into_iter().find(|whole| whole.at.to_string() == host);
    match whole {
        Some(whole) => vec![(whole.name, whole.taps)],
        None => scenario.line.taps().into_iter().enumerate().map(|(tap, name)| (name, vec![tap])).collect(),
    }
}

/// The rule that decides the case for all taps together.
fn rule(scenario: &Scenario, recording: &Recording) -> Option<String> {
    let files = files(scenario);
    let capture = |name| common::capture(Some(common::place(name)), recording.folder.join(name));
    let captures = files.iter().map(|(name, _)| capture(name));
    let mut rule = None;
    common::look_at(captures.collect(), &[scenario.server.port], |_, judgement, _| {
        let transfers = judgement.transfers.iter().filter_map(|(_, verdict)| verdict.as_ref());
        rule = transfers.chain(&judgement.control.1).next().map(|verdict| verdict.rule.id.to_owned()).or(rule.take());
    });
    rule
}

fn case(scenario: &Scenario, rule: Option<&str>) -> String {
    let (files, last) = (files(scenario), scenario.line.taps().len());
    // Where nothing was kept, the end of the line that lies behind.
    let point = |number: usize, end| {
        let file = files.iter().find(|(_, taps)| taps.iter().any(|tap| tap + 1 == number));
        match number {
            0 => "client",
            _ if number > last => "server",
            _ => file.map_or(end, |(name, _)| name.as_str()),
        }
    };
    let options = match scenario.server.port {
        21 | 990 => Vec::new(),
        port => vec!["--control-port".to_owned(), port.to_string()],
    };
    let side = match scenario.truth.place {
        Some(At::Client) => "client",
        Some(At::Router(_) | At::Wire) => "network",
        Some(At::Server | At::Other) => "server",
        None => "none",
    };
    let outcome = match scenario.truth.outcome {
        Outcome::Completed => "completed",
        Outcome::Aborted => "aborted",
        _ => "failed",
    };
    let mut truth = json!({
        "place": scenario.interval().map(|(from, to)| [point(from, "client"), point(to, "server")]),
        "side": side,
        "mechanism": mechanism(scenario).map(|mechanism| hyphened(&format!("{mechanism:?}"))),
        "outcome": outcome,
        "rule": rule,
    });
    if let Some(twin) = scenario.twins(&(0..last).collect::<Vec<_>>()).first() {
        truth["wider"] = json!(twin.story);
    }
    format!(
        "{:#}\n",
        json!({ "taps": files.iter().map(|(name, _)| name).collect::<Vec<_>>(), "options": options, "truth": truth })
    )
}

/// What the files that are kept show of how.
fn mechanism(scenario: &Scenario) -> Option<Mechanism> {
    let whole = files(scenario).iter().any(|(name, _)| name.ends_with("-any.pcap"));
    scenario.truth.on_loopback.filter(|_| whole).or(scenario.truth.mechanism)
}

/// The report's word for a name of the program's: `SilentDrop` is `silent-drop` there.
fn hyphened(name: &str) -> String {
    let hyphened =
        |letter: char| if letter.is_uppercase() { format!("-{}", letter.to_lowercase()) } else { letter.into() };
    name.chars().map(hyphened).collect::<String>().trim_start_matches('-').to_owned()
}

/// How it was made, and how its truth is known.
fn recipe(scenario: &Scenario, recording: &Recording, proof: &[String]) -> Fallible<String> {
    let mut text = String::new();
    let mut section = |heading: &str, body: &str, is_code: bool| {
        let fence = if is_code { "```\n" } else { "" };
        let end = if body.ends_with('\n') { "" } else { "\n" };
        let _ = write!(text, "{heading}\n\n{fence}{body}{end}{fence}\n");
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default();
    let row = if scenario.row.is_empty() { String::new() } else { format!(" (failure mode {})", scenario.row) };
    section(&format!("# {}", scenario.name), &format!("{}{row}.", scenario.story), false);
    let line = format!(
        "{}.\n\nScenario `{}` of `tests/lab`, recorded between real programs in network namespaces that veth pairs join \
         (Linux {kernel}), with `tcpdump --immediate-mode -U -s 0` on every interface at once, without a filter.",
        scenario.line.told(),
        scenario.name
    );
    section("## Line", &line, false);
    section("## Programs", &versions(scenario)?, false);
    section("## Server", &hide(&recording.server_config), true);
    let invocation = scenario.client.invocation(scenario.line.called(), &scenario.server);
    section("## Client", &hide(&invocation.told()), true);
    section("It printed, at the end:", &hide(recording.said.trim_end()), true);
    for (at, dump) in &recording.dumps {
        section(&format!("## Rules of {at}, at the end"), dump.trim_end(), true);
    }
    for event in &scenario.events {
        section(&format!("On {}, {:?}:", event.at, event.when), &event.command, true);
    }
    let proof: String = proof.iter().map(|line| format!("- {line}\n")).collect();
    section("## Truth", &format!("How it is known, from all captures and the rules' counters:\n\n{proof}"), false);
    Ok(text.trim_end().to_owned() + "\n")
}

/// Words that no recipe repeats: passwords, and where this machine keeps things.
fn hide(text: &str) -> String {
    let (unpacked, files) = (world::unpacked(), world::folder());
    text.replace("secret", "PASSWORD").replace(&*unpacked.to_string_lossy(), "").replace(&*files.to_string_lossy(), "")
}

fn versions(scenario: &Scenario) -> Fallible<String> {
    let server = match scenario.server.program {
        Program::Vsftpd => "vsftpd",
        Program::Pyftpdlib => "python3-pyftpdlib",
        Program::Stub | Program::Absent => "python3",
        Program::PureFtpd | Program::Proftpd => "",
    };
    let installed = ["lftp", "curl", "tnftp", "inetutils-ftp", "python3", "nftables", "iptables", server];
    let installed = installed.into_iter().filter(|package| !package.is_empty());
    let mut query = Command::new("dpkg-query");
    let all = output(query.args(["-W", "-f", "${Package} ${Version}, "]).args(installed), "")?;
    let unpacked = fs::read_to_string(world::unpacked().join("versions")).unwrap_or_default();
    let unpacked = unpacked.lines().filter(|line| line.contains("ftpd")).collect::<Vec<_>>().join(", ");
    Ok(format!(
        "Server {:?}, client {:?}. Debian packages: {all}{unpacked}.",
        scenario.server.program, scenario.client.program
    ))
}
