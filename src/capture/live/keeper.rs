//! The helper process that keeps the rights which the main process gives up.
//!
//! It is this program again. It asks the kernel for the trace, reads rulesets, and does nothing else; a request is one line on
//! its standard input, an answer a status, a length of four bytes and as much text on its standard output. When its input
//! ends, at whatever end of the main process, `kill -9` included, it undoes what it did and ends. [`Keeper`] is the main
//! process's side, [`keep`] the helper's.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use thiserror::Error;

use crate::netfilter::ruleset::Ruleset;
use crate::netfilter::table::Traced;
use crate::netfilter::{Family, Tool};
use crate::packet::Endpoint;

pub use kept::keep;
pub(super) use kept::{hand_on_rights, listed, output};

mod kept;

/// What the helper can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// That the kernel traces from now on. The answer is empty.
    Trace,
    /// That what goes to this listener and comes from it is traced, too. The answer is empty.
    Follow(Endpoint),
    /// That the TRACE lines of the older iptables go to `NFLOG` group 0. The answer is empty.
    Log,
    /// What `nft -a list ruleset` prints.
    Nft,
    /// What `iptables-nft-save -c` prints.
    IptablesNft,
    /// What `ip6tables-nft-save -c` prints.
    Ip6tablesNft,
    /// What `iptables-legacy-save -c` prints; nothing if the kernel has no such tables.
    IptablesLegacy,
    /// What `ip6tables-legacy-save -c` prints; nothing if the kernel has no such tables.
    Ip6tablesLegacy,
}

/// Requests that are one word, with it.
const WORDS: [(Request, &str); 7] = [
    (Request::Trace, "trace"),
    (Request::Log, "log"),
    (Request::Nft, "nft"),
    (Request::IptablesNft, "iptables-nft"),
    (Request::Ip6tablesNft, "ip6tables-nft"),
    (Request::IptablesLegacy, "iptables-legacy"),
    (Request::Ip6tablesLegacy, "ip6tables-legacy"),
];

/// The word before the endpoint in [`Request::Follow`].
const FOLLOW: &str = "follow";

impl Request {
    fn line(self) -> String {
        match self {
            Request::Follow(listener) => format!("{FOLLOW} {listener}\n"),
            one => format!("{}\n", WORDS.iter().find(|row| row.0 == one).map_or("", |row| row.1)),
        }
    }

    fn read(line: &str) -> Option<Request> {
        let endpoint = |socket: SocketAddr| Endpoint { ip: socket.ip(), port: socket.port() };
        match line.split_once(' ') {
            Some((word, listener)) if word == FOLLOW => listener.parse().ok().map(endpoint).map(Request::Follow),
            _ => WORDS.iter().find(|row| row.1 == line).map(|row| row.0),
        }
    }
}

/// The status of an answer that is what was asked for.
const DONE: u8 = 0;
/// The status of an answer that says why not.
const REFUSED: u8 = 1;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum KeeperError {
    /// What was asked for cannot be had here; the text says why, and what it would have told.
    #[error("{0}")]
    Refused(String),
    /// The helper process has ended.
    #[error("the helper process that may read and trace rules has ended: {0}")]
    Gone(#[from] io::Error),
}

/// The helper process. It ends when this is dropped.
#[derive(Debug)]
pub struct Keeper {
    child: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

impl Keeper {
    /// Starts it: `program`, which is this one, with the hidden subcommand `keeper`.
    ///
    /// It gets a process group of its own, so that an interrupt from the terminal ends the main process only. A signal that
    /// is sent to the helper itself ends it at once: the table of the trace goes with it, but the logger stays as it is.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn start(program: &Path, traced: &Traced) -> io::Result<Keeper> {
        let mut command = Command::new(program);
        let ports: Vec<String> = traced.control_ports.iter().map(u16::to_string).collect();
        command.args(["keeper", "--control-port", &ports.join(",")]);
        if let Some(range) = &traced.passive_range {
            command.args(["--passive-range", &format!("{}-{}", range.start(), range.end())]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn()?;
        let requests = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Keeper { child, requests, answers })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// See [`KeeperError`].
    pub fn ask(&mut self, request: Request) -> Result<String, KeeperError> {
        self.send(request)?;
        self.receive()
    }

    /// Asks. The answers come in the order of the requests; the helper is readable when the next one is there.
    ///
    /// # Errors
    /// The helper has ended.
    pub fn send(&mut self, request: Request) -> io::Result<()> {
        self.requests.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(request.line().as_bytes())
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    /// See [`KeeperError`].
    pub fn receive(&mut self) -> Result<String, KeeperError> {
        let mut head = [0; 5];
        self.answers.read_exact(&mut head)?;
        let [status, length @ ..] = head;
        let mut text = Vec::new();
        let length = u64::from(u32::from_be_bytes(length));
        let read = (&mut self.answers).take(length).read_to_end(&mut text)?;
        if read as u64 != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if status == DONE { Ok(text) } else { Err(KeeperError::Refused(text)) }
    }

    /// All rules as they are now, and a line for each list that cannot be had. The words of iptables-nft are asked for only
    /// where nft lists a table that may be its.
    ///
    /// # Errors
    /// The helper has ended.
    pub fn ruleset(&mut self) -> io::Result<(Ruleset, Vec<String>)> {
        let (mut ruleset, mut absent) = (Ruleset::default(), Vec::new());
        let nft = self.list(Request::Nft, &mut absent)?;
        nft.iter().for_each(|text| ruleset.add_nft(text));
        let may_have = |family| nft.is_none() || ruleset.tables.iter().any(|table| table.family == family);
        let [ip, ip6] = [Family::Ip, Family::Ip6].map(may_have);
        let saved = [
            (ip, Request::IptablesNft, Family::Ip, Tool::IptablesNft),
            (ip6, Request::Ip6tablesNft, Family::Ip6, Tool::IptablesNft),
            (true, Request::IptablesLegacy, Family::Ip, Tool::IptablesLegacy),
            (true, Request::Ip6tablesLegacy, Family::Ip6, Tool::IptablesLegacy),
        ];
        for (_, request, family, tool) in saved.into_iter().filter(|row| row.0) {
            let text = self.list(request, &mut absent)?;
            text.iter().for_each(|text| ruleset.add_iptables_save(text, family, tool));
        }
        Ok((ruleset, absent))
    }

    /// A list; why it cannot be had is added to `absent`.
    fn list(&mut self, request: Request, absent: &mut Vec<String>) -> io::Result<Option<String>> {
        match self.ask(request) {
            Ok(text) => Ok(Some(text)),
            Err(KeeperError::Refused(why)) => {
                absent.push(why);
                Ok(None)
            }
            Err(KeeperError::Gone(error)) => Err(error),
        }
    }
}

/// Readable when there is an answer.
impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answers.as_fd()
    }
}

/// Waits until everything is undone.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.wait();
    }
}
