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
        Zstd { source, decoder: FrameDecoder::new(), block: Vec::new(), fault: None }
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
