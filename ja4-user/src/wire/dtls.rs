//! DTLS records and handshake fragments (RFC 6347, RFC 9147).
