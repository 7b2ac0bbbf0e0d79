//! Runs one scenario: hosts, captures, rules, server, client; then what all of them say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::capture::Capture;
use crate::client::Does;
use crate::files::{FILES, File};
use crate::firewall::Trace;
use crate::host::{Fallible, Host};
use crate::line::{At, Line, Network};
use crate::live::Live;
use crate::scenario::{Event, Scenario, When};

/// What a scenario left behind.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Where the captures are.
    pub(crate) folder: PathBuf,
    /// The rules of every box that has some, with their counters.
    pub(crate) dumps: Vec<(At, String)>,
    /// What the client printed.
    pub(crate) said: String,
    /// What arrived, if a file was transferred.
    pub(crate) arrived: Option<Vec<u8>>,
    /// What became of the packets that were traced.
    pub(crate) trace: Option<String>,
    /// The server's configuration.
    pub(crate) server_config: String,
    /// What the server logged.
    pub(crate) logged: String,
    /// Frames that the wire rewrote.
    pub(crate) rewritten: usize,
}

/// Something else that every network carries. It shows that no filter hides what is no control connection.
pub(crate) const CHATTER: u16 = 80;

/// Where servers log: what they print, and files that some write.
const LOGS: &str = "/run/lab/log /run/lab/*.log";

/// The last greeting is captured within this time.
const LAST: Duration = Duration::from_millis(200);

/// Runs a scenario; captures go into `folder`.
pub(crate) fn run(scenario: &Scenario, folder: &Path, accounts: &Path) -> Fallible<Recording> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let line = scenario.line;
    let network = Network::build(line)?;
    let client = network.at(At::Client);
    let captures = capture(&network, line, folder)?;
    chatter(&network, line)?;
    happen(scenario, &network, When::Early)?;
    for (at, tool, rules) in &scenario.rules {
        tool.load(network.at(*at), rules, line.v6)?;
    }
    let mut server_config = scenario.server.start(network.at(At::Server), line.server(), accounts)?;
    if let Some(other) = &scenario.other {
        server_config += &other.start(network.at(At::Other), line.other_server(), accounts)?;
    }
    let trace = trace_of(scenario, &network)?;
    let live = watch(scenario, &network, folder)?;
    happen(scenario, &network, When::Ready)?;
    let said = thread::scope(|scope| {
        for event in &scenario.events {
            if let When::After(millis) = event.when {
                let host = network.at(event.at);
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(millis));
                    host.run(&event.command)
                });
            }
        }
        run_clients(scenario, client)
    })?;
    thread::sleep(scenario.rest);
    let dump = |(at, tool, _): &(At, crate::firewall::Tool, String)| Ok((*at, tool.dump(network.at(*at), line.v6)?));
    let trace = trace.map(Trace::stop).transpose()?;
    live.iter().try_for_each(Live::interrupt)?;
    live.into_iter().try_for_each(Live::stop)?;
    let dumps = scenario.rules.iter().map(dump).collect::<Fallible<Vec<_>>>()?;
    let arrived = arrived(scenario, &network);
    let logged = network.at(At::Server).run(&format!("cat {LOGS} 2>/dev/null || true"))?;
    let rewritten = line.wire.map_or(Ok(String::new()), |_| network.at(At::Wire).run("cat /run/wire.log"))?;
    let rewritten = rewritten.lines().filter(|line| *line == "rewritten").count();
    network.greet(line)?;
    thread::sleep(LAST);
    captures.into_iter().try_for_each(Capture::stop)?;
    Ok(Recording { folder: folder.to_owned(), dumps, said, arrived, trace, server_config, logged, rewritten })
}

/// Captures at every tap, on all interfaces of every host, and on the loopbacks of both ends.
fn capture<'a>(network: &'a Network, line: Line, folder: &Path) -> Fallible<Vec<Capture<'a>>> {
    let taps = network.interfaces().into_iter().zip(line.taps());
    let taps = taps.map(|((host, interface), name)| (host, interface, name));
    let wholes = line.wholes().into_iter().map(|whole| (network.at(whole.at), "any", whole.name));
    let loopbacks = [At::Client, At::Server].map(|at| (network.at(at), "lo", loopback(at)));
    let other = line.other.then(|| (network.at(At::Other), "eth0", OTHER.to_owned()));
    let all = taps.chain(wholes).chain(loopbacks).chain(other);
    // More than a frame of any link, unless the network card is left to cut it.
    let snap = if line.offload { 262_144 } else { 2_000 };
    let captures = all.map(|(host, interface, name)| Capture::start(host, interface, snap, &folder.join(name)));
    let mut captures = captures.collect::<Fallible<Vec<Capture<'a>>>>()?;
    captures.iter_mut().try_for_each(Capture::wait)?;
    Ok(captures)
}

/// Watches on every host of the line.
fn watch<'a>(scenario: &Scenario, network: &'a Network, folder: &Path) -> Fallible<Vec<Live<'a>>> {
    let hosts = scenario.line.wholes().into_iter().map(|whole| whole.at);
    let live = hosts.map(|at| Live::start(network.at(at), at, scenario.server.port, folder));
    let mut live = live.collect::<Fallible<Vec<Live<'a>>>>()?;
    live.iter_mut().try_for_each(Live::wait)?;
    Ok(live)
}

/// The capture at the second server.
pub(crate) const OTHER: &str = "other.pcap";

/// The capture on a host's loopback.
pub(crate) fn loopback(at: At) -> String {
    format!("{at}-lo.pcap")
}

/// Has the host to blame tell the way of the packet that is to be lost.
fn trace_of<'a>(scenario: &Scenario, network: &'a Network) -> Fallible<Option<Trace<'a>>> {
    let wanted = scenario.truth.place.zip(scenario.truth.lost).filter(|_| scenario.traced);
    wanted.map(|(at, lost)| Trace::start(network.at(at), lost, scenario.server.port)).transpose()
}

/// Both ends say something to each other that is no FTP, whether it arrives or not.
fn chatter(network: &Network, line: Line) -> Fallible<()> {
    let say = |address: &str| {
        let open = |protocol| format!("timeout 1 bash -c 'echo >/dev/{protocol}/{address}/{CHATTER}' 2>/dev/null &");
        format!("{} {} wait", open("udp"), open("tcp"))
    };
    network.at(At::Client).run(&say(line.called()))?;
    network.at(At::Server).run(&say(line.client()))?;
    Ok(())
}

fn happen(scenario: &Scenario, network: &Network, when: When) -> Fallible<()> {
    let due = scenario.events.iter().filter(|event| event.when == when);
    due.clone().try_for_each(|Event { at, command, .. }| network.at(*at).run(command).map(drop))
}

fn run_clients(scenario: &Scenario, host: &Host) -> Fallible<String> {
    if let Does::Put(_) = scenario.client.does {
        for file in FILES {
            host.write(&format!("/home/user/{}", file.name), file.content())?;
        }
    }
    let mut running = Vec::new();
    for number in 0..scenario.client.count {
        if number > 0 {
            thread::sleep(Duration::from_millis(500));
        }
        running.push(start_client(scenario, host)?);
    }
    let said = running.into_iter().map(|child| child.wait_with_output().map_err(|error| error.to_string()));
    let said = said.collect::<Fallible<Vec<_>>>()?;
    let text = said.into_iter().flat_map(|output| [output.stdout, output.stderr].concat()).collect::<Vec<u8>>();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn start_client(scenario: &Scenario, host: &Host) -> Fallible<Child> {
    let invocation = scenario.client.invocation(scenario.line.called(), &scenario.server);
    host.write("/home/user/input", &invocation.input)?;
    let (limit, signal) = scenario.client.limit;
    let script = format!("cd /home/user; exec timeout -k 1 -s {signal} {limit} \"$@\" <input");
    host.command("sh")
        .args(["-c", &script, "client"])
        .args(&invocation.arguments)
        .env("HOME", "/home/user")
        .env("LC_ALL", "C")
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())
}

/// The file at its destination.
fn arrived(scenario: &Scenario, network: &Network) -> Option<Vec<u8>> {
    let client = &scenario.client;
    let root = if client.user == "tester" { "/home/tester" } else { "/srv/ftp" };
    let path = match client.does {
        Does::List => return None,
        Does::Get(File { name, .. }) => network.at(At::Client).path(&format!("/home/user/{name}")),
        Does::Put(File { name, .. }) => network.at(At::Server).path(&format!("{root}/{}{name}", client.upload())),
    };
    fs::read(path).ok()
}
