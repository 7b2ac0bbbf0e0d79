//! One transfer in five acts, with the ruleset that CentOS 6 came with: 21 is opened, then the client's own firewall drops
//! the server's connection, then passive mode meets the server's last rule.

use ftpwhy::verdict::{Lost, Mechanism};

use crate::client::{Does, Mode, Program::*};
use crate::files::SMALL;
use crate::firewall::Tool::*;
use crate::line::{At, Line};
use crate::scenario::{Check, Scenario};
use crate::server::Program::*;

/// The ruleset of the server, with the rules that the story adds by and by.
fn centos(opened: &[&str]) -> String {
    let opened =
        opened.iter().map(|ports| format!("-A INPUT -p tcp -m state --state NEW -m tcp --dport {ports} -j ACCEPT\n"));
    format!(
        "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n\
         -A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT\n{}\
         -A INPUT -m comment --comment blamed -j REJECT --reject-with icmp-host-prohibited\n\
         -A FORWARD -j REJECT --reject-with icmp-host-prohibited",
        opened.collect::<String>()
    )
}

/// The same without a rule to blame.
fn innocent(opened: &[&str]) -> String {
    centos(opened).replace(" -m comment --comment blamed", "")
}

/// The client's own rules.
const CLIENT: &str = ":INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\n\
                      -A INPUT -m state --state ESTABLISHED -j ACCEPT\n-A INPUT -m comment --comment blamed -j DROP";

pub(crate) fn all() -> Vec<Scenario> {
    let act = |number: usize, row, story: &str| {
        Scenario::new(format!("story-{number}"), row, story)
            .line(Line::plain(0, false))
            .programs(Vsftpd, Tnftp)
            .transfer(Mode::Port, Does::Put(SMALL))
            .login("anonymous", "lab@example.org")
    };
    vec![
        act(1, "T11", "the server's firewall rejects port 21").rules(At::Server, IptablesLegacy, centos(&[])).loses(
            Lost::ControlSyn,
            At::Server,
            Mechanism::IcmpReject,
        ),
        act(2, "A02", "21 is open; the client's firewall drops the server's data connection")
            .rules(At::Server, IptablesLegacy, innocent(&["21"]))
            .rules(At::Client, IptablesLegacy, CLIENT)
            .loses(Lost::DataSyn, At::Client, Mechanism::SilentDrop)
            .check(Check::Client("425 Failed to establish connection")),
        act(3, "", "the client's firewall is open; the same put succeeds").rules(
            At::Server,
            IptablesLegacy,
            innocent(&["21"]),
        ),
        act(4, "P02", "passive: the server's last rule rejects the passive port")
            .transfer(Mode::Pasv, Does::Put(SMALL))
            .rules(At::Server, IptablesLegacy, centos(&["21"]))
            .loses(Lost::DataSyn, At::Server, Mechanism::IcmpReject),
        act(5, "", "the passive range is open too").transfer(Mode::Pasv, Does::Put(SMALL)).rules(
            At::Server,
            IptablesLegacy,
            innocent(&["21", "40000:40010"]),
        ),
    ]
}
