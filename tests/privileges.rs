//! What a capture may still do when its door is closed, and that it still does its work.
//!
//! ```text
//! cargo test --test privileges
//! ```
//!
//! Runs in namespaces of its own, with one FTP session after the door is closed. Needs root, ip(8) and mount(8); skipped
//! elsewhere, unless `FTPWHY_LAB=required`.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ftpwhy::capture::live::privileges::drop_all;
use ftpwhy::capture::live::sockets::Sockets;
use ftpwhy::netfilter::socket::{State, Wanted};

/// Set inside the namespaces.
const INSIDE: &str = "FTPWHY_PRIVILEGES_INSIDE";
/// Makes this program the process whose door is closed.
const CLOSED: &str = "closed";
/// The program under test.
const FTPWHY: &str = env!("CARGO_BIN_EXE_ftpwhy");
/// A folder of this test alone that everybody may write to.
const OPEN: &str = "/mnt";

fn main() -> ExitCode {
    if env::args().nth(1).is_some_and(|role| role == CLOSED) {
        closed();
        return ExitCode::SUCCESS;
    }
    if env::var_os(INSIDE).is_some() {
        what_the_process_is_left_with();
        a_session_is_told_and_written();
        a_command_runs_as_ever();
        println!("privileges: passed");
        return ExitCode::SUCCESS;
    }
    let wanted = env::var("FTPWHY_LAB").unwrap_or_default();
    if let Some(why) = missing(&wanted) {
        println!("privileges: skipped: {why}");
        return if wanted == "required" { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let status = isolated(&env::current_exe().expect("a running program has a path")).env(INSIDE, "1").status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A program in namespaces of its own, killed with this one.
fn isolated(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.arg("--mount-proc").arg(program);
    command
}

/// What this machine lacks, tried in namespaces.
fn missing(wanted: &str) -> Option<String> {
    if wanted == "off" {
        return Some("FTPWHY_LAB is off".to_owned());
    }
    let tries = format!("ip link add later type veth && mount -t tmpfs none {OPEN}");
    match isolated(Path::new("sh")).args(["-c", &tries]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("setpriv: {error}")),
    }
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh can be run");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn what_the_process_is_left_with() {
    sh(&format!("mount -t tmpfs -o mode=1777 none {OPEN}; ip link set lo up"));
    let program = env::current_exe().expect("a running program has a path");
    for (caller, user) in [(None, "65534"), (Some("1234"), "1234"), (Some("0"), "65534")] {
        let mut command = Command::new(&program);
        command.arg(CLOSED).env_remove("SUDO_UID").env_remove("SUDO_GID");
        if let Some(caller) = caller {
            command.env("SUDO_UID", caller).env("SUDO_GID", caller);
        }
        let mut process = Process::start(&mut command);
        assert_eq!(process.line(), "closed");
        process.has_no_rights(user);
        sh(&format!("test $(stat -c %u:%g {OPEN}/anew) = {user}:{user}; rm {OPEN}/anew"));
        assert!(process.end().is_empty());
    }
}

/// Closes the door and tries it, then waits until it may end.
fn closed() {
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

/// A process whose output is read.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it can be run");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Process { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it prints text");
        line.trim_end().to_owned()
    }

    /// The fields of proc_pid_status(5).
    fn status(&self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs")
    }

    /// Waits for the last that it does before it goes on.
    fn closes_the_door(&self) {
        let begun = Instant::now();
        while !self.status().contains("\nSeccomp:\t2\n") {
            assert!(begun.elapsed() < Duration::from_secs(5), "{}", self.status());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn has_no_rights(&self, user: &str) {
        let status = self.status();
        let fields = status.lines().filter_map(|line| line.split_once(':'));
        let fields: HashMap<&str, Vec<&str>> =
            fields.map(|(name, values)| (name, values.split_whitespace().collect())).collect();
        assert_eq!((&fields["Uid"], &fields["Gid"]), (&vec![user; 4], &vec![user; 4]));
        assert_eq!(fields["Groups"], [""; 0]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(fields[set], ["0000000000000000"], "{set}");
        }
        assert_eq!((&fields["NoNewPrivs"][..], &fields["Seccomp"][..]), (&["1"][..], &["2"][..]));
    }

    /// Ends it kindly, as Ctrl-C does; all that it still printed.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        sh(&format!("kill -INT {} 2>/dev/null || true", self.child.id()));
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("it prints text");
        self.child.wait().expect("it is a child");
        rest
    }
}

fn a_session_is_told_and_written() {
    sh("ip link set lo up");
    let kept = format!("{OPEN}/kept.pcapng");
    let server = serve();
    let mut command = Command::new(FTPWHY);
    command
        .args(["watch", "--timeline", "--time", "local", "-w", &kept, "--control-port"])
        .arg(server.port().to_string());
    command.env("TZ", "Asia/Tokyo").env_remove("SUDO_UID").stderr(Stdio::piped());
    let mut watch = Process::start(&mut command);
    let mut ready = String::new();
    BufReader::new(watch.child.stderr.take().expect("it is piped")).read_line(&mut ready).expect("it prints text");
    assert!(ready.contains("watching any"), "{ready}");
    watch.closes_the_door();
    watch.has_no_rights("65534");

    sh("ip link add later type veth peer other; ip link set other up; ip link set later up;
        ip address add 10.9.9.1/24 dev later; ip neighbor add 10.9.9.2 lladdr 02:00:00:00:00:01 dev later");
    let unanswered = TcpStream::connect_timeout(&(Ipv4Addr::new(10, 9, 9, 2), 21).into(), Duration::from_millis(300));
    assert!(unanswered.is_err());
    refused_transfer(server);
    thread::sleep(Duration::from_millis(1500)); // a transfer is told when its last reply is a second old
    let told = watch.end();
    assert!(told.contains("data-syn-reset") && told.contains("425"), "{told}");
    assert!(told.contains("+09:00"), "{told}");
    assert!(!told.contains("rights"), "{told}");

    let replayed = Command::new(FTPWHY).args(["replay", &kept, "--control-port", &server.port().to_string()]).output();
    let replayed = String::from_utf8(replayed.expect("it can be run").stdout).expect("it prints text");
    assert!(replayed.contains("data-syn-reset"), "{replayed}");
    let written = fs::read(&kept).expect("it was written");
    assert!(written.windows(5).any(|name| name == b"later"), "an interface that came later has its name");
}

fn a_command_runs_as_ever() {
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

/// A server that announces a port where nobody listens.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("lo is up");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let (mut control, _) = listener.accept().expect("one comes");
        let mut commands = BufReader::new(control.try_clone().expect("it is open")).lines();
        let mut say = |reply: &str| control.write_all(format!("{reply}\r\n").as_bytes()).expect("it is open");
        say("220 here");
        while let Some(Ok(command)) = commands.next() {
            match command.as_str() {
                "USER anonymous" => say("331 which?"),
                "PASV" => say("227 Entering Passive Mode (127,0,0,1,195,81)"),
                "RETR file" => say("425 nobody came"),
                _ => say("200 well"),
            }
        }
    });
    address
}

/// A client that tries to connect to the port.
fn refused_transfer(server: SocketAddr) {
    let mut control = TcpStream::connect(server).expect("it listens");
    let mut replies = BufReader::new(control.try_clone().expect("it is open")).lines();
    for command in ["", "USER anonymous\r\n", "PASS -\r\n", "PASV\r\n", "RETR file\r\n"] {
        if command.starts_with("RETR") {
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, 50001)).is_err());
        }
        control.write_all(command.as_bytes()).expect("it is open");
        replies.next().expect("it answers").expect("it answers text");
    }
}
