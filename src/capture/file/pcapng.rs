//! pcapng files (draft-ietf-opsawg-pcapng, section 4): sections of blocks, each between two copies of its length.
//!
//! A section has a byte order and interfaces of its own. Blocks of an unknown type are passed over.

use crate::packet::Direction;

use super::buffer::{Buffer, HEADROOM};
use super::facts::{Facts, MAX_INTERFACES};
use super::interface::{Clock, describe, options};
use super::record::{ABSURD, End, Found, MAX_PACKET, Order, Record, Skip, Step};
use super::writer::OVERHEARD;

/// Block type of a section header, the same in both byte orders, and so the magic number of the format.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// A section header's byte-order magic.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Options `epb_flags` and `pack_flags`.
const FLAGS: u16 = 2;
/// The bits of these that tell the direction, and for whom the packet was.
const DIRECTION_AND_RECEPTION: u32 = 0x1f;
const ISB_STARTTIME: u16 = 2;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// Bytes of a section header before its options: type, length, byte order, version (2 + 2), length of the section (8).
const SECTION_HEADER: usize = 24;
/// Bytes of an interface description before its options: type, length, link type, snap length.
const INTERFACE_HEADER: usize = 16;
/// Bytes of statistics before their options: type, length, interface, time (8).
const STATISTICS_HEADER: usize = 20;
/// Bytes of a packet block before the packet: type, length, interface, time (8), two lengths.
const PACKET_HEADER: usize = 28;
/// Bytes of a simple packet block before the packet: type, length, original length.
const SIMPLE_HEADER: usize = 12;

/// Walks the blocks of a pcapng file.
#[derive(Debug)]
pub(super) struct Pcapng {
    /// Which of the tap's files.
    file: u16,
    order: Order,
    /// Interfaces of the present section; none where the tap has too many.
    interfaces: Vec<Option<Source>>,
}

/// What a packet block needs to know of its interface.
#[derive(Debug)]
struct Source {
    /// Number within the tap.
    number: u32,
    link_type: u32,
    snaplen: u32,
    clock: Clock,
}

impl Pcapng {
    /// Looks at the first section header, whose type was recognised; says what is wrong with it.
    pub(super) fn open(buffer: &mut Buffer, file: u16) -> Result<Pcapng, String> {
        let (order, _) = section(buffer)?;
        Ok(Pcapng { file, order, interfaces: Vec::new() })
    }

    /// Finds the next packet and writes its `record`; tells `facts` what the blocks before it say.
    pub(super) fn next(&mut self, buffer: &mut Buffer, facts: &mut Facts, record: &mut Record) -> Found<Step> {
        loop {
            let Some(header) = buffer.peek::<12>() else {
                return buffer.short("a block has at least", 12);
            };
            let (kind, total) = (self.order.u32(header, 0), self.order.u32(header, 4));
            match (kind, self.order) {
                (ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET, _) if total as usize > HEADROOM => {
                    pass(buffer, self.order, total)?;
                    return Ok(Step::Skipped(Skip::TooLong(total)));
                }
                (ENHANCED_PACKET | OBSOLETE_PACKET, Order::Little) => {
                    return self.packet(Order::Little, buffer, record, kind, total);
                }
                (ENHANCED_PACKET | OBSOLETE_PACKET, Order::Big) => {
                    return self.packet(Order::Big, buffer, record, kind, total);
                }
                (SIMPLE_PACKET, _) => return self.simple_packet(buffer, record, total),
                _ => self.describe(buffer, facts, kind, total)?,
            }
        }
    }

    /// Reads, or passes over, a block that is not a packet.
    #[cold]
    fn describe(&mut self, buffer: &mut Buffer, facts: &mut Facts, kind: u32, total: u32) -> Found<()> {
        match kind {
            SECTION => {
                let (order, total) = section(buffer).or_else(End::damaged)?;
                self.order = order;
                self.interfaces.clear();
                pass(buffer, order, total)
            }
            INTERFACE => {
                let (_, block) = hold(buffer, self.order, total, INTERFACE_HEADER)?;
                self.interface(block, facts);
                Ok(())
            }
            STATISTICS => {
                let (_, block) = hold(buffer, self.order, total, STATISTICS_HEADER)?;
                self.statistics(block, facts);
                Ok(())
            }
            _ => pass(buffer, self.order, total),
        }
    }

    fn interface(&mut self, block: &[u8], facts: &mut Facts) {
        if self.interfaces.len() >= MAX_INTERFACES {
            return;
        }
        let (interface, clock) = describe(self.order, self.interfaces.len() as u32, block);
        let (link_type, snaplen) = (interface.link_type, interface.snaplen);
        facts.files[usize::from(self.file)].declare(link_type, snaplen);
        let number = facts.number(interface);
        self.interfaces.push(number.map(|number| Source { number, link_type, snaplen, clock }));
    }

    /// Keeps the count of lost packets; all ones mean that it is not known.
    fn statistics(&self, block: &[u8], facts: &mut Facts) {
        let Some(source) = self.source(self.order.u32(block, 8)) else {
            return;
        };
        let (mut start, mut lost) = (0, None);
        for (code, value) in options(self.order, &block[20..]) {
            match code {
                ISB_STARTTIME if value.len() == 8 => start = self.order.upper_lower(value, 0),
                ISB_IFDROP | ISB_OSDROP => {
                    let count = self.order.u64(value).filter(|&count| count != u64::MAX);
                    lost = lost.into_iter().chain(count).reduce(u64::saturating_add);
                }
                _ => {}
            }
        }
        if let Some(lost) = lost {
            facts.interfaces[source.number as usize].count_lost(start, lost);
        }
    }

    #[inline]
    fn source(&self, number: u32) -> Option<&Source> {
        self.interfaces.get(number as usize)?.as_ref()
    }

    /// An enhanced packet block or its forerunner. Inlined once for each byte order, which then costs nothing.
    #[inline(always)]
    fn packet(&self, order: Order, buffer: &mut Buffer, record: &mut Record, kind: u32, total: u32) -> Found<Step> {
        let (offset, block) = hold(buffer, order, total, PACKET_HEADER)?;
        let (header, data) = block.split_first_chunk::<PACKET_HEADER>().expect("hold has seen to it");
        let number = match kind {
            OBSOLETE_PACKET => u32::from(order.u16(header, 8)),
            _ => order.u32(header, 8),
        };
        let Some(source) = self.source(number) else {
            return Ok(Step::Skipped(Skip::NoInterface(number)));
        };
        let (captured, original) = (order.u32(header, 20), order.u32(header, 24));
        let len = captured as usize;
        if len > data.len() {
            let room = data.len();
            return End::damaged(format!("a packet of {len} bytes in a block with room for {room}"));
        }
        if captured > MAX_PACKET {
            return Ok(Step::Skipped(Skip::TooLong(captured)));
        }
        record.time = source.clock.time(order.upper_lower(header, 12));
        record.direction = match data.get(len.next_multiple_of(4)..) {
            Some(options @ [_, ..]) => direction(order, options),
            _ => None,
        };
        source.describe(record, offset + PACKET_HEADER, len, original);
        Ok(Step::Packet)
    }

    /// A simple packet block: of interface 0, without a time, and as long as the block and the snap length allow.
    #[cold]
    fn simple_packet(&self, buffer: &mut Buffer, record: &mut Record, total: u32) -> Found<Step> {
        let (offset, block) = hold(buffer, self.order, total, SIMPLE_HEADER)?;
        let Some(source) = self.source(0) else {
            return Ok(Step::Skipped(Skip::NoInterface(0)));
        };
        let original = self.order.u32(block, 8);
        let limit = if source.snaplen == 0 { original } else { original.min(source.snaplen) };
        let len = (block.len() - SIMPLE_HEADER).min(limit as usize);
        if len > MAX_PACKET as usize {
            return Ok(Step::Skipped(Skip::TooLong(original)));
        }
        record.direction = None;
        source.describe(record, offset + SIMPLE_HEADER, len, original);
        Ok(Step::Untimed)
    }
}

impl Source {
    /// Writes what `record` has from its interface, and where its packet is.
    #[inline]
    fn describe(&self, record: &mut Record, offset: usize, len: usize, original: u32) {
        record.link_type = self.link_type;
        record.interface = self.number;
        record.offset = offset;
        record.len = len;
        record.original_len = original.max(len as u32);
    }
}

/// Byte order and length of the section header that comes next; says what is wrong with it.
fn section(buffer: &mut Buffer) -> Result<(Order, u32), String> {
    let has = buffer.prefix(SECTION_HEADER).len();
    let Some(header) = buffer.peek::<SECTION_HEADER>() else {
        return Err(format!("a section header has {has} of its {SECTION_HEADER} bytes"));
    };
    let order = [Order::Little, Order::Big].into_iter().find(|order| order.u32(header, 8) == BYTE_ORDER);
    let order = order.ok_or("a section header's byte-order magic is wrong")?;
    match order.u16(header, 12) {
        1 => Ok((order, order.u32(header, 4))),
        major => Err(format!("version {major} of pcapng is none")),
    }
}

/// The next block, of `total` bytes, without the length at its end, and where it begins in the buffer. It has at
/// least `least` bytes.
#[inline]
fn hold(buffer: &mut Buffer, order: Order, total: u32, least: usize) -> Found<(usize, &[u8])> {
    let len = (total as usize).min(HEADROOM + 1).next_multiple_of(4);
    if len < least + 4 || len > HEADROOM {
        return End::damaged(format!("a block says it is {total} bytes long"));
    }
    let Some(offset) = buffer.take(len) else {
        return buffer.short("block says", len);
    };
    let (block, trailer) = buffer.slice(offset, len).split_at(len - 4);
    same_length(order, total, trailer)?;
    Ok((offset, block))
}

/// Passes over the next block, of `total` bytes.
fn pass(buffer: &mut Buffer, order: Order, total: u32) -> Found<()> {
    let len = u64::from(total).next_multiple_of(4);
    if !(12..=u64::from(ABSURD)).contains(&len) {
        return End::damaged(format!("a block says it is {total} bytes long"));
    }
    let has = buffer.skip(len - 4);
    match buffer.peek::<4>() {
        Some(trailer) => same_length(order, total, trailer)?,
        None => {
            return End::cut("block says", len, has + buffer.prefix(4).len() as u64);
        }
    }
    buffer.take(4);
    Ok(())
}

/// Checks the length at the end of a block. Some writers leave the padding out of both, some only of the first.
#[inline]
fn same_length(order: Order, total: u32, trailer: &[u8]) -> Found<()> {
    match order.u32(trailer, 0) {
        end if end == total || end == total.next_multiple_of(4) => Ok(()),
        end => End::damaged(format!("a block says {total} bytes at its start and {end} at its end")),
    }
}

/// The direction that a packet block's options tell, if they do.
#[inline]
fn direction(order: Order, bytes: &[u8]) -> Option<Direction> {
    let flags = options(order, bytes).find(|(code, value)| *code == FLAGS && value.len() == 4)?;
    let flags = order.u32(flags.1, 0);
    match flags & 3 {
        1 if flags & DIRECTION_AND_RECEPTION == OVERHEARD => Some(Direction::Overheard),
        1 => Some(Direction::Incoming),
        2 => Some(Direction::Outgoing),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
