//! X.509 certificates, well-formed and malformed, encoded by hand in DER. They have no valid signature.

/// Encodes one DER element: tag, length in its shortest form, content.
pub fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..0x80 => out.push(length as u8),
        0x80..0x100 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// Builder of a certificate. Fields that a test does not set have default values.
#[derive(Clone, Debug)]
pub struct Certificate {
    issuer: Vec<u8>,
    subject: Vec<u8>,
    validity: Vec<u8>,
    extensions: Vec<u8>,
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificate {
    /// Returns a certificate with no names and no extensions, valid through 2025.
    pub fn new() -> Self {
        let validity = [der(0x17, b"250101000000Z"), der(0x17, b"251231235959Z")].concat();
        Self { issuer: Vec::new(), subject: Vec::new(), validity, extensions: Vec::new() }
    }

    /// Adds an RDN to the issuer. Each attribute has the content of its object identifier, and the tag and content of
    /// its value.
    pub fn issuer(mut self, attributes: &[(&[u8], u8, &[u8])]) -> Self {
        self.issuer.extend(rdn(attributes));
        self
    }

    /// Adds an RDN to the subject.
    pub fn subject(mut self, attributes: &[(&[u8], u8, &[u8])]) -> Self {
        self.subject.extend(rdn(attributes));
        self
    }

    /// Sets the `notBefore` and `notAfter` times, each as tag and content.
    pub fn validity(mut self, before: (u8, &[u8]), after: (u8, &[u8])) -> Self {
        self.validity = [der(before.0, before.1), der(after.0, after.1)].concat();
        self
    }

    /// Adds an extension.
    pub fn extension(mut self, oid: &[u8], critical: bool, value: &[u8]) -> Self {
        let flag = if critical { der(1, &[0xff]) } else { Vec::new() };
        self.extensions.extend(der(0x30, &[der(6, oid), flag, der(4, value)].concat()));
        self
    }

    /// Encodes the certificate. Without extensions, its version is 1.
    pub fn build(&self) -> Vec<u8> {
        let algorithm = der(0x30, &der(6, &[0x2b, 0x65, 0x70]));
        let (version, extensions) = if self.extensions.is_empty() {
            Default::default()
        } else {
            (der(0xa0, &der(2, &[2])), der(0xa3, &der(0x30, &self.extensions)))
        };
        let key = der(0x30, &[algorithm.clone(), der(3, &[0; 33])].concat());
        let [issuer, validity, subject] = [&self.issuer, &self.validity, &self.subject].map(|list| der(0x30, list));
        let serial = der(2, &[1]);
        let parts = [version, serial, algorithm.clone(), issuer, validity, subject, key, extensions].concat();
        der(0x30, &[der(0x30, &parts), algorithm, der(3, &[0; 65])].concat())
    }
}

fn rdn(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let pairs = attributes.iter().flat_map(|&(oid, tag, value)| der(0x30, &[der(6, oid), der(tag, value)].concat()));
    der(0x31, &pairs.collect::<Vec<u8>>())
}

/// Object identifiers, as the content of their DER encoding.
mod oid {
    pub(super) const COUNTRY: &[u8] = &[0x55, 4, 6];
    pub(super) const ORGANIZATION: &[u8] = &[0x55, 4, 10];
    pub(super) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    pub(super) const KEY_USAGE: &[u8] = &[0x55, 29, 15];
    pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
    pub(super) const SUBJECT_KEY: &[u8] = &[0x55, 29, 14];
    pub(super) const AUTHORITY_KEY: &[u8] = &[0x55, 29, 35];
    pub(super) const AUTHORITY_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
    pub(super) const ALTERNATIVE_NAME: &[u8] = &[0x55, 29, 17];
    pub(super) const POLICIES: &[u8] = &[0x55, 29, 32];
    pub(super) const TIMESTAMPS: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
}

/// Returns a server certificate like those of a public certificate authority: nine extensions, 1.2 KB.
pub fn leaf(name: &str) -> Certificate {
    let alternative = [der(0x82, name.as_bytes()), der(0x82, format!("www.{name}").as_bytes())].concat();
    // Longer than a real list, to make up for the longer key and signature of a real certificate.
    let timestamps = vec![0x5a; 570];
    Certificate::new()
        .issuer(&[(oid::COUNTRY, 0x13, b"US")])
        .issuer(&[(oid::ORGANIZATION, 0x13, b"Let's Encrypt")])
        .issuer(&[(oid::COMMON_NAME, 0x13, b"R11")])
        .subject(&[(oid::COMMON_NAME, 0x0c, name.as_bytes())])
        .extension(oid::KEY_USAGE, true, &[3, 2, 5, 0xa0])
        .extension(oid::EXTENDED_KEY_USAGE, false, &der(0x30, &[0x2b; 20]))
        .extension(oid::BASIC_CONSTRAINTS, true, &der(0x30, &[]))
        .extension(oid::SUBJECT_KEY, false, &der(4, &[7; 20]))
        .extension(oid::AUTHORITY_KEY, false, &der(0x30, &[8; 22]))
        .extension(oid::AUTHORITY_ACCESS, false, &der(0x30, &[9; 75]))
        .extension(oid::ALTERNATIVE_NAME, false, &der(0x30, &alternative))
        .extension(oid::POLICIES, false, &der(0x30, &[6; 10]))
        .extension(oid::TIMESTAMPS, false, &der(4, &timestamps))
}

/// Returns the certificate of the authority that issued [`leaf`].
pub fn authority() -> Certificate {
    Certificate::new()
        .issuer(&[(oid::COUNTRY, 0x13, b"US")])
        .issuer(&[(oid::ORGANIZATION, 0x13, b"Internet Security Research Group")])
        .issuer(&[(oid::COMMON_NAME, 0x13, b"ISRG Root X1")])
        .subject(&[(oid::COUNTRY, 0x13, b"US")])
        .subject(&[(oid::ORGANIZATION, 0x13, b"Let's Encrypt")])
        .subject(&[(oid::COMMON_NAME, 0x13, b"R11")])
        .extension(oid::KEY_USAGE, true, &[3, 2, 1, 6])
        .extension(oid::EXTENDED_KEY_USAGE, false, &der(0x30, &[0x2b; 20]))
        .extension(oid::BASIC_CONSTRAINTS, true, &der(0x30, &[1, 1, 0xff, 2, 1, 0]))
        .extension(oid::SUBJECT_KEY, false, &der(4, &[8; 20]))
        .extension(oid::AUTHORITY_KEY, false, &der(0x30, &[5; 500]))
}

/// Returns the body of a Certificate message (RFC 5246, section 7.4.2).
pub fn message(certificates: &[&[u8]]) -> Vec<u8> {
    let prefixed = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat();
    prefixed(&certificates.iter().flat_map(|certificate| prefixed(certificate)).collect::<Vec<u8>>())
}
