//! What one host says about itself, in one text: the form in which `ftpwhy snapshot` writes it and `replay` reads it.
//!
//! People mail it, and read it before they do. So it is what the tools themselves print, each part under a line that names
//! the command, as in `== nft -a list ruleset`. What cannot be had is a part, too, with one line that begins with
//! `absent: `. The last line says that nothing is cut. Parts that are not known are for people only.
//!
//! Read first: nft(8), iptables-save(8), conntrack(8), ss(8): [`lines`] reads what the latter two print.

use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;

use super::conntrack::{Expected, Tracked};
use super::ruleset::Ruleset;
use super::socket::{Socket, State};
use super::{Family, Tool};
use crate::cite::Time;

pub mod lines;
mod mask;

pub use mask::masked;

/// The first line; the number is that of the form.
const FIRST: &str = "ftpwhy snapshot 1";
/// The last line.
const LAST: &str = "== end";
/// What every other line that names a part begins with.
const HEAD: &str = "== ";
/// What the line begins with that stands for a part that cannot be had.
const ABSENT: &str = "absent: ";
/// What follows the first line, for who reads it before it is sent.
const WORDS: &str = "\
# What netfilter, sockets and addresses of this host were at one moment, for `ftpwhy replay --client-state`,
# `--between-state` or `--server-state`. Comments, log prefixes and texts that rules look for are left out; of
# the connections only those of hosts that speak FTP are here. There are no passwords and no names of users, but there are
# addresses: look it over before you send it, and send it as a file: mail programs break lines.
";

/// Longest text in bytes: a hundred thousand rules, listed twice, take less. It takes ten times as much memory at most.
pub const MAX_BYTES: u64 = 32 << 20;
/// Longest line in bytes: a rule with several thousand ports or addresses has less.
const MAX_LINE: usize = 64 << 10;
/// Most parts; there are about twenty.
const MAX_PARTS: usize = 256;

/// The part with the moment: seconds since 1970-01-01 00:00:00 UTC, and the same for people.
pub const DATE: &str = "date";
/// The part with interfaces and addresses.
pub const INTERFACES: &str = "ftpwhy interfaces";
/// The part with settings of the kernel.
pub const SETTINGS: &str = "sysctl";
/// The part with the rules of nftables.
pub const NFT: &str = "nft -a list ruleset";
/// The parts with rules in the words of iptables, in the order in which they are read.
pub const SAVED: [(&str, Family, Tool); 4] = [
    ("iptables-nft-save -c", Family::Ip, Tool::IptablesNft),
    ("ip6tables-nft-save -c", Family::Ip6, Tool::IptablesNft),
    ("iptables-legacy-save -c", Family::Ip, Tool::IptablesLegacy),
    ("ip6tables-legacy-save -c", Family::Ip6, Tool::IptablesLegacy),
];
/// The part with the connections that the kernel follows.
pub const CONNECTIONS: &str = "conntrack -L -p tcp";
/// The part with the connections that its helpers expect.
pub const EXPECTATIONS: &str = "conntrack -L expect";
/// The part with the sockets.
pub const SOCKETS: &str = "ss -Htano";

/// A host at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When, on its own clock.
    pub time: Time,
    /// Its rules.
    pub rules: Arc<Ruleset>,
    /// All its rules are known; else a list could not be had.
    pub all_rules: bool,
    /// The TCP connections of FTP peers that it follows; none where they could not be had.
    pub connections: Option<Vec<Tracked>>,
    /// What its helpers expect of them.
    pub expected: Vec<Expected>,
    /// Its TCP sockets that listen or open a connection; none where they could not be had.
    pub sockets: Option<Vec<Socket>>,
    /// Its interfaces, each with its addresses.
    pub interfaces: Vec<(String, Vec<IpAddr>)>,
    /// Settings of its kernel, by name.
    pub settings: Vec<(String, String)>,
}

/// Why a text is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}; {remedy}")]
pub struct Fault {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

const NEW_ONE: &str = "make one with `ftpwhy snapshot -o FILE`, as root";
const AS_A_FILE: &str = "have it sent again as a file, not as the text of a mail";

/// A snapshot as it is written.
#[derive(Clone, Debug)]
pub struct Text(String);

impl Default for Text {
    fn default() -> Text {
        Text(format!("{FIRST}\n{WORDS}"))
    }
}

impl Text {
    /// Adds a part: what `command` prints, or why it cannot be had.
    pub fn add(&mut self, command: &str, content: Result<&str, &str>) {
        self.0.push_str(&format!("\n{HEAD}{command}\n"));
        let text = match content {
            Ok(text) => text.to_owned(),
            Err(why) => format!("{ABSENT}{}", why.replace('\n', " ")),
        };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line = if line.starts_with(HEAD) { &line[1..] } else { line };
            self.0.push_str(line);
            self.0.push('\n');
        }
    }

    /// The whole text.
    pub fn finish(self) -> String {
        format!("{}\n{LAST}\n", self.0)
    }
}

/// One part of a text.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    command: &'a str,
    /// Number of its first line.
    line: usize,
    content: &'a str,
}

impl<'a> Part<'a> {
    /// Its lines with their numbers, but for those that are empty or for people.
    fn lines(self) -> impl Iterator<Item = (usize, &'a str)> {
        let lines = (self.line..).zip(self.content.lines());
        lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    }

    fn is_absent(self) -> bool {
        self.content.trim_start().starts_with(ABSENT)
    }

    /// What `read` makes of each line; none where the part could not be had.
    fn each<T>(self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<Vec<T>>, Fault> {
        if self.is_absent() {
            return Ok(None);
        }
        let read = |(line, text)| read(text).ok_or_else(|| fault(line, &format!("{text:?} is no {what}"), AS_A_FILE));
        self.lines().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// Lists are read with indulgence; so what a mail program breaks must not pass for a rule that is not there.
    fn check(self, is_listed: impl Fn(&str) -> bool) -> Result<(), Fault> {
        let broken = |(line, text): (usize, &str)| {
            fault(line, &format!("`{}` does not print {:?}", self.command, beginning(text)), AS_A_FILE)
        };
        self.lines().find(|(_, line)| !is_listed(line)).map_or(Ok(()), |row| Err(broken(row)))
    }
}

fn fault(line: usize, what: &str, remedy: &'static str) -> Fault {
    Fault { line, what: what.to_owned(), remedy }
}

fn beginning(line: &str) -> String {
    line.chars().take(60).collect()
}

/// Reads a snapshot.
///
/// # Errors
/// It is none, is cut or was changed on its way.
pub fn parse(text: &str) -> Result<Snapshot, Fault> {
    let parts = parts(text)?;
    let part = |command: &str| parts.iter().find(|part| part.command == command).copied();
    let list = |command: &str| part(command).filter(|part| !part.is_absent());
    let end = text.lines().count();
    let date = part(DATE).and_then(|part| part.lines().next());
    let (line, date) = date.ok_or_else(|| fault(end, "it does not say when it was made", NEW_ONE))?;
    let time = moment(date).ok_or_else(|| fault(line, &format!("{date:?} is no moment"), NEW_ONE))?;
    let mut rules = Ruleset::default();
    if let Some(part) = list(NFT) {
        part.check(nft_lists)?;
        rules.add_nft(part.content);
    }
    for (command, family, tool) in SAVED {
        if let Some(part) = list(command) {
            part.check(iptables_saves)?;
            rules.add_iptables_save(part.content, family, tool);
        }
    }
    let all_rules = [NFT, SAVED[2].0, SAVED[3].0].into_iter().all(|command| list(command).is_some());
    let mut connections = part(CONNECTIONS).map_or(Ok(None), |part| part.each("connection", lines::connection))?;
    let mut expected = part(EXPECTATIONS).map_or(Ok(None), |part| part.each("expectation", lines::expectation))?;
    connections.iter_mut().flatten().for_each(|tracked| tracked.time = time);
    expected.iter_mut().flatten().for_each(|expected| expected.time = time);
    let sockets = part(SOCKETS).map_or(Ok(None), |part| part.each("socket", lines::socket))?;
    let interfaces = part(INTERFACES).map_or(Ok(None), |part| part.each("interface", lines::interface))?;
    let settings = part(SETTINGS).map_or(Ok(None), |part| part.each("setting", lines::setting))?;
    Ok(Snapshot {
        time,
        rules: Arc::new(rules),
        all_rules,
        connections,
        expected: expected.unwrap_or_default(),
        sockets,
        interfaces: interfaces.unwrap_or_default(),
        settings: settings.unwrap_or_default(),
    })
}

/// The parts of a text that is whole.
fn parts(text: &str) -> Result<Vec<Part<'_>>, Fault> {
    let first = text.lines().next().unwrap_or_default().trim_end();
    if first != FIRST {
        return Err(match first.strip_prefix("ftpwhy snapshot ") {
            Some(_) => {
                fault(1, "it is of another form than this program knows", "read it with the ftpwhy that made it")
            }
            None => fault(1, "this is no snapshot of a host", NEW_ONE),
        });
    }
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        at += line.len();
        if line.len() > MAX_LINE {
            return Err(fault(number, &format!("it is longer than {MAX_LINE} bytes"), NEW_ONE));
        }
        if line.trim_end() == LAST {
            return Ok(parts);
        }
        if let Some(command) = line.strip_prefix(HEAD) {
            if parts.len() == MAX_PARTS {
                return Err(fault(number, &format!("there are more than {MAX_PARTS} parts"), NEW_ONE));
            }
            parts.push(Part { command: command.trim(), line: number + 1, content: &text[at..at] });
        } else if let Some(part) = parts.last_mut() {
            let begin = at - line.len() - part.content.len();
            part.content = &text[begin..at];
        }
    }
    Err(fault(text.lines().count(), "here it is cut: the last line should be `== end`", AS_A_FILE))
}

/// Reads `1764008165.123456789 2025-11-24T18:16:05Z`.
fn moment(line: &str) -> Option<Time> {
    let (seconds, fraction) = line.split_whitespace().next()?.split_once('.')?;
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let nanoseconds: i64 = fraction.parse().ok().filter(|_| fraction.len() == 9 && is_number(fraction))?;
    let seconds: i64 = seconds.parse().ok().filter(|_| is_number(seconds))?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds).map(Time)
}

/// How a moment is written, but for what is for people.
pub fn date_line(time: Time) -> String {
    format!("{}.{:09}", time.0.div_euclid(1_000_000_000), time.0.rem_euclid(1_000_000_000))
}

fn nft_lists(line: &str) -> bool {
    line.starts_with("table ") || line.starts_with('\t') || line.trim_end() == "}"
}

fn iptables_saves(line: &str) -> bool {
    const HEADS: [&str; 6] = ["*", ":", "[", "-A ", "-P ", "COMMIT"];
    HEADS.iter().any(|head| line.starts_with(head))
}

impl Snapshot {
    /// All addresses of the host.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.interfaces.iter().flat_map(|(_, addresses)| addresses.iter().copied())
    }

    /// Whether the host has this address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses().any(|own| own == address)
    }

    /// Its sockets whose SYN was not answered.
    pub fn trying(&self) -> impl Iterator<Item = (Time, Socket)> {
        let sockets = self.sockets.iter().flatten().filter(|socket| socket.state == State::SynSent);
        sockets.map(|socket| (self.time, *socket))
    }

    /// Its sockets that have gone on trying to open a connection to one of these ports since an earlier snapshot, and of which
    /// conntrack knows nothing: it would know of a SYN that has passed, whatever a NAT made of it.
    pub fn trying_since<'a>(&'a self, earlier: &'a Snapshot, ports: &'a [u16]) -> impl Iterator<Item = Socket> + 'a {
        let goes_on = |socket: &Socket| {
            let same = |other: &Socket| (other.local, other.remote) == (socket.local, socket.remote);
            earlier.trying().any(|(_, other)| same(&other) && other.retransmits < socket.retransmits)
        };
        let has_passed = |socket: &Socket| {
            let is_it = |tracked: &Tracked| tracked.original.source == socket.local;
            self.connections.as_ref().is_none_or(|followed| followed.iter().any(is_it))
        };
        let sockets = self.trying().map(|(_, socket)| socket);
        sockets.filter(move |socket| ports.contains(&socket.remote.port) && goes_on(socket) && !has_passed(socket))
    }

    /// Its listeners whose accept queue is full.
    pub fn full(&self) -> impl Iterator<Item = (Time, Socket)> {
        self.sockets.iter().flatten().filter(|socket| socket.is_full()).map(|socket| (self.time, *socket))
    }

    /// The kernel assigns helpers by port, without a rule (`nf_conntrack_helper`), or may do so: where its settings are not
    /// known, and where a connection has one.
    pub fn helps(&self) -> bool {
        let by_itself = |(name, value): &(String, String)| name == "net.netfilter.nf_conntrack_helper" && value != "0";
        let helped = self.connections.iter().flatten().any(|tracked| tracked.helper.is_some());
        helped || self.settings.is_empty() || self.settings.iter().any(by_itself)
    }
}

#[cfg(test)]
mod tests;
