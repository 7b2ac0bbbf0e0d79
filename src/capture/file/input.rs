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
pub fn comes_once(path: &Path) -> bool {
    is_stdin(path) || fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::write::GzEncoder;

    use super::super::samples::{Folder, Pieces};
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn read(source: impl Read + Send + 'static) -> (Vec<u8>, Input) {
        let mut input = Input::new(Box::new(source)).unwrap();
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).unwrap();
        (bytes, input)
    }

    #[test]
    fn bytes_are_recognised_unpacked_and_counted_as_they_are_stored() {
        let plain = b"some bytes, some bytes, some bytes".to_vec();
        let members = [gzip(&plain[..10]), gzip(&plain[10..])].concat();
        let frame = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
        for (stored, compression) in
            [(plain.clone(), Compression::None), (members, Compression::Gzip), (frame, Compression::Zstd)]
        {
            let len = stored.len() as u64;
            for size in [1, 3, stored.len()] {
                let pieces = Pieces::new(stored.chunks(size).map(<[u8]>::to_vec));
                let (bytes, input) = read(pieces);
                assert_eq!((bytes, input.compression(), input.bytes_read()), (plain.clone(), compression, len));
            }
        }
    }

    #[test]
    fn few_bytes_are_bytes() {
        for stored in [&b""[..], b"a", b"\x28\xb5\x2f"] {
            let (bytes, input) = read(Cursor::new(stored));
            assert_eq!((&bytes[..], input.compression()), (stored, Compression::None));
        }
    }

    #[test]
    fn a_signal_does_not_end_a_read() {
        struct Interrupted(u8);
        impl Read for Interrupted {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    0..20 if self.0.is_multiple_of(2) => Err(io::ErrorKind::Interrupted.into()),
                    0..20 => (&[self.0][..]).read(to),
                    _ => Ok(0),
                }
            }
        }
        assert_eq!(read(Interrupted(0)).0, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    }

    #[test]
    fn only_files_can_be_read_twice() {
        let folder = Folder::new();
        assert!(comes_once(Path::new("-")));
        assert!(!comes_once(&folder.write("x", b"")) && !comes_once(&folder.path("")));
        assert!(!comes_once(&folder.path("absent")), "so that it is told at once");
        #[cfg(unix)]
        assert!(comes_once(Path::new("/dev/null")));
    }
}
