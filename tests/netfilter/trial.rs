//! Makes a case happen, once without and once with the trace.

use std::io;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ftpwhy::capture::live::keeper::{Keeper, Request};
use ftpwhy::capture::live::nflog::Nflog;
use ftpwhy::capture::live::tracer::Tracer;
use ftpwhy::cite::Time;
use ftpwhy::netfilter::evaluate::{Device, Packet, States, Way};
use ftpwhy::netfilter::ruleset::Ruleset;
use ftpwhy::netfilter::table::Traced;
use ftpwhy::netfilter::{Dropped, Family, Hook, Kind, Rule, Tool, Witness};
use ftpwhy::packet::Flags;

use crate::cases::{By, Case, DATA};
use crate::host::Fallible;
use crate::world::End::{self, Here};
use crate::world::World;

/// How long the kernel may take to tell.
const PATIENCE: Duration = Duration::from_secs(2);

/// The helper process.
pub(crate) fn keeper(passive_range: Option<RangeInclusive<u16>>) -> Fallible<Keeper> {
    let traced = Traced { control_ports: vec![21, 990], passive_range };
    Keeper::start(Path::new(env!("CARGO_BIN_EXE_ftpwhy")), &traced).map_err(|error| format!("keeper: {error}"))
}

pub(crate) fn run(world: &World, case: &Case) -> Fallible<()> {
    load(world, case.rules)?;
    attempt(world, case)?;
    let untraced = counters(world)?;

    load(world, case.rules)?;
    let fail = |error: &dyn std::fmt::Display| error.to_string();
    let mut tracer = Tracer::open().map_err(|error| fail(&error))?;
    let mut keeper = keeper(case.control.is_none().then_some(DATA..=DATA + 9))?;
    let mut lines = Nflog::open().map_err(|error| fail(&error))?;
    keeper.ask(Request::Log).map_err(|error| fail(&error))?;
    keeper.ask(Request::Trace).map_err(|error| fail(&error))?;
    let (ruleset, absent) = keeper.ruleset().map_err(|error| fail(&error))?;
    attempt(world, case)?;
    let counted = counters(world)?;
    let (dropped, all) = listen(case, |dropped| match case.by.tool {
        Tool::IptablesLegacy => lines.read(Time(1), &ruleset, dropped),
        _ => tracer.read(Time(1), dropped),
    })?;
    let expected = expected(world, &case.by)?;
    let (later, _) = keeper.ruleset().map_err(|error| fail(&error))?;
    drop(keeper);

    let resolved = match case.by.tool {
        Tool::IptablesLegacy => dropped.rule.clone(),
        _ => ruleset.resolve(&dropped.rule).ok_or_else(|| format!("unknown: {:?}", dropped.rule))?,
    };
    foreseen(case, &ruleset, &dropped, &resolved)?;
    passes(case, &ruleset, &dropped, &all)?;
    same("resolved later", &later.resolve(&resolved), &Some(resolved.clone()))?;
    same("the rule", &without_semicolons(resolved), &expected)?;
    same("the witness", &dropped.from, &Witness::Trace)?;
    same("translated", &dropped.translated.is_some(), &case.translated)?;
    same("absent lists", &absent, &Vec::new())?;
    same("overruns", &(tracer.overruns(), tracer.trace().unreadable(), tracer.trace().unknown()), &(0, 0, 0))?;
    same("counters", &counted, &untraced)?;
    let left = world.here("nft list tables")?;
    if left.contains("ftpwhy") { Err(format!("left behind: {left}")) } else { Ok(()) }
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, should_be: &T) -> Fallible<()> {
    if is == should_be { Ok(()) } else { Err(format!("{what}: {is:#?}\n  should be: {should_be:#?}")) }
}

/// Leaves no rule.
const CLEAR: &str = "nft flush ruleset; for tool in iptables-legacy ip6tables-legacy; do for table in filter raw; do \
                     $tool -t $table -F; $tool -t $table -X; done; $tool -P OUTPUT ACCEPT; done";

/// Loads rules in place of all others.
pub(crate) fn load(world: &World, rules: &str) -> Fallible<()> {
    let rules = rules.replace("; }", ";\n}").replace("} }", "}\n}");
    let script = if rules.starts_with("table") { format!("nft -f - <<'END'\n{rules}\nEND") } else { rules };
    world.here(&format!("{CLEAR}\n{script}")).map(drop)
}

/// A control connection that teaches the kernel whom to follow, then the data connection.
fn attempt(world: &World, case: &Case) -> Fallible<()> {
    let _listener = TcpListener::bind(("::", DATA)).map_err(|error| format!("port {DATA}: {error}"))?;
    if let Some(control) = case.control {
        world.connect(control, case.v6, 21)?;
    }
    world.connect(case.data, case.v6, DATA)
}

/// All rules but for those that trace, with what they counted: something or nothing. How often a segment is repeated is a
/// matter of time.
fn counters(world: &World) -> Fallible<String> {
    let list = world.here("nft list ruleset 2>/dev/null")?;
    let mut is_ours = false;
    let others = list.lines().filter(|line| {
        if line.starts_with("table ") {
            is_ours = line.contains("ftpwhy_");
        }
        !is_ours
    });
    let legacy = world.here("{ iptables-legacy-save -c; ip6tables-legacy-save -c; } | grep '^\\[' || true")?;
    let all = others.collect::<Vec<_>>().join("\n") + &legacy;
    let counts = |word: &str| word.trim_matches(['[', ']']).split(':').all(|number| number.parse::<u64>().is_ok());
    let mut is_counter = false;
    let words = all.split_inclusive(char::is_whitespace).map(|word| {
        let (bare, follows) = (word.trim_end(), is_counter);
        is_counter = bare == "packets" || bare == "bytes";
        match (follows || bare.starts_with('[')) && counts(bare) && bare.contains(|c| ('1'..='9').contains(&c)) {
            true => word.replace(bare, "some"),
            false => word.to_owned(),
        }
    });
    Ok(words.collect())
}

/// Reading the rules must have told that the one that dropped the segment may, and of those that drop all that they match that
/// nothing else was possible.
fn foreseen(case: &Case, ruleset: &Ruleset, dropped: &Dropped, rule: &Rule) -> Fallible<()> {
    let states = match case.flags {
        Flags::SYN => States::NEW,
        _ => States::ESTABLISHED,
    };
    let (source, destination) = (dropped.source.into(), dropped.destination.into());
    let packet = Packet { source, destination, flags: case.flags, ..packet(case, states) };
    let way = if case.flags == Flags::SYN | Flags::ACK { way((case.data.1, case.data.0)) } else { way(case.data) };
    let fate = ruleset.fate(&packet, way);
    if !fate.drops.contains(rule) {
        return Err(format!("not foreseen: {rule:#?}\n  but: {fate:#?}"));
    }
    match (fate.may_pass || fate.drops.len() > 1, case.unsure) {
        (false, true) => Err(format!("certain in spite of all: {fate:#?}")),
        (true, false) => Err(format!("not certain: {fate:#?}")),
        _ => Ok(()),
    }
}

/// The control connection's SYN may pass by the rules, unless the trace tells of a drop.
fn passes(case: &Case, ruleset: &Ruleset, dropped: &Dropped, all: &[Dropped]) -> Fallible<()> {
    const CONTROL: u16 = 21;
    let Some(control) = case.control else { return Ok(()) };
    let is_dropped = all.iter().any(|it| it.destination.port == CONTROL && flags(it) == Some(Flags::SYN));
    let [source, destination] =
        [control.0, control.1].map(|end| if end == case.data.0 { dropped.source } else { dropped.destination });
    let same_ends = [control.0, control.1].iter().all(|end| [case.data.0, case.data.1].contains(end));
    if is_dropped || !same_ends || case.flags != Flags::SYN {
        return Ok(());
    }
    let mut packet = Packet { source: source.into(), destination: destination.into(), ..packet(case, States::NEW) };
    (packet.source.port, packet.destination.port) = (None, Some(CONTROL));
    let fate = ruleset.fate(&packet, way(control));
    if fate.may_pass { Ok(()) } else { Err(format!("it passed in spite of: {fate:#?}")) }
}

fn packet(case: &Case, states: States) -> Packet {
    Packet {
        v6: case.v6,
        source: Default::default(),
        destination: Default::default(),
        flags: Flags::SYN,
        inbound: Device::Outside,
        outbound: Device::Outside,
        states,
        translated: None,
    }
}

fn flags(dropped: &Dropped) -> Option<Flags> {
    match dropped.kind {
        Kind::Segment { flags, .. } => Some(flags),
        Kind::TooBig => None,
    }
}

fn way((from, to): (End, End)) -> Way {
    match (from, to) {
        (Here, _) => Way::Output,
        (_, Here) => Way::Input,
        (_, _) => Way::Forward,
    }
}

/// The segment that the trace says was dropped, the first of several; and all that were.
fn listen(case: &Case, mut read: impl FnMut(&mut Vec<Dropped>) -> io::Result<()>) -> Fallible<(Dropped, Vec<Dropped>)> {
    let mut dropped = Vec::new();
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        read(&mut dropped).map_err(|error| format!("trace: {error}"))?;
        let is_it = |dropped: &&Dropped| {
            let port =
                if case.flags == Flags::SYN | Flags::ACK { dropped.source.port } else { dropped.destination.port };
            (port, flags(dropped)) == (DATA, Some(case.flags)) && dropped.source.ip.is_ipv6() == case.v6
        };
        if let Some(found) = dropped.iter().find(is_it).cloned() {
            return Ok((found, dropped));
        }
        sleep(Duration::from_millis(10));
    }
    Err(format!("nothing is dropped, but: {dropped:#?}"))
}

/// The rule as the tools list it.
pub(crate) fn expected(world: &World, by: &By) -> Fallible<Rule> {
    let By { tool, family, table, chain, base_chain, position } = *by;
    let (hook, listed) = match tool {
        Tool::IptablesLegacy => (Hook::of_name(base_chain), None),
        _ => {
            let base = world.here(&format!("nft list chain {family} {table} {base_chain}"))?;
            let hook = base.split_once(" hook ").and_then(|(_, rest)| Hook::of_name(rest.split(' ').next()?));
            (hook, position.map(|position| nft_rule(world, by, position)).transpose()?)
        }
    };
    let text = match (&listed, tool) {
        (Some((text, _)), Tool::Nft) => text.clone(),
        (None, Tool::Nft) => "policy drop".to_owned(),
        (_, _) => {
            let program = if family == Family::Ip6 { "ip6tables" } else { "iptables" };
            let kind = if tool == Tool::IptablesLegacy { "legacy" } else { "nft" };
            // The first line is the chain itself, with its policy if it has one.
            let list = world.here(&format!("{program}-{kind} -t {table} -S {chain}"))?;
            list.lines().nth(position.unwrap_or(0)).unwrap_or_default().to_owned()
        }
    };
    Ok(Rule {
        tool,
        family,
        table: table.to_owned(),
        chain: chain.to_owned(),
        base_chain: base_chain.to_owned(),
        hook,
        handle: listed.map(|rule| rule.1),
        position: position.map(|position| position as u32),
        text,
    })
}

/// Text and handle of the rule at a position.
fn nft_rule(world: &World, by: &By, position: usize) -> Fallible<(String, u64)> {
    let list = world.here(&format!("nft -s -a list chain {} {} {}", by.family, by.table, by.chain))?;
    let lines = list.lines().filter(|line| line.starts_with("\t\t") && !line.starts_with("\t\ttype "));
    let mut rules = vec![(String::new(), 0)];
    for line in lines {
        let (text, handle) = line.rsplit_once(" # handle ").unwrap_or((line, "0"));
        let handle = handle.parse().map_err(|_| format!("no handle: {line}"))?;
        match rules.last_mut() {
            Some(rule) if rule.1 == 0 && !rule.0.is_empty() => *rule = (format!("{} {}", rule.0, text.trim()), handle),
            _ => rules.push((text.trim().to_owned(), handle)),
        }
    }
    rules.get(position).cloned().ok_or_else(|| format!("no rule {position}: {list}"))
}

/// nft lists the rules of a block on lines of their own; on one line there are semicolons between them.
pub(crate) fn without_semicolons(rule: Rule) -> Rule {
    Rule { text: rule.text.replace("; ", " "), ..rule }
}
