//! Connections, sockets, interfaces and settings as lines, in the words of conntrack(8), ss(8) and sysctl(8): both ways.

use std::net::IpAddr;
use std::time::Duration;

use crate::cite::Time;
use crate::netfilter::conntrack::{self, Change, Expected, Status, Tracked, Tuple};
use crate::netfilter::socket::{self, Socket};
use crate::packet::Endpoint;

/// States of connections in conntrack(8).
const CONNECTION_STATES: [(conntrack::State, &str); 9] = [
    (conntrack::State::SynSent, "SYN_SENT"),
    (conntrack::State::SynRecv, "SYN_RECV"),
    (conntrack::State::Established, "ESTABLISHED"),
    (conntrack::State::FinWait, "FIN_WAIT"),
    (conntrack::State::CloseWait, "CLOSE_WAIT"),
    (conntrack::State::LastAck, "LAST_ACK"),
    (conntrack::State::TimeWait, "TIME_WAIT"),
    (conntrack::State::Close, "CLOSE"),
    (conntrack::State::SynSent2, "SYN_SENT2"),
];

/// States of sockets in ss(8).
const SOCKET_STATES: [(socket::State, &str); 11] = [
    (socket::State::Established, "ESTAB"),
    (socket::State::SynSent, "SYN-SENT"),
    (socket::State::SynRecv, "SYN-RECV"),
    (socket::State::FinWait1, "FIN-WAIT-1"),
    (socket::State::FinWait2, "FIN-WAIT-2"),
    (socket::State::TimeWait, "TIME-WAIT"),
    (socket::State::Close, "UNCONN"),
    (socket::State::CloseWait, "CLOSE-WAIT"),
    (socket::State::LastAck, "LAST-ACK"),
    (socket::State::Listen, "LISTEN"),
    (socket::State::Closing, "CLOSING"),
];

fn name_of<T: PartialEq>(names: &[(T, &'static str)], state: T) -> &'static str {
    names.iter().find(|row| row.0 == state).map_or("NONE", |row| row.1)
}

fn of_name<T: Copy>(names: &[(T, &str)], name: &str) -> Option<T> {
    names.iter().find(|row| row.1 == name).map(|row| row.0)
}

/// A connection as conntrack(8) prints it, without the numbers that decide nothing.
pub fn connection_line(tracked: &Tracked) -> String {
    let flag = |status, text| if tracked.status.contains(status) { text } else { "" };
    let unreplied = if tracked.status.contains(Status::SEEN_REPLY) { "" } else { "[UNREPLIED] " };
    let helper = tracked.helper.as_ref().map_or(String::new(), |helper| format!(" helper={helper}"));
    format!(
        "tcp      6 {} {} {} {unreplied}{}{}{helper}",
        tracked.timeout.map_or(0, |timeout| timeout.as_secs()),
        tracked.state.map_or("NONE", |state| name_of(&CONNECTION_STATES, state)),
        tuple_words("", &tracked.original),
        tuple_words("", &tracked.reply),
        flag(Status::ASSURED, " [ASSURED]"),
    )
}

/// The packets of one direction; `what` stands before the names of addresses.
fn tuple_words(what: &str, tuple: &Tuple) -> String {
    let Tuple { source, destination } = tuple;
    format!("{what}src={} {what}dst={} sport={} dport={}", source.ip, destination.ip, source.port, destination.port)
}

/// Reads a TCP connection as conntrack(8) prints it. Its time is none.
pub fn connection(line: &str) -> Option<Tracked> {
    let mut words = line.split_whitespace();
    let seconds = (words.next()? == "tcp").then(|| words.nth(1)).flatten()?.parse().ok()?;
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    let (mut state, mut status, mut helper) = (None, Status::SEEN_REPLY.0, None);
    for word in words {
        match word.split_once('=') {
            Some(("src" | "dst", value)) => addresses.push(value.parse().ok()?),
            Some(("sport" | "dport", value)) => ports.push(value.parse().ok()?),
            Some(("helper", value)) => helper = Some(value.to_owned()),
            Some(_) => {}
            None if word == "[UNREPLIED]" => status &= !Status::SEEN_REPLY.0,
            None if word == "[ASSURED]" => status |= Status::ASSURED.0,
            None => state = state.or(of_name(&CONNECTION_STATES, word)),
        }
    }
    let (&[a, b, c, d], &[e, f, g, h]) = (&addresses[..], &ports[..]) else { return None };
    Some(Tracked {
        time: Time::default(),
        change: Change::Update,
        original: tuple((a, e), (b, f)),
        reply: tuple((c, g), (d, h)),
        state,
        status: Status(status),
        timeout: Some(Duration::from_secs(seconds)),
        helper,
        master: None,
    })
}

/// An expectation as conntrack(8) prints it.
pub fn expectation_line(expected: &Expected) -> String {
    let Expected { tuple, mask, master, timeout, helper, .. } = expected;
    format!(
        "{} proto=6 {} {} {} helper={}",
        timeout.map_or(0, |timeout| timeout.as_secs()),
        tuple_words("", tuple),
        tuple_words("mask-", mask),
        tuple_words("master-", master),
        helper.as_deref().unwrap_or_default()
    )
}

/// Reads an expectation of a TCP connection as conntrack(8) prints it. Its time is none.
pub fn expectation(line: &str) -> Option<Expected> {
    let (seconds, rest) = line.split_once(" proto=6 ")?;
    let (mut addresses, mut ports, mut helper) = (Vec::new(), Vec::new(), None);
    for (name, value) in rest.split_whitespace().filter_map(|word| word.split_once('=')) {
        match name.rsplit('-').next() {
            Some("src" | "dst") => addresses.push(value.parse().ok()?),
            Some("sport" | "dport") => ports.push(value.parse().ok()?),
            Some("helper") => helper = Some(value.to_owned()),
            _ => {}
        }
    }
    let (&[a, b, c, d, e, f], &[g, h, i, j, k, l]) = (&addresses[..], &ports[..]) else { return None };
    Some(Expected {
        time: Time::default(),
        change: Change::Update,
        tuple: tuple((a, g), (b, h)),
        mask: tuple((c, i), (d, j)),
        master: tuple((e, k), (f, l)),
        timeout: Some(Duration::from_secs(seconds.trim().parse().ok()?)),
        helper,
    })
}

fn tuple(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Tuple {
    let end = |(ip, port)| Endpoint { ip, port };
    Tuple { source: end(source), destination: end(destination) }
}

/// A socket as `ss -Htano` prints it.
pub fn socket_line(socket: &Socket) -> String {
    let Socket { state, local, remote, retransmits, receive_queue, send_queue, uid: _ } = socket;
    let name = name_of(&SOCKET_STATES, *state);
    let timer = if *retransmits > 0 { format!(" timer:(on,0ms,{retransmits})") } else { String::new() };
    format!("{name:10} {receive_queue:6} {send_queue:6} {local} {remote}{timer}")
}

/// Reads a socket as `ss -Htano` prints it, without its user.
pub fn socket(line: &str) -> Option<Socket> {
    let mut words = line.split_whitespace();
    let state = of_name(&SOCKET_STATES, words.next()?)?;
    let (receive_queue, send_queue) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (local, remote) = (endpoint(words.next()?)?, endpoint(words.next()?)?);
    let timer = words.next().and_then(|word| word.strip_prefix("timer:(on,")?.strip_suffix(')')?.rsplit(',').next());
    let retransmits = timer.and_then(|count| count.parse().ok()).unwrap_or(0);
    Some(Socket { state, local, remote, retransmits, receive_queue, send_queue, uid: 0 })
}

/// Reads `10.1.0.1:21`, `[::1]:21`, `*:21`, `10.1.0.1%eth0:21` and `0.0.0.0:*`. A listener for both versions is at `[::]`.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']').split('%').next()?.trim_end_matches(']');
    let ip: IpAddr = if address == "*" { "::".parse().ok()? } else { address.parse().ok()? };
    let port = if port == "*" { 0 } else { port.parse().ok()? };
    Some(Endpoint { ip: ip.to_canonical(), port })
}

/// Reads a line of `ftpwhy interfaces`: number, name, state, addresses.
pub fn interface(line: &str) -> Option<(String, Vec<IpAddr>)> {
    let mut words = line.split_whitespace();
    words.next()?.parse::<u32>().ok()?;
    let name = words.next()?.to_owned();
    words.next().filter(|&state| state == "up" || state == "down")?;
    let addresses = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some((name, addresses))
}

/// Reads `net.ipv4.ip_forward = 1`.
pub fn setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(" = ")?;
    Some((name.to_owned(), value.trim().to_owned()))
}
