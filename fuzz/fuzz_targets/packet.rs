//! Frames of any link type: decoding never panics, and what is told at a glance is what is decoded.
#![no_main]

use ftpwhy::cite::At;
use ftpwhy::packet::{Decoder, Frame, Packet};
use libfuzzer_sys::fuzz_target;

/// Link types with a decoder, and one without.
const LINK_TYPES: [u32; 12] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 239, 276, 253];

// A byte for the link type, one for what the snap length cut; then frames, each behind its length in a byte.
fuzz_target!(|input: &[u8]| {
    let &[link_type, cut, ref frames @ ..] = input else { return };
    let mut decoder = Decoder::new();
    let mut rest = frames;
    while let Some((&length, behind)) = rest.split_first() {
        let (bytes, others) = behind.split_at(behind.len().min(length.into()));
        rest = others;
        let frame = Frame {
            at: At::default(),
            link_type: LINK_TYPES[usize::from(link_type) % LINK_TYPES.len()],
            interface: 0,
            direction: None,
            bytes,
            original_len: bytes.len() as u32 + u32::from(cut),
        };
        let packet = decoder.decode(&frame);
        if let Packet::Segment(segment) = packet {
            assert!(segment.text.len() <= segment.text_len as usize);
            let _ = (segment.checksum_is_bad(), segment.mss(), segment.timestamps());
        }
        if let Some(glance) = frame.glance() {
            let Packet::Segment(segment) = packet else { panic!("a glance sees what is {packet:?}") };
            assert_eq!(glance.segment(&frame), segment);
        }
    }
});
