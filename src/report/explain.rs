//! `ftpwhy explain` and `ftpwhy generate rules`: the rules, for people.

use std::fmt::Write;

use thiserror::Error;
use unicode_width::UnicodeWidthStr;

use crate::language::{Language, Message, message};
use crate::verdict::{RULES, Rule};

/// There is no such rule.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no rule {0:?}; `ftpwhy explain` lists them all")]
pub struct UnknownRule(String);

/// In a language, the table of all rules, or all about one of them, by its id or name in whatever case.
///
/// # Errors
/// [`UnknownRule`] if there is no such rule.
pub fn explain(rule: Option<&str>, language: Language) -> Result<String, UnknownRule> {
    let Some(wanted) = rule else { return Ok(table(language)) };
    let found = RULES.iter().find(|rule| [rule.id, rule.name].iter().any(|name| name.eq_ignore_ascii_case(wanted)));
    found.map(|rule| all_about(rule, language)).ok_or_else(|| UnknownRule(wanted.to_owned()))
}

/// All about every rule, in Markdown: `docs/rules.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# The rules\n\n\
         Written by `ftpwhy generate rules`. They are tried in this order, and the first that holds gives the verdict. The first\n\
         letter is the family: C control connection, N negotiation, O opening of the data connection, T established transfer,\n\
         V the view itself. The failure modes are those of [failures.md](failures.md).\n",
    );
    for rule in RULES {
        let [says, because, needs] =
            [rule.says, rule.because, needs(rule)].map(|message| message.to(Language::English));
        let covers = covers(rule, Language::English);
        let _ = write!(
            text,
            "\n## {} {}\n\n{says}\n\n- Why: {because}\n- Needs: {needs}.\n- Covers: {covers}.\n",
            rule.id, rule.name
        );
    }
    text
}

fn table(language: Language) -> String {
    let width = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    let head = message!("The rules in the order in which they are tried; the first that holds gives the verdict.");
    let mut text = format!("{}\n\n", head.to(language));
    for Rule { id, name, says, .. } in RULES {
        let _ = writeln!(text, "  {id:<4} {name:<width$}  {}", says.to(language));
    }
    text
}

fn all_about(rule: &Rule, language: Language) -> String {
    let covers = covers(rule, language);
    let rows = [
        (message!("Why"), rule.because.to(language).to_owned()),
        (message!("Needs"), needs(rule).to(language).to_owned()),
        (message!("Covers"), format!("{covers} (docs/failures.md)")),
    ];
    let mut text = format!("{} {}\n\n  {}\n\n", rule.id, rule.name, rule.says.to(language));
    for (head, content) in rows {
        let head = head.to(language);
        let _ = writeln!(text, "  {head}{}{content}", " ".repeat(10_usize.saturating_sub(head.width())));
    }
    text
}

/// The failure modes that a rule decides.
fn covers(rule: &Rule, language: Language) -> String {
    match rule.covers {
        [] => message!("none of its own").to(language).to_owned(),
        modes => modes.join(", "),
    }
}

/// Which packets a rule must see, told by its family.
fn needs(rule: &Rule) -> &'static Message {
    match (rule.id, rule.id.as_bytes().first()) {
        ("C17", _) => message!("the SYN on the server's host, and that host's list of sockets at the same time"),
        ("C16", _) => message!(
            "a capture of all interfaces on the client's host without a filter, and its list of sockets meanwhile"
        ),
        (_, Some(b'C')) => message!("the control connection from its first SYN on, and ICMP errors about it"),
        (_, Some(b'N')) => {
            message!("the command and the reply that offer an address, and the control connection's own addresses")
        }
        (_, Some(b'O')) => {
            message!("the negotiation, every SYN of the data connection and what answers it, ICMP errors included")
        }
        (_, Some(b'T')) => {
            message!("the data connection's segments (their headers are enough), and the replies to the transfer")
        }
        _ => message!("nothing more than there is: it says what is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_rule_once() {
        let text = explain(None, Language::English).expect("needs no name");
        for rule in RULES {
            assert_eq!(text.lines().filter(|line| line.split_whitespace().next() == Some(rule.id)).count(), 1);
        }
    }

    #[test]
    fn explains_a_rule_by_id_or_name() {
        let text = explain(Some("o5"), Language::English).expect("is a rule");
        assert_eq!(explain(Some("DATA-SYN-UNANSWERED"), Language::English).as_ref(), Ok(&text));
        for part in ["O5 data-syn-unanswered", "never answered", "P01, P06", "every SYN"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_unknown_rule_is_an_error_that_says_what_to_do() {
        let error = explain(Some("O99\x1b"), Language::English).expect_err("is no rule");
        assert_eq!(error.to_string(), "there is no rule \"O99\\u{1b}\"; `ftpwhy explain` lists them all");
    }
}
