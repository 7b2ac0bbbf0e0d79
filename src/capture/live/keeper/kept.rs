//! The helper's side: programs that it runs, settings that it changes and changes back.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
};

use super::{DONE, REFUSED, Request};
use crate::netfilter::table::{Traced, follow, trace_table};
use crate::packet::Endpoint;

/// Where programs are taken from: with rights, never from where the user says.
const FOLDERS: [&str; 5] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin"];
/// Longest answer in bytes: a ruleset of a hundred thousand rules has less.
const ANSWER: u64 = 64 << 20;
/// Which logger writes the TRACE lines of IPv4 and IPv6 (`NFPROTO_*`).
const LOGGERS: [&str; 2] = ["/proc/sys/net/netfilter/nf_log/2", "/proc/sys/net/netfilter/nf_log/10"];
/// The logger that hands them to programs.
const NFLOG: &str = "nfnetlink_log";

/// Answers requests until there are none left, then undoes what was done.
///
/// # Errors
/// The answers cannot be written, or the requests not read: the main process is gone. All is undone then as well.
pub fn keep(traced: &Traced, requests: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    hand_on_rights();
    let mut held = Held { traced, table: None, loggers: Vec::new() };
    for line in requests.lines() {
        let line = line?;
        let request = Request::read(&line).ok_or_else(|| format!("{line:?} is no request"));
        let answer = request.and_then(|request| held.answer(request));
        let (status, text) = match &answer {
            Ok(text) => (DONE, text),
            Err(why) => (REFUSED, why),
        };
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
        let text = &text.as_bytes()[..text.len().min(u32::MAX as usize)];
        answers.write_all(&[&[status][..], &length, text].concat())?;
        answers.flush()?;
    }
    Ok(())
}

/// What is undone when it is dropped.
struct Held<'a> {
    traced: &'a Traced,
    table: Option<Table>,
    loggers: Vec<Logger>,
}

impl Held<'_> {
    fn answer(&mut self, request: Request) -> Result<String, String> {
        match request {
            Request::Trace => self.trace().map(|()| String::new()),
            Request::Follow(listener) => self.follow(listener).map(|()| String::new()),
            Request::Log => self.log().map(|()| String::new()),
            list => listed(list),
        }
    }

    fn trace(&mut self) -> Result<(), String> {
        if self.table.is_none() {
            self.table = Some(Table::load(self.traced)?);
        }
        Ok(())
    }

    fn follow(&mut self, listener: Endpoint) -> Result<(), String> {
        self.table.as_mut().ok_or("nothing is traced")?.follow(listener)
    }

    fn log(&mut self) -> Result<(), String> {
        if self.loggers.is_empty() {
            self.loggers = LOGGERS.into_iter().map(Logger::set).collect::<Result<_, _>>()?;
        }
        Ok(())
    }
}

/// What a tool lists.
pub(in crate::capture::live) fn listed(list: Request) -> Result<String, String> {
    const HANDLES: &str = "the rules of nftables, their handles and counters";
    const WORDS: &str = "the rules in the words of iptables";
    const OLDER: &str = "the rules of the older iptables";
    match list {
        Request::Nft => output("nft", "nftables", &["-a", "list", "ruleset"], HANDLES),
        Request::IptablesNft => output("iptables-nft-save", "iptables", &["-c"], WORDS),
        Request::Ip6tablesNft => output("ip6tables-nft-save", "iptables", &["-c"], WORDS),
        Request::IptablesLegacy if has_tables("ip_tables_names")? => {
            output("iptables-legacy-save", "iptables", &["-c"], OLDER)
        }
        Request::Ip6tablesLegacy if has_tables("ip6_tables_names")? => {
            output("ip6tables-legacy-save", "iptables", &["-c"], OLDER)
        }
        Request::IptablesLegacy | Request::Ip6tablesLegacy => Ok(String::new()),
        Request::Trace | Request::Follow(_) | Request::Log => Err(format!("{list:?} is no list")),
    }
}

/// Whether the kernel has tables of the older iptables; to ask the program would load the kernel's modules.
fn has_tables(names: &str) -> Result<bool, String> {
    let path = Path::new("/proc/net").join(names);
    match fs::read(&path) {
        Ok(names) => Ok(!names.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}; it would tell whether the older iptables has rules", path.display())),
    }
}

/// Lets the programs that this one runs have `CAP_NET_ADMIN`, if it has it from its own file rather than from root. Where it
/// lacks, they say so.
pub(in crate::capture::live) fn hand_on_rights() {
    let handed_on = capabilities(None).and_then(|sets| {
        let inheritable = sets.inheritable | (sets.permitted & CapabilitySet::NET_ADMIN);
        set_capabilities(None, CapabilitySets { inheritable, ..sets })
    });
    let _ = handed_on.and_then(|()| configure_capability_in_ambient_set(CapabilitySet::NET_ADMIN, true));
}

/// The program in one of the [`FOLDERS`].
fn program(name: &str, package: &str, told: &str) -> Result<Command, String> {
    let paths = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    let path: Option<PathBuf> = paths.into_iter().find(|path| path.exists());
    let mut command =
        Command::new(path.ok_or_else(|| format!("{name} is missing (package {package}): it would tell {told}"))?);
    command.env_clear().env("LC_ALL", "C");
    Ok(command)
}

/// What a program prints.
pub(in crate::capture::live) fn output(
    name: &str,
    package: &str,
    arguments: &[&str],
    told: &str,
) -> Result<String, String> {
    let fail = |why: String| format!("{name} fails: {why}; it would tell {told}");
    let mut command = program(name, package, told)?;
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = command.output().map_err(|error| fail(error.to_string()))?;
    match (ended.status.success(), ended.stdout.len() as u64 <= ANSWER) {
        (true, true) => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        (true, false) => Err(fail(format!("it lists more than {ANSWER} bytes"))),
        (false, _) => Err(fail(String::from_utf8_lossy(&ended.stderr).lines().next().unwrap_or_default().to_owned())),
    }
}

/// nft(8) that holds the table of the trace: the table is its own, and ends with it.
struct Table {
    nft: Child,
    name: String,
}

impl Table {
    const TOLD: &str = "which rule drops a packet";

    fn load(traced: &Traced) -> Result<Table, String> {
        let (printed, printer) = io::pipe().map_err(Table::failed)?;
        let twin = printer.try_clone().map_err(Table::failed)?;
        let mut command = program("nft", "nftables", Table::TOLD)?;
        let spawned = command.args(["-a", "-i"]).stdin(Stdio::piped()).stdout(printer).stderr(twin).spawn();
        drop(command); // it holds the writing end, which would keep `printed` open
        let nft = spawned.map_err(Table::failed)?;
        let mut table = Table { nft, name: format!("ftpwhy_{}", std::process::id()) };
        table.say(&trace_table(&table.name, traced))?;
        table.say(&format!("list table inet {}", table.name))?;
        let mut printed = BufReader::new(printed);
        is_listed(&mut printed)
            .map_err(|why| format!("nft cannot load the rules that trace: {why}; they would tell {}", Table::TOLD))?;
        // it goes on printing, and must not wait for a reader
        thread::spawn(move || io::copy(&mut printed, &mut io::sink()));
        Ok(table)
    }

    /// What nft finds wrong with it, as that there is no room left, does not matter: the rest is traced.
    fn follow(&mut self, listener: Endpoint) -> Result<(), String> {
        self.say(&follow(&self.name, listener))
    }

    fn say(&mut self, line: &str) -> Result<(), String> {
        let stdin = self.nft.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe.into());
        stdin.and_then(|stdin| writeln!(stdin, "{line}")).map_err(Table::failed)
    }

    fn failed(error: io::Error) -> String {
        format!("nft fails: {error}; it would tell {}", Table::TOLD)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = self.nft.kill();
        let _ = self.nft.wait();
    }
}

/// Waits until nft lists the table in full, or says what is wrong.
fn is_listed(printed: impl BufRead) -> Result<(), String> {
    for line in printed.lines() {
        let line = line.map_err(|error| error.to_string())?;
        if line == "}" {
            return Ok(());
        }
        if let Some((_, why)) = line.split_once("Error: ") {
            return Err(why.to_owned());
        }
    }
    Err("it has ended".to_owned())
}

/// A setting with what it was before.
struct Logger {
    path: &'static str,
    before: String,
}

impl Logger {
    fn set(path: &'static str) -> Result<Logger, String> {
        let fail = |error| {
            format!("{path} cannot be set to {NFLOG}: {error}; the older iptables would tell which rule drops a packet")
        };
        let before = fs::read_to_string(path).map_err(fail)?.trim_end().to_owned();
        fs::write(path, NFLOG).map_err(fail)?;
        Ok(Logger { path, before })
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        let _ = fs::write(self.path, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(requests: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        let traced = Traced { control_ports: vec![21], passive_range: None };
        keep(&traced, requests, &mut answers).expect("a list takes all");
        answers
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(answers(b"z"), b"\x01\0\0\0\x11\"z\" is no request");
        let injected = answers(b"follow 192.0.2.1:21 }; flush ruleset");
        assert!(injected.ends_with(b" is no request"), "{injected:?}");
        assert_eq!(answers(b"follow [2001:db8::1]:21"), b"\x01\0\0\0\x11nothing is traced");
        assert_eq!(answers(b""), b"");
    }

    #[test]
    fn a_program_that_is_missing_is_named_with_its_package_and_what_it_would_tell() {
        let missing = output("no-such-program", "nftables", &[], "the rules").expect_err("there is none");
        assert_eq!(missing, "no-such-program is missing (package nftables): it would tell the rules");
        let failed = output("false", "coreutils", &[], "the rules").expect_err("it fails");
        assert!(failed.starts_with("false fails: ") && failed.ends_with("; it would tell the rules"), "{failed}");
    }
}
