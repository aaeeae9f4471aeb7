//! `cargo xtask layers`: the imports of each crate against the declared layers.
//!
//! Lower layers never import higher ones, and neither folders nor files import each other in a circle. Imports are
//! read from the syntax tree: `use` declarations and paths inside code, but not strings, comments or tests.

mod graph;
mod manifest;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};

use self::graph::Graph;
use self::source::{Import, SourceTree};
use crate::command::root;

/// One crate that is checked.
pub(crate) struct CrateRules {
    /// The crate's folder, from the top of the checkout. A crate that is not there is not checked.
    folder: &'static str,
    /// The crate's root file in `src`.
    root: &'static str,
    /// Folders and files directly in `src`, bottom to top, separated by spaces. A layer imports itself and those before
    /// it. Empty: only circles are errors.
    layers: &'static [&'static str],
    /// Packages that `[dependencies]` and `[build-dependencies]` must not name. Dev-dependencies are not checked.
    forbidden: &'static [&'static str],
    /// Whether packages of this workspace are forbidden too.
    independent: bool,
}

/// Every crate that is checked, and its layers.
const CRATES: [CrateRules; 4] = [
    CrateRules {
        folder: "ja4-user",
        root: "lib.rs",
        layers: &[
            "units document",
            "model",
            "system",
            "capture packet conntrack protocol",
            "enrich detect",
            "encode output",
            "shard",
            "api attach",
            "config",
            "runtime",
            "top",
            "cli",
        ],
        forbidden: &[],
        independent: false,
    },
    CrateRules {
        folder: "ja4-user/ja4",
        root: "lib.rs",
        layers: &[],
        forbidden: &["aya", "tokio", "rusqlite"],
        independent: true,
    },
    CrateRules { folder: "ja4-common", root: "lib.rs", layers: &[], forbidden: &[], independent: true },
    CrateRules { folder: "ja4-ebpf", root: "main.rs", layers: &[], forbidden: &[], independent: false },
];

/// Fails with every violation of every crate. With `report`, prints the graph of folders and the number of circles.
///
/// # Errors
///
/// When there is a violation, or a source file cannot be read or parsed.
pub(crate) fn check(report: bool) -> Result<()> {
    let mut violations = Vec::new();
    for rules in CRATES {
        if root().join(rules.folder).join("src").join(rules.root).is_file() {
            let findings = inspect(&root(), &rules)?;
            if report {
                print(&findings.report);
            }
            violations.extend(findings.violations);
        }
    }
    if violations.is_empty() {
        return Ok(());
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    bail!("imports violate the layers declared in xtask/src/layers.rs: {} violations", violations.len());
}

#[expect(clippy::print_stdout, reason = "the report is this command's output")]
fn print(text: &str) {
    println!("{text}");
}

/// The result for one crate.
pub(crate) struct Findings {
    /// One violation an entry; may have several lines.
    violations: Vec<String>,
    /// The graph of folders and the number of circles.
    report: String,
}

/// Checks the crate in `rules.folder` of the checkout at `root`.
pub(crate) fn inspect(root: &Path, rules: &CrateRules) -> Result<Findings> {
    let folder = root.join(rules.folder);
    let tree = SourceTree::read(root, &folder.join("src").join(rules.root))?;
    let imports = tree.imports();
    let src = format!("{}/src", rules.folder);
    let mut violations = Vec::new();
    if !rules.layers.is_empty() {
        violations.extend(upward_imports(&tree, &imports, &src, rules.layers));
    }
    let folders = folder_graphs(&tree, &imports, &src);
    let mut folder_circles = Vec::new();
    for (parent, graph) in &folders {
        for circle in graph.circles() {
            // A circle of files alone is in the graph of files too.
            if circle.iter().any(|unit| unit.ends_with('/')) {
                let what = if circle.iter().all(|unit| unit.ends_with('/')) { "folders" } else { "folders and files" };
                folder_circles.push(circle_text(&format!("{what} in {parent}"), graph, &circle));
            }
        }
    }
    let files = file_graph(&tree, &imports);
    let file_circles: Vec<_> = files.circles().iter().map(|circle| circle_text("files", &files, circle)).collect();
    let report = report(rules, &folders, &folder_circles, &file_circles);
    violations.extend(folder_circles);
    violations.extend(file_circles);
    violations.extend(manifest::forbidden_dependencies(root, &folder, rules.forbidden, rules.independent)?);
    Ok(Findings { violations, report })
}

/// Imports of a higher layer, and folders that no layer names.
fn upward_imports(tree: &SourceTree, imports: &[Import], src: &str, layers: &[&str]) -> Vec<String> {
    let rank: BTreeMap<&str, usize> =
        (0..).zip(layers).flat_map(|(rank, layer)| layer.split(' ').map(move |unit| (unit, rank))).collect();
    let mut violations = Vec::new();
    for unit in tree.units() {
        if !rank.contains_key(unit) {
            violations.push(format!("{src}/{unit}: in no layer; add it to the table in xtask/src/layers.rs"));
        }
    }
    for import in imports {
        let unit = |file| tree.module(file).first().map(String::as_str);
        let upward = import.destinations().find_map(|to| {
            let (low, high) = (unit(import.from)?, unit(to)?);
            (rank.get(low)? < rank.get(high)?).then_some((low, high, to))
        });
        if let Some((low, high, to)) = upward {
            violations.push(format!(
                "{}: upward import of {} ({}): layer {low} is below layer {high}",
                tree.location(import),
                import.path,
                tree.path(to)
            ));
        }
    }
    violations
}

/// A graph for each folder: its subfolders (with a final slash) and files, and the imports among them.
fn folder_graphs(tree: &SourceTree, imports: &[Import], src: &str) -> BTreeMap<String, Graph> {
    let mut graphs: BTreeMap<String, Graph> = BTreeMap::new();
    for import in imports {
        let mut last = None;
        for to in import.destinations() {
            let (one, other) = (tree.module(import.from), tree.module(to));
            let common = one.iter().zip(other).take_while(|(one, other)| one == other).count();
            // A module that contains the other one is checked in the graph of files.
            let (Some(from_unit), Some(to_unit)) = (one.get(..=common), other.get(..=common)) else { continue };
            let parent = one.iter().take(common).fold(src.to_owned(), |parent, name| format!("{parent}/{name}"));
            // The re-export and the definition are often in the same folder.
            if last.replace(to_unit) != Some(to_unit) {
                let (from, to_name) = (tree.unit_name(from_unit), tree.unit_name(to_unit));
                graphs.entry(parent).or_default().add(from, to_name, describe(tree, import, to));
            }
        }
    }
    graphs
}

/// The imports among files. A re-export leads to the file that defines the item.
fn file_graph(tree: &SourceTree, imports: &[Import]) -> Graph {
    let mut graph = Graph::default();
    for import in imports {
        if let Some(to) = import.target.filter(|to| *to != import.from) {
            graph.add(tree.path(import.from).to_owned(), tree.path(to).to_owned(), describe(tree, import, to));
        }
    }
    graph
}

fn describe(tree: &SourceTree, import: &Import, to: usize) -> String {
    format!("{} imports {} ({})", tree.location(import), import.path, tree.path(to))
}

/// The members of a circle, and one import for each pair of them.
fn circle_text(what: &str, graph: &Graph, circle: &BTreeSet<String>) -> String {
    let members: Vec<_> = circle.iter().map(String::as_str).collect();
    let mut text = format!("circle of {} {what}: {}", members.len(), members.join(", "));
    for (from, to, imports) in graph.edges() {
        if let Some(first) = imports.first().filter(|_| circle.contains(from) && circle.contains(to)) {
            // An import of a file names both files itself. Writing into a String cannot fail.
            let edge = if first.starts_with(from) { String::new() } else { format!("{from} -> {to}: ") };
            let _ = write!(text, "\n  {edge}{first}");
            if imports.len() > 1 {
                let _ = write!(text, " and {} more", imports.len() - 1);
            }
        }
    }
    text
}

fn report(
    rules: &CrateRules,
    folders: &BTreeMap<String, Graph>,
    folder_circles: &[String],
    file_circles: &[String],
) -> String {
    let mut text = String::new();
    for (parent, graph) in folders {
        let _ = writeln!(text, "{parent}:");
        let mut last = "";
        for (from, to, imports) in graph.edges() {
            let separator = if from == last { ", " } else { "" };
            if from != last {
                let start = if last.is_empty() { "" } else { "\n" };
                let _ = write!(text, "{start}  {from} -> ");
            }
            let _ = write!(text, "{separator}{to} ({})", imports.len());
            last = from;
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "{}: {} circles among folders, {} circles among files",
        rules.folder,
        folder_circles.len(),
        file_circles.len()
    );
    for circle in folder_circles.iter().chain(file_circles) {
        let _ = write!(text, "\n  {}", circle.lines().next().unwrap_or_default());
    }
    text.push('\n');
    text
}
