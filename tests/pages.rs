//! The page for people (`--html`): all of a report is in it, its links lead somewhere, and whatever others wrote stays
//! text, in a real browser. That needs Chromium (Debian: chromium); without it, that part is skipped, saying so.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

/// A folder for a test, gone when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("ftpwhy-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        Scratch(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The page and the JSON of one run.
fn report(page: &Path, arguments: &[String], language: &str) -> (String, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftpwhy"));
    command.args(["replay", "--format", "jsonl", "--lang", language, "--html"]).arg(page).args(arguments);
    let output = command.output().expect("the program runs");
    let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let sessions = lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    (fs::read_to_string(page).expect("the page is there"), sessions)
}

/// What follows each `before`, up to the next quote.
fn values<'a>(page: &'a str, before: &str) -> Vec<&'a str> {
    page.split(before).skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect()
}

/// A text as it stands in markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The texts of the verdicts on what failed.
fn told(sessions: &[Value]) -> Vec<String> {
    let transfers = sessions.iter().flat_map(|session| session["transfers"].as_array().into_iter().flatten());
    let verdicts = transfers.filter(|transfer| transfer["outcome"] == "failed").map(|transfer| &transfer["diagnosis"]);
    verdicts
        .flat_map(|verdict| {
            let lists = ["evidence", "remedies"].map(|key| verdict[key].as_array().into_iter().flatten());
            let texts = lists.into_iter().flatten().map(|one| &one["text"]);
            let commands = verdict["remedies"].as_array().into_iter().flatten();
            let commands = commands.flat_map(|remedy| remedy["commands"].as_array().into_iter().flatten());
            texts.chain(commands).chain([&verdict["summary"]]).filter_map(Value::as_str).map(str::to_owned)
        })
        .collect()
}

#[test]
fn a_page_holds_the_whole_verdict_and_its_links_lead_somewhere() {
    let scratch = Scratch::new("pages");
    let mut told_of = 0;
    for (folder, arguments) in common::cases() {
        for language in ["en", "ja"] {
            let (page, sessions) = report(&scratch.file("page.html"), &arguments, language);
            let ids = values(&page, " id=\"");
            let known: BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(known.len(), ids.len(), "{}: an id is there twice", folder.display());
            for target in values(&page, " href=\"") {
                let target = target.strip_prefix('#').expect("links stay in the page");
                assert!(known.contains(target), "{}: nothing is called {target}", folder.display());
            }
            assert!(page.contains(&format!("<html lang=\"{language}\">")));
            for text in told(&sessions).iter().filter(|text| language == "en" && !text.contains('\\')) {
                told_of += 1;
                assert!(page.contains(&escaped(text)), "{}: {text}", folder.display());
            }
        }
    }
    assert!(told_of > 500, "only {told_of} texts of verdicts");
}

/// A raw IPv4 packet of TCP, whose checksums nobody looks at.
fn packet(from: ([u8; 4], u16), to: ([u8; 4], u16), numbers: (u32, u32), flags: u8, text: &[u8]) -> Vec<u8> {
    let length = 40 + text.len() as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    bytes.extend(from.0);
    bytes.extend(to.0);
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(numbers.0.to_be_bytes());
    bytes.extend(numbers.1.to_be_bytes());
    bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(text);
    bytes
}

/// A pcap file (link type 101, raw IP) of a session in which both ends say what is given, and a transfer fails.
fn capture(path: &Path, banner: &str, file: &str, refusal: &str) {
    let (client, server) = (([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 21));
    let mut packets = vec![
        packet(client, server, (1000, 0), 0x02, b""),
        packet(server, client, (5000, 1001), 0x12, b""),
        packet(client, server, (1001, 5001), 0x10, b""),
    ];
    let (mut said_by_client, mut said_by_server) = (1001_u32, 5001_u32);
    let talk = [
        (false, format!("220 {banner}")),
        (true, format!("USER {file}")),
        (false, "230 in".to_owned()),
        (true, "PORT 10,0,0,1,200,1".to_owned()),
        (false, "200 PORT command successful".to_owned()),
        (true, format!("STOR {file}")),
    ];
    for (is_client, line) in talk.into_iter().chain([(false, format!("425 {refusal}"))]) {
        let text = [line.as_bytes(), b"\r\n"].concat();
        if line.starts_with("425") {
            packets.push(packet((server.0, 20), (client.0, 51_201), (9000, 0), 0x02, b""));
        }
        let (from, to) = if is_client { (client, server) } else { (server, client) };
        let numbers = if is_client { (said_by_client, said_by_server) } else { (said_by_server, said_by_client) };
        packets.push(packet(from, to, numbers, 0x18, &text));
        let said = if is_client { &mut said_by_client } else { &mut said_by_server };
        *said += text.len() as u32;
    }
    let mut out = fs::File::create(path).expect("the capture can be written");
    let head = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101_u32];
    out.write_all(&head.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()).expect("written");
    for (second, packet) in packets.iter().enumerate() {
        let length = packet.len() as u32;
        let record = [1_700_000_000 + second as u32, 0, length, length];
        out.write_all(&record.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()).expect("written");
        out.write_all(packet).expect("written");
    }
}

/// Opens a page and gives what the browser made of it; none without a browser.
fn browsed(scratch: &Scratch, page: &Path) -> Option<String> {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--timeout=20000"])
        .arg(format!("--user-data-dir={}", scratch.file("profile").display()))
        .arg(format!("file://{}", page.display()))
        .stderr(Stdio::null());
    match command.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("chromium: {error}"),
    }
}

#[test]
fn what_others_wrote_stays_text_in_a_browser() {
    let scratch = Scratch::new("hostile");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    // what asks is counted, and let down at once
    thread::spawn(move || {
        for _ in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let image = format!("<img src=http://127.0.0.1:{port}/>");

    let open = scratch.file("open.html");
    fs::write(&open, format!("<html><body onmouseover=\"\">{image}<script></script></body></html>")).expect("written");
    let Some(dom) = browsed(&scratch, &open) else {
        eprintln!("skipped: no browser here (Debian: chromium)");
        return;
    };
    assert_eq!(foreign(&dom), ["<img", "<script", " onmouseover="], "what is markup is seen");
    assert!(calls.swap(0, Ordering::SeqCst) > 0, "the browser fetches what a page asks for");

    let script = "</code></text></svg><script>document.title='taken'</script><a href=javascript:alert(1)>x</a>";
    let attribute = "\" onmouseover=\"alert(1)\" style=\"background:url(http://127.0.0.1/)";
    capture(&scratch.file("hostile.pcap"), &format!("{script} {image}"), &format!("{image}{attribute}"), script);
    let arguments = ["--client".to_owned(), scratch.file("hostile.pcap").display().to_string()];
    for language in ["en", "ja"] {
        let page = scratch.file("hostile.html");
        let (_, sessions) = report(&page, &arguments, language);
        assert_eq!(sessions[0]["transfers"][0]["outcome"], "failed");
        let dom = browsed(&scratch, &page).expect("the browser was there");
        assert_eq!(foreign(&dom), Vec::<&str>::new(), "became markup");
        assert!(dom.contains("&lt;img src=http://") && dom.contains("&lt;script&gt;"), "it is told as text");
        assert!(dom.contains("<title>ftpwhy: "), "the title is ours");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "a request left the page");
}

/// What no page of ours has, and this one has as markup: the browser writes `<` in a text as `&lt;`, and the names of
/// attributes stand in tags only.
fn foreign(dom: &str) -> Vec<&'static str> {
    let tags = ["<img", "<script", "<iframe", "<a href=\"javascript"];
    let is_text = |at: usize| dom[..at].rfind('>') > dom[..at].rfind('<');
    let attributes = [" onmouseover=", " onerror="].into_iter();
    let attributes = attributes.filter(|name| dom.match_indices(name).any(|(at, _)| !is_text(at)));
    tags.into_iter().filter(|tag| dom.contains(tag)).chain(attributes).collect()
}
