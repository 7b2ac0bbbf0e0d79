//! pcap files (draft-ietf-opsawg-pcap): a header of 24 bytes, then records, each a header of 16 bytes and a packet.

use crate::cite::Time;
use crate::packet::Direction;

use super::buffer::Buffer;
use super::facts::Format;
use super::record::{ABSURD, End, Found, MAX_PACKET, Order, Record, Skip, Step};

/// Link type bits; the four bits at the top tell the length of a frame check sequence.
const LINK_TYPE: u32 = 0x03ff_ffff;

/// Header of a record in the modified format: interface index (4 bytes), protocol (2), packet type and padding more.
const MODIFIED_HEADER: usize = 24;

/// Where that header has the packet type (`PACKET_*` of Linux's if_packet.h).
const PACKET_TYPE: usize = 22;

/// Walks the records of a pcap file.
#[derive(Debug)]
pub(super) struct Pcap {
    order: Order,
    pub(super) format: Format,
    pub(super) link_type: u32,
    pub(super) snaplen: u32,
    /// Nanoseconds in a unit of the time's fraction.
    unit: i64,
    /// Files of version 2.3 and before may have a record's two lengths the wrong way round.
    old: bool,
    /// Whether record headers are not simply four little-endian words in their order.
    odd: bool,
    record_header: usize,
}

impl Pcap {
    /// The byte order and format that `magic` stands for.
    pub(super) fn recognise(magic: [u8; 4]) -> Option<(Order, Format)> {
        let format = |number| match number {
            0xa1b2_c3d4 => Some(Format::Pcap),
            0xa1b2_3c4d => Some(Format::PcapNanosecond),
            0xa1b2_cd34 => Some(Format::PcapModified),
            _ => None,
        };
        let little = format(u32::from_le_bytes(magic)).map(|format| (Order::Little, format));
        little.or_else(|| format(u32::from_be_bytes(magic)).map(|format| (Order::Big, format)))
    }

    /// Reads the file header, whose magic was recognised; says what is wrong with it.
    pub(super) fn open(buffer: &mut Buffer, order: Order, format: Format) -> Result<Pcap, String> {
        let has = buffer.prefix(24).len();
        let Some(header) = buffer.peek::<24>() else {
            return Err(format!("it has {has} of its 24 bytes"));
        };
        let version = (order.u16(header, 4), order.u16(header, 6));
        let (snaplen, link_type) = (order.u32(header, 16), order.u32(header, 20) & LINK_TYPE);
        if version.0 != 2 {
            return Err(format!("version {}.{} of pcap is none", version.0, version.1));
        }
        buffer.take(24);
        let old = version.1 <= 3;
        Ok(Pcap {
            order,
            format,
            link_type,
            snaplen,
            unit: if format == Format::PcapNanosecond { 1 } else { 1000 },
            old,
            odd: old || order == Order::Big,
            record_header: if format == Format::PcapModified { MODIFIED_HEADER } else { 16 },
        })
    }

    /// Finds the next packet and writes what its `record` has of its own.
    #[inline(always)]
    pub(super) fn next(&self, buffer: &mut Buffer, record: &mut Record) -> Found<Step> {
        let Some(header) = buffer.peek::<16>() else {
            return buffer.short("a record header has", 16);
        };
        let word = |at| Order::Little.u32(header, at);
        let mut words = [word(0), word(4), word(8), word(12)];
        if self.odd {
            words = self.put_right(words);
        }
        let [seconds, fraction, captured, original] = words;
        let header = self.record_header;
        if captured > MAX_PACKET {
            return self.too_long(buffer, header, captured);
        }
        let len = captured as usize;
        let Some(start) = buffer.take(header + len) else {
            return cut(header, captured, buffer.available() as u64);
        };
        record.time = Time(i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.unit);
        record.direction = self.direction(buffer, start);
        record.original_len = original.max(captured);
        record.offset = start + header;
        record.len = len;
        Ok(Step::Packet)
    }

    /// The words of a record header, which were read as little-endian, in the file's byte order, and the lengths as
    /// they should be.
    #[cold]
    fn put_right(&self, mut words: [u32; 4]) -> [u32; 4] {
        if self.order == Order::Big {
            words = words.map(u32::swap_bytes);
        }
        if self.old && words[2] > words[3] {
            words.swap(2, 3);
        }
        words
    }

    #[inline]
    fn direction(&self, buffer: &Buffer, record: usize) -> Option<Direction> {
        if self.format != Format::PcapModified {
            return None;
        }
        match buffer.slice(record + PACKET_TYPE, 1) {
            [0..=2] => Some(Direction::Incoming),
            [4] => Some(Direction::Outgoing),
            _ => None,
        }
    }

    /// Passes over a packet that the file says it may hold; takes anything else for damage.
    #[cold]
    fn too_long(&self, buffer: &mut Buffer, header: usize, captured: u32) -> Found<Step> {
        let snaplen = self.snaplen;
        if captured > snaplen.min(ABSURD) {
            return End::damaged(format!(
                "a record header says {captured} bytes where the file header allows {snaplen}"
            ));
        }
        let says = header as u64 + u64::from(captured);
        match buffer.skip(says) {
            has if has < says => cut(header, captured, has),
            _ => Ok(Step::Skipped(Skip::TooLong(captured))),
        }
    }
}

/// The end within a record of which `has` bytes are there; it tells lengths of the packet, as the record header does.
fn cut(header: usize, captured: u32, has: u64) -> Found<Step> {
    End::cut("record header says", u64::from(captured), has.saturating_sub(header as u64))
}

#[cfg(test)]
mod tests;
