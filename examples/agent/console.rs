//! Where commands come from and where lines go: a terminal with a prompt, or any input and output without one.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use crossterm::cursor::MoveToColumn;
use crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use crossterm::queue;
use crossterm::terminal::{self, Clear, ClearType};
use mio::Waker;
use owo_colors::OwoColorize;

use crate::editor::{Editor, Typed};

/// Lines that are read ahead: a long script waits in its file, not in memory.
const AHEAD: usize = 64;
const PROMPT: &str = "> ";

/// What the thread that reads hands over.
enum Raw {
    Line(String),
    Key(KeyEvent),
    Resized,
}

/// What the user wants.
pub enum Input {
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// There will be no more lines.
    End,
}

pub struct Console {
    inbox: Receiver<Raw>,
    ended: bool,
    /// Where there is a prompt.
    editor: Option<Editor>,
}

impl Console {
    /// Reads commands from the terminal if this is one for both input and output, or else from the standard input.
    pub fn open(waker: Arc<Waker>) -> io::Result<Console> {
        let (outbox, inbox) = sync_channel(AHEAD);
        let prompts = io::stdin().is_terminal() && io::stdout().is_terminal();
        if prompts {
            terminal::enable_raw_mode()?;
        }
        thread::spawn(move || {
            if prompts {
                read_keys(&outbox, &waker)
            } else {
                read_lines(&outbox, &waker)
            };
            drop(outbox);
            // If it cannot be woken, it looks at its next deadline.
            let _ = waker.wake();
        });
        Ok(Console { inbox, ended: false, editor: prompts.then(Editor::default) })
    }

    /// Reads nothing.
    pub fn closed() -> Console {
        Console { inbox: sync_channel(0).1, ended: true, editor: None }
    }

    pub fn has_prompt(&self) -> bool {
        self.editor.is_some()
    }

    /// What has been typed meanwhile, if anything; the end only once.
    pub fn input(&mut self) -> Option<Input> {
        while !self.ended {
            let typed = match self.inbox.try_recv() {
                Ok(Raw::Line(line)) => return Some(Input::Line(line)),
                Ok(Raw::Key(key)) => self.editor.as_mut().and_then(|editor| editor.key(key)),
                Ok(Raw::Resized) => None,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => Some(Typed::End),
            };
            match typed {
                Some(Typed::Line(line)) => {
                    // It stays above its outcome.
                    self.line(format_args!("{}{line}", PROMPT.bold()));
                    return Some(Input::Line(line));
                }
                Some(Typed::Interrupt) => return Some(Input::Interrupt),
                Some(Typed::End) => {
                    self.ended = true;
                    return Some(Input::End);
                }
                None => self.draw(),
            }
        }
        None
    }

    /// Prints lines above the prompt. Nobody reading any more is no reason to stop.
    pub fn line(&self, text: impl Display) {
        self.print(&mut anstream::stdout(), text);
    }

    /// Prints a line among the errors.
    pub fn error(&self, sentence: impl Display) {
        self.print(&mut anstream::stderr(), format_args!("{} {sentence}", "error:".red().bold()));
    }

    fn print(&self, out: &mut impl Write, text: impl Display) {
        if self.editor.is_none() {
            let _ = writeln!(out, "{text}");
            return;
        }
        // While single keys are read, a new line does not begin at the left by itself.
        let text = text.to_string().replace('\n', "\r\n");
        let _ = queue!(io::stdout(), MoveToColumn(0), Clear(ClearType::CurrentLine));
        let _ = io::stdout().flush();
        let _ = write!(out, "{text}\r\n");
        let _ = out.flush();
        self.draw();
    }

    pub fn draw(&self) {
        let Some(editor) = &self.editor else { return };
        let columns = terminal::size().map_or(80, |(columns, _)| usize::from(columns));
        let (line, cursor) = editor.view(columns.saturating_sub(PROMPT.len()));
        // Colours can be unwanted; the cursor must move all the same.
        let mut out = io::stdout();
        let _ = queue!(out, MoveToColumn(0), Clear(ClearType::CurrentLine));
        let _ = write!(anstream::stdout(), "{}{line}", PROMPT.bold());
        let _ = queue!(out, MoveToColumn(u16::try_from(PROMPT.len() + cursor).unwrap_or(u16::MAX)));
        let _ = out.flush();
    }

    /// Takes away the prompt and gives the terminal back as it was; Ctrl-C is a signal again.
    pub fn close(&mut self) {
        if self.editor.take().is_some() {
            let _ = queue!(io::stdout(), MoveToColumn(0), Clear(ClearType::CurrentLine));
            let _ = io::stdout().flush();
            let _ = terminal::disable_raw_mode();
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.close();
    }
}

/// Ends when nobody wants the keys any more, or none can be read.
fn read_keys(outbox: &SyncSender<Raw>, waker: &Waker) {
    while let Ok(event) = event::read() {
        let raw = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Raw::Key(key),
            Event::Resize(..) => Raw::Resized,
            _ => continue,
        };
        if outbox.send(raw).is_err() {
            return;
        }
        let _ = waker.wake();
    }
}

fn read_lines(outbox: &SyncSender<Raw>, waker: &Waker) {
    for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
        if outbox.send(Raw::Line(String::from_utf8_lossy(&line).into_owned())).is_err() {
            return;
        }
        let _ = waker.wake();
    }
}
