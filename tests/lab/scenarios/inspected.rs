//! Boxes that look into the session: they reset it at a word, or answer in the server's place; and servers that inspect
//! where the data connection comes from.

use ftpwhy::line::Side;
use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::firewall::Tool::{self, *};
use crate::line::{At, Line};
use crate::scenario::{Check, Scenario, When};
use crate::scenarios::nat::helper;
use crate::scenarios::rules::{Fate, only};
use crate::server::{Program::*, Tls};

pub(crate) fn all() -> Vec<Scenario> {
    [resets(), stand_ins(), reuse()].concat()
}

/// Commands of the control connection that a router answers with RST, to its sender alone.
fn resets() -> Vec<Scenario> {
    let new = |name: &str, row, story: &str, tool: Tool, word: &str| {
        let rules = format!(
            "-A FORWARD -p tcp -m tcp --dport 21 -m string --algo bm --string \"{word}\" -m comment --comment blamed -j REJECT \
             --reject-with tcp-reset"
        );
        Scenario::new(format!("inspected-{name}"), row, story)
            .line(Line::plain(2, false))
            .rules(At::Router(0), tool, rules)
            .loses(Lost::ControlSegments, At::Router(0), Mechanism::Interrupted)
            .toward(Side::Server)
    };
    vec![
        new("port", "H12", "an inspecting router resets the session at PORT", IptablesNft, "PORT ")
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::List),
        new("auth", "H11", "an inspecting router resets the session at AUTH", IptablesLegacy, "AUTH ")
            .programs(Proftpd, Curl)
            .tls(Tls::Explicit),
    ]
}

/// Data connections that reach another host than the server.
fn stand_ins() -> Vec<Scenario> {
    let accept = "setsid /usr/bin/python3 -c 'import socket\ns = socket.create_server((\"\", 40000))\nall = []\n\
                  while True: all.append(s.accept())' >/dev/null 2>&1 &";
    let taken = "setsid /usr/bin/python3 -c 'import socket, time\nall = [socket.create_server((\"\", port)) for port in (40000, \
                 40001)]\ntime.sleep(99)' >/dev/null 2>&1 &";
    let redirect = "table ip nat { chain prerouting { type nat hook prerouting priority -100; tcp dport 40000-40010 counter \
                    redirect to :40000 comment \"blamed\"; } }";
    let elsewhere = "table ip nat { chain prerouting { type nat hook prerouting priority -100; tcp dport 40000-40010 counter \
                     dnat to 192.168.30.10 comment \"blamed\"; } }";
    let second = "table ip nat { chain postrouting { type nat hook postrouting priority 100; tcp sport 20 counter snat to \
                  192.168.20.11; } }";
    vec![
        Scenario::new("stand-in-proxy", "T15", "a router takes the data connection itself, and nothing comes of it")
            .programs(Vsftpd, Ftplib)
            .patience(6)
            .event(When::Ready, At::Router(0), accept)
            .rules(At::Router(0), Nft, redirect)
            .fails(Some(At::Router(0)), Mechanism::Stalled),
        Scenario::new(
            "range-taken",
            "P17",
            "the passive range is taken, and the server uses a port that the firewall keeps closed",
        )
        .programs(Proftpd, Curl)
        .server_options("PassivePorts 40000 40001\n")
        .event(When::Early, At::Server, taken)
        .rules(At::Server, IptablesNft, only(IptablesNft, "input", "21, 40000-40001", Fate::Drop, false))
        .loses(Lost::DataSyn, At::Server, Mechanism::SilentDrop),
        Scenario::new("stand-in-balancer", "P16", "a balancer sends the data connection to another server")
            .programs(Vsftpd, Lftp)
            .other(Vsftpd, "")
            .rules(At::Router(0), Nft, elsewhere)
            .fails(Some(At::Router(0)), Mechanism::TcpReset),
        Scenario::new(
            "second-address",
            "H16",
            "the server connects from its other address, which the helper does not expect",
        )
        .programs(Vsftpd, Tnftp)
        .transfer(Mode::Port, Does::List)
        .event(When::Early, At::Server, "ip addr add 192.168.20.11/24 dev eth0")
        .rules(At::Server, Nft, second)
        .rules(At::Router(0), Nft, helper(Nft, &["prerouting"], 21))
        .rules(At::Router(0), Nft, only(Nft, "forward", "21, 22", Fate::Drop, false))
        .loses(Lost::DataSyn, At::Router(0), Mechanism::SilentDrop),
    ]
}

/// Servers that want the data connection to continue the control connection's TLS session, and a client that does not.
fn reuse() -> Vec<Scenario> {
    let new = |name: &str, tls| {
        Scenario::new(format!("tls-reuse-{name}"), "T06", "the server demands that the TLS session be resumed")
            .tls(tls)
            .unknowable()
    };
    vec![
        new("vsftpd-ftplib", Tls::Explicit)
            .programs(Vsftpd, Ftplib)
            .server_options("require_ssl_reuse=YES\n")
            .check(Check::Said("522")),
        new("proftpd-ftplib", Tls::Explicit)
            .programs(Proftpd, Ftplib)
            .server_options("TLSOptions AllowClientRenegotiations\n")
            .check(Check::Said("425"))
            .check(Check::Logged("reuse")),
        Scenario::new("tls-reuse-ok", "", "a client that resumes the TLS session")
            .tls(Tls::Explicit)
            .programs(Vsftpd, Curl)
            .server_options("require_ssl_reuse=YES\n"),
    ]
}
