use std::fs;
use std::path::Path;

use super::*;

const RULES: CrateRules = CrateRules {
    folder: "sensor",
    root: "lib.rs",
    layers: &["low", "middle side", "high"],
    forbidden: &[],
    independent: false,
};

/// The violations in a crate with these files below `sensor/src`.
fn violations(files: &[(&str, &str)]) -> Vec<String> {
    findings(&RULES, files).violations
}

fn findings(rules: &CrateRules, files: &[(&str, &str)]) -> Findings {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in files {
        write(root.path(), &format!("sensor/src/{file}"), text);
    }
    inspect(root.path(), rules).unwrap()
}

fn write(root: &Path, file: &str, text: &str) {
    let file = root.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

const LIB: (&str, &str) = ("lib.rs", "pub mod low; pub mod middle; pub mod side; pub mod high;");
const NO_LOW: (&str, &str) = ("low.rs", "pub struct Low;");
const NO_MIDDLE: (&str, &str) = ("middle.rs", "pub struct Middle;");
const NO_SIDE: (&str, &str) = ("side.rs", "pub struct Side;");
const NO_HIGH: (&str, &str) = ("high.rs", "pub struct High;");

#[test]
fn an_import_of_a_lower_layer_is_allowed() {
    let high = ("high.rs", "use crate::low::Low;\nuse crate::middle::Middle;\npub struct High(Low, Middle);");
    assert_eq!(violations(&[LIB, NO_LOW, NO_MIDDLE, NO_SIDE, high]), [""; 0]);
}

#[test]
fn an_upward_import_names_both_files_and_both_layers() {
    let low = ("low/mod.rs", "mod deep;");
    let deep = ("low/deep.rs", "\n\nuse crate::high::High;\n");
    assert_eq!(
        violations(&[LIB, low, deep, NO_MIDDLE, NO_SIDE, NO_HIGH]),
        [
            "sensor/src/low/deep.rs:3: upward import of crate::high::High (sensor/src/high.rs): layer low is below layer high"
        ]
    );
}

#[test]
fn every_upward_import_is_reported() {
    let low = ("low.rs", "use crate::high::High;\npub struct Low;\nfn f(_: crate::middle::Middle) {}");
    let found = violations(&[LIB, low, NO_MIDDLE, NO_SIDE, NO_HIGH]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("sensor/src/low.rs:1: "), "{found:#?}");
    assert!(found[1].starts_with("sensor/src/low.rs:3: upward import of crate::middle::Middle"), "{found:#?}");
}

#[test]
fn a_nested_group_is_several_imports() {
    let low = (
        "low.rs",
        "use {\n    std::fmt,\n    crate::{\n        middle::{self, Middle as M},\n        high::{High},\n    },\n};",
    );
    let found = violations(&[LIB, low, NO_MIDDLE, NO_SIDE, NO_HIGH]);
    let lines: Vec<_> = found.iter().map(|violation| violation.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["sensor/src/low.rs:4", "sensor/src/low.rs:4", "sensor/src/low.rs:5"], "{found:#?}");
}

#[test]
fn paths_through_super_and_self_are_followed() {
    let low = ("low/mod.rs", "mod deep;\nfn f() { self::deep::g(); }");
    let deep = ("low/deep.rs", "pub fn g() { super::super::high::run(); }");
    let found = violations(&[LIB, low, deep, NO_MIDDLE, NO_SIDE, NO_HIGH]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("sensor/src/low/deep.rs:1: upward import of super::super::high::run"), "{found:#?}");
}

#[test]
fn an_inline_module_counts_super_from_inside() {
    let low = ("low.rs", "mod inner { use super::super::high::High; }");
    let found = violations(&[LIB, low, NO_MIDDLE, NO_SIDE, NO_HIGH]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_path_in_the_arguments_of_a_macro_is_an_import() {
    let low = ("low.rs", "pub fn f() {\n    println!(\"{}\", [crate::high::SIZE]);\n}");
    let found = violations(&[LIB, low, NO_MIDDLE, NO_SIDE, ("high.rs", "pub const SIZE: usize = 1;")]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("sensor/src/low.rs:2: upward import of crate::high::SIZE"), "{found:#?}");
}

#[test]
fn strings_comments_attributes_and_visibilities_are_no_imports() {
    let low = (
        "low.rs",
        "//! See [`crate::high::High`].\n/* use crate::high::High; */\n#[doc = \"crate::high::High\"]\n\
         pub(in crate::low) const TEXT: &str = \"use crate::high::High;\";\n\
         pub fn f() { println!(\"crate::high::High\"); }",
    );
    assert_eq!(violations(&[LIB, low, NO_MIDDLE, NO_SIDE, NO_HIGH]), [""; 0]);
}

#[test]
fn tests_may_import_anything() {
    let low = (
        "low/mod.rs",
        "#[cfg(test)]\nmod tests;\n#[cfg(all(test, unix))]\nmod samples { use crate::high::High; }\n\
         #[cfg(test)]\nuse crate::high::High;\npub struct Low;\n\
         impl Low { #[cfg(test)] fn f(_: crate::high::High) {} }",
    );
    let tests = ("low/tests.rs", "use crate::high::High;");
    assert_eq!(violations(&[LIB, low, tests, NO_MIDDLE, NO_SIDE, NO_HIGH]), [""; 0]);
}

#[test]
fn code_for_tests_and_for_a_feature_is_no_test() {
    let low = (
        "low.rs",
        "#[cfg(any(test, feature = \"samples\"))]\nuse crate::high::High;\n#[cfg(not(test))]\nuse crate::high;",
    );
    assert_eq!(violations(&[LIB, low, NO_MIDDLE, NO_SIDE, NO_HIGH]).len(), 2);
}

#[test]
fn a_circle_of_folders_in_one_layer_names_an_import_in_each_direction() {
    let files = [
        ("middle/mod.rs", "pub mod one; pub mod two;"),
        ("middle/one.rs", "use crate::side::two::B;\npub struct A;"),
        ("middle/two.rs", "pub struct A;"),
        ("side/mod.rs", "pub mod one; pub mod two;"),
        ("side/one.rs", "\nuse crate::middle::two::A;"),
        ("side/two.rs", "pub struct B;"),
    ];
    let found = violations(&[&[LIB, NO_LOW, NO_HIGH][..], &files].concat());
    assert_eq!(
        found,
        ["circle of 2 folders in sensor/src: middle/, side/\n  \
          middle/ -> side/: sensor/src/middle/one.rs:1 imports crate::side::two::B (sensor/src/side/two.rs)\n  \
          side/ -> middle/: sensor/src/side/one.rs:2 imports crate::middle::two::A (sensor/src/middle/two.rs)"]
    );
}

#[test]
fn a_circle_of_folders_inside_a_folder_is_found() {
    let files = [
        ("middle/mod.rs", "mod one; mod two; mod three;"),
        ("middle/one/mod.rs", "pub mod x; pub mod y;"),
        ("middle/one/x.rs", "use super::super::two::X;"),
        ("middle/one/y.rs", "pub struct Y;"),
        ("middle/two.rs", "use super::three::Z;\npub struct X;"),
        ("middle/three.rs", "use super::one::y::Y;\npub struct Z;"),
    ];
    let found = violations(&[&[LIB, NO_LOW, NO_SIDE, NO_HIGH][..], &files].concat());
    assert_eq!(found.len(), 1, "{found:#?}");
    let first = found[0].lines().next().unwrap();
    assert_eq!(first, "circle of 3 folders and files in sensor/src/middle: one/, three.rs, two.rs");
}

#[test]
fn a_circle_of_files_is_found() {
    let files = [
        ("middle/mod.rs", "mod one; mod two;"),
        ("middle/one.rs", "use super::two::two;\npub fn one() { two() }"),
        ("middle/two.rs", "pub fn two() { super::one::one() }"),
    ];
    let found = violations(&[&[LIB, NO_LOW, NO_SIDE, NO_HIGH][..], &files].concat());
    assert_eq!(
        found,
        ["circle of 2 files: sensor/src/middle/one.rs, sensor/src/middle/two.rs\n  \
          sensor/src/middle/one.rs:1 imports super::two::two (sensor/src/middle/two.rs)\n  \
          sensor/src/middle/two.rs:1 imports super::one::one (sensor/src/middle/one.rs)"]
    );
}

#[test]
fn a_parent_that_only_declares_and_reexports_its_children_is_no_circle() {
    let files = [
        (
            "middle/mod.rs",
            "mod one;\nmod two;\npub use self::one::One;\npub(crate) use two::*;\npub const SIZE: usize = 1;",
        ),
        ("middle/one.rs", "use super::SIZE;\npub struct One([u8; SIZE]);"),
        ("middle/two.rs", "use super::{One, SIZE};\npub struct Two([One; SIZE]);"),
    ];
    assert_eq!(violations(&[&[LIB, NO_LOW, NO_SIDE, NO_HIGH][..], &files].concat()), [""; 0]);
}

#[test]
fn a_child_that_uses_an_item_of_the_parent_that_uses_it_is_a_circle() {
    let child = ("middle/one.rs", "use super::SIZE;\npub struct One([u8; SIZE]);");
    for parent in [
        "mod one;\nuse self::one::One;\npub const SIZE: usize = 1;\npub fn f(_: One) {}",
        "mod one;\npub use self::one::One;\npub const SIZE: usize = 1;\npub fn f(_: One) {}",
        "mod one;\npub const SIZE: usize = 1;\npub fn f(_: one::One) {}",
        "mod one;\npub use self::one::*;\npub const SIZE: usize = 1;\npub fn f() { let _ = vec![One]; }",
    ] {
        let found = violations(&[LIB, NO_LOW, NO_SIDE, NO_HIGH, ("middle/mod.rs", parent), child]);
        assert_eq!(found.len(), 1, "{parent}: {found:#?}");
        assert!(found[0].starts_with("circle of 2 files: sensor/src/middle/mod.rs, sensor/src/middle/one.rs\n"));
    }
}

/// The re-export leads down again, but the import names the higher folder.
#[test]
fn an_import_through_a_reexport_of_a_higher_layer_is_upward() {
    let high = ("high.rs", "pub use crate::low::Low;");
    let middle = ("middle.rs", "use crate::high::Low;");
    let found = violations(&[LIB, NO_LOW, middle, NO_SIDE, high]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("upward import of crate::high::Low (sensor/src/high.rs)"), "{found:#?}");
}

#[test]
fn a_folder_in_no_layer_is_reported() {
    let lib = ("lib.rs", "mod low; mod other;");
    assert_eq!(
        violations(&[lib, NO_LOW, ("other.rs", "")]),
        ["sensor/src/other: in no layer; add it to the table in xtask/src/layers.rs"]
    );
}

#[test]
fn the_report_counts_circles() {
    let middle = ("middle.rs", "use crate::side::Side;\npub struct Middle;");
    let side = ("side.rs", "use crate::middle::Middle;\npub struct Side;");
    let report = findings(&RULES, &[LIB, NO_LOW, middle, side, NO_HIGH]).report;
    assert_eq!(
        report,
        "sensor/src:\n  middle.rs -> side.rs (1)\n  side.rs -> middle.rs (1)\n\
         sensor: 0 circles among folders, 1 circles among files\n  \
         circle of 2 files: sensor/src/middle.rs, sensor/src/side.rs\n"
    );
}

#[test]
fn forbidden_dependencies_are_reported_by_package() {
    let rules = CrateRules { forbidden: &["aya", "tokio"], independent: true, layers: &[], ..RULES };
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "sensor/src/lib.rs", "");
    write(
        root.path(),
        "Cargo.toml",
        "[workspace.dependencies]\nbpf = { package = \"aya\", version = \"1\" }\ncommon = { path = \"common\" }\nsha2 = \"1\"\n",
    );
    write(
        root.path(),
        "sensor/Cargo.toml",
        "[dependencies]\nbpf.workspace = true\ncommon = { workspace = true }\nsha2 = { workspace = true }\n\
         [target.'cfg(unix)'.build-dependencies]\ntokio = \"1\"\n\
         [dev-dependencies]\ntests = { path = \"../tests\" }\n",
    );
    assert_eq!(
        inspect(root.path(), &rules).unwrap().violations,
        ["aya", "common", "tokio"].map(|name| format!("sensor/Cargo.toml: this crate must not depend on {name}"))
    );
}

#[test]
fn a_source_that_does_not_parse_is_named() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "sensor/src/lib.rs", "fn f() {}\nfn {");
    let error = inspect(root.path(), &RULES).err().unwrap();
    assert!(format!("{error:#}").contains("sensor/src/lib.rs:2"), "{error:#}");
}

/// Calls `read` with the path and the text of each source file in a folder.
fn sources(folder: &Path, read: &mut impl FnMut(&Path, String)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, read);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            read(&path, text);
        }
    }
}

/// The name of the type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = if line.starts_with("pub") { line.split_once(' ')?.1 } else { line };
    // `pub(in path) struct`.
    let line = line.split_once(") ").filter(|(path, _)| path.starts_with("crate::")).map_or(line, |(_, rest)| rest);
    let rest = ["struct ", "enum ", "trait ", "union "].iter().find_map(|kind| line.strip_prefix(kind))?;
    let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()))
}

#[test]
fn each_type_name_is_unique_in_the_workspace() {
    let mut declarations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in ["ja4-common", "ja4-ebpf/src", "ja4-user", "xtask/src", "tests", "fuzz"] {
        sources(&root().join(folder), &mut |path, text| {
            for name in text.lines().filter_map(declared) {
                declarations.entry(name.to_owned()).or_default().push(path.display().to_string());
            }
        });
    }
    assert!(declarations.contains_key("ConnectionRecord") && declarations.len() > 500, "{}", declarations.len());
    // One of these two is compiled.
    declarations.remove("PlusHashers");
    declarations.retain(|_, files| files.len() > 1);
    assert!(declarations.is_empty(), "declared twice: {declarations:#?}");
}
