//! Floor 6: manual pages and completions, from the command line's own types.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::Cli;

/// What completes the command line in a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ftpwhy", &mut text);
    text
}

/// Writes the manual pages (man(7)) to a folder: `ftpwhy.1`, and a page for every command that is no secret.
///
/// # Errors
/// A file cannot be written.
pub fn write_manual(folder: &Path) -> io::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, folder)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let page = Man::new(command.clone()).source(concat!("ftpwhy ", env!("CARGO_PKG_VERSION"))).manual("ftpwhy");
    fs::write(folder.join(page.get_filename()), text_of(&page, command)?)?;
    let mut others = command.get_subcommands().filter(|command| !command.is_hide_set());
    others.try_for_each(|command| write_pages(command, folder))
}

fn text_of(page: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    sections(command).to_writer(&mut text)?;
    Ok(text)
}

/// The sections that `--help` tells after the options.
fn sections(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    for (heading, body) in after.split("\n\n").filter_map(|section| section.split_once(":\n")) {
        roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
        for line in body.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff
}
