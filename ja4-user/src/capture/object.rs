//! The BPF object with the kernel programs, embedded in the binary.
//!
//! `cargo xtask build-ebpf` builds the object. `build.rs` embeds it, and fails if its sources have changed since.

/// The text of `--version`: the version of the sensor, the SHA-256 of the object, and the compiler and linker that built
/// it, or the file that replaced it in this build.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nkernel programs: SHA-256 ",
    env!("JA4_OBJECT_SHA256"),
    "\nbuilt with: ",
    env!("JA4_OBJECT_BUILT_WITH"),
);

/// Returns the object: ELF for little-endian BPF with BTF, without DWARF. It is aligned to 8 bytes, which the loader's
/// parser requires.
#[must_use]
pub fn bytes() -> &'static [u8] {
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ja4.bpf.o"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_programs_and_types() {
        assert_eq!(bytes().as_ptr().align_offset(8), 0);
        let object = aya_obj::Object::parse(bytes()).unwrap();
        assert!(object.programs.contains_key("ja4_xdp"));
        assert!(!object.has_btf_relocations(), "the loader is given no types of the kernel");
        assert!(object.btf.is_some(), "global functions need BTF");
    }

    #[test]
    fn the_object_has_no_debug_sections() {
        assert!(!bytes().windows(7).any(|name| name == b".debug_"));
    }
}
