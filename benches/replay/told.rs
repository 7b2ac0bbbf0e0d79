//! What ftpwhy and the generator tell of a session, each brought to one line in the same words so that they compare.

use std::borrow::Cow;
use std::fmt::{Display, Formatter, Result};
use std::net::IpAddr;

use serde::Deserialize;

/// What ftpwhy says of a session, as far as the generator says it, too.
#[derive(Deserialize)]
pub(crate) struct Session<'a> {
    pub(crate) client: Endpoint,
    #[serde(borrow)]
    pub(crate) transfers: Vec<Transfer<'a>>,
    #[serde(borrow)]
    timeline: Vec<Moment<'a>>,
}

/// An address and a port.
#[derive(Deserialize)]
pub(crate) struct Endpoint {
    ip: IpAddr,
    port: u16,
}

/// A transfer, or an attempt at one.
#[derive(Deserialize)]
pub(crate) struct Transfer<'a> {
    #[serde(borrow)]
    command: Option<Cow<'a, str>>,
    mode: Option<&'a str>,
    endpoint: Option<Endpoint>,
    data_connection: Option<DataConnection<'a>>,
    pub(crate) outcome: &'a str,
}

#[derive(Deserialize)]
struct DataConnection<'a> {
    result: &'a str,
    bytes_to_server: u64,
    bytes_to_client: u64,
}

#[derive(Deserialize)]
struct Moment<'a> {
    event: &'a str,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Session<'_> {
    /// The server said 530, "Not logged in" (RFC 959 section 4.2.2); the generator's servers say so to a password only.
    pub(crate) fn login_failed(&self) -> bool {
        self.timeline.iter().any(|moment| moment.event == "reply" && moment.text.starts_with("530 "))
    }
}

impl Transfer<'_> {
    /// The command, or nothing if the client gave up before it.
    pub(crate) fn command(&self) -> &str {
        self.command.as_deref().unwrap_or_default()
    }

    /// How the data connection was negotiated.
    pub(crate) fn mode(&self) -> &str {
        self.mode.unwrap_or("unknown")
    }

    /// Bytes moved in both directions.
    pub(crate) fn bytes(&self) -> u64 {
        self.data_connection.as_ref().map_or(0, |data| data.bytes_to_server + data.bytes_to_client)
    }

    /// What became of the data connection; failures in the generator's words.
    pub(crate) fn result(&self) -> &str {
        match self.data_connection.as_ref().map_or("not-seen", |data| data.result) {
            "unanswered" => "syn_timeout",
            "reset" => "rst",
            "icmp-error" => "icmp",
            other => other,
        }
    }
}

impl Display for Session<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        summary(f, self.login_failed(), &self.transfers)
    }
}

impl Display for Transfer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {} ", self.mode(), self.command())?;
        self.endpoint.as_ref().map_or(Ok(()), |endpoint| endpoint.fmt(f))?;
        match self.outcome {
            "completed" => write!(f, ": {} bytes", self.bytes()),
            "failed" => write!(f, ": {}", self.result()),
            other => write!(f, ": {other}"),
        }
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {}", self.ip, self.port)
    }
}

/// What the generator says of a session.
#[derive(Deserialize)]
pub(crate) struct Detail<'a> {
    client: IpAddr,
    cport: u16,
    login_failed: bool,
    #[serde(borrow)]
    transfers: Vec<DetailTransfer<'a>>,
}

/// A transfer that it made, or made fail.
#[derive(Deserialize)]
struct DetailTransfer<'a> {
    mode: &'a str,
    cmd: &'a str,
    data: &'a str,
    bytes: Option<u64>,
    fail: Option<&'a str>,
}

impl Detail<'_> {
    /// The client's end of the control connection; no two sessions share it.
    pub(crate) fn client(&self) -> Endpoint {
        Endpoint { ip: self.client, port: self.cport }
    }
}

impl Display for Detail<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        summary(f, self.login_failed, &self.transfers)
    }
}

impl Display for DetailTransfer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {} {}: ", self.mode, self.cmd, self.data)?;
        match (self.bytes, self.fail) {
            (Some(bytes), _) => write!(f, "{bytes} bytes"),
            (None, failure) => f.write_str(failure.unwrap_or_default()),
        }
    }
}

fn summary(f: &mut Formatter<'_>, login_failed: bool, transfers: &[impl Display]) -> Result {
    f.write_str(if login_failed { "login failed" } else { "login accepted" })?;
    transfers.iter().try_for_each(|transfer| write!(f, "; {transfer}"))
}
