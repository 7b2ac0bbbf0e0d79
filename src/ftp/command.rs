//! Reads one line of a client as a command. Read RFC 959 sections 4.1 and 5.3 first; the list of verbs is the
//! registry of RFC 5797.
//!
//! The control connection speaks Telnet (RFC 854), and a client that aborts does use it: `IAC IP IAC DM ABOR`.

use std::borrow::Cow;

/// Which way a transfer command sends data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataDirection {
    /// From the client to the server: an upload.
    ToServer,
    /// From the server to the client: a download or a listing.
    ToClient,
}

/// What a verb is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Opens a data connection that carries data to the server.
    Upload,
    /// Opens a data connection that carries data to the client.
    Download,
    /// Says or asks where the data connection goes.
    Negotiation,
    /// Has an argument that nobody else should see.
    Secret,
    /// Concerns the control connection only.
    Other,
}

/// Defines [`Verb`] and its properties from rows of variant, name, kind and RFC.
macro_rules! verbs {
    ($($verb:ident $name:literal $kind:ident $rfc:literal;)*) => {
        /// A command's verb.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verb {
            $(#[doc = concat!("`", $name, "`: RFC ", $rfc, ".")] $verb,)*
            /// A verb of no RFC.
            Unknown,
        }

        impl Verb {
            /// Every known verb.
            pub const ALL: &[Verb] = &[$(Verb::$verb),*];

            /// The verb in upper case; `?` for an unknown one.
            pub fn name(self) -> &'static str {
                match self {
                    $(Verb::$verb => $name,)*
                    Verb::Unknown => "?",
                }
            }

            fn kind(self) -> Kind {
                match self {
                    $(Verb::$verb => Kind::$kind,)*
                    Verb::Unknown => Kind::Other,
                }
            }

            /// Finds a verb by its [`key`].
            #[allow(non_upper_case_globals)]
            fn find(wanted: u32) -> Verb {
                $(const $verb: u32 = key($name.as_bytes());)*
                match wanted {
                    $($verb => Verb::$verb,)*
                    _ => Verb::Unknown,
                }
            }
        }
    };
}

verbs! {
    User "USER" Other 959;
    Pass "PASS" Secret 959;
    Acct "ACCT" Secret 959;
    Cwd  "CWD"  Other 959;
    Cdup "CDUP" Other 959;
    Smnt "SMNT" Other 959;
    Quit "QUIT" Other 959;
    Rein "REIN" Other 959;
    Port "PORT" Negotiation 959;
    Pasv "PASV" Negotiation 959;
    Type "TYPE" Other 959;
    Stru "STRU" Other 959;
    Mode "MODE" Other 959;
    Retr "RETR" Download 959;
    Stor "STOR" Upload 959;
    Stou "STOU" Upload 959;
    Appe "APPE" Upload 959;
    Allo "ALLO" Other 959;
    Rest "REST" Other 3659;
    Rnfr "RNFR" Other 959;
    Rnto "RNTO" Other 959;
    Abor "ABOR" Other 959;
    Dele "DELE" Other 959;
    Rmd  "RMD"  Other 959;
    Mkd  "MKD"  Other 959;
    Pwd  "PWD"  Other 959;
    List "LIST" Download 959;
    Nlst "NLST" Download 959;
    Site "SITE" Other 959;
    Syst "SYST" Other 959;
    Stat "STAT" Other 959;
    Help "HELP" Other 959;
    Noop "NOOP" Other 959;
    Xcup "XCUP" Other 1123;
    Xcwd "XCWD" Other 1123;
    Xmkd "XMKD" Other 1123;
    Xpwd "XPWD" Other 1123;
    Xrmd "XRMD" Other 1123;
    Lprt "LPRT" Negotiation 1639;
    Lpsv "LPSV" Negotiation 1639;
    Auth "AUTH" Other 2228;
    Adat "ADAT" Secret 2228;
    Pbsz "PBSZ" Other 2228;
    Prot "PROT" Other 2228;
    Ccc  "CCC"  Other 2228;
    Mic  "MIC"  Secret 2228;
    Conf "CONF" Secret 2228;
    Enc  "ENC"  Secret 2228;
    Feat "FEAT" Other 2389;
    Opts "OPTS" Other 2389;
    Eprt "EPRT" Negotiation 2428;
    Epsv "EPSV" Negotiation 2428;
    Lang "LANG" Other 2640;
    Mdtm "MDTM" Other 3659;
    Size "SIZE" Other 3659;
    Mlst "MLST" Other 3659;
    Mlsd "MLSD" Download 3659;
    Algs "ALGS" Other 6384;
    Host "HOST" Other 7151;
}

impl Verb {
    /// The verb a printable word stands for, in whatever case.
    #[inline]
    fn from_word(word: &[u8]) -> Verb {
        if word.len() > 4 { Verb::Unknown } else { Verb::find(key(word)) }
    }

    /// Whether it uses a data connection (`MLST` and `STAT` do not).
    pub fn is_transfer(self) -> bool {
        self.data_direction().is_some()
    }

    /// Which way its data goes, if it uses a data connection.
    pub fn data_direction(self) -> Option<DataDirection> {
        match self.kind() {
            Kind::Upload => Some(DataDirection::ToServer),
            Kind::Download => Some(DataDirection::ToClient),
            Kind::Negotiation | Kind::Secret | Kind::Other => None,
        }
    }

    /// Whether it says or asks where the next data connection goes: `PORT`, `PASV`, `EPRT`, `EPSV`, `LPRT`, `LPSV`.
    pub fn is_negotiation(self) -> bool {
        self.kind() == Kind::Negotiation
    }

    /// Whether its argument must not be shown or stored. `MIC`, `CONF` and `ENC` wrap other commands, `PASS`
    /// among them.
    pub fn is_secret(self) -> bool {
        self.kind() == Kind::Secret
    }
}

/// The first four bytes of a word in upper case, as one number. Printable words have no zero bytes, so no two
/// share one.
const fn key(word: &[u8]) -> u32 {
    let mut key = 0;
    let mut i = 0;
    while i < word.len() && i < 4 {
        key = key << 8 | word[i].to_ascii_uppercase() as u32;
        i += 1;
    }
    key
}

/// A command as the client sent it, without Telnet's bytes.
///
/// Borrows from its line unless Telnet sequences had to be taken out of its middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The verb.
    pub verb: Verb,
    /// The verb as typed.
    pub word: Cow<'a, [u8]>,
    /// All behind the one blank after the verb: a path may begin or end with blanks.
    pub argument: Cow<'a, [u8]>,
}

impl<'a> Command<'a> {
    /// Reads a line, given without its terminator.
    ///
    /// `None` if it begins with no printable ASCII word: empty lines, TLS records, other binary protocols. A
    /// printable word of no RFC is a command ([`Verb::Unknown`]), for a server answers it too.
    pub fn parse(line: &'a [u8]) -> Option<Command<'a>> {
        match without_telnet(line) {
            Cow::Borrowed(text) => Command::read(text),
            Cow::Owned(text) => Command::read(&text).map(Command::into_owned),
        }
    }

    /// The same for a line without Telnet's bytes.
    #[inline]
    fn read(text: &'a [u8]) -> Option<Command<'a>> {
        let start = text.iter().position(|&byte| !is_blank(byte))?;
        let text = &text[start..];
        let end = text.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(text.len());
        let (word, behind) = text.split_at(end);
        let argument = match behind {
            [] => behind,
            [first, argument @ ..] if is_blank(*first) => argument,
            _ => return None,
        };
        Some(Command { verb: Verb::from_word(word), word: word.into(), argument: argument.into() })
    }

    fn into_owned<'b>(self) -> Command<'b> {
        let Command { verb, word, argument } = self;
        Command { verb, word: word.into_owned().into(), argument: argument.into_owned().into() }
    }

    /// Whether its argument must not be shown or stored: that of a secret verb, or of a `SITE` command that sets
    /// a password.
    pub fn is_secret(&self) -> bool {
        self.verb.is_secret() || self.verb == Verb::Site && is_password_change(&self.argument)
    }

    /// Whether its verb, which no RFC knows, looks like one; anything else may be a part of a password.
    pub fn is_word(&self) -> bool {
        (3..=6).contains(&self.word.len()) && self.word.iter().all(u8::is_ascii_uppercase)
    }
}

/// Whether a `SITE` argument begins with a word that servers take for "set my password".
fn is_password_change(argument: &[u8]) -> bool {
    let word = argument.trim_ascii_start().split(|&byte| is_blank(byte)).next().unwrap_or_default();
    [&b"PSWD"[..], b"PASSWD", b"PASSWORD", b"CPWD", b"CHPASS", b"NEWPASS"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Telnet's "interpret as command".
const IAC: u8 = 0xff;

/// Takes Telnet commands and options out of a line and undoubles IAC (RFC 854). An IAC before anything else
/// is data: some clients send a Latin-1 `ÿ` undoubled.
#[inline]
fn without_telnet(line: &[u8]) -> Cow<'_, [u8]> {
    if line.is_ascii() { Cow::Borrowed(line) } else { with_telnet(line) }
}

/// The same for a line that is not all ASCII.
fn with_telnet(line: &[u8]) -> Cow<'_, [u8]> {
    let mut rest = line;
    while let Some(length) = telnet_command(rest) {
        rest = &rest[length..];
    }
    if !rest.contains(&IAC) {
        return Cow::Borrowed(rest);
    }
    let mut text = Vec::with_capacity(rest.len());
    while let Some(&byte) = rest.first() {
        let length = telnet_command(rest).unwrap_or_else(|| {
            text.push(byte);
            if rest.starts_with(&[IAC, IAC]) { 2 } else { 1 }
        });
        rest = &rest[length..];
    }
    Cow::Owned(text)
}

/// The length of the Telnet command that `bytes` begin with, if they do.
fn telnet_command(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [IAC, 0xfb..=0xfe, _, ..] => Some(3), // WILL, WON'T, DO, DON'T, each with an option
        [IAC, 0xf0..=0xfe, ..] => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &[u8]) -> Option<(Verb, String)> {
        let command = Command::parse(line)?;
        Some((command.verb, command.argument.escape_ascii().to_string()))
    }

    #[test]
    fn reads_verbs_in_any_case_and_keeps_the_argument() {
        for (line, verb, argument) in [
            (&b"USER anonymous"[..], Verb::User, "anonymous"),
            (b"retr  a b ", Verb::Retr, " a b "),
            (b"Pwd", Verb::Pwd, ""),
            (b"  \tNOOP", Verb::Noop, ""),
            (b"CWD ", Verb::Cwd, ""),
            (b"PORT\t10,0,0,1,4,5", Verb::Port, "10,0,0,1,4,5"),
            (b"XMD5 file", Verb::Unknown, "file"),
            (b"PASVX", Verb::Unknown, ""),
            (b"GET / HTTP/1.1", Verb::Unknown, "/ HTTP/1.1"),
        ] {
            assert_eq!(parse(line), Some((verb, argument.to_string())));
        }
    }

    #[test]
    fn takes_telnet_out() {
        for (line, verb, argument) in [
            (&b"\xff\xf4\xff\xf2ABOR"[..], Verb::Abor, ""),
            (b"\xff\xf5\xff\xf2abor", Verb::Abor, ""),
            (b"\xff\xfb\x01\xff\xfe\x03 STAT x", Verb::Stat, "x"),
            (b"AB\xff\xf4\xff\xf2OR", Verb::Abor, ""),
            (b"RETR \xff\xff.txt\xff\xf1", Verb::Retr, "\\xff.txt"),
            (b"RETR \xff.txt", Verb::Retr, "\\xff.txt"),
            (b"RETR a\xff", Verb::Retr, "a\\xff"),
        ] {
            assert_eq!(parse(line), Some((verb, argument.to_string())));
        }
    }

    #[test]
    fn what_is_no_command() {
        for line in [&b""[..], b"   ", b"\x16\x03\x01\x02\x00\x01", b"\xff\xf4\xff\xf2", b"\xff\xff", b"US\x01ER x"] {
            assert_eq!(parse(line), None);
        }
    }

    #[test]
    fn borrows_in_the_usual_case() {
        for line in [&b"RETR file"[..], b"\xff\xf4\xff\xf2ABOR"] {
            let command = Command::parse(line).expect("is a command");
            assert!(matches!((command.word, command.argument), (Cow::Borrowed(_), Cow::Borrowed(_))));
        }
    }

    #[test]
    fn kinds_of_verbs() {
        let named = |holds: fn(Verb) -> bool| {
            Verb::ALL.iter().filter(|verb| holds(**verb)).map(|verb| verb.name()).collect::<Vec<_>>()
        };
        assert_eq!(named(Verb::is_negotiation), ["PORT", "PASV", "LPRT", "LPSV", "EPRT", "EPSV"]);
        assert_eq!(named(Verb::is_secret), ["PASS", "ACCT", "ADAT", "MIC", "CONF", "ENC"]);
        assert_eq!(named(Verb::is_transfer), ["RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"]);
        assert_eq!(Verb::Appe.data_direction(), Some(DataDirection::ToServer));
        assert_eq!(Verb::Mlsd.data_direction(), Some(DataDirection::ToClient));
        assert_eq!(Verb::Mlst.data_direction(), None);
    }

    #[test]
    fn passwords_set_by_site_are_secret() {
        let secret = |line| Command::parse(line).expect("is a command").is_secret();
        assert!(secret(b"pass x") && secret(b"SITE pswd old new") && secret(b"SITE  CHPASS x"));
        assert!(!secret(b"SITE CHMOD 644 x") && !secret(b"USER pass") && !secret(b"SITE"));
    }

    #[test]
    fn every_name_leads_to_its_verb() {
        for &verb in Verb::ALL {
            assert_eq!(Verb::from_word(verb.name().to_ascii_lowercase().as_bytes()), verb);
        }
        assert_eq!(Verb::from_word(b""), Verb::Unknown);
    }

    proptest! {
        #[test]
        fn undoubling_undoes_doubling(path in prop::collection::vec(any::<u8>(), 0..40)) {
            let doubled = path.iter().flat_map(|&byte| std::iter::repeat_n(byte, if byte == IAC { 2 } else { 1 }));
            let line: Vec<u8> = b"RETR ".iter().copied().chain(doubled).collect();
            let command = Command::parse(&line).expect("is a command");
            prop_assert_eq!(&*command.argument, &*path);
        }

        #[test]
        fn any_bytes_are_read_or_refused(line in prop::collection::vec(prop_oneof![any::<u8>(), Just(IAC), 0xf0u8..], 0..20)) {
            if let Some(command) = Command::parse(&line) {
                prop_assert!(!command.word.is_empty() && command.word.is_ascii());
            }
        }
    }
}
