//! Where figures go: the terminal, a program, pictures. What is finished when somebody presses Ctrl-C goes there too.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;

use crate::plot::{self, Drawing, Line};
use crate::sheet::{Cell, Form, Format, Sheet};

/// How the figures are written.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Write comma-separated values: times in seconds, parts as fractions, nothing for what never came
    #[arg(long, global = true, group = "format")]
    csv: bool,
    /// Write JSON: one list of rows for each table
    #[arg(long, global = true, group = "format")]
    json: bool,
    /// Write tables of Markdown, which can be wider than a terminal
    #[arg(long, global = true, group = "format")]
    markdown: bool,
    /// Draw the figures into this directory as well, as SVG
    #[arg(long, global = true, value_name = "DIR")]
    plot: Option<PathBuf>,
}

impl Output {
    fn format(&self) -> Format {
        match self {
            Output { csv: true, .. } => Format::Csv,
            Output { json: true, .. } => Format::Json,
            Output { markdown: true, .. } => Format::Markdown,
            _ => Format::Table,
        }
    }
}

/// What an experiment writes on. The handler of Ctrl-C has it as well.
#[derive(Clone)]
pub struct Desk(Arc<Mutex<State>>);

struct State {
    output: Output,
    /// The table that rows are added to, and the progress that is shown meanwhile.
    open: Option<(Sheet, ProgressBar)>,
    /// Those that are JSON wait until all are finished.
    waiting: Vec<String>,
    /// Something has been printed that the next table is to be told apart from.
    printed: bool,
}

/// The exit code of a program that Ctrl-C ends.
const INTERRUPTED: i32 = 130;

impl Desk {
    pub fn new(output: Output) -> Result<Self, String> {
        if let Some(folder) = &output.plot {
            std::fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        }
        let desk = Desk(Arc::new(Mutex::new(State { output, open: None, waiting: Vec::new(), printed: false })));
        let interrupted = desk.clone();
        let handler = move || {
            let mut state = interrupted.lock();
            let finished = state.open.as_ref().map_or(0, |(sheet, _)| sheet.rows.len());
            let told = state.close().and_then(|()| state.finish());
            anstream::eprintln!("interrupted; {finished} rows of this table were finished");
            if let Err(complaint) = told {
                anstream::eprintln!("{complaint}");
            }
            std::process::exit(INTERRUPTED);
        };
        ctrlc::set_handler(handler).map_err(|error| format!("cannot watch for Ctrl-C: {error}"))?;
        Ok(desk)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with it has ended the experiment; what is finished is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to people.
    pub fn say(&self, text: &str) {
        let mut state = self.lock();
        if matches!(state.output.format(), Format::Table | Format::Markdown) {
            state.part();
            anstream::println!("{text}");
        }
    }

    /// Begins a table, while this progress is shown.
    pub fn begin(&self, form: Form, progress: &ProgressBar) {
        self.lock().open = Some((Sheet::new(form), progress.clone()));
    }

    pub fn add(&self, row: Vec<Cell>) {
        if let Some((sheet, _)) = &mut self.lock().open {
            debug_assert_eq!(row.len(), sheet.form.columns.len(), "{}", sheet.form.name);
            sheet.rows.push(row);
        }
    }

    /// Adds a line to a drawing of the open table.
    pub fn add_line(&self, drawing: Drawing, line: Line) {
        if let Some((sheet, _)) = &mut self.lock().open {
            sheet.lines.push((drawing, line));
        }
    }

    /// Writes and draws the open table.
    pub fn end(&self) -> Result<(), String> {
        self.lock().close()
    }

    /// Writes what has waited for the end.
    pub fn finish(&self) -> Result<(), String> {
        self.lock().finish()
    }
}

impl State {
    /// An empty line between two of a kind.
    fn part(&mut self) {
        if std::mem::replace(&mut self.printed, true) {
            anstream::println!();
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let Some((sheet, progress)) = self.open.take() else { return Ok(()) };
        progress.finish_and_clear();
        let format = self.output.format();
        let text = sheet.written(format);
        if format == Format::Json {
            self.waiting.push(text);
        } else if !sheet.rows.is_empty() {
            self.part();
            anstream::println!("{text}");
        }
        let Some(folder) = &self.output.plot else { return Ok(()) };
        for drawing in &sheet.form.drawings {
            let path = folder.join(drawing.file).with_extension("svg");
            let drawn = plot::draw(&path, drawing, &sheet.lines_of(drawing), &sheet.words_of(drawing));
            match drawn {
                Ok(true) => anstream::eprintln!("drawn: {}", path.display()),
                Ok(false) => {
                    anstream::eprintln!(
                        "not drawn: {}, which needs two values along the axis: {}",
                        drawing.file,
                        drawing.x_label
                    )
                }
                Err(error) => return Err(format!("cannot draw {}: {error}", path.display())),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        if self.output.format() == Format::Json {
            anstream::println!("{{\n{}\n}}", self.waiting.join(",\n"));
        }
        Ok(())
    }
}
