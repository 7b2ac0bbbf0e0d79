//! Samples of established data connections: whether they go on, and what is sent again and again where they do not.
//!
//! Copying a transfer would cost more than all the rest. So the kernel keeps none of it but for a moment every `PERIOD`, until
//! `ENOUGH` headers have come: of a fast transfer a few, of one that stalls each single retransmission.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::sniffer::Handing;
use super::{LiveError, Options, Sniffer};
use crate::packet::Frame;

/// A capture of the headers of some connections, now and then.
pub struct Sampler {
    sniffer: Sniffer,
    ports: Vec<u16>,
    /// Headers that are still wanted in this moment; none while the kernel keeps nothing.
    wanted: Option<u32>,
    /// When the next moment begins.
    next: Instant,
    /// There were once more ports than are looked at.
    exceeded: bool,
}

/// From the beginning of a moment to that of the next: short enough that no network carries 2 GiB meanwhile, beyond which a
/// sequence number cannot be told from an old one.
const PERIOD: Duration = Duration::from_millis(200);
/// Headers of a moment: the segments in flight of a stalled connection are fewer.
const ENOUGH: u32 = 32;
/// Longest frame that is kept, in bytes: the headers with their options, behind any link layer.
const HEADERS: i32 = 192;
/// Buffer in the kernel, in bytes: what comes between the last wanted header and the end of the moment may be lost.
const BUFFER: u32 = 1 << 20;
/// Connections that are looked at, by their ports: a filter of more becomes slow.
pub const MAX_PORTS: usize = 64;

/// Nothing: no connection has this port.
const NOTHING: &str = "tcp port 0";

impl Sampler {
    /// Opens it; it keeps nothing yet.
    ///
    /// # Errors
    /// Those of [`Sniffer::open`].
    pub fn open(options: &Options) -> Result<Sampler, LiveError> {
        let options = Options { buffer: BUFFER, ..options.clone() };
        let sniffer = Sniffer::open_for(&options, Handing::Each, HEADERS, |_, _| NOTHING.to_owned())?;
        Ok(Sampler { sniffer, ports: Vec::new(), wanted: None, next: Instant::now(), exceeded: false })
    }

    /// Begins the next moment if it is time, with the connections that have these ports; the first `MAX_PORTS` count.
    ///
    /// # Errors
    /// libpcap's own.
    pub fn look_at(&mut self, mut ports: Vec<u16>, now: Instant) -> Result<(), LiveError> {
        if now < self.next {
            return Ok(());
        }
        self.exceeded |= ports.len() > MAX_PORTS;
        ports.truncate(MAX_PORTS);
        if ports != self.ports || (self.wanted.is_none() && !ports.is_empty()) {
            self.sniffer.keep(&filter(&ports))?;
        }
        self.wanted = (!ports.is_empty()).then_some(ENOUGH);
        self.ports = ports;
        self.next = now + PERIOD;
        Ok(())
    }

    /// Not all connections were looked at, since there were more than [`MAX_PORTS`] at once.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// What becomes readable when there is a header, while one is wanted.
    pub fn awaits(&self) -> Option<BorrowedFd<'_>> {
        self.wanted.map(|_| self.sniffer.as_fd())
    }

    /// The next header that is there already; none if there is none now, or enough of this moment.
    ///
    /// # Errors
    /// Those of [`Sniffer::read`].
    pub fn read(&mut self) -> Result<Option<Frame<'_>>, LiveError> {
        match self.wanted {
            None => Ok(None),
            Some(0) => {
                self.wanted = None;
                self.sniffer.keep(NOTHING)?;
                while self.sniffer.read()?.is_some() {}
                Ok(None)
            }
            Some(wanted) => {
                let frame = self.sniffer.read()?;
                if frame.is_some() {
                    self.wanted = Some(wanted - 1);
                }
                Ok(frame)
            }
        }
    }
}

/// Segments with these ports that the other capture leaves out.
fn filter(ports: &[u16]) -> String {
    if ports.is_empty() {
        return NOTHING.to_owned();
    }
    let ports: Vec<String> = ports.iter().map(|port| format!("tcp port {port}")).collect();
    format!("({}) and not ({})", ports.join(" or "), crate::verdict::OPENINGS_FILTER)
}
