//! The modules of a crate, from its source: what each defines, what it imports, and the file that an import leads to.

mod collect;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

/// The modules of one crate, without those that are compiled for tests only. The crate root is module 0.
#[derive(Default)]
pub(super) struct SourceTree {
    files: Vec<SourceFile>,
    modules: Vec<Module>,
}

/// One file of a crate.
struct SourceFile {
    /// From the top of the checkout.
    path: String,
    /// Names of the modules from the crate root to this file's.
    module: Vec<String>,
}

/// One module: a file, or inline in one.
#[derive(Default)]
struct Module {
    file: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// Names of the items that are defined here.
    items: BTreeSet<String>,
    /// Paths of `use` declarations by the name that each brings into scope.
    bindings: BTreeMap<String, Vec<String>>,
    /// Paths of `use PATH::*`.
    globs: Vec<Vec<String>>,
    references: Vec<Reference>,
}

/// A path in the source, as written.
struct Reference {
    segments: Vec<String>,
    line: usize,
    kind: ReferenceKind,
}

enum ReferenceKind {
    /// `use` without visibility.
    Use,
    /// `pub use`, `pub(crate) use` and the like.
    Reexport,
    /// In code, a type or a macro's arguments.
    Path,
}

/// An import of a file of the same crate.
pub(super) struct Import {
    /// The importing file.
    pub(super) from: usize,
    line: usize,
    /// The path as written, for messages.
    pub(super) path: String,
    /// The file of the last module that the path names: with a re-export, the file that has the `pub use`.
    named: usize,
    /// The file that defines the item. None for the import of a folder's module: the items used of it count.
    pub(super) target: Option<usize>,
}

impl Import {
    /// The files that this import depends on, each once.
    pub(super) fn destinations(&self) -> impl Iterator<Item = usize> + use<> {
        [Some(self.named), self.target.filter(|target| *target != self.named)].into_iter().flatten()
    }
}

/// What a name or path leads to.
#[derive(Clone, Copy)]
enum Found {
    Module(usize),
    /// The file that defines the item.
    Item(usize),
}

impl SourceTree {
    /// Reads the crate with the root file `crate_root`, in the checkout at `root`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or parsed; the message names it.
    pub(super) fn read(root: &Path, crate_root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        collect::read_crate(&mut tree, root, crate_root)?;
        Ok(tree)
    }

    /// The file's path from the top of the checkout.
    pub(super) fn path(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |file| &file.path)
    }

    /// Names of the modules from the crate root to the file's.
    pub(super) fn module(&self, file: usize) -> &[String] {
        self.files.get(file).map_or(&[], |file| &file.module)
    }

    /// `file:line` of an import.
    pub(super) fn location(&self, import: &Import) -> String {
        format!("{}:{}", self.path(import.from), import.line)
    }

    /// The folders and files directly below the crate root.
    pub(super) fn units(&self) -> BTreeSet<&str> {
        self.files.iter().filter_map(|file| file.module.first()).map(String::as_str).collect()
    }

    /// The name of a module that is a file (`stream.rs`) or a folder (`stream/`).
    pub(super) fn unit_name(&self, module: &[String]) -> String {
        let is_folder = |file: &SourceFile| {
            file.module.starts_with(module) && (file.module.len() > module.len() || file.path.ends_with("/mod.rs"))
        };
        let folder = self.files.iter().any(is_folder);
        format!("{}{}", module.last().map_or("", String::as_str), if folder { "/" } else { ".rs" })
    }

    /// Every import between two files.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            imports.extend(module.references.iter().filter_map(|reference| self.import(at, module, reference)));
        }
        imports
    }

    fn import(&self, at: usize, module: &Module, reference: &Reference) -> Option<Import> {
        let (named, found) = self.resolve(at, &reference.segments, &mut BTreeSet::new())?;
        let target = match found {
            Found::Item(file) => Some(file),
            Found::Module(to) => {
                let to = self.modules.get(to)?;
                // Of a folder's module the items that are used count, in the file that defines each.
                let folder =
                    to.children.values().any(|child| self.modules.get(*child).is_some_and(|c| c.file != to.file));
                (!folder).then_some(to.file)
            }
        };
        match reference.kind {
            ReferenceKind::Use => {}
            // A module that only re-exports its own descendants does not use them.
            ReferenceKind::Reexport => {
                let end = target.unwrap_or(named);
                if self.module(end).starts_with(self.module(module.file)) {
                    return None;
                }
            }
            ReferenceKind::Path => {
                // A module alone is no value and no type: this name is a variable's.
                if matches!(found, Found::Module(_)) {
                    return None;
                }
                // The `use` of an item is its import already, except for a re-export of a descendant.
                let first = reference.segments.first()?;
                if module.bindings.contains_key(first)
                    && let Some((_, Found::Item(file))) =
                        self.resolve(at, std::slice::from_ref(first), &mut BTreeSet::new())
                    && !self.module(file).starts_with(self.module(module.file))
                {
                    return None;
                }
            }
        }
        let import =
            Import { from: module.file, line: reference.line, path: reference.segments.join("::"), named, target };
        import.destinations().any(|to| to != module.file).then_some(import)
    }

    /// The file of the last module that the path names, and what the path leads to. None if it leaves the crate.
    fn resolve(&self, from: usize, segments: &[String], seen: &mut Seen) -> Option<(usize, Found)> {
        let (first, rest) = segments.split_first()?;
        let mut named = self.modules.get(from)?.file;
        let mut found = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(from),
            "super" => Found::Module(self.modules.get(from)?.parent?),
            name => self.lookup(from, name, seen)?,
        };
        for segment in rest {
            let Found::Module(module) = found else { break };
            named = self.modules.get(module)?.file;
            found = match segment.as_str() {
                "self" => found,
                "super" => Found::Module(self.modules.get(module)?.parent?),
                // A name that a macro defines, or that leads out of the crate, belongs to the module.
                name => self.lookup(module, name, seen).unwrap_or(Found::Item(named)),
            };
        }
        if let Found::Module(module) = found {
            named = self.modules.get(module)?.file;
        }
        Some((named, found))
    }

    /// A name in the scope of a module.
    fn lookup(&self, at: usize, name: &str, seen: &mut Seen) -> Option<Found> {
        let module = self.modules.get(at)?;
        if let Some(child) = module.children.get(name) {
            return Some(Found::Module(*child));
        }
        if module.items.contains(name) {
            return Some(Found::Item(module.file));
        }
        // Globs may lead back here.
        if !seen.insert((at, name.to_owned())) {
            return None;
        }
        if let Some(path) = module.bindings.get(name) {
            return self.resolve(at, path, seen).map(|(_, found)| found);
        }
        module.globs.iter().find_map(|glob| match self.resolve(at, glob, seen)? {
            (_, Found::Module(target)) => self.lookup(target, name, seen),
            (_, Found::Item(_)) => None,
        })
    }
}

/// Names that a lookup has been through.
type Seen = BTreeSet<(usize, String)>;
