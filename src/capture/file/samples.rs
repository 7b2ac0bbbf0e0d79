//! For tests: builds capture files byte by byte, reads them from memory, keeps them in a folder.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::packet::{Direction, Frame};

use super::error::FileError;
use super::facts::Facts;
use super::input::Input;
use super::record::Order;
use super::stream::Stream;

/// A file in the making.
#[derive(Clone)]
pub(super) struct Bytes {
    pub(super) order: Order,
    pub(super) bytes: Vec<u8>,
}

impl Bytes {
    pub(super) fn new(order: Order) -> Bytes {
        Bytes { order, bytes: Vec::new() }
    }

    pub(super) fn u16(mut self, number: u16) -> Bytes {
        self.bytes.extend(match self.order {
            Order::Little => number.to_le_bytes(),
            Order::Big => number.to_be_bytes(),
        });
        self
    }

    pub(super) fn u32(mut self, number: u32) -> Bytes {
        self.bytes.extend(match self.order {
            Order::Little => number.to_le_bytes(),
            Order::Big => number.to_be_bytes(),
        });
        self
    }

    pub(super) fn u32s(self, numbers: &[u32]) -> Bytes {
        numbers.iter().fold(self, |bytes, number| bytes.u32(*number))
    }

    pub(super) fn data(mut self, data: &[u8]) -> Bytes {
        self.bytes.extend(data);
        self
    }

    fn pad(mut self) -> Bytes {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// The header of a pcap file of version 2.4.
    pub(super) fn pcap(order: Order, magic: u32, snaplen: u32, link_type: u32) -> Bytes {
        Bytes::new(order).u32(magic).u16(2).u16(4).u32s(&[0, 0, snaplen, link_type])
    }

    /// A record of a pcap file: seconds, fraction, original length, packet.
    pub(super) fn record(self, seconds: u32, fraction: u32, original: u32, packet: &[u8]) -> Bytes {
        self.u32s(&[seconds, fraction, packet.len() as u32, original]).data(packet)
    }

    /// Whatever body between two lengths.
    pub(super) fn block(self, kind: u32, body: impl FnOnce(Bytes) -> Bytes) -> Bytes {
        let body = body(Bytes::new(self.order)).pad().bytes;
        let total = body.len() as u32 + 12;
        self.u32(kind).u32(total).data(&body).u32(total)
    }

    /// A section of a byte order of its own.
    pub(super) fn section(mut self, order: Order) -> Bytes {
        self.order = order;
        self.block(0x0a0d_0d0a, |it| it.u32(0x1a2b_3c4d).u16(1).u16(0).u32s(&[u32::MAX, u32::MAX]))
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Bytes {
        self.u16(code).u16(value.len() as u16).data(value).pad()
    }

    pub(super) fn interface(self, link_type: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Bytes {
        self.block(1, |it| it.u16(link_type).u16(0).u32(snaplen).options(options))
    }

    /// An enhanced packet block.
    pub(super) fn packet(self, interface: u32, ticks: u64, packet: &[u8], options: &[(u16, &[u8])]) -> Bytes {
        let len = packet.len() as u32;
        let numbers = [interface, (ticks >> 32) as u32, ticks as u32, len, len];
        self.block(6, |it| it.u32s(&numbers).data(packet).pad().options(options))
    }

    pub(super) fn options(self, options: &[(u16, &[u8])]) -> Bytes {
        options.iter().fold(self, |bytes, (code, value)| bytes.option(*code, value))
    }
}

/// A frame that outlives the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) time: i64,
    pub(super) frame: u32,
    pub(super) file: u16,
    pub(super) link_type: u32,
    pub(super) interface: u32,
    pub(super) direction: Option<Direction>,
    pub(super) bytes: Vec<u8>,
    pub(super) original_len: u32,
}

impl From<Frame<'_>> for Seen {
    fn from(frame: Frame<'_>) -> Seen {
        Seen {
            time: frame.at.time.0,
            frame: frame.at.frame,
            file: frame.at.file,
            link_type: frame.link_type,
            interface: frame.interface,
            direction: frame.direction,
            bytes: frame.bytes.to_vec(),
            original_len: frame.original_len,
        }
    }
}

/// Gives each of its pieces to one read (or more, if it is asked for less) and counts the reads.
pub(super) struct Pieces {
    pub(super) pieces: VecDeque<Vec<u8>>,
    pub(super) reads: Arc<AtomicUsize>,
}

impl Pieces {
    pub(super) fn new(pieces: impl IntoIterator<Item = Vec<u8>>) -> Pieces {
        Pieces { pieces: pieces.into_iter().collect(), reads: Arc::default() }
    }
}

impl Read for Pieces {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let Some(mut piece) = self.pieces.pop_front() else {
            return Ok(0);
        };
        let len = piece.len().min(to.len());
        to[..len].copy_from_slice(&piece[..len]);
        if len < piece.len() {
            self.pieces.push_front(piece.split_off(len));
        }
        Ok(len)
    }
}

/// Opens what `source` gives as the file `x.pcap`.
pub(super) fn stream(source: impl Read + Send + 'static, facts: &mut Facts) -> Result<Stream, FileError> {
    *facts = Facts::new(vec!["x.pcap".to_owned()]);
    let input = Input::new(Box::new(source)).unwrap();
    Stream::new(Path::new("x.pcap"), input, 4096, 0, facts)
}

/// Reads all that `source` gives.
pub(super) fn read_from(source: impl Read + Send + 'static) -> Result<(Vec<Seen>, Facts), FileError> {
    let (mut facts, mut seen) = (Facts::default(), Vec::new());
    let mut stream = stream(source, &mut facts)?;
    while stream.next(&mut facts) {
        seen.push(Seen::from(stream.frame()));
    }
    Ok((seen, facts))
}

/// Reads a file.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Seen>, Facts), FileError> {
    read_from(io::Cursor::new(bytes.to_vec()))
}

/// The words of all notes.
pub(super) fn notes(facts: &Facts) -> Vec<&str> {
    facts.notes.iter().map(|note| note.text.as_str()).collect()
}

/// A folder that goes away with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ftpwhy-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
