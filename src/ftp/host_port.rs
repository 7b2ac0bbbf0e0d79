//! Reads where a data connection shall go, from the argument of a command or the text of a reply. Read RFC
//! 959 section 5.3.2 (`PORT`, 227), RFC 2428 (`EPRT`, 229) and RFC 1639 (`LPRT`, 228) first, and RFC 1123
//! section 4.1.2.6 for why a reader of 227 must be lenient.
//!
//! Every reader gives the lenient reading, the one that most programs act on, and says whether the text has the RFC's
//! own form; what is strict passes firewalls, what is not may not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and a port, as a party announced them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The address; `None` if only a port is given, as in 229, or if a name stands for it. An IPv4 address
    /// mapped into IPv6 is given as the IPv4 address, which is what packets will carry.
    pub address: Option<IpAddr>,
    /// The port; 0 if a party announces that.
    pub port: u16,
    /// Whether the text has the form that the RFC gives.
    pub strict: bool,
}

/// Reads the text of a 227: the first six numbers below 256 with commas between.
///
/// Blanks around commas, leading zeros, missing parentheses, more numbers behind and digits in the text before are
/// tolerated and not strict.
pub fn pasv_reply(text: &[u8]) -> Option<HostPort> {
    find_numbers(text, six_numbers, is_in_parentheses)
}

/// Reads the text of a 228: the first numbers that [`lprt`] could read.
pub fn lpsv_reply(text: &[u8]) -> Option<HostPort> {
    find_numbers(text, long_numbers, is_in_parentheses)
}

/// Reads the argument of `PORT`: six numbers below 256 with commas between.
pub fn port(argument: &[u8]) -> Option<HostPort> {
    find_numbers(argument, six_numbers, is_alone)
}

/// Reads the argument of `LPRT`: address family (4 or 6), address length, address, port length (2) and port,
/// one number an octet.
pub fn lprt(argument: &[u8]) -> Option<HostPort> {
    find_numbers(argument, long_numbers, is_alone)
}

/// Reads the text of a 229: `(|||port|)` with any delimiter.
///
/// Missing parentheses are tolerated, and an address where the RFC wants none.
pub fn epsv_reply(text: &[u8]) -> Option<HostPort> {
    let places = |opens: fn(&u8) -> bool| (0..text.len()).filter(move |&i| opens(&text[i]));
    let in_parentheses = places(|byte| *byte == b'(').find_map(|i| {
        let (found, rest) = announced_port(&text[i + 1..])?;
        let strict = found.strict && rest.starts_with(b")");
        Some(HostPort { strict, ..found })
    });
    in_parentheses.or_else(|| {
        let (found, _) = places(u8::is_ascii_punctuation).find_map(|i| announced_port(&text[i..]))?;
        Some(HostPort { strict: false, ..found })
    })
}

/// Reads the argument of `EPRT`: `|1|address|port|`, or 2 for IPv6, with any delimiter.
///
/// A missing last delimiter, a zone, brackets, leading zeros and the wrong family number are tolerated.
pub fn eprt(argument: &[u8]) -> Option<HostPort> {
    let fields = Fields::read(argument.trim_ascii())?;
    let (address, plain) = any_address(fields.address)?;
    let family = match fields.family {
        b"1" => address.is_ipv4(),
        b"2" => address.is_ipv6(),
        _ => return None,
    };
    let alone = fields.rest == Some(&[][..]) && argument == argument.trim_ascii();
    Some(HostPort { address: Some(address.to_canonical()), port: fields.port, strict: plain && family && alone })
}

/// The largest count of numbers that has a meaning: `LPRT` with an IPv6 address.
const MAX_NUMBERS: usize = 21;

/// Numbers with commas between, as many as stand together.
struct Run {
    /// The first numbers; one above 255 is no octet and stands as 256.
    numbers: [u16; MAX_NUMBERS],
    /// How many numbers there are, also beyond the first.
    count: usize,
    /// Where in the text it begins.
    start: usize,
    /// Where in the text it ends.
    end: usize,
    /// No blanks and no leading zeros.
    plain: bool,
}

impl Run {
    /// Reads the run that begins with the digit at `start`.
    fn read(text: &[u8], start: usize) -> Run {
        let mut run = Run { numbers: [0; MAX_NUMBERS], count: 0, start, end: start, plain: true };
        let mut next = Some(start);
        while let Some(at) = next {
            run.read_number(text, at);
            next = next_number(text, run.end);
            run.plain &= next.is_none_or(|next| next == run.end + 1);
        }
        run
    }

    fn read_number(&mut self, text: &[u8], at: usize) {
        let length = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = &text[at..at + length];
        if let Some(slot) = self.numbers.get_mut(self.count) {
            *slot = digits.iter().fold(0, |number: u16, digit| (10 * number + u16::from(digit - b'0')).min(256));
        }
        self.count += 1;
        self.end = at + length;
        self.plain &= length == 1 || digits[0] != b'0';
    }
}

/// Where the next number of a run begins, given where one ended.
fn next_number(text: &[u8], end: usize) -> Option<usize> {
    let skip_blanks = |from: usize| from + text[from..].iter().take_while(|byte| **byte == b' ').count();
    let comma = skip_blanks(end);
    let start = (text.get(comma) == Some(&b',')).then(|| skip_blanks(comma + 1))?;
    text.get(start)?.is_ascii_digit().then_some(start)
}

/// Address, port, and how many numbers they took.
type Decoded = (IpAddr, u16, usize);

/// Reads the first run of numbers that `decode` understands. It is strict if it is plain, the first, and
/// `framed` as it should.
fn find_numbers(
    text: &[u8],
    decode: fn(&[u16]) -> Option<Decoded>,
    framed: fn(&[u8], &Run) -> bool,
) -> Option<HostPort> {
    let mut from = 0;
    let mut first = true;
    loop {
        let start = from + text[from..].iter().position(u8::is_ascii_digit)?;
        let run = Run::read(text, start);
        if let Some((address, port, used)) = decode(&run.numbers[..run.count.min(MAX_NUMBERS)]) {
            let strict = first && run.plain && run.count == used && framed(text, &run);
            return Some(HostPort { address: Some(address.to_canonical()), port, strict });
        }
        (from, first) = (run.end, false);
    }
}

fn is_in_parentheses(text: &[u8], run: &Run) -> bool {
    text[..run.start].ends_with(b"(") && text[run.end..].starts_with(b")")
}

fn is_alone(text: &[u8], run: &Run) -> bool {
    run.start == 0 && run.end == text.len()
}

/// `h1,h2,h3,h4,p1,p2`.
fn six_numbers(numbers: &[u16]) -> Option<Decoded> {
    let [a, b, c, d, p, q] = octets(numbers)?;
    Some((Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([p, q]), 6))
}

/// `af,hal,h1,..,pal,p1,p2`.
fn long_numbers(numbers: &[u16]) -> Option<Decoded> {
    match numbers {
        [4, 4, rest @ ..] => {
            let octets: [u8; 7] = octets(rest)?;
            let (&address, &[2, p, q]) = octets.split_first_chunk::<4>()? else {
                return None;
            };
            Some((address.into(), u16::from_be_bytes([p, q]), 9))
        }
        [6, 16, rest @ ..] => {
            let octets: [u8; 19] = octets(rest)?;
            let (&address, &[2, p, q]) = octets.split_first_chunk::<16>()? else {
                return None;
            };
            Some((address.into(), u16::from_be_bytes([p, q]), MAX_NUMBERS))
        }
        _ => None,
    }
}

/// The first `N` numbers, if there are that many and each is an octet.
fn octets<const N: usize>(numbers: &[u16]) -> Option<[u8; N]> {
    let mut octets = [0; N];
    for (octet, &number) in octets.iter_mut().zip(numbers.get(..N)?) {
        *octet = u8::try_from(number).ok()?;
    }
    Some(octets)
}

/// `<d>family<d>address<d>port<d>` of RFC 2428, taken apart.
struct Fields<'a> {
    family: &'a [u8],
    address: &'a [u8],
    port: u16,
    /// What stands behind the last delimiter; `None` if that is missing.
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a [u8]) -> Option<Fields<'a>> {
        let delimiter = *text.first().filter(|byte| byte.is_ascii_graphic() && !byte.is_ascii_digit())?;
        let mut fields = text[1..].splitn(4, |&byte| byte == delimiter);
        Some(Fields {
            family: fields.next()?,
            address: fields.next()?,
            port: decimal(fields.next()?)?,
            rest: fields.next(),
        })
    }
}

/// The fields that a 229 begins with, and what follows them. Strict if family and address are blank.
fn announced_port(text: &[u8]) -> Option<(HostPort, &[u8])> {
    let Fields { family, address, port, rest } = Fields::read(text)?;
    let possible = matches!(family, b"" | b"1" | b"2") && address.iter().all(u8::is_ascii_graphic);
    let found = HostPort {
        address: any_address(address).map(|(address, _)| address.to_canonical()),
        port,
        strict: family.is_empty() && address.is_empty(),
    };
    possible.then_some((found, rest?))
}

/// Reads an address, and says whether it is written as it should be.
fn any_address(text: &[u8]) -> Option<(IpAddr, bool)> {
    let text = str::from_utf8(text).ok()?;
    let plain = text.parse().ok().map(|address| (address, true));
    plain.or_else(|| Some((zeroed_ipv4(text).or_else(|| adorned_ipv6(text))?, false)))
}

/// Reads an IPv4 address with leading zeros, as decimal numbers.
fn zeroed_ipv4(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut numbers = text.split('.');
    for octet in &mut octets {
        *octet = decimal(numbers.next()?.as_bytes())?.try_into().ok()?;
    }
    numbers.next().is_none().then_some(octets.into())
}

/// Reads an IPv6 address in brackets or with a zone.
fn adorned_ipv6(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.split('%').next()?;
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// Reads a decimal number up to 65535.
fn decimal(digits: &[u8]) -> Option<u16> {
    let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    digits.parse().ok()
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Reachable from everywhere, as far as the address says.
    Public,
    /// A site's own: RFC 1918, unique local (RFC 4193), site local (RFC 3879).
    Private,
    /// Between a provider's NAT and its customers: 100.64.0.0/10 (RFC 6598).
    Shared,
    /// One link: 169.254.0.0/16 (RFC 3927), fe80::/10.
    LinkLocal,
    /// The host itself.
    Loopback,
    /// 0.0.0.0 or ::.
    Unspecified,
    /// For documents, and for captures made anonymous: RFC 5737, RFC 3849, RFC 9637.
    Documentation,
    /// Of no single host on the Internet: multicast, broadcast, 0.0.0.0/8, 240.0.0.0/4, benchmarks (RFC 2544).
    Reserved,
}

/// How far an address reaches; one mapped into IPv6 as far as the IPv4 address.
pub fn scope(ip: IpAddr) -> Scope {
    match ip.to_canonical() {
        IpAddr::V4(ip) => scope_v4(ip),
        IpAddr::V6(ip) => scope_v6(ip),
    }
}

fn scope_v4(ip: Ipv4Addr) -> Scope {
    match ip.octets() {
        [0, 0, 0, 0] => Scope::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Scope::Private,
        [100, 64..=127, ..] => Scope::Shared,
        [169, 254, ..] => Scope::LinkLocal,
        [127, ..] => Scope::Loopback,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Scope::Documentation,
        [0 | 224..=255, ..] | [198, 18 | 19, ..] => Scope::Reserved,
        _ => Scope::Public,
    }
}

fn scope_v6(ip: Ipv6Addr) -> Scope {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Scope::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Scope::Private,
        [0xfe80..=0xfebf, ..] => Scope::LinkLocal,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Scope::Documentation,
        [0xff00..=0xffff, ..] => Scope::Reserved,
        _ => Scope::Public,
    }
}

#[cfg(test)]
mod tests;
