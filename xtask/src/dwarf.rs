//! Removes the DWARF of a BPF object and keeps its BTF: 13 kB to commit and embed instead of 100.
//!
//! `llvm-strip -g` does the same, but would be one more tool to install and to name, with its
//! version, in the object's provenance.

use anyhow::{Context, Result};
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The object `bytes` without debug sections and their relocations.
///
/// # Errors
///
/// When `bytes` is not an ELF object.
pub(crate) fn strip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut elf = Builder::read(bytes).context("the output of bpf-linker is not an ELF object")?;
    for section in &mut elf.sections {
        let name = section.name.as_slice();
        let name = name.strip_prefix(b".rel").unwrap_or(name);
        // .llvm_addrsig has indexes into the symbol table, which has fewer entries after this. No BPF
        // loader reads it.
        section.delete = name.starts_with(b".debug_") || name == b".llvm_addrsig";
    }
    elf.delete_orphans();
    // LLVM has the names of sections and symbols in one table; the writer needs one for sections alone.
    let names = elf.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped).context("cannot write the stripped BPF object")?;
    Ok(stripped)
}
