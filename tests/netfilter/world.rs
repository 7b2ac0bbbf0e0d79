//! Client - this host - server, each in a network namespace of its own. This host is the one with the firewall; the client
//! and the server reach each other through it.

use std::process::{Command, Stdio};

use crate::host::{Fallible, Host, output};

/// A host of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Here,
    Server,
}

pub(crate) struct World {
    client: Host,
    server: Host,
}

/// Links and addresses. Nothing may come unasked for, so that counters are the same each time.
const SET_UP: &str = "\
    mount -t tmpfs none /run; ip link set lo up; \
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; \
    for end in '1 client '$CLIENT '2 server '$SERVER; do \
        set -- $end; \
        ip link add $2 type veth peer name eth0 netns $3; \
        ip addr add 10.$1.0.1/24 dev $2; ip -6 addr add fd0$1::1/64 dev $2 nodad; ip link set $2 up; \
    done";

/// The same at an end.
fn set_up(net: u8) -> String {
    format!(
        "ip addr add 10.{net}.0.2/24 dev eth0; ip -6 addr add fd0{net}::2/64 dev eth0 nodad; ip link set eth0 up; \
         ip route add default via 10.{net}.0.1; ip -6 route add default via fd0{net}::1"
    )
}

impl World {
    pub(crate) fn new() -> Fallible<World> {
        let (client, server) = (Host::start("client")?, Host::start("server")?);
        output(Command::new("sh").args(["-ec", SET_UP]).env("CLIENT", client.id()).env("SERVER", server.id()), "")?;
        client.run(&set_up(1))?;
        server.run(&set_up(2))?;
        Ok(World { client, server })
    }

    /// Runs a shell script on this host; what it printed.
    pub(crate) fn here(&self, script: &str) -> Fallible<String> {
        output(Command::new("sh").args(["-ec", script]), "")
    }

    /// The address of an end, as another sees it.
    pub(crate) fn address(to: End, from: End, v6: bool) -> String {
        let (net, host) = match (to, from) {
            (End::Client, _) => (1, 2),
            (End::Server, _) => (2, 2),
            (End::Here, End::Server) => (2, 1),
            (End::Here, _) => (1, 1),
        };
        if v6 { format!("fd0{net}::{host}") } else { format!("10.{net}.0.{host}") }
    }

    /// Runs a script of bash(1) on the client.
    pub(crate) fn client(&self, script: &str) -> Fallible<()> {
        output(self.client.command("bash").args(["-ec", script]), "").map(drop)
    }

    /// A command that runs on this host or on the server.
    pub(crate) fn command(&self, on: End, program: &str) -> Command {
        if on == End::Server { self.server.command(program) } else { Command::new(program) }
    }

    /// Connects, sends some bytes if it is let, and gives up before anything is repeated.
    pub(crate) fn connect(&self, (from, to): (End, End), v6: bool, port: u16) -> Fallible<()> {
        let address = World::address(to, from, v6);
        let script = format!("exec 3<>/dev/tcp/{address}/{port}; head -c 200 /dev/zero >&3; sleep 0.1");
        let mut command = match from {
            End::Client => self.client.command("timeout"),
            End::Here => Command::new("timeout"),
            End::Server => self.server.command("timeout"),
        };
        command.args(["0.4", "bash", "-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().map(drop).map_err(|error| format!("bash: {error}"))
    }
}
