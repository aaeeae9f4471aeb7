//! JA4H: HTTP client (specification, section 5).
