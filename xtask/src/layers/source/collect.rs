//! Reads a crate's files into a [`SourceTree`].

use std::fs;
use std::mem;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, Expr, ImplItem, Item, ItemMod, ItemUse, Lit, Macro, Meta, Stmt, Token, TraitItem, UseTree,
    Visibility,
};

use super::{Module, Reference, ReferenceKind, SourceFile, SourceTree};

/// Adds the crate with the root file `crate_root`, in the checkout at `root`, to `tree`.
pub(super) fn read_crate(tree: &mut SourceTree, root: &Path, crate_root: &Path) -> Result<()> {
    let folder = crate_root.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut files = vec![ModuleFile { file: crate_root.to_path_buf(), folder, name: None, parent: None }];
    while let Some(next) = files.pop() {
        let text = fs::read_to_string(&next.file).with_context(|| format!("cannot read {}", next.file.display()))?;
        let parsed = syn::parse_file(&text)
            .map_err(|error| anyhow!("cannot parse {}:{}: {error}", next.file.display(), error.span().start().line))?;
        let mut names = match next.parent.and_then(|parent| tree.modules.get(parent)) {
            Some(parent) => tree.module(parent.file).to_vec(),
            None => Vec::new(),
        };
        names.extend(next.name.clone());
        let path = next.file.strip_prefix(root).unwrap_or(&next.file).display().to_string();
        tree.files.push(SourceFile { path, module: names });
        let file = tree.files.len() - 1;
        let module = add_module(tree, file, next.parent, next.name);
        let mut collector = Collector { tree, module, folder: next.folder, blocks: 0, files: Vec::new(), error: None };
        collector.visit_file(&parsed);
        if let Some(error) = collector.error {
            return Err(error.context(format!("cannot follow the modules of {}", next.file.display())));
        }
        files.extend(collector.files);
    }
    Ok(())
}

/// A file to read.
struct ModuleFile {
    file: PathBuf,
    /// Where the files of its child modules are.
    folder: PathBuf,
    name: Option<String>,
    parent: Option<usize>,
}

fn add_module(tree: &mut SourceTree, file: usize, parent: Option<usize>, name: Option<String>) -> usize {
    let at = tree.modules.len();
    tree.modules.push(Module { file, parent, ..Module::default() });
    if let (Some(name), Some(parent)) = (name, parent.and_then(|parent| tree.modules.get_mut(parent))) {
        parent.children.insert(name, at);
    }
    at
}

/// Walks one file's syntax tree.
struct Collector<'a> {
    tree: &'a mut SourceTree,
    /// The module that the walk is in.
    module: usize,
    /// Where the files of its child modules are.
    folder: PathBuf,
    /// How many blocks of code the walk is in: items there are not the module's.
    blocks: usize,
    files: Vec<ModuleFile>,
    error: Option<anyhow::Error>,
}

impl Collector<'_> {
    fn here(&mut self) -> Option<&mut Module> {
        self.tree.modules.get_mut(self.module)
    }

    fn refer(&mut self, segments: Vec<String>, line: usize, kind: ReferenceKind) {
        if let Some(module) = self.here() {
            module.references.push(Reference { segments, line, kind });
        }
    }

    /// A leaf of a `use` declaration for each name that it imports.
    fn import(&mut self, tree: &UseTree, prefix: &[String], reexport: bool) {
        let mut path = prefix.to_vec();
        let kind = if reexport { ReferenceKind::Reexport } else { ReferenceKind::Use };
        let (line, name) = match tree {
            UseTree::Path(next) => {
                path.push(text(&next.ident));
                return self.import(&next.tree, &path, reexport);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix, reexport);
                }
                return;
            }
            UseTree::Glob(glob) => {
                if let Some(module) = self.here() {
                    module.globs.push(path.clone());
                }
                return self.refer(path, line(glob.star_token.span), kind);
            }
            UseTree::Name(leaf) => {
                path.push(text(&leaf.ident));
                (line(leaf.ident.span()), text(&leaf.ident))
            }
            UseTree::Rename(leaf) => {
                path.push(text(&leaf.ident));
                (line(leaf.ident.span()), text(&leaf.rename))
            }
        };
        // `use a::b::{self}` brings b into scope.
        let name = if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
            if name == "self" { path.last().cloned().unwrap_or_default() } else { name }
        } else {
            name
        };
        if let Some(module) = self.here()
            && name != "_"
        {
            module.bindings.insert(name, path.clone());
        }
        self.refer(path, line, kind);
    }

    /// `mod name { … }`
    fn inline_module(&mut self, module: &ItemMod, name: String) {
        let file = self.here().map_or(0, |here| here.file);
        let inner = add_module(self.tree, file, Some(self.module), Some(name.clone()));
        let outer = mem::replace(&mut self.module, inner);
        let blocks = mem::take(&mut self.blocks);
        self.folder.push(name);
        visit::visit_item_mod(self, module);
        self.folder.pop();
        self.blocks = blocks;
        self.module = outer;
    }

    /// `mod name;`
    fn module_file(&mut self, module: &ItemMod, name: String) {
        let explicit = module.attrs.iter().find_map(path_attribute);
        let candidates = match explicit {
            Some(path) => vec![self.folder.join(path)],
            None => vec![self.folder.join(format!("{name}.rs")), self.folder.join(&name).join("mod.rs")],
        };
        let Some(file) = candidates.iter().find(|file| file.is_file()) else {
            let error = || -> Result<()> { bail!("no file for `mod {name}` in {}", self.folder.display()) };
            self.error = error().err();
            return;
        };
        // Some crates name their tests in a file that is not compiled for tests only.
        if name != "tests" {
            let folder = self.folder.join(&name);
            self.files.push(ModuleFile { file: file.clone(), folder, name: Some(name), parent: Some(self.module) });
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = attributes_and_name(item);
        if only_in_tests(attributes) {
            return;
        }
        if let Some(name) = name
            && self.blocks == 0
            && let Some(module) = self.here()
        {
            module.items.insert(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = text(&module.ident);
        if module.content.is_some() {
            self.inline_module(module, name);
        } else {
            self.module_file(module, name);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // `::name` is another crate.
        if item.leading_colon.is_none() {
            self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !only_in_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !only_in_tests(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let only_in_tests = match statement {
            Stmt::Local(local) => only_in_tests(&local.attrs),
            Stmt::Macro(call) => only_in_tests(&call.attrs),
            _ => false,
        };
        if !only_in_tests {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.blocks += 1;
        visit::visit_block(self, block);
        self.blocks -= 1;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first()
            && path.leading_colon.is_none()
        {
            let segments = path.segments.iter().map(|segment| text(&segment.ident)).collect();
            self.refer(segments, line(first.ident.span()), ReferenceKind::Path);
        }
        visit::visit_path(self, path);
    }

    /// The arguments of a macro are tokens: paths in them are names with `::` between.
    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.visit_tokens(call.tokens.clone());
    }

    /// An attribute has no imports.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

impl Collector<'_> {
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = 0;
        // Colons since the last name; a dot makes the next name a field's or a method's.
        let (mut colons, mut member) = (0, false);
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end_path(&mut path, start);
                    }
                    if path.is_empty() {
                        start = line(name.span());
                    }
                    if !member || !path.is_empty() {
                        path.push(text(&name));
                    }
                    (colons, member) = (0, false);
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.end_path(&mut path, start);
                    colons = 0;
                    member = matches!(&other, TokenTree::Punct(mark) if mark.as_char() == '.');
                    if let TokenTree::Group(group) = other {
                        self.visit_tokens(group.stream());
                    }
                }
            }
        }
        self.end_path(&mut path, start);
    }

    fn end_path(&mut self, path: &mut Vec<String>, line: usize) {
        if !path.is_empty() {
            self.refer(mem::take(path), line, ReferenceKind::Path);
        }
    }
}

/// An item's attributes, and its name where it has one.
fn attributes_and_name(item: &Item) -> (&[Attribute], Option<String>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(text(&item.ident))),
        Item::Enum(item) => (&item.attrs, Some(text(&item.ident))),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::Fn(item) => (&item.attrs, Some(text(&item.sig.ident))),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref().map(text)),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(text(&item.ident))),
        Item::Struct(item) => (&item.attrs, Some(text(&item.ident))),
        Item::Trait(item) => (&item.attrs, Some(text(&item.ident))),
        Item::TraitAlias(item) => (&item.attrs, Some(text(&item.ident))),
        Item::Type(item) => (&item.attrs, Some(text(&item.ident))),
        Item::Union(item) => (&item.attrs, Some(text(&item.ident))),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// Whether one of the attributes is a `cfg` that holds in no build without tests.
fn only_in_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Meta>().is_ok_and(|condition| holds_without_tests(&condition) == Some(false))
    })
}

/// The value of a `cfg` condition without `test`; None where it depends on something else.
fn holds_without_tests(condition: &Meta) -> Option<bool> {
    match condition {
        Meta::Path(name) => name.is_ident("test").then_some(false),
        Meta::NameValue(_) => None,
        Meta::List(list) => {
            let inner = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
            let values: Vec<_> = inner.iter().map(holds_without_tests).collect();
            let every = |value| values.iter().all(|v| *v == Some(value));
            let some = |value| values.contains(&Some(value));
            if list.path.is_ident("not") {
                values.first().copied().flatten().map(|value| !value)
            } else if list.path.is_ident("all") {
                if some(false) { Some(false) } else { every(true).then_some(true) }
            } else if some(true) {
                Some(true)
            } else {
                every(false).then_some(false)
            }
        }
    }
}

/// The file that `#[path = "file"]` names.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let Expr::Lit(value) = &pair.value else { return None };
    match &value.lit {
        Lit::Str(file) if pair.path.is_ident("path") => Some(file.value()),
        _ => None,
    }
}

/// The name without `r#`.
fn text(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

fn line(span: Span) -> usize {
    span.start().line
}
