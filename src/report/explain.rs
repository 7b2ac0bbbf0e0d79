//! `ftpwhy explain`: the rules, for people.

use std::fmt::Write;

use thiserror::Error;

use crate::verdict::{RULES, Rule};

/// There is no such rule.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no rule {0:?}; `ftpwhy explain` lists them all")]
pub struct UnknownRule(String);

/// The table of all rules, or all about one of them, by its id or name in whatever case.
///
/// # Errors
/// [`UnknownRule`] if there is no such rule.
pub fn explain(rule: Option<&str>) -> Result<String, UnknownRule> {
    let Some(wanted) = rule else { return Ok(table()) };
    let found = RULES.iter().find(|rule| [rule.id, rule.name].iter().any(|name| name.eq_ignore_ascii_case(wanted)));
    found.map(all_about).ok_or_else(|| UnknownRule(wanted.to_owned()))
}

fn table() -> String {
    let width = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    let mut text =
        String::from("The rules in the order in which they are tried; the first that holds gives the verdict.\n\n");
    for Rule { id, name, says, .. } in RULES {
        let _ = writeln!(text, "  {id:<4} {name:<width$}  {says}");
    }
    text
}

fn all_about(rule: &Rule) -> String {
    let covers = if rule.covers.is_empty() { "none of its own".to_owned() } else { rule.covers.join(", ") };
    format!(
        "{} {}\n\n  {}\n\n  Why       {}\n  Needs     {}\n  Covers    {covers} (docs/failures.md)\n",
        rule.id,
        rule.name,
        rule.says,
        rule.because,
        needs(rule)
    )
}

/// Which packets a rule must see, told by its family.
fn needs(rule: &Rule) -> &'static str {
    match rule.id.as_bytes().first() {
        Some(b'C') => "the control connection from its first SYN on, and ICMP errors about it",
        Some(b'N') => "the command and the reply that offer an address, and the control connection's own addresses",
        Some(b'O') => "the negotiation, every SYN of the data connection and what answers it, ICMP errors included",
        Some(b'T') => "the data connection's segments (their headers are enough), and the replies to the transfer",
        _ => "nothing more than there is: it says what is missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_rule_once() {
        let text = explain(None).expect("needs no name");
        for rule in RULES {
            assert_eq!(text.lines().filter(|line| line.split_whitespace().next() == Some(rule.id)).count(), 1);
        }
    }

    #[test]
    fn explains_a_rule_by_id_or_name() {
        let text = explain(Some("o5")).expect("is a rule");
        assert_eq!(explain(Some("DATA-SYN-UNANSWERED")).as_ref(), Ok(&text));
        for part in ["O5 data-syn-unanswered", "never answered", "P01, P06", "every SYN"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_unknown_rule_is_an_error_that_says_what_to_do() {
        let error = explain(Some("O99\x1b")).expect_err("is no rule");
        assert_eq!(error.to_string(), "there is no rule \"O99\\u{1b}\"; `ftpwhy explain` lists them all");
    }
}
