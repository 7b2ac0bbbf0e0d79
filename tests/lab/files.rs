//! The files that are transferred.

/// A file on the server, below `pub`, or on the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    size: usize,
}

pub(crate) const SMALL: File = File { name: "small.txt", size: 19 };
pub(crate) const MID: File = File { name: "mid.bin", size: 60_000 };
pub(crate) const BIG: File = File { name: "big.bin", size: 300_000 };
pub(crate) const EMPTY: File = File { name: "empty.txt", size: 0 };

/// All that are there.
pub(crate) const FILES: [File; 4] = [SMALL, MID, BIG, EMPTY];

/// One that is not there.
pub(crate) const MISSING: File = File { name: "missing.bin", size: 1 };

impl File {
    /// What is in it: text if it is small.
    pub(crate) fn content(self) -> Vec<u8> {
        match self.size {
            0..=99 => b"a small text file\r\n"[..self.size].to_vec(),
            _ => (0..self.size).map(|at| (at * 7 + at / 251) as u8).collect(),
        }
    }
}
