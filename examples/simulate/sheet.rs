//! The figures of one experiment: rows of cells, and how they are written for people and for programs.

use std::time::Duration;

use comfy_table::presets;

use crate::plot::{Drawing, Line};
use crate::report::{shown, table};

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Count(u64),
    /// It is shown with so many digits behind the point.
    Number(f64, usize),
    /// A part of one: shown as a percentage, written as a fraction.
    Part(f64, usize),
    /// A time that may never have come.
    Time(Option<Duration>),
    /// A time that was chosen: whole seconds, or milliseconds.
    Span(Duration),
    Word(String),
    /// There is nothing to say.
    Nothing,
}

impl Cell {
    pub fn count(count: usize) -> Self {
        Cell::Count(count as u64)
    }

    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Cell::Count(count) => count.to_string(),
            Cell::Number(number, digits) => format!("{number:.digits$}"),
            Cell::Part(part, digits) => format!("{:.digits$} %", part * 100.0),
            Cell::Time(time) => shown(*time),
            Cell::Span(time) if time.subsec_millis() == 0 => format!("{} s", time.as_secs()),
            Cell::Span(time) => format!("{} ms", time.as_millis()),
            Cell::Word(word) => word.clone(),
            Cell::Nothing => "–".into(),
        }
    }

    /// For programs: a number in seconds, bytes or parts of one, whatever it counts.
    pub fn value(&self) -> Option<f64> {
        match self {
            Cell::Count(count) => Some(*count as f64),
            Cell::Number(number, _) => Some(*number),
            Cell::Part(part, _) => Some(*part),
            Cell::Time(time) => time.map(|time| time.as_secs_f64()),
            Cell::Span(time) => Some(time.as_secs_f64()),
            Cell::Word(_) | Cell::Nothing => None,
        }
    }

    /// The value, or else `nothing`; words as `quote` has them.
    fn plain(&self, nothing: &str, quote: impl Fn(&str) -> String) -> String {
        match self {
            Cell::Word(word) => quote(word),
            // The shortest digits from which the same number is read again.
            cell => cell.value().filter(|value| value.is_finite()).map_or(nothing.into(), |value| value.to_string()),
        }
    }
}

/// A column: its name for programs, and its heading in lines, so that it is narrow.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub head: &'static str,
    /// It says which row it is, and is repeated where a table is cut in two.
    key: bool,
}

pub const fn key(name: &'static str, head: &'static str) -> Column {
    Column { name, head, key: true }
}

pub const fn column(name: &'static str, head: &'static str) -> Column {
    Column { name, head, key: false }
}

/// What the rows of an experiment have in common.
#[derive(Clone)]
pub struct Form {
    /// For programs.
    pub name: &'static str,
    pub columns: Vec<Column>,
    /// From this column on the rest is a table of its own, for people: both fit 80 columns.
    pub cut: Option<usize>,
    pub drawings: Vec<Drawing>,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Markdown,
    Csv,
    Json,
}

/// The rows so far.
#[derive(Clone)]
pub struct Sheet {
    pub form: Form,
    pub rows: Vec<Vec<Cell>>,
    /// Lines that are not read off the rows, and in which drawing they are.
    pub lines: Vec<(Drawing, Line)>,
}

impl Sheet {
    pub fn new(form: Form) -> Self {
        Sheet { form, rows: Vec::new(), lines: Vec::new() }
    }

    pub fn written(&self, format: Format) -> String {
        match format {
            Format::Table => self.tables().join("\n\n"),
            Format::Markdown => self.markdown(),
            Format::Csv => self.csv(),
            Format::Json => self.json(),
        }
    }

    /// One table, or two with the same keys.
    fn tables(&self) -> Vec<String> {
        let all = 0..self.form.columns.len();
        let cuts = match self.form.cut {
            Some(cut) => vec![0..cut, cut..all.end],
            None => vec![all],
        };
        cuts.into_iter()
            .map(|cut| self.table(|at| self.form.columns[at].key || cut.contains(&at)).to_string())
            .collect()
    }

    fn table(&self, kept: impl Fn(usize) -> bool) -> comfy_table::Table {
        let kept: Vec<usize> = (0..self.form.columns.len()).filter(|at| kept(*at)).collect();
        let heads = || kept.iter().map(|at| self.form.columns[*at].head);
        let lines = heads().map(|head| head.lines().count()).max().unwrap_or(1);
        // The last line of each stands right above its figures.
        let low = |head: &str| format!("{}{head}", "\n".repeat(lines - head.lines().count()));
        let heads: Vec<String> = heads().map(low).collect();
        let mut table = table(&heads.iter().map(String::as_str).collect::<Vec<_>>());
        for row in &self.rows {
            table.add_row(kept.iter().map(|at| row[*at].shown()));
        }
        table
    }

    fn markdown(&self) -> String {
        let mut table = self.table(|_| true);
        let in_a_line = |head: &str| head.replace("-\n", "").replace('\n', " ");
        let heads: Vec<String> = self.form.columns.iter().map(|column| in_a_line(column.head)).collect();
        table.set_header(heads).load_style(presets::ASCII_MARKDOWN);
        for column in table.column_iter_mut() {
            column.set_padding((1, 1));
        }
        table.to_string()
    }

    fn csv(&self) -> String {
        let quote = |word: &str| format!("\"{}\"", word.replace('"', "\"\""));
        let head: Vec<&str> = self.form.columns.iter().map(|column| column.name).collect();
        let row = |row: &Vec<Cell>| row.iter().map(|cell| cell.plain("", quote)).collect::<Vec<_>>().join(",");
        let rows = self.rows.iter().map(row);
        std::iter::once(head.join(",")).chain(rows).collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> String {
        // Words are names and such: what Rust escapes in them JSON escapes alike.
        let quote = |word: &str| format!("{word:?}");
        let field = |(column, cell): (&Column, &Cell)| format!("{:?}: {}", column.name, cell.plain("null", quote));
        let row = |row: &Vec<Cell>| {
            let fields: Vec<String> = self.form.columns.iter().zip(row).map(field).collect();
            format!("    {{{}}}", fields.join(", "))
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        format!("  {:?}: [\n{}\n  ]", self.form.name, rows.join(",\n"))
    }

    /// The place of the column of this name.
    fn at(&self, name: &str) -> usize {
        self.form.columns.iter().position(|column| column.name == name).expect("a drawing names columns that there are")
    }

    /// What a drawing shows.
    pub fn lines_of(&self, drawing: &Drawing) -> Vec<Line> {
        let mut lines: Vec<Line> =
            self.lines.iter().filter(|(of, _)| of.file == drawing.file).map(|(_, line)| line.clone()).collect();
        let Some(x) = drawing.x else { return lines };
        let x = self.at(x);
        for row in &self.rows {
            let by = drawing.by.iter().map(|(name, word)| format!("{}{word}", row[self.at(name)].shown()));
            let by: Vec<String> = by.collect();
            for (name, what) in drawing.y {
                let label = by
                    .iter()
                    .cloned()
                    .chain((!what.is_empty()).then(|| what.to_string()))
                    .collect::<Vec<_>>()
                    .join(", ");
                let at = match lines.iter().position(|line| line.label == label) {
                    Some(at) => at,
                    None => {
                        lines.push(Line { label, points: Vec::new() });
                        lines.len() - 1
                    }
                };
                let percent = |cell: &Cell| match cell {
                    Cell::Part(part, _) => Some(part * 100.0),
                    cell => cell.value(),
                };
                // A word has the place of its row.
                let place = lines[at].points.len() as f64;
                let point = percent(&row[x]).unwrap_or(place);
                if let Some(value) = percent(&row[self.at(name)]) {
                    lines[at].points.push((point, value));
                }
            }
        }
        lines
    }

    /// The words of a drawing whose axis is made of words.
    pub fn words_of(&self, drawing: &Drawing) -> Vec<String> {
        let Some(x) = drawing.x else { return Vec::new() };
        let words = self.rows.iter().map(|row| &row[self.at(x)]).filter(|cell| matches!(cell, Cell::Word(_)));
        words.map(Cell::shown).collect()
    }
}
