//! What every form of the report tells of a session and of a transfer, drawn from the views.

use std::borrow::Cow;

use crate::cite::{At, Time};
use crate::line::Side;
use crate::packet::Endpoint;
use crate::report::timeline::words_of;
use crate::session::join::{JoinedAttempt, Session};
use crate::session::view::{CONTROL, Event, EventKind, Negotiation, Transfer, View};
use crate::tcp::connection::{Connection, Opening, Role};
use crate::verdict::{Case, Evidence};

/// Programs as they name themselves in greetings; the first that is found is it.
const PROGRAMS: &[(&str, &str)] = &[
    ("vsftpd", "vsFTPd"),
    ("proftpd", "ProFTPD"),
    ("pure-ftpd", "Pure-FTPd"),
    ("pyftpdlib", "pyftpdlib"),
    ("filezilla server", "FileZilla Server"),
    ("microsoft ftp service", "Microsoft FTP Service"),
    ("serv-u", "Serv-U"),
    ("glftpd", "glFTPd"),
    ("wu-ftpd", "wu-ftpd"),
    ("version wu-", "wu-ftpd"),
    ("ncftpd", "NcFTPd"),
    ("bftpd", "bftpd"),
    ("crushftp", "CrushFTP"),
    ("xlight", "Xlight"),
    ("cerberus", "Cerberus"),
    ("wing ftp", "Wing FTP"),
    ("gene6", "Gene6"),
    ("ftpd", "ftpd"),
];

/// The server's program and its version, told by the greeting: `vsFTPd 3.0.3`.
pub(super) fn software(view: &View) -> Option<String> {
    let greeting = reply(view, view.greeting?)?;
    greeting.lines(view).find_map(|line| program(&String::from_utf8_lossy(line)))
}

fn program(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (at, (word, name)) = PROGRAMS.iter().find_map(|row| Some((lower.find(row.0)?, row)))?;
    let behind = &text[at + word.len()..];
    Some(match version(behind) {
        Some(version) => format!("{name} {version}"),
        None => (*name).to_owned(),
    })
}

/// The first word if it is a number with dots, perhaps after `Server` or `Version`.
fn version(text: &str) -> Option<&str> {
    let words = text.split([' ', '/', '(', ')', '-']).filter(|word| !word.is_empty());
    let word = words
        .into_iter()
        .find(|word| !["server", "version", "ftp", "(version"].contains(&word.to_ascii_lowercase().as_str()))?;
    let word = word.trim_end_matches(['.', ',', ':', ']']).trim_start_matches(['v', 'V']);
    (word.starts_with(|char: char| char.is_ascii_digit()) && word.contains('.')).then_some(word)
}

/// The user's name as given.
pub(super) fn user(view: &View) -> Option<&[u8]> {
    Some(argument(view.text_of(view.event(view.user?)?)))
}

/// The verb of a command's text.
pub(super) fn verb(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b' ').next().unwrap_or_default()
}

/// What follows a command's verb; empty if nothing does.
pub(super) fn argument(text: &[u8]) -> &[u8] {
    text.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default()
}

/// A reply of one or several lines.
#[derive(Clone, Copy)]
pub(super) struct Reply {
    /// Its code.
    pub(super) code: u16,
    /// Where its first line is in the log.
    first: usize,
    /// Where its last line is in the log.
    last: usize,
}

/// The reply whose last line is at `index` in the log.
pub(super) fn reply(view: &View, index: u32) -> Option<Reply> {
    let last = index as usize;
    let &Event { kind: EventKind::Reply(code), .. } = view.event(index)? else { return None };
    let parts = view.log[..last].iter().enumerate().rev().filter(|(_, event)| is_spoken(event));
    let first = parts.take_while(|(_, event)| event.kind == EventKind::ReplyPart).last().map_or(last, |(at, _)| at);
    Some(Reply { code, first, last })
}

fn is_spoken(event: &Event) -> bool {
    let kind = matches!(event.kind, EventKind::Reply(_) | EventKind::ReplyPart | EventKind::Stray);
    kind && event.attempt == CONTROL
}

impl Reply {
    /// Its lines without the code.
    pub(super) fn lines(self, view: &View) -> impl Iterator<Item = &[u8]> {
        let events = view.log.get(self.first..=self.last).unwrap_or_default().iter();
        events.filter(|event| is_spoken(event)).map(move |event| without_code(view.text_of(event), self.code))
    }

    /// Its text: all lines, joined by line feeds.
    pub(super) fn text(self, view: &View) -> Cow<'_, [u8]> {
        let mut lines = self.lines(view);
        let first = lines.next().unwrap_or_default();
        if self.first == self.last {
            return Cow::Borrowed(first);
        }
        let mut text = first.to_vec();
        lines.for_each(|line| {
            text.push(b'\n');
            text.extend_from_slice(line);
        });
        Cow::Owned(text)
    }
}

/// A line without `ddd` and what separates it from the text, if it begins with that code.
fn without_code(line: &[u8], code: u16) -> &[u8] {
    match line {
        [a, b, c, rest @ ..] if is_code([*a, *b, *c], code) => match rest {
            [b' ' | b'-', text @ ..] => text,
            _ => rest,
        },
        _ => line,
    }
}

fn is_code(digits: [u8; 3], code: u16) -> bool {
    digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0, |sum, digit| 10 * sum + u16::from(digit - b'0')) == code
}

/// The replies that belong to a transfer, in order: the negotiation's, the preliminary and the final one.
pub(super) fn replies<'a>(view: &'a View, transfer: &Transfer) -> impl Iterator<Item = Reply> + use<'a> {
    let negotiation = transfer.negotiation.as_ref().and_then(|negotiation| negotiation.reply);
    let indexes = [negotiation, transfer.preliminary, transfer.reply];
    indexes.into_iter().flatten().filter_map(|index| reply(view, index))
}

/// The listener that a negotiation offers: where the text gives no address, the control peer's holds.
pub(super) fn endpoint(view: &View, negotiation: &Negotiation) -> Option<Endpoint> {
    let offered = negotiation.offered?;
    let peer = if negotiation.mode.listener() == Side::Server { view.server.ip } else { view.client.ip };
    Some(Endpoint { ip: offered.address.unwrap_or(peer), port: offered.port })
}

/// When evidence was seen, or its absence was certain, on the main tap's clock; none if it has no time.
pub(super) fn moment(session: &Session, evidence: &Evidence) -> Option<Time> {
    let time = evidence.at.map(|at| at.time).or(evidence.until)?;
    Some(session.on_main_clock(evidence.sight, time))
}

/// The transfer command as sent, if the client sent one.
pub(super) fn command<'a>(case: &Case<'a>) -> Option<&'a [u8]> {
    let view = case.view();
    case.transfer()?.command.and_then(|command| view.event(command)).map(|event| view.text_of(event))
}

/// The negotiating command, or what stands for it.
pub(super) fn mode(transfer: &Transfer) -> Option<&'static str> {
    let negotiated = transfer.negotiation.as_ref().map(|negotiation| negotiation.mode.name());
    negotiated.or(transfer.inferred.then_some("inferred"))
}

/// First and latest packet of a transfer, or of the session, on the main tap's clock.
pub(super) fn span(case: &Case<'_>) -> (Time, Time) {
    let view = case.view();
    let spoken = case.transfer().into_iter().flat_map(words_of);
    let spoken = spoken.filter_map(|index| view.event(index)).map(|event| event.at.time);
    let attempts = case.attempts();
    let seen = attempts.iter().flat_map(|joined| case.each_connection(Some(joined))).flat_map(|(sight, connection)| {
        moments(connection).into_iter().map(move |time| case.session.on_main_clock(sight, time))
    });
    let times: Vec<Time> = spoken.chain(seen).collect();
    let first = times.iter().min().copied().unwrap_or(view.began.time);
    (first, times.iter().max().copied().unwrap_or(view.last_at.time))
}

/// When the packets of a connection were seen that open or end it, and the latest of each end.
fn moments(connection: &Connection) -> Vec<Time> {
    let halves = [Role::Opener, Role::Listener].map(|role| connection.half(role));
    let legs = [connection.syn, connection.syn_ack, halves[0].fin, halves[1].fin];
    let latest = halves.iter().filter(|half| half.start.is_some()).map(|half| half.last);
    let others = [connection.established, connection.reset.map(|reset| reset.at)].into_iter().flatten();
    let legs = legs.into_iter().flatten().flat_map(|leg| [leg.first, leg.last]);
    legs.chain(others).map(|at| at.time).chain(latest).collect()
}

/// How the opening of a data connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Established,
    Unanswered,
    Reset,
    IcmpError,
    NotSeen,
}

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClosedBy {
    Fin,
    Rst,
    None,
}

/// The data connection of a transfer over all taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataConnection {
    pub(super) opener: Side,
    pub(super) source: Option<Endpoint>,
    pub(super) destination: Option<Endpoint>,
    pub(super) result: Fate,
    /// The most SYNs that one tap saw.
    pub(super) syns: u16,
    /// The most bytes that one tap saw go to the server.
    pub(super) bytes_to_server: u64,
    /// The most bytes that one tap saw go to the client.
    pub(super) bytes_to_client: u64,
    pub(super) closed_by: ClosedBy,
}

/// The data connection that decides: the last one. If none was seen although one was agreed upon, its absence.
pub(super) fn data_connection(case: &Case<'_>) -> Option<DataConnection> {
    let index = case.transfer?;
    match case.session.attempts_of(index).last() {
        Some(joined) => seen(case, joined),
        None => {
            let negotiation = case.negotiation().filter(|negotiation| negotiation.stands())?;
            let destination = endpoint(case.view(), negotiation)?;
            Some(DataConnection {
                opener: !negotiation.mode.listener(),
                source: None,
                destination: Some(destination),
                result: Fate::NotSeen,
                syns: 0,
                bytes_to_server: 0,
                bytes_to_client: 0,
                closed_by: ClosedBy::None,
            })
        }
    }
}

fn seen(case: &Case<'_>, joined: &JoinedAttempt) -> Option<DataConnection> {
    let sights = 0..case.session.sights.len();
    let mut attempts = sights.filter_map(|sight| case.session.attempt(sight, joined)).peekable();
    let first = attempts.peek()?;
    let (listens, model) = (first.listens, &first.connection);
    let to_server = if listens == Side::Server { Role::Opener } else { Role::Listener };
    let mut found = DataConnection {
        opener: !listens,
        source: Some(model.opener),
        destination: Some(model.listener),
        result: Fate::Unanswered,
        syns: 0,
        bytes_to_server: 0,
        bytes_to_client: 0,
        closed_by: ClosedBy::None,
    };
    let mut ended: Option<At> = None;
    for attempt in attempts {
        let connection = &attempt.connection;
        found.result = stronger(found.result, fate(connection.opening()));
        found.syns = found.syns.max(connection.syn.map_or(0, |syn| syn.count.get()));
        found.bytes_to_server = found.bytes_to_server.max(connection.half(to_server).bytes());
        found.bytes_to_client = found.bytes_to_client.max(connection.half(to_server.other()).bytes());
        if let Some((at, closed_by)) = ending(connection).filter(|_| ended.is_none()) {
            (ended, found.closed_by) = (Some(at), closed_by);
        }
    }
    Some(found)
}

fn fate(opening: Opening) -> Fate {
    match opening {
        Opening::Established => Fate::Established,
        Opening::IcmpError => Fate::IcmpError,
        Opening::Reset => Fate::Reset,
        Opening::HalfOpen | Opening::Unanswered => Fate::Unanswered,
    }
}

/// What one tap saw happened, whatever the others did not see.
fn stronger(one: Fate, other: Fate) -> Fate {
    let rank = |fate: &Fate| match fate {
        Fate::Established => 4,
        Fate::IcmpError => 3,
        Fate::Reset => 2,
        Fate::Unanswered => 1,
        Fate::NotSeen => 0,
    };
    std::cmp::max_by_key(one, other, rank)
}

/// The first FIN or RST.
fn ending(connection: &Connection) -> Option<(At, ClosedBy)> {
    let fins = [Role::Opener, Role::Listener].into_iter().filter_map(|role| connection.half(role).fin);
    let fins = fins.map(|fin| (fin.first, ClosedBy::Fin));
    let reset = connection.reset.map(|reset| (reset.at, ClosedBy::Rst));
    fins.chain(reset).min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{Talk, endpoint as at};

    #[test]
    fn programs_are_known_by_their_greetings() {
        for (greeting, program) in [
            ("220 (vsFTPd 3.0.3)", Some("vsFTPd 3.0.3")),
            ("220 ProFTPD 1.3.5 Server (Debian) [::ffff:10.0.0.1]", Some("ProFTPD 1.3.5")),
            ("220 ProFTPD Server (Debian) [::ffff:10.0.0.1]", Some("ProFTPD")),
            ("220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------", Some("Pure-FTPd")),
            ("220 pyftpdlib 1.5.6 ready.", Some("pyftpdlib 1.5.6")),
            ("220 pyftpdlib based ftpd ready.", Some("pyftpdlib")),
            ("220-FileZilla Server version 0.9.41 beta", Some("FileZilla Server 0.9.41")),
            ("220 Microsoft FTP Service", Some("Microsoft FTP Service")),
            ("220 Serv-U FTP Server v6.4 for WinSock ready...", Some("Serv-U 6.4")),
            ("220 host FTP server (Version wu-2.6.2(1) Mon Dec 3) ready.", Some("wu-ftpd 2.6.2")),
            ("220 Welcome", None),
        ] {
            assert_eq!(super::program(greeting).as_deref(), program, "{greeting}");
        }
    }

    #[test]
    fn the_greeting_may_have_many_lines() {
        let mut talk = Talk::new();
        talk.part("220-Hello");
        talk.part("220-FileZilla Server 1.2.3");
        let greeting = talk.reply(220, "220 Please");
        talk.view.greeting = Some(greeting);
        assert_eq!(software(&talk.view).as_deref(), Some("FileZilla Server 1.2.3"));
    }

    #[test]
    fn the_lines_of_a_reply_are_joined() {
        let mut talk = Talk::new();
        talk.reply(220, "220 Hi");
        talk.part("211-Features:");
        talk.data(EventKind::Syn);
        talk.part(" EPSV");
        talk.part("212 not the end");
        let last = talk.reply(211, "211 End");
        let reply = reply(&talk.view, last).expect("is a reply");
        assert_eq!(&*reply.text(&talk.view), b"Features:\n EPSV\n212 not the end\nEnd");
        assert_eq!(without_code(b"425", 425), b"");
        assert_eq!(without_code(b"425 No", 425), b"No");
        assert_eq!(without_code(b"\xff\xff\xff x", 425), b"\xff\xff\xff x");
    }

    #[test]
    fn commands_fall_into_verb_and_argument() {
        for (text, parts) in [
            (&b"STOR ./a b"[..], (&b"STOR"[..], &b"./a b"[..])),
            (b"LIST", (b"LIST", b"")),
            (b"RETR  x", (b"RETR", b" x")),
        ] {
            assert_eq!((verb(text), argument(text)), parts);
        }
    }

    #[test]
    fn an_agreed_connection_that_nobody_saw_is_told() {
        let talk = Talk::active();
        let session = talk.session();
        let case = Case { session: &session, taps: &[], transfer: Some(0) };
        let found = data_connection(&case).expect("one was agreed upon");
        assert_eq!((found.opener, found.result, found.syns), (Side::Server, Fate::NotSeen, 0));
        assert_eq!(found.destination, Some(at("172.16.0.99:49160")));
    }

    #[test]
    fn the_first_ending_counts() {
        let mut talk = Talk::active();
        talk.attempt_reset();
        let session = talk.session();
        let found = data_connection(&Case { session: &session, taps: &[], transfer: Some(0) }).expect("was seen");
        assert_eq!((found.result, found.closed_by, found.syns), (Fate::Reset, ClosedBy::Rst, 1));
        assert_eq!(found.source, Some(at("172.16.0.10:20")));
    }
}
