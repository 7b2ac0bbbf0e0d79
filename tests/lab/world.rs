//! A world of its own for the laboratory: pid, mount and network namespaces in which it runs as process 1.
//!
//! When that process ends, however it ends, the kernel kills all others of its pid namespace, and with the last of them
//! go their network namespaces, rules and mounts; nothing of it has a name outside. It is killed with its parent, which
//! is killed with the process that cargo started (unshare(1) `--kill-child`, setpriv(1) `--pdeathsig`), so an interrupt, a
//! panic and `kill -9` all end in the same clean-up. Only files can be left behind; see [`sweep`].

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Set inside: the id that the outermost process has outside. Everything that runs inside inherits it.
pub(crate) const OWNER: &str = "FTPWHY_LAB_OWNER";

/// Programs that the laboratory runs, each with its Debian package.
const PROGRAMS: &[(&str, &str)] = &[
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("bash", "bash"),
    ("pkill", "procps"),
    ("tcpdump", "tcpdump"),
    ("openssl", "openssl"),
    ("nft", "nftables"),
    ("iptables-nft", "iptables"),
    ("iptables-legacy", "iptables"),
    ("vsftpd", "vsftpd"),
    ("lftp", "lftp"),
    ("curl", "curl"),
    ("tnftp", "tnftp"),
    ("inetutils-ftp", "inetutils-ftp"),
    ("/usr/bin/python3", "python3"),
    ("/usr/lib/python3/dist-packages/pyftpdlib", "python3-pyftpdlib"),
];

/// Servers that Debian does not install beside vsftpd.
const UNPACKED: [&str; 2] = ["proftpd", "pure-ftpd"];

/// Where `tests/run` unpacks them.
pub(crate) fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab")
}

/// Their libraries, in the folder of this machine's architecture.
pub(crate) fn libraries() -> PathBuf {
    let folders = fs::read_dir(unpacked().join("usr/lib")).into_iter().flatten().flatten();
    let is_ours = |folder: &PathBuf| folder.to_string_lossy().ends_with("-linux-gnu");
    folders.map(|entry| entry.path()).find(is_ours).unwrap_or_default()
}

/// Whether this process is inside already.
pub(crate) fn is_inside() -> bool {
    env::var_os(OWNER).is_some()
}

/// What this machine lacks, a line each.
pub(crate) fn missing() -> Vec<String> {
    if !is_root() {
        return vec!["it needs root".to_owned()];
    }
    let path = env::var("PATH").unwrap_or_default();
    let is_here = |program: &str| path.split(':').any(|folder| Path::new(folder).join(program).exists());
    let lacks = PROGRAMS.iter().filter(|(program, _)| !is_here(program));
    let mut missing: Vec<String> =
        lacks.map(|(program, package)| format!("{program} is missing (package {package})")).collect();
    let folder = unpacked().join("usr/sbin");
    let lacks = UNPACKED.iter().filter(|server| !folder.join(server).exists());
    missing.extend(lacks.map(|server| format!("{server} is missing in {} (tests/run unpacks it)", folder.display())));
    if missing.is_empty() {
        missing.extend(refused());
    }
    missing
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]))
}

/// What the kernel refuses, tried in namespaces of their own.
fn refused() -> Option<String> {
    let tries = "nft add table inet try && iptables-nft -L -n && iptables-legacy -L -n && ip link add left type veth peer right";
    let tried = Command::new("unshare")
        .args(["--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-c", tries])
        .stdout(Stdio::null())
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("the kernel refuses: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// Has malloc(3) keep what is freed. Tens of thousands of short replays spend most of their time on pages otherwise.
const KEEP_MEMORY: [(&str, &str); 3] =
    [("MALLOC_MMAP_THRESHOLD_", "33554432"), ("MALLOC_TRIM_THRESHOLD_", "1073741824"), ("MALLOC_TOP_PAD_", "67108864")];

/// Runs this program again with these arguments inside a new world, and ends as it does.
pub(crate) fn enter(arguments: &[String]) -> ExitCode {
    let program = env::current_exe().expect("a running program has a path");
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(program)
        .args(arguments)
        .env(OWNER, std::process::id().to_string())
        .envs(KEEP_MEMORY)
        .status();
    match status.map(|status| status.code()) {
        Ok(Some(code)) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Ok(None) | Err(_) => ExitCode::FAILURE,
    }
}

/// Where this run puts its files.
pub(crate) fn folder() -> PathBuf {
    let owner = env::var(OWNER).ok().and_then(|owner| owner.parse().ok());
    folder_of(owner.unwrap_or_default())
}

/// Where a run puts its files: named after its owner, so that the next run can tell whether it still lives.
pub(crate) fn folder_of(owner: u32) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{PREFIX}{owner}"))
}

const PREFIX: &str = "ftpwhy-lab-";

/// Removes the files of runs whose owner is dead.
pub(crate) fn sweep() {
    for entry in fs::read_dir(env!("CARGO_TARGET_TMPDIR")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).filter(|owner| owner.parse::<u32>().is_ok());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
