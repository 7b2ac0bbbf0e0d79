//! What is secret in the words of control connections, by sequence numbers.
//!
//! Words are put in order as the tracker does it, so that a password is found however it was cut into segments, and in every
//! copy of it. Of what the client sends, all is secret that cannot be read as a line: what stands between a hole and the next
//! line, what was never put in order, and words that are no command.

use std::collections::HashMap;
use std::ops::Range;

use crate::annotate::packets::Picker;
use crate::ftp::command::{Command, Verb};
use crate::ftp::line::MAX_LINE;
use crate::line::Side;
use crate::packet::{Endpoint, Segment};
use crate::tcp::stream::{Piece, Stream};

/// The secrets of one capture.
pub(super) struct Secrets {
    /// By sender and receiver: one way of every connection between these ends.
    ways: HashMap<(Endpoint, Endpoint), Vec<Way>>,
}

impl Secrets {
    /// Reads a capture to its end.
    pub(super) fn of(mut picker: Picker<'_>) -> Secrets {
        let mut secrets = Secrets { ways: HashMap::new() };
        for (client, server) in picker.clients() {
            secrets.ways.insert((client, server), vec![Way::new(Side::Server, None)]);
            secrets.ways.insert((server, client), vec![Way::new(Side::Client, None)]);
        }
        let mut look = |segment: &Segment<'_>| secrets.observe(segment);
        while picker.step(|picked| picked.words.iter().for_each(&mut look)) {}
        secrets.ways.values_mut().flatten().for_each(Way::finish);
        secrets
    }

    fn observe(&mut self, segment: &Segment<'_>) {
        let Segment { source, destination, .. } = *segment;
        if segment.flags.ack()
            && let Some(way) = self.ways.get_mut(&(destination, source)).and_then(|ways| ways.last_mut())
        {
            way.stream.acknowledged(segment.ack, |piece| way.words.piece(piece));
        }
        let Some(ways) = self.ways.get_mut(&(source, destination)) else { return };
        let start = segment.seq.wrapping_add(1);
        if segment.flags.syn()
            && let Some(way) = ways.last().filter(|way| way.words.start != Some(start))
        {
            let next = Way::new(way.words.toward, Some(start));
            ways.push(next);
        }
        let Some(Way { stream, words }) = ways.last_mut() else { return };
        let cut = segment.text_len - segment.text.len() as u32;
        stream.push(segment.at, segment.seq, segment.text, cut, |piece| words.piece(piece));
    }

    /// Which bytes of the text of a segment are secret.
    pub(super) fn hidden_in(&self, segment: &Segment<'_>) -> Vec<Range<usize>> {
        let Some(ways) = self.ways.get(&(segment.source, segment.destination)) else { return Vec::new() };
        let is_hidden = |at: &usize| {
            let seq = segment.seq.wrapping_add(*at as u32);
            let is_read = ways.iter().any(|way| way.words.is_read(seq));
            !is_read || ways.iter().any(|way| way.words.hides(seq))
        };
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for at in (0..segment.text.len()).filter(is_hidden) {
            match hidden.last_mut().filter(|last| last.end == at) {
                Some(last) => last.end = at + 1,
                None => hidden.push(at..at + 1),
            }
        }
        hidden
    }
}

/// One direction of a connection.
struct Way {
    stream: Stream,
    words: Words,
}

impl Way {
    /// A way that begins at `start`, or wherever it is met.
    fn new(toward: Side, start: Option<u32>) -> Way {
        let mut stream = Stream::new();
        if let Some(start) = start {
            stream.start(start);
        }
        Way { stream, words: Words::new(toward, start) }
    }

    fn finish(&mut self) {
        let Way { stream, words } = self;
        stream.finish(|piece| words.piece(piece));
        words.end_line();
    }
}

/// The words of one direction in order, and what of them is secret.
struct Words {
    toward: Side,
    /// Sequence number of the first byte.
    start: Option<u32>,
    /// Bytes so far, holes included.
    length: u32,
    /// What is secret, in offsets from the first byte, in order.
    secret: Vec<Range<u32>>,
    /// The line under way, up to [`MAX_LINE`] bytes.
    line: Vec<u8>,
    /// Where it begins.
    line_start: u32,
    last_byte: u8,
    /// It is not known where the line began.
    is_broken: bool,
    is_tls: bool,
}

impl Words {
    fn new(toward: Side, start: Option<u32>) -> Words {
        Words {
            toward,
            start,
            length: 0,
            secret: Vec::new(),
            line: Vec::new(),
            line_start: 0,
            last_byte: 0,
            is_broken: start.is_none(),
            is_tls: false,
        }
    }

    /// Whether it was found out what the byte with this sequence number is. Replies have no secrets where none was found.
    fn is_read(&self, seq: u32) -> bool {
        let is_met = self.start.is_some_and(|start| seq.wrapping_sub(start) < self.length);
        is_met || self.toward == Side::Client
    }

    fn hides(&self, seq: u32) -> bool {
        let Some(offset) = self.start.map(|start| seq.wrapping_sub(start)) else { return false };
        let behind = self.secret.partition_point(|range| range.start <= offset);
        behind > 0 && self.secret[behind - 1].contains(&offset)
    }

    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Gap => {
                self.end_line();
                self.is_broken = true;
            }
            Piece::Text { seq, bytes, starts_segment, .. } => {
                let offset = seq.wrapping_sub(*self.start.get_or_insert(seq));
                if offset > self.length && self.toward == Side::Server {
                    self.secret.push(self.length..offset);
                }
                if self.is_broken && starts_segment && (begins_line(bytes) || is_tls(bytes)) {
                    self.is_broken = false;
                }
                self.text(offset, bytes);
                self.length = offset.wrapping_add(bytes.len() as u32);
            }
        }
    }

    fn text(&mut self, offset: u32, bytes: &[u8]) {
        if self.is_tls && !is_line_again(bytes) {
            return;
        }
        self.is_tls = self.line.is_empty() && !self.is_broken && is_tls(bytes);
        if self.is_tls {
            return;
        }
        for (offset, &byte) in (offset..).zip(bytes) {
            if self.line.is_empty() {
                self.line_start = offset;
            }
            if self.line.len() < MAX_LINE {
                self.line.push(byte);
            }
            self.length = offset.wrapping_add(1);
            if byte == b'\n' || (byte == 0 && self.last_byte == b'\r') {
                self.end_line();
            }
            self.last_byte = byte;
        }
    }

    /// Says what is secret of the line under way, and begins the next.
    fn end_line(&mut self) {
        let line = self.line.trim_ascii_end();
        let secret = match (self.is_broken, self.toward) {
            (true, Side::Server) => is_text(line).then_some(0),
            (true, Side::Client) | (false, _) => secret_part(line, self.toward),
        };
        if let Some(from) = secret.filter(|_| !line.is_empty()) {
            self.secret.push(self.line_start + from as u32..self.length);
        }
        self.line.clear();
        self.is_broken = false;
    }
}

/// Where the secret part of a line begins that goes on to its end, if there is one.
fn secret_part(line: &[u8], toward: Side) -> Option<usize> {
    let command = Command::parse(line)?;
    match (command.verb, toward) {
        _ if command.is_secret() => argument(line),
        (Verb::Unknown, Side::Server) if command.is_word() => argument(line),
        (Verb::Unknown, Side::Server) => Some(0),
        (_, _) => None,
    }
}

/// Where the argument begins, whatever Telnet commands stand before the verb.
fn argument(line: &[u8]) -> Option<usize> {
    let verb = line.iter().position(u8::is_ascii_alphabetic)?;
    let blank = line[verb..].iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    Some(verb + blank + 1)
}

/// A command that is known, or the code of a reply.
fn begins_line(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let is_reply = matches!(line, [b'1'..=b'6', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..]);
    is_reply || Command::parse(line).is_some_and(|command| command.verb != Verb::Unknown)
}

/// No records of TLS, whose beginning was not captured.
fn is_text(line: &[u8]) -> bool {
    !line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// A TLS record (RFC 8446 section 5.1).
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17, 3, ..])
}

/// After CCC (RFC 4217 section 6) lines appear again where records were.
fn is_line_again(bytes: &[u8]) -> bool {
    let is_printable = |byte: &u8| matches!(byte, b'\r' | b'\n' | b' '..=b'~');
    bytes.ends_with(b"\r\n") && bytes.iter().all(is_printable) && begins_line(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cite::At;

    /// The words of a client in these pieces, what is secret of them overwritten; none is a hole of five bytes.
    fn shown(start: Option<u32>, pieces: &[Option<&[u8]>]) -> String {
        let (mut words, mut text) = (Words::new(Side::Server, start), Vec::new());
        let first = start.unwrap_or(7);
        for piece in pieces {
            match piece {
                None => {
                    words.piece(Piece::Gap);
                    text.extend(b".....");
                }
                Some(bytes) => {
                    let seq = first + text.len() as u32;
                    words.piece(Piece::Text { at: At::default(), seq, bytes, starts_segment: true });
                    text.extend_from_slice(bytes);
                }
            }
        }
        words.end_line();
        let hide = |(at, byte): (u32, &u8)| {
            let hidden = !byte.is_ascii_control() && (words.hides(first + at) || !words.is_read(first + at));
            if hidden { '*' } else { char::from(*byte) }
        };
        (0..).zip(&text).map(hide).collect()
    }

    fn whole(pieces: &[&[u8]]) -> String {
        shown(Some(7), &pieces.iter().map(|piece| Some(*piece)).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_of_secret_commands_are_hidden_and_no_others() {
        assert_eq!(whole(&[b"USER u\r\nPASS a b\r\nLIST x\r\n"]), "USER u\r\nPASS ***\r\nLIST x\r\n");
        assert_eq!(whole(&[b"pas", b"s\ts", b"x\nPWD\nacct 1"]), "pass\t**\nPWD\nacct *");
        assert_eq!(whole(&[b"SITE PSWD a b\r\nSITE CHMOD 644 f\r\n"]), "SITE ********\r\nSITE CHMOD 644 f\r\n");
        assert_eq!(whole(&[b"PASS\r\nPASS \r\n"]), "PASS\r\nPASS \r\n", "nothing to hide");
    }

    #[test]
    fn what_is_no_command_is_hidden() {
        assert_eq!(whole(&[b"hunter2\r\nCLNT me\r\n\r\n"]), "*******\r\nCLNT **\r\n\r\n");
    }

    #[test]
    fn behind_a_hole_all_is_hidden_up_to_the_next_line() {
        let pieces = [Some(&b"PA"[..]), None, Some(b"ter2\r\nPWD\r\n"), None, Some(b"LIST\r\n")];
        assert_eq!(shown(Some(7), &pieces), "***********\r\nPWD\r\n*****LIST\r\n");
        assert_eq!(shown(None, &[Some(b"ter2\r\nPWD\r\n")]), "****\r\nPWD\r\n");
        assert_eq!(shown(None, &[Some(b"PASS hunter2\r\n")]), "PASS *******\r\n");
    }

    #[test]
    fn records_of_tls_stay() {
        let record: &[u8] = b"\x16\x03\x01hello pass x\n";
        let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
        assert_eq!(whole(&[b"AUTH TLS\r\n", record]), format!("AUTH TLS\r\n{}", text(record)));
        assert_eq!(whole(&[record, b"PASS x\r\n"]), format!("{}PASS *\r\n", text(record)), "after CCC");
        assert_eq!(shown(None, &[Some(b"\x80\x01of a record\n")]), text(b"\x80\x01of a record\n"));
    }

    #[test]
    fn replies_are_shown_but_for_commands_that_go_the_wrong_way() {
        let mut words = Words::new(Side::Client, None);
        let bytes = b"230 in\r\nhello\r\nPASS x\r\n";
        words.piece(Piece::Text { at: At::default(), seq: 0, bytes, starts_segment: true });
        let hidden: Vec<u32> = (0..bytes.len() as u32).filter(|&seq| words.hides(seq)).collect();
        assert_eq!(hidden, [20, 21, 22]);
    }
}
