//! A client and a server, joined by a veth.

use std::process::Command;

use crate::host::{Fallible, Host, output};

/// Address of the server.
pub(crate) const SERVER: &str = "10.1.0.2";

pub(crate) struct Pair {
    pub(crate) client: Host,
    pub(crate) server: Host,
}

/// Links and addresses. Ends of connections that are over must not use up the ports of those to come.
const SET_UP: &str = "\
    ip link add eth0 netns $CLIENT type veth peer name eth0 netns $SERVER; \
    for host in $CLIENT $SERVER; do \
        nsenter -t $host --net sysctl -qw net.ipv4.ip_local_port_range='10000 65000' net.ipv4.tcp_tw_reuse=1 \
            net.core.somaxconn=4096; \
    done";

impl Pair {
    pub(crate) fn new() -> Fallible<Pair> {
        let (client, server) = (Host::start("client")?, Host::start("server")?);
        output(Command::new("sh").args(["-ec", SET_UP]).env("CLIENT", client.id()).env("SERVER", server.id()), "")?;
        client.run("ip addr add 10.1.0.1/24 dev eth0; ip link set eth0 up")?;
        server.run(&format!("ip addr add {SERVER}/24 dev eth0; ip link set eth0 up"))?;
        Ok(Pair { client, server })
    }
}

/// A program in the network of a host and in no other of its namespaces: it is a child of this process, so that its account
/// can be had.
pub(crate) fn beside(host: &Host, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &host.id(), "--net", "--", program]);
    command
}
