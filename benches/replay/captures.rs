//! The captures, how they are made, and what is wanted of a replay of each.

/// What is wanted of `ftpwhy replay`; none where nothing is set.
pub(crate) struct Aims {
    /// Wall time over that of `cat`, at most.
    pub(crate) cat: Option<f64>,
    /// Wall time over that of `tcpdump -w /dev/null 'tcp port 21'`, at most.
    pub(crate) tcpdump: Option<f64>,
    /// Wall time of tshark's FTP dissection over ours, at least.
    pub(crate) tshark: Option<f64>,
    /// Peak memory in MiB, at most.
    pub(crate) peak: Option<f64>,
}

/// A capture that can be made again byte by byte.
pub(crate) struct Capture {
    /// Name of its file.
    pub(crate) name: &'static str,
    pub(crate) recipe: Recipe,
    pub(crate) aims: Aims,
}

/// How a capture of scale 1 is made.
pub(crate) enum Recipe {
    /// A kind of the generator.
    Kind(&'static str),
    /// Short sessions, this many, at this rate per second: so many arrive that about half of them live at once.
    Crowd { sessions: f64, rate: f64 },
    /// Another capture in the pcapng form.
    Pcapng(&'static Capture),
}

impl Capture {
    /// The capture as the generator wrote it, which has the truth beside it.
    pub(crate) fn generated(&self) -> &Capture {
        match self.recipe {
            Recipe::Pcapng(original) => original,
            Recipe::Kind(_) | Recipe::Crowd { .. } => self,
        }
    }
}

/// All captures, in the order in which they are measured.
pub(crate) static CAPTURES: [&Capture; 5] = [&BULK, &MANY, &MIXED, &MANY_PCAPNG, &LIVE];

static BULK: Capture = Capture {
    name: "bulk.pcap",
    recipe: Recipe::Kind("bulk"),
    aims: Aims { cat: Some(1.3), tcpdump: Some(0.65), tshark: Some(90.0), peak: Some(32.0) },
};

static MANY: Capture = Capture {
    name: "many.pcap",
    recipe: Recipe::Kind("many"),
    aims: Aims { cat: Some(6.0), tcpdump: Some(0.85), tshark: Some(130.0), peak: Some(64.0) },
};

static MIXED: Capture = Capture {
    name: "mixed.pcap",
    recipe: Recipe::Kind("mixed"),
    aims: Aims { cat: Some(2.0), tcpdump: Some(0.5), tshark: Some(240.0), peak: Some(48.0) },
};

static MANY_PCAPNG: Capture = Capture {
    name: "many.pcapng",
    recipe: Recipe::Pcapng(&MANY),
    aims: Aims { cat: None, tcpdump: None, tshark: None, peak: None },
};

static LIVE: Capture = Capture {
    name: "live.pcap",
    recipe: Recipe::Crowd { sessions: 100_000.0, rate: 50_000.0 },
    aims: Aims { cat: None, tcpdump: None, tshark: None, peak: Some(128.0) },
};
