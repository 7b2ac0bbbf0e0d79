//! Sessions from packets a line each: what the tracker makes of one tap; in [`several`], what `join` makes of several.

mod several;

use std::net::IpAddr;
use std::time::Duration;

use crate::cite::{At, Time};
use crate::line::Side;
use crate::packet::{Endpoint, Flags, IcmpError, IcmpKind, LOOPBACK, Packet, Quoted, Segment};
use crate::session::lifetime::MAX_LINGERING;
use crate::session::tracker::{Config, Leg, Tracker};
use crate::session::view::{Attempt, EventKind, KnownBy, Mode, Settled, View};
use crate::tcp::connection::Opening;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [192, 0, 2, 1];

fn end(ip: [u8; 4], port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::from(ip), port }
}

/// Packets of one tap. Sequence numbers are kept by the caller; time goes on by a millisecond a packet.
struct Tap {
    tracker: Tracker,
    frame: u32,
    time: i64,
    /// Bytes of the next segment that the snap length cuts off.
    uncaptured: u32,
}

impl Tap {
    fn new() -> Tap {
        Tap::with(Config { control_ports: vec![21, 990], passive_range: None, leg: Leg::Both, sampled: false })
    }

    fn with(config: Config) -> Tap {
        Tap { tracker: Tracker::new(config), frame: 0, time: 1_700_000_000_000_000_000, uncaptured: 0 }
    }

    fn wait(&mut self, duration: Duration) -> &mut Self {
        self.time += i64::try_from(duration.as_nanos()).expect("a test waits no centuries");
        self
    }

    fn send(&mut self, from: Endpoint, to: Endpoint, flags: Flags, seq: u32, ack: u32, text: &str) -> &mut Self {
        self.frame += 1;
        self.time += 1_000_000;
        let segment = Segment {
            at: At { time: Time(self.time), frame: self.frame, file: 0 },
            interface: 0,
            direction: None,
            source: from,
            destination: to,
            ttl: 64,
            ip_id: 0,
            seq,
            ack,
            flags,
            window: 64_000,
            urgent: 0,
            options: &[],
            text: text.as_bytes(),
            text_len: text.len() as u32 + std::mem::take(&mut self.uncaptured),
            checkable: None,
        };
        self.tracker.advance(segment.at.time);
        self.tracker.observe(&Packet::Segment(segment));
        self
    }

    /// The three packets of an opening; both ends start at sequence number 1000.
    fn open(&mut self, opener: Endpoint, listener: Endpoint) -> &mut Self {
        self.send(opener, listener, Flags::SYN, 999, 0, "")
            .send(listener, opener, Flags::SYN | Flags::ACK, 999, 1000, "")
            .send(opener, listener, Flags::ACK, 1000, 1000, "")
    }

    fn views(&mut self) -> Vec<Box<View>> {
        self.tracker.finish();
        std::iter::from_fn(|| self.tracker.poll()).collect()
    }

    fn only_view(&mut self) -> Box<View> {
        let mut views = self.views();
        assert_eq!(views.len(), 1);
        views.remove(0)
    }
}

/// A conversation: each line with its sender, sequence numbers kept.
struct Talk<'a> {
    tap: &'a mut Tap,
    client: Endpoint,
    server: Endpoint,
    next: [u32; 2],
}

impl<'a> Talk<'a> {
    fn begin(tap: &'a mut Tap, port: u16) -> Talk<'a> {
        let (client, server) = (end(CLIENT, 40_000), end(SERVER, port));
        tap.open(client, server);
        Talk { tap, client, server, next: [1000, 1000] }
    }

    fn client(&mut self, text: &str) -> &mut Self {
        self.tap.send(self.client, self.server, Flags::PSH | Flags::ACK, self.next[0], self.next[1], text);
        self.next[0] += text.len() as u32;
        self
    }

    fn server(&mut self, text: &str) -> &mut Self {
        self.tap.send(self.server, self.client, Flags::PSH | Flags::ACK, self.next[1], self.next[0], text);
        self.next[1] += text.len() as u32;
        self
    }

    /// The snap length cuts off the rest.
    fn cut_client(&mut self, text: &str, rest: &str) -> &mut Self {
        self.tap.uncaptured = rest.len() as u32;
        self.client(text).next[0] += rest.len() as u32;
        self
    }

    fn cut_server(&mut self, text: &str, rest: &str) -> &mut Self {
        self.tap.uncaptured = rest.len() as u32;
        self.server(text).next[1] += rest.len() as u32;
        self
    }

    fn login(&mut self) -> &mut Self {
        self.server("220 ready\r\n").client("USER u\r\n").server("331 password\r\n");
        self.client("PASS topsecret\r\n").server("230 in\r\n")
    }
}

fn texts(view: &View) -> Vec<String> {
    let spoken = view.log.iter().filter(|event| matches!(event.kind, EventKind::Command | EventKind::Reply(_)));
    spoken.map(|event| String::from_utf8_lossy(view.text_of(event)).into_owned()).collect()
}

#[test]
fn passwords_are_not_kept() {
    let mut tap = Tap::new();
    Talk::begin(&mut tap, 21).login();
    let view = tap.only_view();
    assert!(texts(&view).contains(&"PASS (hidden)".to_owned()));
    assert!(!String::from_utf8_lossy(&view.text).contains("topsecret"));
}

#[test]
fn a_password_that_the_capture_enters_in_the_middle_is_not_kept_either() {
    let mut tap = Tap::new();
    let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
    tap.send(client, server, Flags::ACK, 5000, 1, "topsecret\r\n").send(
        server,
        client,
        Flags::ACK,
        1,
        5011,
        "230 in\r\n",
    );
    assert!(!String::from_utf8_lossy(&tap.only_view().text).contains("topsecret"));
}

#[test]
fn a_reply_that_the_capture_begins_with_is_no_greeting_unless_it_says_so() {
    let listener = |first: &str| {
        let mut tap = Tap::new();
        let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
        tap.send(server, client, Flags::PSH | Flags::ACK, 1000, 1000, first);
        let view = tap.only_view();
        (view.greeting.is_some(), view.transfers.len())
    };
    assert_eq!(listener("227 Entering Passive Mode (192,0,2,1,195,80).\r\n"), (false, 1));
    assert_eq!(listener("220 ready\r\n"), (true, 0));
}

#[test]
fn of_a_line_that_the_snap_length_cut_verb_and_code_count_and_addresses_do_not() {
    let mut tap = Tap::new();
    let mut talk = Talk::begin(&mut tap, 21);
    talk.login().client("PASV\r\n");
    talk.cut_server("227 Entering Passive Mode (192,0,2,1,195,8", "0).\r\n");
    talk.cut_client("RETR a-long-", "name\r\n").server("150 coming\r\n").cut_server("226 do", "ne.\r\n");
    let view = tap.only_view();
    assert_eq!(
        texts(&view)[5..],
        ["PASV", "227 Entering Passive Mode (192,0,2,1,195,8", "RETR a-long-", "150 coming", "226 do"]
    );
    let transfer = &view.transfers[0];
    let negotiation = transfer.negotiation.as_ref().expect("it was negotiated");
    assert_eq!((negotiation.code, negotiation.offered, transfer.code), (227, None, 226));
    assert_eq!(view.gaps, 3);
}

#[test]
fn a_passive_transfer_has_its_negotiation_command_reply_and_data_connection() {
    let mut tap = Tap::new();
    let mut talk = Talk::begin(&mut tap, 21);
    talk.login().client("PASV\r\n").server("227 Entering Passive Mode (192,0,2,1,195,80).\r\n");
    talk.tap.open(end(CLIENT, 40_001), end(SERVER, 50_000));
    talk.client("RETR file\r\n").server("150 coming\r\n").server("226 done\r\n");
    let view = tap.only_view();
    let [transfer] = &view.transfers[..] else { panic!("one transfer, not {}", view.transfers.len()) };
    assert_eq!(transfer.negotiation.as_ref().map(|negotiation| negotiation.mode), Some(Mode::Pasv));
    assert_eq!(transfer.code, 226);
    assert_eq!(view.attempts.len(), 1);
    assert_eq!(view.attempts[0].connection.opening(), Opening::Established);
    assert_eq!(view.attempts[0].listens, Side::Server);
}

#[test]
fn a_syn_that_is_captured_before_its_227_is_matched_too() {
    let mut tap = Tap::new();
    let mut talk = Talk::begin(&mut tap, 21);
    talk.login().client("PASV\r\n");
    talk.tap.open(end(CLIENT, 40_001), end(SERVER, 50_000));
    talk.server("227 Entering Passive Mode (192,0,2,1,195,80).\r\n");
    assert_eq!(tap.only_view().attempts.len(), 1);
}

/// The acknowledgement stands in the capture before anybody knows that its connection is one of FTP's; an end that misses it
/// repeats itself (RFC 9293 section 3.8.1).
#[test]
fn an_opening_that_is_captured_before_its_227_is_not_taken_for_half_an_opening() {
    for (repeats, opening) in [(false, Opening::Established), (true, Opening::HalfOpen)] {
        let mut tap = Tap::new();
        let mut talk = Talk::begin(&mut tap, 21);
        let (client, server) = (end(CLIENT, 40_001), end(SERVER, 50_000));
        talk.login().client("PASV\r\n");
        talk.tap.open(client, server);
        talk.server("227 Entering Passive Mode (192,0,2,1,195,80).\r\n").client("STOR a\r\n");
        if repeats {
            talk.tap.wait(Duration::from_secs(1)).send(server, client, Flags::SYN | Flags::ACK, 999, 1000, "");
        }
        assert_eq!(tap.only_view().attempts[0].connection.opening(), opening);
    }
}

#[test]
fn a_client_that_ignores_a_foreign_address_is_matched_at_the_control_peer() {
    let mut tap = Tap::new();
    let mut talk = Talk::begin(&mut tap, 21);
    talk.login().client("PASV\r\n").server("227 =10,9,9,9,195,80\r\n");
    talk.tap.open(end(CLIENT, 40_001), end(SERVER, 50_000));
    assert_eq!(tap.only_view().attempts.len(), 1);
}

#[test]
fn a_negotiation_that_was_not_used_is_superseded() {
    let mut tap = Tap::new();
    Talk::begin(&mut tap, 21)
        .login()
        .client("EPSV\r\n")
        .server("500 what?\r\n")
        .client("PASV\r\n")
        .server("227 (192,0,2,1,195,80)\r\n")
        .client("LIST\r\n")
        .server("226 done\r\n");
    let view = tap.only_view();
    let [transfer] = &view.transfers[..] else { panic!("one transfer, not {}", view.transfers.len()) };
    assert_eq!(transfer.superseded.len(), 1);
    assert_eq!(transfer.negotiation.as_ref().map(|negotiation| negotiation.mode), Some(Mode::Pasv));
}

#[test]
fn replies_to_noop_and_stat_during_a_transfer_do_not_end_it() {
    let mut tap = Tap::new();
    Talk::begin(&mut tap, 21)
        .login()
        .client("PORT 10,0,0,1,156,66\r\n")
        .server("200 ok\r\n")
        .client("RETR file\r\n")
        .server("150 coming\r\n")
        .client("NOOP\r\n")
        .server("200 zzz\r\n")
        .server("226 done\r\n");
    assert_eq!(tap.only_view().transfers[0].code, 226);
}

#[test]
fn pipelined_commands_get_their_replies_in_order() {
    let mut tap = Tap::new();
    Talk::begin(&mut tap, 21)
        .login()
        .client("TYPE I\r\nPASV\r\nRETR file\r\n")
        .server("200 binary\r\n227 (192,0,2,1,195,80)\r\n550 no such file\r\n");
    let view = tap.only_view();
    assert_eq!(view.transfers.len(), 1);
    assert_eq!(view.transfers[0].negotiation.as_ref().map(|negotiation| negotiation.code), Some(227));
    assert_eq!(view.transfers[0].code, 550);
}

#[test]
fn after_auth_tls_data_connections_are_inferred_from_the_addresses() {
    let mut tap = Tap::new();
    let mut talk = Talk::begin(&mut tap, 21);
    talk.server("220 ready\r\n").client("AUTH TLS\r\n").server("234 go on\r\n").client("\u{16}\u{3}\u{1}hello");
    talk.tap.open(end(CLIENT, 40_001), end(SERVER, 50_000));
    let view = tap.only_view();
    assert!(view.encrypted.is_some());
    assert!(view.transfers[0].inferred);
    assert_eq!(view.attempts.len(), 1);
}

#[test]
fn ccc_makes_the_conversation_readable_again() {
    let mut tap = Tap::new();
    let mut talk = Talk::begin(&mut tap, 21);
    talk.server("220 ready\r\n").client("AUTH TLS\r\n").server("234 go on\r\n").client("\u{16}\u{3}\u{1}hello");
    talk.client("PASV\r\n").server("227 (192,0,2,1,195,80)\r\n");
    let view = tap.only_view();
    assert!(view.log.iter().any(|event| event.kind == EventKind::Clear));
    assert!(view.transfers[0].negotiation.is_some());
}

#[test]
fn ftp_on_another_port_shows_itself_and_smtp_does_not_count() {
    let mut tap = Tap::new();
    Talk::begin(&mut tap, 2121).login();
    let view = tap.only_view();
    assert_eq!(view.known_by, KnownBy::Greeting);
    assert!(view.control.syn.is_some());
    let mut tap = Tap::new();
    Talk::begin(&mut tap, 2525).server("220 mail ESMTP\r\n").client("EHLO me\r\n").server("250 hello\r\n");
    assert_eq!(tap.views().len(), 0);
}

#[test]
fn ports_used_anew_are_a_new_session() {
    let mut tap = Tap::new();
    let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
    Talk::begin(&mut tap, 21).login();
    tap.send(client, server, Flags::SYN, 777_000, 0, "");
    let views = tap.views();
    assert_eq!(views.len(), 2);
    assert_eq!(views[0].settled, Settled::Displaced);
}

#[test]
fn a_closed_session_is_settled_after_a_moment_and_an_unanswered_one_after_its_last_syn() {
    let mut tap = Tap::new();
    let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
    tap.open(client, server);
    tap.send(client, server, Flags::FIN | Flags::ACK, 1000, 1000, "");
    tap.send(server, client, Flags::FIN | Flags::ACK, 1000, 1001, "");
    tap.send(end(CLIENT, 40_002), server, Flags::SYN, 5, 0, "");
    tap.wait(Duration::from_secs(3)).send(end(CLIENT, 1), end(SERVER, 80), Flags::ACK, 1, 1, "");
    assert_eq!(tap.tracker.poll().map(|view| view.settled), Some(Settled::Closed));
    assert!(tap.tracker.poll().is_none());
    tap.wait(Duration::from_secs(200)).send(end(CLIENT, 1), end(SERVER, 80), Flags::ACK, 1, 1, "");
    assert_eq!(tap.tracker.poll().map(|view| view.settled), Some(Settled::Idle));
}

#[test]
fn a_socket_tells_of_a_session_until_a_packet_does() {
    let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
    let mut tap = Tap::new();
    for seconds in [1, 2] {
        tap.tracker.tried(client, server, At { time: Time(seconds * 1_000_000_000), ..At::default() });
    }
    let unseen = tap.only_view();
    assert_eq!((unseen.known_by, unseen.control.began()), (KnownBy::Socket, None));
    let mut tap = Tap::new();
    tap.open(client, server).tracker.tried(client, server, At::default());
    assert_eq!(tap.only_view().known_by, KnownBy::Port);
}

/// Its capture of other interfaces begins later, or ends before.
#[test]
fn what_a_server_tells_itself_of_its_syn_ack_is_of_a_session() {
    let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
    let quoted = Quoted { source: server, destination: client, ttl: 64, ip_id: 0, seq: None, flags: None };
    let error = IcmpError {
        at: At { time: Time(1), frame: 1, file: 0 },
        interface: LOOPBACK,
        direction: None,
        source: server.ip,
        destination: server.ip,
        ttl: 64,
        kind: IcmpKind { version: 4, kind: 3, code: 3 },
        mtu: None,
        quoted,
    };
    let mut tap = Tap::new();
    tap.tracker.observe(&Packet::IcmpError(error));
    let view = tap.only_view();
    assert_eq!((view.client, view.server, view.control.icmp.is_some()), (client, server, true));
}

/// A client of two servers asks one to listen and the other to connect there.
fn between_servers() -> Tap {
    let mut tap = Tap::new();
    let (client, other) = (end(CLIENT, 41_000), end([192, 0, 2, 2], 21));
    Talk::begin(&mut tap, 21).login().client("PASV\r\n").server("227 (192,0,2,1,195,80)\r\n");
    tap.open(client, other);
    let mut talk = Talk { tap: &mut tap, client, server: other, next: [1000, 1000] };
    talk.login().client("PORT 192,0,2,1,195,80\r\n").server("200 ok\r\n");
    tap
}

#[test]
fn two_servers_that_exchange_a_file_are_recognised() {
    assert!(between_servers().views().iter().all(|view| view.transfers[0].between_servers));
}

/// Both sessions know how the one connection went, from its first packet on.
#[test]
fn a_connection_between_two_servers_is_both_sessions_own() {
    let (opener, listener) = (end([192, 0, 2, 2], 40_020), end(SERVER, 50_000));
    let openings = |mut tap: Tap| {
        let views = tap.views();
        assert_eq!(views.len(), 2);
        let opening = |attempt: &Attempt| {
            let connection = &attempt.connection;
            (connection.opening(), connection.syn.map_or(0, |syn| syn.count.get()))
        };
        views.iter().map(|view| view.attempts.iter().map(opening).collect()).collect::<Vec<Vec<_>>>()
    };
    let mut tried = between_servers();
    tried.send(opener, listener, Flags::SYN, 5, 0, "");
    assert_eq!(openings(tried), [[(Opening::Unanswered, 1)], [(Opening::Unanswered, 1)]]);
    let mut opened = between_servers();
    opened.open(opener, listener);
    assert_eq!(openings(opened), [[(Opening::Established, 1)], [(Opening::Established, 1)]]);
}

/// The last thing that the client said is what the capture missed: the server acknowledged it.
#[test]
fn a_hole_at_the_end_is_a_hole() {
    let gaps = |acked: u32, fin: u32| {
        let mut tap = Tap::new();
        Talk::begin(&mut tap, 21).login();
        let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
        tap.send(client, server, Flags::FIN | Flags::ACK, 1024 + fin, 1033, "");
        tap.send(server, client, Flags::ACK, 1033, 1024 + acked, "");
        tap.only_view().gaps
    };
    assert_eq!(gaps(1, 0), 0, "all was captured");
    assert_eq!(gaps(0, 6), 0, "the server may lack it, too");
    assert_eq!(gaps(7, 6), 1);
}

/// The 226 is what the capture missed; the refusal answers what the client said after it.
#[test]
fn a_refusal_behind_a_hole_is_not_the_transfers() {
    let mut tap = Tap::new();
    let mut talk = Talk::begin(&mut tap, 21);
    talk.login().client("PASV\r\n").server("227 (192,0,2,1,195,80)\r\n").client("STOR f\r\n").server("150 go\r\n");
    talk.next[1] += "226 done\r\n".len() as u32;
    talk.client("SITE UTIME f\r\n").server("500 what\r\n").client("QUIT\r\n").server("221 bye\r\n");
    let view = tap.only_view();
    assert_eq!((view.transfers[0].code, view.transfers[0].reply, view.gaps), (0, None, 1));
}

/// Where thousands end at once, the first is handed out before its time.
#[test]
fn only_the_latest_sessions_that_ended_wait_for_late_packets() {
    let mut tap = Tap::new();
    for port in (10_000..).take(MAX_LINGERING + 1) {
        assert!(!tap.tracker.has_settled());
        tap.time -= 4_000_000;
        let (client, server) = (end(CLIENT, port), end(SERVER, 21));
        tap.open(client, server).send(server, client, Flags::RST, 1000, 1000, "");
    }
    assert_eq!(tap.tracker.poll().map(|view| view.client.port), Some(10_000));
    assert!(!tap.tracker.has_settled());
}
