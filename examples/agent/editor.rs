//! The line that is being typed: a little editing, and what was typed before.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_width::UnicodeWidthChar;

/// What a key came to, if it is more than a change of the line.
pub enum Typed {
    Line(String),
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Tab.
    Complete,
    End,
}

#[derive(Default)]
pub struct Editor {
    line: Vec<char>,
    /// How many characters are before the cursor.
    cursor: usize,
    history: Vec<String>,
    /// Which line of the history is shown; one past the last for a new one.
    shown: usize,
}

impl Editor {
    pub fn key(&mut self, key: KeyEvent) -> Option<Typed> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Some(Typed::Interrupt),
            KeyCode::Char('d') if control && self.line.is_empty() => return Some(Typed::End),
            KeyCode::Char('z') if control => return Some(Typed::Suspend),
            KeyCode::Tab => return Some(Typed::Complete),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.line.len(),
            KeyCode::Char('u') if control => _ = self.line.drain(..std::mem::take(&mut self.cursor)),
            KeyCode::Char('k') if control => self.line.truncate(self.cursor),
            KeyCode::Char('w') if control => self.erase_word(),
            KeyCode::Char(char) if !control => {
                self.line.insert(self.cursor, char);
                self.cursor += 1;
            }
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.line.len() => _ = self.line.remove(self.cursor),
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.line.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.line.len(),
            KeyCode::Up => self.recall(self.shown.saturating_sub(1)),
            KeyCode::Down => self.recall(self.shown + 1),
            KeyCode::Enter => return Some(Typed::Line(self.enter())),
            _ => {}
        }
        None
    }

    /// What is before the cursor.
    pub fn begun(&self) -> String {
        self.line[..self.cursor].iter().collect()
    }

    /// Writes the rest of a word whose first characters are before the cursor.
    pub fn complete(&mut self, begun: usize, word: &str) {
        for char in word.chars().skip(begun) {
            self.line.insert(self.cursor, char);
            self.cursor += 1;
        }
    }

    fn enter(&mut self) -> String {
        let line: String = self.line.drain(..).collect();
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            self.history.push(line.clone());
        }
        (self.cursor, self.shown) = (0, self.history.len());
        line
    }

    fn recall(&mut self, number: usize) {
        self.shown = number.min(self.history.len());
        self.line = self.history.get(self.shown).map_or_else(Vec::new, |line| line.chars().collect());
        self.cursor = self.line.len();
    }

    fn erase_word(&mut self) {
        let before = &self.line[..self.cursor];
        let end = before.iter().rposition(|char| !char.is_whitespace()).map_or(0, |last| last + 1);
        let start = before[..end].iter().rposition(|char| char.is_whitespace()).map_or(0, |space| space + 1);
        self.line.drain(start..self.cursor);
        self.cursor = start;
    }

    /// As much of the line as fits so many columns with the cursor in it, and the cursor's column.
    pub fn view(&self, columns: usize) -> (String, usize) {
        let width = |chars: &[char]| chars.iter().filter_map(|char| char.width()).sum::<usize>();
        // One column is the cursor's own, at the end of the line.
        let room = columns.saturating_sub(1);
        let mut start = 0;
        while width(&self.line[start..self.cursor]) > room {
            start += 1;
        }
        let mut end = self.cursor;
        while end < self.line.len() && width(&self.line[start..=end]) <= room {
            end += 1;
        }
        (self.line[start..end].iter().collect(), width(&self.line[start..self.cursor]))
    }
}
