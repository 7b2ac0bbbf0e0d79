//! Snapshots of a host beside a capture of it: what they add to a verdict, and when they add nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The client's capture of the story: five SYNs to 172.16.0.99:40191 are not answered, from 09:04:13 to 09:04:18 UTC.
const CAPTURE: &str = "captures/story-2-active-put/client.pcap";
const BEFORE: u64 = 1_795_511_000;
const AFTER: u64 = 1_795_512_000;

const ACCEPT: &str = "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT";
const DROP: &str = "-A INPUT -p tcp -m tcp --dport 1024:65535 -j DROP";

/// A snapshot of the client: rules of iptables-legacy, each with what it counted.
fn state(time: u64, address: &str, policy: &str, rules: &[(u32, &str)]) -> String {
    let rules: String = rules.iter().map(|(packets, rule)| format!("[{packets}:0] {rule}\n")).collect();
    format!(
        "ftpwhy snapshot 1\n== date\n{time}.000000000 for people\n== ftpwhy interfaces\n  1  lo  up  127.0.0.1\n  2  eth0  up  \
         {address}\n== sysctl\nnet.ipv4.ip_forward = 0\n== nft -a list ruleset\n== iptables-legacy-save -c\n*filter\n:INPUT {policy} [0:0]\n{rules}COMMIT\n\
         == ip6tables-legacy-save -c\n== conntrack -L -p tcp\n== ss -Htano\n== end\n"
    )
}

/// The report of the client's capture with these snapshots.
fn report(name: &str, states: &[String]) -> String {
    report_of(&[CAPTURE], name, states)
}

/// The report of a capture of a failure, with further arguments, and these snapshots.
fn report_of(arguments: &[&str], name: &str, states: &[String]) -> String {
    let (report, status) = told_of(arguments, name, states);
    assert_eq!(status, Some(1), "{report}");
    report
}

/// The same of any capture, and the exit status.
fn told_of(arguments: &[&str], name: &str, states: &[String]) -> (String, Option<i32>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let files: Vec<PathBuf> = (0..states.len()).map(|n| folder.join(format!("state-{name}-{n}.txt"))).collect();
    let mut replay = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
    replay.arg("replay").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (file, state) in files.iter().zip(states) {
        fs::write(file, state).expect("the folder for tests is writable");
        replay.arg("--client-state").arg(file);
    }
    let output = replay.output().expect("the program runs");
    files.iter().for_each(|file| fs::remove_file(file).expect("it is there"));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).expect("what is told is UTF-8"), output.status.code())
}

const RULE: &str = "rule 2 of the chain INPUT (iptables-legacy, table filter)";

fn dropping(time: u64, packets: u32) -> String {
    state(time, "172.16.0.99", "ACCEPT", &[(30, ACCEPT), (packets, DROP)])
}

#[test]
fn the_rule_that_counted_what_was_lost_is_named() {
    let sentence = format!("The client's own firewall dropped the server's data connection: {RULE}. [certain]");
    for (before, after, rose) in [(7, 12, Some(5)), (7, 20, Some(13)), (12, 5, None)] {
        let report = report(&format!("counts-{before}-{after}"), &[dropping(BEFORE, before), dropping(AFTER, after)]);
        assert!(report.contains(&sentence), "{before} {after}: {report}");
        let told = rose.map_or("by the rules nothing else can become of it".to_owned(), |rose| {
            format!("its counter rose by {rose} meanwhile")
        });
        assert!(report.contains(&told), "{before} {after}: {report}");
    }
    let unmoved = report("unmoved", &[dropping(BEFORE, 7), dropping(AFTER, 7)]);
    assert!(!unmoved.contains(RULE) && unmoved.contains("do not tell by what"), "{unmoved}");
}

#[test]
fn an_annotated_capture_keeps_whose_it_is_and_takes_snapshots_again() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("state-annotated.pcapng");
    let path = file.to_str().expect("a path that is text");
    let states = [dropping(BEFORE, 7), dropping(AFTER, 12)];
    let told = report_of(&[CAPTURE, "--annotate", path], "annotate", &states);
    assert!(told.contains(RULE), "{told}");
    let alone = report_of(&[path], "annotated-alone", &[]);
    let sentence = "The client's own firewall dropped the server's data connection. [certain]";
    assert!(alone.contains(sentence), "the host's addresses are kept: {alone}");
    assert!(report_of(&[path], "annotated-again", &states).contains(RULE), "{told}");
}

#[test]
fn counters_of_another_time_tell_nothing_and_those_of_another_host_neither() {
    let elsewhere = |time, packets| state(time, "172.16.0.98", "ACCEPT", &[(30, ACCEPT), (packets, DROP)]);
    let early = [dropping(BEFORE, 7), dropping(BEFORE + 1, 12)];
    let late = [dropping(AFTER, 7), dropping(AFTER + 1, 12)];
    for (name, states) in [("early", early), ("late", late)] {
        let report = report(name, &states);
        assert!(report.contains("by the rules nothing else can become of it"), "{name}: {report}");
        assert!(report.contains(&format!("{RULE}. [likely]")), "rules of another time: {name}: {report}");
    }
    let report = report("elsewhere", &[elsewhere(BEFORE, 7), elsewhere(AFTER, 12)]);
    assert!(!report.contains("rule 2"), "{report}");
}

#[test]
fn that_no_rule_drops_is_told_only_where_it_is_so() {
    let told = "the rules of this host let it pass";
    let open = state(AFTER, "172.16.0.99", "ACCEPT", &[(30, ACCEPT)]);
    let report = |name, state: &str| report(name, &[state.to_owned()]);
    let report_of_open = report("open", &open);
    assert!(report_of_open.contains(told) && report_of_open.contains("look elsewhere"), "{report_of_open}");
    let unknown = open.replace("== nft -a list ruleset\n", "== nft -a list ruleset\nabsent: no right\n");
    let policy = state(AFTER, "172.16.0.99", "DROP", &[(30, ACCEPT)]);
    for (name, state) in [("unknown", unknown), ("policy", policy), ("drop", dropping(AFTER, 12))] {
        assert!(!report(name, &state).contains(told), "{name}");
    }
}

#[test]
fn what_the_kernel_followed_has_passed() {
    let followed = |syn: &str| {
        let line = format!("== conntrack -L -p tcp\n{syn}\n");
        [dropping(BEFORE, 7), dropping(AFTER, 12).replace("== conntrack -L -p tcp\n", &line)]
    };
    let syn = "tcp      6 115 SYN_SENT src=172.16.0.10 dst=172.16.0.99 sport=20 dport=40191 [UNREPLIED] src=172.16.0.99 \
               dst=172.16.0.10 sport=40191 dport=20";
    let passed = "the SYN to 172.16.0.99:40191 has passed the rules of this host";
    let told = report("followed", &followed(syn));
    assert!(told.contains(passed) && !told.contains("rule 2"), "{told}");
    let other = report("other", &followed(&syn.replace("40191", "40192")));
    assert!(!other.contains(passed) && other.contains("rule 2"), "{other}");
}

/// The capture holds packets from 01:57:36 to 01:57:48 UTC, and the snapshots are of 39.2 and 43.3 seconds.
#[test]
fn a_socket_that_tried_in_vain_is_told_of_where_the_capture_would_show_a_try() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/C16-control-syn-unseen");
    let capture = folder.join("client-any.pcap").display().to_string();
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("the snapshot is there");
    let (before, after) = (read("client-before.txt"), read("client-after.txt"));
    let edited = |text: &str, old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    };
    let told = |name: &str, further: &[&str], states: &[&String]| {
        let states: Vec<String> = states.iter().copied().cloned().collect();
        told_of(&[&[capture.as_str()], further].concat(), &format!("in-vain-{name}"), &states)
    };
    let (report, status) = told("whole", &["--unfiltered"], &[&before, &after]);
    assert!(report.contains("C16 control-syn-unseen") && status == Some(1), "{report}");

    let followed = "tcp      6 115 SYN_SENT src=192.168.10.99 dst=192.168.20.10 sport=41572 dport=21 [UNREPLIED] \
                    src=192.168.20.10 dst=192.168.10.99 sport=2121 dport=41572";
    let part = "== conntrack -L -p tcp\n";
    let passed = edited(&after, part, &format!("{part}{followed}\n"));
    let unasked = edited(&after, part, &format!("{part}absent: no right\n"));
    let once = edited(&after, "timer:(on,0ms,5)", "timer:(on,0ms,1)");
    let other = edited(&after, "192.168.10.99:41572", "192.168.10.99:41574");
    let late = edited(&after, "1795831063.", "1795831163.");
    let early = edited(&before, "1795831059.", "1795830959.");
    let port = edited(&after, "192.168.20.10:21 ", "192.168.20.10:22 ");
    let untold = "the socket 192.168.10.99:41572 > 192.168.20.10:21 sent its SYN again between two snapshots";
    let nothing: [(&str, &[&str], &[&String], bool); 9] = [
        ("filtered", &[], &[&before, &after], true),
        ("late", &["--unfiltered"], &[&before, &late], true),
        ("early", &["--unfiltered"], &[&early, &after], true),
        ("one", &["--unfiltered"], &[&after], false),
        ("passed", &["--unfiltered"], &[&before, &passed], false),
        ("unasked", &["--unfiltered"], &[&before, &unasked], false),
        ("once", &["--unfiltered"], &[&before, &once], false),
        ("other", &["--unfiltered"], &[&before, &other], false),
        ("port", &["--unfiltered"], &[&before, &port], false),
    ];
    for (name, further, states, doubts) in nothing {
        let (report, status) = told(name, further, states);
        assert!(report.contains("0 sessions") && status == Some(0), "{name}: {report}");
        assert_eq!(report.contains(untold), doubts, "{name}: {report}");
    }
    // of an interface whose link layer is not known, perhaps: LINUX_SLL, not LINUX_SLL2
    let mut bytes = fs::read(&capture).expect("the capture is there");
    assert_eq!(bytes.get(20..24), Some(&[20, 1, 0, 0][..]), "the link type of a little-endian file");
    bytes[20..22].copy_from_slice(&[113, 0]);
    let cooked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("state-cooked.pcap");
    fs::write(&cooked, bytes).expect("the folder for tests is writable");
    let arguments = [cooked.to_str().expect("a path that is text"), "--unfiltered"];
    let (report, _) = told_of(&arguments, "in-vain-cooked", &[before.clone(), after.clone()]);
    assert!(report.contains("0 sessions") && report.contains(untold), "{report}");

    // of one interface, which these snapshots fit in time
    let (before, after) = (edited(&before, "1795831059.", "1795511054."), edited(&after, "1795831063.", "1795511057."));
    let (report, _) = told_of(&[CAPTURE, "--unfiltered"], "in-vain-interface", &[before.clone(), after.clone()]);
    assert!(report.contains("1 session,") && !report.contains("C16") && report.contains(untold), "{report}");

    // of which it shows a packet
    let shown =
        |state: &str| edited(state, "192.168.10.99:41572 192.168.20.10:21 ", "172.16.0.99:41734 172.16.0.10:21 ");
    let (report, _) = told_of(&[CAPTURE], "in-vain-shown", &[shown(&before), shown(&after)]);
    assert!(report.contains("1 session,") && !report.contains("sent its SYN again"), "{report}");
}
