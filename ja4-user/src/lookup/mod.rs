//! Whose a value is.

pub mod remote;
