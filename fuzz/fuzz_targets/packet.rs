//! Bytes of frames of any link type: decoding never panics, and fragments never grow without bound.
#![no_main]

use ftpwhy::cite::At;
use ftpwhy::packet::{Decoder, Frame};
use libfuzzer_sys::fuzz_target;

/// Link types with a decoder, and one without.
const LINK_TYPES: [u32; 12] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 239, 276, 253];

fuzz_target!(|input: (u8, u16, Vec<Vec<u8>>)| {
    let (link_type, cut, frames) = input;
    let mut decoder = Decoder::new();
    for bytes in &frames {
        let frame = Frame {
            at: At::default(),
            link_type: LINK_TYPES[usize::from(link_type) % LINK_TYPES.len()],
            interface: 0,
            direction: None,
            bytes,
            original_len: bytes.len() as u32 + u32::from(cut),
        };
        let _ = decoder.decode(&frame);
        let _ = frame.glance();
    }
});
