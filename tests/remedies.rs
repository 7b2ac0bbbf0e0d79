//! What remedies say is taken by the real tools.
//!
//! Sessions made by hand, of IPv4 and IPv6, are judged; every iptables, ip6tables and nft command of their remedies, and
//! of the golden reports in `captures/`, is run in a network namespace of its own, with the tables that the commands
//! presuppose, and the rule has to be there afterwards. Needs root and the tools; skipped, saying so, elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output};

use ftpwhy::cite::{At, Time};
use ftpwhy::line::{Place, Side};
use ftpwhy::packet::{Endpoint, Flags, Packet, Segment};
use ftpwhy::session::join::Session;
use ftpwhy::session::place::Placing;
use ftpwhy::session::tracker::{Config, Leg, Tracker};
use ftpwhy::verdict::{Remedy, TapFacts, Verdict, judge};
use serde_json::Value;

const SECOND: i64 = 1_000_000_000;

const SYN_ACK: Flags = Flags(0x12);

/// A session at one tap, told a packet at a time. Each takes 10 ms; every end counts its own bytes.
struct Talk {
    tracker: Tracker,
    client: Endpoint,
    server: Endpoint,
    now: i64,
    frame: u32,
    sent: [u32; 2],
}

impl Talk {
    fn begin(client: &str, server: &str) -> Talk {
        let config = Config { control_ports: vec![21], passive_range: None, leg: Leg::Both, sampled: false };
        let [client, server] = [(client, 50_123), (server, 21)]
            .map(|(ip, port)| Endpoint { ip: ip.parse().expect("an address is written here"), port });
        let mut tracker = Tracker::new(config);
        tracker.observe(&Packet::Other);
        Talk { tracker, client, server, now: SECOND, frame: 0, sent: [1000, 5000] }
    }

    /// The control connection is opened.
    fn open(client: &str, server: &str) -> Talk {
        let mut talk = Talk::begin(client, server);
        let (client, server) = (talk.client, talk.server);
        talk.packet((client, 1000, 0), server, Flags::SYN, b"");
        talk.packet((server, 5000, 1001), client, SYN_ACK, b"");
        talk.sent = [1001, 5001];
        talk.packet((client, 1001, 5001), server, Flags::ACK, b"");
        talk
    }

    fn logged_in(client: &str, server: &str) -> Talk {
        let mut talk = Talk::open(client, server);
        talk.server("220 ready").client("USER anonymous").server("230 in");
        talk
    }

    fn client(&mut self, line: &str) -> &mut Talk {
        self.line(Side::Client, line)
    }

    fn server(&mut self, line: &str) -> &mut Talk {
        self.line(Side::Server, line)
    }

    fn line(&mut self, from: Side, line: &str) -> &mut Talk {
        let text = format!("{line}\r\n");
        let (source, destination, own) = match from {
            Side::Client => (self.client, self.server, 0),
            Side::Server => (self.server, self.client, 1),
        };
        let (seq, ack) = (self.sent[own], self.sent[1 - own]);
        self.packet((source, seq, ack), destination, Flags::ACK | Flags::PSH, text.as_bytes());
        self.sent[own] += text.len() as u32;
        self.packet((destination, ack, self.sent[own]), source, Flags::ACK, b"");
        self
    }

    /// A SYN from `source`, sent four times in fifteen seconds.
    fn syn(&mut self, source: Endpoint, destination: Endpoint) -> &mut Talk {
        for _ in 0..4 {
            self.packet((source, 77, 0), destination, Flags::SYN, b"");
            self.wait(5);
        }
        self
    }

    fn wait(&mut self, seconds: i64) -> &mut Talk {
        self.now += seconds * SECOND;
        self
    }

    fn packet(&mut self, (source, seq, ack): (Endpoint, u32, u32), destination: Endpoint, flags: Flags, text: &[u8]) {
        self.now += SECOND / 100;
        self.frame += 1;
        let segment = Segment {
            at: At { time: Time(self.now), frame: self.frame, file: 0 },
            interface: 0,
            direction: None,
            source,
            destination,
            ttl: if source.ip == self.client.ip { 64 } else { 60 },
            ip_id: 0,
            seq,
            ack,
            flags,
            window: 64_000,
            urgent: 0,
            options: &[],
            text,
            text_len: text.len() as u32,
            checkable: None,
        };
        self.tracker.advance(Time(self.now));
        self.tracker.observe(&Packet::Segment(segment));
    }

    /// The verdict on the control connection, else that on the first transfer.
    fn verdict(&mut self, place: Place) -> Verdict {
        self.tracker.finish();
        let view = self.tracker.poll().expect("there is a session");
        let taps = [TapFacts { census: self.tracker.census(), ..TapFacts::default() }];
        let judgement = judge(&Session::of_one(view, 0, &Placing::Given(place)), &taps);
        let transfers = judgement.transfers.into_iter().filter_map(|(_, verdict)| verdict);
        judgement.control.1.into_iter().chain(transfers).next().expect("something went wrong")
    }
}

/// Addresses of client and server, with the words for them in PORT and 227, or EPRT and 229.
struct Ends {
    client: &'static str,
    server: &'static str,
    active: (&'static str, &'static str),
    passive: (&'static str, &'static str),
}

const V4: Ends = Ends {
    client: "172.16.0.99",
    server: "172.16.0.10",
    active: ("PORT 172,16,0,99,192,8", "200 fine"),
    passive: ("PASV", "227 Entering Passive Mode (172,16,0,10,156,71)."),
};

const V6: Ends = Ends {
    client: "2001:db8:1::99",
    server: "2001:db8:2::10",
    active: ("EPRT |2|2001:db8:1::99|49160|", "200 fine"),
    passive: ("EPSV", "229 Entering Extended Passive Mode (|||40007|)"),
};

fn at(ip: IpAddr, port: u16) -> Endpoint {
    Endpoint { ip, port }
}

/// The server opens a data connection, and its SYN, if seen, is not answered.
fn active(ends: &Ends, place: Place, from: Option<u16>) -> Verdict {
    let mut talk = Talk::logged_in(ends.client, ends.server);
    talk.client(ends.active.0).server(ends.active.1).client("LIST");
    if let Some(port) = from {
        talk.syn(at(talk.server.ip, port), at(talk.client.ip, 49_160));
    }
    talk.wait(60).server("425 Failed to establish connection.").client("QUIT").server("221 bye");
    talk.verdict(place)
}

/// The client opens a data connection, and its SYN is not answered.
fn passive(ends: &Ends, place: Place) -> Verdict {
    let mut talk = Talk::logged_in(ends.client, ends.server);
    talk.client(ends.passive.0).server(ends.passive.1).client("LIST");
    talk.syn(at(talk.client.ip, 50_124), at(talk.server.ip, 40_007));
    talk.wait(60).server("425 Failed to establish connection.").client("QUIT").server("221 bye");
    talk.verdict(place)
}

/// The SYN-ACK of the data connection reaches the client, which goes on sending SYNs.
fn half_open(ends: &Ends) -> Verdict {
    let mut talk = Talk::logged_in(ends.client, ends.server);
    talk.client(ends.passive.0).server(ends.passive.1).client("LIST");
    let (client, server) = (at(talk.client.ip, 50_124), at(talk.server.ip, 40_007));
    for _ in 0..4 {
        talk.packet((client, 77, 0), server, Flags::SYN, b"");
        talk.packet((server, 99, 78), client, SYN_ACK, b"");
        talk.wait(5);
    }
    talk.wait(60).server("425 Failed to establish connection.").client("QUIT").server("221 bye");
    talk.verdict(Place::Client)
}

fn control_unanswered(ends: &Ends) -> Verdict {
    let mut talk = Talk::begin(ends.client, ends.server);
    talk.syn(talk.client, talk.server).wait(60);
    talk.verdict(Place::Server)
}

/// Full-size segments of the server are sent again and again.
fn too_big(ends: &Ends) -> Verdict {
    let mut talk = Talk::logged_in(ends.client, ends.server);
    talk.client(ends.passive.0).server(ends.passive.1).client("RETR file");
    let (client, server) = (at(talk.client.ip, 50_124), at(talk.server.ip, 40_007));
    talk.packet((client, 77, 0), server, Flags::SYN, b"");
    talk.packet((server, 99, 78), client, SYN_ACK, b"");
    talk.packet((client, 78, 100), server, Flags::ACK, b"");
    talk.server("150 here it comes");
    for _ in 0..6 {
        talk.packet((server, 100, 78), client, Flags::ACK, &[b'x'; 1448]);
        talk.wait(5);
    }
    talk.wait(60).server("426 Failure writing network stream.").client("QUIT").server("221 bye");
    talk.verdict(Place::Server)
}

fn commands<'a>(remedies: &'a [Remedy], tool: &str) -> Vec<&'a str> {
    let of_tool = |(name, command): &'a (&'static str, String)| (*name == tool).then_some(command.as_str());
    remedies.iter().flat_map(|remedy| &remedy.commands).filter_map(of_tool).collect()
}

fn boxes(verdict: &Verdict) -> Vec<&str> {
    verdict.remedies.iter().map(|remedy| remedy.on).collect()
}

#[test]
fn the_clients_own_firewall_dropped_active_data() {
    let verdict = active(&V4, Place::Client, Some(20));
    assert_eq!((verdict.rule.id, boxes(&verdict)), ("O5", vec!["client", "client", "client"]));
    let open = &verdict.remedies[..1];
    let iptables = "iptables -I INPUT -s 172.16.0.10 -p tcp --sport 20 --dport 1024:65535 -j ACCEPT";
    assert_eq!(commands(open, "iptables"), [iptables]);
    let windows = "netsh advfirewall firewall add rule name=\"FTP\" action=allow protocol=TCP dir=in \
                   remoteip=172.16.0.10 remoteport=20 localport=1024-65535";
    assert_eq!(commands(open, "Windows"), [windows]);
    let helper = &verdict.remedies[1..2];
    assert_eq!(commands(helper, "iptables")[0], "iptables -t raw -A OUTPUT -p tcp --dport 21 -j CT --helper ftp");
    assert!(verdict.remedies[2].text.english().contains("passive mode"));
}

#[test]
fn a_port_that_changes_every_time_is_no_part_of_a_rule() {
    let verdict = active(&V6, Place::Client, Some(41_234));
    let iptables = "ip6tables -I INPUT -s 2001:db8:2::10 -p tcp --dport 1024:65535 -j ACCEPT";
    assert_eq!(commands(&verdict.remedies[..1], "ip6tables"), [iptables]);
    assert_eq!(
        commands(&verdict.remedies[..1], "nftables"),
        ["nft insert rule inet filter input ip6 saddr 2001:db8:2::10 tcp dport 1024-65535 accept"]
    );
}

#[test]
fn active_data_that_came_nowhere_near_the_client_speak_for_passive_mode_first() {
    let verdict = active(&V4, Place::Client, None);
    assert_eq!((verdict.rule.id, boxes(&verdict)), ("O1", vec!["client", "router", "server", "router"]));
    assert!(verdict.remedies[0].text.english().contains("passive mode"));
    assert!(verdict.remedies[1].text.english().starts_with("If it is a router or firewall between: "));
    assert_eq!(
        commands(&verdict.remedies[1..2], "iptables"),
        ["iptables -I FORWARD -s 172.16.0.10 -d 172.16.0.99 -p tcp --dport 1024:65535 -j ACCEPT"]
    );
}

#[test]
fn the_server_pins_a_range_around_the_port_that_failed() {
    let verdict = passive(&V4, Place::Server);
    assert_eq!((verdict.rule.id, boxes(&verdict)), ("O5", vec!["server", "server", "client"]));
    let open = &verdict.remedies[..1];
    assert!(open[0].text.english().contains("Port 40007 failed"), "{}", open[0].text.english());
    assert!(!open[0].text.english().contains("cloud"), "the SYN came as far as the host: {}", open[0].text.english());
    assert_eq!(commands(open, "vsftpd"), ["pasv_min_port=40000", "pasv_max_port=40099"]);
    assert_eq!(commands(open, "iptables"), ["iptables -I INPUT -p tcp --dport 40000:40099 -j ACCEPT"]);
    assert_eq!(commands(open, "ufw"), ["ufw allow 40000:40099/tcp"]);
}

#[test]
fn beyond_the_client_host_and_router_are_told_apart() {
    let verdict = passive(&V6, Place::Client);
    assert_eq!((verdict.rule.id, boxes(&verdict)), ("O5", vec!["server", "router", "router", "client"]));
    assert!(verdict.remedies[0].text.english().starts_with("If it is the server's own firewall: "));
    assert!(verdict.remedies[0].text.english().contains("cloud"));
    assert_eq!(
        commands(&verdict.remedies[1..2], "nftables"),
        ["nft insert rule inet filter forward ip6 daddr 2001:db8:2::10 tcp dport 40000-40099 accept"]
    );
}

#[test]
fn a_server_that_sends_no_syn_looks_into_its_log_or_its_output_chain() {
    let verdict = active(&V4, Place::Server, None);
    assert_eq!((verdict.rule.id, boxes(&verdict)), ("O1", vec!["server", "server", "client"]));
    assert!(verdict.remedies[0].text.english().contains("its log tells"));
    assert_eq!(
        commands(&verdict.remedies[..1], "iptables"),
        ["iptables -I OUTPUT -d 172.16.0.99 -p tcp --dport 1024:65535 -j ACCEPT"]
    );
}

#[test]
fn a_dropped_answer_is_no_matter_of_ports() {
    let verdict = half_open(&V6);
    assert_eq!((verdict.rule.id, boxes(&verdict)), ("O6", vec!["client"]));
    assert_eq!(
        commands(&verdict.remedies, "ip6tables"),
        ["ip6tables -I INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
    );
}

#[test]
fn a_refusal_asks_for_no_firewall_command() {
    let mut talk = Talk::logged_in(V4.client, V4.server);
    talk.client("PASV").server(V4.passive.1).client("RETR no-such-file").server("550 Failed to open file.");
    let verdict = talk.wait(1).client("QUIT").server("221 bye").verdict(Place::Client);
    assert_eq!(verdict.rule.id, "T6");
    assert!(verdict.remedies.iter().all(|remedy| remedy.commands.is_empty()), "{:?}", verdict.remedies);
}

#[test]
fn no_helper_is_offered_that_could_not_read_the_negotiation() {
    let mut talk = Talk::logged_in(V4.client, V4.server);
    talk.client("LPRT 4,4,172,16,0,99,2,192,8").server("200 fine").client("LIST");
    talk.syn(at(talk.server.ip, 20), at(talk.client.ip, 49_160));
    let verdict = talk.wait(60).server("425 no").client("QUIT").server("221 bye").verdict(Place::Client);
    let texts: Vec<_> = verdict.remedies.iter().map(|remedy| remedy.text.english()).collect();
    assert!(!texts.is_empty() && texts.iter().all(|text| !text.contains("helper")), "{texts:?}");
}

#[test]
fn what_a_server_says_is_no_part_of_a_command() {
    let hostile = "227 Entering $(reboot);`reboot`' (172,16,0,10,156,71).";
    let verdict = passive(&Ends { passive: ("PASV", hostile), ..V4 }, Place::Server);
    let commands = || verdict.remedies.iter().flat_map(|remedy| &remedy.commands);
    assert!(commands().any(|(_, command)| command.contains("40000:40099")), "{:?}", verdict.remedies);
    assert!(commands().all(|(_, command)| !command.contains("reboot")), "{:?}", verdict.remedies);
}

/// A network namespace that goes with the test, whatever its end.
struct Namespace(String);

impl Namespace {
    /// With the table and the chains that the nft commands presuppose; none where it cannot be made.
    fn new() -> Option<Namespace> {
        let name = format!("ftpwhy-remedy-{}", std::process::id());
        let added = Command::new("ip").args(["netns", "add", &name]).output().ok()?;
        let namespace = added.status.success().then_some(Namespace(name))?;
        let tools = ["iptables -S", "ip6tables -S", "nft add table inet filter"];
        let all_there = tools.iter().all(|tool| namespace.run(tool).status.success());
        for hook in ["input", "forward", "output"] {
            namespace.run(&format!("nft 'add chain inet filter {hook} {{ type filter hook {hook} priority 0; }}'"));
        }
        all_there.then_some(namespace)
    }

    fn run(&self, command: &str) -> Output {
        let shell = ["netns", "exec", &self.0, "sh", "-c", command];
        Command::new("ip").args(shell).output().expect("ip was found before")
    }

    /// What nft holds with a handle of its own: tables, chains, objects and rules.
    fn handles(&self) -> usize {
        let ruleset = self.run("nft -a list ruleset");
        String::from_utf8_lossy(&ruleset.stdout).matches("# handle").count()
    }

    /// Runs a command that adds a rule, and looks for the rule.
    fn add(&self, command: &str) {
        let check = command.replacen(" -I ", " -C ", 1).replacen(" -A ", " -C ", 1);
        let is_there = || self.run(&check).status.success();
        let of_nft = command.starts_with("nft ");
        let before = self.handles();
        assert!(of_nft || !is_there(), "there before: {command}");
        let output = self.run(command);
        assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
        let added = if of_nft { self.handles() == before + 1 } else { is_there() };
        assert!(added, "nothing is there after: {command}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let deleted = Command::new("ip").args(["netns", "del", &self.0]).status();
        assert!(deleted.is_ok_and(|status| status.success()), "the namespace {} is left", self.0);
    }
}

#[test]
fn iptables_and_nft_take_every_command_and_hold_the_rule() {
    let mut commands = commands_of_captures();
    for ends in [V4, V6] {
        let verdicts = [
            active(&ends, Place::Client, Some(20)),
            active(&ends, Place::Client, Some(41_234)),
            active(&ends, Place::Client, None),
            active(&ends, Place::Server, None),
            active(&ends, Place::Between, Some(20)),
            passive(&ends, Place::Client),
            passive(&ends, Place::Server),
            half_open(&ends),
            control_unanswered(&ends),
            too_big(&ends),
        ];
        for remedy in verdicts.iter().flat_map(|verdict| &verdict.remedies) {
            commands.extend(remedy.commands.iter().map(|(_, command)| command.clone()));
        }
    }
    let mut seen = BTreeSet::new();
    commands.retain(|command| adds_a_rule(command) && seen.insert(command.clone()));
    let Some(namespace) = Namespace::new() else {
        eprintln!("skipped: needs root, `ip netns`, iptables and nft");
        return;
    };
    for needed in ["raw -A PREROUTING", "raw -A OUTPUT", "TCPMSS", "nft add ct helper", "ip6tables -I", "ip6 saddr"] {
        assert!(commands.iter().any(|command| command.contains(needed)), "no command with {needed}");
    }
    commands.iter().for_each(|command| namespace.add(command));
}

/// A command that changes a packet filter, and not one that only looks.
fn adds_a_rule(command: &str) -> bool {
    let filters = ["iptables ", "ip6tables ", "nft "];
    let adds = [" -I ", " -A ", "nft add ", "nft insert "];
    filters.iter().any(|tool| command.starts_with(tool)) && adds.iter().any(|verb| command.contains(verb))
}

/// All commands of the golden reports.
fn commands_of_captures() -> Vec<String> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut folders: Vec<_> =
        fs::read_dir(captures).expect("captures is there").flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut commands = Vec::new();
    for report in folders.iter().filter_map(|folder| fs::read_to_string(folder.join("replay.jsonl")).ok()) {
        for line in report.lines() {
            let session: Value = serde_json::from_str(line).expect("a golden line is JSON");
            collect(&session, &mut |command| commands.push(command.to_owned()));
        }
    }
    commands
}

/// Calls `each` for every command of every remedy in a session.
fn collect(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::Array(commands) if name == "commands" => {
                        commands.iter().filter_map(Value::as_str).for_each(&mut *each);
                    }
                    other => collect(other, each),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, each)),
        _ => {}
    }
}
