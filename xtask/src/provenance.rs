//! The sources and tools that the committed BPF object was built from, and the check that the sources are unchanged.
//!
//! `xtask` writes the record when it builds the object; `ja4-user/build.rs` includes this file too
//! and rejects an object after a change of its sources. That needs neither git nor BPF tools.

use std::fmt::{self, Display, Formatter, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The object, from the top of the checkout.
pub(crate) const OBJECT: &str = "ja4-ebpf/object/ja4.bpf.o";

/// The record beside it.
pub(crate) const PROVENANCE: &str = "ja4-ebpf/object/provenance.toml";

/// Everything that the object is built from: files, and folders with all their files.
///
/// The Cargo.toml of the workspace is not one of them. In a host build ja4-common inherits keys from
/// it, but in a BPF build from ja4-ebpf/Cargo.toml (see the comment there), and the versions of its
/// dependencies are in ja4-ebpf/Cargo.lock. So a change of userspace alone does not make the object
/// stale.
pub(crate) const SOURCES: [&str; 5] =
    ["ja4-common/Cargo.toml", "ja4-common/src", "ja4-ebpf/Cargo.lock", "ja4-ebpf/Cargo.toml", "ja4-ebpf/src"];

/// The command that brings a stale object up to date.
pub(crate) const FIX: &str = "run `cargo xtask build-ebpf`";

/// The record: `key = "value"` lines of TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// SHA-256 of the object's bytes.
    pub(crate) object: String,
    /// [`sources_digest`] at the time of the build.
    pub(crate) sources: String,
    /// First line of `rustc --version --verbose`: the compiler, and the core it was built with.
    pub(crate) rustc: String,
    /// The LLVM of that rustc.
    pub(crate) llvm: String,
    /// `bpf-linker --version`.
    pub(crate) linker: String,
}

impl Provenance {
    /// Reads the record of the checkout at `root`.
    ///
    /// # Errors
    ///
    /// One line that names the file, when it cannot be read or lacks a key.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(root.join(PROVENANCE)).map_err(|error| format!("{PROVENANCE}: {error}; {FIX}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == key)
                .and_then(|(_, value)| value.trim().strip_prefix('"')?.strip_suffix('"'))
                .map(str::to_owned)
                .ok_or_else(|| format!("{PROVENANCE} has no {key}; {FIX}"))
        };
        Ok(Self {
            object: value("object-sha256")?,
            sources: value("sources-sha256")?,
            rustc: value("rustc")?,
            llvm: value("llvm")?,
            linker: value("bpf-linker")?,
        })
    }

    /// Checks the bytes of the committed object and the sources against this record.
    ///
    /// # Errors
    ///
    /// One line that names what is stale.
    pub(crate) fn verify(&self, root: &Path, object: &[u8]) -> Result<(), String> {
        let sources = sources_digest(root).map_err(|error| format!("cannot read the BPF sources: {error}"))?;
        if self.sources != sources {
            return Err(format!("the BPF sources changed since the committed object was built; {FIX}"));
        }
        if self.object != hex(object) {
            return Err(format!("{OBJECT} is not the object that {PROVENANCE} describes; {FIX}"));
        }
        Ok(())
    }
}

/// The tools, in one line.
impl Display for Provenance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}, LLVM {}, {}", self.rustc, self.llvm, self.linker)
    }
}

/// SHA-256 over [`SOURCES`] below `root`: for each file, in the order of the paths, its path (`/`
/// between the names), a zero byte, its length (u64, little-endian) and its bytes. Hidden files and
/// an editor's `name~` are left out.
///
/// # Errors
///
/// When one of them cannot be read.
pub(crate) fn sources_digest(root: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(root, PathBuf::from(source), &mut files)?;
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let bytes = fs::read(root.join(&file))?;
        digest.update(file);
        digest.update([0]);
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    Ok(lower_hex(&digest.finalize()))
}

/// SHA-256 of `bytes`, as the record writes it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    lower_hex(&Sha256::digest(bytes))
}

/// Adds the files at or below `path` to `files`, as UTF-8 paths relative to `root`.
fn collect(root: &Path, path: PathBuf, files: &mut Vec<String>) -> io::Result<()> {
    if root.join(&path).is_dir() {
        for entry in fs::read_dir(root.join(&path))? {
            let name = entry?.file_name();
            let text = name.to_string_lossy();
            if !text.starts_with('.') && !text.ends_with('~') {
                collect(root, path.join(&name), files)?;
            }
        }
        return Ok(());
    }
    let path = path
        .into_os_string()
        .into_string()
        .map_err(|path| io::Error::new(io::ErrorKind::InvalidData, format!("{} is not UTF-8", path.display())))?;
    files.push(path);
    Ok(())
}

fn lower_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkout with every source and nothing else.
    fn checkout() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("ja4-common/Cargo.toml", "[package]"),
            ("ja4-common/src/lib.rs", "mod select;"),
            ("ja4-common/src/select/tls.rs", "fn tls() {}"),
            ("ja4-ebpf/Cargo.lock", "version = 4"),
            ("ja4-ebpf/Cargo.toml", "[workspace]"),
            ("ja4-ebpf/src/main.rs", "fn main() {}"),
        ] {
            write(root.path(), file, text);
        }
        root
    }

    fn write(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn built(root: &Path, object: &[u8]) -> Provenance {
        Provenance {
            object: hex(object),
            sources: sources_digest(root).unwrap(),
            rustc: "rustc 1.96.0".into(),
            llvm: "22.1.8".into(),
            linker: "bpf-linker 0.13.0".into(),
        }
    }

    #[test]
    fn two_checkouts_of_the_same_sources_have_one_digest() {
        let (one, other) = (checkout(), checkout());
        assert_eq!(sources_digest(one.path()).unwrap(), sources_digest(other.path()).unwrap());
    }

    /// Computed here from the description above, so that a change of the scheme is detected.
    #[test]
    fn the_digest_is_the_documented_one() {
        let root = checkout();
        let mut bytes = Vec::new();
        for (file, text) in [
            ("ja4-common/Cargo.toml", "[package]"),
            ("ja4-common/src/lib.rs", "mod select;"),
            ("ja4-common/src/select/tls.rs", "fn tls() {}"),
            ("ja4-ebpf/Cargo.lock", "version = 4"),
            ("ja4-ebpf/Cargo.toml", "[workspace]"),
            ("ja4-ebpf/src/main.rs", "fn main() {}"),
        ] {
            bytes.extend_from_slice(file.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        assert_eq!(sources_digest(root.path()).unwrap(), hex(&bytes));
        assert_eq!(hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn an_edited_a_new_a_renamed_and_a_missing_source_make_the_object_stale() {
        let edits: [fn(&Path); 5] = [
            |root| write(root, "ja4-common/src/select/tls.rs", "fn tls() { }"),
            |root| write(root, "ja4-ebpf/Cargo.lock", "version = 5"),
            |root| write(root, "ja4-ebpf/src/maps.rs", ""),
            |root| fs::rename(root.join("ja4-ebpf/src/main.rs"), root.join("ja4-ebpf/src/mian.rs")).unwrap(),
            |root| fs::remove_file(root.join("ja4-common/src/lib.rs")).unwrap(),
        ];
        for edit in edits {
            let root = checkout();
            let provenance = built(root.path(), b"object");
            assert_eq!(provenance.verify(root.path(), b"object"), Ok(()));
            edit(root.path());
            let error = provenance.verify(root.path(), b"object").unwrap_err();
            assert_eq!(
                error,
                "the BPF sources changed since the committed object was built; run `cargo xtask build-ebpf`"
            );
        }
    }

    #[test]
    fn text_moved_from_one_file_into_the_next_changes_the_digest() {
        let (one, other) = (checkout(), checkout());
        write(one.path(), "ja4-ebpf/src/a.rs", "xy");
        write(one.path(), "ja4-ebpf/src/b.rs", "");
        write(other.path(), "ja4-ebpf/src/a.rs", "x");
        write(other.path(), "ja4-ebpf/src/b.rs", "y");
        assert_ne!(sources_digest(one.path()).unwrap(), sources_digest(other.path()).unwrap());
    }

    #[test]
    fn a_file_that_is_not_a_source_does_not_make_the_object_stale() {
        let root = checkout();
        let provenance = built(root.path(), b"object");
        for file in [
            "Cargo.toml",
            "ja4-user/src/lib.rs",
            "ja4-ebpf/target/x",
            "ja4-ebpf/src/.main.rs.swp",
            "ja4-ebpf/src/main.rs~",
        ] {
            write(root.path(), file, "anything");
        }
        assert_eq!(provenance.verify(root.path(), b"object"), Ok(()));
    }

    #[test]
    fn another_object_is_rejected() {
        let root = checkout();
        let error = built(root.path(), b"object").verify(root.path(), b"objecT").unwrap_err();
        assert!(error.contains("is not the object that ja4-ebpf/object/provenance.toml describes"), "{error}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let text = "object-sha256 = \"00\"\nsources-sha256 = \"11\"\nllvm = \"22\"\nbpf-linker = \"0\"\n";
        let error = Provenance::parse(text).unwrap_err();
        assert_eq!(error, "ja4-ebpf/object/provenance.toml has no rustc; run `cargo xtask build-ebpf`");
    }
}
