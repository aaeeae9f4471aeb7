//! ja4sensor: the userspace half.
#![forbid(unsafe_code)]

<<<<<<< HEAD
pub mod capture;
pub mod event;
=======
pub mod fingerprint;
pub mod wire;
>>>>>>> wire
