//! JA4+ network fingerprints.
//!
//! A fingerprint is a short text that identifies the software behind a network connection by the way it speaks a
//! protocol: the cipher suites that a browser offers, the TCP options that an operating system sends, the header order
//! of an HTTP library. FoxIO's JA4+ is a family of such fingerprints, one [`Method`] for each kind of message.
//!
//! [`wire`] parses bytes into messages. Functions such as [`ja4`](ja4()) compute the [`Fingerprint`] of one message;
//! [`Hashers`] compute those of many, without allocations. There are no sockets, no clock and no global state: the
//! caller passes bytes and times.
//!
//! # From bytes to JA4
//!
//! ```
//! use ja4::wire::tls::{Carrier, ClientHello};
//!
//! # fn main() -> Result<(), ja4::wire::WireError> {
//! # let body = [&[3, 3][..], &[7; 32], &[0, 0, 4, 0x13, 0x01, 0x13, 0x02, 1, 0]].concat();
//! let hello = ClientHello::parse(&body, Carrier::Tcp)?;
//! let fingerprint = ja4::ja4(&hello);
//! assert_eq!(fingerprint.to_string(), "t12i020000_62ed6f6ca7ad_000000000000");
//! assert_eq!(fingerprint.raw(), Some("t12i020000_1301,1302_"));
//! # Ok(())
//! # }
//! ```
//!
//! A [`HandshakeStream`](wire::tls::HandshakeStream) extracts such bodies from the payload of a TCP connection,
//! whatever the sizes of segments and records:
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use ja4::wire::tls::{Carrier, ClientHello, HandshakeStream, HandshakeType};
//!
//! # let body = [&[3, 3][..], &[7; 32], &[0, 0, 4, 0x13, 0x01, 0x13, 0x02, 1, 0]].concat();
//! # let payload = [&[22, 3, 1, 0, 47, 1, 0, 0, 43][..], &body].concat();
//! # let mut found = Vec::new();
//! let mut stream = HandshakeStream::new();
//! for segment in payload.chunks(10) {
//!     stream.push(segment, |message| {
//!         if message.kind == HandshakeType::CLIENT_HELLO
//!             && let Ok(hello) = ClientHello::parse(message.body, Carrier::Tcp)
//!         {
//!             println!("{}", ja4::ja4(&hello));
//! #           found.push(ja4::ja4(&hello));
//!         }
//!         ControlFlow::Continue(())
//!     });
//! }
//! # assert_eq!(found.len(), 1);
//! ```
//!
//! In QUIC, [`PacketKeys`](wire::quic::PacketKeys) decrypt the Initial packets of a datagram, and
//! [`CryptoFrames`](wire::quic::CryptoFrames) finds the pieces of the ClientHello in them; in DTLS,
//! [`DtlsRecords`](wire::dtls::DtlsRecords) finds its fragments. The caller reassembles them.
//!
//! # Methods
//!
//! | method | describes | input | function |
//! |---|---|---|---|
//! | JA4 | TLS client | [`ClientHello`](wire::tls::ClientHello) | `ja4` |
//! | JA4S | TLS server | [`ServerHello`](wire::tls::ServerHello) | `ja4s` |
//! | JA4X | certificate | [`X509Certificate`](wire::x509::X509Certificate) | `ja4x` |
//! | JA4H | HTTP client | [`HttpRequest`](wire::http::HttpRequest) | `ja4h` |
//! | JA4T, JA4TS | TCP client and server | [`SynFields`](wire::tcp::SynFields), [`Retransmissions`] | `ja4t`, `ja4ts` |
//! | JA4L, JA4LS | latency and hop count of client and server | duration and TTL | `ja4l`, `ja4ls` |
//! | JA4SSH | SSH traffic | [`SshWindow`] | `ja4ssh` |
//! | JA4D, JA4D6 | DHCP client or server | [`Dhcp4Message`](wire::dhcp4::Dhcp4Message), [`Dhcp6Message`](wire::dhcp6::Dhcp6Message) | `ja4d`, `ja4d6` |
//! | HASSH | SSH client and server | [`KexInit`](wire::ssh::KexInit) | [`Hassh`] |
//! | JA3, JA3S | TLS client and server | [`ClientHello`](wire::tls::ClientHello), [`ServerHello`](wire::tls::ServerHello) | [`Ja3`] |
//!
//! Each function has an example. [`Method`] is the table of the JA4+ methods: names, identifiers, and the syntax of
//! values.
//!
//! # Features
//!
//! | feature | builds |
//! |---|---|
//! | none (default) | JA4, JA3, JA3S, HASSH and all parsers |
//! | `ja4plus` | every other method |
//!
//! Without the feature [`Hashers::compute`] returns `None` for the methods that are left out, so that a program can be
//! written once for both builds:
//!
//! ```
//! use ja4::wire::tcp::SynFields;
//! use ja4::{Forms, Hashers, Input, Method};
//!
//! let mut hashers = Hashers::new(Forms::Value);
//! let syn = SynFields::parse(64_240, &[2, 4, 0x05, 0xb4, 4, 2, 1, 3, 3, 7]);
//! match hashers.compute(Input::Syn(&syn)) {
//!     Some(fingerprint) => assert_eq!(fingerprint.as_str(), "64240_2-4-1-3_1460_7"),
//!     None => assert!(!Method::Ja4t.is_available()),
//! }
//! ```
//!
//! # Limits
//!
//! Every parser bounds its memory. The bounds are public constants, for example
//! [`MAX_HANDSHAKE_MESSAGE`](wire::tls::MAX_HANDSHAKE_MESSAGE): 64 KiB for a TLS handshake message, 64 KiB for an HTTP
//! header block, 9216 bytes for a DHCP message. JA4H reads the first 1024 cookies of a request, see
//! [`Fingerprint::is_capped`]. Encrypted messages are not read, except QUIC Initial packets, which have public keys.
//!
//! # Licence
//!
//! The code is under the MIT License or the Apache License 2.0. The methods have terms of their own:
//!
//! - JA4: BSD 3-Clause License, FoxIO, LLC. JA3, JA3S, HASSH: BSD 3-Clause License, Salesforce.com, Inc.
//! - JA4S, JA4H, JA4X, JA4T, JA4TS, JA4L, JA4LS, JA4SSH, JA4D, JA4D6 (feature `ja4plus`): FoxIO License 1.1, patent
//!   pending. Non-commercial use is permitted, which includes the protection of your own organization. Commercial use,
//!   such as a product or a hosted service, requires a license from FoxIO.
//!
//! See the file `NOTICE` and <https://github.com/FoxIO-LLC/ja4>. JA4+ is a trademark of FoxIO, LLC, which neither made
//! nor endorses this crate.
#![forbid(unsafe_code)]

mod fingerprint;
mod method;
mod sha256;
mod syntax;
pub mod wire;

#[cfg(feature = "ja4plus")]
pub use fingerprint::functions::{ja4d, ja4d6, ja4h, ja4l, ja4ls, ja4s, ja4ssh, ja4t, ja4ts, ja4x};
pub use fingerprint::{Fingerprint, Forms, H12, Hashers, Hassh, Input, Ja3, Md5Hex, Retransmissions, SshWindow, ja4};
pub use method::{MAX_VALUE, Method, Side, UnknownMethod};
