//! Whatever others write, an independent reader finds the same structure, and their text as text.

#![allow(clippy::unwrap_used)]

use comrak::markdown_to_html;
use proptest::prelude::*;

use super::*;
use crate::language::Text;
use crate::report::testing::{Talk, judged, tap, unanswered};
use crate::report::{Format, Reporter};

/// Text that would like to be something else.
const HOSTILE: &[&str] = &[
    "a | b || c",
    "\\| \\\\| \\",
    "` `` ``` ````",
    "```\n# Gone\n```",
    "<script>alert(1)</script> <img src=x onerror=alert(1)> <!--",
    "&lt; &#60; &copy; &amp;",
    "[x](http://evil.example/) ![x](x) [x]: http://evil.example/ [^1]",
    "*a* **b** _c_ __d__ ~e~ ~~f~~ $g$ $$h$$",
    "http://evil.example/ https://evil.example www.evil.example WWW.evil.example ftp://evil.example a@evil.example mailto:a@b.c",
    "@someone #123 someone/repository#1",
    "# a",
    "1. a",
    "- [x] a",
    "--- ===",
    "> a",
    "| --- | --- |",
    " both ends ",
    "\u{202e}\u{200b}\t\r\n\u{1b}[2J",
];

fn options() -> Options {
    Options { format: Format::Markdown, timeline: true, ..Options::default() }
}

fn render(markdown: &str) -> String {
    let mut options = comrak::Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.render.r#unsafe = true;
    markdown_to_html(markdown, &options)
}

/// A failed transfer in which others wrote this wherever they can.
fn report(theirs: &str) -> String {
    let mut talk = Talk::active();
    let command = talk.command_bytes(format!("STOR {theirs}").as_bytes());
    talk.view.transfers[0].command = Some(command);
    let user = talk.command_bytes(format!("USER {theirs}").as_bytes());
    talk.view.user = Some(user);
    talk.reply(550, theirs);
    let mut verdict = unanswered();
    verdict.finding.evidence[0].text = Text::verbatim(format!("server: {theirs}"));
    verdict.finding.notes[0] = Text::verbatim(format!("the server says {theirs}"));
    verdict.narrower = Some(Text::verbatim(theirs));
    verdict.remedies[0].commands[1].1 = format!("nft {theirs}");
    let mut out = Vec::new();
    let mut reporter = Reporter::new(&mut out, options());
    let tap = tap(&format!("a{theirs}"));
    reporter.session(&talk.session(), &judged(Outcome::Failed, Some(verdict)), &[tap]).unwrap();
    reporter.finish(&[], &[Text::verbatim(theirs)]).unwrap();
    String::from_utf8(out).unwrap()
}

/// The tags of a page in order, but for those of code spans.
fn tags(html: &str) -> Vec<&str> {
    let tags = html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag);
    tags.filter(|tag| !tag.trim_start_matches('/').starts_with("code")).collect()
}

/// The text of a page.
fn text(html: &str) -> String {
    let text: String =
        html.split('<').filter_map(|part| part.split_once('>').map_or(Some(part), |(_, text)| Some(text))).collect();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[test]
fn a_failure_reads_as_designed() {
    let mut talk = Talk::active();
    talk.attempt();
    let mut out = Vec::new();
    let mut reporter = Reporter::new(&mut out, Options { timeline: false, ..options() });
    let judgement = judged(Outcome::Failed, Some(unanswered()));
    reporter.session(&talk.session(), &judgement, &[tap("server.pcap")]).unwrap();
    reporter.finish(&[], &[]).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\
## ✗ Something between the client and the capture point server.pcap dropped the server's data connection: the path, or the client's own firewall. \\[likely\\]

`STOR ./testfile02` · `172.16.0.99 -> 172.16.0.10 (vsFTPd 2.2.2, anonymous)` · `active: PORT 172.16.0.99:49160` · `O5 data-syn-unanswered`

| seen at | time | what |
| --- | --- | --- |
| `server.pcap:4` | +0.003 | `client: PORT 172,16,0,99,192,8` |
| `server.pcap` | +0.007 to +59.999 | `nothing answers the SYN: no SYN-ACK, RST or ICMP error` |

Note: a note

To know more: capture on the client

On the client, allow it:

iptables:

```
iptables -I INPUT -j ACCEPT
```

nft:

```
nft add rule
```

- session 1, began 2010-07-04 10:15:00 UTC

---

- 1 session, 1 transfer: 1 failed (client's side or network 1)

"
    );
}

#[test]
fn what_others_wrote_is_text_wherever_it_is() {
    let plain = render(&report("plain"));
    for tag in ["h2", "table", "pre", "ul", "hr /"] {
        assert!(tags(&plain).contains(&tag), "{tag}: {plain}");
    }
    for theirs in HOSTILE {
        let markdown = report(theirs);
        let html = render(&markdown);
        assert_eq!(tags(&html), tags(&plain), "{theirs:?}\n{markdown}\n{html}");
        let shown = escaped(theirs).to_string();
        let in_tables = shown.replace("\\|", "\\x5c|");
        let text = text(&html);
        assert!(text.contains(&format!("STOR {shown}")), "{theirs:?}: {text}");
        assert!(text.contains(&format!("server: {in_tables}")), "{theirs:?}: {text}");
        assert!(text.contains(&format!("nft {shown}\n")), "{theirs:?}: {text}");
    }
}

proptest! {
    #[test]
    fn any_line_is_one_span_of_code(text in "[`|\\\\ a<&\\[\\]()*_]{1,12}") {
        let html = render(&format!("x{}x", code(&text)));
        let shown = html.strip_prefix("<p>x<code>").and_then(|html| html.strip_suffix("</code>x</p>\n"));
        prop_assert_eq!(shown.map(super::tests::text), Some(text));
    }

    #[test]
    fn any_line_of_words_has_no_markup(text in "[`|\\\\ a1.)<>&!\\[\\](){}*_~$@:/#=+-]{1,24}") {
        let html = render(&format!("- {}\n", line(&text)));
        let tags: Vec<&str> = tags(&html);
        prop_assert!(tags == ["ul", "li", "/li", "/ul"], "{html}");
    }
}
