//! What the database says, read leniently.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::{Label, Method};

/// Objects read of an answer. A value shared by more has no owner worth a name.
const MAX_ROWS: usize = 64;

/// Owners that a label names.
const MAX_NAMES: usize = 4;

/// Characters kept of a text.
const MAX_TEXT: usize = 120;

/// Confidence in a single owner: what anybody may have submitted, and what the operator has verified.
const CONFIDENCE: (u8, u8) = (60, 80);

/// One object, as far as it is of use. Anything else in it is skipped, whatever its type.
#[derive(Debug, Default)]
struct Row {
    application: Option<String>,
    library: Option<String>,
    device: Option<String>,
    os: Option<String>,
    user_agent: Option<String>,
    verified: bool,
    /// The value that it names for the method asked for.
    value: Option<String>,
}

/// The label that an answer gives a value; `None`: the database does not know it.
///
/// # Errors
/// What is no JSON, or neither an object nor an array.
pub(super) fn label(body: &[u8], method: Method, value: &str, source: &str) -> serde_json::Result<Option<Label>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut rows = Rows { field: format!("{}_fingerprint", method.name()), rows: Vec::new() };
    reader.deserialize_any(&mut rows)?;
    reader.end()?;
    let rows = rows.rows.iter().filter(|row| row.value.as_ref().is_none_or(|named| named == value));

    let mut owners: Vec<(&str, Option<&'static str>, bool)> = Vec::new();
    for row in rows {
        let Some((name, category)) = row.owner() else {
            continue;
        };
        match owners.iter_mut().find(|(known, ..)| known.eq_ignore_ascii_case(name)) {
            Some((_, _, verified)) => *verified |= row.verified,
            None => owners.push((name, category, row.verified)),
        }
    }
    let Some(&(_, category, verified)) = owners.first() else {
        return Ok(None);
    };
    let mut name = owners.iter().take(MAX_NAMES).map(|(name, ..)| *name).collect::<Vec<_>>().join(" / ");
    if owners.len() > MAX_NAMES {
        name.push_str(&format!(" / {} others", owners.len() - MAX_NAMES));
    }
    // Shared among its owners; MAX_ROWS of them leave it at 1 or less.
    let full = if verified && owners.len() == 1 { CONFIDENCE.1 } else { CONFIDENCE.0 };
    let confidence = u8::try_from(usize::from(full) / owners.len()).unwrap_or(full);
    let category = category.filter(|_| owners.len() == 1).map(Into::into);
    Ok(Some(Label { name: name.into(), source: source.into(), category, confidence: Some(confidence) }))
}

impl Row {
    /// Who has the value: what the row says most exactly.
    fn owner(&self) -> Option<(&str, Option<&'static str>)> {
        let Self { application, library, device, os, user_agent, .. } = self;
        let says = [
            (application, None),
            (library, Some("library")),
            (device, Some("device")),
            (os, Some("os")),
            (user_agent, Some("user_agent")),
        ];
        says.into_iter().find_map(|(text, category)| Some((text.as_deref()?, category)))
    }
}

/// Collects rows of an array of objects, or of one object.
struct Rows {
    /// Name of the field that holds a value of the method asked for.
    field: String,
    rows: Vec<Row>,
}

impl<'de> Visitor<'de> for &mut Rows {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while self.rows.len() < MAX_ROWS {
            if items.next_element_seed(Item(&mut *self))?.is_none() {
                return Ok(());
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut row = Row::default();
        while let Some(field) = fields.next_key::<String>()? {
            match &*field {
                "application" => row.application = fields.next_value::<Text>()?.0,
                "library" => row.library = fields.next_value::<Text>()?.0,
                "device" => row.device = fields.next_value::<Text>()?.0,
                "os" => row.os = fields.next_value::<Text>()?.0,
                "user_agent_string" => row.user_agent = fields.next_value::<Text>()?.0,
                "verified" => row.verified = fields.next_value::<Text>()?.0.as_deref() == Some("true"),
                _ if field == self.field => row.value = fields.next_value::<Text>()?.0,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        self.rows.push(row);
        Ok(())
    }
}

/// An element of the array.
struct Item<'a>(&'a mut Rows);

impl<'de> de::DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self.0)
    }
}

/// A text with something in it; `true` and `false` are texts too. Anything else is none.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl<'de> Visitor<'de> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                let plain = text.trim().chars().filter(|character| !character.is_control()).take(MAX_TEXT);
                Ok(Text(Some(plain.collect::<String>()).filter(|text| !text.is_empty())))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(Some(value.to_string())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Text, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }

        from.deserialize_any(AnyText)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> serde_json::Result<Option<(String, Option<String>, u8)>> {
        let label = label(body.as_bytes(), Method::Ja4, "t13", "ja4db")?;
        Ok(label.map(|label| {
            assert_eq!(&*label.source, "ja4db");
            (label.name.to_string(), label.category.map(|category| category.to_string()), label.confidence.unwrap())
        }))
    }

    fn named(name: &str, category: Option<&str>, confidence: u8) -> Option<(String, Option<String>, u8)> {
        Some((name.to_owned(), category.map(str::to_owned), confidence))
    }

    #[test]
    fn an_answer_names_the_owner_or_the_owners() {
        let chrome = r#"{"application":"Chromium Browser","library":null,"device":null,"os":"Windows","verified":true,
            "user_agent_string":"Mozilla/5.0","notes":"","observation_count":3,"ja4_fingerprint":"t13","ja4s_fingerprint":"x"}"#;
        let curl = r#"{"application":"","library":"curl","os":["a",{"b":1}],"ja4_fingerprint":null}"#;
        assert_eq!(read(&format!("[{chrome}]")).unwrap(), named("Chromium Browser", None, 80));
        assert_eq!(read(&format!("[{chrome},{chrome}]")).unwrap(), named("Chromium Browser", None, 80));
        assert_eq!(read(curl).unwrap(), named("curl", Some("library"), 60));
        assert_eq!(read(&format!("[{chrome},{curl}]")).unwrap(), named("Chromium Browser / curl", None, 30));
    }

    #[test]
    fn what_knows_nothing_is_a_miss() {
        for body in
            ["[]", "{}", "[{}]", r#"[{"application":null}]"#, r#"[{"application":"a","ja4_fingerprint":"other"}]"#]
        {
            assert_eq!(read(body).unwrap(), None, "{body}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in ["", "<html>", "null", "3", "\"a\"", "[1]", "[[]]", "[{}", "[]x", r#"{"application":tru}"#] {
            assert!(read(body).is_err(), "{body}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&format!("{{\"x\":{}", "[".repeat(100_000))).is_err());
    }

    #[test]
    fn texts_and_owners_are_bounded_and_harmless() {
        let rows: Vec<_> = (0..1000).map(|number| format!(r#"{{"application":"app {number}"}}"#)).collect();
        let (name, category, confidence) = read(&format!("[{}]", rows.join(","))).unwrap().unwrap();
        assert_eq!((&*name, category, confidence), ("app 0 / app 1 / app 2 / app 3 / 60 others", None, 0));
        let long = format!(r#"{{"application":" \u001b[2Ja\r\n{} "}}"#, "é".repeat(500));
        let (name, ..) = read(&long).unwrap().unwrap();
        assert!(name.starts_with("[2Jaé") && name.chars().count() == MAX_TEXT, "{name}");
    }

    proptest! {
        #[test]
        fn no_answer_upsets_it(body in any::<Vec<u8>>()) {
            let _ = label(&body, Method::Ja4, "t13", "ja4db");
        }
    }
}
