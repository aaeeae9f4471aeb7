//! The kinds of values, when they are known, and the JSON objects that contain them.

/// The kind of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// An IP address.
    Ip,
    /// A whole number.
    Number,
    /// A time; a rule compares whole seconds since 1970.
    Time,
    /// A time of a certificate; a rule compares whole seconds since 1970.
    Date,
    /// A duration in nanoseconds; a rule writes `"90s"`.
    Duration,
    /// Any text. It may come from the wire.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`. Output contains the field only if it is true.
    Bool,
}

impl FieldKind {
    /// The kind in words, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "an IP address",
            Self::Number | Self::Time | Self::Date => "a number",
            Self::Duration => "a duration",
            Self::Text | Self::Word(_) => "a text",
            Self::Bool => "true or false",
        }
    }

    /// Whether a rule compares numbers.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Time | Self::Date)
    }
}

/// When the value of a field is known. It decides when a rule over connections counts one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// With the first packet.
    Start,
    /// With the first fingerprint of one of these methods, a bit each; else at the end.
    With(u16),
    /// At the end of the connection.
    End,
    /// Only of one fingerprint or event.
    Fingerprint,
}

/// The JSON object at the top of a line that contains a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// None: the field is at the top.
    Top,
    /// `tls`
    Tls,
    /// `quic`
    Quic,
    /// `http`
    Http,
    /// `ssh`
    Ssh,
    /// `dhcp`
    Dhcp,
    /// `certificate`
    Certificate,
    /// `label`
    Label,
    /// `app`
    App,
    /// `known_bad`
    KnownBad,
    /// `tunnel`
    Tunnel,
    /// `ja4`
    Ja4,
    /// Another.
    Other,
}

impl Section {
    pub(super) const fn named(object: &str) -> Self {
        match object.as_bytes() {
            b"tls" => Self::Tls,
            b"quic" => Self::Quic,
            b"http" => Self::Http,
            b"ssh" => Self::Ssh,
            b"dhcp" => Self::Dhcp,
            b"certificate" => Self::Certificate,
            b"label" => Self::Label,
            b"app" => Self::App,
            b"known_bad" => Self::KnownBad,
            b"tunnel" => Self::Tunnel,
            b"ja4" => Self::Ja4,
            _ => Self::Other,
        }
    }
}
