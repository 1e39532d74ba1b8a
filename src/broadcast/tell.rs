//! What the application is told next, and in which order.

use heapless::Vec;

use super::log::{At, DIRECT, DONE, Entry, Log, ORDERED, UNTOLD};
use super::take::{Gap, note_gap};
use super::{Broadcasts, question};
use crate::member::Address;
use crate::members::{Index, Members};
use crate::stats::Stats;
use crate::storage::{FewOf, LATEST, Storage};
use crate::wire::ANSWER;

/// How many messages are looked at to find the latest origins.
const LOOK: usize = 64;

impl<S: Storage> Broadcasts<S> {
    /// The next gap to tell of.
    pub(crate) fn next_gap(&mut self) -> Option<Gap> {
        self.gaps.take_first()
    }

    /// The next message to tell of, which then counts as told.
    pub(crate) fn next_message<A: Address>(
        &mut self,
        members: &Members<A, S>,
        stats: &mut Stats,
    ) -> Option<(At, Entry)> {
        if self.quiet || !self.log.has_untold() {
            return None;
        }
        self.log.skip_told();
        self.drop_torn(members, stats);
        let next = self.log.untold().find(|(_, entry)| self.is_its_turn(entry, members));
        let Some((at, entry)) = next else {
            self.quiet = true;
            return None;
        };
        self.log.set(at, Entry { marks: entry.marks & !UNTOLD, ..entry });
        Some((at, entry))
    }

    /// Messages of which a piece will never come: it went by without its payload, or the member has begun another life.
    fn drop_torn<A: Address>(&mut self, members: &Members<A, S>, stats: &mut Stats) {
        let torn = |(_, entry): &(At, Entry)| {
            if entry.is(DIRECT) || entry.is_complete() {
                return false;
            }
            let index = members.find_life(entry.origin, entry.tag);
            index.is_none_or(|index| members.window(index).floor() >= entry.last())
        };
        while let Some((at, entry)) = { self.log.untold().find(torn) } {
            self.drop_untold(at);
            note_gap(&mut self.gaps, Gap { origin: entry.origin, first: entry.seq, last: entry.last() }, stats);
        }
    }

    fn is_its_turn<A: Address>(&self, entry: &Entry, members: &Members<A, S>) -> bool {
        if !entry.is_complete() {
            return false;
        }
        if !entry.is(ORDERED) {
            return true;
        }
        let earlier = |(_, other): (At, Entry)| {
            let same = other.origin == entry.origin && other.tag == entry.tag && !other.is(DIRECT);
            same && other.is(ORDERED) && other.seq < entry.seq
        };
        let index = members.find_life(entry.origin, entry.tag);
        index.is_none_or(|index| members.window(index).floor() >= entry.last()) && !self.log.untold().any(earlier)
    }

    /// A question that is over, and whose answers have all been told.
    pub(crate) fn next_over(&mut self) -> Option<question::Open> {
        let Broadcasts { log, questions, .. } = self;
        questions.next_over(|number| has_answer(log, number))
    }

    /// The origins of the latest messages, the dead among them.
    pub(crate) fn latest_origins<A: Address>(&self, members: &Members<A, S>) -> Vec<Index, LATEST> {
        let mut latest = Vec::new();
        for (_, entry) in self.log.newest().take(LOOK) {
            let index = members.find_life(entry.origin, entry.tag).filter(|_| !entry.is(DIRECT));
            if let Some(index) = index.filter(|index| !latest.contains(index))
                && latest.push(index).is_err()
            {
                break;
            }
        }
        latest
    }

    /// A message is not to be told after all.
    pub(crate) fn drop_untold(&mut self, at: At) {
        if let Some(entry) = self.log.get(at) {
            self.log.set(at, Entry { marks: entry.marks & !UNTOLD | DONE, ..entry });
        }
    }
}

/// Whether there is an answer that has not been told to the question of this number.
fn has_answer<S: Storage>(log: &Log<S>, number: u32) -> bool {
    let answers = |(at, entry): (At, Entry)| {
        let untold = entry.is(UNTOLD) && entry.is_complete() && entry.form & ANSWER != 0;
        untold && log.payload(at).first_chunk() == Some(&number.to_le_bytes())
    };
    log.has_untold() && log.untold().any(answers)
}
