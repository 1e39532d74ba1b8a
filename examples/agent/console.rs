//! Where commands come from and where lines go: a terminal with a prompt, or any input and output without one.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, MoveToColumn, Show};
use crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use crossterm::queue;
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use mio::Waker;
use owo_colors::OwoColorize;

use crate::editor::{Editor, Typed};
use crate::job_control;

/// Lines that are read ahead: a long script waits in its file, not in memory.
const AHEAD: usize = 64;
/// Lines that wait while a table has the whole screen.
const HELD: usize = 200;
const PROMPT: &str = "> ";
/// How often it is looked whether this process has the terminal.
const GLANCE: Duration = Duration::from_millis(200);

/// What the thread that reads hands over.
enum Raw {
    Line(String),
    Key(KeyEvent),
    Resized,
}

/// What the user wants.
pub enum Input {
    Line(String),
    /// A key, while something has the whole screen.
    Key(KeyEvent),
    /// The whole screen has another size.
    Resized,
    /// What is before the cursor is to be completed.
    Complete(String),
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
    /// What was to be printed while something has the whole screen.
    held: Option<VecDeque<String>>,
}

impl Console {
    /// Reads commands from the terminal if this is one for both input and output, or else from the standard input.
    pub fn open(waker: Arc<Waker>) -> io::Result<Console> {
        let (outbox, inbox) = sync_channel(AHEAD);
        let prompts = is_terminal();
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
        Ok(Console { inbox, ended: false, editor: prompts.then(Editor::default), held: None })
    }

    /// Reads nothing.
    pub fn closed() -> Console {
        Console { inbox: sync_channel(0).1, ended: true, editor: None, held: None }
    }

    pub fn has_prompt(&self) -> bool {
        self.editor.is_some()
    }

    /// What has been typed meanwhile, if anything; the end only once.
    pub fn input(&mut self) -> Option<Input> {
        while !self.ended {
            let typed = match self.inbox.try_recv() {
                Ok(Raw::Line(line)) => return Some(Input::Line(line)),
                Ok(Raw::Key(key)) if self.held.is_some() => return Some(Input::Key(key)),
                Ok(Raw::Key(key)) => self.editor.as_mut().and_then(|editor| editor.key(key)),
                Ok(Raw::Resized) if self.held.is_some() => return Some(Input::Resized),
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
                Some(Typed::Complete) => {
                    return Some(Input::Complete(self.editor.as_ref().map_or(String::new(), Editor::begun)));
                }
                Some(Typed::Suspend) => self.suspend(),
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

    /// Writes what all these words have in common, or else lists them: so many of their characters have been typed.
    pub fn complete(&mut self, begun: usize, words: &[String]) {
        let Some((editor, first)) = self.editor.as_mut().zip(words.first()) else { return };
        let same = |word: &String| first.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
        let common = words.iter().map(same).min().unwrap_or(0);
        match words {
            [only] => editor.complete(begun, &format!("{only} ")),
            _ if common > begun => editor.complete(begun, &first.chars().take(common).collect::<String>()),
            _ => self.line(words.join("  ").dimmed()),
        }
        self.draw();
    }

    /// Prints lines above the prompt. Nobody reading any more is no reason to stop.
    pub fn line(&mut self, text: impl Display) {
        self.print(&mut anstream::stdout(), text);
    }

    /// Prints a line among the errors.
    pub fn error(&mut self, sentence: impl Display) {
        self.print(&mut anstream::stderr(), format_args!("{} {sentence}", "error:".red().bold()));
    }

    fn print(&mut self, out: &mut impl Write, text: impl Display) {
        if let Some(held) = &mut self.held {
            held.push_back(text.to_string());
            if held.len() > HELD {
                held.pop_front();
            }
            return;
        }
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
        let Some(editor) = self.editor.as_ref().filter(|_| self.held.is_none()) else { return };
        let (line, cursor) = editor.view(size().0.saturating_sub(PROMPT.len()));
        // Colours can be unwanted; the cursor must move all the same.
        let mut out = io::stdout();
        let _ = queue!(out, MoveToColumn(0), Clear(ClearType::CurrentLine));
        let _ = write!(anstream::stdout(), "{}{line}", PROMPT.bold());
        let _ = queue!(out, MoveToColumn(u16::try_from(PROMPT.len() + cursor).unwrap_or(u16::MAX)));
        let _ = out.flush();
    }

    // The whole screen.

    pub fn is_full(&self) -> bool {
        self.held.is_some()
    }

    /// Gives the whole screen away, and holds back what is printed.
    pub fn fill(&mut self) {
        self.held = Some(VecDeque::new());
        let _ = queue!(io::stdout(), EnterAlternateScreen, Hide, Clear(ClearType::All));
    }

    /// Takes the screen back; `shown` says whether what was held back is printed.
    pub fn unfill(&mut self, shown: bool) {
        let Some(held) = self.held.take() else { return };
        let _ = queue!(io::stdout(), LeaveAlternateScreen, Show);
        held.iter().filter(|_| shown).for_each(|text| self.line(text));
        self.draw();
    }

    /// The latest lines that are held back.
    pub fn latest(&self, count: usize) -> Vec<&str> {
        let held = self.held.iter().flatten();
        let mut latest: Vec<&str> = held.rev().take(count).map(String::as_str).collect();
        latest.reverse();
        latest
    }

    /// Shows these lines on the whole screen, each no wider than that.
    pub fn paint(&self, lines: &[String]) {
        let mut out = io::stdout();
        for (row, line) in lines.iter().enumerate() {
            let _ = queue!(out, MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)));
            let _ = write!(anstream::stdout(), "{line}");
            let _ = queue!(out, Clear(ClearType::UntilNewLine));
        }
        let _ = queue!(out, Clear(ClearType::FromCursorDown));
        let _ = out.flush();
    }

    // The terminal.

    /// Stops this process, as Ctrl-Z does where it is no key.
    pub fn suspend(&mut self) {
        restore(self.is_full());
        job_control::stop();
        self.mend();
    }

    /// Whoever has stopped this process, the shell has then set the terminal to its own liking: sets it again, if it has been
    /// given back. Whether it was so.
    pub fn mend(&mut self) -> bool {
        let lost = self.editor.is_some() && job_control::has_lost_terminal();
        if lost {
            // Only if it is taken for unset is it set.
            let _ = terminal::disable_raw_mode();
            let _ = terminal::enable_raw_mode();
            if self.is_full() {
                let _ = queue!(io::stdout(), EnterAlternateScreen, Hide, Clear(ClearType::All));
            }
            self.draw();
        }
        lost
    }

    /// Takes away the prompt and gives the terminal back as it was; Ctrl-C is a signal again.
    pub fn close(&mut self) {
        self.unfill(true);
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

/// Whether there can be a prompt.
pub fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Columns and rows. Some terminals do not know theirs.
pub fn size() -> (usize, usize) {
    match terminal::size() {
        Ok((columns @ 1.., rows @ 1..)) => (columns.into(), rows.into()),
        _ => (80, 24),
    }
}

/// Gives the terminal back as it was. It does nothing where no prompt has changed it.
pub fn restore(full: bool) {
    if full {
        let _ = queue!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = io::stdout().flush();
    }
    let _ = terminal::disable_raw_mode();
}

/// Ends when nobody wants the keys any more, or none can be read. In the background it reads none: the node goes on.
fn read_keys(outbox: &SyncSender<Raw>, waker: &Waker) {
    loop {
        if !job_control::is_in_front() {
            thread::sleep(GLANCE);
            continue;
        }
        let raw = match event::poll(GLANCE).and_then(|ready| ready.then(event::read).transpose()) {
            Err(_) => return,
            Ok(None) => continue,
            Ok(Some(event)) => event,
        };
        let raw = match raw {
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
