//! TLS hello messages built extension by extension, for values that no real program sends.

/// Builder of a ClientHello or ServerHello (RFC 8446, sections 4.1.2 and 4.1.3).
#[derive(Clone, Debug)]
pub struct HelloMessageBuilder {
    version: u16,
    random: [u8; 32],
    suites: Vec<u16>,
    /// Extension block. With `None`, the message ends before the length of the block.
    extensions: Option<Vec<u8>>,
}

/// Random of a HelloRetryRequest (RFC 8446, section 4.1.3).
pub const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

impl HelloMessageBuilder {
    /// Returns a builder with this legacy version and these cipher suites; a ServerHello contains the first suite.
    pub fn new(version: u16, suites: &[u16]) -> Self {
        Self { version, random: [7; 32], suites: suites.to_vec(), extensions: Some(Vec::new()) }
    }

    /// Sets the random.
    pub fn random(mut self, random: [u8; 32]) -> Self {
        self.random = random;
        self
    }

    /// Removes the extension block, as before RFC 3546.
    pub fn without_extensions(mut self) -> Self {
        self.extensions = None;
        self
    }

    /// Appends an extension with an arbitrary body.
    pub fn extension(mut self, kind: u16, body: &[u8]) -> Self {
        let block = self.extensions.get_or_insert_default();
        block.extend(kind.to_be_bytes());
        block.extend(length::<2>(body.len()));
        block.extend(body);
        self
    }

    /// Appends an ALPN extension with these protocols (RFC 7301, section 3.1).
    pub fn alpn(self, protocols: &[&[u8]]) -> Self {
        let list: Vec<u8> = protocols.iter().flat_map(|name| [&[name.len() as u8], *name].concat()).collect();
        self.extension(0x0010, &[&length::<2>(list.len())[..], &list].concat())
    }

    /// Appends a client's `supported_versions` extension.
    pub fn versions(self, versions: &[u16]) -> Self {
        let list: Vec<u8> = versions.iter().flat_map(|version| version.to_be_bytes()).collect();
        self.extension(0x002b, &[&[list.len() as u8], &list[..]].concat())
    }

    /// Appends a `signature_algorithms` extension.
    pub fn algorithms(self, algorithms: &[u16]) -> Self {
        let list: Vec<u8> = algorithms.iter().flat_map(|algorithm| algorithm.to_be_bytes()).collect();
        self.extension(0x000d, &[&length::<2>(list.len())[..], &list].concat())
    }

    /// Encodes a ClientHello as a handshake message.
    pub fn client(&self) -> Vec<u8> {
        message(1, self.client_body(None))
    }

    /// Encodes a ServerHello as a handshake message.
    pub fn server(&self) -> Vec<u8> {
        message(2, self.server_body())
    }

    /// Encodes the body of a DTLS ClientHello with this cookie (RFC 6347, section 4.2.1).
    pub fn dtls_client(&self, cookie: &[u8]) -> Vec<u8> {
        self.client_body(Some(cookie))
    }

    /// Encodes the body of a ServerHello.
    pub fn server_body(&self) -> Vec<u8> {
        let mut body = self.start();
        body.extend(self.suites[0].to_be_bytes());
        body.push(0);
        self.end(body)
    }

    fn client_body(&self, cookie: Option<&[u8]>) -> Vec<u8> {
        let mut body = self.start();
        if let Some(cookie) = cookie {
            body.push(cookie.len() as u8);
            body.extend(cookie);
        }
        body.extend(length::<2>(2 * self.suites.len()));
        body.extend(self.suites.iter().flat_map(|suite| suite.to_be_bytes()));
        body.extend([1, 0]);
        self.end(body)
    }

    /// Returns version, random and an empty session ID.
    fn start(&self) -> Vec<u8> {
        [&self.version.to_be_bytes()[..], &self.random, &[0]].concat()
    }

    fn end(&self, mut body: Vec<u8>) -> Vec<u8> {
        if let Some(block) = &self.extensions {
            body.extend(length::<2>(block.len()));
            body.extend(block);
        }
        body
    }
}

fn message(kind: u8, body: Vec<u8>) -> Vec<u8> {
    [&[kind][..], &length::<3>(body.len()), &body].concat()
}

/// Encodes a length in `N` bytes, big-endian.
fn length<const N: usize>(bytes: usize) -> [u8; N] {
    let whole = (bytes as u64).to_be_bytes();
    let (high, low) = whole.split_at(8 - N);
    assert!(high.iter().all(|byte| *byte == 0), "{bytes} does not fit {N} bytes");
    low.try_into().expect("as many as were split off")
}
