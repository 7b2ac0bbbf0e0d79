//! The kernel's trace messages, as they come.
//!
//! Read first: netlink(7). What they say is [`crate::netfilter::trace`]'s business; that there are any is
//! [`super::keeper`]'s.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt};

use crate::cite::Time;
use crate::netfilter::Dropped;
use crate::netfilter::trace::Trace;

/// The group of `NFNLGRP_NFTRACE`, 9, in the mask of an address.
const NFTRACE: u32 = 1 << 8;
/// What the kernel may keep for us, in bytes. A record takes about a kilobyte there and a traced packet has about ten, so
/// this is some hundred packets at once, of the thousand a second that are traced at most.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Longer than any trace message: names of 256 bytes, headers of 40 and 20.
const MESSAGE: usize = 4096;

/// Listens for the trace messages of this network namespace.
#[derive(Debug)]
pub struct Tracer {
    socket: OwnedFd,
    trace: Trace,
    overruns: u64,
}

impl Tracer {
    /// Begins to listen. Do so before the trace is asked for.
    ///
    /// # Errors
    /// The kernel has no nf_tables, or the process lacks `CAP_NET_ADMIN`.
    pub fn open() -> io::Result<Tracer> {
        let socket = netlink_socket(NFTRACE)?;
        Ok(Tracer { socket, trace: Trace::new(), overruns: 0 })
    }

    /// Reads all that has come; what was dropped according to it is added to `dropped` with the time `now`.
    ///
    /// # Errors
    /// The socket fails for another reason than that messages were lost.
    pub fn read(&mut self, now: Time, dropped: &mut Vec<Dropped>) -> io::Result<()> {
        let Tracer { socket, trace, overruns } = self;
        *overruns += read_all(socket, &mut [0; MESSAGE], |datagram| dropped.extend(trace.observe(now, datagram)))?;
        Ok(())
    }

    /// How often the kernel had to throw messages away, since they came faster than they were read. After that a segment
    /// may have been dropped that nothing tells of.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// What became of the messages that were read.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// A socket for netfilter's messages that does not block, with a mask of groups to hear.
pub(super) fn netlink_socket(groups: u32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
    // Where the right to exceed the system's limit lacks, binding or the first request fails, too.
    let _ = sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER);
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Hands out all datagrams that have come; returns how often the kernel had to throw some away.
pub(super) fn read_all(socket: &OwnedFd, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut overruns = 0;
    loop {
        match recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((length, _)) => take(&buffer[..length]),
            Err(Errno::NOBUFS) => overruns += 1,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(overruns),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Readable when there are messages.
impl AsFd for Tracer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
