//! zstd (RFC 8878, section 3.1: frames and blocks), frame after frame.
//!
//! The decoder keeps back what later blocks may refer to, up to the window size, until the frame's last block. So
//! that a file cut off in the middle gives all that is before the cut, blocks are handed over whole, and where one
//! is missing an empty last block stands in for it. (A pipe shows its packets that much later, too.)

use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// An empty block of raw bytes with the "last" bit, and a checksum in case the frame wants one.
const EMPTY_LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Block type "RLE": one byte of content, however large the block gets.
const RLE: u32 = 1;

/// Largest block content (RFC 8878, section 3.1.1.2.4).
const MAX_BLOCK: u32 = 128 << 10;

/// Largest window, which is held in memory: what the zstd program takes without being told to take more.
const MAX_WINDOW: u64 = 128 << 20;

/// Reads packed bytes from `R`, gives unpacked ones.
pub(super) struct Zstd<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    block: Vec<u8>,
    /// Why there is no more than what the decoder holds.
    fault: Option<io::Error>,
}

impl<R: Read> Zstd<R> {
    /// Whether `magic` begins a frame or a frame to be skipped.
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        matches!(u32::from_le_bytes(magic), 0xfd2f_b528 | 0x184d_2a50..=0x184d_2a5f)
    }

    /// Unpacks what `source` gives.
    pub(super) fn new(source: BufReader<R>) -> Zstd<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Zstd { source, decoder, block: Vec::new(), fault: None }
    }

    /// Where the packed bytes come from.
    pub(super) fn source(&self) -> &R {
        self.source.get_ref()
    }

    /// Decodes one block, or the header of the next frame. False at the end of all frames.
    fn step(&mut self) -> io::Result<bool> {
        if !self.decoder.is_finished() {
            return self.decode_block().map(|()| true);
        }
        self.verify_checksum()?;
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.begin_frame().map(|()| true)
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink()).map(|_| ())
            }
            begun => begun.map_err(io::Error::other),
        }
    }

    fn decode_block(&mut self) -> io::Result<()> {
        self.read_block()?;
        let source = self.block.chain(&mut self.source);
        self.decoder.decode_blocks(source, BlockDecodingStrategy::UptoBlocks(1)).map_err(io::Error::other)?;
        Ok(())
    }

    /// Fetches the header and the content of one block.
    fn read_block(&mut self) -> io::Result<()> {
        let mut header = [0; 4];
        self.source.read_exact(&mut header[..3])?;
        let word = u32::from_le_bytes(header);
        let content = if word >> 1 & 3 == RLE { 1 } else { word >> 3 };
        if content > MAX_BLOCK {
            return Err(io::Error::other(format!("a zstd block of {content} bytes")));
        }
        self.block.clear();
        self.block.extend_from_slice(&header[..3]);
        self.block.resize(3 + content as usize, 0);
        self.source.read_exact(&mut self.block[3..])
    }

    fn verify_checksum(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(sum) if self.decoder.get_calculated_checksum() != Some(sum) => {
                Err(io::Error::other("the checksum of the zstd frame is wrong"))
            }
            _ => Ok(()),
        }
    }

    /// Makes the decoder hand out what it holds back.
    fn release(&mut self) {
        if !self.decoder.is_finished() {
            let strategy = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder.decode_blocks(&EMPTY_LAST_BLOCK[..], strategy).ok();
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            match self.step() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(fault) => {
                    self.release();
                    self.fault = Some(fault);
                }
            }
        }
        self.decoder.read(to)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn unpack(packed: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut bytes = Vec::new();
        let mut zstd = Zstd::new(BufReader::new(Cursor::new(packed.to_vec())));
        let fault = zstd.read_to_end(&mut bytes).err();
        (bytes, fault.map(|fault| fault.to_string()))
    }

    fn pack(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    /// Three blocks' worth that can be packed, but not to nothing.
    fn bytes() -> Vec<u8> {
        (0..100_000_u32).flat_map(|number| (number.wrapping_mul(0x9e37_79b9) >> 20).to_le_bytes()).collect()
    }

    #[test]
    fn frames_follow_each_other_with_others_to_be_skipped() {
        let skip = [&0x184d_2a57_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
        let packed = [&skip[..], &pack(b"one "), &pack(b""), &skip, &pack(b"two"), &skip].concat();
        assert_eq!(unpack(&packed), (b"one two".to_vec(), None));
        assert!(Zstd::<&[u8]>::recognises([0x57, 0x2a, 0x4d, 0x18]));
        assert!(Zstd::<&[u8]>::recognises(*pack(b"x").first_chunk().unwrap()));
        assert!(!Zstd::<&[u8]>::recognises(*b"\x1f\x8b\x08\0"));
    }

    #[test]
    fn what_is_before_a_cut_is_given() {
        let (bytes, packed) = (bytes(), pack(&bytes()));
        assert_eq!(unpack(&packed), (bytes.clone(), None));
        let mut longest = 0;
        for len in (1..packed.len()).step_by(977) {
            let (got, fault) = unpack(&packed[..len]);
            assert!(bytes.starts_with(&got) && fault.is_some(), "cut at {len}");
            longest = longest.max(got.len());
        }
        assert!(longest >= bytes.len() / 2, "the window is larger than all of it, and yet it is given");
    }

    #[test]
    fn damage_is_told() {
        let mut packed = pack(b"some bytes and a checksum");
        let checksum = packed.len() - 1;
        packed[checksum] ^= 1;
        let (bytes, fault) = unpack(&packed);
        assert_eq!(bytes, b"some bytes and a checksum");
        assert!(fault.unwrap().contains("checksum"));
        let huge_window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0, 0, 0];
        assert!(unpack(&huge_window).1.unwrap().contains("Window"));
        let large_window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90, 1, 0, 0];
        assert!(unpack(&large_window).1.unwrap().contains(&MAX_WINDOW.to_string()));
        let huge_block = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0xff, 0xff, 0xff];
        assert!(unpack(&huge_block).1.is_some());
        assert_eq!(unpack(b"\x28\xb5\x2f\xfd").0, b"");
        assert!(unpack(&[&pack(b"x")[..], b"trailing"].concat()).1.is_some());
    }
}
