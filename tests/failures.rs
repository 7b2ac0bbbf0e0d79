//! `docs/failures.md` and the table of rules say the same.

use std::collections::BTreeSet;

use ftpwhy::verdict::RULES;

#[test]
fn every_failure_mode_names_the_rules_that_cover_it() {
    let document = include_str!("../docs/failures.md");
    let rows: Vec<Vec<&str>> = document
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 6 && is_identifier(cells[1]))
        .collect();
    assert_eq!(rows.len(), 66, "one row a failure mode");
    let documented: BTreeSet<(&str, &str)> = rows
        .iter()
        .flat_map(|cells| cells[3].split(',').map(|rule| (rule.trim(), cells[1])))
        .filter(|(rule, _)| !rule.is_empty())
        .collect();
    let table: BTreeSet<(&str, &str)> =
        RULES.iter().flat_map(|rule| rule.covers.iter().map(|mode| (rule.id, *mode))).collect();
    assert_eq!(documented, table);
}

fn is_identifier(cell: &str) -> bool {
    cell.len() == 3 && cell.starts_with(['P', 'H', 'A', 'T']) && cell[1..].bytes().all(|byte| byte.is_ascii_digit())
}
