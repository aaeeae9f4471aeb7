//! Client software by User-Agent, by label and by TCP handshake.

use crate::model::Label;

/// The first version of each browser with TLS 1.3.
const TLS13: [(&str, u32, Browser); 5] = [
    // In this order: Edge and Opera also contain Chrome, Chrome contains Safari.
    ("Firefox/", 63, Browser::Firefox),
    ("Edg/", 79, Browser::Edge),
    ("OPR/", 57, Browser::Opera),
    ("Chrome/", 70, Browser::Chrome),
    ("Version/", 14, Browser::Safari),
];

/// Words of labels that are not browsers. Whole words: `go` does not match `mango`.
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

/// Words of labels that are browsers or their engines.
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
pub(super) enum OsFamily {
    Windows,
    Linux,
    Apple,
}

/// The browser that a User-Agent claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BrowserClaim {
    pub(super) browser: Browser,
    pub(super) version: u32,
    pub(super) tls13: bool,
    pub(super) os: Option<OsFamily>,
}

/// The kind of client software, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientClass {
    Tool,
    Browser,
    /// No label, or a label of neither kind.
    Unknown,
}

/// Returns the browser that a User-Agent claims.
pub(super) fn claim(text: &str) -> Option<BrowserClaim> {
    // A crawler claims the browser that it is based on; its fingerprints are its own.
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
    let families = [
        ("Windows NT", OsFamily::Windows),
        ("Android", OsFamily::Linux),
        ("Linux", OsFamily::Linux),
        ("CrOS", OsFamily::Linux),
        ("Macintosh", OsFamily::Apple),
        ("iPhone", OsFamily::Apple),
        ("iPad", OsFamily::Apple),
    ];
    let os = families.into_iter().find(|(word, _)| text.contains(word)).map(|(_, family)| family);
    Some(BrowserClaim { browser, version, tls13, os })
}

/// Returns the family of an inferred operating system such as `Linux` or `macOS or iOS`; `None` if it is of no family or
/// of several.
pub(super) fn os_family(os: &str) -> Option<OsFamily> {
    let os = os.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| os.contains(word));
    let windows = names(&["windows"]);
    match (windows, names(&["linux", "android"]), names(&["macos", "apple", "darwin"])) {
        (true, false, false) => Some(OsFamily::Windows),
        (false, true, false) => Some(OsFamily::Linux),
        (false, false, true) => Some(OsFamily::Apple),
        _ => None,
    }
}

/// Returns the kind of client software that a label names.
pub(super) fn class(label: &Label) -> ClientClass {
    let names = |words: &[&str]| {
        let category = label.category.as_deref().unwrap_or_default();
        let mut parts = label.name.split(|c: char| !c.is_ascii_alphanumeric()).chain([category]);
        parts.any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
    };
    if names(&BROWSERS) {
        ClientClass::Browser
    } else if names(&TOOLS) {
        ClientClass::Tool
    } else {
        ClientClass::Unknown
    }
}
