//! Whether what a scenario says is true of its recording: a label is checked before it is used.
//!
//! The rule that is to blame has counted something, or nft's trace ends there; the lost packet was seen at every tap that it
//! should have passed and at none behind; a box that rewrites says so, and the taps on both sides of it; a program that refuses
//! says so itself, and no box had a rule that drops. A failure of which nothing of this tells is none that can be used. The content
//! arrived whole exactly if the transfer is said to have completed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ftpwhy::capture::file::TapReader;
use ftpwhy::line::Side;
use ftpwhy::packet::{Decoder, Flags, Packet, Segment};
use ftpwhy::verdict::{Lost, Mechanism, Outcome};

use crate::client::Does;
use crate::firewall;
use crate::host::Fallible;
use crate::line::At;
use crate::scenario::{Check, Scenario};
use crate::server::Tls;
use crate::trial::{CHATTER, Recording, loopback};

/// What one tap saw.
#[derive(Debug, Default)]
struct Seen {
    /// Sequence number and length of every segment of a kind.
    kinds: Vec<(Lost, u32, u32)>,
    /// What was said on the control connection, each segment once, in order of arrival.
    control: String,
    /// Senders of ICMP errors.
    icmp_errors: Vec<IpAddr>,
    /// Resets of connections that are no chatter.
    resets: usize,
    /// Who sent the first FIN on a data connection.
    closer: Option<IpAddr>,
}

/// Checks a label; how it is known.
///
/// # Errors
/// What does not hold: the laboratory is at fault, not the verdict.
pub(crate) fn check(scenario: &Scenario, recording: &Recording) -> Fallible<Vec<String>> {
    let names = scenario.line.taps();
    let seen: Vec<Seen> = names.iter().map(|name| look(scenario, recording, name)).collect::<Fallible<_>>()?;
    mechanism(scenario, &seen)?;
    harmless(scenario, recording)?;
    let mut proof = counted(recording)?;
    proof.extend(lost(scenario, &names, &seen)?);
    proof.extend(on_loopback(scenario, recording)?);
    proof.extend(traced(scenario, recording)?);
    proof.extend(rewritten(scenario, recording, &seen)?);
    proof.extend(checked(scenario, recording, &seen)?);
    if proof.is_empty() && scenario.truth.outcome == Outcome::Failed {
        return Err("no counter, trace, packet or log proves the label".to_owned());
    }
    proof.extend(arrived(scenario, recording, &seen[0])?);
    Ok(proof)
}

/// The scenario's own checks.
fn checked(scenario: &Scenario, recording: &Recording, seen: &[Seen]) -> Fallible<Vec<String>> {
    let (said, logged) = (&recording.said, &recording.logged);
    let (client, at_server) = (&seen[0].control, &seen[seen.len() - 1]);
    let server = &at_server.control;
    let holds = |check: &Check| match check {
        Check::Client(text) => (client.contains(text), format!("the client's control connection has `{text}`")),
        Check::ClientLacks(text) => {
            (!client.contains(text), format!("the client's control connection has no `{text}`"))
        }
        Check::Server(text) => (server.contains(text), format!("the server's control connection has `{text}`")),
        Check::ServerLacks(text) => {
            (!server.contains(text), format!("the server's control connection has no `{text}`"))
        }
        Check::Said(text) => (said.contains(text), format!("the client said `{text}`")),
        Check::Logged(text) => (logged.contains(text), format!("the server logged `{text}`")),
        Check::Refused(by) => {
            let is_there = at_server.icmp_errors.iter().any(|sender| sender.to_string() == *by);
            (is_there, format!("an ICMP error from {by} is at the server's tap"))
        }
        Check::Closed(by) => {
            let closer = at_server.closer.map(|closer| closer.to_string());
            (closer.as_deref() == Some(*by), format!("{by} is the first to close a data connection"))
        }
        Check::Unsent => {
            let is_there = seen.iter().any(|tap| tap.kinds.iter().any(|(kind, ..)| *kind == Lost::DataSyn));
            (!is_there, "no tap has a SYN of a data connection".to_owned())
        }
    };
    let proof = |check| match holds(check) {
        (true, told) => Ok(told),
        (false, told) => Err(format!("it is not so that {told}: {}", printable(&[client, server, said, logged]))),
    };
    scenario.checks.iter().map(proof).collect()
}

/// Lines that people can read: of an encrypted session, hardly any.
fn printable(texts: &[&String]) -> String {
    let is_readable =
        |line: &&str| line.chars().all(|c| c == '\t' || !c.is_control() && c != char::REPLACEMENT_CHARACTER);
    let lines = texts.iter().flat_map(|text| text.lines()).filter(is_readable);
    lines.map(|line| format!("\n{line}")).collect()
}

/// Where a program refuses, no box had a rule that could have dropped anything.
fn harmless(scenario: &Scenario, recording: &Recording) -> Fallible<()> {
    let is_by_program = scenario.truth.outcome == Outcome::Failed && scenario.truth.place.is_none();
    let drops = |line: &str| ["drop", "reject"].iter().any(|word| line.to_lowercase().contains(word));
    let drop = recording.dumps.iter().find_map(|(at, dump)| Some((at, dump.lines().find(|line| drops(line))?)));
    match drop.filter(|_| is_by_program) {
        Some((at, rule)) => Err(format!("a program is said to refuse, and {at} has this rule: {rule}")),
        None => Ok(()),
    }
}

/// The wire says that it rewrote something, and all taps on one side of it have the old words, all on the other the new.
fn rewritten(scenario: &Scenario, recording: &Recording, seen: &[Seen]) -> Fallible<Option<String>> {
    let Some((old, new)) = scenario.line.wire.and_then(|wire| wire.rewrites) else { return Ok(None) };
    let (nearer, further) = seen.split_at(scenario.line.interval(At::Wire).0);
    let all = |taps: &[Seen], has: &str, lacks: &str| {
        taps.iter().all(|tap| tap.control.contains(has) && !tap.control.contains(lacks))
    };
    let one_way = all(nearer, new, old) && all(further, old, new);
    let other_way = all(nearer, old, new) && all(further, new, old);
    match (recording.rewritten, one_way || other_way) {
        (1.., true) => Ok(Some(format!(
            "The wire told of {} frames that it rewrote; every tap on one side of it has `{old}`, on the other `{new}`",
            recording.rewritten
        ))),
        (told, parted) => Err(format!("the wire rewrote {told} frames; its sides have different words: {parted}")),
    }
}

/// Reads what a tap saw.
fn look(scenario: &Scenario, recording: &Recording, name: &str) -> Fallible<Seen> {
    let mut reader = TapReader::open(&[recording.folder.join(name)]).map_err(|error| error.to_string())?;
    let mut decoder = Decoder::new();
    let (mut seen, mut known) = (Seen::default(), BTreeSet::new());
    let mut frames = 0;
    while let Some(frame) = reader.next() {
        frames += 1;
        match decoder.decode(&frame) {
            Packet::Segment(segment) if !is_chatter(&segment) => {
                seen.resets += usize::from(segment.flags.rst());
                let is_control = is_control(scenario, &segment);
                if !is_control && segment.flags.fin() {
                    seen.closer.get_or_insert(segment.source.ip);
                }
                seen.kinds.extend(kind(&segment, is_control).map(|kind| (kind, segment.seq, segment.text_len)));
                if is_control && !segment.text.is_empty() && known.insert((segment.source.port, segment.seq)) {
                    seen.control += &String::from_utf8_lossy(segment.text);
                }
            }
            Packet::IcmpError(error) if error.kind.is_unreachable() => seen.icmp_errors.push(error.source),
            _ => {}
        }
    }
    if frames == 0 && !name.ends_with("-lo.pcap") {
        return Err(format!("{name} is empty"));
    }
    Ok(seen)
}

fn is_chatter(segment: &Segment<'_>) -> bool {
    segment.source.port == CHATTER || segment.destination.port == CHATTER
}

fn is_control(scenario: &Scenario, segment: &Segment<'_>) -> bool {
    [segment.source.port, segment.destination.port].contains(&scenario.server.port)
}

/// What is lost if this segment is.
fn kind(segment: &Segment<'_>, is_control: bool) -> Option<Lost> {
    let handshake = (segment.flags.contains(Flags::SYN), segment.flags.ack());
    match (handshake, is_control) {
        ((true, false), true) => Some(Lost::ControlSyn),
        ((true, true), true) => Some(Lost::ControlSynAck),
        ((true, false), false) => Some(Lost::DataSyn),
        ((true, true), false) => Some(Lost::DataSynAck),
        _ if segment.text_len == 0 => None,
        (_, true) => Some(Lost::ControlSegments),
        (_, false) => Some(Lost::DataSegments),
    }
}

/// Rules to blame have counted.
fn counted(recording: &Recording) -> Fallible<Vec<String>> {
    let rules = recording.dumps.iter().filter_map(|(at, dump)| Some((at, firewall::blamed(dump)?)));
    rules
        .map(|(at, (packets, rule))| match packets {
            0 => Err(format!("on {at} this rule counted nothing: {rule}")),
            _ => Ok(format!("On {at}, this rule counted {packets} packets: `{rule}`")),
        })
        .collect()
}

/// The content tells the outcome.
fn arrived(scenario: &Scenario, recording: &Recording, client: &Seen) -> Fallible<Option<String>> {
    if !scenario.content_tells {
        return Ok(None);
    }
    let whole = match scenario.client.does {
        Does::List => recording.said.contains("small.txt"),
        Does::Get(file) | Does::Put(file) => recording.arrived.as_ref() == Some(&file.content()),
    };
    let is_hidden = scenario.client.tls != Tls::None;
    let confirmed = is_hidden || client.control.lines().any(|line| line.starts_with("226"));
    let told = format!("Content arrived whole: {whole}; 226 came: {confirmed}");
    match (whole && confirmed) == (scenario.truth.outcome == Outcome::Completed) {
        true => Ok(Some(told)),
        false => Err(format!("{:?}, but {told}\n{}", scenario.truth.outcome, recording.said)),
    }
}

/// The lost packet was seen where it should be.
fn lost(scenario: &Scenario, names: &[String], seen: &[Seen]) -> Fallible<Option<String>> {
    let (Some(lost), Some(interval)) = (scenario.truth.lost, scenario.interval()) else { return Ok(None) };
    let toward = toward(scenario, lost);
    let behind = |tap: usize| if toward == Side::Server { tap + 1 >= interval.1 } else { tap < interval.0 };
    let of = |tap: &Seen| -> BTreeSet<(u32, u32)> {
        tap.kinds.iter().filter(|(kind, ..)| *kind == lost).map(|&(_, seq, length)| (seq, length)).collect()
    };
    let sets: Vec<BTreeSet<(u32, u32)>> = seen.iter().map(of).collect();
    let beyond: BTreeSet<_> = (0..names.len()).filter(|&tap| behind(tap)).flat_map(|tap| sets[tap].clone()).collect();
    let enters = if scenario.truth.by_other { 2 * scenario.line.routers } else { 0 };
    let before: Vec<usize> = (enters..names.len()).filter(|&tap| !behind(tap)).collect();
    let gone = |tap: usize| sets[tap].difference(&beyond).count();
    let is_segment = matches!(lost, Lost::ControlSegments | Lost::DataSegments);
    if before.len() == names.len() && is_segment {
        return Ok(None);
    }
    if let Some(&tap) = before.iter().find(|&&tap| gone(tap) == 0) {
        return Err(format!("{lost:?}: {} has nothing that the taps behind the place lack", names[tap]));
    }
    if !is_segment && !scenario.partly && !beyond.is_empty() {
        return Err(format!("{lost:?} was seen behind the place"));
    }
    let answer = match lost {
        Lost::ControlSyn => Some(Lost::ControlSynAck),
        Lost::DataSyn => Some(Lost::DataSynAck),
        _ => None,
    };
    if !scenario.partly
        && answer.is_some_and(|answer| seen.iter().any(|tap| tap.kinds.iter().any(|(kind, ..)| *kind == answer)))
    {
        return Err(format!("{lost:?} was answered"));
    }
    let told: Vec<&str> = before.iter().map(|&tap| names[tap].as_str()).collect();
    let told = if told.is_empty() { "no tap".to_owned() } else { told.join(", ") };
    Ok(Some(format!("The lost packet ({lost:?}) is at {told}, and nowhere behind")))
}

fn toward(scenario: &Scenario, lost: Lost) -> Side {
    let opener = if scenario.client.mode.is_passive() { Side::Client } else { Side::Server };
    match lost {
        Lost::ControlSyn => Side::Server,
        Lost::ControlSynAck => Side::Client,
        Lost::DataSyn => !opener,
        Lost::DataSynAck => opener,
        Lost::ControlSegments | Lost::DataSegments => scenario.truth.toward,
    }
}

/// A host's refusal of its own packet is on its loopback.
fn on_loopback(scenario: &Scenario, recording: &Recording) -> Fallible<Option<String>> {
    let (Some(mechanism), Some(at)) = (scenario.truth.on_loopback, scenario.truth.place) else { return Ok(None) };
    let seen = look(scenario, recording, &loopback(at))?;
    let is_there = match mechanism {
        Mechanism::IcmpReject => !seen.icmp_errors.is_empty(),
        _ => seen.resets > 0,
    };
    match is_there {
        true => Ok(Some(format!("The refusal ({mechanism:?}) is on the loopback of {at}"))),
        false => Err(format!("no {mechanism:?} on the loopback of {at}")),
    }
}

/// The trace of the lost packet ends in a drop.
fn traced(scenario: &Scenario, recording: &Recording) -> Fallible<Option<String>> {
    let (Some(trace), Some(at)) = (&recording.trace, scenario.truth.place) else { return Ok(None) };
    match firewall::dropped(trace) {
        Some(end) => Ok(Some(format!("On {at}, nft's trace of the lost packet ends with `{end}`"))),
        None => Err(format!("no trace ends in a drop:\n{trace}")),
    }
}

/// An error or reset that is said to have been sent was sent.
fn mechanism(scenario: &Scenario, seen: &[Seen]) -> Fallible<()> {
    let missing = match scenario.truth.mechanism {
        Some(Mechanism::IcmpReject) => seen.iter().all(|tap| tap.icmp_errors.is_empty()),
        Some(Mechanism::TcpReset | Mechanism::Interrupted) => seen.iter().all(|tap| tap.resets == 0),
        _ => false,
    };
    if missing { Err("no tap saw the error or the reset".to_owned()) } else { Ok(()) }
}
