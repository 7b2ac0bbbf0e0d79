//! The TRACE lines of the older iptables, as they come.
//!
//! Read first: netlink(7). What they say is [`crate::netfilter::log`]'s business. They come here once the helper has set the
//! logger ([`super::keeper::Request::Log`]); one program only can have a log group.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::tracer::{netlink_socket, read_all};
use crate::cite::Time;
use crate::netfilter::Dropped;
use crate::netfilter::log::{acknowledged, dropped, subscription};
use crate::netfilter::ruleset::Ruleset;

/// Longer than any message: a prefix of 128 bytes, headers, addresses; several may come at once.
const MESSAGE: usize = 64 << 10;

/// Listens for the log lines of this network namespace.
#[derive(Debug)]
pub struct Nflog {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    overruns: u64,
}

impl Nflog {
    /// Begins to listen.
    ///
    /// # Errors
    /// The kernel cannot log to programs, another program has log group 0 (EPERM), or the process lacks `CAP_NET_ADMIN`.
    pub fn open() -> io::Result<Nflog> {
        let socket = netlink_socket(0)?;
        let mut buffer = vec![0; MESSAGE].into_boxed_slice();
        for request in subscription() {
            send(&socket, &request, SendFlags::empty())?;
            // The kernel answers while it takes the request. A line may have come before.
            loop {
                let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
                match acknowledged(&buffer[..length]) {
                    Some(0) => break,
                    Some(error) => return Err(io::Error::from_raw_os_error(error)),
                    None => {}
                }
            }
        }
        Ok(Nflog { socket, buffer, overruns: 0 })
    }

    /// Reads all that has come; what was dropped according to it and to the rules is added to `dropped_so_far` with the time
    /// `now`.
    ///
    /// # Errors
    /// The socket fails for another reason than that messages were lost.
    pub fn read(&mut self, now: Time, ruleset: &Ruleset, dropped_so_far: &mut Vec<Dropped>) -> io::Result<()> {
        let Nflog { socket, buffer, overruns } = self;
        *overruns += read_all(socket, buffer, |line| dropped_so_far.extend(dropped(now, line, ruleset)))?;
        Ok(())
    }

    /// How often the kernel had to throw lines away, since they came faster than they were read.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }
}

/// Readable when there are lines.
impl AsFd for Nflog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
