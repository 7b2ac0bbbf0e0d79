//! The conversation on a control connection: from text in order to commands, replies and transfers.
//!
//! Read RFC 959 section 5.4 (which reply answers which command) first. Commands wait in a queue; a reply answers the
//! oldest one that it fits, since real clients pipeline and real servers answer ABOR, STAT and NOOP out of turn.

use crate::cite::At;
use crate::ftp::Party;
use crate::ftp::command::{Command, Verb};
use crate::ftp::helper::{self, LineEnds, Ruling};
use crate::ftp::host_port::{self, HostPort};
use crate::ftp::line::{Line, Lines};
use crate::ftp::reply::{Part, Replies};
use crate::line::Side;
use crate::packet::{Endpoint, Segment};
use crate::session::transfers;
use crate::session::view::{CONTROL, EventKind, HelperDrop, MAX_HELPER_DROPS, Mode, View};
use crate::tcp::connection::Role;
use crate::tcp::stream::{Piece, Stream};

/// What the tracker has to do after some control text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A data connection to `listener` may come, for this transfer.
    Expect { transfer: u16, listener: Endpoint },
    /// The control connection cannot be read from here on.
    Encrypted,
    /// The client's first command.
    FirstCommand(Verb),
}

/// How much of the conversation can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Secrecy {
    #[default]
    Clear,
    /// 234: the next bytes are TLS.
    Agreed,
    Encrypted,
}

/// What is to be remembered of a conversation that goes on.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    ways: [Way; 2],
    talk: Talk,
}

/// What was said so far, by both.
#[derive(Debug, Default)]
struct Talk {
    replies: Replies,
    /// The latest line of a reply that is not complete (index into the log).
    last_part: u32,
    /// Commands without a final reply (indexes into the log).
    outstanding: Vec<u32>,
    secrecy: Secrecy,
    /// A reply was missed: the next command leaves the older ones behind.
    out_of_step: bool,
    /// 230 was seen: a line that is no command is no password.
    logged_in: bool,
    any_command: bool,
    /// A negative reply that answers nothing seen so far (index into the log).
    early: Option<u32>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    stream: Stream,
    lines: Lines,
    /// What a Linux helper made of the segments of the line that is under way.
    helper: Option<Ruling>,
    line_ends: LineEnds,
}

impl Way {
    /// What a Linux helper on the path would make of this segment. Of a segment that was captured in part, or before a line
    /// end of a session that the capture enters in the middle, nobody can say.
    fn ask_helper(&mut self, party: Party, segment: &Segment<'_>, view: &View) -> Ruling {
        let role = if party == Party::Client { Role::Opener } else { Role::Listener };
        let unknown = !view.control.half(role).from_syn && self.line_ends == LineEnds::default();
        let whole = segment.text.len() == segment.text_len as usize;
        let in_step = self.line_ends.in_step(segment.seq);
        let ruling = match whole && !unknown {
            true => helper::ruling(party, segment.text, in_step, (view.client.ip, view.server.ip)),
            false => Ruling::Ignored,
        };
        if !matches!(ruling, Ruling::Dropped(_)) {
            self.line_ends.passed(segment.seq, segment.text);
        }
        ruling
    }
}

impl Dialogue {
    /// The SYN of one end was seen: `seq` is its first byte.
    pub(super) fn start(&mut self, toward: Side, seq: u32) {
        self.ways[toward as usize].stream.start(seq);
    }

    /// Takes the text of one control segment on its way `toward`.
    pub(super) fn text(&mut self, view: &mut View, toward: Side, segment: &Segment<'_>, effects: &mut Vec<Effect>) {
        if self.talk.secrecy == Secrecy::Encrypted && !self.reads_again(view, toward, segment) {
            return;
        }
        let party = if toward == Side::Server { Party::Client } else { Party::Server };
        let way = &mut self.ways[toward as usize];
        let ruling = way.ask_helper(party, segment, view);
        if let Ruling::Dropped(reason) = ruling
            && view.helper_drops.len() < MAX_HELPER_DROPS
        {
            view.helper_drops.push(HelperDrop { at: segment.at, toward, reason });
        }
        if ruling != Ruling::Ignored {
            way.helper = Some(ruling);
        }
        let cut = segment.text_len - segment.text.len() as u32;
        let Way { stream, lines, helper, .. } = way;
        let mut hearing = Hearing { talk: &mut self.talk, view, toward, helper, effects };
        stream.push(segment.at, segment.seq, segment.text, cut, |piece| hearing.piece(lines, piece));
    }

    /// The receiver has everything below `ack`.
    #[inline]
    pub(super) fn acknowledged(&mut self, view: &mut View, toward: Side, ack: u32, effects: &mut Vec<Effect>) {
        let Way { stream, lines, helper, .. } = &mut self.ways[toward as usize];
        if stream.is_in_order() || self.talk.secrecy == Secrecy::Encrypted {
            return;
        }
        let mut hearing = Hearing { talk: &mut self.talk, view, toward, helper, effects };
        stream.acknowledged(ack, |piece| hearing.piece(lines, piece));
    }

    /// Nothing more comes: what waits behind a hole, a hole at the end, and lines without an end.
    pub(super) fn finish(&mut self, view: &mut View, effects: &mut Vec<Effect>) {
        if self.talk.secrecy == Secrecy::Encrypted {
            return;
        }
        for toward in [Side::Server, Side::Client] {
            let Way { stream, lines, helper, .. } = &mut self.ways[toward as usize];
            let role = if toward == Side::Server { Role::Opener } else { Role::Listener };
            let answers_unseen = view.control.reset_from(role).is_some_and(|reset| reset.acks_unseen);
            let lacks_end = answers_unseen || view.control.half(role).lacks_end();
            let mut hearing = Hearing { talk: &mut self.talk, view, toward, helper, effects };
            stream.finish(|piece| hearing.piece(lines, piece));
            if lacks_end {
                hearing.gap(lines);
            }
            lines.flush(|line| hearing.line(&line));
        }
    }

    /// After CCC (RFC 4217 section 6) lines appear again where records were.
    fn reads_again(&mut self, view: &mut View, toward: Side, segment: &Segment<'_>) -> bool {
        let text = segment.text;
        let printable = text.ends_with(b"\r\n") && text.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' '..=b'~'));
        if printable && begins_line(toward, text) {
            self.talk.secrecy = Secrecy::Clear;
            self.ways = Default::default();
            self.talk.outstanding.clear();
            view.record(segment.at, CONTROL, EventKind::Clear, toward, Verb::Unknown, &[]);
        }
        self.talk.secrecy == Secrecy::Clear
    }
}

/// The conversation while one way of it is heard.
struct Hearing<'a> {
    talk: &'a mut Talk,
    view: &'a mut View,
    toward: Side,
    /// See [`Way::helper`].
    helper: &'a mut Option<Ruling>,
    effects: &'a mut Vec<Effect>,
}

impl Hearing<'_> {
    #[inline]
    fn piece(&mut self, lines: &mut Lines, piece: Piece<'_>) {
        match piece {
            Piece::Gap => self.gap(lines),
            Piece::Text { at, bytes, starts_segment, .. } => {
                if lines.is_broken() && starts_segment && begins_line(self.toward, bytes) {
                    lines.resume();
                }
                self.text(lines, at, bytes);
            }
        }
    }

    fn text(&mut self, lines: &mut Lines, at: At, bytes: &[u8]) {
        if self.talk.secrecy != Secrecy::Encrypted && self.is_tls(lines, bytes) {
            self.encrypted(at);
        }
        if self.talk.secrecy != Secrecy::Encrypted {
            lines.push(at, bytes, |line| self.line(&line));
        }
    }

    /// Bytes are missing. What a short snap length leaves of a line tells its verb or code.
    fn gap(&mut self, lines: &mut Lines) {
        self.view.gaps += 1;
        if begins_line(self.toward, lines.pending()) {
            lines.cut(|line| self.line(&line));
        } else {
            self.talk.out_of_step = true;
        }
        lines.gap();
        self.view.record(self.view.last_at, CONTROL, EventKind::Gap, self.toward, Verb::Unknown, &[]);
    }

    /// A TLS record where a line should begin (RFC 8446 5.1: content types 20 to 23, version 3), or anything that is no
    /// text once TLS was agreed.
    fn is_tls(&self, lines: &Lines, bytes: &[u8]) -> bool {
        let record = matches!(bytes, [0x14..=0x17, 3, ..]);
        let agreed = self.talk.secrecy == Secrecy::Agreed && bytes.first().is_some_and(|byte| !byte.is_ascii_graphic());
        (record || agreed) && lines.pending().is_empty()
    }

    fn encrypted(&mut self, at: At) {
        self.talk.secrecy = Secrecy::Encrypted;
        self.view.encrypted.get_or_insert(at);
        self.view.record(at, CONTROL, EventKind::Encrypted, self.toward, Verb::Unknown, &[]);
        self.effects.push(Effect::Encrypted);
    }

    fn line(&mut self, line: &Line<'_>) {
        match self.toward {
            Side::Server => self.command(line),
            Side::Client => self.reply_line(line),
        }
        *self.helper = None;
    }

    fn command(&mut self, line: &Line<'_>) {
        let Some(command) = Command::parse(line.bytes) else { return };
        if let Some(code) = self.talk.replies.rescue() {
            self.rescued(code.0);
        }
        let index = self.record_command(line.last, &command);
        if std::mem::take(&mut self.talk.out_of_step) {
            self.talk.outstanding.clear();
        }
        self.talk.outstanding.push(index);
        let early = self.talk.early.take();
        if !std::mem::replace(&mut self.talk.any_command, true) {
            self.effects.push(Effect::FirstCommand(command.verb));
        }
        match command.verb {
            Verb::User => self.view.user = Some(index),
            Verb::Abor => transfers::abort(self.view, index),
            Verb::Enc | Verb::Mic | Verb::Conf => self.gssapi(line.last),
            verb if verb.is_transfer() => {
                transfers::begin_transfer(self.view, index);
                self.answered_before(early, index);
            }
            verb => {
                if let Some(mode) = mode_of(verb).filter(|_| !command.argument.eq_ignore_ascii_case(b"ALL")) {
                    self.negotiate(mode, index, if line.truncated { b"" } else { &command.argument });
                }
            }
        }
    }

    fn negotiate(&mut self, mode: Mode, index: u32, argument: &[u8]) {
        if transfers::answers_before(self.view, index) {
            self.talk.outstanding.pop();
            return;
        }
        let offered = offered_by_command(mode, argument);
        transfers::begin_negotiation(self.view, mode, index, offered, *self.helper);
        expect(self.view, self.effects);
    }

    /// A refusal that was captured right before its command, as captures out of order by a packet show it.
    fn answered_before(&mut self, early: Option<u32>, command: u32) {
        if let Some(early) = early.filter(|&early| self.view.is_close(early, command))
            && let Some(EventKind::Reply(code)) = self.view.event(early).map(|event| event.kind)
        {
            self.talk.outstanding.pop();
            transfers::transferred(self.view, Some(command), early, code);
        }
    }

    /// Protected commands (RFC 2228 section 5) hide what they carry.
    fn gssapi(&mut self, at: At) {
        if self.view.encrypted.is_none() {
            self.view.encrypted = Some(at);
            self.effects.push(Effect::Encrypted);
        }
    }

    fn record_command(&mut self, at: At, command: &Command<'_>) -> u32 {
        let hidden: &[u8] = b"(hidden)";
        let (word, argument) = match command.verb {
            Verb::Unknown if !self.talk.logged_in || !command.is_word() => (hidden, &[][..]),
            Verb::Unknown if !command.argument.is_empty() => (&*command.word, hidden),
            _ if command.is_secret() && !command.argument.is_empty() => (&*command.word, hidden),
            _ => (&*command.word, &*command.argument),
        };
        let space: &[u8] = if argument.is_empty() { b"" } else { b" " };
        let texts = [word, space, argument];
        self.view.record(at, CONTROL, EventKind::Command, Side::Server, command.verb, &texts)
    }

    fn reply_line(&mut self, line: &Line<'_>) {
        let reply = self.talk.replies.line(line.bytes);
        let kind = match (reply.part, reply.code) {
            (Part::Single | Part::Last, Some(code)) => EventKind::Reply(code.0),
            (Part::Stray, _) => EventKind::Stray,
            _ => EventKind::ReplyPart,
        };
        let text = if kind == EventKind::Stray && is_secret(line.bytes) { &b"(hidden)"[..] } else { line.bytes };
        let index = self.view.record(line.last, CONTROL, kind, Side::Client, Verb::Unknown, &[text]);
        self.talk.last_part = index;
        if let EventKind::Reply(code) = kind {
            self.reply(code, index, if line.truncated { b"" } else { line.bytes }, *self.helper);
        }
    }

    /// The client went on: what looked like a middle line was the end of its reply.
    fn rescued(&mut self, code: u16) {
        let index = self.talk.last_part;
        let Some(event) = self.view.log.get_mut(index as usize) else { return };
        event.kind = EventKind::Reply(code);
        let text = self.view.text_of(&self.view.log[index as usize]).to_vec();
        self.reply(code, index, &text, None);
    }

    fn reply(&mut self, code: u16, index: u32, text: &[u8], helper: Option<Ruling>) {
        let from_the_start = self.view.control.half(Role::Listener).from_syn || matches!(code, 120 | 220);
        if self.view.greeting.is_none() && !self.talk.any_command && from_the_start {
            self.view.greeting = Some(index);
            return;
        }
        self.talk.logged_in |= code == 230;
        let answered = self.talk.answered(self.view, code);
        if code < 200 {
            return transfers::preliminary(self.view, answered.map(|place| self.talk.outstanding[place]), index);
        }
        let command = answered.map(|place| self.talk.take(self.view, place));
        let verb = command.and_then(|command| self.view.event(command)).map(|event| event.verb);
        if verb == Some(Verb::Auth) && code == 234 {
            self.talk.secrecy = Secrecy::Agreed;
        }
        match (verb, offered_by_reply(code, text)) {
            (Some(verb), offered) if verb.is_negotiation() => {
                transfers::negotiated(self.view, command, index, code, offered, helper);
                expect(self.view, self.effects);
            }
            (None, Some(offered)) => {
                let mode = match code {
                    227 => Mode::Pasv,
                    229 => Mode::Epsv,
                    _ => Mode::Lpsv,
                };
                transfers::begin_negotiation(self.view, mode, index, None, None);
                transfers::negotiated(self.view, Some(index), index, code, Some(offered), helper);
                expect(self.view, self.effects);
            }
            (Some(verb), _) if verb.is_transfer() => transfers::transferred(self.view, command, index, code),
            (None, None) => {
                self.talk.early = (code >= 400).then_some(index);
                transfers::unasked(self.view, index, code);
            }
            _ => {}
        }
    }
}

/// Text that certainly begins a line: a known verb, or the code of a reply.
fn begins_line(toward: Side, text: &[u8]) -> bool {
    let line = text.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    match toward {
        Side::Server => Command::parse(line).is_some_and(|command| command.verb != Verb::Unknown),
        Side::Client => matches!(line, [b'1'..=b'6', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..]),
    }
}

impl Talk {
    /// Takes a command that was answered out of the queue. Replies keep the order of their commands, so older ones were
    /// answered unseen; only a transfer under way may wait longer.
    fn take(&mut self, view: &View, place: usize) -> u32 {
        let command = self.outstanding[place];
        let mut older = place;
        self.outstanding.retain(|&other| {
            let keep = other != command && (older == 0 || transfers::is_under_way(view, other));
            older = older.saturating_sub(1);
            keep
        });
        command
    }

    /// Which of the outstanding commands a reply answers: the oldest that it fits, or the latest if words were missed, since
    /// clients hardly ever go on before they are answered. ABOR, STAT and NOOP may be answered while a transfer is under way.
    fn answered(&self, view: &View, code: u16) -> Option<usize> {
        let verb = |place: &usize| view.event(self.outstanding[*place]).map_or(Verb::Unknown, |event| event.verb);
        let under_way = self.outstanding.first().is_some_and(|&first| transfers::is_under_way(view, first));
        let mut places = 0..self.outstanding.len();
        match code {
            125 | 150 => places.find(|place| verb(place).is_transfer()),
            226 => places.find(|place| verb(place).is_transfer() || verb(place) == Verb::Abor),
            425 | 426 => places.find(|place| {
                let verb = verb(place);
                verb.is_transfer() || verb.is_negotiation() || verb == Verb::Abor
            }),
            221 => places.find(|place| verb(place) == Verb::Quit),
            225 => places.clone().find(|place| verb(place) == Verb::Abor).or(places.next()),
            227..=229 => places.find(|place| verb(place).is_negotiation()),
            200 | 211..=215 if under_way => places.nth(1),
            _ if self.out_of_step => places.next_back(),
            _ => places.next(),
        }
    }
}

/// A command with a secret that goes the wrong way: the capture enters a session whose ends it takes for one another.
fn is_secret(line: &[u8]) -> bool {
    Command::parse(line).is_some_and(|command| command.is_secret())
}

fn mode_of(verb: Verb) -> Option<Mode> {
    Some(match verb {
        Verb::Port => Mode::Port,
        Verb::Pasv => Mode::Pasv,
        Verb::Eprt => Mode::Eprt,
        Verb::Epsv => Mode::Epsv,
        Verb::Lprt => Mode::Lprt,
        Verb::Lpsv => Mode::Lpsv,
        _ => return None,
    })
}

fn offered_by_command(mode: Mode, argument: &[u8]) -> Option<HostPort> {
    match mode {
        Mode::Port => host_port::port(argument),
        Mode::Eprt => host_port::eprt(argument),
        Mode::Lprt => host_port::lprt(argument),
        Mode::Pasv | Mode::Epsv | Mode::Lpsv => None,
    }
}

/// The code decides, not the command: some servers answer PASV with 229 and EPSV with 227.
fn offered_by_reply(code: u16, line: &[u8]) -> Option<HostPort> {
    let text = line.get(3..)?;
    match code {
        227 => host_port::pasv_reply(text),
        228 => host_port::lpsv_reply(text),
        229 => host_port::epsv_reply(text),
        _ => None,
    }
}

/// Asks for the data connection of the newest negotiation: at the announced address, and at the control peer's, which
/// many clients use instead.
fn expect(view: &View, effects: &mut Vec<Effect>) {
    let Some(transfer) = view.transfers.len().checked_sub(1) else { return };
    let Some(negotiation) = &view.transfers[transfer].negotiation else { return };
    let Some(offered) = negotiation.offered.filter(|_| negotiation.stands()) else { return };
    let peer = if negotiation.mode.listener() == Side::Server { view.server.ip } else { view.client.ip };
    let transfer = transfer as u16;
    let announced = offered.address.unwrap_or(peer);
    effects.push(Effect::Expect { transfer, listener: Endpoint { ip: announced, port: offered.port } });
    if announced != peer {
        effects.push(Effect::Expect { transfer, listener: Endpoint { ip: peer, port: offered.port } });
    }
}
