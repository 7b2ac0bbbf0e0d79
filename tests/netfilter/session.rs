//! An FTP session that fails: a server of a few lines, and a client of a few more.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::cases::{Case, DATA};
use crate::host::Fallible;
use crate::world::{End, World};

/// The argument that makes this program the server.
pub(crate) const ROLE: &str = "ftp-server";
/// Set where the server does not listen for data connections.
pub(crate) const CLOSED: &str = "FTPWHY_NETFILTER_CLOSED";
/// What the server says when it listens.
const READY: &str = "ready";
/// How long the server waits for a data connection, and for its own to open: no SYN is repeated.
const PATIENCE: Duration = Duration::from_millis(600);

/// The server: one session, in which no transfer goes through.
pub(crate) fn server() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind(("::", 21))?;
    let _data = std::env::var_os(CLOSED).is_none().then(|| TcpListener::bind(("::", DATA))).transpose()?;
    println!("{READY}");
    let (mut control, peer) = listener.accept()?;
    let mut lines = BufReader::new(control.try_clone()?).lines();
    control.write_all(b"220 ready\r\n")?;
    let mut is_active = false;
    while let Some(line) = lines.next().transpose()? {
        let verb = line.split(' ').next().unwrap_or_default();
        is_active = if matches!(verb, "EPRT" | "EPSV") { verb == "EPRT" } else { is_active };
        let reply = match verb {
            "USER" => "331 name?".to_owned(),
            "PASS" => "230 in".to_owned(),
            "EPRT" => "200 fine".to_owned(),
            "EPSV" => format!("229 Entering Extended Passive Mode (|||{DATA}|)"),
            "LIST" => {
                let _ = is_active.then(|| open(peer.ip()));
                std::thread::sleep(if is_active { Duration::ZERO } else { PATIENCE });
                "425 Failed to establish connection.".to_owned()
            }
            _ => "221 bye".to_owned(),
        };
        control.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(())
}

fn open(peer: IpAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(peer, DATA), PATIENCE)
}

/// The client's end, for bash. Its data connection is given up before its SYN is repeated.
pub(crate) fn client(world: &World, case: &Case) -> Fallible<()> {
    let server = if case.data.0 == End::Server || case.data.1 == End::Server { End::Server } else { End::Here };
    let address = World::address(server, End::Client, case.v6);
    let is_active = case.data.0 != End::Client;
    let own = World::address(End::Client, End::Client, case.v6);
    let family = if case.v6 { 2 } else { 1 };
    let agree = if is_active { format!("EPRT |{family}|{own}|{DATA}|") } else { "EPSV".to_owned() };
    let open = if is_active {
        "true".to_owned()
    } else {
        format!("timeout 0.5 bash -c ': 3<>/dev/tcp/{address}/{DATA}' || true")
    };
    let script = format!(
        "exec 4<>/dev/tcp/{address}/21; read -u 4; \
         for line in 'USER anonymous' 'PASS x' '{agree}'; do printf '%s\\r\\n' \"$line\" >&4; read -u 4; done; \
         {open}; for line in LIST QUIT; do printf '%s\\r\\n' $line >&4; read -u 4; done"
    );
    world.client(&script)
}

/// Waits until the server listens.
pub(crate) fn is_ready(line: &str) -> bool {
    line.trim() == READY
}
