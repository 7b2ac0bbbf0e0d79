//! Address translation on either side, with and without the helper.

use ftpwhy::line::Side;
use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::{MID, SMALL};
use crate::firewall::Tool::{self, *};
use crate::line::{At, HAIRPIN, Line, Plan};
use crate::scenario::{Check, Scenario, Taps, When};
use crate::server::Program::*;

pub(crate) const CLIENT_NAT: Line = Line { plan: Plan::ClientNat, ..Line::plain(2, false) };
const CLIENT_NAT_V6: Line = Line { v6: true, ..CLIENT_NAT };
const SERVER_NAT_V6: Line = Line { v6: true, ..SERVER_NAT };
const SERVER_NAT: Line = Line { plan: Plan::ServerNat, ..Line::plain(2, false) };
const HAIRPIN_NAT: Line = Line { plan: Plan::Hairpin, ..Line::plain(1, false) };

/// The addresses of the server's router and of the server behind it.
const PUBLIC: &str = "192.0.2.2";
const PRIVATE: &str = "10.0.0.20";

/// The twin of a server behind a NAT that announces its own address: the same words, and another box was to mend them.
const EITHER: &str = "the server is set up as its router's helper wants it, and the router has lost its helper";

/// A twin at taps that see a foreign address and no SYN.
const UNSEEN: &str = "the SYN went to the control connection's address, and the opener's own host dropped it";

/// The taps that no SYN to a private address comes to.
const BEHIND_CLIENT: [&str; 4] = ["between-2", "between-3", "between-4", "server"];

/// Another one, where the SYN that they would have seen was not asked for.
const OBEYED: &str = "the client obeyed, called the private address, and its SYN never came here";

/// Hides what goes out to the right.
pub(crate) fn masquerade(tool: Tool) -> String {
    match tool {
        Nft => "table ip nat { chain postrouting { type nat hook postrouting priority 100; oifname \"right\" counter masquerade; } }".to_owned(),
        _ => "*nat\n-A POSTROUTING -o right -j MASQUERADE\nCOMMIT".to_owned(),
    }
}

/// Sends what comes for these ports of an address on to the server.
fn forward(tool: Tool, address: &str, ports: &[&str]) -> String {
    let rule = |port: &&str| match tool {
        Nft => format!("ip daddr {address} tcp dport {port} counter dnat to {PRIVATE}; "),
        _ => format!(
            "-A PREROUTING -d {address} -p tcp -m tcp --dport {} -j DNAT --to-destination {PRIVATE}\n",
            port.replace('-', ":")
        ),
    };
    let rules: String = ports.iter().map(rule).collect();
    match tool {
        Nft => format!("table ip nat {{ chain prerouting {{ type nat hook prerouting priority -100; {rules} }} }}"),
        _ => format!("*nat\n{rules}COMMIT"),
    }
}

/// The helper, assigned to control connections on port 21.
pub(crate) fn helper(tool: Tool, hooks: &[&str], port: u16) -> String {
    let (mut nft, mut iptables) = (String::new(), String::new());
    for hook in hooks {
        nft += &format!(
            "chain {hook} {{ type filter hook {hook} priority -150; tcp dport {port} ct helper set \"ftp-standard\"; }}\n"
        );
        iptables += &format!("-A {} -p tcp -m tcp --dport {port} -j CT --helper ftp\n", hook.to_uppercase());
    }
    match tool {
        Nft => format!("table inet helper {{\nct helper ftp-standard {{\ntype \"ftp\" protocol tcp;\n}}\n{nft}}}"),
        _ => format!("*raw\n{iptables}COMMIT"),
    }
}

/// What keeps the router's own ports quiet.
const CLOSED: &str = "-A INPUT -p tcp -m conntrack --ctstate NEW -m comment --comment blamed -j DROP";

pub(crate) fn all() -> Vec<Scenario> {
    [active(), answers(), passive(), v6(), hairpin(), two_addresses()].concat()
}

fn active() -> Vec<Scenario> {
    let new = |name: &str, row, story: &str, tool| {
        Scenario::new(format!("nat-active-{name}"), row, story).line(CLIENT_NAT).transfer(Mode::Port, Does::List).rules(
            At::Router(0),
            tool,
            masquerade(tool),
        )
    };
    let refused = |name: &str, tool| {
        let story = "a NAT without helper: the server refuses the private address";
        new(name, "A01", story, tool)
            .fails(Some(At::Router(0)), Mechanism::UnreachableAddress)
            .check(Check::Server(if name.ends_with("eprt") { "|192.168.1.50|" } else { "192,168,1,50," }))
    };
    let helped = |name: &str, tool| {
        let story = "a NAT with helper: the command is rewritten";
        let new = new(name, "A07", story, tool).rules(At::Router(0), tool, helper(tool, &["prerouting"], 21));
        new.check(Check::Server("198,51,100,7"))
    };
    vec![
        refused("refused-vsftpd", Nft).programs(Vsftpd, Tnftp).check(Check::Client("500 Illegal PORT")),
        refused("refused-pureftpd", IptablesNft).programs(PureFtpd, Ftplib).check(Check::Client("500 I won't open")),
        refused("refused-pyftpdlib", IptablesLegacy)
            .programs(Pyftpdlib, Inetutils)
            .check(Check::Client("Rejected data")),
        refused("refused-vsftpd-eprt", IptablesLegacy)
            .programs(Vsftpd, Curl)
            .transfer(Mode::Eprt, Does::List)
            .check(Check::Client("500 Illegal EPRT")),
        new("public-proftpd", "A01", "a NAT without helper: proftpd calls the NAT's own address, which drops it", Nft)
            .programs(Proftpd, Ftplib)
            .rules(At::Router(0), IptablesLegacy, CLOSED)
            .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
        new("private-pyftpdlib", "A01", "a NAT without helper: the server calls the private address", IptablesNft)
            .programs(Pyftpdlib, Lftp)
            .server_options("FTPHandler.permit_foreign_addresses = True\n")
            .fails(Some(At::Router(0)), Mechanism::UnreachableAddress)
            .check(Check::Server("192,168,1,50,"))
            .twin(Taps::Among(&["client", "between-1", "between-2", "between-3"]), Some(At::Server), UNSEEN),
        helped("helper-vsftpd", Nft).programs(Vsftpd, Tnftp).transfer(Mode::Port, Does::Put(SMALL)),
        helped("helper-pureftpd", IptablesNft).programs(PureFtpd, Ftplib),
        helped("helper-proftpd", IptablesLegacy).programs(Proftpd, Lftp).transfer(Mode::Port, Does::Get(MID)),
        new("helper-without-related", "H04", "a NAT with helper whose rules accept only established", IptablesNft)
            .programs(Vsftpd, Tnftp)
            .rules(At::Router(0), IptablesNft, helper(IptablesNft, &["prerouting"], 21))
            .rules(
                At::Router(0),
                IptablesNft,
                "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A FORWARD -i left -j ACCEPT\n\
                 -A FORWARD -m comment --comment blamed -j DROP",
            )
            // The first SYN is dropped; those that repeat it are not expected any more, and the router resets them.
            .loses(Lost::DataSyn, At::Router(0), Mechanism::TcpReset),
    ]
}

/// The NAT drops what the server says, by the address that its client has behind the NAT.
fn answers() -> Vec<Scenario> {
    let rule = "tcp sport 21 ip daddr 192.168.1.50 counter drop comment \"blamed\"";
    let chain = "chain forward { type filter hook forward priority 0; }";
    let new = |name: &str, row, story: &str| {
        Scenario::new(format!("nat-answers-{name}"), row, story)
            .line(CLIENT_NAT)
            .transfer(Mode::Pasv, Does::List)
            .rules(At::Router(0), IptablesNft, masquerade(IptablesNft))
    };
    vec![
        new("syn-ack", "T11", "a NAT drops the SYN-ACK by the client's own address")
            .programs(Vsftpd, Ftplib)
            .rules(At::Router(0), Nft, chain.replace("; }", &format!("; {rule}; }}")))
            .loses(Lost::ControlSynAck, At::Router(0), Mechanism::SilentDrop)
            .toward(Side::Client),
        new("later", "T12", "a NAT begins to drop the server's replies by the client's own address")
            .programs(Proftpd, Ftplib)
            .script("f.cwd('pub')\nf.retrlines('LIST')\ntime.sleep(2)\nf.retrlines('LIST')")
            .patience(5)
            .unjudged_content()
            .rules(At::Router(0), Nft, chain)
            .event(
                When::After(1000),
                At::Router(0),
                format!("nft add rule inet filter forward {}", rule.replace('"', "")),
            )
            .loses(Lost::ControlSegments, At::Router(0), Mechanism::Stalled)
            .toward(Side::Client),
    ]
}

fn passive() -> Vec<Scenario> {
    let new = |name: &str, row, story: &str, tool, ports: &[&str]| {
        Scenario::new(format!("nat-passive-{name}"), row, story)
            .line(SERVER_NAT)
            .transfer(Mode::Pasv, Does::List)
            .rules(At::Router(1), tool, forward(tool, PUBLIC, ports))
    };
    let all = &["21", "40000-40010"];
    let private = |name: &str, tool| {
        let story = "the server behind a NAT announces its private address";
        new(name, "P11", story, tool, all)
            .fails(Some(At::Server), Mechanism::UnreachableAddress)
            .check(Check::Client("10,0,0,20"))
    };
    let obeys = |name: &str, tool| {
        private(name, tool).twin(Taps::All, Some(At::Router(1)), EITHER).twin(
            Taps::Among(&BEHIND_CLIENT),
            Some(At::Client),
            UNSEEN,
        )
    };
    let refuses = |name: &str, tool| private(name, tool).twin(Taps::All, Some(At::Client), UNSEEN);
    vec![
        obeys("private-curl-obeys", Nft).programs(Vsftpd, Curl).script("--no-ftp-skip-pasv-ip"),
        obeys("private-lftp-obeys", IptablesLegacy)
            .programs(Proftpd, Lftp)
            .script("set ftp:fix-pasv-address no; ls pub"),
        obeys("private-ftplib-swallowed", IptablesNft)
            .programs(PureFtpd, Ftplib)
            .script("f.trust_server_pasv_ipv4_address = True\nf.retrlines('LIST')")
            .event(When::Early, At::Router(0), "ip route add blackhole 10.0.0.0/8"),
        refuses("private-tnftp-refuses", Nft).programs(Vsftpd, Tnftp),
        refuses("private-inetutils-refuses", IptablesNft).programs(PureFtpd, Inetutils),
        new("private-ignored", "P12", "the client ignores the private address", IptablesLegacy, all)
            .programs(Pyftpdlib, Ftplib)
            .transfer(Mode::Pasv, Does::Get(SMALL)),
        new("range-not-forwarded", "P14", "the passive range is not forwarded: the router resets", Nft, &["21"])
            .programs(Vsftpd, Lftp)
            .transfer(Mode::Epsv, Does::List)
            .loses(Lost::DataSyn, At::Router(1), Mechanism::TcpReset),
        new(
            "range-not-forwarded-drop",
            "P14",
            "the passive range is not forwarded: the router drops",
            IptablesNft,
            &["21"],
        )
        .programs(Proftpd, Curl)
        .transfer(Mode::Epsv, Does::List)
        .rules(At::Router(1), IptablesLegacy, CLOSED)
        .loses(Lost::DataSyn, At::Router(1), Mechanism::SilentDrop)
        .twin(Taps::Among(&["between-4", "server"]), Some(At::Server), OBEYED),
        new("helper", "A07", "a NAT with helper: 227 is rewritten, no range is forwarded", IptablesNft, &["21"])
            .programs(Vsftpd, Tnftp)
            .rules(At::Router(1), IptablesNft, helper(IptablesNft, &["prerouting"], 21))
            .check(Check::Client("192,0,2,2,")),
        new("public-announced", "", "the server announces the public address, the range is forwarded", Nft, all)
            .programs(PureFtpd, Tnftp)
            .server_options(format!("-P {PUBLIC}")),
        new(
            "both-mend-it",
            "H09",
            "pasv_address and helper: the helper makes nothing of a foreign address",
            Nft,
            &["21"],
        )
        .programs(Vsftpd, Tnftp)
        .server_options(format!("pasv_address={PUBLIC}\n"))
        .rules(At::Router(1), Nft, helper(Nft, &["prerouting"], 21))
        .loses(Lost::DataSyn, At::Router(1), Mechanism::TcpReset)
        .twin(Taps::Among(&["between-4", "server"]), Some(At::Server), OBEYED),
        new("nobody-announced", "P11", "pasv_address is one that nobody has", IptablesNft, all)
            .programs(Vsftpd, Ftplib)
            .server_options("pasv_address=192.0.2.77\n")
            .script("f.trust_server_pasv_ipv4_address = True\nf.retrlines('LIST')")
            .fails(Some(At::Server), Mechanism::UnreachableAddress)
            .check(Check::Server("192,0,2,77,"))
            .twin(Taps::Among(&BEHIND_CLIENT), Some(At::Client), UNSEEN),
    ]
}

/// The same over IPv6, which some do all the same.
fn v6() -> Vec<Scenario> {
    let nat = |tool, chain: &str, rule: &str| match tool {
        Nft => {
            let (hook, priority) = if chain == "POSTROUTING" { ("postrouting", 100) } else { ("prerouting", -100) };
            format!("table ip6 nat {{ chain {hook} {{ type nat hook {hook} priority {priority}; {rule}; }} }}")
        }
        _ => format!("*nat\n-A {chain} {rule}\nCOMMIT"),
    };
    let masquerade = |tool| match tool {
        Nft => nat(tool, "POSTROUTING", "oifname \"right\" counter masquerade"),
        _ => nat(tool, "POSTROUTING", "-o right -j MASQUERADE"),
    };
    let forward = |tool, ports: &str| match tool {
        Nft => nat(
            tool,
            "PREROUTING",
            &format!("ip6 daddr 2001:db8:6::2 tcp dport {{ {ports} }} counter dnat to fd00:2::20"),
        ),
        _ => {
            let ports = ports.replace(", ", ",").replace('-', ":");
            let to = "-j DNAT --to-destination fd00:2::20";
            nat(tool, "PREROUTING", &format!("-d 2001:db8:6::2 -p tcp -m multiport --dports {ports} {to}"))
        }
    };
    let client = |name: &str, row, story: &str, tool| {
        Scenario::new(format!("nat6-{name}"), row, story).line(CLIENT_NAT_V6).rules(
            At::Router(0),
            tool,
            masquerade(tool),
        )
    };
    let server = |name: &str, row, story: &str, tool, ports| {
        Scenario::new(format!("nat6-{name}"), row, story).line(SERVER_NAT_V6).transfer(Mode::Epsv, Does::List).rules(
            At::Router(1),
            tool,
            forward(tool, ports),
        )
    };
    vec![
        client("masquerade-epsv", "", "passive mode through the client's NAT", Nft)
            .programs(Vsftpd, Curl)
            .transfer(Mode::Epsv, Does::Get(SMALL)),
        client(
            "masquerade-eprt",
            "A01",
            "a NAT without helper: the server refuses the private address",
            IptablesLegacy,
        )
        .programs(Vsftpd, Curl)
        .transfer(Mode::Eprt, Does::List)
        .fails(Some(At::Router(0)), Mechanism::UnreachableAddress)
        .check(Check::Server("|fd00:1::50|"))
        .check(Check::Client("500 Illegal EPRT")),
        client("masquerade-helper", "A07", "a NAT with helper: the command is rewritten", IptablesNft)
            .programs(PureFtpd, Ftplib)
            .transfer(Mode::Eprt, Does::List)
            .rules(At::Router(0), IptablesNft, helper(IptablesNft, &["prerouting"], 21))
            .check(Check::Server("2001:0db8:0007:")),
        server("dnat-epsv", "", "the range is forwarded", IptablesNft, "21, 40000-40010").programs(Proftpd, Tnftp),
        server("dnat-range", "P14", "the passive range is not forwarded: the router resets", Nft, "21")
            .programs(PureFtpd, Ftplib)
            .loses(Lost::DataSyn, At::Router(1), Mechanism::TcpReset),
        server("dnat-range-drop", "P14", "the passive range is not forwarded: the router drops", IptablesLegacy, "21")
            .programs(Vsftpd, Lftp)
            .rules(At::Router(1), IptablesNft, CLOSED)
            .loses(Lost::DataSyn, At::Router(1), Mechanism::SilentDrop),
    ]
}

fn hairpin() -> Vec<Scenario> {
    let new = |name: &str, row, story: &str, tool, ports: &[&str]| {
        Scenario::new(format!("nat-hairpin-{name}"), row, story)
            .line(HAIRPIN_NAT)
            .server_options(format!("pasv_address={HAIRPIN}\n"))
            .rules(At::Router(0), tool, forward(tool, HAIRPIN, ports))
    };
    vec![
        new("reset", "P13", "insiders reach only port 21 of the public address", Nft, &["21"])
            .programs(Vsftpd, Lftp)
            .loses(Lost::DataSyn, At::Router(0), Mechanism::TcpReset)
            .twin(Taps::Among(&["between-2", "server"]), Some(At::Server), OBEYED),
        new("ok", "", "insiders reach all of the public address", IptablesLegacy, &["21", "40000-40010"])
            .programs(Vsftpd, Curl)
            .transfer(Mode::Pasv, Does::Get(SMALL)),
    ]
}

fn two_addresses() -> Vec<Scenario> {
    let rules = "table ip nat { chain postrouting { type nat hook postrouting priority 100; oifname \"right\" tcp dport 21 \
                 counter snat to 198.51.100.7; oifname \"right\" counter snat to 198.51.100.8 comment \"blamed\"; } }";
    let new = |name: &str| {
        Scenario::new(format!("nat-two-addresses-{name}"), "P15", "the NAT gives the data connection another address")
            .line(CLIENT_NAT)
            .transfer(Mode::Pasv, Does::List)
            .event(When::Early, At::Router(0), "ip addr add 198.51.100.8/24 dev right")
            .rules(At::Router(0), Nft, rules)
            .fails(None, Mechanism::RefusedByServer)
    };
    vec![
        new("vsftpd").programs(Vsftpd, Lftp).check(Check::Client("425 Security")),
        new("pureftpd")
            .programs(PureFtpd, Ftplib)
            .fails(Some(At::Server), Mechanism::RefusedByServer)
            .check(Check::Closed("203.0.113.10"))
            .twin(
                Taps::With(&["between-2", "between-3", "between-4", "server"]),
                None,
                "the server's program says why, as vsftpd does: nobody on the path is to blame",
            ),
    ]
}
