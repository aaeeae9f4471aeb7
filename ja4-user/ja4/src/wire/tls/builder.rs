//! Builds hellos for tests, well-formed and otherwise.

/// Builds the body of a ClientHello or ServerHello from its parts.
#[derive(Clone)]
pub(crate) struct HelloBuilder {
    version: u16,
    random: [u8; 32],
    session_id: Vec<u8>,
    cookie: Option<Vec<u8>>,
    suites: Vec<u8>,
    extensions: Option<Vec<u8>>,
}

impl HelloBuilder {
    pub(crate) fn new(version: u16) -> Self {
        Self {
            version,
            random: [0x5a; 32],
            session_id: Vec::new(),
            cookie: None,
            suites: Vec::new(),
            extensions: Some(Vec::new()),
        }
    }

    pub(crate) fn random(mut self, random: [u8; 32]) -> Self {
        self.random = random;
        self
    }

    pub(crate) fn session_id(mut self, id: &[u8]) -> Self {
        self.session_id = id.to_vec();
        self
    }

    pub(crate) fn cookie(mut self, cookie: &[u8]) -> Self {
        self.cookie = Some(cookie.to_vec());
        self
    }

    pub(crate) fn suites(self, suites: &[u16]) -> Self {
        self.raw_suites(&big_endian(suites))
    }

    pub(crate) fn raw_suites(mut self, suites: &[u8]) -> Self {
        self.suites = suites.to_vec();
        self
    }

    pub(crate) fn extension(mut self, kind: u16, body: &[u8]) -> Self {
        let block = self.extensions.get_or_insert_default();
        block.extend(kind.to_be_bytes());
        block.extend(prefixed_u16(body));
        self
    }

    pub(crate) fn raw_extensions(mut self, block: &[u8]) -> Self {
        self.extensions = Some(block.to_vec());
        self
    }

    pub(crate) fn without_extensions(mut self) -> Self {
        self.extensions = None;
        self
    }

    pub(crate) fn sni(self, name: &str) -> Self {
        let mut entry = vec![0];
        entry.extend(prefixed_u16(name.as_bytes()));
        self.extension(0x0000, &prefixed_u16(&entry))
    }

    pub(crate) fn alpn(self, names: &[&[u8]]) -> Self {
        let list: Vec<u8> = names.iter().flat_map(|name| prefixed_u8(name)).collect();
        self.extension(0x0010, &prefixed_u16(&list))
    }

    pub(crate) fn versions(self, versions: &[u16]) -> Self {
        self.extension(0x002b, &prefixed_u8(&big_endian(versions)))
    }

    pub(crate) fn algorithms(self, algorithms: &[u16]) -> Self {
        self.extension(0x000d, &prefixed_u16(&big_endian(algorithms)))
    }

    /// A ClientHello body; of DTLS if a cookie was given.
    pub(crate) fn build(self) -> Vec<u8> {
        let mut body = self.start();
        if let Some(cookie) = &self.cookie {
            body.extend(prefixed_u8(cookie));
        }
        body.extend(prefixed_u16(&self.suites));
        body.extend([1, 0]);
        body.extend(self.extensions.iter().flat_map(|block| prefixed_u16(block)));
        body
    }

    /// A ServerHello body with the first suite.
    pub(crate) fn build_server(self) -> Vec<u8> {
        let mut body = self.start();
        body.extend(self.suites.iter().take(2));
        body.push(0);
        body.extend(self.extensions.iter().flat_map(|block| prefixed_u16(block)));
        body
    }

    fn start(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend(self.random);
        body.extend(prefixed_u8(&self.session_id));
        body
    }
}

fn big_endian(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn prefixed_u8(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![bytes.len() as u8];
    out.extend(bytes);
    out
}

fn prefixed_u16(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}
