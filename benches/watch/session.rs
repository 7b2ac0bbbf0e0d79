//! FTP sessions as fast as they can be had: login, one passive download, the end. Both ends are programs of as many threads
//! as sessions go on at once.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::Fallible;
use crate::pair::SERVER;

const THREADS: usize = 64;

/// What a download brings.
const FILE: &[u8] = &[b'x'; 512];

/// Answers sessions until it is killed.
pub(crate) fn serve() -> Fallible<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 21)).map_err(|error| error.to_string())?;
    println!("listening");
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Ok((control, _)) = listener.accept() {
                    let _ = answer(control); // a session that broke off is missed by the caller
                }
            });
        }
    });
    Ok(())
}

fn answer(control: TcpStream) -> io::Result<()> {
    control.set_nodelay(true)?;
    let mut listener = None;
    let mut say = &control;
    say.write_all(b"220 here\r\n")?;
    for command in BufReader::new(&control).lines() {
        match command?.as_str() {
            "PASV" => {
                let data = listen(control.local_addr()?.ip())?;
                let [high, low] = data.local_addr()?.port().to_be_bytes();
                listener = Some(data);
                let host = SERVER.replace('.', ",");
                say.write_all(format!("227 Entering Passive Mode ({host},{high},{low})\r\n").as_bytes())?;
            }
            "RETR file" => {
                say.write_all(b"150 here it comes\r\n")?;
                let data = listener.take().ok_or(io::ErrorKind::NotConnected)?;
                data.accept()?.0.write_all(FILE)?;
                say.write_all(b"226 done\r\n")?;
            }
            "QUIT" => return say.write_all(b"221 bye\r\n"),
            "USER anonymous" => say.write_all(b"331 who?\r\n")?,
            _ => say.write_all(b"230 well\r\n")?,
        }
    }
    Ok(())
}

/// Listens on the next port of a passive range: the kernel's own search for a free one takes longer the more connections have
/// just ended.
fn listen(ip: IpAddr) -> io::Result<TcpListener> {
    const RANGE: std::ops::Range<u16> = 20_000..60_000;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut ports = RANGE.map(|_| RANGE.start + (NEXT.fetch_add(1, Ordering::Relaxed) % RANGE.len()) as u16);
    ports.find_map(|port| TcpListener::bind((ip, port)).ok()).ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// Begins `rate` sessions a second for so many seconds, or fewer if the machine makes no more; prints how many went well and
/// how many seconds they took.
pub(crate) fn call(rate: u32, seconds: u64) -> Fallible<()> {
    let (next, well) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let length = Duration::from_secs(seconds);
    let hold_all = || {
        loop {
            let due = Duration::from_secs(1) * next.fetch_add(1, Ordering::Relaxed) as u32 / rate;
            if due >= length || start.elapsed() >= length {
                return;
            }
            thread::sleep(due.saturating_sub(start.elapsed()));
            if hold().is_ok() {
                well.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(hold_all);
        }
    });
    println!("{} {}", well.into_inner(), start.elapsed().as_secs_f64());
    Ok(())
}

/// One session.
fn hold() -> io::Result<()> {
    let control = TcpStream::connect((SERVER, 21))?;
    control.set_nodelay(true)?;
    control.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut replies = BufReader::new(&control).lines();
    let mut reply = || replies.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    let mut say = &control;
    reply()?;
    for command in ["USER anonymous", "PASS -", "PASV"] {
        say.write_all(format!("{command}\r\n").as_bytes())?;
        let reply = reply()?;
        if let Some(port) = reply.strip_prefix("227").and_then(announced) {
            let mut data = TcpStream::connect((SERVER, port))?;
            say.write_all(b"RETR file\r\n")?;
            data.read_to_end(&mut Vec::new())?;
        }
    }
    reply()?;
    reply()?;
    say.write_all(b"QUIT\r\n")?;
    reply()?;
    reply().map_or(Ok(()), |_| Err(io::ErrorKind::InvalidData.into()))
}

/// The port of a 227.
fn announced(reply: &str) -> Option<u16> {
    let mut numbers = reply.trim_end_matches(')').rsplit(',');
    let (low, high) = (numbers.next()?.parse::<u16>().ok()?, numbers.next()?.parse::<u16>().ok()?);
    Some(high << 8 | low)
}
