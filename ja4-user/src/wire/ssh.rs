//! SSH banners and key exchange (RFC 4253).
