//! Keeps what was captured as pcapng (draft-ietf-opsawg-pcapng), with the interfaces' names and addresses.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::mem;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::{DataLink, PcapError};
use rustix::net::netdevice::index_to_name;

use super::privileges::sudo_caller;
use super::{Interface, LiveError, Sniffer};
use crate::cite::Time;
use crate::packet::Frame;

/// A capture file under way.
pub struct Writer {
    path: PathBuf,
    file: PcapNgWriter<BufWriter<File>>,
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
        let failed = |why: PcapError| LiveError::Write { path: path.to_owned(), why: words(&why) };
        let file = file.map_err(PcapError::IoError).map_err(failed)?;
        let file = PcapNgWriter::new(BufWriter::new(file)).map_err(failed)?;
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
        let interface_id = match self.numbers.get(&frame.interface) {
            Some(&number) => number,
            None => self.meet(frame.interface)?,
        };
        self.last = frame.at.time;
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(self.last.0.max(0).cast_unsigned()),
            original_len: frame.original_len,
            data: Cow::Borrowed(frame.bytes),
            options: Vec::new(),
        };
        let written = self.file.write_pcapng_block(block);
        self.told(written)
    }

    /// Ends the file with how many packets the kernel dropped meanwhile, of `lost` in all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&mut self, lost: u64) -> Result<(), LiveError> {
        let statistics = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: self.last.0.max(0).cast_unsigned().rotate_left(32),
            options: vec![InterfaceStatisticsOption::IsbOsDrop(lost.saturating_sub(self.lost))],
        };
        let written = self.file.write_pcapng_block(statistics);
        self.told(written)?;
        self.flush()
    }

    /// Hands all that was written to the kernel, so that others can read it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), LiveError> {
        let flushed = self.file.get_mut().flush().map(|()| 0).map_err(PcapError::IoError);
        self.told(flushed)
    }

    fn is_cooked(&self) -> bool {
        self.link_type == u32::from(DataLink::LINUX_SLL2)
    }

    /// An interface that came after the start.
    fn meet(&mut self, index: u32) -> Result<u32, LiveError> {
        let name = index_to_name(&self.names, index).unwrap_or_else(|_| format!("if{index}"));
        self.describe(index, &Interface { index, name, addresses: Vec::new(), up: true })
    }

    fn describe(&mut self, index: u32, interface: &Interface) -> Result<u32, LiveError> {
        let number = self.numbers.len() as u32;
        self.numbers.insert(index, number);
        let mut filter = vec![0];
        filter.extend_from_slice(self.filter.as_bytes());
        let mut options = vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed(&interface.name)),
            InterfaceDescriptionOption::IfTsResol(9),
            InterfaceDescriptionOption::IfFilter(Cow::Owned(filter)),
        ];
        options.extend(interface.addresses.iter().map(|address| match address {
            IpAddr::V4(ip) => InterfaceDescriptionOption::IfIpv4Addr(Cow::Owned([ip.octets(), [255; 4]].concat())),
            IpAddr::V6(ip) => InterfaceDescriptionOption::IfIpv6Addr(Cow::Owned([&ip.octets()[..], &[128]].concat())),
        }));
        let block = InterfaceDescriptionBlock { linktype: DataLink::from(self.link_type), snaplen: 0, options };
        let written = self.file.write_pcapng_block(block);
        self.told(written)?;
        Ok(number)
    }

    fn told(&self, written: Result<usize, PcapError>) -> Result<(), LiveError> {
        written.map(|_| ()).map_err(|why| LiveError::Write { path: self.path.clone(), why: words(&why) })
    }
}

/// Of an error of the system its own words.
fn words(why: &PcapError) -> String {
    match why {
        PcapError::IoError(why) => why.to_string(),
        why => why.to_string(),
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
