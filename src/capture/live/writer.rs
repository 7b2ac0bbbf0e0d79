//! Keeps what was captured as pcapng (draft-ietf-opsawg-pcapng), with the interfaces' names and addresses.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::net::netdevice::index_to_name;

use super::privileges::sudo_caller;
use super::{Interface, LiveError, Sniffer};
use crate::capture::file::{self, PcapngWriter};
use crate::cite::Time;
use crate::packet::Frame;

/// LINUX_SLL2: frames of several interfaces.
const SLL2: u32 = 276;

/// A capture file under way.
pub struct Writer {
    path: PathBuf,
    file: PcapngWriter,
    link_type: u32,
    filter: String,
    /// Number in the file, by number in the kernel.
    numbers: HashMap<u32, u32>,
    /// Leads to the kernel, which knows names: the capture's own socket, since there may be no right to another.
    names: OwnedFd,
    last: Time,
    /// Packets that the kernel had dropped when the file began.
    lost: u64,
}

impl Writer {
    /// Begins a file for what `sniffer` lends.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, sniffer: &Sniffer) -> Result<Writer, LiveError> {
        Writer::begin(path, create(path), sniffer, 0)
    }

    /// Ends the file, which was moved away, and begins another in its place. `lost` packets the kernel dropped until now.
    ///
    /// # Errors
    /// The file is still where it was, or a new one cannot be made: then the old one goes on.
    pub fn renew(&mut self, sniffer: &Sniffer, lost: u64) -> Result<(), LiveError> {
        let next = Writer::begin(&self.path, create_new(&self.path), sniffer, lost)?;
        mem::replace(self, next).finish(lost)
    }

    fn begin(path: &Path, file: io::Result<File>, sniffer: &Sniffer, lost: u64) -> Result<Writer, LiveError> {
        let failed = |why: io::Error| LiveError::Write { path: path.to_owned(), why: why.to_string() };
        let file = file.and_then(|file| PcapngWriter::begin(file, None)).map_err(failed)?;
        let (link_type, filter) = (sniffer.link_type(), sniffer.filter().to_owned());
        let names = sniffer.as_fd().try_clone_to_owned().map_err(LiveError::Socket)?;
        let (path, numbers, last) = (path.to_owned(), HashMap::new(), Time(0));
        let mut writer = Writer { path, file, link_type, filter, numbers, names, last, lost };
        let seen = |interface: &&Interface| interface.name == sniffer.device() || writer.is_cooked();
        let described: Vec<&Interface> = sniffer.interfaces().iter().filter(seen).collect();
        for interface in described {
            let index = if writer.is_cooked() { interface.index } else { 0 };
            writer.describe(index, interface)?;
        }
        Ok(writer)
    }

    /// Keeps a frame.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, frame: &Frame<'_>) -> Result<(), LiveError> {
        let interface = match self.numbers.get(&frame.interface) {
            Some(&number) => number,
            None => self.meet(frame.interface)?,
        };
        self.last = frame.at.time;
        let written = self.file.write(interface, frame, &[]);
        self.told(written)
    }

    /// Ends the file with how many packets the kernel dropped meanwhile, of `lost` in all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&mut self, lost: u64) -> Result<(), LiveError> {
        let written = self.file.dropped(0, self.last, lost.saturating_sub(self.lost));
        self.told(written)?;
        self.flush()
    }

    /// Hands all that was written to the kernel, so that others can read it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), LiveError> {
        let flushed = self.file.flush();
        self.told(flushed)
    }

    fn is_cooked(&self) -> bool {
        self.link_type == SLL2
    }

    /// An interface that came after the start.
    fn meet(&mut self, index: u32) -> Result<u32, LiveError> {
        let name = index_to_name(&self.names, index).unwrap_or_else(|_| format!("if{index}"));
        self.describe(index, &Interface { index, name, addresses: Vec::new(), up: true })
    }

    fn describe(&mut self, index: u32, interface: &Interface) -> Result<u32, LiveError> {
        let described = file::Interface {
            name: Some(interface.name.clone()),
            filter: Some(self.filter.clone()),
            link_type: self.link_type,
            addresses: interface.addresses.clone(),
            ..file::Interface::default()
        };
        let written = self.file.describe(&described, None);
        let number = self.told(written)?;
        self.numbers.insert(index, number);
        Ok(number)
    }

    fn told<T>(&self, written: io::Result<T>) -> Result<T, LiveError> {
        written.map_err(|why| LiveError::Write { path: self.path.clone(), why: why.to_string() })
    }
}

/// Makes a file for its owner only, or empties it. A new one belongs to the caller of sudo, who also has to replace it later.
///
/// # Errors
/// It cannot be made.
pub fn create(path: &Path) -> io::Result<File> {
    match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::create(path),
        made => made,
    }
}

/// Makes a file that is not there yet.
fn create_new(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some((user, group)) = sudo_caller() {
        let _ = fchown(&file, Some(user), Some(group)); // without root there is nothing to hand over
    }
    Ok(file)
}
