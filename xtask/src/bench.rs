//! `cargo xtask bench`: the figures of the design's budget table.
