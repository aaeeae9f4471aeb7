//! What a User-Agent claims, and what a label and a TCP handshake hint at.

use crate::model::Label;

/// First versions with TLS 1.3, for a browser that is at least as new.
const TLS13: [(&str, u32, Browser); 5] = [
    // In this order: an Edge and an Opera name Chrome as well, a Chrome names Safari.
    ("Firefox/", 63, Browser::Firefox),
    ("Edg/", 79, Browser::Edge),
    ("OPR/", 57, Browser::Opera),
    ("Chrome/", 70, Browser::Chrome),
    ("Version/", 14, Browser::Safari),
];

/// Words of labels that name no browser. Whole words: `go` is not part of `mango`.
const TOOLS: [&str; 24] = [
    "curl",
    "libcurl",
    "wget",
    "python",
    "requests",
    "urllib",
    "urllib3",
    "aiohttp",
    "httpx",
    "go",
    "golang",
    "java",
    "okhttp",
    "node",
    "nodejs",
    "ruby",
    "perl",
    "php",
    "powershell",
    "openssl",
    "gnutls",
    "rust",
    "rustls",
    "sliver",
];

/// Words of labels that name a browser, or what one is made of.
const BROWSERS: [&str; 13] = [
    "chrome", "chromium", "firefox", "safari", "edge", "opera", "brave", "vivaldi", "browser", "webkit", "gecko",
    "mozilla", "electron",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Browser {
    Firefox,
    Edge,
    Opera,
    Chrome,
    Safari,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Windows,
    Linux,
    Apple,
}

/// What a User-Agent claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) browser: Browser,
    pub(super) version: u32,
    pub(super) tls13: bool,
    pub(super) system: Option<System>,
}

/// Whose a JA4 is, as its label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Tool,
    Browser,
    /// No label, or one that says neither.
    Unknown,
}

pub(super) fn claim(text: &str) -> Option<Claim> {
    // A crawler says that it is one beside the browser it is made of; what it is made of is not told.
    if ["bot", "Bot", "crawler", "spider", "compatible;"].iter().any(|word| text.contains(word)) {
        return None;
    }
    let number = |token: &str| {
        let at = text.find(token)? + token.len();
        let digits: String = text.get(at..)?.chars().take_while(char::is_ascii_digit).take(6).collect();
        digits.parse::<u32>().ok()
    };
    let found = TLS13.iter().find_map(|&(token, first, browser)| {
        let claimed = browser != Browser::Safari || text.contains("Safari/");
        number(token).filter(|_| claimed).map(|version| (browser, version, version >= first))
    });
    let (browser, version, tls13) = found?;
    let systems = [
        ("Windows NT", System::Windows),
        ("Android", System::Linux),
        ("Linux", System::Linux),
        ("CrOS", System::Linux),
        ("Macintosh", System::Apple),
        ("iPhone", System::Apple),
        ("iPad", System::Apple),
    ];
    let system = systems.into_iter().find(|(word, _)| text.contains(word)).map(|(_, system)| system);
    Some(Claim { browser, version, tls13, system })
}

/// The system that a hint such as `Linux` or `macOS or iOS` names; `None` where it names none or several.
pub(super) fn system(hint: &str) -> Option<System> {
    let hint = hint.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| hint.contains(word));
    let windows = names(&["windows"]);
    match (windows, names(&["linux", "android"]), names(&["macos", "apple", "darwin"])) {
        (true, false, false) => Some(System::Windows),
        (false, true, false) => Some(System::Linux),
        (false, false, true) => Some(System::Apple),
        _ => None,
    }
}

pub(super) fn class(label: &Label) -> Class {
    let names = |words: &[&str]| {
        let category = label.category.as_deref().unwrap_or_default();
        let mut parts = label.name.split(|c: char| !c.is_ascii_alphanumeric()).chain([category]);
        parts.any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
    };
    if names(&BROWSERS) {
        Class::Browser
    } else if names(&TOOLS) {
        Class::Tool
    } else {
        Class::Unknown
    }
}
