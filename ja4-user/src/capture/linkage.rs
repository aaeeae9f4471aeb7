//! The linkage of the kernel half's functions, as the object's BTF states it.
//!
//! The verifier checks a global function once, and a static one on every path that calls it. A global function takes
//! pointers to memory since Linux 5.12 (commit e5069b9c23b3). For an older kernel each function is made static.

use object::{Object as _, ObjectSection as _};

/// The first Linux version whose global BPF functions take pointers to memory.
const GLOBAL_WITH_POINTERS: (u32, u32) = (5, 12);

/// Bytes of the BTF header that are read, and of `struct btf_type` (include/uapi/linux/btf.h).
const HEADER: usize = 16;
const TYPE: usize = 12;

/// `BTF_KIND_FUNC`.
const FUNC: u32 = 12;

/// Whether a kernel of this release (`uname -r`) takes the object's global functions. A release that has no version is
/// taken to be a new one.
pub(super) fn takes_global_functions(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= GLOBAL_WITH_POINTERS,
        _ => true,
    }
}

/// Makes every function static in an object's BTF. Returns `None` where the BTF cannot be read.
pub(super) fn make_static(object: &mut [u8]) -> Option<()> {
    let (start, len) = {
        let elf = object::File::parse(&*object).ok()?;
        elf.section_by_name(".BTF")?.file_range()?
    };
    let btf = object.get_mut(usize::try_from(start).ok()?..)?.get_mut(..usize::try_from(len).ok()?)?;
    let header = HEADER.min(btf.len());
    let (header_len, types_at, types_len) = (word(btf.get(..header)?, 4)?, word(btf, 8)?, word(btf, 12)?);
    let types = btf.get_mut((header_len + types_at) as usize..)?.get_mut(..types_len as usize)?;
    let mut at = 0;
    while at < types.len() {
        let info = word(types, at + 4)?;
        let (kind, vlen) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        if kind == FUNC {
            // The linkage is in the place of `vlen`; static is 0.
            types.get_mut(at + 4..at + 6)?.fill(0);
        }
        at += TYPE + trailer(kind, vlen)?;
    }
    Some(())
}

/// Bytes that follow a type of this kind (Documentation/bpf/btf.rst, section 2.2).
fn trailer(kind: u32, vlen: usize) -> Option<usize> {
    Some(match kind {
        // Pointer, forward declaration, typedef, qualifiers, function, float, type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Structure, union, section, 64-bit enumeration.
        4 | 5 | 15 | 19 => 12 * vlen,
        // Enumeration, function prototype.
        6 | 13 => 8 * vlen,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_release_says_whether_global_functions_take_pointers() {
        for (release, takes) in [
            ("5.10.0-30-amd64", false),
            ("5.11.22", false),
            ("5.12", true),
            ("5.14.0-427.el9.x86_64", true),
            ("6.1.0-56-amd64", true),
            ("10.0", true),
            ("unknown", true),
        ] {
            assert_eq!(takes_global_functions(release), takes, "{release}");
        }
    }

    #[test]
    fn only_the_linkage_of_functions_changes() {
        let before = crate::object::bytes();
        let mut after = before.to_vec();
        make_static(&mut after).unwrap();
        let changed: Vec<_> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
        // A global function has linkage 1; see `enum btf_func_linkage`.
        assert!(changed.iter().all(|&at| before[at] == 1 && after[at] == 0));
        let named = |name: &str| before.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        assert!(named("ja4_xdp_walk") && changed.len() > 10, "{} functions were global", changed.len());
        aya_obj::Object::parse(&after).unwrap();
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(make_static(&mut []), None);
        assert_eq!(make_static(&mut [0x7f, b'E', b'L', b'F']), None);
        let mut cut = crate::object::bytes().to_vec();
        cut.truncate(cut.len() / 2);
        assert_eq!(make_static(&mut cut), None);
    }
}
