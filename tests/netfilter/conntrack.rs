//! The kernel follows an FTP session with the helper: which connections it tells of, and which it expects.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ftpwhy::capture::live::conntrack::Conntrack;
use ftpwhy::cite::Time;
use ftpwhy::netfilter::conntrack::{Change, Event, Expected, State, Status, Tracked, Tuple};
use ftpwhy::packet::Endpoint;

use crate::host::Fallible;
use crate::world::World;

/// The helper, and a drop of what it expects at the second port.
const RULES: &str = "\
    nft flush ruleset; nft -f - <<'END'\n\
    table inet filter {\n\
        ct helper ftp { type \"ftp\" protocol tcp; }\n\
        chain output {\n\
            type filter hook output priority 0;\n\
            tcp dport 21 ct helper set \"ftp\"\n\
            tcp dport 50001 drop\n\
        }\n\
    }\n\
    END";
/// How long the kernel may take to tell.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn check(world: &World) -> Fallible<()> {
    world.here(RULES)?;
    active(IpAddr::from([127, 0, 0, 1]), |port| format!("PORT 127,0,0,1,195,{}\r\n", port - 195 * 256))?;
    active("::1".parse().expect("an address"), |port| format!("EPRT |2|::1|{port}|\r\n"))?;
    world.here("nft flush ruleset").map(drop)
}

/// A client that asks for a data connection to a closed port, and to one whose SYN is dropped.
fn active(ip: IpAddr, command: impl Fn(u16) -> String) -> Fallible<()> {
    let fail = |error: std::io::Error| error.to_string();
    let mut heard = Heard { conntrack: Conntrack::open().map_err(fail)?, events: Vec::new() };
    let listener = TcpListener::bind((ip, 21)).map_err(fail)?;
    let mut client = TcpStream::connect((ip, 21)).map_err(fail)?;
    let (mut server, _) = listener.accept().map_err(fail)?;
    let control = tuple(client.local_addr(), client.peer_addr())?;
    let mut send = |command: String| {
        client.write_all(command.as_bytes()).and_then(|()| server.read_exact(&mut vec![0; command.len()])).map_err(fail)
    };
    send("USER anonymous\r\n".to_owned())?; // the helper reads no line before it has seen the end of one
    for port in [50000, 50001] {
        send(command(port))?;
        let refused = TcpStream::connect_timeout(&SocketAddr::new(ip, port), Duration::from_millis(200));
        if refused.is_ok() {
            return Err(format!("port {port} is open"));
        }
    }

    let begun = heard.tracked(|entry| entry.original == control && entry.change == Change::New)?;
    same("the control connection", (&begun.helper, begun.state), (&Some("ftp".to_owned()), Some(State::SynSent)))?;
    same("its answers", begun.reply, mirror(control))?;
    let held = heard.tracked(|entry| entry.original == control && entry.status.contains(Status::ASSURED))?;
    same("its change", (held.change, held.state), (Change::Update, Some(State::Established)))?;
    same("its timeout", held.timeout, Some(Duration::from_secs(432_000)))?;

    for port in [50000, 50001] {
        for change in [Change::New, Change::Destroy] {
            let of_port = |entry: &Expected| entry.tuple.destination == Endpoint { ip, port } && entry.change == change;
            let entry = heard.expected(of_port)?;
            same("the master", (entry.master, &entry.helper), (control, &Some("ftp".to_owned())))?;
            same("the masked port", (entry.mask.source.port, entry.mask.destination.port), (0, u16::MAX))?;
        }
    }
    let data = heard.tracked(|entry| entry.original.destination.port == 50000 && entry.change == Change::New)?;
    same("the data connection", (data.status.contains(Status::EXPECTED), data.master), (true, Some(control)))?;
    heard.tracked(|entry| entry.original.destination.port == 50000 && entry.change == Change::Destroy)?;
    let is_dropped = |event: &Event| matches!(event, Event::Tracked(entry) if entry.original.destination.port == 50001);
    same("of what is dropped", heard.events.iter().find(|event| is_dropped(event)), None)?;
    same("overruns", heard.conntrack.overruns(), 0)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should_be: T) -> Fallible<()> {
    if is == should_be { Ok(()) } else { Err(format!("{what}: {is:?}\n  should be: {should_be:?}")) }
}

fn tuple(source: std::io::Result<SocketAddr>, destination: std::io::Result<SocketAddr>) -> Fallible<Tuple> {
    let end = |address: std::io::Result<SocketAddr>| {
        address.map(|address| Endpoint { ip: address.ip(), port: address.port() }).map_err(|error| error.to_string())
    };
    Ok(Tuple { source: end(source)?, destination: end(destination)? })
}

fn mirror(tuple: Tuple) -> Tuple {
    Tuple { source: tuple.destination, destination: tuple.source }
}

/// What the kernel told so far.
struct Heard {
    conntrack: Conntrack,
    events: Vec<Event>,
}

impl Heard {
    fn tracked(&mut self, wanted: impl Fn(&Tracked) -> bool) -> Fallible<Tracked> {
        self.find(|event| match event {
            Event::Tracked(entry) if wanted(entry) => Some(entry.clone()),
            _ => None,
        })
    }

    fn expected(&mut self, wanted: impl Fn(&Expected) -> bool) -> Fallible<Expected> {
        self.find(|event| match event {
            Event::Expected(entry) if wanted(entry) => Some(entry.clone()),
            _ => None,
        })
    }

    fn find<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> Fallible<T> {
        let begun = Instant::now();
        loop {
            self.conntrack.read(Time(1), |event| self.events.push(event)).map_err(|error| error.to_string())?;
            match self.events.iter().find_map(&wanted) {
                Some(found) => return Ok(found),
                None if begun.elapsed() > PATIENCE => return Err(format!("not told: {:?}", self.events)),
                None => sleep(Duration::from_millis(10)),
            }
        }
    }
}
