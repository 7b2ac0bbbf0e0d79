//! Transfers of one big file by curl from vsftpd, with and without captures.

use std::fs::File;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::capture::{FTPWHY, Running, Took};
use crate::host::Fallible;
use crate::pair::{Pair, SERVER};

/// Bytes of the file.
const SIZE: u64 = 16 << 30;

const CONFIG: &str = "listen=YES\nbackground=NO\nanonymous_enable=YES\nno_anon_password=YES\nanon_root=/srv/ftp\n\
                      secure_chroot_dir=/run/empty\nseccomp_sandbox=NO\npasv_min_port=50000\npasv_max_port=50099\n";

/// Prints the rounds; true if `ftpwhy watch` lost no packet.
pub(crate) fn measure(pair: &Pair, rounds: u32) -> Fallible<bool> {
    let mut server = serve(pair)?;
    transfer(pair)?; // the first is slower
    println!("Bulk: {} GiB by vsftpd and curl over a veth, captures on the server's host\n", SIZE >> 30);
    println!(
        "| round | GiB/s alone | with watch | with tcpdump port 21 | alone again | processor s: watch | tcpdump | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let (mut is_whole, mut rates) = (true, Vec::new());
    for round in 1..=rounds {
        let alone = transfer(pair)?;
        let watch = watch(pair)?;
        let watched = transfer(pair)?;
        is_whole &= lost_nothing(&watch.end()?);
        let control = tcpdump(pair, &["tcp port 21"])?;
        let least = transfer(pair)?;
        control.end()?;
        let again = transfer(pair)?;
        // both on the same traffic
        let (watch, tcpdump) = (self::watch(pair)?, tcpdump(pair, &[])?);
        transfer(pair)?;
        let (watch, tcpdump) = (watch.end()?, tcpdump.end()?);
        is_whole &= lost_nothing(&watch);
        let [alone, watched, least, again] =
            [alone, watched, least, again].map(|time| (SIZE >> 20) as f64 / 1024.0 / time.as_secs_f64());
        let [cpu, peer] = [&watch, &tcpdump].map(|took| took.cpu.as_secs_f64());
        let ratio = cpu / peer;
        println!(
            "| {round} | {alone:.2} | {watched:.2} | {least:.2} | {again:.2} | {cpu:.2} | {peer:.2} | {ratio:.3} |"
        );
        let unwatched = (alone + again) / 2.0;
        rates.push([watched / unwatched, least / unwatched, again / alone, ratio]);
    }
    println!();
    for (column, what) in
        ["throughput with watch", "throughput with tcpdump port 21", "throughput alone, again", "processor time"]
            .iter()
            .enumerate()
    {
        let mut ratios: Vec<f64> = rates.iter().map(|rates| rates[column]).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!("{what}: median ratio {:.3}, {least:.3} .. {most:.3}", ratios[ratios.len() / 2]);
    }
    println!("packets lost by ftpwhy watch: {}\n", if is_whole { "none" } else { "SOME" });
    let _ = server.kill();
    pair.server.run("pkill vsftpd || true; umount -l /srv")?;
    Ok(is_whole)
}

fn serve(pair: &Pair) -> Fallible<Child> {
    let script = format!(
        "mkdir -p /run/empty; mount -t tmpfs none /srv; mkdir /srv/ftp; truncate -s {SIZE} /srv/ftp/big; chmod 555 /srv/ftp"
    );
    pair.server.run(&script)?;
    pair.server.write("/run/vsftpd.conf", CONFIG)?;
    let server = pair.server.command("vsftpd").arg("/run/vsftpd.conf").stdin(Stdio::null()).spawn();
    thread::sleep(Duration::from_millis(500));
    server.map_err(|error| format!("vsftpd: {error}"))
}

fn transfer(pair: &Pair) -> Fallible<Duration> {
    let start = Instant::now();
    pair.client.run(&format!("curl -s -o /dev/null ftp://{SERVER}/big"))?;
    Ok(start.elapsed())
}

fn nowhere() -> Fallible<File> {
    File::create("/dev/null").map_err(|error| error.to_string())
}

fn watch(pair: &Pair) -> Fallible<Running> {
    Running::start(&pair.server, FTPWHY, &["watch", "--format", "jsonl"], nowhere()?, "watching")
}

fn tcpdump(pair: &Pair, filter: &[&str]) -> Fallible<Running> {
    let arguments = [&["-i", "any", "-w", "/dev/null"], filter].concat();
    Running::start(&pair.server, "tcpdump", &arguments, nowhere()?, "listening on")
}

/// What is lost is told on standard error.
pub(crate) fn lost_nothing(watch: &Took) -> bool {
    watch.said.lines().for_each(|line| println!("{line}"));
    watch.said.is_empty()
}
