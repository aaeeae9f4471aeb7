//! Takes the DWARF out of a BPF object and leaves its BTF: 13 kB to commit and embed instead of 100.
//!
//! `llvm-strip -g` would do, but it is one more thing to install, of a version that would have to
//! stand in the object's provenance.

use anyhow::{Context, Result};
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The object `bytes` without debug sections and what relocates them.
///
/// # Errors
///
/// When `bytes` is not an ELF object.
pub(crate) fn strip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut elf = Builder::read(bytes).context("bpf-linker's output is no ELF object")?;
    for section in &mut elf.sections {
        let name = section.name.as_slice();
        let name = name.strip_prefix(b".rel").unwrap_or(name);
        // .llvm_addrsig indexes the symbol table, which loses entries here. No BPF loader reads it.
        section.delete = name.starts_with(b".debug_") || name == b".llvm_addrsig";
    }
    elf.delete_orphans();
    // LLVM keeps the sections' names with the symbols'; the writer wants a table for them alone.
    let names = elf.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped).context("the stripped BPF object can't be written")?;
    Ok(stripped)
}
