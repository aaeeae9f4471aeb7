//! The table of fingerprint methods.

use core::str::FromStr;

use thiserror::Error;

use crate::syntax;

/// An endpoint of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The endpoint that opened the connection.
    Client,
    /// The endpoint that accepted it.
    Server,
}

impl Side {
    /// `client` or `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Longest value that [`Method::matches`] accepts, bytes. A JA4D with hundreds of options is longer; real clients send
/// values of about a fifth of this length.
pub const MAX_VALUE: usize = 512;

/// Declares [`Method`] and its table, one row a method: id, variant, name, side, protocols, syntax, whether it is built
/// without the feature `ja4plus`, description.
macro_rules! methods {
    ($($id:literal $variant:ident $name:literal $side:expr, $protocols:literal, $syntax:expr, $always:literal,
       $description:literal;)+) => {
        /// A fingerprint method.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Method {
            $(#[doc = $description] $variant = $id,)+
        }

        impl Method {
            /// Every method, in the order of [`id`](Self::id), so that `ALL[method as usize] == method`.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name in output and configuration, such as `ja4s`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The endpoint that the method describes; `None`: either endpoint.
            #[must_use]
            pub const fn side(self) -> Option<Side> {
                match self { $(Self::$variant => $side,)+ }
            }

            /// The protocols that carry the fingerprinted messages, such as `TLS, QUIC, DTLS`.
            #[must_use]
            pub const fn protocols(self) -> &'static str {
                match self { $(Self::$variant => $protocols,)+ }
            }

            /// One line that says what the method describes.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)+ }
            }

            /// Whether this build of the crate computes the method. JA4 is always built, the JA4+ methods are built
            /// with the feature `ja4plus`.
            #[must_use]
            pub const fn is_available(self) -> bool {
                match self { $(Self::$variant => $always || cfg!(feature = "ja4plus"),)+ }
            }

            /// Parses a value; `None`: it has not the syntax of the method.
            fn check(self, value: &str) -> Option<()> {
                match self { $(Self::$variant => $syntax(value),)+ }
            }
        }
    };
}

methods! {
    0 Ja4 "ja4" Some(Side::Client), "TLS, QUIC, DTLS", syntax::ja4, true, "TLS client: its ClientHello";
    1 Ja4s "ja4s" Some(Side::Server), "TLS, QUIC, DTLS", syntax::ja4s, false, "TLS server: its ServerHello";
    2 Ja4t "ja4t" Some(Side::Client), "TCP", syntax::ja4t, false, "TCP client: its SYN";
    3 Ja4ts "ja4ts" Some(Side::Server), "TCP", syntax::ja4ts, false, "TCP server: its SYN-ACK and retransmissions";
    4 Ja4l "ja4l" Some(Side::Client), "TCP, QUIC", syntax::ja4l, false,
        "Latency and hop count between sensor and client";
    5 Ja4ls "ja4ls" Some(Side::Server), "TCP, QUIC", syntax::ja4l, false,
        "Latency and hop count between sensor and server";
    6 Ja4h "ja4h" Some(Side::Client), "HTTP/1, HTTP/2", syntax::ja4h, false, "HTTP client: its request";
    7 Ja4x "ja4x" None, "TLS, DTLS", syntax::ja4x, false, "X.509 certificate";
    8 Ja4ssh "ja4ssh" Some(Side::Client), "SSH", syntax::ja4ssh, false,
        "SSH traffic: packet lengths of a window of both directions";
    9 Ja4d "ja4d" None, "DHCPv4", syntax::ja4d, false, "DHCPv4 message";
    10 Ja4d6 "ja4d6" None, "DHCPv6", syntax::ja4d, false, "DHCPv6 message";
}

impl Method {
    /// The number that identifies the method in stored data. It never changes.
    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The method with this [`id`](Self::id).
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Whether `value` has the syntax of a value of this method. At most [`MAX_VALUE`] bytes.
    ///
    /// ```
    /// use ja4::Method;
    ///
    /// assert!(Method::Ja4.matches("t13d1516h2_8daaf6152771_e5627efa2ab1"));
    /// assert!(!Method::Ja4.matches("t13d1516h2_8daaf6152771"));
    /// ```
    #[must_use]
    pub fn matches(self, value: &str) -> bool {
        value.len() <= MAX_VALUE && self.check(value).is_some()
    }

    /// Whether `value` is a JA4H without its last section, or without its last two: one that does not describe the
    /// cookies. The last section that is present may be shortened.
    #[must_use]
    pub fn matches_partially(self, value: &str) -> bool {
        self == Self::Ja4h && value.len() <= MAX_VALUE && syntax::partial_ja4h(value).is_some()
    }

    /// The methods that `value` [matches](Self::matches), entirely or [partially](Self::matches_partially). JA4T and
    /// JA4TS share a syntax, as do JA4L and JA4LS, and JA4D and JA4D6.
    pub fn of_value(value: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |method| method.matches(value) || method.matches_partially(value))
    }
}

/// The error of a name that is not in the table of methods.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown method '{}': expected {}", name.escape_debug(), expected())]
pub struct UnknownMethod {
    /// The name, at most its first 60 characters.
    pub name: String,
}

/// `ja4, ja4s, … or ja4d6`.
fn expected() -> String {
    let [first @ .., last] = Method::ALL.map(Method::name);
    format!("{} or {last}", first.join(", "))
}

impl FromStr for Method {
    type Err = UnknownMethod;

    /// Parses a [`name`](Self::name).
    ///
    /// ```
    /// use ja4::Method;
    ///
    /// assert_eq!("ja4s".parse(), Ok(Method::Ja4s));
    /// assert!("ja5".parse::<Method>().unwrap_err().to_string().starts_with("unknown method 'ja5': expected ja4, ja4s"));
    /// ```
    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        let found = Self::ALL.into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| UnknownMethod { name: name.chars().take(60).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_ids_and_names_never_change() {
        let names =
            ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls", "ja4h", "ja4x", "ja4ssh", "ja4d", "ja4d6"].into_iter();
        for (id, name) in (0..).zip(names) {
            let method = Method::from_id(id).unwrap();
            assert_eq!((method.id(), method.name(), Method::ALL[method as usize]), (id, name, method));
            assert_eq!(name.parse(), Ok(method));
        }
        assert_eq!((Method::ALL.len(), Method::from_id(11)), (11, None));
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_names_to_choose_from() {
        let error = "ja\n5".parse::<Method>().unwrap_err().to_string();
        let names = "ja4, ja4s, ja4t, ja4ts, ja4l, ja4ls, ja4h, ja4x, ja4ssh, ja4d or ja4d6";
        assert_eq!(error, format!("unknown method 'ja\\n5': expected {names}"));
        assert!("x".repeat(10_000).parse::<Method>().unwrap_err().name.len() <= 60);
    }

    const VALUES: [(&str, &[Method]); 18] = [
        ("t13d1516h2_8daaf6152771_e5627efa2ab1", &[Method::Ja4]),
        ("dd1i440200_49bcda3e7ebf_18d1e47e0978", &[Method::Ja4]),
        ("t1206h2_c02f_3603f09c43ba", &[Method::Ja4s]),
        ("dd10300_0035_cef8820c8f19", &[Method::Ja4s]),
        ("ge11cr04da00_8ddaef5d77af_280f366eaa04_c2fb0fe53442", &[Method::Ja4h]),
        ("ge11cr04en_u_8ddaef5d77af_280f366eaa04_c2fb0fe53442", &[Method::Ja4h]),
        ("ge11nn07*000_4ae0f4a72b53_000000000000_000000000000", &[Method::Ja4h]),
        ("po10nn060000_cdb958d032b0", &[Method::Ja4h]),
        ("ge11cn060000_4e59edc1297a_4da5efaf0cb", &[Method::Ja4h]),
        ("a373a9f83c6b_2bab15409345_7bf9a7bf7029", &[Method::Ja4x]),
        ("64240_2-1-3-1-1-4_1460_8", &[Method::Ja4t, Method::Ja4ts]),
        ("8192_00_00_00", &[Method::Ja4t, Method::Ja4ts]),
        ("65535_2-1-3-1-1-4_65495_8_1-2-4-8-R6", &[Method::Ja4ts]),
        ("62_128", &[Method::Ja4l, Method::Ja4ls]),
        ("c36s36_c76s124_c74s5", &[Method::Ja4ssh]),
        ("disco0000in_61-55_1-3-6-42", &[Method::Ja4d, Method::Ja4d6]),
        ("00000i", &[]),
        ("", &[]),
    ];

    #[test]
    fn the_syntax_of_a_value_shows_its_method() {
        for (value, methods) in VALUES {
            assert_eq!(Method::of_value(value).collect::<Vec<_>>(), methods, "{value}");
        }
    }

    #[test]
    fn a_value_with_a_character_missing_is_rejected() {
        for (value, _) in &VALUES[..5] {
            let cut = &value[..value.len() - 1];
            assert!(Method::ALL.into_iter().all(|method| !method.matches(cut)), "{cut}");
        }
    }
}
