//! A line that the user edits.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Longest text, characters: a request takes 4096 bytes.
const MAX_LENGTH: usize = 1000;

/// A line of text and the position of the cursor in it, in characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::top) struct LineEditor {
    text: Vec<char>,
    cursor: usize,
}

impl LineEditor {
    /// Starts behind `text`.
    pub(in crate::top) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().take(MAX_LENGTH).collect();
        Self { cursor: text.len(), text }
    }

    pub(in crate::top) fn text(&self) -> String {
        self.text.iter().collect()
    }

    pub(in crate::top) const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Inserts text; control characters, such as line ends, are left out.
    pub(in crate::top) fn insert(&mut self, text: &str) {
        for character in text.chars().filter(|character| !character.is_control()) {
            if self.text.len() < MAX_LENGTH {
                self.text.insert(self.cursor, character);
                self.cursor += 1;
            }
        }
    }

    /// Applies an editing key: those of a shell.
    pub(in crate::top) fn key(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('a') if is_control => self.cursor = 0,
            KeyCode::Char('e') if is_control => self.cursor = self.text.len(),
            KeyCode::Char('u') if is_control => self.remove(0),
            KeyCode::Char('w') if is_control => self.remove(self.word_start()),
            KeyCode::Char('k') if is_control => self.text.truncate(self.cursor),
            KeyCode::Char(character) if !is_control && !key.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(character.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace => self.remove(self.cursor.saturating_sub(1)),
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => {}
        }
    }

    /// Removes the text from `start` to the cursor.
    fn remove(&mut self, start: usize) {
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    /// The start of the word before the cursor.
    fn word_start(&self) -> usize {
        let before = self.text.iter().take(self.cursor).rev();
        let spaces = before.clone().take_while(|character| **character == ' ').count();
        let word = before.skip(spaces).take_while(|character| **character != ' ').count();
        self.cursor - spaces - word
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn press(editor: &mut LineEditor, code: KeyCode, modifiers: KeyModifiers) {
        editor.key(KeyEvent::new(code, modifiers));
    }

    #[test]
    fn keys_edit_as_in_a_shell() {
        let mut editor = LineEditor::new("app:curl bäd");
        press(&mut editor, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(editor.text(), "app:curl ");
        press(&mut editor, KeyCode::Char('q'), KeyModifiers::NONE);
        press(&mut editor, KeyCode::Home, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Delete, KeyModifiers::NONE);
        assert_eq!((editor.text().as_str(), editor.cursor()), ("pp:curl q", 0));
        editor.insert("new\n\u{1b} ");
        assert_eq!(editor.text(), "new pp:curl q");
        press(&mut editor, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert_eq!(editor.text(), "pp:curl q");
        press(&mut editor, KeyCode::Char('k'), KeyModifiers::CONTROL);
        assert_eq!((editor.text().as_str(), editor.cursor()), ("", 0));
    }

    proptest! {
        #[test]
        fn the_cursor_stays_in_the_text(keys in prop::collection::vec(0..10_usize, 0..50)) {
            let codes = [KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::Backspace, KeyCode::Delete,
                KeyCode::Char('é'), KeyCode::Char(' '), KeyCode::Char('w'), KeyCode::Char('u')];
            let mut editor = LineEditor::new("one two");
            for key in keys {
                let modifiers = if key > 7 { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
                press(&mut editor, codes[key], modifiers);
                prop_assert!(editor.cursor() <= editor.text().chars().count());
            }
        }
    }
}
