//! QUIC Initial packets (RFC 9000, RFC 9001).
