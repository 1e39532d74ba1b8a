//! What every node holds every other to be: against what it should, and side by side.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, Table, Width, presets};
use tidings::{Life, Member, Status};

use crate::screen::{name, names};

/// With more observers than this a table of words does not fit 80 columns.
const WORDS: usize = 8;

/// What each member should be seen as. Those that are alive are the observers.
pub type Truth = BTreeMap<u64, Status>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    As(Status),
    /// Alive, but not in the life that it leads.
    InAnotherLife,
    Not,
}

/// By observer, and then by member.
#[derive(Default)]
pub struct Views(BTreeMap<u64, BTreeMap<u64, Member<SocketAddr>>>);

impl Views {
    pub fn update(&mut self, observer: u64, members: Vec<Member<SocketAddr>>) {
        self.0.insert(observer, members.into_iter().map(|member| (member.id().get(), member)).collect());
    }

    pub fn forget(&mut self, observer: u64) {
        self.0.remove(&observer);
    }

    /// The life that a node itself says it leads.
    pub fn own_life(&self, node: u64) -> Option<Life> {
        self.0.get(&node)?.get(&node).map(Member::life)
    }

    fn seen(&self, observer: u64, member: u64) -> Seen {
        let Some(held) = self.0.get(&observer).and_then(|view| view.get(&member)) else { return Seen::Not };
        match held.status() {
            Status::Alive if self.own_life(member) != Some(held.life()) => Seen::InAnotherLife,
            status => Seen::As(status),
        }
    }

    fn is_right(&self, observer: u64, truth: &Truth) -> bool {
        let known = self.0.get(&observer).map_or(0, BTreeMap::len);
        known == truth.len() && truth.iter().all(|(member, status)| self.seen(observer, *member) == Seen::As(*status))
    }

    /// How many of the observers see everything as it is.
    pub fn count_right(&self, truth: &Truth) -> usize {
        observers(truth).filter(|observer| self.is_right(*observer, truth)).count()
    }

    /// One sentence for everything that somebody sees otherwise than it is, what most see first.
    pub fn mistakes(&self, truth: &Truth) -> Vec<String> {
        let mut mistaken: BTreeMap<(u64, &str), BTreeSet<u64>> = BTreeMap::new();
        for observer in observers(truth) {
            for (member, status) in truth {
                let seen = self.seen(observer, *member);
                if seen != Seen::As(*status) {
                    mistaken.entry((*member, seen.word())).or_default().insert(observer);
                }
            }
            for stranger in self.0.get(&observer).into_iter().flat_map(BTreeMap::keys) {
                if !truth.contains_key(stranger) {
                    mistaken.entry((*stranger, "a member")).or_default().insert(observer);
                }
            }
        }
        let mut mistaken: Vec<_> = mistaken.into_iter().collect();
        mistaken.sort_by_key(|(_, observers)| Reverse(observers.len()));
        let sentence = |((member, seen), observers): ((u64, &str), BTreeSet<u64>)| {
            let see = if observers.len() == 1 { "sees" } else { "see" };
            let truth = truth.get(&member).map_or("no member".to_string(), Status::to_string);
            format!("{} {see} {} as {seen}, but it is {truth}", names(&observers), name(member))
        };
        mistaken.into_iter().map(sentence).collect()
    }

    /// What the marks mean, if the table has marks instead of words.
    pub fn legend(truth: &Truth) -> Option<&'static str> {
        let marks = "+ alive   ? silent   x down   - left   ! alive in another life   . unknown";
        is_wide(truth).then_some(marks)
    }

    fn row_head(&self, member: u64) -> String {
        match self.own_life(member).map_or(0, Life::generation) {
            0 => name(member),
            restarts => format!("{}, life {}", name(member), u64::from(restarts) + 1),
        }
    }

    /// A row for each member, a column for each observer.
    pub fn table(&self, truth: &Truth) -> Table {
        let wide = is_wide(truth);
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let heads = observers(truth).map(|observer| Cell::new(head(observer, wide)));
        table.set_header(std::iter::once(Cell::new("")).chain(heads));
        for member in truth.keys() {
            let cells = observers(truth).map(|observer| self.seen(observer, *member).cell(wide));
            table.add_row(std::iter::once(Cell::new(self.row_head(*member))).chain(cells));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Center);
            if wide {
                column.set_padding((0, 0)).set_constraint(ColumnConstraint::Absolute(Width::Fixed(1)));
            }
        }
        table
    }
}

/// A name, or in a narrow column its digits below each other.
fn head(observer: u64, narrow: bool) -> String {
    if narrow { format!("{}\n{}", observer / 10, observer % 10) } else { name(observer) }
}

fn observers(truth: &Truth) -> impl Iterator<Item = u64> {
    truth.iter().filter(|(_, status)| **status == Status::Alive).map(|(number, _)| *number)
}

fn is_wide(truth: &Truth) -> bool {
    observers(truth).count() > WORDS
}

impl Seen {
    fn word(self) -> &'static str {
        match self {
            Seen::As(Status::Alive) => "alive",
            Seen::As(Status::Suspect) => "silent",
            Seen::As(Status::Down) => "down",
            Seen::As(_) => "left",
            Seen::InAnotherLife => "alive in another life",
            Seen::Not => "unknown",
        }
    }

    fn cell(self, narrow: bool) -> Cell {
        let (mark, color) = match self {
            Seen::As(Status::Alive) => ("+", Color::Green),
            Seen::As(Status::Suspect) => ("?", Color::Yellow),
            Seen::As(Status::Down) => ("x", Color::Red),
            Seen::As(_) => ("-", Color::Blue),
            Seen::InAnotherLife => ("!", Color::Red),
            Seen::Not => (".", Color::Red),
        };
        Cell::new(if narrow { mark } else { self.word() }).fg(color)
    }
}
