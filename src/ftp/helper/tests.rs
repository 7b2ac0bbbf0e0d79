//! Forms of negotiation, with what a kernel 6.18 was seen to do with each.

use super::*;
use Party::{Client, Server};
use Reason::{CutWord, ForeignAddress, NoOpening, NotFirst, Numbers, OutOfStep};
use Ruling::{Dropped, Ignored, NoExpectation};
use proptest::prelude::*;

const V4: (IpAddr, IpAddr) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));

fn v6() -> (IpAddr, IpAddr) {
    ("2001:db8::1".parse().expect("is one"), "2001:db8::2".parse().expect("is one"))
}

/// The expectation of a connection to the sender.
fn expects(from: Party, control: (IpAddr, IpAddr), port: u16) -> Ruling {
    let ip = if from == Client { control.0 } else { control.1 };
    Ruling::Expects(Endpoint { ip, port })
}

fn check(from: Party, control: (IpAddr, IpAddr), rows: &[(&str, Ruling)]) {
    for &(text, expected) in rows {
        assert_eq!(ruling(from, text.as_bytes(), true, control), expected, "{}", text.escape_debug());
    }
}

#[test]
fn replies_to_pasv() {
    let expects = |port| expects(Server, V4, port);
    check(
        Server,
        V4,
        &[
            ("227 Entering Passive Mode (10,0,0,2,195,80).\r\n", expects(50000)),
            ("227 Entering Passive Mode 10,0,0,2,195,80\r\n", expects(50000)),
            ("227 =10,0,0,2,195,80\r\n", expects(50000)),
            ("227 Entering Passive Mode (10, 0, 0, 2, 195, 80).\r\n", Dropped(Numbers)),
            ("227 Passive mode v2 OK (10,0,0,2,195,80)\r\n", Dropped(Numbers)),
            ("227 Entering Passive Mode (192,168,1,2,195,80).\r\n", NoExpectation(ForeignAddress)),
            ("227 Entering Passive Mode (10,0,0,2,1", Dropped(Numbers)),
            ("22", Dropped(CutWord)),
            ("2", Dropped(CutWord)),
            ("227 ", Dropped(CutWord)),
            ("227 Entering Passive Mode (10,0,0,2,195,80)", expects(50000)),
            ("227 Entering Passive Mode 10,0,0,2,195,80", Dropped(Numbers)),
            ("227 Entering Passive Mode (10,0,0,2,195,80).\n", expects(50000)),
            ("227-x\r\n227 Entering Passive Mode (10,0,0,2,195,80).\r\n", NoExpectation(NotFirst)),
            ("200 Type set.\r\n227 Entering Passive Mode (10,0,0,2,195,80).\r\n", NoExpectation(NotFirst)),
            ("227-x\r\n", Ignored),
            ("227 Entering Passive Mode (10,0,0,2,300,80).\r\n", expects(11344)),
            ("227 Entering Passive Mode (10,0,0,2,0,0).\r\n", expects(0)),
            ("227 Entering Passive Mode (10,0,0,2,195,80,1).\r\n", Dropped(Numbers)),
            ("227 Logout.\r\n", Dropped(Numbers)),
        ],
    );
}

#[test]
fn replies_to_epsv_and_lpsv() {
    let expects = |port| expects(Server, V4, port);
    check(
        Server,
        V4,
        &[
            ("229 Entering Extended Passive Mode (|||50000|)\r\n", expects(50000)),
            ("229 Entering Extended Passive Mode (!!!50000!)\r\n", expects(50000)),
            ("229 Entering Extended Passive Mode (|||70000|)\r\n", expects(4464)),
            ("229 Entering Extended Passive Mode |||50000|\r\n", Dropped(NoOpening)),
            ("229 Extended (v2) Passive Mode (|||50000|)\r\n", Dropped(Numbers)),
            ("229 ok (|1|10.0.0.2|50000|)\r\n", Dropped(Numbers)),
            ("229 ok (|||0|)\r\n", Dropped(Numbers)),
            ("229 ok (|||65536|)\r\n", Dropped(Numbers)),
            ("229 ok (|||500", Dropped(Numbers)),
            ("229 ok (||", Dropped(Numbers)),
            ("229 ok (", Dropped(Numbers)),
            ("229 ok (1115001)\r\n", Dropped(Numbers)),
            ("228 Entering Long Passive Mode (4,4,10,0,0,2,2,195,80)\r\n", Ignored),
            ("220 Welcome\r\n", Ignored),
            ("150 Here comes the directory listing.\r\n226 Directory send OK.\r\n", Ignored),
        ],
    );
    check(Server, v6(), &[("229 ok (|||50000|)\r\n", super::tests::expects(Server, v6(), 50000))]);
}

#[test]
fn commands() {
    let expects = |port| expects(Client, V4, port);
    check(
        Client,
        V4,
        &[
            ("PORT 10,0,0,1,195,80\r\n", expects(50000)),
            ("port 10,0,0,1,195,80\r\n", expects(50000)),
            ("EPRT |1|10.0.0.1|50000|\r\n", expects(50000)),
            ("EPRT $1$10.0.0.1$50000$\r\n", expects(50000)),
            ("eprt |1|10.0.0.1|70000|\n", expects(4464)),
            ("PORT 10,0,0,1,195,80,1\r\n", Dropped(Numbers)),
            ("PORT  10,0,0,1,195,80\r\n", Dropped(Numbers)),
            ("PORT 10,0,0,1,195,80 \r\n", Dropped(Numbers)),
            ("PORT 10,0,0,1,195,80\n", Dropped(Numbers)),
            ("PORT 10,0,0,1,", Dropped(Numbers)),
            ("PORT 10,0,0,1,195,80", Dropped(Numbers)),
            ("PORT\r\n", Dropped(NoOpening)),
            ("PORT", Dropped(CutWord)),
            ("PO", Dropped(CutWord)),
            ("P", Dropped(CutWord)),
            ("e", Dropped(CutWord)),
            ("PORT 192,168,0,7,195,80\r\n", NoExpectation(ForeignAddress)),
            ("EPRT |1|192.168.0.7|50000|\r\n", NoExpectation(ForeignAddress)),
            ("EPRT |2|2001:db8::1|50000|\r\n", Dropped(Numbers)),
            ("EPRT |1|10.0.0.1|0|\r\n", Dropped(Numbers)),
            ("EPRT |1|10.0.0.1|50000\r\n", Dropped(Numbers)),
            ("EPRT |1|10.0.0.1\r\n", Dropped(Numbers)),
            ("EPRT .1.10.0.0.1.50000.\r\n", Dropped(Numbers)),
            ("EPRT 010100101500000\r\n", Dropped(Numbers)),
            ("EPRT |1", Dropped(Numbers)),
            ("TYPE I\r\nPORT 10,0,0,1,195,80\r\n", NoExpectation(NotFirst)),
            ("PROT P\r\n", Ignored),
            ("PASV\r\n", Ignored),
            ("EPSV ALL\r\n", Ignored),
            ("LPSV\r\n", Ignored),
            ("", Ignored),
        ],
    );
    let telnet = b"\xff\xf4\xff\xf2PORT 10,0,0,1,195,80\r\n";
    assert_eq!(ruling(Client, telnet, true, V4), Ignored);
}

#[test]
fn commands_over_ipv6() {
    let expects = |port| expects(Client, v6(), port);
    check(
        Client,
        v6(),
        &[
            ("EPRT |2|2001:db8::1|50000|\r\n", expects(50000)),
            ("EPRT |2|2001:DB8:0::1|50000|\r\n", expects(50000)),
            ("EPRT |2|2001:db8::7|50000|\r\n", NoExpectation(ForeignAddress)),
            ("EPRT |1|10.0.0.1|50000|\r\n", Dropped(Numbers)),
            ("EPRT |2|2001:db8::1%eth0|50000|\r\n", Dropped(Numbers)),
            ("EPRT |2|2001:db8::1", Dropped(Numbers)),
            ("PORT 10,0,0,1,195,80\r\n", NoExpectation(ForeignAddress)),
            ("PORT 32,1,13,184,195,80\r\n", expects(50000)),
        ],
    );
}

#[test]
fn out_of_step_segments_pass_unread() {
    for (text, expected) in [
        ("227 Entering Passive Mode (10,0,0,2,195,80).\r\n", NoExpectation(OutOfStep)),
        ("227 Logout.\r\n", NoExpectation(OutOfStep)),
        ("2", Ignored),
        ("27 x\r\n227 (10,0,0,2,195,80)\r\n", NoExpectation(NotFirst)),
        ("226 Done.\r\n", Ignored),
    ] {
        assert_eq!(ruling(Server, text.as_bytes(), false, V4), expected, "{text}");
    }
}

/// What happens to segments of a server that follow its greeting.
fn follow(segments: &[&str]) -> Vec<Ruling> {
    let mut line_ends = LineEnds::default();
    let mut seq = u32::MAX - 30;
    let mut rulings = Vec::new();
    for segment in ["220 Welcome\r\n"].iter().chain(segments) {
        let found = ruling(Server, segment.as_bytes(), line_ends.in_step(seq), V4);
        if !matches!(found, Dropped(_)) {
            line_ends.passed(seq, segment.as_bytes());
            seq = seq.wrapping_add(segment.len() as u32);
        }
        rulings.push(found);
    }
    rulings.split_off(1)
}

#[test]
fn follows_segments() {
    let expected = expects(Server, V4, 50000);
    let reply = "227 Entering Passive Mode (10,0,0,2,195,80).\r\n";
    assert_eq!(follow(&[reply]), [expected]);
    assert_eq!(follow(&["227-x\r\n", "227 (10,0,0,2,195,80)\r\n"]), [Ignored, expected]);
    assert_eq!(follow(&["227 (10,0,0,2,195,80)", ".\r\n", reply]), [expected, Ignored, expected]);
    assert_eq!(follow(&["331 Ple", "ase.\r\n", reply]), [Ignored, Ignored, expected]);
    assert_eq!(follow(&["200 ok", reply]), [Ignored, NoExpectation(OutOfStep)]);
    assert_eq!(follow(&["22", "22"]), [Dropped(CutWord), Dropped(CutWord)], "a retransmission fares no better");
}

#[test]
fn the_first_segment_is_never_read() {
    assert!(!LineEnds::default().in_step(0));
}

#[test]
fn remembers_the_newest_two_line_ends() {
    let mut line_ends = LineEnds::default();
    let known = |line_ends: &LineEnds| [10, 20, 30, 40].map(|seq| line_ends.in_step(seq));
    line_ends.passed(18, b"\r\n");
    line_ends.passed(28, b"\r\n");
    line_ends.passed(28, b"\r\n");
    assert_eq!(known(&line_ends), [false, true, true, false]);
    line_ends.passed(8, b"\r\n");
    assert_eq!(known(&line_ends), [false, true, true, false], "an older one changes nothing");
    line_ends.passed(38, b"\r\n");
    assert_eq!(known(&line_ends), [false, false, true, true]);
    line_ends.passed(48, b"xx");
    assert_eq!(known(&line_ends), [false, false, true, true]);
}

#[test]
fn remembers_across_the_wrap() {
    let mut line_ends = LineEnds::default();
    for seq in [u32::MAX - 20, u32::MAX - 10, 5] {
        line_ends.passed(seq, b"\n");
    }
    assert!(line_ends.in_step(u32::MAX - 9) && line_ends.in_step(6) && !line_ends.in_step(u32::MAX - 19));
}

proptest! {
    /// Whatever the segment: only one that begins like a negotiation, in step, is dropped; an expectation is
    /// of the sender.
    #[test]
    fn drops_only_what_begins_like_a_negotiation(text in "(PORT |EPRT |227 |229 |P|22|x)[0-9,.|( )\r\n]{0,30}", in_step: bool) {
        for from in [Client, Server] {
            match ruling(from, text.as_bytes(), in_step, V4) {
                Dropped(_) => prop_assert!(in_step && text.starts_with(['P', 'E', '2'])),
                Ruling::Expects(endpoint) => prop_assert_eq!(endpoint.ip, if from == Client { V4.0 } else { V4.1 }),
                Ignored | NoExpectation(_) => (),
            }
        }
    }
}
