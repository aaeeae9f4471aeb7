//! The table of fingerprint methods.

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

/// Declares [`Method`] and its table, one row a method.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal $side:expr;)+) => {
        /// A fingerprint method.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)+
        }

        impl Method {
            /// Every method, in the order of its declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name in output and configuration, such as `ja4s`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The endpoint that the method describes; `None`: either endpoint.
            #[must_use]
            pub const fn side(self) -> Option<Side> {
                match self {
                    $(Self::$variant => $side,)+
                }
            }
        }
    };
}

methods! {
    /// TLS client: its ClientHello.
    Ja4 "ja4" Some(Side::Client);
    /// TLS server: its ServerHello.
    Ja4s "ja4s" Some(Side::Server);
    /// TCP client: its SYN.
    Ja4t "ja4t" Some(Side::Client);
    /// TCP server: its SYN-ACK and retransmissions.
    Ja4ts "ja4ts" Some(Side::Server);
    /// Latency and hop count between sensor and client.
    Ja4l "ja4l" Some(Side::Client);
    /// Latency and hop count between sensor and server.
    Ja4ls "ja4ls" Some(Side::Server);
    /// HTTP client: its request.
    Ja4h "ja4h" Some(Side::Client);
    /// X.509 certificate.
    Ja4x "ja4x" None;
    /// SSH traffic: packet lengths of a window of both directions.
    Ja4ssh "ja4ssh" Some(Side::Client);
    /// DHCPv4 message.
    Ja4d "ja4d" None;
    /// DHCPv6 message.
    Ja4d6 "ja4d6" None;
}
