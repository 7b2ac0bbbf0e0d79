//! Why a capture file cannot be read: what, where, remedy.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::netfilter::snapshot::{Fault, MAX_BYTES};

/// A file, or a pattern of files, that cannot be read.
///
/// Each says the whole in one sentence: which file, what is wrong with it, what to do.
#[derive(Debug, Error)]
pub enum FileError {
    /// No file at all was named.
    #[error("no capture file given; name at least one pcap or pcapng file, or - for standard input")]
    NoFiles,
    /// More files than [`At::file`](crate::cite::At::file) can number.
    #[error("{0} files for one tap are too many (at most 65536); merge them first: mergecap -w all.pcapng FILES")]
    TooMany(usize),
    /// A pattern that matches nothing.
    #[error("{0}: no file matches this pattern; look at what is there with: ls -d {0}")]
    NoMatch(String),
    /// A pattern that is none.
    #[error("{pattern}: not a file and not a pattern ({why}); write [[] for a bracket in a file name")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No such file.
    #[error("{}: no such file; check the name and the directory", .0.display())]
    Missing(PathBuf),
    /// A directory.
    #[error("{}: is a directory; name the capture files in it, such as '{}/*.pcap'", .0.display(), .0.display())]
    Directory(PathBuf),
    /// No permission.
    #[error("{}: permission denied; captures often belong to root: read it with sudo, or chown it", .0.display())]
    Denied(PathBuf),
    /// The system says no for another reason.
    #[error("{}: cannot be read ({why}); copy it to a local disk and try again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Not a single byte.
    #[error(
        "{}: empty, it has not even a file header; capture again (tcpdump -U writes each packet at once)",
        shown(.0)
    )]
    Empty(PathBuf),
    /// A format that is known and not read.
    #[error("{}: {what}; {remedy}", shown(path))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Which format.
        what: &'static str,
        /// How to turn it into one that is read.
        remedy: &'static str,
    },
    /// Anything else.
    #[error(
        "{}: not a capture file (starts with '{starts}'); give a pcap or pcapng file, as tcpdump -w or Wireshark \
         write (editcap turns others into one)",
        shown(path)
    )]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// Its first bytes, escaped.
        starts: String,
    },
    /// A file that should be a snapshot and is none.
    #[error("{}: {fault}", path.display())]
    NoSnapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A snapshot that no host can have.
    #[error("{}: longer than {MAX_BYTES} bytes; give what `ftpwhy snapshot -o FILE` wrote", .0.display())]
    LongSnapshot(PathBuf),
    /// A snapshot of a host of which there is no capture.
    #[error("{option} needs a capture taken on that host: give it with {capture}, or as the only FILE")]
    StateAlone {
        /// The option.
        option: &'static str,
        /// The option that gives the capture.
        capture: &'static str,
    },
    /// An annotated file of several captures, where only one is possible.
    #[error(
        "{}: an annotated file of {count} captures, which says itself where they were taken; name it as FILE, in no list and \
         through no pipe",
        shown(path)
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// How many captures it holds.
        count: usize,
    },
    /// A capture file whose header makes no sense.
    #[error("{}: damaged file header: {why}; copy the file again from where it was captured", shown(path))]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl FileError {
    /// What the system says of the file at `path`.
    pub(super) fn from_io(path: &Path, why: io::Error) -> FileError {
        let path = path.to_owned();
        match why.kind() {
            io::ErrorKind::NotFound => FileError::Missing(path),
            io::ErrorKind::PermissionDenied => FileError::Denied(path),
            io::ErrorKind::IsADirectory => FileError::Directory(path),
            _ => FileError::Unreadable { path, why },
        }
    }

    /// What a file is whose first bytes, `start`, are neither of pcap nor of pcapng.
    pub(super) fn from_start(path: &Path, start: &[u8]) -> FileError {
        let path = path.to_owned();
        if start.is_empty() {
            return FileError::Empty(path);
        }
        match FOREIGN.iter().find(|(magic, ..)| start.starts_with(magic)) {
            Some(&(_, what, remedy)) => FileError::Foreign { path, what, remedy },
            None => {
                let starts = start[..start.len().min(SHOWN)].escape_ascii().to_string();
                FileError::NotACapture { path, starts }
            }
        }
    }
}

/// Bytes of an unknown file that are shown.
const SHOWN: usize = 16;

/// Bytes of a file that tell all of [`FOREIGN`] apart.
pub(super) const START: usize = 16;

const CONVERT: &str = "convert it with: editcap -F pcapng IN OUT";

/// Formats that people have and that are not read: how they begin, what they are, what to do.
const FOREIGN: [(&[u8], &str, &str); 16] = [
    (b"snoop\0\0\0", "a snoop capture (Solaris, RFC 1761)", CONVERT),
    (b"GMBU", "a Microsoft Network Monitor 2 capture", CONVERT),
    (b"RTSS", "a Microsoft Network Monitor 1 capture", CONVERT),
    (b"iptrace 1.0", "an AIX iptrace capture", CONVERT),
    (b"iptrace 2.0", "an AIX iptrace capture", CONVERT),
    (b"\x7fver", "an EtherPeek or OmniPeek capture", CONVERT),
    (b"TRSNIFF data", "a Sniffer (DOS) capture", CONVERT),
    (b"XCP\0", "a NetXRay or Sniffer (Windows) capture", CONVERT),
    (b"\x05VNF", "a Visual Networks capture", CONVERT),
    (b"ObserverPktBuffe", "a Network Instruments Observer capture", CONVERT),
    (b"\x54\x52\x00\x64\x00", "an HP-UX nettl trace", CONVERT),
    (b"\xfd7zXZ\0", "packed with xz", "unpack it first: xz -dk FILE"),
    (b"BZh", "packed with bzip2", "unpack it first: bzip2 -dk FILE"),
    (b"\x04\x22\x4d\x18", "packed with lz4", "unpack it first: lz4 -d FILE"),
    (b"PK\x03\x04", "a zip archive", "unpack it first: unzip FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first: 7z x FILE"),
];

/// How a path is shown; `-` is standard input.
pub(super) fn shown(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "stdin".to_owned(),
        _ => path.display().to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::super::TapReader;
    use super::super::record::Order;
    use super::super::samples::{Bytes, Folder};
    use super::*;

    /// What is said of a file with these bytes, after its name.
    fn said(bytes: &[u8]) -> String {
        let folder = Folder::new();
        said_of(folder.write("x.pcap", bytes))
    }

    fn said_of(path: PathBuf) -> String {
        let error = TapReader::open(std::slice::from_ref(&path)).err().unwrap().to_string();
        error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    }

    #[test]
    fn each_wrong_file_has_its_own_words() {
        assert!(said(b"").starts_with("empty, it has not even a file header; "));
        assert!(
            said(b"hello\x1b[1mworld, this is long")
                .starts_with("not a capture file (starts with 'hello\\x1b[1mworld, '); give ")
        );
        assert!(said(b"hi").starts_with("not a capture file (starts with 'hi'); "));
        assert!(said(b"\x1f\x8b\x08\0broken").starts_with("damaged file header: "));
        assert!(said(b"\x28\xb5\x2f\xfd").starts_with("damaged file header: "));
        assert!(said(b"\xfd7zXZ\0...").starts_with("packed with xz; unpack it first"));
        let folder = Folder::new();
        assert!(said_of(folder.path("")).starts_with("is a directory; "));
        assert!(said_of(folder.path("absent")).starts_with("no such file; "));
        assert!(TapReader::open(&[]).err().unwrap().to_string().starts_with("no capture file given; "));
        let many = TapReader::open(&vec![folder.path("absent"); 65537]).err().unwrap();
        assert!(many.to_string().starts_with("65537 files for one tap are too many"));
    }

    #[test]
    fn what_the_system_says_is_sorted() {
        let said = |kind: io::ErrorKind| FileError::from_io(Path::new("x"), io::Error::from(kind));
        assert!(matches!(said(io::ErrorKind::PermissionDenied), FileError::Denied(_)));
        assert!(said(io::ErrorKind::TimedOut).to_string().starts_with("x: cannot be read (timed out); "));
    }

    #[test]
    fn foreign_captures_are_named() {
        let folder = Folder::new();
        let file = Bytes::pcap(Order::Little, 0xa1b2_c3d4, 65535, 1).record(1, 0, 60, &[0; 60]).bytes;
        let pcap = folder.write("x.pcap", &file);
        let formats = [
            ("snoop", "a snoop capture"),
            ("netmon1", "a Microsoft Network Monitor 1 capture"),
            ("netmon2", "a Microsoft Network Monitor 2 capture"),
            ("ngsniffer", "a Sniffer (DOS) capture"),
            ("ngwsniffer_2_0", "a NetXRay or Sniffer (Windows) capture"),
            ("visual", "a Visual Networks capture"),
            ("niobserver", "a Network Instruments Observer capture"),
        ];
        for (format, name) in formats {
            let out = folder.path(format);
            match Command::new("editcap").arg("-F").arg(format).args([&pcap, &out]).output() {
                Ok(done) if done.status.success() => {
                    assert!(said_of(out).starts_with(name), "{format}")
                }
                done => eprintln!("skipped: editcap -F {format}: {done:?}"),
            }
        }
    }
}
