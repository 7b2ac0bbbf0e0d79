//! What the headers that the kernel hands out with a message tell of a TCP segment.

use crate::cite::At;
use crate::packet::{Decoder, Endpoint, Flags, Frame, Packet};

/// Link type of a packet that begins with its IP header (`LINKTYPE_RAW`).
const RAW_IP: u32 = 101;

/// A segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// Sender and receiver.
    pub(super) ends: (Endpoint, Endpoint),
    pub(super) flags: Flags,
    pub(super) seq: u32,
}

impl Headers {
    /// Reads the beginning of a packet, from its IP header on; none of what is no TCP segment.
    pub(super) fn read(bytes: &[u8]) -> Option<Headers> {
        let original_len = u32::try_from(bytes.len()).ok()?;
        let frame = Frame { at: At::default(), link_type: RAW_IP, interface: 0, direction: None, bytes, original_len };
        match Decoder::new().decode(&frame) {
            Packet::Segment(segment) => {
                Some(Headers { ends: (segment.source, segment.destination), flags: segment.flags, seq: segment.seq })
            }
            _ => None,
        }
    }
}
