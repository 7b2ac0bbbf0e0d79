//! The commands that remedies print are taken by the real tools.
//!
//! Every iptables, ip6tables and nft command in the golden reports of `captures/` is run in a network namespace of its own,
//! with the tables that the commands presuppose. Needs root and the tools; skipped, saying so, elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A network namespace that goes with the test, whatever its end.
struct Namespace(String);

impl Namespace {
    fn new() -> Option<Namespace> {
        let name = format!("ftpwhy-remedy-{}", std::process::id());
        let added = Command::new("ip").args(["netns", "add", &name]).output().ok()?;
        added.status.success().then_some(Namespace(name))
    }

    fn run(&self, command: &str) -> Output {
        let shell = ["netns", "exec", &self.0, "sh", "-c", command];
        Command::new("ip").args(shell).output().expect("ip was found before")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let deleted = Command::new("ip").args(["netns", "del", &self.0]).status();
        assert!(deleted.is_ok_and(|status| status.success()), "the namespace {} is left", self.0);
    }
}

#[test]
fn iptables_and_nft_take_every_command() {
    let commands = commands();
    assert!(commands.len() > 10, "only {} commands in the golden reports", commands.len());
    let Some(namespace) = Namespace::new() else {
        eprintln!("skipped: needs root and `ip netns` to make a network namespace");
        return;
    };
    for tool in ["iptables", "nft"] {
        if Command::new(tool).arg("--version").output().is_err() {
            eprintln!("skipped: {tool} is not installed");
            return;
        }
    }
    let chains = ["input", "forward", "output"]
        .map(|hook| format!("nft 'add chain inet filter {hook} {{ type filter hook {hook} priority 0; }}'"));
    for command in std::iter::once("nft add table inet filter".to_owned()).chain(chains) {
        assert!(namespace.run(&command).status.success(), "{command}");
    }
    for command in &commands {
        let output = namespace.run(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\n{said}");
    }
    let rules = namespace.run("iptables -S; ip6tables -S; nft list ruleset");
    let rules = String::from_utf8_lossy(&rules.stdout);
    assert!(rules.contains("-j ACCEPT") && rules.contains("tcp dport"), "the rules are not there:\n{rules}");
}

/// All packet filter commands, each once, in the order of the reports.
fn commands() -> Vec<String> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut folders: Vec<_> =
        fs::read_dir(captures).expect("captures is there").flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut seen = BTreeSet::new();
    let mut commands = Vec::new();
    for report in folders.iter().filter_map(|folder| fs::read_to_string(folder.join("replay.jsonl")).ok()) {
        for line in report.lines() {
            let session: Value = serde_json::from_str(line).expect("a golden line is JSON");
            collect(&session, &mut |command| {
                if is_filter_command(command) && seen.insert(command.to_owned()) {
                    commands.push(command.to_owned());
                }
            });
        }
    }
    commands
}

/// Calls `each` for every command of every remedy in a session.
fn collect(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::Array(commands) if name == "commands" => {
                        commands.iter().filter_map(Value::as_str).for_each(&mut *each);
                    }
                    other => collect(other, each),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, each)),
        _ => {}
    }
}

/// A command that changes rules; those that only look, and words about where to look, are not run.
fn is_filter_command(command: &str) -> bool {
    let changes = ["iptables -", "ip6tables -", "nft add ", "nft insert ", "nft 'add "];
    changes.iter().any(|start| command.starts_with(start)) && !command.contains('|')
}
