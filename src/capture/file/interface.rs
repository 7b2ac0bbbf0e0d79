//! Interface Description Blocks of pcapng (draft-ietf-opsawg-pcapng, section 4.2), options (3.5) and clocks.

use std::net::IpAddr;

use crate::cite::Time;

use super::facts::Interface;
use super::mark::Mark;
use super::record::Order;

/// Longest name or filter that is kept, in bytes; the rest is cut off. Linux's names have 15, long filters hundreds.
pub(super) const MAX_TEXT: usize = 4096;

/// Most addresses of one interface that are kept.
const MAX_ADDRESSES: usize = 256;

const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_IPV4ADDR: u16 = 4;
const IF_IPV6ADDR: u16 = 5;
const IF_TSRESOL: u16 = 9;
const IF_FILTER: u16 = 11;
const IF_TSOFFSET: u16 = 14;

/// What `block` says of interface `number`. It has at least its 16 bytes before the options: type, length, link type,
/// snap length.
pub(super) fn describe(order: Order, number: u32, block: &[u8]) -> (Interface, Clock) {
    let (link_type, snaplen) = (u32::from(order.u16(block, 8)), order.u32(block, 12));
    let mut interface = Interface { number, link_type, snaplen, ..Interface::default() };
    let mut clock = Clock::default();
    for (code, value) in options(order, &block[16..]) {
        match (code, value) {
            (OPT_COMMENT, comment) => interface.mark = interface.mark.or(Mark::read(comment).map(Box::new)),
            (IF_NAME, name) => interface.name = Some(text(name)),
            (IF_IPV4ADDR, &[a, b, c, d, ..]) => keep(&mut interface.addresses, [a, b, c, d].into()),
            (IF_IPV6ADDR, value) => {
                let address = value.first_chunk::<16>().map(|octets| IpAddr::from(*octets));
                address.into_iter().for_each(|address| keep(&mut interface.addresses, address));
            }
            (IF_FILTER, [0, filter @ ..]) => interface.filter = Some(text(filter)),
            (IF_TSRESOL, &[resolution]) => clock.resolution = Resolution::new(resolution),
            (IF_TSOFFSET, seconds) => clock.offset = order.u64(seconds).map_or(0, u64::cast_signed),
            _ => {}
        }
    }
    (interface, clock)
}

fn keep(addresses: &mut Vec<IpAddr>, address: IpAddr) {
    if addresses.len() < MAX_ADDRESSES {
        addresses.push(address);
    }
}

fn text(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

/// The options in `bytes`, code and value, up to the end mark or to the first that does not fit.
pub(super) fn options(order: Order, mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.get(..4)?;
        let (code, len) = (order.u16(head, 0), usize::from(order.u16(head, 2)));
        let value = bytes.get(4..4 + len)?;
        bytes = bytes.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
        (code != 0).then_some((code, value))
    })
}

/// How the timestamps of an interface count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    resolution: Resolution,
    /// Seconds to add.
    offset: i64,
}

impl Clock {
    /// The time that `ticks` mean. Times that 64 bits of nanoseconds cannot hold become the last that they can.
    #[inline]
    pub(super) fn time(self, ticks: u64) -> Time {
        let nanoseconds = match self.resolution {
            Resolution::Times(factor) => ticks.saturating_mul(factor),
            Resolution::Over(divisor) => ticks / divisor,
            Resolution::Shifted(bits) => u64::try_from((u128::from(ticks) * 1_000_000_000) >> bits).unwrap_or(u64::MAX),
        };
        let nanoseconds = i64::try_from(nanoseconds).unwrap_or(i64::MAX);
        Time(nanoseconds.saturating_add(self.offset.saturating_mul(1_000_000_000)))
    }
}

/// From ticks to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// Ticks of 10^0 to 10^-9 seconds: a factor.
    Times(u64),
    /// Finer ticks: a divisor.
    Over(u64),
    /// Ticks of 2^-n seconds: n, at most 127.
    Shifted(u32),
}

impl Default for Resolution {
    /// Microseconds.
    fn default() -> Resolution {
        Resolution::Times(1000)
    }
}

impl Resolution {
    /// The value of `if_tsresol`: a negative exponent, of 2 if the top bit is set, of 10 otherwise.
    fn new(if_tsresol: u8) -> Resolution {
        let exponent = u32::from(if_tsresol & 0x7f);
        match exponent {
            _ if if_tsresol & 0x80 != 0 => Resolution::Shifted(exponent),
            0..=9 => Resolution::Times(10_u64.pow(9 - exponent)),
            _ => Resolution::Over(10_u64.saturating_pow(exponent - 9)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(if_tsresol: u8, offset: i64, ticks: u64) -> i64 {
        Clock { resolution: Resolution::new(if_tsresol), offset }.time(ticks).0
    }

    #[test]
    fn clocks_count_in_powers_of_ten_and_of_two() {
        assert_eq!(Clock::default().time(1_500_000), Time(1_500_000_000));
        assert_eq!(time(0, 0, 3), 3_000_000_000);
        assert_eq!(time(3, 0, 1500), 1_500_000_000);
        assert_eq!(time(9, 0, 7), 7);
        assert_eq!(time(12, 0, 7_999), 7);
        assert_eq!(time(0x80 | 10, 0, 1536), 1_500_000_000);
        assert_eq!(time(0x80 | 32, 0, 1 << 31), 500_000_000);
        assert_eq!(time(6, 1_700_000_000, 1), 1_700_000_000_000_001_000);
        assert_eq!(time(6, -2, 1), -1_999_999_000);
    }

    #[test]
    fn hostile_clocks_stay_within_range() {
        for resolution in 0..=255 {
            for ticks in [0, 1, u64::MAX / 2, u64::MAX] {
                assert!(time(resolution, 0, ticks) >= 0);
                time(resolution, i64::MIN, ticks);
                time(resolution, i64::MAX, ticks);
            }
        }
        assert_eq!(time(0, 0, u64::MAX), i64::MAX);
        assert_eq!(time(0xff, 0, u64::MAX), 0);
    }

    #[test]
    fn options_end_at_the_mark_and_where_they_do_not_fit() {
        let list = |bytes: &'static [u8]| options(Order::Big, bytes).collect::<Vec<_>>();
        assert_eq!(list(b"\0\x02\0\x02ab\0\0\0\x09\0\x01\x06"), [(2, &b"ab"[..]), (9, &b"\x06"[..])]);
        assert_eq!(list(b"\0\x01\0\0\0\0\0\0\0\x02\0\0"), [(1, &b""[..])]);
        assert_eq!(list(b"\0\x02\0\x09abcd"), []);
        assert_eq!(list(b"\0\x02\0"), []);
    }
}
