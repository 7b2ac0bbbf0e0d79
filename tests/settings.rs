//! Settings: which of them counts, and what is said of one that cannot be used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A user's home with a configuration file.
struct Home(PathBuf);

impl Home {
    fn new(name: &str, config: &str) -> Home {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("homes").join(name);
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join(".config")).expect("a folder can be made");
        fs::write(home.join(".config/ftpwhy.conf"), config).expect("a file can be written");
        Home(home)
    }

    fn config(&self) -> String {
        self.0.join(".config/ftpwhy.conf").display().to_string()
    }

    /// The program with these arguments and variables, and no others than `HOME`.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("HOME", &self.0);
        command.args(arguments).envs(variables.iter().copied()).output().expect("the program runs")
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How the report of a capture of 09:04:13 UTC shows times.
fn time(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> &'static str {
    let replay = ["replay", "captures/story-2-active-put/client.pcap"];
    let output = home.run(&[&replay, arguments].concat(), &[&[("TZ", "Asia/Tokyo")], variables].concat());
    let told = told(&output);
    let line = told.lines().find(|line| line.contains("client: PORT")).unwrap_or_else(|| panic!("{output:?}"));
    let styles = [("18:04:13", "local"), ("09:04:13", "utc"), ("+0.005", "relative")];
    styles.iter().find(|(part, _)| line.contains(part)).map(|(_, style)| *style).unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn the_command_line_comes_before_the_variable_the_file_and_the_default() {
    let home = Home::new("precedence", "# a comment\n\n time = utc \n");
    let variable = [("FTPWHY_TIME", "local")];
    assert_eq!(time(&home, &["--time", "relative"], &variable), "relative");
    assert_eq!(time(&home, &[], &variable), "local");
    assert_eq!(time(&home, &[], &[("FTPWHY_TIME", "")]), "utc");
    assert_eq!(time(&home, &[], &[]), "utc");
    assert_eq!(time(&Home::new("bare", ""), &[], &[]), "relative");
}

#[test]
fn the_file_is_the_named_one_else_the_users() {
    let home = Home::new("usual", "time = utc\n");
    let named = Home::new("named", "time = local\n").config();
    assert_eq!(time(&home, &[], &[("FTPWHY_CONFIG", &named)]), "local");
    assert_eq!(time(&home, &[], &[("FTPWHY_CONFIG", "/dev/null")]), "relative");
    let elsewhere = home.0.join("none").display().to_string();
    assert_eq!(time(&home, &[], &[("XDG_CONFIG_HOME", &elsewhere)]), "relative");
    let folder = Path::new(&named).parent().expect("it lies in a folder").display().to_string();
    assert_eq!(time(&home, &[], &[("XDG_CONFIG_HOME", &folder)]), "local");
}

#[test]
fn ports_are_set_in_every_way() {
    // what opens its data connection is followed as a session of its own if that port is said to be a control port
    let sessions = |config: &str, arguments: &[&str], variables: &[(&str, &str)]| {
        let replay = ["replay", "--format", "jsonl", "captures/story-2-active-put/client.pcap"];
        let output = Home::new("ports", config).run(&[&replay, arguments].concat(), variables);
        told(&output).lines().count()
    };
    assert_eq!(sessions("", &[], &[]), 1);
    assert_eq!(sessions("", &["--control-port", "40190,40191"], &[]), 2);
    assert_eq!(sessions("", &[], &[("FTPWHY_CONTROL_PORT", "40190,40191")]), 2);
    assert_eq!(sessions("control-port = 40190, 40191\n", &[], &[]), 2);
    assert_eq!(sessions("control-port = 40191\n", &["--control-port", "2121"], &[]), 1, "one replaces the other");
}

#[test]
fn the_passive_range_is_set_in_every_way() {
    let rule = |config: &str, variables: &[(&str, &str)]| {
        let output = Home::new("range", config).run(&["replay", "captures/O5-passive-tls/client.pcap"], variables);
        told(&output).lines().next().and_then(|line| line.split_whitespace().rev().nth(1)).map(str::to_owned)
    };
    assert_eq!(rule("", &[]).as_deref(), Some("O5"));
    assert_eq!(rule("", &[("FTPWHY_PASSIVE_RANGE", "50000-50100")]).as_deref(), Some("V8"), "40001 is not in it");
    assert_eq!(rule("passive-range = 50000-50100\n", &[]).as_deref(), Some("V8"));
}

/// The program cannot go on, tells so with these parts, and tells its help all the same.
fn refuses(home: &Home, variables: &[(&str, &str)], parts: &[&str]) {
    let output = home.run(&["explain"], variables);
    let said = errors(&output).replace(&home.config(), "CONFIG");
    assert_eq!((output.status.code(), told(&output).as_str()), (Some(2), ""), "{said}");
    assert!(said.starts_with("error: ") && said.ends_with('\n'), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    let help = home.run(&["replay", "--help"], variables);
    assert!(help.status.success() && told(&help).contains("--passive-range"), "{help:?}");
}

#[test]
fn a_wrong_variable_is_told_with_what_would_be_right() {
    let home = Home::new("variables", "");
    for (variable, value, parts) in [
        ("FTPWHY_TIME", "utx", ["'utx' for 'FTPWHY_TIME'", "relative, utc, local"]),
        ("FTPWHY_CONTROL_PORT", "21,ftp", ["'ftp' for 'FTPWHY_CONTROL_PORT'", "a number from 1 to 65535"]),
        ("FTPWHY_PASSIVE_RANGE", "50000", ["'50000' for 'FTPWHY_PASSIVE_RANGE'", "write it as 50000-50100"]),
        ("FTPWHY_CONFIG", "/nowhere", ["configuration file /nowhere: No such file", "FTPWHY_CONFIG"]),
    ] {
        refuses(&home, &[(variable, value)], &parts);
    }
}

#[test]
fn a_wrong_line_is_told_with_what_would_be_right() {
    for (number, (lines, parts)) in [
        ("\n#\ntime = tomorrow\n", ["'tomorrow' for 'CONFIG:3: time'", "relative, utc, local"]),
        ("control-port = 0\n", ["'0' for 'CONFIG:1: control-port'", "a number from 1 to 65535"]),
        ("time =\n", ["'CONFIG:1: time'", "relative, utc, local"]),
        ("tme = utc\n", ["CONFIG:1: there is no setting 'tme'", "there are control-port, passive-range, lang, time\n"]),
        ("time utc\n", ["CONFIG:1: 'time utc' sets nothing", "write it as NAME = VALUE\n"]),
        (
            "time = utc\ntime = local\n",
            ["CONFIG:2: time: it is set in CONFIG:1: time already", "keep one of the two\n"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        refuses(&Home::new(&format!("lines-{number}"), lines), &[], &parts);
    }
}

#[test]
fn help_tells_what_is_set_and_where() {
    let home = Home::new("help", "passive-range = 50000-50100\n");
    let help = told(&home.run(&["replay", "--help"], &[("FTPWHY_TIME", "utc")]));
    for part in [
        "[env: FTPWHY_TIME=utc]",
        "[env: FTPWHY_PASSIVE_RANGE=]",
        "[default: 50000-50100]",
        "\nExamples:\n",
        "\nSettings:\n",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    let short = told(&home.run(&["replay", "-h"], &[]));
    assert!(short.contains("--passive-range") && !short.contains("Examples:"), "{short}");
}

#[test]
fn the_file_of_the_package_names_every_setting() {
    let packaged = include_str!("../packaging/ftpwhy.conf");
    let set: Vec<&str> =
        packaged.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' ')).collect();
    let home = Home::new("packaged", &set.join("\n"));
    let output = home.run(&["explain"], &[]);
    assert!(output.status.success(), "{}", errors(&output));
    let names: Vec<&str> = set.iter().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let unknown = errors(&Home::new("unknown", "no = such\n").run(&["explain"], &[]));
    assert!(unknown.ends_with(&format!("there are {}\n", names.join(", "))), "{unknown}");
}
