//! Everything that is said to people is said in Japanese too. That a sentence has a translation is checked while compiling;
//! here the translations are, and what the program makes of them.

mod common;

use std::collections::BTreeSet;
use std::process::Command;

use ftpwhy::language::Language;
use ftpwhy::verdict::RULES;
use serde_json::Value;

fn said(arguments: &[&str], language: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
    let output = command.args(arguments).args(["--lang", language]).output().expect("the program runs");
    String::from_utf8(output.stdout).expect("a report is UTF-8")
}

/// Hiragana, katakana or kanji.
fn is_japanese(text: &str) -> bool {
    text.chars().any(|char| matches!(char, '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'))
}

/// Words of English, rather than names of packets such as SYN-ACK.
fn has_words(text: &str) -> bool {
    text.split(|char: char| !char.is_ascii_alphabetic())
        .any(|word| word.len() > 2 && word.chars().any(|char| char.is_ascii_lowercase()))
}

#[test]
fn every_rule_is_told_in_japanese() {
    for rule in RULES {
        for message in [rule.says, rule.because] {
            assert!(is_japanese(message.to(Language::Japanese)), "{}", rule.id);
        }
        let [english, japanese] = ["en", "ja"].map(|language| said(&["explain", rule.id], language));
        let same: Vec<&str> =
            japanese.lines().filter(|line| !line.is_empty() && english.lines().any(|other| other == *line)).collect();
        assert_eq!(same, [format!("{} {}", rule.id, rule.name)]);
    }
}

/// Of a report in Japanese, only commands and addresses are what they are in English.
#[test]
fn no_verdict_keeps_a_sentence_in_english() {
    let mut rules = BTreeSet::new();
    for (folder, arguments) in common::cases() {
        let all = (!arguments.contains(&"--all".to_owned())).then_some("--all");
        let arguments: Vec<&str> =
            ["replay"].into_iter().chain(all).chain(arguments.iter().map(String::as_str)).collect();
        let [english, japanese] = ["en", "ja"].map(|language| said(&arguments, language));
        let known = RULES.iter().filter(|rule| english.contains(&format!("{} {}", rule.id, rule.name)));
        rules.extend(known.map(|rule| rule.id));
        let mut commands = BTreeSet::new();
        let sessions = said(&[&arguments[..], &["--format", "json"]].concat(), "en");
        collect_commands(&serde_json::from_str(&sessions).expect("the report is JSON"), &mut commands);
        assert_eq!(english.lines().count(), japanese.lines().count(), "{}", folder.display());
        let pairs = english.lines().zip(japanese.lines()).filter(|(english, _)| !english.trim().is_empty());
        for (english, japanese) in pairs {
            let is_command = english == japanese && commands.iter().any(|command| english.ends_with(command));
            let is_head = english.starts_with(['✓', '✗', '…', '?', '-']);
            // what is wrong with a file is told in the words of errors, which have one language
            let is_complaint =
                english == japanese && english.split(": ").next().is_some_and(|name| name.ends_with(".pcap"));
            let text = if is_head { japanese } else { japanese.rsplit("   ").next().unwrap_or_default() };
            assert!(
                is_command || is_complaint || is_japanese(text) || !has_words(text),
                "{}: {japanese}",
                folder.display()
            );
        }
    }
    let all: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(rules, all, "a capture for every rule");
}

/// The commands of all remedies of a report.
fn collect_commands(report: &Value, into: &mut BTreeSet<String>) {
    let commands = report.get("commands").and_then(Value::as_array);
    into.extend(commands.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    let inner: Vec<&Value> = match report {
        Value::Array(values) => values.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|value| collect_commands(value, into));
}

#[test]
fn the_locale_chooses_the_language() {
    let said = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
        command.args(["explain", "O5"]).env_clear().envs(variables.iter().copied());
        is_japanese(&String::from_utf8_lossy(&command.output().expect("the program runs").stdout))
    };
    assert!(said(&[("LANG", "ja_JP.UTF-8")]));
    assert!(said(&[("LANG", "de_DE.UTF-8"), ("LC_MESSAGES", "ja_JP.UTF-8"), ("LC_ALL", "")]));
    assert!(!said(&[("LANG", "ja_JP.UTF-8"), ("LC_ALL", "C")]));
    assert!(!said(&[]));
}
