//! What others who lack broadcasts are given.

use super::Broadcasts;
use super::log::{DIRECT, Entry};
use crate::config::Config;
use crate::member::{Address, NodeId};
use crate::members::Members;
use crate::storage::{FewOf, Storage};
use crate::topic::Topic;
use crate::wire::{HOLLOW, Lack, MOST_PIECES, Origin, Pull, Writer, kind, write_frame, write_piece};

/// The most pieces in one datagram: each costs whoever is given it a place in its log.
pub(crate) const MOST_GIVEN: usize = 16;

impl<S: Storage> Broadcasts<S> {
    /// Which of the broadcasts that are asked for can be given to one who listens to these topics.
    pub(crate) fn had(&self, pull: &Pull, topics: u32) -> u64 {
        let mut had = 0;
        for (_, entry) in
            self.log.of_origin(pull.origin.id, pull.origin.tag, (pull.first, pull.first.saturating_add(63)))
        {
            let listens = topics & Topic::new(entry.topic).bit() != 0;
            if entry.form & HOLLOW == 0 || !listens {
                self.wanted_pieces(&entry, pull).for_each(|(_, bit)| had |= bit);
            }
        }
        had
    }

    /// The pieces of a message that are asked for and have come, each with its bit.
    fn wanted_pieces(&self, entry: &Entry, pull: &Pull) -> impl Iterator<Item = (u8, u64)> + use<S> {
        let (entry, pull) = (*entry, *pull);
        let of_origin = entry.origin == pull.origin.id && entry.tag == pull.origin.tag && !entry.is(DIRECT);
        let came = move |piece: &u8| of_origin && entry.came >> piece & 1 == 1;
        (0..entry.pieces.min(MOST_PIECES)).filter(came).filter_map(move |piece| {
            let ahead = entry.seq.checked_add(piece.into())?.checked_sub(pull.first)?;
            let bit = 1u64.checked_shl(ahead)?;
            (pull.wanted & bit != 0).then_some((piece, bit))
        })
    }

    /// Writes as much as fits of what this asker is to be given, and when it is all given, what it is not.
    pub(crate) fn write_give<A: Address>(
        &mut self,
        at: usize,
        config: &Config,
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let give = self.gives.get(at).cloned()?;
        let topics = members.find_record(give.to)?.topics;
        let (mut left, mut gone, before) = (give.left, give.left, writer.len());
        let mut given = 0;
        let Pull { origin: Origin { id, tag }, first, .. } = give.pull;
        for at in if left == 0 { Default::default() } else { self.log.asked(id, tag, first) } {
            let Some(entry) = self.log.get(at).filter(|_| left != 0) else { break };
            let hollow = entry.form & HOLLOW != 0 || topics & Topic::new(entry.topic).bit() == 0;
            for (piece, bit) in self.wanted_pieces(&entry, &Pull { wanted: left, ..give.pull }) {
                let alone = writer.len() == before;
                let piece = self.piece_of(at, &entry, piece, hollow);
                gone &= !bit;
                if given == MOST_GIVEN {
                    continue;
                }
                if write_frame(kind::GIVE, writer, |writer| write_piece(&piece, writer)).is_some() {
                    left &= !bit;
                    given += 1;
                } else if alone && writer.capacity() >= config.max_datagram() {
                    // Another may have longer datagrams.
                    gone |= bit;
                }
            }
        }
        let own = members.own_origin().filter(|own| *own == give.pull.origin);
        let (oldest, newest) = own.map_or((0, 0), |own| (self.oldest(own), self.last));
        let mut done = false;
        if left & !gone == 0 {
            // What has gone since it was asked for is lacking as well, or nothing more would ever be said.
            let pull = Pull { wanted: give.lacking | gone, ..give.pull };
            let lack = Lack { pull, oldest, newest };
            done = writer.frame(kind::LACK, |body| lack.write(body)).is_some();
        }
        let wrote = writer.len() > before;
        if let Some(held) = self.gives.get_mut(at).filter(|_| wrote) {
            (held.left, held.done, held.written) = (left, done, true);
        }
        wrote.then_some(())
    }

    /// One datagram has gone to this asker, or it is gone itself; whether there was one.
    pub(crate) fn settle_give(&mut self, at: usize) -> bool {
        match self.gives.get_mut(at) {
            Some(give) if give.written && !give.done => core::mem::take(&mut give.written),
            _ => self.gives.take(at).is_some(),
        }
    }

    /// The first own broadcast from which on all are still there.
    fn oldest(&self, own: Origin) -> u32 {
        // They lie in the order of their numbers.
        let kept = self.log.all().find(|(_, entry)| entry.has(own.id, own.tag, entry.seq));
        kept.map_or(self.last.saturating_add(1), |(_, entry)| entry.seq)
    }

    /// Who is to be given something.
    pub(crate) fn owed_gives(&self) -> impl Iterator<Item = (usize, NodeId)> {
        self.gives.iter().map(|give| give.to).enumerate()
    }
}
