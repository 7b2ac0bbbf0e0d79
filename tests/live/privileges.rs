//! What a capture may still do when its door is closed, and that it still does its work.

use std::env;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ftpwhy::capture::live::privileges::drop_all;
use ftpwhy::capture::live::sockets::Sockets;
use ftpwhy::netfilter::socket::{State, Wanted};

use crate::OPEN;
use crate::process::{FTPWHY, Process, sh};
use crate::session::{TOLD, refused_transfer, serve};

/// Makes this program the process whose door is closed.
pub(crate) const CLOSED: &str = "closed";

pub(crate) fn what_the_process_is_left_with() {
    let program = env::current_exe().expect("a running program has a path");
    for (caller, user) in [(None, "65534"), (Some("1234"), "1234"), (Some("0"), "65534")] {
        let mut command = Command::new(&program);
        command.arg(CLOSED);
        if let Some(caller) = caller {
            command.env("SUDO_UID", caller).env("SUDO_GID", caller);
        }
        let mut process = Process::start(&mut command);
        assert_eq!(process.line(), "closed");
        process.has_no_rights(user);
        sh(&format!("test $(stat -c %u:%g {OPEN}/anew) = {user}:{user}; rm {OPEN}/anew"));
        assert_eq!(process.end().output, "");
    }
}

/// Closes the door and tries it, then waits until it may end.
pub(crate) fn closed() {
    let kept = format!("{OPEN}/kept");
    fs::write(&kept, "").expect("root may write there");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("lo is up");
    let port = listener.local_addr().expect("it is bound").port();
    let mut sockets = Sockets::open().expect("it takes no rights");
    assert_eq!(drop_all(&[Path::new(&kept)]), [] as [String; 0]);

    let denied = |tried: io::Result<()>, what: &str| {
        assert_eq!(tried.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied), "{what}");
    };
    denied(fs::read("/etc/passwd").map(drop), "reading what all may read");
    denied(fs::read(&kept).map(drop), "reading what is written");
    denied(fs::read_dir("/").map(drop), "listing a folder");
    denied(fs::write("/var/tmp/ftpwhy", ""), "writing where all may write");
    denied(fs::create_dir(format!("{OPEN}/folder")), "making a folder");
    denied(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(drop), "opening a socket");
    denied(listener.accept().map(drop), "accepting a connection");
    denied(Command::new("true").status().map(drop), "running a program");
    denied(thread::Builder::new().spawn(|| ()).map(drop), "starting a thread");
    fs::write(format!("{OPEN}/anew"), "").expect("a file may be made beside the one that is kept");
    let wanted = Wanted { states: &[State::Listen], local_port: Some(port), remote_port: None };
    assert_eq!(sockets.list(&wanted).expect("the way to the kernel is still open").len(), 1);

    println!("closed");
    let _ = io::stdin().read(&mut [0]);
}

pub(crate) fn a_session_is_told_and_written() {
    let kept = format!("{OPEN}/kept.pcapng");
    let server = serve();
    let mut command = Command::new(FTPWHY);
    let port = server.port().to_string();
    command.args(["watch", "--timeline", "--time", "local", "-w", &kept, "--control-port", &port]);
    let watch = Process::start(command.env("TZ", "Asia/Tokyo")).watching();
    watch.has_no_rights("65534");

    sh("ip link add later type veth peer other; ip link set other up; ip link set later up;
        ip address add 10.9.9.1/24 dev later; ip neighbor add 10.9.9.2 lladdr 02:00:00:00:00:01 dev later");
    let unanswered = TcpStream::connect_timeout(&(Ipv4Addr::new(10, 9, 9, 2), 21).into(), Duration::from_millis(300));
    assert!(unanswered.is_err());
    refused_transfer(server);
    let told = watch.end().output;
    assert!(told.contains("✗ RETR file") && told.contains(TOLD) && told.contains("425"), "{told}");
    assert!(told.contains("+09:00"), "{told}");
    assert!(!told.contains("rights"), "{told}");

    let replayed = Command::new(FTPWHY).args(["replay", &kept, "--control-port", &port]).output();
    let replayed = String::from_utf8(replayed.expect("it can be run").stdout).expect("it prints text");
    assert!(replayed.contains(TOLD), "{replayed}");
    let written = fs::read(&kept).expect("it was written");
    assert!(written.windows(5).any(|name| name == b"later"), "an interface that came later has its name");
}

pub(crate) fn a_command_runs_as_ever() {
    let script = "sleep 0.5; id -u; head -c 5 /etc/passwd; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status";
    let mut command = Command::new(FTPWHY);
    let kept = format!("{OPEN}/run.pcapng");
    command.args(["run", "-w", &kept, "--", "sh", "-c", script]);
    command.env("SUDO_UID", "1234").env("SUDO_GID", "1234");
    let output = command.output().expect("it can be run");
    let (told, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(told.starts_with("1234\nroot:NoNewPrivs:\t0\nSeccomp:\t0\n"), "{told}{complaints}");
    assert!(output.status.success() && !told.contains("rights") && complaints.is_empty(), "{told}{complaints}");
    sh(&format!("test $(stat -c %u:%g {kept}) = 1234:1234"));
}
