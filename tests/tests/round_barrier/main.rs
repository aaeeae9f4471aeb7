//! The barrier of a replay's threads, under real threads and under every schedule of a few.

#![expect(clippy::duplicate_mod, reason = "the same barrier over different primitives")]

mod model;
mod real;
