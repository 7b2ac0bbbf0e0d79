//! A session whose only transfer is refused: the smallest that there is something to tell of.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use ftpwhy::ftp::host_port;

/// Where nobody listens.
pub(crate) const DATA_PORT: u16 = 50_001;

/// A server that announces [`DATA_PORT`]. It serves one session after another.
pub(crate) fn serve() -> SocketAddr {
    serve_announcing(None)
}

/// The same, if so of another address than its own.
pub(crate) fn serve_announcing(address: Option<Ipv4Addr>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        while let Ok((control, _)) = listener.accept() {
            answer(control, address);
        }
    });
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn answer(mut control: TcpStream, address: Option<Ipv4Addr>) {
    let mut commands = BufReader::new(control.try_clone().expect("it is open")).lines();
    let own = control.local_addr().expect("it is open").ip();
    let host = address.map_or(own, IpAddr::from).to_string().replace('.', ",");
    let mut say = |reply: &str| control.write_all(format!("{reply}\r\n").as_bytes()).expect("it is open");
    say("220 here");
    while let Some(Ok(command)) = commands.next() {
        match command.as_str() {
            "USER anonymous" => say("331 which?"),
            "PASV" => say(&format!("227 Entering Passive Mode ({host},{},{})", DATA_PORT / 256, DATA_PORT % 256)),
            "RETR file" => say("425 nobody came"),
            _ => say("200 well"),
        }
    }
}

/// A client that tries to connect to where it is told. Ends when a watch has told of it.
pub(crate) fn refused_transfer(server: SocketAddr) {
    let mut control = TcpStream::connect(server).expect("it listens");
    let mut replies = BufReader::new(control.try_clone().expect("it is open")).lines();
    let mut reply = String::new();
    for command in ["", "USER anonymous\r\n", "PASS -\r\n", "PASV\r\n", "RETR file\r\n"] {
        if command.starts_with("RETR") {
            let announced = host_port::pasv_reply(reply.as_bytes()).and_then(|announced| announced.address);
            assert!(TcpStream::connect((announced.expect("an address is announced"), DATA_PORT)).is_err());
        }
        control.write_all(command.as_bytes()).expect("it is open");
        reply = replies.next().expect("it answers").expect("it answers text");
    }
    thread::sleep(Duration::from_millis(1800)); // a transfer is told when its last reply is a second old
}

/// The rule of the verdict on that.
pub(crate) const TOLD: &str = "data-syn-reset";
