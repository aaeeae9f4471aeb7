//! JA4X: X.509 certificate (specification, section 7).
