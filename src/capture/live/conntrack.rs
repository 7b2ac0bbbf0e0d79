//! The kernel's messages about connections that it follows and expects, as they come.
//!
//! Read first: netlink(7). What they say is [`crate::netfilter::conntrack`]'s business. In a network namespace where no rule
//! asks for the state of connections, the kernel follows none.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::tracer::netlink_socket;
use crate::cite::Time;
use crate::netfilter::conntrack::{Event, events, list_end, requests};

/// `NFNLGRP_CONNTRACK_NEW`, `_UPDATE`, `_DESTROY`, `_EXP_NEW` and `_EXP_DESTROY`, 1 to 4 and 6, in the mask of an address.
const GROUPS: u32 = 0b10_1111;
/// Longer than any message: four tuples of 52 bytes, labels, a few numbers.
const MESSAGE: usize = 4096;
/// Messages of one reading: other work waits meanwhile, and a scan makes them without end.
const AT_ONCE: usize = 4096;

/// Longest datagram of a list (`netlink_dump` of Linux).
const DATAGRAM: usize = 32 << 10;

/// How many connections of this network namespace the kernel follows.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// The kernel can follow connections. To ask one that does not would load its module.
pub fn is_there() -> bool {
    Path::new(COUNT).exists()
}

/// All TCP connections that the kernel follows now, and all that it expects. Where it follows none it is not asked: for a list
/// it looks through a table that all network namespaces share.
///
/// # Errors
/// The kernel does not list them, or the process lacks `CAP_NET_ADMIN`.
pub fn list(now: Time, mut take: impl FnMut(Event)) -> io::Result<()> {
    if fs::read_to_string(COUNT).is_ok_and(|count| count.trim() == "0") {
        return Ok(());
    }
    let socket = netlink_socket(0)?;
    let mut buffer = vec![0; DATAGRAM];
    for request in requests() {
        send(&socket, &request, SendFlags::empty())?;
        loop {
            let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
            events(now, &buffer[..length]).for_each(&mut take);
            match list_end(&buffer[..length]) {
                Some(0) => break,
                Some(error) => return Err(io::Error::from_raw_os_error(error)),
                None => {}
            }
        }
    }
    Ok(())
}

/// Listens for the connections of this network namespace.
#[derive(Debug)]
pub struct Conntrack {
    socket: OwnedFd,
    overruns: u64,
}

impl Conntrack {
    /// Begins to listen.
    ///
    /// # Errors
    /// The kernel does not follow connections, or the process lacks `CAP_NET_ADMIN`.
    pub fn open() -> io::Result<Conntrack> {
        Ok(Conntrack { socket: netlink_socket(GROUPS)?, overruns: 0 })
    }

    /// Reads what has come; what it tells of TCP is handed to `take` with the time `now`. If very much has come, the socket
    /// is still readable.
    ///
    /// # Errors
    /// The socket fails for another reason than that messages were lost.
    pub fn read(&mut self, now: Time, mut take: impl FnMut(Event)) -> io::Result<()> {
        let mut buffer = [0; MESSAGE];
        for _ in 0..AT_ONCE {
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((length, _)) => events(now, &buffer[..length]).for_each(&mut take),
                Err(Errno::NOBUFS) => self.overruns += 1,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How often the kernel had to throw messages away, since they came faster than they were read. After that, that a
    /// connection was not followed is not known.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }
}

/// Readable when there are messages.
impl AsFd for Conntrack {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
