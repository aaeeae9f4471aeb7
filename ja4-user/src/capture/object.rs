//! The kernel programs: the BPF object that this binary carries.
//!
//! `build.rs` puts it here after making sure that it was built from the sources beside it;
//! `cargo xtask build-ebpf` builds it.

/// What `--version` prints: this program's version, the object's SHA-256, and the compiler and the
/// linker that made it, or the file that was put in its place when this binary was built.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nkernel programs: SHA-256 ",
    env!("JA4_OBJECT_SHA256"),
    "\nbuilt with: ",
    env!("JA4_OBJECT_BUILT_WITH"),
);

/// The object: ELF for little-endian BPF with BTF, without DWARF, aligned to 8 bytes as the
/// loader's parser demands.
#[must_use]
pub fn bytes() -> &'static [u8] {
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ja4.bpf.o"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_finds_programs_and_types_in_it() {
        assert_eq!(bytes().as_ptr().align_offset(8), 0);
        let object = aya_obj::Object::parse(bytes()).unwrap();
        assert!(object.programs.contains_key("ja4_xdp"));
        assert!(object.btf.is_some(), "maps and CO-RE need BTF");
    }

    #[test]
    fn it_carries_no_debug_sections() {
        assert!(!bytes().windows(7).any(|name| name == b".debug_"));
    }
}
