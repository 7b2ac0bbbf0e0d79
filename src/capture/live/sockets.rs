//! The TCP sockets of this host.
//!
//! Read first: sock_diag(7). What a list says is [`crate::netfilter::socket`]'s business. It takes no rights; but a process that
//! has closed its door can open no socket any more, so this one is opened before.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::netfilter::socket::{Socket, Wanted, requests, take};

/// Longest datagram of a list (`netlink_dump` of Linux).
const DATAGRAM: usize = 32 << 10;
/// Sockets of one list: what is asked for is a handful; more is a scan or a flood, of which the first tell enough.
pub(super) const MOST: usize = 4096;

/// Lists the sockets of this network namespace.
#[derive(Debug)]
pub struct Sockets {
    socket: OwnedFd,
    buffer: Box<[u8]>,
}

impl Sockets {
    /// Opens the way to the kernel.
    ///
    /// # Errors
    /// The kernel lists no sockets.
    pub fn open() -> io::Result<Sockets> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(SOCK_DIAG))?;
        Ok(Sockets { socket, buffer: vec![0; DATAGRAM].into_boxed_slice() })
    }

    /// The sockets that are wanted, as they are now; no more than 4096 of them. The kernel walks through all that there are:
    /// that takes it some milliseconds where there are very many.
    ///
    /// # Errors
    /// The kernel does not list them.
    pub fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        for request in requests(wanted) {
            self.forget();
            send(&self.socket, &request, SendFlags::empty())?;
            self.receive(&mut sockets)?;
        }
        Ok(sockets)
    }

    /// Throws away what is left of a list that broke off.
    fn forget(&mut self) {
        while recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()).is_ok() {}
    }

    /// The kernel has the next part of a list ready whenever it is asked.
    fn receive(&mut self, sockets: &mut Vec<Socket>) -> io::Result<()> {
        loop {
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => match take(&self.buffer[..length], sockets) {
                    Some(0) => return Ok(()),
                    Some(error) => return Err(io::Error::from_raw_os_error(error)),
                    None => sockets.truncate(MOST),
                },
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::netfilter::socket::State;
    use crate::packet::Endpoint;

    fn endpoint(address: SocketAddr) -> Endpoint {
        Endpoint { ip: address.ip(), port: address.port() }
    }

    fn list(states: &[State], local_port: Option<u16>, remote_port: Option<u16>) -> Vec<Socket> {
        let mut sockets = Sockets::open().expect("it takes no rights");
        sockets.list(&Wanted { states, local_port, remote_port }).expect("the kernel lists sockets")
    }

    #[test]
    fn a_connection_is_listed_from_both_its_ends() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let server = listener.local_addr().expect("it is bound");
        let client = TcpStream::connect(server).expect("it listens");
        let (mut accepted, _) = listener.accept().expect("one connects");
        std::io::Write::write_all(&mut accepted, b"220 hello\r\n").expect("it is open");
        let address = client.local_addr().expect("it is bound");

        let [listening] = list(&[State::Listen], Some(server.port()), None)[..] else { panic!("one listens") };
        assert_eq!((listening.state, listening.local), (State::Listen, endpoint(server)));
        assert_eq!((listening.receive_queue, listening.send_queue > 0), (0, true));
        let [ours] = list(&[State::Established], Some(address.port()), Some(server.port()))[..] else { panic!("one") };
        assert_eq!((ours.local, ours.remote), (endpoint(address), endpoint(server)));
        assert_eq!((ours.receive_queue, ours.send_queue, ours.retransmits), (11, 0, 0));
        let [theirs] = list(&[State::Established], None, Some(address.port()))[..] else { panic!("one") };
        assert_eq!((theirs.local, theirs.uid), (endpoint(server), ours.uid));
        assert_eq!(list(&[State::SynSent], None, Some(server.port())), []);
    }

    #[test]
    fn ipv4_over_an_ipv6_socket_is_ipv4() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
            eprintln!("skipped: there is no IPv6 here");
            return;
        };
        let port = listener.local_addr().expect("it is bound").port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens for both");
        let [listening] = list(&[State::Listen], Some(port), None)[..] else { panic!("one listens") };
        assert_eq!(listening.local, Endpoint { ip: IpAddr::V6(Ipv6Addr::UNSPECIFIED), port });
        assert_eq!(listening.receive_queue, 1, "nobody has accepted it yet");
        let [theirs] = list(&[State::Established], Some(port), None)[..] else { panic!("one is connected") };
        assert_eq!(
            (theirs.local.ip, theirs.remote),
            (IpAddr::V4(Ipv4Addr::LOCALHOST), endpoint(client.local_addr().expect("it is bound")))
        );
    }
}
