//! Firewalls that count: connections at once, or connections in a time. What comes first passes.

use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::SMALL;
use crate::firewall::Tool::*;
use crate::line::{At, Line};
use crate::scenario::{Scenario, Taps};
use crate::server::Program::*;

/// A session that takes its time.
const SLOW: &str = "time.sleep(8)\nf.cwd('pub')\nf.retrlines('LIST')";

/// Two listings, each with its data connection.
const TWICE: &str = "f.cwd('pub')\nf.retrlines('LIST')\nf.retrlines('LIST')";

pub(crate) fn all() -> Vec<Scenario> {
    let new =
        |name: &str, story: &str| Scenario::new(format!("limited-{name}"), "T08", story).partly().unjudged_content();
    let syn = "tcp flags & (fin|syn|rst|ack) == syn";
    let count = |hook: &str, ports: &str, fate: &str| {
        format!(
            "chain {hook} {{ type filter hook {hook} priority 0; {ports} {syn} ct count over 1 counter {fate} comment \"blamed\"; }}"
        )
    };
    let limit = |hook: &str, ports: &str, target: &str| {
        format!(
            "-A {hook} -p tcp -m multiport --dports {ports} --syn -m hashlimit --hashlimit-above 1/min --hashlimit-burst 1 \
             --hashlimit-mode srcip --hashlimit-name lab -m comment --comment blamed -j {target}"
        )
    };
    vec![
        new("sessions", "the server's host lets one session in at once")
            .programs(Vsftpd, Ftplib)
            .script(SLOW)
            .clients(2)
            .patience(9)
            .rules(At::Server, Nft, count("input", "tcp dport 21", "drop"))
            .loses(Lost::ControlSyn, At::Server, Mechanism::SilentDrop),
        new("sessions-reject", "the router lets one session through at once")
            .line(Line::plain(2, false))
            .programs(Proftpd, Ftplib)
            .script(SLOW)
            .clients(2)
            .rules(
                At::Router(0),
                IptablesNft,
                "-A FORWARD -p tcp -m tcp --dport 21 --syn -m connlimit --connlimit-above 1 -m comment --comment blamed -j \
                 REJECT --reject-with icmp-admin-prohibited",
            )
            .loses(Lost::ControlSyn, At::Router(0), Mechanism::IcmpReject)
            .twin(
                Taps::Among(&["between-2", "between-3", "between-4", "server"]),
                None,
                "there is one client, and the session that passes here is its own",
            ),
        new("rate-passive", "the server's host lets one data connection in a minute")
            .programs(PureFtpd, Ftplib)
            .transfer(Mode::Pasv, Does::List)
            .script(TWICE)
            .patience(5)
            .rules(At::Server, IptablesLegacy, limit("INPUT", "40000:40010", "DROP"))
            .loses(Lost::DataSyn, At::Server, Mechanism::SilentDrop),
        new("rate-active", "the router lets one data connection through in a minute, and resets the next")
            .line(Line::plain(1, true))
            .programs(Vsftpd, Ftplib)
            .transfer(Mode::Eprt, Does::Get(SMALL))
            .script(TWICE)
            .rules(At::Router(0), IptablesNft, limit("FORWARD", "1024:65535", "REJECT --reject-with tcp-reset"))
            .loses(Lost::DataSyn, At::Router(0), Mechanism::TcpReset),
    ]
}
