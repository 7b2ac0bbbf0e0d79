//! Connections that were up: data or control segments vanish, are reset, or are too long for the path.

use std::time::Duration;

use ftpwhy::line::Side;
use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::Does::{self, *};
use crate::client::{Mode::*, Program::*};
use crate::files::BIG;
use crate::firewall::Tool::{self, *};
use crate::line::{At, Line, Wire};
use crate::scenario::{Check, Scenario, Taps, When};
use crate::scenarios::nat;
use crate::server::Program::*;

pub(crate) fn all() -> Vec<Scenario> {
    [stalls(), resets(), path_mtu(), idle(), control()].concat()
}

/// The twin at taps where the client's commands do not come any more.
const SILENT: &str = "a client that has nothing to say after its first transfer";

/// From 100,000 bytes of a connection on, does this to its packets; the control connection is left alone.
fn after_bytes(tool: Tool, hook: &str, which: &str, nft: &str, iptables: &str) -> String {
    match tool {
        Nft => format!(
            "chain {hook} {{ type filter hook {hook} priority 0; tcp sport 21 accept; tcp dport 21 accept; \
             {which} ct bytes > 100000 counter {nft} comment \"blamed\"; }}"
        ),
        _ => {
            let hook = hook.to_uppercase();
            format!(
                "-A {hook} -p tcp -m tcp --sport 21 -j ACCEPT\n-A {hook} -p tcp -m tcp --dport 21 -j ACCEPT\n\
                 -A {hook} {which} -p tcp -m connbytes --connbytes 100000: --connbytes-dir both --connbytes-mode bytes \
                 -m comment --comment blamed -j {iptables}"
            )
        }
    }
}

/// An upload by a client that stays when it fails, until the server that waits for more loses patience.
const STAY: &str = "try:\n    f.storbinary('STOR big.bin', open('big.bin', 'rb'))\nexcept OSError:\n    time.sleep(9)";

fn toward(does: Does) -> Side {
    if matches!(does, Put(_)) { Side::Server } else { Side::Client }
}

/// A live capture keeps a few segments of data: of some stalls, only the receiver's FIN that comes again and again tells.
const FAREWELL: Duration = Duration::from_millis(2400);

fn stalls() -> Vec<Scenario> {
    let (get, put) = (Get(BIG), Put(BIG));
    let rows = [
        ("get-router1", (1, false), (At::Router(0), "forward"), Nft, (Vsftpd, Ftplib), (Pasv, get)),
        ("get-router2", (2, false), (At::Router(1), "forward"), IptablesNft, (Proftpd, Curl), (Epsv, get)),
        ("get-router1-v6", (2, true), (At::Router(0), "forward"), IptablesLegacy, (PureFtpd, Tnftp), (Epsv, get)),
        ("get-client", (1, false), (At::Client, "input"), Nft, (Vsftpd, Curl), (Port, get)),
        ("put-router1", (1, false), (At::Router(0), "forward"), IptablesNft, (Vsftpd, Ftplib), (Pasv, put)),
        ("put-router2", (2, false), (At::Router(1), "forward"), Nft, (Proftpd, Lftp), (Port, put)),
        ("put-server-v6", (2, true), (At::Server, "input"), IptablesLegacy, (PureFtpd, Curl), (Epsv, put)),
    ];
    let scenario = |(name, (routers, v6), (at, hook), tool, (server, client), (mode, does))| {
        Scenario::new(format!("stall-{name}"), "T02", "the data connection goes dark in mid-transfer")
            .line(Line::plain(routers, v6))
            .programs(server, client)
            .transfer(mode, does)
            .patience(9)
            .rest(FAREWELL)
            .rules(at, tool, after_bytes(tool, hook, "", "drop", "DROP"))
            .loses(Lost::DataSegments, at, Mechanism::Stalled)
            .toward(toward(does))
    };
    rows.into_iter().map(scenario).collect()
}

/// The last one's server has all data in its socket's buffer, and has said so, when the reset comes.
fn resets() -> Vec<Scenario> {
    let (nft, iptables) = ("reject with tcp reset", "REJECT --reject-with tcp-reset");
    let (get, put) = (Get(BIG), Put(BIG));
    let rows = [
        ("get-sender", (1, false), 0, Nft, "iifname right", (Vsftpd, Curl), (Pasv, get)),
        ("get-both", (1, false), 0, IptablesNft, "", (Proftpd, Ftplib), (Epsv, get)),
        ("put-sender", (2, false), 0, IptablesLegacy, "-i left", (Vsftpd, Ftplib), (Pasv, put)),
        ("put-both-v6", (2, true), 1, Nft, "meta l4proto tcp", (PureFtpd, Curl), (Epsv, put)),
        ("get-sender-active", (2, false), 1, IptablesNft, "-i right", (PureFtpd, Tnftp), (Port, get)),
    ];
    let scenario = |(name, (routers, v6), router, tool, which, (server, client), (mode, does))| {
        Scenario::new(format!("reset-{name}"), "T03", "a router resets the data connection in mid-transfer")
            .line(Line::plain(routers, v6))
            .programs(server, client)
            .transfer(mode, does)
            .patience(9)
            .script(if name == "put-sender" { STAY } else { "" })
            .rules(At::Router(router), tool, after_bytes(tool, "forward", which, nft, iptables))
            .loses(Lost::DataSegments, At::Router(router), Mechanism::Interrupted)
            .toward(toward(does))
    };
    let said_done = scenario(("get-said-done", (2, false), 1, IptablesNft, "-i right", (PureFtpd, Tnftp), (Port, get)))
        .line(Line { wire: Some(Wire { delay: 40, rewrites: None }), ..Line::plain(2, false) })
        .event(When::Early, At::Server, "sysctl -qw net.ipv4.tcp_wmem='4096 1000000 4000000'")
        .check(Check::Server("226 "));
    rows.into_iter().map(scenario).chain([said_done]).collect()
}

fn path_mtu() -> Vec<Scenario> {
    let narrow = |v6| Line { mtu: 1400, ..Line::plain(2, v6) };
    let silent = |tool, v6| match (tool, v6) {
        (Nft, false) => {
            "chain output { type filter hook output priority 0; icmp type destination-unreachable icmp code \
                         frag-needed counter drop comment \"blamed\"; }"
        }
        (Nft, true) => {
            "chain output { type filter hook output priority 0; icmpv6 type packet-too-big counter drop comment \
                        \"blamed\"; }"
        }
        (_, _) => "-A OUTPUT -p icmp -m icmp --icmp-type fragmentation-needed -m comment --comment blamed -j DROP",
    };
    let new = |name: &str, v6, router, tool, does| {
        Scenario::new(format!("path-mtu-{name}"), "T04", "a narrow link whose router may not say so")
            .line(narrow(v6))
            .patience(7)
            .transfer(if v6 { Epsv } else { Pasv }, does)
            .rules(At::Router(router), tool, silent(tool, v6))
            .loses(Lost::DataSegments, At::Router(router), Mechanism::PathMtu)
            .toward(toward(does))
    };
    let long =
        "chain forward { type filter hook forward priority 0; meta length > 1400 counter drop comment \"blamed\"; }";
    vec![
        new("get", false, 1, Nft, Get(BIG)).programs(Vsftpd, Curl),
        new("put", false, 0, IptablesLegacy, Put(BIG)).programs(Proftpd, Lftp),
        new("get-v6", true, 1, Nft, Get(BIG)).programs(PureFtpd, Ftplib),
        Scenario::new("path-mtu-one-way", "T14", "a rule drops long packets to the client: an upload passes, a download does not")
            .programs(Vsftpd, Ftplib)
            .transfer(Pasv, Get(BIG))
            .script("import io\nf.storbinary('STOR up.bin', io.BytesIO(bytes(60000)))\nf.retrbinary('RETR pub/big.bin', open('big.bin', 'wb').write)")
            .rules(At::Router(0), IptablesNft, "-A FORWARD -i right -m length --length 1401: -m comment --comment blamed -j DROP")
            .loses(Lost::DataSegments, At::Router(0), Mechanism::PathMtu)
            .toward(Side::Client),
        Scenario::new("path-mtu-rule", "T04", "a rule drops long packets")
            .programs(Pyftpdlib, Lftp)
            .transfer(Pasv, Get(BIG))
            .rules(At::Router(0), Nft, long)
            .loses(Lost::DataSegments, At::Router(0), Mechanism::PathMtu)
            .toward(Side::Client),
    ]
}

/// The router forgets the control connection after three seconds; the transfer takes longer.
fn idle() -> Vec<Scenario> {
    let stateful = "chain forward { type filter hook forward priority 0; policy drop; ct state established accept; iifname \
                    left tcp flags & (fin|syn|rst|ack) == syn accept; counter drop comment \"blamed\"; }";
    let new = |name: &str, story: &str| {
        Scenario::new(format!("idle-{name}"), "T01", story)
            .transfer(Pasv, Get(BIG))
            .server_options("local_max_rate=50000\n")
            .patience(12)
            .loses(Lost::ControlSegments, At::Router(0), Mechanism::IdleExpiry)
            .toward(Side::Client)
            .check(Check::Server("226 "))
            .check(Check::ClientLacks("226 "))
            .event(When::Ready, At::Router(0), "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=3")
    };
    vec![
        new("nat", "the NAT forgets the control connection while data run")
            .line(nat::CLIENT_NAT)
            .programs(Vsftpd, Curl)
            .rules(At::Router(0), Nft, nat::masquerade(Nft)),
        new("firewall", "the firewall forgets the control connection while data run")
            .programs(Vsftpd, Lftp)
            .event(When::Ready, At::Router(0), "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0")
            .rules(At::Router(0), Nft, stateful),
    ]
}

/// The control connection is cut between two listings.
fn control() -> Vec<Scenario> {
    let script = "f.cwd('pub')\nf.retrlines('LIST')\ntime.sleep(2)\nf.retrlines('LIST')";
    let new = |name: &str, story: &str| {
        Scenario::new(format!("control-later-{name}"), "T12", story)
            .transfer(Pasv, List)
            .script(script)
            .patience(5)
            .unjudged_content()
    };
    let chain = "chain forward { type filter hook forward priority 0; }";
    vec![
        new("reset", "the router begins to reset the control connection")
            .programs(Vsftpd, Ftplib)
            .rules(At::Router(0), Nft, chain)
            .event(
                When::After(1000),
                At::Router(0),
                "nft add rule inet filter forward tcp dport 21 counter reject with tcp reset comment blamed",
            )
            .loses(Lost::ControlSegments, At::Router(0), Mechanism::Interrupted)
            .toward(Side::Server)
            .twin(Taps::Among(&["between-2", "server"]), None, SILENT),
        new("drop", "the router begins to drop the client's commands")
            .programs(Proftpd, Ftplib)
            .rules(At::Router(0), IptablesNft, ":FORWARD ACCEPT [0:0]")
            .event(
                When::After(1000),
                At::Router(0),
                "iptables-nft -A FORWARD -p tcp --dport 21 -m comment --comment blamed -j DROP",
            )
            .loses(Lost::ControlSegments, At::Router(0), Mechanism::Stalled)
            .toward(Side::Server)
            .twin(Taps::Among(&["between-2", "server"]), None, SILENT),
        new("drop-replies", "the second router begins to drop the server's replies")
            .line(Line::plain(2, false))
            .programs(PureFtpd, Ftplib)
            .rules(At::Router(1), IptablesLegacy, ":FORWARD ACCEPT [0:0]")
            .event(
                When::After(1000),
                At::Router(1),
                "iptables-legacy -w -A FORWARD -p tcp --sport 21 -m comment --comment blamed -j DROP",
            )
            .loses(Lost::ControlSegments, At::Router(1), Mechanism::Stalled)
            .toward(Side::Client),
        Scenario { row: "T09", ..new("ban", "the server's host bans the client") }
            .programs(Proftpd, Ftplib)
            .rules(At::Server, Nft, "chain input { type filter hook input priority 0; }")
            .event(
                When::After(1000),
                At::Server,
                "nft insert rule inet filter input ip saddr 192.168.10.99 counter drop comment blamed",
            )
            .loses(Lost::ControlSegments, At::Server, Mechanism::Stalled)
            .toward(Side::Server),
    ]
}
