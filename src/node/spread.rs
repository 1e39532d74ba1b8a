//! What others tell of members, and the steps in which tables are compared.

use heapless::Vec;

use super::Node;
use super::hand::Taken;
use super::learn::{Source, Telling};
use super::receive::Speaker;
use super::reply::{Reply, Say};
use crate::member::Address;
use crate::members::Index;
use crate::relay;
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::tree::PARCEL;
use crate::walk::{self, Diff, Range};
use crate::wire::{Reader, What};

/// An answer to a question about tables that must be shorter than this is not worth giving.
const LEAST_ANSWER: usize = 250;

impl<A: Address, S: Storage> Node<A, S> {
    pub(super) fn on_news(&mut self, records: Reader<'_>, speaker: &mut Speaker<A>) {
        let (sender, tag) = (speaker.head.sender, speaker.head.tag);
        if speaker.known.is_none() {
            let Some(own) = Self::introduction(records, sender, tag) else { return self.refuse(DropReason::Stranger) };
            if self.core.members.find(sender).is_none() && self.is_crowded(own.addr, true) {
                return self.refuse(DropReason::TableFull);
            }
            // Whoever has forgotten some of the dead cannot tell what a newcomer says from what one of those said once.
            if self.core.members.has_forgotten() && self.core.members.find(sender).is_none() {
                if !self.challenge(own, sender, None) {
                    self.refuse(DropReason::TooManyClaims);
                }
                return;
            }
        }
        self.learn_all(records, Source::News, sender);
        if speaker.known.is_none() {
            speaker.known = self.core.members.find_life(sender, tag);
            // Perhaps nobody else knows it yet.
            if let Some(index) = speaker.known {
                self.tell_of(index, Telling::Tree);
            }
        }
    }

    /// Learns a parcel of news. Of that only what this node holds itself by now goes on, and only while it is news, so that
    /// nobody can have the past told again.
    pub(super) fn take_parcel(&mut self, records: Reader<'_>, speaker: &Speaker<A>) -> Taken {
        let there =
            speaker.known.and_then(|index| self.core.members.get(index)).is_some_and(|held| held.addr == speaker.addr);
        let from = Some(speaker.head.sender).filter(|_| there);
        self.learn_all(records, Source::Relay, speaker.head.sender);
        let (mut parcel, believed) = self.held_of(records);
        if !believed || parcel.len() > relay::capacity::<A>(&self.core.config) {
            return Taken::Stays;
        }
        parcel.retain(|index| self.core.members.is_news(*index));
        Taken::Parcel(parcel, from)
    }

    /// Which of these records this node holds just so, and whether it holds all of them so or later.
    fn held_of(&self, mut records: Reader<'_>) -> (Vec<Index, PARCEL>, bool) {
        let (mut held, mut believed) = (Vec::new(), true);
        // What is not passed on need not be looked up.
        while let Some(record) = records.record::<A>().filter(|_| believed) {
            let index = self.core.members.find(record.id);
            match index.and_then(|index| self.core.members.get(index)).zip(index) {
                Some((own, index)) if *own == record => believed &= held.push(index).is_ok(),
                Some((own, _)) => believed &= own.supersedes(&record),
                None => believed = false,
            }
        }
        (held, believed)
    }

    /// Whether a question for sums of a table is answered now.
    pub(super) fn has_turn(&mut self, speaker: &Speaker<A>) -> bool {
        self.turns.take(speaker.head.sender, speaker.home, self.core.now)
    }

    /// Answers a step of anti-entropy. A large answer goes to where the member is known to be, and not to wherever this
    /// came from, nor to where it is only said to be: who has not shown that it is there gets thrice what it sent, or is
    /// to introduce itself, and asks again.
    pub(super) fn answer_comparison(&mut self, say: Say, speaker: &mut Speaker<A>) {
        let proved = self.core.members.find(speaker.head.sender).filter(|index| self.core.members.is_proved(*index));
        match proved.and_then(|index| self.core.members.get(index)).map(|record| record.addr) {
            // It asks again, or another does.
            Some(_) if self.pays_for_answers().is_none() => {
                self.core.stats.held_back = self.core.stats.held_back.wrapping_add(1);
            }
            Some(home) => self.reply(Reply { to: home, tag: speaker.head.tag, home: true, most: usize::MAX, say }),
            None if 3 * speaker.len >= LEAST_ANSWER => self.respond(speaker, say),
            None => self.respond(speaker, Say::Introduce),
        }
    }

    /// Another's sums of its records, or of its positions. Of positions it is told the first that differ.
    pub(super) fn on_sums(&mut self, what: What, range: Range, salt: u32, sums: Reader<'_>, speaker: &mut Speaker<A>) {
        if what == What::Positions && !speaker.home {
            return self.respond(speaker, Say::Introduce);
        }
        if !self.has_turn(speaker) {
            return self.refuse(DropReason::Busy);
        }
        let Some(parts) = walk::compare_sums(&self.core.members, what, range, salt, sums) else {
            return self.refuse(DropReason::Malformed);
        };
        self.respond(
            speaker,
            match (what, parts.first_meant()) {
                (What::Records, _) => Say::Parts(parts),
                (What::Positions, Some((low, high))) => Say::Have { low, high, answer: false },
                // Nothing differs up to the end, and nothing is to be told in turn.
                (What::Positions, None) => Say::Have { low: range.1, high: range.1, answer: true },
            },
        );
    }

    /// What a list of ours lacks, or what we wanted of another's. What it says is believed no more than any hearsay, asked
    /// for or not.
    pub(super) fn on_diff(&mut self, range: Range, wanted: u64, records: Reader<'_>, speaker: &mut Speaker<A>) {
        let before = self.core.members.root();
        self.learn_all(records, Source::Sync(speaker.head.sender), speaker.head.sender);
        if wanted != 0 {
            self.answer_comparison(Say::Diff(Diff::of_wanted(range, wanted)), speaker);
        }
        if !self.walk.on_page(speaker.head.sender, range, &mut self.core) {
            return;
        }
        self.detector.answered(&mut self.core);
        if self.core.members.root() != before {
            // Where something was missing, more may be.
            let any = self
                .core
                .members
                .random_live(&mut self.core.rng, |_| true)
                .and_then(|index| self.core.members.get(index));
            let peer = any.map_or(speaker.head.sender, |record| record.id);
            self.walk.leave_unfinished(peer, self.core.now, self.core.config.probe_period / 4);
        }
    }
}
