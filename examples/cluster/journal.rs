//! What the nodes report, gathered for a moment so that many saying the same make one line.

use std::collections::BTreeSet;
use std::time::Duration;

use owo_colors::OwoColorize;
use tidings::Instant;

use crate::news::{News, What};
use crate::screen::{Screen, names};

/// How long reports are gathered after a silence.
const MOMENT: Duration = Duration::from_millis(100);
/// How long they are gathered while they keep coming.
const BREATH: Duration = Duration::from_millis(500);
/// More lines than this that say the same of different members are drawn together.
const LINES: usize = 3;

struct Line {
    at: Instant,
    what: What,
    about: BTreeSet<u64>,
    observers: BTreeSet<u64>,
}

#[derive(Default)]
pub struct Journal {
    lines: Vec<Line>,
    printed: Instant,
}

impl Journal {
    pub fn add(&mut self, at: Instant, observer: u64, news: News) {
        let about = BTreeSet::from_iter(news.about.map(|member| member.id().get()));
        match self.lines.iter_mut().find(|line| line.what == news.what && line.about == about) {
            Some(line) => _ = line.observers.insert(observer),
            None => self.lines.push(Line { at, what: news.what, about, observers: BTreeSet::from([observer]) }),
        }
    }

    /// Prints what has been gathered for long enough.
    pub fn print_due(&mut self, now: Instant, screen: &Screen) {
        let gathered = self.lines.first().is_some_and(|oldest| now >= oldest.at + MOMENT);
        if gathered && now >= self.printed + BREATH {
            self.print(screen);
            self.printed = now;
        }
    }

    pub fn print(&mut self, screen: &Screen) {
        self.lines.sort_by_key(|line| line.at);
        for Line { at, what, about, observers } in draw_together(std::mem::take(&mut self.lines)) {
            let (subjects, say) = match (about.is_empty(), observers.len()) {
                (true, _) => (&observers, String::new()),
                (false, 1) => (&about, format!(", says {}", names(&observers))),
                (false, _) => (&about, format!(", say {}", names(&observers))),
            };
            let text = what.of(&names(subjects), subjects.len() > 1);
            screen.event(at, format_args!("{}{}", text.style(what.style()), say.dimmed()));
        }
    }
}

/// Many lines about different members become one about all of them.
fn draw_together(lines: Vec<Line>) -> Vec<Line> {
    let many: Vec<bool> =
        lines.iter().map(|line| lines.iter().filter(|other| other.what == line.what).count() > LINES).collect();
    let mut drawn: Vec<Line> = Vec::new();
    for (line, many) in lines.into_iter().zip(many) {
        match drawn.iter_mut().find(|other| many && other.what == line.what) {
            Some(other) => {
                other.about.extend(line.about);
                other.observers.extend(line.observers);
            }
            None => drawn.push(line),
        }
    }
    drawn
}
