//! A capture of this host and a snapshot before and one after: replay names the rule that the trace would have named.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use ftpwhy::capture::file::read_states;
use ftpwhy::netfilter::{Rule, Witness};
use ftpwhy::replay::{Capture, Replay, Sink, replay};
use ftpwhy::session::join::Session;
use ftpwhy::verdict::{Judgement, TapFacts, Verdict};

use crate::cases::{CASES, Case};
use crate::host::Fallible;
use crate::session::{CLOSED, ROLE, client, is_ready};
use crate::trial::{expected, load, same, without_semicolons};
use crate::world::{End, World};

/// The cases whose rule counters tell.
const COUNTED: [&str; 19] = [
    "nft-input-drop",
    "nft-input-drop-v6",
    "nft-input-reject",
    "nft-input-reject-v6",
    "nft-input-jump",
    "nft-second-table",
    "nft-prerouting-raw",
    "nft-output-drop",
    "nft-forward-drop",
    "iptables-input-drop",
    "iptables-input-policy",
    "iptables-output-reject",
    "iptables-forward-drop",
    "iptables-raw-prerouting",
    "legacy-input-drop",
    "legacy-user-chain",
    "nft-behind-legacy",
    "nft-input-set",
    "iptables-user-chain",
];

/// Cases in which nothing counts, and the rules leave nothing else.
const READ: [&str; 3] = ["nft-input-policy", "nft-input-jump-block", "nft-input-verdict-map"];

/// A case that snapshots tell where the counter rose as often as one answers, which is a matter of time: nobody saw the answers.
const AT_TIMES: [&str; 1] = ["nft-output-syn-ack"];

pub(crate) fn check(world: &World) -> Fallible<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("snapshots");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let expected = [(&COUNTED[..], Some(Witness::Counter)), (&READ, Some(Witness::Ruleset)), (&AT_TIMES, None)];
    for (name, witness) in expected.iter().flat_map(|(names, witness)| names.iter().map(move |name| (name, *witness))) {
        let case = CASES.iter().find(|case| case.name == *name).ok_or(format!("no case is called {name}"))?;
        one(world, case, witness, &folder).map_err(|error| format!("{name}: {error}"))?;
    }
    open(world, &folder)?;
    load(world, "true")?;
    fs::remove_dir_all(&folder).map_err(|error| error.to_string())
}

fn one(world: &World, case: &Case, witness: Option<Witness>, folder: &Path) -> Fallible<()> {
    load(world, case.rules)?;
    let [capture, before, after] = record(world, case, false, folder)?;
    let rule = masked(expected(world, &case.by)?);
    let named = |states: &[&PathBuf]| {
        let states: Vec<PathBuf> = states.iter().map(|state| (*state).clone()).collect();
        let netfilter = judged(&capture, &states)?.netfilter;
        Ok(netfilter.map(|named| (masked(without_semicolons(named.rule)), named.from)))
            as Fallible<Option<(Rule, Witness)>>
    };
    let found = named(&[&before, &after])?;
    match (witness, &found) {
        (None, None) => {}
        _ => same("the rule", &found, &Some((rule.clone(), witness.unwrap_or(Witness::Counter))))?,
    }
    same("in any order", &named(&[&after, &before])?, &found)?;
    for named in [named(&[&before])?, named(&[&after])?].into_iter().flatten() {
        same("the rule, of one snapshot", &named, &(rule.clone(), Witness::Ruleset))?;
    }
    Ok(())
}

/// A firewall that drops nothing, and a port that is closed behind it: that is told, and no rule is named.
fn open(world: &World, folder: &Path) -> Fallible<()> {
    let case = CASES.iter().find(|case| case.name == "nft-input-drop").ok_or("no such case")?;
    load(
        world,
        "table inet filter { ct helper ftp { type \"ftp\" protocol tcp; }
         chain early { type filter hook prerouting priority -300; policy accept; tcp dport 21 ct helper set \"ftp\"; }
         chain input { type filter hook input priority 0; policy accept; ct state new counter accept; } }",
    )?;
    let [capture, before, after] = record(world, case, true, folder)?;
    let verdict = judged(&capture, &[before, after])?;
    let told = |text: &str| verdict.finding.evidence.iter().any(|evidence| evidence.text.english().contains(text));
    let plain = ["no helper reads the control connection here", "the rules of this host let it pass"];
    same("what is plain", &(verdict.netfilter.is_none(), plain.map(told)), &(true, [true; 2]))
}

/// A capture of this host while a transfer fails, and the snapshots before and after.
fn record(world: &World, case: &Case, is_closed: bool, folder: &Path) -> Fallible<[PathBuf; 3]> {
    let files = ["here.pcap", "before.txt", "after.txt"].map(|name| folder.join(name));
    let tcpdump = tcpdump(&files[0])?;
    snapshot(&files[1])?;
    fail(world, case, is_closed)?;
    snapshot(&files[2])?;
    stop(tcpdump)?;
    Ok(files)
}

/// What people wrote is not in a snapshot, and quotes in it are escaped.
fn masked(rule: Rule) -> Rule {
    let text = match rule.text.split_once("comment \"") {
        Some((before, comment)) => {
            let after =
                comment.replace("\\\"", "").split_once('"').map_or(String::new(), |(_, after)| after.to_owned());
            format!("{before}comment \"***\"{after}")
        }
        None => rule.text,
    };
    Rule { text, ..rule }
}

fn tcpdump(file: &Path) -> Fallible<Child> {
    let fail = |error: std::io::Error| format!("tcpdump: {error}");
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.args(["-i", "any", "--immediate-mode", "-U", "-B", "8192", "-Z", "root", "-w"]).arg(file);
    let mut tcpdump = tcpdump.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(fail)?;
    let mut said = BufReader::new(tcpdump.stderr.take().ok_or("tcpdump has no output")?);
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        if said.read_line(&mut line).map_err(fail)? == 0 {
            return Err("tcpdump does not start".to_owned());
        }
    }
    tcpdump.stderr = Some(said.into_inner());
    Ok(tcpdump)
}

/// It writes what it has when it is asked to end.
fn stop(mut tcpdump: Child) -> Fallible<()> {
    let fail = |error: std::io::Error| format!("tcpdump: {error}");
    Command::new("kill").args(["-INT", &tcpdump.id().to_string()]).status().map_err(fail)?;
    let mut rest = String::new();
    tcpdump.stderr.take().map_or(Ok(0), |mut said| said.read_to_string(&mut rest)).map_err(fail)?;
    tcpdump.wait().map(drop).map_err(fail)
}

fn snapshot(file: &Path) -> Fallible<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_ftpwhy")).args(["snapshot", "-o"]).arg(file).output();
    let output = output.map_err(|error| format!("snapshot: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(format!("snapshot: {said}")) }
}

/// A session in which the data connection fails.
fn fail(world: &World, case: &Case, is_closed: bool) -> Fallible<()> {
    let fail = |error: std::io::Error| format!("server: {error}");
    let on = if case.data.0 == End::Server || case.data.1 == End::Server { End::Server } else { End::Here };
    let program = env::current_exe().map_err(fail)?;
    let mut server = world.command(on, program.to_str().ok_or("a path that is no text")?);
    if is_closed {
        server.env(CLOSED, "1");
    }
    let mut server = server.arg(ROLE).stdout(Stdio::piped()).spawn().map_err(fail)?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut line).map_err(fail)?;
    if !is_ready(&line) {
        return Err("the server does not listen".to_owned());
    }
    client(world, case)?;
    server.wait().map(drop).map_err(fail)
}

/// What a replay says of the transfer.
fn judged(capture: &Path, states: &[PathBuf]) -> Fallible<Verdict> {
    let states = read_states(states).map_err(|error| error.to_string())?;
    let capture = Capture { paths: vec![capture.to_owned()], states, ..Capture::default() };
    let what = Replay {
        captures: vec![capture],
        control_ports: vec![21],
        passive_range: None,
        filter: None,
        unfiltered: true,
    };
    let mut found = Found::default();
    replay(&what, &mut found).map_err(|error| error.to_string())?.map_err(|error: String| error)?;
    match found.0.pop() {
        Some(verdict) if found.0.is_empty() => Ok(verdict),
        other => Err(format!("not one transfer failed: {other:?} {:?}", found.0)),
    }
}

#[derive(Default)]
struct Found(Vec<Verdict>);

impl Sink for Found {
    type Error = String;

    fn session(&mut self, _: &Session, judgement: &Judgement, _: &[TapFacts]) -> Result<(), String> {
        self.0.extend(judgement.transfers.iter().filter_map(|(_, verdict)| verdict.clone()));
        Ok(())
    }

    fn progress(&mut self, _: u64, _: Option<u64>) {}
}
