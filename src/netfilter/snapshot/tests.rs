use std::time::Duration;

use proptest::prelude::*;

use super::lines::{
    connection, connection_line, expectation, expectation_line, interface, setting, socket, socket_line,
};
use super::*;
use crate::netfilter::conntrack::{self, Change, Status, Tuple};
use crate::netfilter::socket;
use crate::packet::Endpoint;

const NFT_LIST: &str = "\
table inet f { # handle 1
	chain input { # handle 1
		type filter hook input priority filter; policy accept;
		tcp dport 21 counter packets 3 bytes 180 accept # handle 2
		tcp dport 50021 counter packets 4 bytes 240 drop comment \"***\" # handle 3
	}
}
";

/// A text with these parts besides those that every snapshot has.
fn text(parts: &[(&str, Result<&str, &str>)]) -> String {
    let mut text = Text::default();
    text.add(DATE, Ok("1795545358.413141991 2026-11-24 18:35:58 UTC"));
    parts.iter().for_each(|(command, content)| text.add(command, *content));
    text.finish()
}

fn endpoint(text: &str) -> Endpoint {
    let (ip, port) = text.rsplit_once(':').expect("a port");
    Endpoint { ip: ip.trim_matches(['[', ']']).parse().expect("an address"), port: port.parse().expect("a port") }
}

#[test]
fn what_is_written_is_read() {
    let nothing = [(SAVED[2].0, Ok("")), (SAVED[3].0, Ok(""))];
    let interfaces = "  1  lo               up    127.0.0.1 ::1\n  2  eth0             down  10.1.0.1";
    let parts = [(NFT, Ok(NFT_LIST)), (INTERFACES, Ok(interfaces)), (SETTINGS, Ok("net.ipv4.ip_forward = 1"))];
    let snapshot = parse(&text(&[&parts[..], &nothing].concat())).expect("it is one");
    let mut rules = Ruleset::default();
    rules.add_nft(NFT_LIST);
    assert_eq!((snapshot.time, &*snapshot.rules, snapshot.all_rules), (Time(1_795_545_358_413_141_991), &rules, true));
    assert_eq!(snapshot.interfaces[1], ("eth0".to_owned(), vec![endpoint("10.1.0.1:0").ip]));
    assert_eq!(snapshot.settings, [("net.ipv4.ip_forward".to_owned(), "1".to_owned())]);
    assert_eq!((snapshot.connections, snapshot.sockets), (None, None));
}

#[test]
fn what_could_not_be_had_is_not_nothing() {
    let all = [(NFT, Ok(NFT_LIST)), (SAVED[2].0, Ok("")), (SAVED[3].0, Ok(""))];
    for absent in 0..3 {
        let mut parts = all;
        parts[absent].1 = Err("nft fails: no\nright");
        assert!(!parse(&text(&parts)).expect("it is one").all_rules, "{absent}");
    }
    let snapshot = |sockets| parse(&text(&[(SOCKETS, sockets)])).expect("it is one").sockets;
    assert_eq!((snapshot(Err("no")), snapshot(Ok(""))), (None, Some(Vec::new())));
}

#[test]
fn a_helper_by_port_is_excluded_only_where_the_settings_are_known() {
    let helps = |parts: &[_]| parse(&text(parts)).expect("it is one").helps();
    assert!(helps(&[]), "the settings are not known");
    assert!(!helps(&[(SETTINGS, Ok("net.ipv4.ip_forward = 1"))]));
    assert!(!helps(&[(SETTINGS, Ok("net.netfilter.nf_conntrack_helper = 0"))]));
    assert!(helps(&[(SETTINGS, Ok("net.netfilter.nf_conntrack_helper = 1"))]));
}

#[test]
fn a_fault_says_where_what_and_what_to_do() {
    let whole = text(&[(NFT, Ok(NFT_LIST))]);
    let line = |text: &str, what: &str| 1 + text.lines().position(|line| line.contains(what)).expect("it is there");
    let fault = |text: &str| parse(text).expect_err("it is none");
    assert_eq!(
        fault("d4c3b2a1").to_string(),
        "line 1: this is no snapshot of a host; make one with `ftpwhy snapshot -o FILE`, as root"
    );
    assert!(fault("ftpwhy snapshot 2\n").what.contains("another form"));
    assert!(fault("").what.contains("no snapshot"));
    let cut = &whole[..whole.find("\ttcp dport 50021").expect("it is there")];
    assert!(fault(cut).what.contains("cut"), "{}", fault(cut));
    let blanks = whole.replace('\t', "    ");
    assert_eq!(fault(&blanks).line, line(&blanks, "chain input"));
    let wrapped = whole.replace(" bytes 240", "\nbytes 240");
    assert_eq!((fault(&wrapped).line, fault(&wrapped).remedy), (line(&wrapped, "bytes 240"), AS_A_FILE));
    let undated = whole.replace("1795545358.413141991", "today");
    assert_eq!(fault(&undated).line, line(&undated, "today"));
    let long = whole.replace("policy accept", &"x".repeat(MAX_LINE));
    assert_eq!(fault(&long).line, line(&long, "xxx"));
    let many = text(&vec![("x", Ok("y")); MAX_PARTS]);
    assert!(fault(&many).what.contains("parts"));
    let odd = text(&[(CONNECTIONS, Ok("tcp 6 1 src=10.0.0.1"))]);
    assert_eq!(fault(&odd).line, line(&odd, "tcp 6"));
    assert_eq!(parse(&whole.replace('\n', "\r\n")), parse(&whole));
}

#[test]
fn a_part_cannot_pass_for_another() {
    let snapshot = parse(&text(&[("x", Ok("== ss -Htano\nLISTEN 0 0 0.0.0.0:21 0.0.0.0:*\n== end"))]));
    assert_eq!(snapshot.expect("it is whole").sockets, None);
}

#[test]
fn the_lines_are_those_of_the_tools() {
    // conntrack -L -p tcp, ss -Htano, both of Debian 12
    let line = "tcp      6 119 SYN_SENT src=10.1.0.2 dst=10.1.0.1 sport=40100 dport=50021 [UNREPLIED] src=10.1.0.1 \
                dst=10.1.0.2 sport=50021 dport=40100 mark=0 use=1";
    let syn = connection(line).expect("a connection");
    assert_eq!(syn.state, Some(conntrack::State::SynSent));
    assert!(!syn.status.contains(Status::SEEN_REPLY));
    assert_eq!(
        (syn.original.source, syn.original.destination),
        (endpoint("10.1.0.2:40100"), endpoint("10.1.0.1:50021"))
    );
    assert_eq!((syn.reply.source, syn.reply.destination), (endpoint("10.1.0.1:50021"), endpoint("10.1.0.2:40100")));
    let line = "tcp      6 431999 ESTABLISHED src=fd01::2 dst=fd01::1 sport=36016 dport=21 src=fd01::1 dst=fd01::2 sport=21 \
                dport=36016 [ASSURED] mark=0 helper=ftp use=2";
    let control = connection(line).expect("a connection");
    assert_eq!((control.helper.as_deref(), control.timeout), (Some("ftp"), Some(Duration::from_secs(431_999))));
    assert!(control.status.contains(Status::SEEN_REPLY) && control.status.contains(Status::ASSURED));
    // conntrack -L expect, also of Debian 12
    let line = "299 proto=6 src=10.1.0.1 dst=10.1.0.2 sport=0 dport=50000 mask-src=255.255.255.255 \
                mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.1.0.2 master-dst=10.1.0.1 sport=48056 dport=21 \
                class=0 helper=ftp";
    let expected = expectation(line).expect("an expectation");
    assert_eq!((expected.helper.as_deref(), expected.timeout), (Some("ftp"), Some(Duration::from_secs(299))));
    assert_eq!(
        (expected.tuple.source, expected.tuple.destination),
        (endpoint("10.1.0.1:0"), endpoint("10.1.0.2:50000"))
    );
    assert_eq!(
        (expected.master.source, expected.master.destination),
        (endpoint("10.1.0.2:48056"), endpoint("10.1.0.1:21"))
    );
    assert_eq!(expectation_line(&expected), line.replace(" class=0", ""));
    let line = "SYN-SENT 0      1                  10.1.0.1:20        10.1.0.2:50021 timer:(on,3.8sec,2) ino:0 sk:1 ";
    let trying = socket(line).expect("a socket");
    assert_eq!(
        (trying.state, trying.retransmits, trying.remote),
        (socket::State::SynSent, 2, endpoint("10.1.0.2:50021"))
    );
    for (line, at) in [
        ("LISTEN 0 32 *:21 *:*", "[::]:21"),
        ("LISTEN 0 32 0.0.0.0:21 0.0.0.0:*", "0.0.0.0:21"),
        ("LISTEN 0 32 [::]:21 [::]:*", "[::]:21"),
        ("LISTEN 0 32 [fe80::1]%eth0:21 [::]:*", "[fe80::1]:21"),
        ("LISTEN 0 32 127.0.0.1%lo:21 0.0.0.0:*", "127.0.0.1:21"),
    ] {
        assert_eq!(socket(line).map(|socket| socket.local), Some(endpoint(at)), "{line}");
    }
    assert_eq!(interface("  1  lo  sideways  ::1"), None);
    assert_eq!(setting("net.ipv4.ip_forward=1"), None);
}

#[test]
fn what_people_wrote_for_people_is_left_out() {
    let nft = "tcp dport 21 log prefix \"for bob: \" counter accept comment \"a \\\" # handle 1\n\
               snat ip prefix to 10.0.0.0/8\niifname \"eth0\" comment \"x\ny\" drop";
    assert_eq!(
        masked(nft, Tool::Nft),
        "tcp dport 21 log prefix \"***\" counter accept comment \"***\" # handle 1\n\
         snat ip prefix to 10.0.0.0/8\niifname \"eth0\" comment \"***\" drop"
    );
    let saved = "[1:60] -A INPUT -m comment --comment \"a \\\"b c\" -j LOG --log-prefix secret\n\
                 [0:0] -A INPUT -m string --string pass=word --algo bm -m string --hex-string \"|de ad|\" -j DROP";
    assert_eq!(
        masked(saved, Tool::IptablesLegacy),
        "[1:60] -A INPUT -m comment --comment \"***\" -j LOG --log-prefix \"***\"\n\
         [0:0] -A INPUT -m string --string \"***\" --algo bm -m string --hex-string \"***\" -j DROP"
    );
}

fn any_endpoint() -> impl Strategy<Value = Endpoint> {
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(|(ip, port)| Endpoint { ip: ip.to_canonical(), port })
}

prop_compose! {
    fn any_tuple()(source in any_endpoint(), destination in any_endpoint()) -> Tuple {
        Tuple { source, destination }
    }
}

prop_compose! {
    fn any_tracked()(
        original in any_tuple(), reply in any_tuple(), seconds in 0_u32.., bits in 0_u32..4,
        helper in proptest::option::of("[a-z]{1,8}"), state in proptest::option::of(0_usize..9),
    ) -> Tracked {
        use conntrack::State::*;
        let states = [SynSent, SynRecv, Established, FinWait, CloseWait, LastAck, TimeWait, Close, SynSent2];
        Tracked {
            time: Time(0),
            change: Change::Update,
            original,
            reply,
            state: state.map(|state| states[state]),
            status: Status(bits << 1),
            timeout: Some(Duration::from_secs(seconds.into())),
            helper,
            master: None,
        }
    }
}

prop_compose! {
    fn any_socket()(
        local in any_endpoint(), remote in any_endpoint(), retransmits in any::<u8>(),
        receive_queue in any::<u32>(), send_queue in any::<u32>(), state in 0_usize..3,
    ) -> socket::Socket {
        let state = [socket::State::Listen, socket::State::SynSent, socket::State::SynRecv][state];
        socket::Socket { state, local, remote, retransmits, receive_queue, send_queue, uid: 0 }
    }
}

proptest! {
    #[test]
    fn connections_and_sockets_come_back(tracked in any_tracked(), one in any_socket()) {
        prop_assert_eq!(connection(&connection_line(&tracked)), Some(tracked));
        prop_assert_eq!(socket(&socket_line(&one)), Some(one));
    }

    #[test]
    fn damage_is_borne(at in any::<prop::sample::Index>(), with in "\\PC{0,12}|\n{1,2}|== [a-z]{1,4}\n", cut in 0_usize..40) {
        let saved = "*filter\n:INPUT DROP [5:300]\n[1:60] -A INPUT -p tcp -j DROP\nCOMMIT";
        let parts = [
            (NFT, Ok(NFT_LIST)), (SAVED[0].0, Ok(saved)), (SAVED[2].0, Ok(saved)), (SAVED[3].0, Ok("")),
            (INTERFACES, Ok("  1  lo  up  ::1")), (SETTINGS, Ok("a = b")), (SOCKETS, Ok("LISTEN 0 0 [::]:21 [::]:*")),
        ];
        let mut text: Vec<char> = text(&parts).chars().collect();
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, with.chars());
        let text: String = text.into_iter().collect();
        if let Err(fault) = parse(&text) {
            prop_assert!(fault.line <= text.lines().count() && !fault.what.is_empty());
        }
    }

    #[test]
    fn a_mask_keeps_what_it_need_not_hide(text in "[a-z \n\t{}]{0,60}") {
        prop_assert_eq!(masked(&text, Tool::IptablesNft), text.clone());
        prop_assert_eq!(masked(&text, Tool::Nft), text);
    }
}
