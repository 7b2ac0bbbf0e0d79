//! Rules of nft(8), as it lists them.
//!
//! Read first: nft(8), "EXPRESSIONS" and "STATEMENTS". A rule is a row of conditions and statements with at most one verdict, its
//! last statement. From the first word that is not understood on, no further condition is read, and what holds is not known;
//! the verdict is still found.

use super::Does;
use super::packet::{Packet, Truth, is_address, is_port};
use super::words::{bare, words};
use crate::netfilter::ruleset::Table;

/// Whether a rule matches, and what it does then.
pub(super) fn read<'a>(text: &'a str, packet: &Packet, table: &'a Table) -> (Truth, Does<'a>) {
    let words = words(text);
    let mut reader = Reader { text, words: &words, packet, table };
    let mut matches = Truth::Yes;
    loop {
        match reader.part() {
            Part::Condition(Truth::No) => return (Truth::No, Does::GoOn),
            Part::Condition(holds) => matches = matches.min(holds),
            Part::Verdict(does) => return (matches, does),
            Part::End => return (matches, Does::GoOn),
            Part::Unknown => return (matches.min(Truth::Unknown), reader.verdict_behind()),
        }
    }
}

/// What stands next in a rule.
enum Part<'a> {
    Condition(Truth),
    Verdict(Does<'a>),
    Unknown,
    End,
}

/// What a condition is about.
#[derive(Clone, Copy)]
enum About {
    Sender(Field),
    Receiver(Field),
    Inbound,
    Outbound,
    Protocol,
    Version,
    State,
}

/// A field of an end.
#[derive(Clone, Copy)]
enum Field {
    Address,
    Port,
}

/// The expressions that are read, in words.
const EXPRESSIONS: [(&[&str], About); 22] = [
    (&["ip", "saddr"], About::Sender(Field::Address)),
    (&["ip", "daddr"], About::Receiver(Field::Address)),
    (&["ip6", "saddr"], About::Sender(Field::Address)),
    (&["ip6", "daddr"], About::Receiver(Field::Address)),
    (&["tcp", "sport"], About::Sender(Field::Port)),
    (&["tcp", "dport"], About::Receiver(Field::Port)),
    (&["th", "sport"], About::Sender(Field::Port)),
    (&["th", "dport"], About::Receiver(Field::Port)),
    (&["iif"], About::Inbound),
    (&["iifname"], About::Inbound),
    (&["oif"], About::Outbound),
    (&["oifname"], About::Outbound),
    (&["meta", "iif"], About::Inbound),
    (&["meta", "iifname"], About::Inbound),
    (&["meta", "oif"], About::Outbound),
    (&["meta", "oifname"], About::Outbound),
    (&["meta", "l4proto"], About::Protocol),
    (&["ip", "protocol"], About::Protocol),
    (&["meta", "nfproto"], About::Version),
    (&["ct", "state"], About::State),
    (&["meta", "protocol"], About::Version),
    (&["ether", "type"], About::Version),
];

/// Words with which conditions on other protocols than TCP begin.
const OTHERS: [&str; 11] = ["udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "ah", "esp", "comp", "arp"];

/// Statements that do more than this knows.
const UNKNOWN: [&str; 6] = ["xt", "synproxy", "tproxy", "queue", "fwd", "objref"];

/// What a statement does that ends a rule without a verdict.
fn handed_on<'a>(word: &str) -> Option<Does<'a>> {
    match word {
        "dnat" | "redirect" => Some(Does::Destination),
        "snat" | "masquerade" => Some(Does::Source),
        _ => UNKNOWN.contains(&word).then_some(Does::Anything),
    }
}

struct Reader<'r, 'a> {
    text: &'a str,
    /// The words that are left.
    words: &'r [&'a str],
    packet: &'r Packet,
    table: &'a Table,
}

impl<'a> Reader<'_, 'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn peek(&self) -> &'a str {
        self.words.first().copied().unwrap_or_default()
    }

    fn part(&mut self) -> Part<'a> {
        let before = self.words;
        if let Some(does) = self.verdict().or_else(|| handed_on(self.peek())) {
            return Part::Verdict(does);
        }
        let part = match self.peek() {
            "" => return Part::End,
            "counter" | "comment" | "log" | "notrack" => self.statement(),
            "tcp" if self.words.get(1) == Some(&"flags") => self.flags(),
            word if OTHERS.contains(&word) => Some(Part::Condition(Truth::No)),
            _ => self.condition(),
        };
        part.unwrap_or_else(|| {
            self.words = before;
            Part::Unknown
        })
    }

    /// A statement that changes nothing of the packet's way.
    fn statement(&mut self) -> Option<Part<'a>> {
        let values: &[&str] = match self.next()? {
            "counter" => &["name", "packets", "bytes"],
            "log" => &["prefix", "level", "group", "snaplen", "queue-threshold", "flags"],
            "comment" => {
                self.next();
                &[]
            }
            _ => &[],
        };
        while values.contains(&self.peek()) {
            self.words = self.words.get(2..).unwrap_or_default();
        }
        Some(Part::Condition(Truth::Yes))
    }

    /// The verdict, if it stands here.
    fn verdict(&mut self) -> Option<Does<'a>> {
        let [first, second @ ..] = self.words else { return None };
        let second = second.first().copied().unwrap_or_default();
        Some(match *first {
            "accept" => Does::Accept,
            "drop" | "reject" => Does::Drop,
            "return" => Does::Return,
            "continue" => Does::GoOn,
            "jump" | "goto" if second == "{" => Does::Block(inner(self.text), *first == "jump"),
            "jump" => Does::Jump(second),
            "goto" => Does::Goto(second),
            _ => return None,
        })
    }

    /// The verdict behind what is not understood. Words that hand a packet on may there be values as well (`ct status dnat`):
    /// only where there is no verdict they are taken for what they say.
    fn verdict_behind(&mut self) -> Does<'a> {
        let handed_on = self.words.iter().find_map(|word| handed_on(word));
        while !self.words.is_empty() {
            if let Some(does) = self.verdict() {
                return does;
            }
            if self.next() == Some("vmap") {
                let elements = self.elements();
                return verdicts(elements, |_| Truth::Unknown);
            }
        }
        handed_on.unwrap_or(Does::GoOn)
    }

    /// An expression, and what it is compared with.
    fn condition(&mut self) -> Option<Part<'a>> {
        let (expression, about) = EXPRESSIONS.iter().find(|(expression, _)| self.words.starts_with(expression))?;
        self.words = &self.words[expression.len()..];
        let (packet, about) = (self.packet, *about);
        let is_other_version = match expression[0] {
            "ip" => packet.v6,
            "ip6" => !packet.v6,
            _ => false,
        };
        if is_other_version {
            return Some(Part::Condition(Truth::No));
        }
        match self.next()? {
            "vmap" => {
                let elements = self.elements();
                Some(Part::Verdict(verdicts(elements, |key| holds(about, packet, key))))
            }
            "!=" => self.value(about).map(|it| Part::Condition(!it)),
            "==" => self.value(about).map(Part::Condition),
            first => {
                // what follows is no operator: it is the value
                self.value_from(about, first).map(Part::Condition)
            }
        }
    }

    fn value(&mut self, about: About) -> Option<Truth> {
        let first = self.next()?;
        self.value_from(about, first)
    }

    /// Whether an expression has a value, or one of a set's.
    fn value_from(&mut self, about: About, first: &'a str) -> Option<Truth> {
        match first {
            "." | "&" | "|" | "^" | "<" | ">" | "<=" | ">=" | "<<" | ">>" | "map" | "set" | "!" => None,
            "{" => {
                let elements = list(self.braces());
                Some(self.any_of(about, elements))
            }
            _ => match first.strip_prefix('@') {
                Some(name) => Some(self.any_of(about, self.named(name))),
                None => Some(holds(about, self.packet, first)),
            },
        }
    }

    fn any_of(&self, about: About, elements: Option<Vec<&'a str>>) -> Truth {
        let holds = |element: &str| holds(about, self.packet, element.split(' ').next().unwrap_or_default());
        elements.map_or(Truth::Unknown, |elements| Truth::any(elements.into_iter().map(holds)))
    }

    /// The elements of the map that stands here.
    fn elements(&mut self) -> Option<Vec<&'a str>> {
        match self.next()? {
            "{" => list(self.braces()),
            name => self.named(name.strip_prefix('@')?),
        }
    }

    fn named(&self, name: &str) -> Option<Vec<&'a str>> {
        list(self.table.set(name)?.elements.as_deref())
    }

    /// What stands between the brace that was read and the one that closes it.
    fn braces(&mut self) -> Option<&'a str> {
        let from = self.offset();
        while let Some(word) = self.next() {
            if word == "}" {
                return self.text.get(from..self.offset_of(word));
            }
        }
        None
    }

    /// Where in the rule the next word stands.
    fn offset(&self) -> usize {
        self.words.first().map_or(self.text.len(), |word| self.offset_of(word))
    }

    fn offset_of(&self, word: &str) -> usize {
        word.as_ptr() as usize - self.text.as_ptr() as usize
    }

    /// `tcp flags syn`, `tcp flags & (syn | ack) == syn`, `tcp flags syn / syn,ack`, each also with `!=`.
    fn flags(&mut self) -> Option<Part<'a>> {
        self.words = &self.words[2..];
        let holds = match self.peek() {
            "&" => {
                self.next();
                let mask = self.bits()?;
                let is_not = self.comparison()?;
                let holds = self.packet.has_flags(mask, self.bits()?);
                if is_not { !holds } else { holds }
            }
            _ => {
                let operator = self.comparison();
                let value = self.bits()?;
                let mask = if self.peek() == "/" { self.next().and_then(|_| self.bits())? } else { ALL };
                match (operator, mask) {
                    (None, ALL) => self.packet.has_one_of(value),
                    (Some(true), _) => !self.packet.has_flags(mask, value),
                    (_, _) => self.packet.has_flags(mask, value),
                }
            }
        };
        Some(Part::Condition(holds))
    }

    /// Whether it is `!=`, if it is a comparison.
    fn comparison(&mut self) -> Option<bool> {
        let is_not = match self.peek() {
            "!=" => true,
            "==" => false,
            _ => return None,
        };
        self.next();
        Some(is_not)
    }

    /// Control bits: `syn`, `syn,ack`, `syn | ack`, `(syn | ack)`, `0x0`.
    fn bits(&mut self) -> Option<u8> {
        let mut bits = bits(self.next()?)?;
        while self.peek() == "|" {
            self.next();
            bits |= self::bits(self.next()?)?;
        }
        Some(bits)
    }
}

/// All control bits.
const ALL: u8 = 0xff;

fn bits(list: &str) -> Option<u8> {
    const NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
    let list = list.trim_start_matches('(').trim_end_matches(')');
    list.split(['|', ',']).try_fold(0, |bits, name| match name {
        "0x0" | "0" => Some(bits),
        _ => NAMES.iter().position(|it| *it == name).map(|bit| bits | 1 << bit),
    })
}

/// Whether an expression has this value.
fn holds(about: About, packet: &Packet, value: &str) -> Truth {
    let of_end = |end: super::End, field| match field {
        Field::Port => is_port(end.port, value, '-'),
        Field::Address => is_address(end.ip, value),
    };
    match about {
        About::Sender(field) => of_end(packet.source, field),
        About::Receiver(field) => of_end(packet.destination, field),
        About::Inbound => packet.inbound.is(bare(value), '*'),
        About::Outbound => packet.outbound.is(bare(value), '*'),
        About::Protocol => Truth::from(matches!(value, "tcp" | "6")),
        About::Version => match value {
            "ipv4" | "ip" => Truth::from(!packet.v6),
            "ipv6" | "ip6" => Truth::from(packet.v6),
            _ => Truth::Unknown,
        },
        About::State => packet.has_state(value.split(',')),
    }
}

/// The elements of a list.
fn list(text: Option<&str>) -> Option<Vec<&str>> {
    Some(text?.split(',').map(str::trim).filter(|element| !element.is_empty()).collect())
}

/// The verdicts of a map, `21 : accept`, each with whether its key is the packet's.
fn verdicts<'a>(elements: Option<Vec<&'a str>>, holds: impl Fn(&'a str) -> Truth) -> Does<'a> {
    let Some(elements) = elements else { return Does::Anything };
    let choice = |element: &'a str| {
        let Some((key, verdict)) = element.rsplit_once(" : ") else { return (Truth::Unknown, Does::Anything) };
        let does = match verdict.split_once(' ').unwrap_or((verdict, "")) {
            ("accept", _) => Does::Accept,
            ("drop", _) => Does::Drop,
            ("return", _) => Does::Return,
            ("continue", _) => Does::GoOn,
            ("jump", chain) => Does::Jump(chain),
            ("goto", chain) => Does::Goto(chain),
            _ => Does::Anything,
        };
        let key = key.split(' ').next().unwrap_or_default();
        (if key == "*" { Truth::Unknown } else { holds(key) }, does)
    };
    Does::OneOf(elements.into_iter().map(choice).collect())
}

/// The rules between the outermost braces of a rule that ends with them: `jump { tcp dport 21 accept; counter drop }`.
fn inner(text: &str) -> Vec<&str> {
    let from = ["jump {", "goto {"].iter().filter_map(|word| text.find(word)).min().map_or(0, |at| at + 6);
    let until = text.rfind('}').unwrap_or(text.len()).max(from);
    let (mut depth, mut is_quoted) = (0_i32, false);
    let rules = text[from..until].split(|c| {
        is_quoted ^= c == '"';
        if !is_quoted {
            depth += i32::from(c == '{') - i32::from(c == '}');
        }
        c == ';' && depth == 0 && !is_quoted
    });
    rules.map(str::trim).filter(|rule| !rule.is_empty()).collect()
}
