//! The command line: clap's types, and from what was typed to what it means.
//!
//! An option with `env` can be set in the environment and in the configuration file, too, see [`crate::settings`].

mod help;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
#[cfg(all(feature = "live", target_os = "linux"))]
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::capture::file::{FileError, expand, read_states};
use crate::capture::filter::Filter;
#[cfg(all(feature = "live", target_os = "linux"))]
use crate::capture::live;
use crate::language::Language;
use crate::line::Place;
#[cfg(all(feature = "live", target_os = "linux"))]
use crate::netfilter::table::Traced;
use crate::replay::{Capture, Replay};
use crate::report;
#[cfg(all(feature = "live", target_os = "linux"))]
use crate::watch::Watch;

/// Says whose firewall dropped an FTP transfer, how we know, and what to do.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, subcommand_value_name = "COMMAND", after_long_help = help::FTPWHY)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "a program has one of them")]
pub enum Command {
    /// Read captures and say what became of every FTP transfer in them
    ///
    /// Exit status: 0 every transfer went through, 1 a transfer or a control connection failed, 2 a capture, an argument or
    /// a setting could not be used.
    #[command(after_long_help = help::REPLAY)]
    Replay(ReplayArgs),
    /// Read captures and count: transfers by rule, server and client, and which passive ports work
    ///
    /// The exit status is that of replay.
    Stats(StatsArgs),
    /// Capture on this host and say what becomes of every FTP transfer while it happens
    ///
    /// Ends with Ctrl-C; then the exit status is that of replay.
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(after_long_help = help::WATCH)]
    Watch(WatchArgs),
    /// Capture while a command runs, and say what became of its FTP transfers
    ///
    /// Under sudo the command runs as the user who called it. The exit status is that of replay, not the command's.
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(after_long_help = help::RUN)]
    Run(RunArgs),
    /// Write down rules, connections, sockets and addresses of this host, for replay elsewhere
    ///
    /// One before and one after a failure tell, with a capture, which rule of this host it was: see `replay --server-state`.
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(after_long_help = help::SNAPSHOT)]
    Snapshot(SnapshotArgs),
    /// List what can be captured on, and where this host stands
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(after_long_help = help::INTERFACES)]
    Interfaces {
        /// Also tell by which address and interface this host speaks to PEER
        peer: Option<IpAddr>,
    },
    /// Explain a rule, or list all
    #[command(after_long_help = help::EXPLAIN)]
    Explain {
        /// Id or name of a rule, such as O5 or data-syn-unanswered
        rule: Option<String>,
        /// Language of what is said; that of the locale, if none is given
        #[arg(long, value_enum, env = "FTPWHY_LANG")]
        lang: Option<Lang>,
    },
    /// Write manual pages, completions or the reference of the rules
    #[command(subcommand, after_long_help = help::GENERATE)]
    Generate(Generate),
    /// Keep the rights that the main process gives up
    #[cfg(all(feature = "live", target_os = "linux"))]
    #[command(hide = true)]
    Keeper(KeeperArgs),
}

/// What `generate` writes.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// Manual pages, each a file in FOLDER: ftpwhy.1 and one for every command
    Man {
        /// An existing folder, such as ~/.local/share/man/man1
        folder: PathBuf,
    },
    /// Completions for a shell, on standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// What every rule says and why, in Markdown, on standard output
    Rules,
}

/// What `keeper` takes.
#[cfg(all(feature = "live", target_os = "linux"))]
#[derive(Debug, Args)]
pub struct KeeperArgs {
    /// Ports of control connections
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = port, required = true)]
    pub control_port: Vec<u16>,
    /// The server's passive range
    #[arg(long, value_name = "LOW-HIGH", value_parser = port_range)]
    pub passive_range: Option<RangeInclusive<u16>>,
}

#[cfg(all(feature = "live", target_os = "linux"))]
impl KeeperArgs {
    /// Whose packets to trace.
    pub fn traced(self) -> Traced {
        Traced { control_ports: self.control_port, passive_range: self.passive_range }
    }
}

/// What `replay` takes.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What to read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Keep the packets of the sessions that are shown in this file (pcapng), with comments on those that decide, for Wireshark
    /// and for replay
    #[arg(long, value_name = "FILE")]
    pub annotate: Option<PathBuf>,
    /// Leave passwords readable in it
    #[arg(long, requires = "annotate")]
    pub keep_secrets: bool,
    /// How to show what is found.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// What `stats` takes.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// What to read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = StatsFormat::Text)]
    pub format: StatsFormat,
    /// Language of what is said to people; that of the locale, if none is given
    #[arg(long, value_enum, env = "FTPWHY_LANG")]
    pub lang: Option<Lang>,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = When::Auto)]
    pub color: When,
}

/// Which captures to read, and what to look for in them.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Captures whose place nobody gives; it is inferred where the packets tell. `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present_any = ["client", "between", "server"])]
    pub files: Vec<String>,
    /// A capture taken on the client's host; a comma list or a glob for the files of a rotated capture
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    pub client: Option<String>,
    /// A capture taken between the hosts; repeatable, in the order from the client to the server
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    pub between: Vec<String>,
    /// A capture taken on the server's host
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    pub server: Option<String>,
    /// What `ftpwhy snapshot` wrote on the client's host; repeatable: one before and one after the failure tell the rule.
    /// A single FILE was taken there, too
    #[arg(long, value_name = "SNAPSHOT")]
    pub client_state: Vec<PathBuf>,
    /// The same of the host between, if there is one capture of it
    #[arg(long, value_name = "SNAPSHOT")]
    pub between_state: Vec<PathBuf>,
    /// The same of the server's host
    #[arg(long, value_name = "SNAPSHOT")]
    pub server_state: Vec<PathBuf>,
    /// The sessions to look for.
    #[command(flatten)]
    pub sessions: SessionArgs,
    /// Read only packets that pass this capture filter (pcap-filter(7)); needs libpcap
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<Filter>,
    /// The captures were taken without a filter: a data connection that is not in them was not there
    #[arg(long)]
    pub unfiltered: bool,
}

/// Which sessions to look for.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// Further ports of control connections, besides 21 and 990; repeatable
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = port, env = "FTPWHY_CONTROL_PORT")]
    pub control_port: Vec<u16>,
    /// The server's passive range: data connections are told by it where negotiations cannot be read
    #[arg(long, value_name = "LOW-HIGH", value_parser = port_range, env = "FTPWHY_PASSIVE_RANGE")]
    pub passive_range: Option<RangeInclusive<u16>>,
}

/// How to show what is found.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Show the whole timeline of each session
    #[arg(long)]
    pub timeline: bool,
    /// Show sessions in which nothing failed, too
    #[arg(long)]
    pub all: bool,
    /// Show only the session with this number
    #[arg(long, value_name = "N")]
    pub session: Option<u64>,
    /// Show only sessions of this client or server
    #[arg(long, value_name = "IP")]
    pub host: Option<IpAddr>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Write every session to this file, too, one a line, for programs
    #[arg(long, value_name = "FILE")]
    pub jsonl: Option<PathBuf>,
    /// Language of what is said to people; that of the locale, if none is given
    #[arg(long, value_enum, env = "FTPWHY_LANG")]
    pub lang: Option<Lang>,
    /// Write a page for people to this file, too: with pictures, and all that was seen
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How to show times
    #[arg(long, value_enum, default_value_t = TimeStyle::Relative, env = "FTPWHY_TIME")]
    pub time: TimeStyle,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = When::Auto)]
    pub color: When,
}

/// What a live capture takes.
#[cfg(all(feature = "live", target_os = "linux"))]
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// Capture on this interface only; repeatable (all, if none is given, `lo` included, where alone a rejected OUTPUT shows)
    #[arg(short, long = "interface", value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// Capture frames for other hosts, too; with a single interface
    #[arg(long, requires = "interfaces")]
    pub promiscuous: bool,
    /// Buffer in the kernel, in MiB
    #[arg(short = 'B', long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub buffer: u32,
    /// Capture only packets that pass this filter, too (pcap-filter(7))
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// Have the kernel trace which rule of this host drops a packet, rather than only read the rules and their counters (needs
    /// CAP_NET_ADMIN and nft)
    #[arg(long)]
    pub trace: bool,
    /// Keep what is captured in this file (pcapng), for replay
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// What `watch` takes.
#[cfg(all(feature = "live", target_os = "linux"))]
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// What to capture.
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<u64>,
    /// End when the first transfer or control connection has failed
    #[arg(long)]
    pub until_failure: bool,
    /// The sessions to look for.
    #[command(flatten)]
    pub sessions: SessionArgs,
    /// How to show what is found.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// What `run` takes.
#[cfg(all(feature = "live", target_os = "linux"))]
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to capture.
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// The sessions to look for.
    #[command(flatten)]
    pub sessions: SessionArgs,
    /// How to show what is found.
    #[command(flatten)]
    pub show: ShowArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What `snapshot` takes.
#[cfg(all(feature = "live", target_os = "linux"))]
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// Write it to this file, which only you can read, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Further ports of control connections, besides 21 and 990; repeatable
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = port, env = "FTPWHY_CONTROL_PORT")]
    pub control_port: Vec<u16>,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One array of sessions
    Json,
    /// One session a line, as soon as it is settled
    Jsonl,
    /// What `text` tells, as Markdown for tickets
    Markdown,
    /// One line a transfer, for spreadsheets
    Csv,
    /// One transfer a line, in the Elastic Common Schema
    Ecs,
}

/// Form of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Language of what is said to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// Japanese
    Ja,
}

/// How to show times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeStyle {
    /// Seconds from the beginning of the session
    Relative,
    /// Date and time in UTC
    Utc,
    /// Date and time here
    Local,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn port(text: &str) -> Result<u16, String> {
    let port = text.trim().parse().ok().filter(|&port| port > 0);
    port.ok_or_else(|| format!("'{text}' is no port; write a number from 1 to 65535"))
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let malformed = || format!("'{text}' is no port range; write it as 50000-50100");
    let (low, high) = text.split_once(['-', ':']).ok_or_else(malformed)?;
    let (low, high) = (low.trim().parse().map_err(|_| malformed())?, high.trim().parse().map_err(|_| malformed())?);
    if low <= high { Ok(low..=high) } else { Err(format!("the range {text} ends before it begins")) }
}

/// Ports of control connections that need not be named: FTP and implicit FTPS (RFC 4217 mentions the latter's end).
const CONTROL_PORTS: [u16; 2] = [21, 990];

impl SourceArgs {
    /// The captures and what to look for in them.
    ///
    /// # Errors
    /// A glob or list that names no file; a snapshot that is none, or of a host without a capture.
    pub fn replay(&self) -> Result<Replay, FileError> {
        let given = |value: &String, place| capture(Some(place), std::slice::from_ref(value));
        let mut captures = Vec::new();
        captures.extend(self.client.iter().map(|value| given(value, Place::Client)));
        captures.extend(self.between.iter().map(|value| given(value, Place::Between)));
        captures.extend(self.server.iter().map(|value| given(value, Place::Server)));
        captures.extend(self.files.iter().map(|value| capture(None, std::slice::from_ref(value))));
        let captures: Vec<Vec<Capture>> = captures.into_iter().collect::<Result<_, _>>()?;
        let mut captures = captures.concat();
        let states = [
            (&self.client_state, Place::Client, "--client-state", "--client"),
            (&self.between_state, Place::Between, "--between-state", "a single --between"),
            (&self.server_state, Place::Server, "--server-state", "--server"),
        ];
        for (paths, place, option, capture) in states.into_iter().filter(|row| !row.0.is_empty()) {
            let mut there = captures.iter_mut().filter(|capture| capture.place.is_none_or(|given| given == place));
            match (there.next(), there.next()) {
                (Some(only), None) => only.states = read_states(paths)?,
                (_, _) => return Err(FileError::StateAlone { option, capture }),
            }
        }
        Ok(Replay {
            captures,
            control_ports: self.sessions.control_ports(),
            passive_range: self.sessions.passive_range.clone(),
            filter: self.filter.clone(),
            unfiltered: self.unfiltered,
        })
    }
}

impl SessionArgs {
    /// Ports of control connections.
    pub fn control_ports(&self) -> Vec<u16> {
        control_ports(&self.control_port)
    }
}

#[cfg(all(feature = "live", target_os = "linux"))]
impl SnapshotArgs {
    /// Ports of control connections.
    pub fn control_ports(&self) -> Vec<u16> {
        control_ports(&self.control_port)
    }
}

fn control_ports(more: &[u16]) -> Vec<u16> {
    let more = more.iter().filter(|port| !CONTROL_PORTS.contains(port));
    CONTROL_PORTS.iter().chain(more).copied().collect()
}

#[cfg(all(feature = "live", target_os = "linux"))]
impl CaptureArgs {
    fn watch(&self, sessions: &SessionArgs) -> Watch {
        let capture = live::Options {
            interfaces: self.interfaces.clone(),
            promiscuous: self.promiscuous,
            buffer: self.buffer << 20,
            control_ports: sessions.control_ports(),
            filter: self.filter.clone(),
        };
        let passive_range = sessions.passive_range.clone();
        Watch {
            capture,
            passive_range,
            write: self.write.clone(),
            duration: None,
            until_failure: false,
            trace: self.trace,
        }
    }
}

#[cfg(all(feature = "live", target_os = "linux"))]
impl WatchArgs {
    /// What to watch.
    pub fn watch(&self) -> Watch {
        let duration = self.duration.map(Duration::from_secs);
        Watch { duration, until_failure: self.until_failure, ..self.capture.watch(&self.sessions) }
    }
}

#[cfg(all(feature = "live", target_os = "linux"))]
impl RunArgs {
    /// What to watch while the command runs.
    pub fn watch(&self) -> Watch {
        self.capture.watch(&self.sessions)
    }
}

impl When {
    /// Whether to use it on standard output.
    pub fn is_now(self) -> bool {
        match self {
            When::Auto => report::wants_color(&std::io::stdout()),
            When::Always => true,
            When::Never => false,
        }
    }
}

impl ShowArgs {
    /// How to show what is found.
    pub fn report(&self) -> report::Options {
        report::Options {
            format: match self.format {
                Format::Text => report::Format::Text,
                Format::Json => report::Format::Json,
                Format::Jsonl => report::Format::Jsonl,
                Format::Markdown => report::Format::Markdown,
                Format::Csv => report::Format::Csv,
                Format::Ecs => report::Format::Ecs,
            },
            timeline: self.timeline,
            all: self.all,
            language: language(self.lang),
            time: match self.time {
                TimeStyle::Relative => report::TimeStyle::Relative,
                TimeStyle::Utc => report::TimeStyle::Utc,
                TimeStyle::Local => report::TimeStyle::Local,
            },
            color: self.color.is_now(),
            width: report::width(),
            session: self.session,
            host: self.host,
        }
    }
}

/// The language that was asked for, or that of the locale (POSIX.1-2024, XBD 8.2: the first of these variables that is not
/// empty counts).
pub fn language(asked: Option<Lang>) -> Language {
    let locale =
        ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    let is_japanese = locale.is_some_and(|locale| locale.to_string_lossy().starts_with("ja"));
    match asked {
        Some(Lang::En) => Language::English,
        Some(Lang::Ja) => Language::Japanese,
        None if is_japanese => Language::Japanese,
        None => Language::English,
    }
}

fn capture(place: Option<Place>, values: &[String]) -> Result<Vec<Capture>, FileError> {
    Capture::of_files(place, expand(values)?)
}
