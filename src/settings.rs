//! Floor 6: what environment and configuration file say where the command line says nothing.
//!
//! Every option that has a variable in [`crate::cli`] (`env`) can be set there, and by its name in the file. The command line
//! comes first, then the variable, then the file, then the option's default.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, Error, FromArgMatches};

use crate::cli::Cli;

/// The variable that names the configuration file.
const CONFIG: &str = "FTPWHY_CONFIG";
/// The file of a user, in the folder of the user's configurations (XDG Base Directory Specification).
const OF_USER: &str = "ftpwhy.conf";
/// The file for all users.
const OF_ALL: &str = "/etc/ftpwhy.conf";

/// The command line of this process, with its settings.
///
/// # Errors
/// An argument, a variable or a line of the file cannot be used; or help or the version is asked for.
pub fn parse() -> Result<Cli, Error> {
    let arguments: Vec<OsString> = env::args_os().collect();
    let mut plain = Cli::command();
    let mut command = set(plain.clone()).map_err(|why| {
        // help and the version can be had whatever the settings are
        let asked_for = plain.try_get_matches_from_mut(&arguments).err().filter(|error| !error.use_stderr());
        asked_for.unwrap_or(why)
    })?;
    let matches = command.try_get_matches_from_mut(&arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The command with its settings in place of its defaults.
fn set(command: Command) -> Result<Command, Error> {
    let mut options = Vec::new();
    collect(&command, &mut options);
    let variables = options.iter().filter_map(Setting::of_variable);
    let lines = file()?.map_or_else(|| Ok(Vec::new()), |(path, text)| lines(&path, &text, &options))?;
    variables.chain(lines.iter().cloned()).try_for_each(|setting| setting.check())?;
    Ok(with_defaults(command, &lines))
}

/// Collects the options that can be set, each once.
fn collect(command: &Command, options: &mut Vec<Arg>) {
    for option in command.get_arguments().filter(|option| option.get_env().is_some()) {
        if options.iter().all(|known| known.get_long() != option.get_long()) {
            options.push(option.clone());
        }
    }
    command.get_subcommands().for_each(|command| collect(command, options));
}

fn with_defaults(command: Command, lines: &[Setting<'_>]) -> Command {
    let command = command.mut_args(|option| with_default(option, lines));
    command.mut_subcommands(|command| with_defaults(command, lines))
}

/// clap itself reads the variable, also an empty one.
fn with_default(option: Arg, lines: &[Setting<'_>]) -> Arg {
    let Some(variable) = option.get_env() else { return option };
    let is_empty = env::var_os(variable).is_some_and(|value| value.is_empty());
    let option = if is_empty { option.env(Resettable::Reset) } else { option };
    match lines.iter().find(|line| line.option.get_long() == option.get_long()) {
        Some(line) => option.default_value(line.value.clone()),
        None => option,
    }
}

/// The value of a variable; an empty one counts as none.
fn value_of(variable: impl AsRef<OsStr>) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

/// The configuration file and what it holds, if there is one.
fn file() -> Result<Option<(PathBuf, String)>, Error> {
    let path = value_of(CONFIG).map(PathBuf::from).or_else(usual_file);
    let read = |path: PathBuf| match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(why) => Err(unusable(format!(
            "cannot read the configuration file {}: {why}; make it readable, or name another in {CONFIG}",
            path.display()
        ))),
    };
    path.map(read).transpose()
}

/// The user's file, else that for all users, if it is there.
fn usual_file() -> Option<PathBuf> {
    let at_home = || value_of("HOME").map(|home| Path::new(&home).join(".config"));
    let folder = value_of("XDG_CONFIG_HOME").map(PathBuf::from).or_else(at_home);
    let files = [folder.map(|folder| folder.join(OF_USER)), Some(PathBuf::from(OF_ALL))];
    files.into_iter().flatten().find(|path| path.exists())
}

/// What the file sets.
fn lines<'a>(path: &Path, text: &str, options: &'a [Arg]) -> Result<Vec<Setting<'a>>, Error> {
    let mut settings: Vec<Setting<'a>> = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("{}:{number}", path.display());
        let setting = Setting::of_line(line, &place, options).map_err(|why| unusable(format!("{place}: {why}")))?;
        if let Some(other) = settings.iter().find(|other| other.option.get_long() == setting.option.get_long()) {
            return Err(unusable(format!(
                "{}: it is set in {} already; keep one of the two",
                setting.origin, other.origin
            )));
        }
        settings.push(setting);
    }
    Ok(settings)
}

/// An error in clap's form.
fn unusable(what: String) -> Error {
    Error::raw(ErrorKind::InvalidValue, what + "\n")
}

/// What an option is set to, and where.
#[derive(Clone)]
struct Setting<'a> {
    option: &'a Arg,
    value: String,
    origin: String,
}

impl<'a> Setting<'a> {
    fn of_variable(option: &'a Arg) -> Option<Setting<'a>> {
        let variable = option.get_env()?;
        let value = value_of(variable)?.to_string_lossy().into_owned();
        Some(Setting { option, value, origin: variable.to_string_lossy().into_owned() })
    }

    fn of_line(line: &str, place: &str, options: &'a [Arg]) -> Result<Setting<'a>, String> {
        let (name, value) =
            line.split_once('=').ok_or_else(|| format!("'{line}' sets nothing; write it as NAME = VALUE"))?;
        let (name, value) = (name.trim(), value.trim().to_owned());
        let names = || options.iter().filter_map(Arg::get_long).collect::<Vec<_>>().join(", ");
        let option = options.iter().find(|option| option.get_long() == Some(name));
        let option = option.ok_or_else(|| format!("there is no setting '{name}'; there are {}", names()))?;
        Ok(Setting { option, value, origin: format!("{place}: {name}") })
    }

    /// Has clap look at the value as if it stood on the command line.
    ///
    /// # Errors
    /// clap's own, with where the value stands in place of the option.
    fn check(&self) -> Result<(), Error> {
        let option = Arg::new("option")
            .long("option")
            .action(self.option.get_action().clone())
            .value_parser(self.option.get_value_parser().clone())
            .value_delimiter(self.option.get_value_delimiter());
        let command = Command::new("ftpwhy").arg(option);
        let looked_at = command.try_get_matches_from(["ftpwhy", &format!("--option={}", self.value)]);
        looked_at.map(drop).map_err(|mut error| {
            error.insert(ContextKind::InvalidArg, ContextValue::String(self.origin.clone()));
            error
        })
    }
}
