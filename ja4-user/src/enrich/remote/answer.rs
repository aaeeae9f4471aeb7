//! Answers of the database, parsed leniently.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::{Label, Method};

/// Objects that are read; a value with more owners has no useful label.
const MAX_ROWS: usize = 64;

/// Owners that a label lists.
const MAX_NAMES: usize = 4;

/// Longest text, characters.
const MAX_TEXT: usize = 120;

/// Confidence of a single owner: submitted by anyone, and verified by the operator.
const CONFIDENCE: (u8, u8) = (60, 80);

/// The used fields of an object; others are ignored, whatever their type.
#[derive(Debug, Default)]
struct AnswerRow {
    application: Option<String>,
    library: Option<String>,
    device: Option<String>,
    os: Option<String>,
    user_agent: Option<String>,
    verified: bool,
    /// The value of the requested method.
    value: Option<String>,
}

/// Returns the label of a value in an answer; `None`: the database has none.
///
/// # Errors
/// The answer is not JSON, or neither an object nor an array.
pub(super) fn label(body: &[u8], method: Method, value: &str, source: &str) -> serde_json::Result<Option<Label>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut rows = AnswerRows { field: format!("{}_fingerprint", method.name()), rows: Vec::new() };
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
    // Divided by the owners; with MAX_ROWS of them it is at most 1.
    let full = if verified && owners.len() == 1 { CONFIDENCE.1 } else { CONFIDENCE.0 };
    let confidence = u8::try_from(usize::from(full) / owners.len()).unwrap_or(full);
    let category = category.filter(|_| owners.len() == 1).map(Into::into);
    Ok(Some(Label { name: name.into(), source: source.into(), category, confidence: Some(confidence) }))
}

impl AnswerRow {
    /// Returns the most specific owner.
    fn owner(&self) -> Option<(&str, Option<&'static str>)> {
        let Self { application, library, device, os, user_agent, .. } = self;
        let owners = [
            (application, None),
            (library, Some("library")),
            (device, Some("device")),
            (os, Some("os")),
            (user_agent, Some("user_agent")),
        ];
        owners.into_iter().find_map(|(text, category)| Some((text.as_deref()?, category)))
    }
}

/// Collects the rows of an array of objects, or of one object.
struct AnswerRows {
    /// The field with the value of the requested method.
    field: String,
    rows: Vec<AnswerRow>,
}

impl<'de> Visitor<'de> for &mut AnswerRows {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while self.rows.len() < MAX_ROWS {
            if items.next_element_seed(AnswerRowSeed(&mut *self))?.is_none() {
                return Ok(());
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut row = AnswerRow::default();
        while let Some(field) = fields.next_key::<String>()? {
            match &*field {
                "application" => row.application = fields.next_value::<LenientText>()?.0,
                "library" => row.library = fields.next_value::<LenientText>()?.0,
                "device" => row.device = fields.next_value::<LenientText>()?.0,
                "os" => row.os = fields.next_value::<LenientText>()?.0,
                "user_agent_string" => row.user_agent = fields.next_value::<LenientText>()?.0,
                "verified" => row.verified = fields.next_value::<LenientText>()?.0.as_deref() == Some("true"),
                _ if field == self.field => row.value = fields.next_value::<LenientText>()?.0,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        self.rows.push(row);
        Ok(())
    }
}

/// Deserializes an element of the array.
struct AnswerRowSeed<'a>(&'a mut AnswerRows);

impl<'de> de::DeserializeSeed<'de> for AnswerRowSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self.0)
    }
}

/// A text that is not empty; booleans are texts too, other types are none.
struct LenientText(Option<String>);

impl<'de> Deserialize<'de> for LenientText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl<'de> Visitor<'de> for AnyText {
            type Value = LenientText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LenientText, E> {
                let plain = text.trim().chars().filter(|character| !character.is_control()).take(MAX_TEXT);
                Ok(LenientText(Some(plain.collect::<String>()).filter(|text| !text.is_empty())))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<LenientText, E> {
                Ok(LenientText(Some(value.to_string())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<LenientText, E> {
                Ok(LenientText(None))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<LenientText, E> {
                Ok(LenientText(None))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<LenientText, E> {
                Ok(LenientText(None))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<LenientText, E> {
                Ok(LenientText(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LenientText, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(LenientText(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<LenientText, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(LenientText(None))
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
    fn an_answer_gives_one_or_several_owners() {
        let chrome = r#"{"application":"Chromium Browser","library":null,"device":null,"os":"Windows","verified":true,
            "user_agent_string":"Mozilla/5.0","notes":"","observation_count":3,"ja4_fingerprint":"t13","ja4s_fingerprint":"x"}"#;
        let curl = r#"{"application":"","library":"curl","os":["a",{"b":1}],"ja4_fingerprint":null}"#;
        assert_eq!(read(&format!("[{chrome}]")).unwrap(), named("Chromium Browser", None, 80));
        assert_eq!(read(&format!("[{chrome},{chrome}]")).unwrap(), named("Chromium Browser", None, 80));
        assert_eq!(read(curl).unwrap(), named("curl", Some("library"), 60));
        assert_eq!(read(&format!("[{chrome},{curl}]")).unwrap(), named("Chromium Browser / curl", None, 30));
    }

    #[test]
    fn an_answer_without_an_owner_is_a_miss() {
        for body in
            ["[]", "{}", "[{}]", r#"[{"application":null}]"#, r#"[{"application":"a","ja4_fingerprint":"other"}]"#]
        {
            assert_eq!(read(body).unwrap(), None, "{body}");
        }
    }

    #[test]
    fn an_invalid_answer_is_an_error() {
        for body in ["", "<html>", "null", "3", "\"a\"", "[1]", "[[]]", "[{}", "[]x", r#"{"application":tru}"#] {
            assert!(read(body).is_err(), "{body}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&format!("{{\"x\":{}", "[".repeat(100_000))).is_err());
    }

    #[test]
    fn texts_and_owners_are_bounded_and_printable() {
        let rows: Vec<_> = (0..1000).map(|number| format!(r#"{{"application":"app {number}"}}"#)).collect();
        let (name, category, confidence) = read(&format!("[{}]", rows.join(","))).unwrap().unwrap();
        assert_eq!((&*name, category, confidence), ("app 0 / app 1 / app 2 / app 3 / 60 others", None, 0));
        let long = format!(r#"{{"application":" \u001b[2Ja\r\n{} "}}"#, "é".repeat(500));
        let (name, ..) = read(&long).unwrap().unwrap();
        assert!(name.starts_with("[2Jaé") && name.chars().count() == MAX_TEXT, "{name}");
    }

    proptest! {
        #[test]
        fn no_answer_panics(body in any::<Vec<u8>>()) {
            let _ = label(&body, Method::Ja4, "t13", "ja4db");
        }
    }
}
