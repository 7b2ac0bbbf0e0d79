//! The bytes of a file, a pipe or standard input, unpacked if they are packed.
//!
//! gzip is RFC 1952 (a file may be several members after each other), zstd RFC 8878 (the same with frames).

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::FileError;
use super::facts::Compression;
use super::zstd::Zstd;

/// Bytes of packed input asked for in one read.
const PACKED: usize = 256 << 10;

/// Bytes as they come from the system, counted; the first four are read ahead to know what they are.
pub(super) struct Raw {
    inner: Box<dyn Read + Send>,
    magic: [u8; 4],
    /// Which of `magic` are there and still to be given.
    ahead: Range<usize>,
    read: u64,
}

impl Raw {
    fn new(mut inner: Box<dyn Read + Send>) -> io::Result<Raw> {
        let (mut magic, mut end) = ([0; 4], 0);
        while end < magic.len() {
            match retried(&mut inner, &mut magic[end..])? {
                0 => break,
                read => end += read,
            }
        }
        Ok(Raw { inner, magic, ahead: 0..end, read: 0 })
    }
}

impl Read for Raw {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = if self.ahead.is_empty() {
            retried(&mut self.inner, to)?
        } else {
            let read = (&self.magic[self.ahead.clone()]).read(to)?;
            self.ahead.start += read;
            read
        };
        self.read += read as u64;
        Ok(read)
    }
}

/// A read that a signal does not end.
fn retried(from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(to) {
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// An input, unpacked.
pub(super) enum Input {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    Zstd(Box<Zstd<Raw>>),
}

impl Input {
    /// Opens the file at `path`; `-` is standard input. Reads its first four bytes.
    pub(super) fn open(path: &Path) -> Result<Input, FileError> {
        let fault = |why| FileError::from_io(path, why);
        if is_stdin(path) {
            return Input::new(Box::new(io::stdin())).map_err(fault);
        }
        if path.is_dir() {
            return Err(FileError::Directory(path.to_owned()));
        }
        let file = File::open(path).map_err(fault)?;
        Input::new(Box::new(file)).map_err(fault)
    }

    /// Bytes from anywhere.
    pub(super) fn new(inner: Box<dyn Read + Send>) -> io::Result<Input> {
        let raw = Raw::new(inner)?;
        Ok(match raw.magic {
            [0x1f, 0x8b, ..] => Input::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(PACKED, raw)))),
            magic if Zstd::<Raw>::recognises(magic) => {
                Input::Zstd(Box::new(Zstd::new(BufReader::with_capacity(PACKED, raw))))
            }
            _ => Input::Plain(raw),
        })
    }

    /// How the bytes are packed.
    pub(super) fn compression(&self) -> Compression {
        match self {
            Input::Plain(_) => Compression::None,
            Input::Gzip(_) => Compression::Gzip,
            Input::Zstd(_) => Compression::Zstd,
        }
    }

    /// Bytes read so far, as they are in the file: packed.
    pub(super) fn bytes_read(&self) -> u64 {
        match self {
            Input::Plain(raw) => raw.read,
            Input::Gzip(gzip) => gzip.get_ref().get_ref().read,
            Input::Zstd(zstd) => zstd.source().read,
        }
    }
}

impl Read for Input {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Plain(raw) => raw.read(to),
            Input::Gzip(gzip) => gzip.read(to),
            Input::Zstd(zstd) => zstd.read(to),
        }
    }
}

/// Whether `path` means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether the bytes of `path` come once only and have no length: standard input, a named pipe, a device.
pub(super) fn comes_once(path: &Path) -> bool {
    is_stdin(path) || fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir())
}
