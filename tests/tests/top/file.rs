//! Over a capture file.
