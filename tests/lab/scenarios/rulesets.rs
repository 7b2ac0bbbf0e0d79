//! Rules that are not in a chain of the filter table itself: before connection tracking, in chains of the user's own, behind
//! sets and verdict maps.

use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::SMALL;
use crate::firewall::Tool::*;
use crate::line::{At, Line};
use crate::scenario::Scenario;
use crate::server::Program::*;

pub(crate) fn all() -> Vec<Scenario> {
    [early(), jumps(), sets()].concat()
}

fn new(name: &str, row: &'static str, (routers, v6): (usize, bool), story: &str) -> Scenario {
    Scenario::new(format!("ruleset-{name}"), row, story).line(Line::plain(routers, v6))
}

/// The passive range, in a rule of iptables.
const RANGE: &str = "-p tcp -m tcp --dport 40000:40010 -m comment --comment blamed";

/// Rules before connection tracking.
fn early() -> Vec<Scenario> {
    let nft = |hook: &str, which: &str| {
        format!(
            "table inet early {{ chain {hook} {{ type filter hook {hook} priority -300; {which} counter drop comment \"blamed\"; }} }}"
        )
    };
    let raw = |rule: &str| format!("*raw\n{rule} -j DROP\nCOMMIT");
    vec![
        new("raw-nft", "P01", (1, false), "the server's host drops before connection tracking")
            .programs(Vsftpd, Curl)
            .rules(At::Server, Nft, nft("prerouting", "tcp dport 40000-40010"))
            .loses(Lost::DataSyn, At::Server, Mechanism::SilentDrop),
        new("raw-iptables-nft-v6", "P06", (1, true), "the router drops before connection tracking")
            .programs(PureFtpd, Ftplib)
            .transfer(Mode::Epsv, Does::Get(SMALL))
            .rules(At::Router(0), IptablesNft, raw(&format!("-A PREROUTING {RANGE}")))
            .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
        new("raw-legacy-active", "A02", (2, false), "the client's host drops before connection tracking")
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::List)
            .rules(
                At::Client,
                IptablesLegacy,
                raw("-A PREROUTING -p tcp -m tcp --sport 20 -m comment --comment blamed"),
            )
            .loses(Lost::DataSyn, At::Client, Mechanism::SilentDrop),
        new("raw-output-nft-active", "A06", (1, false), "the server's host drops its own before connection tracking")
            .programs(Vsftpd, Curl)
            .transfer(Mode::Port, Does::List)
            .rules(At::Server, Nft, nft("output", "tcp sport 20"))
            .loses(Lost::DataSyn, At::Server, Mechanism::NeverSent),
    ]
}

/// Rules in chains that are jumped to.
fn jumps() -> Vec<Scenario> {
    let iptables = |hook: &str, rule: &str| {
        format!(":FTP - [0:0]\n-A {hook} -p tcp -j FTP\n-A FTP -p tcp -m tcp --dport 21 -j RETURN\n-A FTP {rule}")
    };
    vec![
        new("jump-nft-v6", "P01", (2, true), "a chain of the user's own on the server's host drops")
            .programs(Proftpd, Curl)
            .transfer(Mode::Epsv, Does::List)
            .rules(
                At::Server,
                Nft,
                "chain ftp { tcp dport 21 accept; tcp dport 40000-40010 counter drop comment \"blamed\"; }\n\
                 chain input { type filter hook input priority 0; meta l4proto tcp jump ftp; }",
            )
            .loses(Lost::DataSyn, At::Server, Mechanism::SilentDrop),
        new("jump-iptables-nft", "P04", (1, false), "a chain of the user's own on the router resets")
            .programs(Vsftpd, Lftp)
            .rules(
                At::Router(0),
                IptablesNft,
                iptables("FORWARD", &format!("{RANGE} -j REJECT --reject-with tcp-reset")),
            )
            .loses(Lost::DataSyn, At::Router(0), Mechanism::TcpReset),
        new("jump-legacy", "P06", (2, false), "a chain of the user's own on the router drops")
            .programs(Pyftpdlib, Ftplib)
            .rules(At::Router(1), IptablesLegacy, iptables("FORWARD", &format!("{RANGE} -j DROP")))
            .loses(Lost::DataSyn, At::Router(1), Mechanism::SilentDrop),
        new("jump-legacy-output-v6", "P09", (1, true), "a chain of the user's own on the client's host drops its own")
            .programs(PureFtpd, Curl)
            .transfer(Mode::Epsv, Does::Get(SMALL))
            .rules(At::Client, IptablesLegacy, iptables("OUTPUT", &format!("{RANGE} -j DROP")))
            .loses(Lost::DataSyn, At::Client, Mechanism::NeverSent),
        new(
            "jump-iptables-nft-output",
            "A06",
            (1, false),
            "a chain of the user's own on the server's host rejects its own",
        )
        .programs(Vsftpd, Tnftp)
        .transfer(Mode::Port, Does::List)
        .rules(
            At::Server,
            IptablesNft,
            iptables("OUTPUT", "-p tcp -m tcp --sport 20 -m comment --comment blamed -j REJECT"),
        )
        .loses(Lost::DataSyn, At::Server, Mechanism::NeverSent)
        .on_loopback(Some(Mechanism::IcmpReject)),
    ]
}

/// Rules that look ports up.
fn sets() -> Vec<Scenario> {
    vec![
        new("set-nft", "P06", (1, false), "the router drops what is in a set")
            .programs(Vsftpd, Lftp)
            .rules(
                At::Router(0),
                Nft,
                "set closed { type inet_service; flags interval; elements = { 1024-2120, 40000-40010 }; }\n\
                 chain forward { type filter hook forward priority 0; tcp dport @closed counter drop comment \"blamed\"; }",
            )
            .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
        new("map-nft", "P01", (2, false), "a verdict map of the server's host drops")
            .programs(Proftpd, Ftplib)
            .rules(
                At::Server,
                Nft,
                "map fates { type inet_service : verdict; flags interval; elements = { 21 : accept, 40000-40010 : drop }; }\n\
                 chain input { type filter hook input priority 0; counter tcp dport vmap @fates comment \"blamed\"; }",
            )
            .loses(Lost::DataSyn, At::Server, Mechanism::SilentDrop),
        new("map-jump-nft-v6", "A05", (1, true), "a verdict map of the router leads to a chain that rejects")
            .programs(Vsftpd, Curl)
            .transfer(Mode::Eprt, Does::List)
            .rules(
                At::Router(0),
                Nft,
                "chain data { counter reject with icmpv6 admin-prohibited comment \"blamed\"; }\n\
                 chain forward { type filter hook forward priority 0; ct state established accept; \
                 tcp sport vmap { 20 : jump data, 21 : accept }; }",
            )
            .loses(Lost::DataSyn, At::Router(0), Mechanism::IcmpReject),
    ]
}
