//! One row for each form met in the wild, and properties.

use super::*;
use proptest::prelude::*;

/// Checks rows of text, expected address (empty for none), port and strictness.
fn check(read: fn(&[u8]) -> Option<HostPort>, rows: &[(&str, &str, u16, bool)]) {
    for &(text, address, port, strict) in rows {
        let address = (!address.is_empty()).then(|| address.parse().expect("a row's address is one"));
        assert_eq!(read(text.as_bytes()), Some(HostPort { address, port, strict }), "{text}");
    }
}

fn refuses(read: fn(&[u8]) -> Option<HostPort>, texts: &[&str]) {
    for text in texts {
        assert_eq!(read(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn replies_to_pasv() {
    check(
        pasv_reply,
        &[
            ("Entering Passive Mode (10,0,0,1,195,80).", "10.0.0.1", 50000, true),
            ("Entering Passive Mode (10,0,0,1,195,80)", "10.0.0.1", 50000, true),
            ("(10,0,0,1,195,80)", "10.0.0.1", 50000, true),
            ("Passive mode OK (192,168,1,2,4,1)", "192.168.1.2", 1025, true),
            ("PASV OK (10,0,0,1,0,21)", "10.0.0.1", 21, true),
            ("Entering Passive Mode (0,0,0,0,4,1)", "0.0.0.0", 1025, true),
            ("Entering Passive Mode (10,0,0,1,0,0)", "10.0.0.1", 0, true),
            ("10,0,0,1,195,80", "10.0.0.1", 50000, false),
            ("Entering Passive Mode 10,0,0,1,195,80", "10.0.0.1", 50000, false),
            ("Entering Passive Mode. 10,0,0,1,195,80.", "10.0.0.1", 50000, false),
            ("Entering passive mode; use h1,h2,h3,h4,p1,p2 = 10,0,0,1,195,80", "10.0.0.1", 50000, false),
            ("=10,0,0,1,195,80", "10.0.0.1", 50000, false),
            ("Entering Passive Mode (10, 0, 0, 1, 195, 80).", "10.0.0.1", 50000, false),
            ("Entering Passive Mode ( 10 ,0 ,0 ,1 ,195 ,80 ).", "10.0.0.1", 50000, false),
            ("Entering Passive Mode (010,000,000,001,195,080).", "10.0.0.1", 50000, false),
            ("Passive mode v2 OK (10,0,0,1,195,80)", "10.0.0.1", 50000, false),
            ("1,2,3 (300,0,0,1,4,5) (10,0,0,1,195,80)", "10.0.0.1", 50000, false),
            ("(10,0,0,1,195,80,7)", "10.0.0.1", 50000, false),
            ("(10,0,0,1,195,80", "10.0.0.1", 50000, false),
            ("(10,0,0,1,195,80,)", "10.0.0.1", 50000, false),
        ],
    );
    refuses(
        pasv_reply,
        &[
            "",
            "Logout.",
            "Entering Passive Mode (|||50000|)",
            "(10,0,0,1,195)",
            "(10,0,0,1,300,80)",
            "(99999999999,0,0,1,4,5)",
            "10.0.0.1.4.5",
        ],
    );
}

#[test]
fn replies_to_epsv() {
    check(
        epsv_reply,
        &[
            ("Entering Extended Passive Mode (|||6446|)", "", 6446, true),
            ("Entering Extended Passive Mode (|||6446|).", "", 6446, true),
            ("Extended Passive mode OK (|||50000|)", "", 50000, true),
            ("Entering Extended Passive Mode (!!!6446!)", "", 6446, true),
            ("EPSV ok (aaa6446a)", "", 6446, true),
            ("EPSV (v2) ok (|||6446|)", "", 6446, true),
            ("ok (|||0|)", "", 0, true),
            ("ok (|||65535|)", "", 65535, true),
            ("Entering Extended Passive Mode |||6446|", "", 6446, false),
            ("|||6446|", "", 6446, false),
            ("ok (|||6446| )", "", 6446, false),
            ("ok ( |||6446|)", "", 6446, false),
            ("ok (|1|10.0.0.1|6446|)", "10.0.0.1", 6446, false),
            ("ok (|2|2001:DB8::1|6446|)", "2001:db8::1", 6446, false),
            ("ok (||ftp.example.com|6446|)", "", 6446, false),
            ("ok (||10.0.0.1|6446|)", "10.0.0.1", 6446, false),
            ("ok (|2||6446|)", "", 6446, false),
        ],
    );
    refuses(
        epsv_reply,
        &[
            "",
            "Entering Extended Passive Mode",
            "ok (|||70000|)",
            "ok (|||6446)",
            "ok (||||)",
            "ok (|||+21|)",
            "ok (111644611)",
            "ok (10,0,0,1,195,80)",
            "ok (\x7f\x7f\x7f6446\x7f)",
        ],
    );
}

#[test]
fn replies_to_lpsv() {
    check(
        lpsv_reply,
        &[
            ("Entering Long Passive Mode (4,4,10,0,0,1,2,195,80)", "10.0.0.1", 50000, true),
            (
                "Entering Long Passive Mode (6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1,2,195,80)",
                "2001:db8::1",
                50000,
                true,
            ),
            ("Entering Long Passive Mode (4, 4, 10,0,0,1, 2, 195,80)", "10.0.0.1", 50000, false),
            ("mode 4,4 is 4,4,10,0,0,1,2,195,80", "10.0.0.1", 50000, false),
        ],
    );
    refuses(
        lpsv_reply,
        &["", "(10,0,0,1,195,80)", "(4,4,10,0,0,1,3,0,195,80)", "(5,4,10,0,0,1,2,195,80)", "(4,4,10,0,0,1,2,195)"],
    );
}

#[test]
fn arguments_of_port() {
    check(
        port,
        &[
            ("172,16,0,99,192,8", "172.16.0.99", 49160, true),
            ("10,0,0,1,0,80", "10.0.0.1", 80, true),
            (" 172,16,0,99,192,8", "172.16.0.99", 49160, false),
            ("172,16,0,99,192,8 ", "172.16.0.99", 49160, false),
            ("172, 16, 0, 99, 192, 8", "172.16.0.99", 49160, false),
            ("172,016,0,99,192,8", "172.16.0.99", 49160, false),
            ("172,16,0,99,192,8,1", "172.16.0.99", 49160, false),
            ("(172,16,0,99,192,8)", "172.16.0.99", 49160, false),
        ],
    );
    refuses(port, &["", "172,16,0,99", "172,16,0,99,256,8", "|1|172.16.0.99|49160|", "a,b,c,d,e,f"]);
}

#[test]
fn arguments_of_eprt() {
    check(
        eprt,
        &[
            ("|1|132.235.1.2|6275|", "132.235.1.2", 6275, true),
            ("|2|1080::8:800:200C:417A|5282|", "1080::8:800:200c:417a", 5282, true),
            ("$1$10.0.0.1$50000$", "10.0.0.1", 50000, true),
            ("|2|2001:DB8::ABCD|1|", "2001:db8::abcd", 1, true),
            ("|2|::ffff:10.0.0.1|50000|", "10.0.0.1", 50000, true),
            ("|2|::FFFF:0a00:0001|50000|", "10.0.0.1", 50000, true),
            ("|2|fe80::1%eth0|50000|", "fe80::1", 50000, false),
            ("|2|[2001:db8::1]|50000|", "2001:db8::1", 50000, false),
            ("|2|10.0.0.1|50000|", "10.0.0.1", 50000, false),
            ("|1|2001:db8::1|50000|", "2001:db8::1", 50000, false),
            ("|1|010.000.000.001|50000|", "10.0.0.1", 50000, false),
            ("|1|10.0.0.1|50000", "10.0.0.1", 50000, false),
            ("|1|10.0.0.1|50000| ", "10.0.0.1", 50000, false),
            ("  |1|10.0.0.1|50000|", "10.0.0.1", 50000, false),
            ("|1|10.0.0.1|50000|x", "10.0.0.1", 50000, false),
        ],
    );
    refuses(
        eprt,
        &[
            "",
            "|",
            "|1|10.0.0.1|",
            "|1|10.0.0.1|70000|",
            "|1|10.0.0|50000|",
            "|1|10.0.0.256|50000|",
            "|1|10.0.0.1.2|50000|",
            "|3|10.0.0.1|50000|",
            "|1||50000|",
            "|1|host|50000|",
            "\u{7f}1\u{7f}10.0.0.1\u{7f}5\u{7f}",
            "010.0.0.105000",
        ],
    );
}

#[test]
fn arguments_of_lprt() {
    check(
        lprt,
        &[
            ("4,4,10,0,0,1,2,195,80", "10.0.0.1", 50000, true),
            ("6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1,2,195,80", "2001:db8::1", 50000, true),
            ("6,16,0,0,0,0,0,0,0,0,0,0,255,255,10,0,0,1,2,195,80", "10.0.0.1", 50000, true),
            (" 4,4,10,0,0,1,2,195,80", "10.0.0.1", 50000, false),
            ("4,4,10,0,0,1,2,195,80,9", "10.0.0.1", 50000, false),
        ],
    );
    refuses(
        lprt,
        &[
            "",
            "6,16,1,2,3,2,195,80",
            "6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1,3,195,80",
            "4,4,10,0,0,300,2,195,80",
            "6,4,10,0,0,1,2,195,80",
        ],
    );
}

#[test]
fn scopes() {
    for (address, expected) in [
        ("8.8.8.8", Scope::Public),
        ("172.15.255.255", Scope::Public),
        ("172.32.0.0", Scope::Public),
        ("100.63.255.255", Scope::Public),
        ("100.128.0.0", Scope::Public),
        ("2a00::1", Scope::Public),
        ("64:ff9b::808:808", Scope::Public),
        ("10.255.0.1", Scope::Private),
        ("172.16.0.99", Scope::Private),
        ("172.31.255.255", Scope::Private),
        ("192.168.1.1", Scope::Private),
        ("::ffff:192.168.1.1", Scope::Private),
        ("fd12::1", Scope::Private),
        ("fec0::1", Scope::Private),
        ("100.64.0.1", Scope::Shared),
        ("100.127.255.255", Scope::Shared),
        ("169.254.1.1", Scope::LinkLocal),
        ("fe80::1", Scope::LinkLocal),
        ("127.8.8.8", Scope::Loopback),
        ("::1", Scope::Loopback),
        ("0.0.0.0", Scope::Unspecified),
        ("::", Scope::Unspecified),
        ("203.0.113.7", Scope::Documentation),
        ("2001:db8::1", Scope::Documentation),
        ("3fff:fff::1", Scope::Documentation),
        ("0.1.2.3", Scope::Reserved),
        ("198.19.0.1", Scope::Reserved),
        ("224.0.0.1", Scope::Reserved),
        ("255.255.255.255", Scope::Reserved),
        ("ff02::1", Scope::Reserved),
    ] {
        assert_eq!(scope(address.parse().expect("a row's address is one")), expected, "{address}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(address: Ipv4Addr, port_number: u16, delimiter in "[!-/:-~&&[^.]]") {
        let [a, b, c, d] = address.octets();
        let [p, q] = port_number.to_be_bytes();
        let expected = Some(HostPort { address: Some(address.into()), port: port_number, strict: true });
        prop_assert_eq!(pasv_reply(format!("Entering Passive Mode ({a},{b},{c},{d},{p},{q}).").as_bytes()), expected);
        prop_assert_eq!(port(format!("{a},{b},{c},{d},{p},{q}").as_bytes()), expected);
        prop_assert_eq!(lprt(format!("4,4,{a},{b},{c},{d},2,{p},{q}").as_bytes()), expected);
        let text = format!("{delimiter}1{delimiter}{address}{delimiter}{port_number}{delimiter}");
        prop_assert_eq!(eprt(text.as_bytes()), expected);
    }

    #[test]
    fn ipv6_that_is_written_is_read(address: Ipv6Addr, port_number: u16) {
        prop_assume!(address.to_ipv4_mapped().is_none());
        let expected = Some(HostPort { address: Some(address.into()), port: port_number, strict: true });
        prop_assert_eq!(eprt(format!("|2|{address}|{port_number}|").as_bytes()), expected);
    }

    #[test]
    fn a_229_that_is_written_is_read(port_number: u16, delimiter in "[!-/:-~&&[^(]]") {
        let text = format!("Entering Extended Passive Mode ({delimiter}{delimiter}{delimiter}{port_number}{delimiter})");
        let expected = Some(HostPort { address: None, port: port_number, strict: true });
        prop_assert_eq!(epsv_reply(text.as_bytes()), expected);
    }

    /// Hostile text is read or refused, and what counts as strict is what one would write.
    #[test]
    fn hostile_text_is_read_or_refused(text in "[0-9,|( )a.:=\u{ff}]{0,60}", numbers in "[0-9]{1,3}(,? ?[0-9]{1,3}){5,6}") {
        for text in [text, numbers] {
            for read in [pasv_reply, epsv_reply, lpsv_reply, eprt, lprt] {
                read(text.as_bytes());
            }
            if let Some(HostPort { address: Some(address), port, strict }) = port(text.as_bytes()) {
                let [p, q] = port.to_be_bytes();
                let written = format!("{address},{p},{q}").replace('.', ",");
                prop_assert_eq!(strict, written == text);
            }
        }
    }
}
