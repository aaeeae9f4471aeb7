use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::model::Method;

const CHROME: &str = "t13d1516h2_8daaf6152771_02713d6af862";
const GO: &str = "t13d190900_9dc949149365_97f8aa674fd9";

/// The label of a value in a database of these files: name, source, confidence.
fn label_of(files: &[(&str, &str)], method: Method, value: &str) -> Option<(String, String, u8)> {
    let folder = TempDir::new().unwrap();
    let mut builder = LabelDatabaseBuilder::new();
    for (name, text) in files {
        builder.add(&write(folder.path(), name, text)).unwrap();
    }
    let label = builder.build().lookup(method, value)?;
    Some((label.name.to_string(), label.source.to_string(), label.confidence?))
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn owned(name: &str, source: &str, confidence: u8) -> Option<(String, String, u8)> {
    Some((name.to_owned(), source.to_owned(), confidence))
}

/// A row of a TOML file.
fn entry(method: &str, key: &str, value: &str, name: &str, confidence: u8) -> String {
    format!("[[entry]]\ntype = '{method}'\n{key} = '{value}'\nname = '{name}'\nconfidence = {confidence}\n")
}

#[test]
fn the_builtin_table_is_valid() {
    let rows = label_toml::read(Path::new("builtin.toml"), include_str!("builtin.toml")).unwrap();
    assert!(rows.iter().all(|row| row.note.is_some()), "each row has a note");
    let database = LabelDatabaseBuilder::with_builtin().build();
    let table = [
        (Method::Ja4, "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "curl"),
        (Method::Ja4h, "ge11cn030000_fe444ad14866_0123456789ab_0123456789ab", "-"),
        (Method::Ja4h, "ge11nn030000_fe444ad14866_000000000000_000000000000", "curl"),
        (Method::Ja4t, "64240_2-4-8-1-3_1460_7", "Linux"),
        (Method::Ja4d, "disco0576nn_57-55-60-61_1-3-6-12-15-28-42", "udhcpc"),
        (Method::Ja4ssh, "c36s36_c99s101_c97s4", "OpenSSH / AsyncSSH / Dropbear"),
        (Method::Ja4ssh, "c1448s36_c197s3_c1s93", "-"),
    ];
    for (method, value, name) in table {
        let label = database.lookup(method, value);
        assert_eq!(label.as_ref().map_or("-", |label| &label.name), name, "{value}");
        assert!(label.is_none_or(|label| &*label.source == "builtin"));
    }
}

#[test]
fn the_public_layout_is_read() {
    let csv = "Application,Library,Device,OS,ja4,ja4s,ja4h,ja4x,ja4t,ja4tscan,Notes\r\n\
        Chromium Browser,,,,t13d1516h2_8daaf6152771_02713d6af862,,,,,,\r\n\
        ,Python,,,t13i181000_85036bcba153_d41ae481755e,,,,,,\r\n\
        ,,Ubiquiti Router,UniFi OS 3.2.12,,,,,,43440_2-4-8-1-3_1460_12_1-2-4-8-17,\r\n\
        ,,Rachio IoT,,,,,,,7168_2-3-0_1460_0_0-0-0,\r\n\
        ,,Cloudflare,,,,,,65535_2-4-8-1-3_1400_13,,JA4TS when connecting to Cloudflare\r\n\
        \"Shop, \"\"the\"\" App\",,,,t13i181000_000000000000_d41ae481755e,,,,,,\r\n";
    let says =
        |method, value| label_of(&[("ja4plus-mapping.csv", csv)], method, value).map(|(name, _, sure)| (name, sure));
    let sure = |name: &str, confidence| Some((name.to_owned(), confidence));
    assert_eq!(says(Method::Ja4, CHROME), sure("Chromium Browser", 75));
    assert_eq!(says(Method::Ja4, "t13i181000_85036bcba153_d41ae481755e"), sure("Python", 75));
    assert_eq!(says(Method::Ja4, "t13i181000_000000000000_d41ae481755e"), sure("Shop, \"the\" App", 75));
    // A scan is read as JA4TS.
    let router = sure("Ubiquiti Router (UniFi OS 3.2.12)", 50);
    assert_eq!(says(Method::Ja4ts, "43440_2-4-8-1-3_1460_12_1-2-4-8-17"), router);
    assert_eq!(says(Method::Ja4t, "43440_2-4-8-1-3_1460_12"), None);
    assert_eq!(says(Method::Ja4ts, "7168_2-3-0_1460_00_0-0-0"), sure("Rachio IoT", 50));
    for method in [Method::Ja4t, Method::Ja4ts] {
        assert_eq!(says(method, "65535_2-4-8-1-3_1400_13"), sure("Cloudflare", 75));
    }
    // Methods have separate tables.
    assert_eq!(says(Method::Ja4s, CHROME), None);
}

#[test]
fn a_value_with_several_owners_lists_them_all() {
    let csv = format!("Application,Library,ja4\n,GoLang,{GO}\nSliver Agent,GoLang,{GO}\n,GoLang,{GO}\n");
    assert_eq!(label_of(&[("a.csv", &csv)], Method::Ja4, GO), owned("GoLang / Sliver Agent (GoLang)", "a", 37),);
    // Across files, in any order; the highest confidence first.
    let one = entry("ja4", "value", GO, "Go", 90);
    let files = [("a.csv", csv.as_str()), ("mine.toml", &one)];
    let all = owned("Go / GoLang / Sliver Agent (GoLang)", "a / mine", 30);
    assert_eq!(label_of(&files, Method::Ja4, GO), all);
    assert_eq!(label_of(&[files[1], files[0]], Method::Ja4, GO), all);
    // A name in two files is one owner.
    let same = [("a.toml", one.as_str()), ("b.toml", &entry("ja4", "value", GO, "Go", 60))];
    assert_eq!(label_of(&same, Method::Ja4, GO), owned("Go", "a / b", 90));
}

#[test]
fn of_many_owners_the_first_are_listed() {
    let list: String = (0..30).map(|owner| entry("ja4", "value", GO, &format!("owner {owner:02}"), 90)).collect();
    let (name, _, confidence) = label_of(&[("a.toml", &list)], Method::Ja4, GO).unwrap();
    assert!(name.starts_with("owner 00 / owner 01 / ") && name.ends_with(" / owner 07 / 22 more"), "{name}");
    assert_eq!(confidence, 3);
}

#[test]
fn partial_ja4h_values_match_by_prefix() {
    let csv = "Application,ja4h\n\
        Darkgate,po10nn060000_cdb958d032b0\n\
        IcedID,ge11cn020000_9ed1ff1f7b03_cd8dafe26982\n\
        Beacon,ge11cn060000_4e59edc1297a_4da5efaf0cb\n";
    let file = [("a.csv", csv)];
    let name = |value: &str| label_of(&file, Method::Ja4h, value).map(|(name, ..)| name);
    let whole = |start: &str| format!("{start}_0123456789ab");
    assert_eq!(name(&whole("po10nn060000_cdb958d032b0_000000000000")).as_deref(), Some("Darkgate"));
    assert_eq!(name(&whole("ge11cn020000_9ed1ff1f7b03_cd8dafe26982")).as_deref(), Some("IcedID"));
    assert_eq!(name(&whole("ge11cn060000_4e59edc1297a_4da5efaf0cbd")).as_deref(), Some("Beacon"));
    // A partial value has the same label.
    assert_eq!(name("po10nn060000_cdb958d032b0").as_deref(), Some("Darkgate"));
    assert_eq!(name(&whole("po10nn060000_cdb958d032b1_000000000000")), None);
    assert_eq!(name("po10nn060000"), None);
}

#[test]
fn nested_prefixes_share_their_values() {
    let list = [
        entry("ja4t", "prefix", "64240_", "any", 60),
        entry("ja4t", "prefix", "64240_2-4-8-1-3_", "Linux", 90),
        entry("ja4t", "value", "64240_2-4-8-1-3_1460_7", "WSL", 80),
    ];
    let list = list.concat();
    let name = |value: &str| label_of(&[("a.toml", &list)], Method::Ja4t, value).map(|(name, _, sure)| (name, sure));
    assert_eq!(name("64240_2-4-8-1-3_1460_7"), Some(("Linux / WSL / any".to_owned(), 30)));
    assert_eq!(name("64240_2-4-8-1-3_1460_8"), Some(("Linux / any".to_owned(), 45)));
    assert_eq!(name("64240_2_1460_8"), Some(("any".to_owned(), 60)));
    assert_eq!(name("64241_2_1460_8"), None);
}

#[test]
fn a_bad_row_is_skipped_with_a_warning() {
    let csv = format!(
        "Application,ja4,ja4t\nGood,{CHROME},\n,{CHROME},\nNone,,\nShort,{CHROME}\nOdd,{CHROME},64240\n\
         Quoted\" ,{CHROME},\nLast,{GO},\n\u{1b}[2J,{GO},\n"
    );
    let folder = TempDir::new().unwrap();
    let mut builder = LabelDatabaseBuilder::new();
    let imported = builder.add(&write(folder.path(), "a.csv", &csv)).unwrap();
    assert_eq!((imported.entries, imported.skipped), (2, 6));
    let warnings: Vec<String> = imported
        .warnings
        .iter()
        .map(|warning| format!("{}: {}", warning.position.unwrap().line, warning.message))
        .collect();
    assert_eq!(
        warnings,
        [
            "3: row skipped: has no name",
            "4: row skipped: has no fingerprint",
            "5: row skipped: has 2 fields, expected 3",
            "6: row skipped: '64240' is not a ja4t value",
            "7: row skipped: has a quote in an unquoted field",
            "9: row skipped: its name contains control characters",
        ],
    );
    let database = builder.build();
    assert_eq!(&*database.lookup(Method::Ja4, CHROME).unwrap().name, "Good");
    assert_eq!(&*database.lookup(Method::Ja4, GO).unwrap().name, "Last");
}

#[test]
fn toml_files_are_read_as_a_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let errors = |text: &str| {
        let mut builder = LabelDatabaseBuilder::new();
        let error = builder.add(&write(folder.path(), "a.toml", text)).unwrap_err();
        assert_eq!(builder.build().len(Method::Ja4), (0, 0));
        let text = error.to_string();
        text.replace(&format!("{}/", folder.path().display()), "")
    };
    let good = entry("ja4", "value", GO, "Go", 80);
    let text = format!("{good}\n[[entry]]\ntype = 'ja4'\nvalue = 'x'\nprefix = 'y'\n\n[[entry]]\nname = 'n'\n");
    assert_eq!(
        errors(&text),
        "a.toml:7:1: entry 2: missing key 'name'\na.toml:10:10: entry 2: 'value' and 'prefix' exclude each other\n\
         a.toml:12:1: entry 3: missing key 'type'\na.toml:12:1: entry 3: missing key 'value' or 'prefix'",
    );
    assert_eq!(errors(&entry("ja4", "value", "t13d", "Go", 80)), "a.toml:3:9: entry 1: 't13d' is not a ja4 value");
    assert!(errors("[[entry]\n").starts_with("a.toml:1:"), "{}", errors("[[entry]\n"));
}

#[test]
fn unreadable_files_are_rejected_with_the_cause() {
    let folder = TempDir::new().unwrap();
    let error = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        LabelDatabaseBuilder::new().add(&path).unwrap_err().to_string()
    };
    assert!(error("a.json", b"{}").contains("is not a label file; expected a .csv file"));
    assert!(error("a.csv", b"").contains("has no header"));
    assert!(error("b.csv", b"name,fingerprint\nx,y\n").contains("has no header"));
    assert!(error("a.toml", b"\xff").contains("is not UTF-8"));
    let missing = LabelDatabaseBuilder::new().add(&folder.path().join("none.csv")).unwrap_err();
    assert!(missing.to_string().contains("none.csv"));
}

#[test]
fn written_files_are_read_unchanged() {
    let csv =
        format!("Application,OS,ja4,ja4h,Notes\n\"A \"\"b\"\" \\ c\",Windows 10,{GO},po10nn060000_cdb958d032b0,why\n");
    let folder = TempDir::new().unwrap();
    let mut first = LabelDatabaseBuilder::new();
    first.add(&write(folder.path(), "a.csv", &csv)).unwrap();
    let toml = first.to_toml();
    let mut second = LabelDatabaseBuilder::new();
    assert_eq!(second.add(&write(folder.path(), "a.toml", &toml)).unwrap().entries, 2);
    assert_eq!(second.to_toml(), toml);
    let (first, second) = (first.build(), second.build());
    assert_eq!(first.lookup(Method::Ja4, GO), second.lookup(Method::Ja4, GO));
}

/// The public table, which is not part of the project, if the environment has its path.
#[test]
fn the_public_table_is_read_without_a_bad_row() {
    let Some(path) = std::env::var_os("JA4_MAPPING_CSV") else {
        eprintln!("skipped: JA4_MAPPING_CSV is not set to a ja4plus-mapping.csv");
        return;
    };
    let mut builder = LabelDatabaseBuilder::new();
    let imported = builder.add(Path::new(&path)).unwrap();
    assert_eq!(imported.warnings, []);
    let label = builder.build().lookup(Method::Ja4, GO).unwrap();
    assert_eq!((&*label.name, label.confidence), ("GoLang / Sliver Agent (GoLang)", Some(37)));
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter(
        rows in prop::collection::vec(("[ab]{1,3}", any::<bool>(), 0_u8..4, 1_u8..100), 1..30),
        asked in "[ab]{1,4}",
    ) {
        let text = |rows: &[&(String, bool, u8, u8)]| -> String {
            rows.iter().map(|(value, is_prefix, name, confidence)| {
                // A JA4T; its window has a digit for each letter.
                let window: String = value.chars().map(|letter| if letter == 'a' { '1' } else { '2' }).collect();
                let (key, value) = if *is_prefix { ("prefix", window) } else { ("value", format!("{window}_2_1460_00")) };
                entry("ja4t", key, &value, &format!("n{name}"), *confidence)
            }).collect()
        };
        let straight: Vec<_> = rows.iter().collect();
        let other: Vec<_> = rows.iter().rev().collect();
        let window: String = asked.chars().map(|letter| if letter == 'a' { '1' } else { '2' }).collect();
        let value = format!("{window}_2_1460_00");
        let said = label_of(&[("a.toml", &text(&straight))], Method::Ja4t, &value);
        prop_assert_eq!(&said, &label_of(&[("a.toml", &text(&other))], Method::Ja4t, &value));

        // A linear search.
        let mut owners: Vec<(u8, u8)> = Vec::new();
        for (own, is_prefix, name, confidence) in &rows {
            if if *is_prefix { asked.starts_with(own.as_str()) } else { asked == *own } {
                match owners.iter_mut().find(|(owner, _)| owner == name) {
                    Some((_, highest)) => *highest = (*highest).max(*confidence),
                    None => owners.push((*name, *confidence)),
                }
            }
        }
        let wanted = owners.iter().map(|(_, confidence)| usize::from(*confidence)).max();
        prop_assert_eq!(said.map(|(_, _, confidence)| usize::from(confidence)), wanted.map(|max| max / owners.len()));
    }
}
