//! Sockets whose packets are dropped on their way out: no capture sees them, the kernel lists them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ftpwhy::capture::live::sockets::Sockets;
use ftpwhy::netfilter::socket::{Socket, State, Wanted};

use crate::host::Fallible;
use crate::world::World;

/// Drops SYNs to one port, and SYN-ACKs from another.
const RULES: &str = "\
    nft flush ruleset; nft -f - <<'END'\n\
    table inet filter {\n\
        chain output {\n\
            type filter hook output priority 0;\n\
            tcp dport 50001 drop\n\
            tcp sport 50002 drop\n\
        }\n\
    }\n\
    END";
/// A SYN is repeated after a second.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn check(world: &World) -> Fallible<()> {
    world.here(RULES)?;
    let fail = |error: std::io::Error| error.to_string();
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 50002)).map_err(fail)?;
    for port in [50001, 50002] {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        thread::spawn(move || TcpStream::connect_timeout(&address, PATIENCE));
    }
    let mut sockets = Sockets::open().map_err(fail)?;
    let opening = Wanted { states: &[State::SynSent], local_port: None, remote_port: Some(50001) };
    let answering = Wanted { states: &[State::SynRecv], local_port: Some(50002), remote_port: None };
    // Linux 6.18 forgets the answering socket when it cannot repeat its SYN-ACK, until the next SYN comes.
    for (wanted, retransmits) in [(answering, 0), (opening, 0), (opening, 1)] {
        let socket = found(&mut sockets, &wanted, retransmits)?;
        if socket.retransmits != retransmits || !wanted.states.contains(&socket.state) {
            return Err(format!("{socket:?}"));
        }
    }
    world.here("nft flush ruleset").map(drop)
}

/// The one socket that is wanted, once it has sent as often again.
fn found(sockets: &mut Sockets, wanted: &Wanted<'_>, retransmits: u8) -> Fallible<Socket> {
    let begun = Instant::now();
    loop {
        match sockets.list(wanted).map_err(|error| error.to_string())?[..] {
            [socket] if socket.retransmits >= retransmits => return Ok(socket),
            ref others if begun.elapsed() > PATIENCE => return Err(format!("{wanted:?}: {others:?}")),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
}
