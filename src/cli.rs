//! The command line: clap's types. `meaning` tells what they ask for, `help` is what `--help` tells beyond them.
//!
//! An option with `env` can be set in the environment and in the configuration file, too, see [`crate::settings`].

mod help;
mod meaning;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::capture::filter::Filter;
pub use meaning::language;
use meaning::{port, port_range};

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
