//! JA4SSH: SSH traffic (specification, section 8).
