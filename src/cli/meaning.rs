//! From what was typed to what it means.

use std::ops::RangeInclusive;
#[cfg(all(feature = "live", target_os = "linux"))]
use std::time::Duration;

#[cfg(all(feature = "live", target_os = "linux"))]
use super::{CaptureArgs, KeeperArgs, RunArgs, SnapshotArgs, WatchArgs};
use super::{Format, Lang, SessionArgs, ShowArgs, SourceArgs, TimeStyle, When};
use crate::capture::file::{FileError, expand, read_states};
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

pub(super) fn port(text: &str) -> Result<u16, String> {
    let port = text.trim().parse().ok().filter(|&port| port > 0);
    port.ok_or_else(|| format!("'{text}' is no port; write a number from 1 to 65535"))
}

pub(super) fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
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

#[cfg(all(feature = "live", target_os = "linux"))]
impl KeeperArgs {
    /// Whose packets to trace.
    pub fn traced(self) -> Traced {
        Traced { control_ports: self.control_port, passive_range: self.passive_range }
    }
}
