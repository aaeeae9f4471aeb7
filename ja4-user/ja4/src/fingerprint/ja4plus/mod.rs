//! The JA4+ methods: everything that the feature `ja4plus` builds. FoxIO License 1.1, see the crate's documentation.

pub(super) mod hashers;
mod ja4d;
mod ja4d6;
mod ja4h;
mod ja4l;
mod ja4s;
mod ja4ssh;
mod ja4t;
mod ja4x;
