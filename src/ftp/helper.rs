//! What Linux's FTP helper makes of a segment of the control connection. Read
//! `net/netfilter/nf_conntrack_ftp.c` first (`find_pattern`, `try_rfc959`, `try_rfc1123`, `try_eprt`,
//! `try_epsv_response`, `help`).
//!
//! A router with the helper reads segments, not lines, and opens the way for a data connection only if it understands
//! the segment. What it takes for a mangled negotiation it drops, whole, for good. This is its reading as of
//! Linux 6.18, with `loose=0` as by default; later kernels refuse numbers above 255 and ports above 65535
//! where this one cuts off their upper bits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;

use super::Party;
use crate::packet::Endpoint;
use crate::plain;

/// What the helper does with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// Lets it pass: nothing in it concerns the helper.
    Ignored,
    /// Lets it pass, and expects a data connection to this endpoint (as this side of any NAT sees it).
    Expects(Endpoint),
    /// Lets it pass, and expects nothing although a negotiation is in it.
    NoExpectation(Reason),
    /// Drops it.
    Dropped(Reason),
}

/// Why the helper does not follow a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Passed: the segment does not begin behind a line end that the helper remembers.
    OutOfStep,
    /// Passed: the negotiation is not the first line of its segment.
    NotFirst,
    /// Passed: the announced address is not that of the sender.
    ForeignAddress,
    /// Dropped: the segment ends within, or with, the word that the helper looks for.
    CutWord,
    /// Dropped: no blank follows `PORT` or `EPRT`, or no parenthesis 229.
    NoOpening,
    /// Dropped: the numbers are not written as the helper wants them, or the segment ends before what should
    /// follow them.
    Numbers,
}

/// What the helper does with one segment that carries text.
///
/// `in_step` says whether the segment begins behind a line end that the helper remembers, see [`LineEnds`];
/// `control` are the addresses of client and server as the segment carries them.
#[inline]
pub fn ruling(from: Party, text: &[u8], in_step: bool, control: (IpAddr, IpAddr)) -> Ruling {
    let (patterns, sender) = match from {
        Party::Client => (&CLIENT, control.0),
        Party::Server => (&SERVER, control.1),
    };
    match patterns.iter().find(|pattern| pattern.may_begin(text)) {
        Some(pattern) if in_step => pattern.read(text, sender),
        Some(pattern) if pattern.begins(text) => Ruling::NoExpectation(Reason::OutOfStep),
        _ if is_in_later_line(patterns, text) => Ruling::NoExpectation(Reason::NotFirst),
        _ => Ruling::Ignored,
    }
}

/// Where the newest two line ends in one direction are: behind them the helper reads on.
///
/// It knows none at first, so it never reads the first segment of a direction. For a connection that the
/// capture joins midway this knows less than the helper does: the first segment seen in each direction cannot
/// be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineEnds {
    behind: [Option<u32>; 2],
}

impl LineEnds {
    /// Whether a segment with this sequence number is read.
    #[inline]
    pub fn in_step(&self, seq: u32) -> bool {
        self.behind.contains(&Some(seq))
    }

    /// Takes note of a segment that the helper let pass.
    #[inline]
    pub fn passed(&mut self, seq: u32, text: &[u8]) {
        let end = seq.wrapping_add(text.len() as u32);
        if text.ends_with(b"\n") && !self.in_step(end) {
            self.remember(end);
        }
    }

    /// Replaces the older of the two, unless that is newer than `end`.
    fn remember(&mut self, end: u32) {
        let is_older = |than: u32, seq: u32| seq.wrapping_sub(than).cast_signed() < 0;
        let slot = match self.behind {
            [Some(a), Some(b)] => usize::from(!is_older(b, a)),
            [first, _] => usize::from(first.is_some()),
        };
        if self.behind[slot].is_none_or(|known| is_older(end, known)) {
            self.behind[slot] = Some(end);
        }
    }
}

/// A word that the helper looks for, and how it reads on.
struct Pattern {
    word: [u8; 4],
    /// The byte that opens the numbers; all before it is skipped.
    opening: Option<u8>,
    /// Reads the numbers; what they leave out is the sender's.
    numbers: fn(&[u8], IpAddr) -> Option<Endpoint>,
}

const CLIENT: [Pattern; 2] = [
    Pattern { word: *b"PORT", opening: Some(b' '), numbers: port },
    Pattern { word: *b"EPRT", opening: Some(b' '), numbers: eprt },
];

const SERVER: [Pattern; 2] = [
    Pattern { word: *b"227 ", opening: None, numbers: pasv },
    Pattern { word: *b"229 ", opening: Some(b'('), numbers: epsv },
];

/// The same number for words that differ only in case, and for few others: tells most words apart at once.
#[inline]
fn caseless(word: &[u8; 4]) -> u32 {
    u32::from_ne_bytes(*word) | 0x2020_2020
}

impl Pattern {
    /// Whether the text begins with the word, or is the beginning of it.
    #[inline]
    fn may_begin(&self, text: &[u8]) -> bool {
        match text.first_chunk() {
            Some(head) if caseless(head) != caseless(&self.word) => false,
            _ => {
                let length = text.len().min(self.word.len());
                length > 0 && text[..length].eq_ignore_ascii_case(&self.word[..length])
            }
        }
    }

    /// Whether the text begins with the word, and goes on.
    fn begins(&self, text: &[u8]) -> bool {
        text.len() > self.word.len() && self.may_begin(text)
    }

    /// Reads a segment that may begin with the word.
    fn read(&self, text: &[u8], sender: IpAddr) -> Ruling {
        if !self.begins(text) {
            return Ruling::Dropped(Reason::CutWord);
        }
        let Some(numbers) = self.skip_to_numbers(&text[self.word.len()..]) else {
            return Ruling::Dropped(Reason::NoOpening);
        };
        match (self.numbers)(numbers, sender) {
            None => Ruling::Dropped(Reason::Numbers),
            Some(endpoint) if endpoint.ip == sender => Ruling::Expects(endpoint),
            Some(_) => Ruling::NoExpectation(Reason::ForeignAddress),
        }
    }

    fn skip_to_numbers<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        let Some(opening) = self.opening else {
            return Some(text);
        };
        text.iter().position(|&byte| byte == opening).map(|i| &text[i + 1..])
    }
}

/// Whether a line of the segment other than its first begins with a word that the helper looks for.
#[inline]
fn is_in_later_line(patterns: &[Pattern], text: &[u8]) -> bool {
    plain::line(text).is_none() && is_in_line(patterns, memchr(b'\n', text).map_or(&[], |end| &text[end + 1..]))
}

#[cold]
fn is_in_line(patterns: &[Pattern], text: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n').any(|line| patterns.iter().any(|pattern| pattern.begins(line)))
}

/// `h1,h2,h3,h4,p1,p2` and a carriage return.
fn port(text: &[u8], sender: IpAddr) -> Option<Endpoint> {
    host_port(text, Some(b'\r'), sender)
}

/// The same from the first digit on, with any byte behind.
fn pasv(text: &[u8], sender: IpAddr) -> Option<Endpoint> {
    let start = text.iter().position(u8::is_ascii_digit)?;
    host_port(&text[start..], None, sender)
}

/// `|||port|`.
fn epsv(text: &[u8], sender: IpAddr) -> Option<Endpoint> {
    match *text {
        [a, b, c, ref rest @ ..] if is_delimiter(a) && a == b && b == c => {
            Some(Endpoint { ip: sender, port: delimited_port(rest, a)? })
        }
        _ => None,
    }
}

/// `|1|address|port|` from an IPv4 sender, `|2|address|port|` from an IPv6 sender.
fn eprt(text: &[u8], sender: IpAddr) -> Option<Endpoint> {
    let &[delimiter, family, again, ref rest @ ..] = text else {
        return None;
    };
    let (ip, rest) = match sender {
        _ if !is_delimiter(delimiter) || again != delimiter => return None,
        IpAddr::V4(_) if family == b'1' => {
            let (octets, rest) = numbers(rest, b'.', Some(delimiter))?;
            (address(octets, sender), rest)
        }
        IpAddr::V6(_) if family == b'2' => {
            let end = rest.iter().position(|&byte| byte == delimiter)?;
            let ip: Ipv6Addr = str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
            (ip.into(), &rest[end + 1..])
        }
        _ => return None,
    };
    Some(Endpoint { ip, port: delimited_port(rest, delimiter)? })
}

fn is_delimiter(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_digit()
}

fn host_port(text: &[u8], terminator: Option<u8>, sender: IpAddr) -> Option<Endpoint> {
    let ([a, b, c, d, p, q], _) = numbers(text, b',', terminator)?;
    Some(Endpoint { ip: address([a, b, c, d], sender), port: (p << 8 | q) as u16 })
}

/// Four numbers as an address: numbers above 255 run into each other. Written over an IPv6 address they
/// replace its first 32 bits, as in the kernel's union of the two.
fn address([a, b, c, d]: [u32; 4], sender: IpAddr) -> IpAddr {
    let bits = a << 24 | b << 16 | c << 8 | d;
    match sender {
        IpAddr::V4(_) => Ipv4Addr::from(bits).into(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(bits) << 96 | ip.to_bits() & u128::MAX >> 32).into(),
    }
}

/// Reads `N` numbers (empty ones are 0) up to the terminator, or to any byte if there is none, and gives what follows
/// it. A text that ends before is refused.
fn numbers<const N: usize>(text: &[u8], separator: u8, terminator: Option<u8>) -> Option<([u32; N], &[u8])> {
    let mut numbers = [0u32; N];
    let mut i = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte.is_ascii_digit() {
            let number = numbers.get_mut(i)?;
            *number = number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0'));
        } else if byte == separator {
            i += 1;
        } else {
            let complete = i + 1 == N && terminator.is_none_or(|terminator| byte == terminator);
            return complete.then(|| (numbers, &text[at + 1..]));
        }
    }
    None
}

/// Reads a port up to the delimiter, modulo 65536; 0 is refused.
fn delimited_port(text: &[u8], delimiter: u8) -> Option<u16> {
    let mut port = 0u16;
    for &byte in text {
        match byte {
            b'0'..=b'9' => port = port.wrapping_mul(10).wrapping_add(u16::from(byte - b'0')),
            _ => return (byte == delimiter && port != 0).then_some(port),
        }
    }
    None
}

#[cfg(test)]
mod tests;
