//! Sessions for the tests of this floor, written down event by event.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use crate::cite::{At, Time};
use crate::ftp::command::{Command, Verb};
use crate::ftp::host_port::HostPort;
use crate::language::Text;
use crate::line::{Owner, Place, Side, Stretch};
use crate::packet::{Endpoint, Flags, Segment};
use crate::session::join::Session;
use crate::session::place::Placing;
use crate::session::view::{Attempt, CONTROL, EventKind, KnownBy, Mode, Negotiation, Transfer, View};
use crate::tcp::connection::Connection;
use crate::verdict::{
    Confidence, ControlOutcome, Evidence, Finding, Judgement, Lost, Mechanism, Outcome, RULES, Remedy, TapFacts,
    Verdict,
};

/// 2010-07-04 10:15:00 UTC.
pub(super) const NOON: i64 = 1_278_238_500_000_000_000;

pub(super) fn endpoint(text: &str) -> Endpoint {
    let address: SocketAddr = text.parse().unwrap();
    Endpoint { ip: address.ip(), port: address.port() }
}

/// A conversation under way; every event comes a millisecond after the one before.
pub(super) struct Talk {
    pub(super) view: View,
    frame: u32,
}

impl Talk {
    pub(super) fn new() -> Talk {
        let (client, server) = (endpoint("172.16.0.99:49152"), endpoint("172.16.0.10:21"));
        let mut view = View::new(client, server, KnownBy::Port, at(1));
        view.number = 1;
        Talk { view, frame: 0 }
    }

    /// Greeting, login, PORT 172.16.0.99:49160, STOR, 425.
    pub(super) fn active() -> Talk {
        let mut talk = Talk::new();
        talk.view.greeting = Some(talk.reply(220, "220 (vsFTPd 2.2.2)"));
        talk.view.user = Some(talk.command("USER anonymous"));
        talk.reply(230, "230 Login successful.");
        let port = talk.command("PORT 172,16,0,99,192,8");
        let reply = talk.reply(200, "200 PORT command successful. Consider using PASV.");
        let command = talk.command("STOR ./testfile02");
        let failed = talk.reply(425, "425 Failed to establish connection.");
        let ip = endpoint("172.16.0.99:0").ip;
        let offered = Some(HostPort { address: Some(ip), port: 49160, strict: true });
        let negotiation =
            Negotiation { mode: Mode::Port, command: port, reply: Some(reply), code: 200, offered, helper: None };
        talk.view.transfers.push(Transfer {
            negotiation: Some(negotiation),
            command: Some(command),
            reply: Some(failed),
            code: 425,
            ..Transfer::default()
        });
        talk
    }

    fn add(&mut self, attempt: u16, kind: EventKind, toward: Side, text: &[u8]) -> u32 {
        self.frame += 1;
        let verb =
            Command::parse(text).filter(|_| toward == Side::Server).map_or(Verb::Unknown, |command| command.verb);
        self.view.last_at = at(self.frame);
        self.view.record(at(self.frame), attempt, kind, toward, verb, &[text])
    }

    pub(super) fn command(&mut self, text: &str) -> u32 {
        self.add(CONTROL, EventKind::Command, Side::Server, text.as_bytes())
    }

    pub(super) fn command_bytes(&mut self, text: &[u8]) -> u32 {
        self.add(CONTROL, EventKind::Command, Side::Server, text)
    }

    pub(super) fn reply(&mut self, code: u16, text: &str) -> u32 {
        self.add(CONTROL, EventKind::Reply(code), Side::Client, text.as_bytes())
    }

    pub(super) fn part(&mut self, text: &str) -> u32 {
        self.add(CONTROL, EventKind::ReplyPart, Side::Client, text.as_bytes())
    }

    pub(super) fn data(&mut self, kind: EventKind) -> u32 {
        self.add(0, kind, Side::Client, b"")
    }

    /// The server's SYN from port 20, and nothing else.
    pub(super) fn attempt(&mut self) {
        let (from, to) = (endpoint("172.16.0.10:20"), endpoint("172.16.0.99:49160"));
        let mut connection = Connection::new(from, to);
        connection.observe(&segment(from, to, Flags::SYN, self.frame + 1));
        self.view.attempts.push(Attempt { transfer: 0, foreign: false, listens: Side::Client, connection });
        self.data(EventKind::Syn);
    }

    /// The server's SYN, and the client's reset.
    pub(super) fn attempt_reset(&mut self) {
        self.attempt();
        let connection = &mut self.view.attempts[0].connection;
        let (from, to) = (connection.listener, connection.opener);
        connection.observe(&segment(from, to, Flags::RST | Flags::ACK, self.frame + 1));
        self.add(0, EventKind::Reset, Side::Server, b"");
    }

    pub(super) fn session(self) -> Session {
        Session::of_one(self.view, 0, &Placing::Given(Place::Server))
    }
}

fn segment(source: Endpoint, destination: Endpoint, flags: Flags, frame: u32) -> Segment<'static> {
    Segment {
        at: at(frame),
        interface: 0,
        direction: None,
        source,
        destination,
        ttl: 64,
        ip_id: 0,
        seq: 1000,
        ack: 1001,
        flags,
        window: 1024,
        urgent: 0,
        options: b"",
        text: b"",
        text_len: 0,
        checkable: None,
    }
}

pub(super) fn at(frame: u32) -> At {
    At { time: Time(NOON + i64::from(frame) * 1_000_000), frame, file: 0 }
}

pub(super) fn tap(name: &str) -> TapFacts {
    TapFacts { name: name.to_owned(), files: vec![name.to_owned()], packets: 59, ..TapFacts::default() }
}

/// The verdict of a rule with the parts that the words depend on.
pub(super) fn verdict(rule: &str, mechanism: Mechanism, lost: Option<Lost>, stretch: Option<Stretch>) -> Verdict {
    Verdict {
        rule: RULES.iter().find(|row| row.id == rule).unwrap(),
        finding: Finding {
            stretch,
            owner: None,
            device: None,
            mechanism,
            lost,
            confidence: Confidence::Likely,
            evidence: Vec::new(),
            passes_rules: false,
            notes: Vec::new(),
        },
        owner: stretch.map_or(Owner::None, |_| Owner::Unknown),
        netfilter: None,
        narrower: None,
        remedies: Vec::new(),
    }
}

/// O5 with evidence, a note, something to narrow it and a remedy.
pub(super) fn unanswered() -> Verdict {
    use crate::line::Point;
    let stretch = Stretch { from: Point::Client, to: Point::Tap(0) };
    let mut verdict = verdict("O5", Mechanism::SilentDrop, Some(Lost::DataSyn), Some(stretch));
    verdict.owner = Owner::BeyondServer;
    let text = "client: PORT 172,16,0,99,192,8".to_owned();
    verdict.finding.evidence.push(Evidence {
        sight: 0,
        at: Some(at(4)),
        until: None,
        source: None,
        text: Text::verbatim(text),
    });
    let text = "nothing answers the SYN: no SYN-ACK, RST or ICMP error".to_owned();
    verdict.finding.evidence.push(Evidence {
        sight: 0,
        at: Some(at(8)),
        until: Some(Time(NOON + 60_000_000_000)),
        source: None,
        text: Text::verbatim(text),
    });
    verdict.finding.notes.push(Text::verbatim("a note"));
    verdict.narrower = Some(Text::verbatim("capture on the client"));
    verdict.remedies.push(Remedy {
        on: "client",
        text: Text::verbatim("On the client, allow it:"),
        commands: vec![("iptables", "iptables -I INPUT -j ACCEPT".to_owned()), ("nft", "nft add rule".to_owned())],
    });
    verdict
}

pub(super) fn judged(outcome: Outcome, verdict: Option<Verdict>) -> Judgement {
    Judgement { control: (ControlOutcome::Completed, None), transfers: vec![(outcome, verdict)] }
}
