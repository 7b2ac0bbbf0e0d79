//! What the headers that the kernel hands out with a message tell of a TCP segment, or of an ICMP error.

use std::net::IpAddr;

use super::Kind;
use crate::cite::At;
use crate::packet::{Decoder, Endpoint, Frame, Packet};

/// Link type of a packet that begins with its IP header (`LINKTYPE_RAW`).
const RAW_IP: u32 = 101;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// Sender and receiver.
    pub(super) ends: (Endpoint, Endpoint),
    pub(super) kind: Kind,
}

impl Headers {
    /// Reads the beginning of a packet, from its IP header on; none of what is neither a TCP segment nor an ICMP error that
    /// tells the path MTU.
    pub(super) fn read(bytes: &[u8]) -> Option<Headers> {
        let original_len = u32::try_from(bytes.len()).ok()?;
        let frame = Frame { at: At::default(), link_type: RAW_IP, interface: 0, direction: None, bytes, original_len };
        match Decoder::new().decode(&frame) {
            Packet::Segment(segment) => {
                let kind = Kind::Segment { flags: segment.flags, seq: segment.seq };
                Some(Headers { ends: (segment.source, segment.destination), kind })
            }
            _ => too_big(bytes),
        }
    }
}

/// Reads an ICMP error of which the kernel hands out too little to tell the segment that it is about.
fn too_big(bytes: &[u8]) -> Option<Headers> {
    let address4 = |from: usize| Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(from..from + 4)?).ok()?));
    let address6 = |from: usize| Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(from..from + 16)?).ok()?));
    let first = *bytes.first()?;
    let (protocol, header, source, destination) = match first >> 4 {
        4 => (*bytes.get(9)?, usize::from(first & 15) * 4, address4(12)?, address4(16)?),
        6 => (*bytes.get(6)?, 40, address6(8)?, address6(24)?),
        _ => return None,
    };
    let message = (*bytes.get(header)?, *bytes.get(header + 1)?);
    let is_too_big = matches!((protocol, message), (1, (3, 4)) | (58, (2, _)));
    let end = |ip| Endpoint { ip, port: 0 };
    is_too_big.then(|| Headers { ends: (end(source), end(destination)), kind: Kind::TooBig })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_too_big_has_its_ends() {
        let [from, to] = [1, 9].map(|last| [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[last]].concat());
        let packet = |kind| [&[0x60, 0, 0, 0, 0, 48, 58, 64][..], &from, &to, &[kind, 0, 0, 0, 0, 0, 5, 120]].concat();
        let headers = Headers::read(&packet(2)).expect("it is one");
        let ends = (headers.ends.0.to_string(), headers.ends.1.to_string());
        assert_eq!((headers.kind, ends), (Kind::TooBig, ("[2001:db8::1]:0".into(), "[2001:db8::9]:0".into())));
        assert_eq!(Headers::read(&packet(1)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            Headers::read(&bytes);
        }
    }
}
