//! What the program writes about itself: manual pages, and the reference of the rules in `docs/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use ftpwhy::cli::Cli;
use ftpwhy::generate::write_manual;
use ftpwhy::report::reference;

#[test]
fn the_rule_reference_is_what_the_program_writes() {
    let kept = include_str!("../docs/rules.md");
    assert!(kept == reference(), "write it anew: ftpwhy generate rules >docs/rules.md");
}

#[test]
fn every_command_has_a_manual_page_with_its_options_and_examples() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manual");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder can be made");
    write_manual(&folder).expect("pages can be written there");

    let mut expected = BTreeSet::new();
    look(&folder, "ftpwhy", &Cli::command(), &mut expected);
    let entries = fs::read_dir(&folder).expect("it is there").flatten();
    let pages: BTreeSet<PathBuf> = entries.map(|entry| entry.path()).collect();
    assert_eq!(pages, expected);
    assert!(pages.len() >= 6, "{pages:?}");
}

/// Looks at the page of a command and of those below it, but for hidden ones.
fn look(folder: &Path, name: &str, command: &Command, pages: &mut BTreeSet<PathBuf>) {
    let path = folder.join(format!("{name}.1"));
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    pages.insert(path);
    for option in command.get_arguments().filter_map(|option| option.get_long()) {
        let written = format!("\\-\\-{}", option.replace('-', "\\-"));
        assert!(page.contains(&written), "{name}: {option} is missing");
    }
    for variable in command.get_arguments().filter_map(|option| option.get_env()) {
        assert!(page.contains(&*variable.to_string_lossy()), "{name}: {variable:?} is missing");
    }
    let told = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    assert_eq!(page.matches("\n.SH EXAMPLES\n").count(), usize::from(told.starts_with("Examples:")), "{name}");
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        look(folder, &format!("{name}-{}", below.get_name()), below, pages);
    }
}

#[test]
fn the_guide_shows_what_is_said_of_a_capture() {
    let said = include_str!("../captures/O5-passive-dropped-by-router/replay.txt");
    let shown: String = said.split_inclusive('\n').take(8).collect();
    assert!(
        include_str!("../docs/guide.md").contains(&format!("```text\n{}```\n", shown.trim_end_matches("\n\n"))),
        "{shown}"
    );
}
