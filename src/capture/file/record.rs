//! The words that the walkers of pcap and pcapng share: a record found, a record passed over, an end.

use crate::cite::Time;
use crate::packet::Direction;

/// Longest packet that is read, in bytes: the largest snap length that tcpdump and Wireshark ask for. Longer ones
/// (USB or D-Bus traces have them) are counted and passed over.
pub const MAX_PACKET: u32 = 262_144;

/// Length from which a record cannot be but damage: the largest that Wireshark takes for any link type (128 MiB).
pub(super) const ABSURD: u32 = 128 << 20;

/// A packet's record; its bytes lie in the buffer it was found in until the next record is asked for.
///
/// A stream has one, which its walker writes field by field; what all packets of a file share is written once. Measured:
/// handing records up as values costs more than finding them, since the processor cannot forward the narrow stores of the
/// fields to the wide loads of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) time: Time,
    pub(super) link_type: u32,
    pub(super) interface: u32,
    pub(super) direction: Option<Direction>,
    pub(super) original_len: u32,
    /// Where the packet begins in the buffer.
    pub(super) offset: usize,
    /// Captured length.
    pub(super) len: usize,
}

/// One step of a walker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A packet; the record is written.
    Packet,
    /// A packet that has no time; the record is written, but for the time, which is that of the packet before.
    Untimed,
    /// A packet that is counted and cannot be given.
    Skipped(Skip),
}

/// Why a packet is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// Its record, of so many bytes, holds more than [`MAX_PACKET`].
    TooLong(u32),
    /// It names an interface by a number that the section does not describe.
    NoInterface(u32),
}

/// What a walker gives; the end is boxed, so that nothing large is moved for every packet.
pub(super) type Found<T> = Result<T, Box<End>>;

/// Why a walker goes no further.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The input ends where a record ends.
    Finished,
    /// The input ends within a record.
    Cut {
        /// What tells how long it is, and the verb to that: "record header says".
        who: &'static str,
        /// Bytes it should have.
        says: u64,
        /// Bytes that are there.
        has: u64,
    },
    /// What is there cannot be a record.
    Damaged(String),
}

impl End {
    /// The end at what cannot be a record, for the reason given.
    #[cold]
    pub(super) fn damaged<T>(why: impl Into<String>) -> Found<T> {
        Err(Box::new(End::Damaged(why.into())))
    }

    /// The end within a record: it has `has` bytes where `who` (with a verb) `says` more.
    #[cold]
    pub(super) fn cut<T>(who: &'static str, says: u64, has: u64) -> Found<T> {
        Err(Box::new(End::Cut { who, says, has }))
    }
}

/// Byte order of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The number in bytes `at` and after.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let raw = [bytes[at], bytes[at + 1]];
        match self {
            Order::Little => u16::from_le_bytes(raw),
            Order::Big => u16::from_be_bytes(raw),
        }
    }

    /// The number in the four bytes `at` and after.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let raw = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        match self {
            Order::Little => u32::from_le_bytes(raw),
            Order::Big => u32::from_be_bytes(raw),
        }
    }

    /// The number in the eight bytes of `bytes`; none if there are not eight.
    pub(super) fn u64(self, bytes: &[u8]) -> Option<u64> {
        let raw = bytes.try_into().ok()?;
        Some(match self {
            Order::Little => u64::from_le_bytes(raw),
            Order::Big => u64::from_be_bytes(raw),
        })
    }

    /// The number in two words of four bytes, the upper one first whatever the byte order, as pcapng writes times.
    #[inline]
    pub(super) fn upper_lower(self, bytes: &[u8], at: usize) -> u64 {
        u64::from(self.u32(bytes, at)) << 32 | u64::from(self.u32(bytes, at + 4))
    }
}
