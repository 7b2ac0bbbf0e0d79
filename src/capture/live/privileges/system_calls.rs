//! The system calls that are left when the door is closed: a list for seccomp(2).
//!
//! Found with strace(1). Every other call fails with `EPERM`, and the program goes on: a call that was forgotten here must not
//! lose what was found. Nothing here opens a socket, starts a program or a thread, or makes memory executable.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

/// Whatever their arguments.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const ALLOWED: &[c_long] = &[
    // packets and messages of the kernel, answers of the helper
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_getsockopt,
    // what is told and kept; time zones
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    // memory
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // time, signals, threads
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    // the end, of helper and command, too
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const ALLOWED: &[c_long] = &[];

/// Older forms of the same that other architectures never had.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] =
    &[libc::SYS_poll, libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// What an `ioctl` may ask: whether this is a terminal and how wide, and what an interface is called.
#[allow(clippy::unnecessary_cast, reason = "not all C libraries have them as u64")]
const ASKED: [u64; 3] = [libc::TCGETS as u64, libc::TIOCGWINSZ as u64, libc::SIOCGIFNAME as u64];

/// What a `setsockopt` may change: which packets a packet socket keeps. No more of them can be opened.
#[allow(clippy::unnecessary_cast, reason = "not all C libraries have them as u64")]
const CHANGED: [u64; 2] = [libc::SO_ATTACH_FILTER as u64, libc::SO_DETACH_FILTER as u64];

/// Leaves no other system call to any thread.
pub(super) fn restrict() -> Result<(), String> {
    let arch = TargetArch::try_from(ARCH).map_err(|_| format!("no list of system calls is known for {ARCH}"))?;
    let filter = filter(arch).map_err(|error| error.to_string())?;
    apply_filter_all_threads(&filter).map_err(|error| error.to_string())
}

fn filter(arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq};
    let not_executable = || when(2, MaskedEq(libc::PROT_EXEC as u64), 0);
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        ALLOWED.iter().chain(OLDER).map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    rules.insert(libc::SYS_ioctl, ASKED.iter().map(|&request| when(1, Eq, request)).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_setsockopt, CHANGED.iter().map(|&name| when(2, Eq, name)).collect::<Result<_, _>>()?);
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)?.try_into()
}

/// A call with such an argument.
fn when(argument: u8, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)?])
}
