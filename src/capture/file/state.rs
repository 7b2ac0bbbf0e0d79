//! Reads snapshots of hosts from files. What they say is [`crate::netfilter::snapshot`]'s business.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FileError;
use crate::netfilter::snapshot::{MAX_BYTES, Snapshot, parse};

/// The snapshots of one host, in order of time.
///
/// # Errors
/// A file cannot be read, or is no snapshot.
pub fn read_states(paths: &[PathBuf]) -> Result<Arc<[Snapshot]>, FileError> {
    let mut states = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    states.sort_by_key(|state| state.time);
    Ok(states.into())
}

fn read(path: &Path) -> Result<Snapshot, FileError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|why| FileError::from_io(path, why))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|why| FileError::from_io(path, why))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::LongSnapshot(path.to_owned()));
    }
    parse(&String::from_utf8_lossy(&bytes)).map_err(|fault| FileError::NoSnapshot { path: path.to_owned(), fault })
}
