//! How far this node has come with each member's broadcasts, and one fingerprint for all of that and of their maps.
//!
//! The windows are a table of their own beside the slots, which grows only when members broadcast.

use super::{Index, MYSELF, Members, Terms};
use crate::hash::Sip;
use crate::member::{Address, Liveness, Record};
use crate::storage::{List, Storage};
use crate::time::Instant;
use crate::window::Window;
use crate::wire::{Position, UNSAID};

/// How long after its death a member's broadcasts are still compared, in microseconds.
const MOURNING: u64 = 600_000_000;
/// How many members are looked at in one go.
const LOOK: usize = 64;

impl<A: Address, S: Storage> Members<A, S> {
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn window(&self, index: Index) -> &Window {
        self.windows.all().get(index as usize).unwrap_or(&Window::NEW)
    }

    /// Changes a member's window, and what stands for all of them.
    pub(crate) fn with_window<T>(&mut self, index: Index, change: impl FnOnce(&mut Window) -> T) -> T {
        let mut window = *self.window(index);
        let outcome = change(&mut window);
        self.set_window(index, &window);
        outcome
    }

    /// Begins a member's window anew: its messages up to this one are old, or it is not known which are.
    pub(crate) fn begin_window(&mut self, index: Index, floor: Option<u32>) {
        self.with_window(index, |window| {
            *window = match floor {
                Some(UNSAID) => Window::UNSAID,
                Some(floor) => Window::said_behind(floor),
                None => Window::UNKNOWN,
            };
        });
    }

    /// How far this node has come with a member's broadcasts, as it says to whoever may be new. That there are none is a
    /// claim like any other: whoever believed it of one who cannot know would have to take for old, later, what was said
    /// since.
    pub(super) fn said_of(&self, index: Index) -> u32 {
        let window = self.window(index);
        let knows = (self.keeps_windows || index == MYSELF) && !window.is_unknown();
        if knows { window.seen() } else { UNSAID }
    }

    /// What stands for how far this node has come with all members who have broadcast, or have a map, and are alive or died
    /// not long ago: a wrapping sum of a keyed hash for each. What the dead said shortly before is owed to all who outlive
    /// them.
    pub(crate) fn positions(&self) -> u64 {
        self.positions
    }

    /// Whether a member counts in that sum.
    pub(crate) fn counts(&self, index: Index) -> bool {
        let window = self.window(index);
        let any = window.seen() > 0 || self.map(index).versions() != [0; 2];
        any && (self.is_live(index) || window.mourned)
    }

    /// How far this node has come with what a member says.
    pub(crate) fn position_with(&self, index: Index) -> Position {
        Position { seen: self.window(index).seen(), versions: self.map(index).versions() }
    }

    /// Others count a member still that died not long ago, as far as this node knows.
    pub(crate) fn mourn(&mut self, index: Index, now: Instant) {
        if !self.is_live(index) && self.quiet(index, now) < MOURNING {
            self.with_window(index, |window| window.mourned = true);
        }
    }

    /// Whether the member is to be counted after its death, in a sum that it is not part of now.
    pub(super) fn set_mourned(&mut self, index: Index, mourned: bool) {
        let at = index as usize;
        let says = self.map(index).versions() != [0; 2];
        while mourned && says && self.windows.all().len() <= at && self.windows.push(Window::NEW) {}
        if let Some(window) = self.windows.all_mut().get_mut(at) {
            window.mourned = mourned;
        }
    }

    /// Counts no longer those who died long ago: looks at a few members, and at others the next time.
    pub(crate) fn end_mourning(&mut self, now: Instant) {
        for _ in 0..LOOK {
            let index = self.next_mourned;
            if index as usize >= self.windows.all().len() {
                self.next_mourned = 0;
                return;
            }
            self.next_mourned = index + 1;
            if self.window(index).mourned && self.quiet(index, now) >= MOURNING {
                self.with_window(index, |window| window.mourned = false);
            }
        }
    }

    /// Forgets who has answered one of this node's questions. A scan of the table.
    pub(crate) fn forget_answers(&mut self, bits: u8) {
        for window in self.windows.all_mut() {
            window.forget_answers(bits);
        }
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn set_window(&mut self, index: Index, window: &Window) {
        if window == self.window(index) {
            return;
        }
        let at = index as usize;
        while self.windows.all().len() <= at {
            if !self.windows.push(Window::NEW) {
                return;
            }
        }
        let Some(record) = self.get(index).copied() else { return };
        let before = self.positions_term(index, &record);
        if let Some(place) = self.windows.all_mut().get_mut(at) {
            *place = *window;
        }
        self.count_position(index, &record, before);
    }

    /// Counts what this node has come to with a member, in place of what stood for that before.
    pub(super) fn count_position(&mut self, index: Index, record: &Record<A>, before: u64) {
        let positions = self.positions_term(index, record).wrapping_sub(before);
        if positions != 0 {
            self.add(record.id, Terms { positions, ..Terms::default() });
        }
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn positions_term(&self, index: Index, record: &Record<A>) -> u64 {
        let window = self.window(index);
        let (seen, [bulk, vital]) = (window.seen(), self.map(index).versions());
        if seen | bulk | vital == 0 || record.liveness != Liveness::Alive && !window.mourned {
            return 0;
        }
        let life = u64::from(record.life.generation) << 32 | u64::from(record.life.nonce);
        let hash = Sip::new(self.key, record.id.get()).word(life).word(u64::from(seen));
        hash.word(u64::from(bulk) << 32 | u64::from(vital)).finish()
    }
}
