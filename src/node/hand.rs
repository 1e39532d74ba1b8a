//! What goes down the tree (`tree.rs`): jobs that others hand to this node, and those that it hands out.

use heapless::Vec;

use super::Node;
use super::receive::Speaker;
use super::reply::Say;
use super::send::{Pending, What, behind};
use crate::broadcast::At;
use crate::budget;
use crate::member::{Address, NodeId};
use crate::members::Index;
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::tree::{Delta, Job, Kind, PARCEL, Range32, live_in};
use crate::wire::{Content, Passing, Writer, kind, write_piece};

/// What its service has made of something that this node was handed.
pub(super) enum Taken {
    /// It is not acknowledged, so that it comes again.
    Refused,
    /// It cannot go on from here.
    Stays,
    /// It does not reach back to what is here.
    Gap,
    /// What of it is still news, and who handed it over, if that is known.
    Parcel(Vec<Index, PARCEL>, Option<NodeId>),
    /// Without one it has come, but is not there to be passed on.
    Message(Option<(At, u8)>),
    Delta(Delta),
}

impl<A: Address, S: Storage> Node<A, S> {
    // In.

    /// Something that is to be passed on to all members of a range. Its service takes it; whether it can go on from here is
    /// decided for all of them.
    pub(super) fn on_hand(&mut self, number: u32, range: Range32, content: Content<'_>, speaker: &mut Speaker<A>) {
        let (introduce, teller) = (speaker.known.is_none(), speaker.head.sender);
        let known = self.core.tree.has_taken(number);
        let passing = if known {
            if matches!(content, Content::Piece(_)) {
                self.core.stats.casts_in = self.core.stats.casts_in.wrapping_add(1);
                self.core.stats.duplicates = self.core.stats.duplicates.wrapping_add(1);
            }
            Some(Passing::Yes)
        } else {
            let taken = match &content {
                Content::Records(records) => self.take_parcel(*records, speaker),
                Content::Piece(piece) if self.keeps_data() => self.take_cast(piece, teller),
                Content::Chunk(chunk) if self.keeps_data() => self.take_delta(chunk, teller),
                _ => Taken::Stays,
            };
            self.pass_on(taken, range)
        };
        let Some(passing) = passing else { return };
        if passing == Passing::Yes && !known {
            self.core.tree.note_taken(number);
        }
        let have = if let Content::Chunk(chunk) = &content { self.have_of(chunk) } else { 0 };
        self.respond(speaker, Say::HandAck { number, passing, have, introduce });
    }

    /// Passes on what has been taken, if it can go on from here. Gives the acknowledgement, if there is to be one.
    fn pass_on(&mut self, taken: Taken, range: Range32) -> Option<Passing> {
        match taken {
            Taken::Refused => return None,
            Taken::Stays => return Some(Passing::No),
            Taken::Gap => return Some(Passing::Gap),
            // A newcomer knows too few of those who are to have it, and a node that leaves may be gone before they do.
            _ if self.detector.isolated || self.walk.by_newcomer() || self.leave.is_some() => return Some(Passing::No),
            _ if live_in(range, &self.core.members).next().is_none() => return Some(Passing::Yes),
            _ => {}
        }
        let (hop, keeps_data) = (self.detector.hop(&self.core.config), self.keeps_data());
        let core = &mut self.core;
        let passes_on = match taken {
            Taken::Parcel(parcel, _) if parcel.is_empty() => true,
            Taken::Parcel(parcel, from) => {
                let room = self.relays.has_room_for(from, &core.tree, &core.config);
                if room {
                    self.relays.pass_on(parcel, (from, range), self.detector.unit(&core.config), core);
                } else {
                    core.refuse(DropReason::Busy);
                }
                room
            }
            Taken::Message(Some(message)) if keeps_data => {
                if !self.broadcasts.hand_out(message, range, hop, core) {
                    core.refuse(DropReason::Busy);
                    return None;
                }
                true
            }
            Taken::Delta(delta) if keeps_data => self.state.hand_out(delta, range, hop, core),
            _ => false,
        };
        Some(if passes_on { Passing::Yes } else { Passing::No })
    }

    /// A delegate's acknowledgement of what it was handed; of a map it says how far it has come.
    pub(super) fn on_hand_ack(&mut self, number: u32, passing: Passing, have: u32, speaker: &Speaker<A>) {
        let from = (speaker.head.sender, number);
        let job = self.core.tree.find(from.0, from.1).map(|handoff| handoff.job());
        if let Some(delta) = job.and_then(Job::delta).filter(|_| self.keeps_maps()) {
            let unit = self.detector.hop(&self.core.config);
            if self.state.on_delta_ack((number, delta), (passing, have), unit, &mut self.core) {
                return self.note_answer(true, speaker);
            }
        }
        let (tree, mut context) = self.core.tree();
        let asked = tree.on_ack(from, passing == Passing::Yes, &self.relays.parcels, &mut context);
        self.relays.forget_done(&self.core.tree);
        self.note_answer(asked, speaker);
    }

    // Out.

    /// What of this kind is to be handed out next.
    pub(super) fn owed_hand(&self, kind: Kind, passed: &mut usize) -> Option<Pending<A>> {
        let class = match kind {
            Kind::Parcel => budget::Class::News,
            Kind::Message => budget::Class::Casts,
            Kind::Delta => budget::Class::State,
        };
        if self.detector.isolated || self.core.tree.is_empty(kind) || !self.may_send(class) {
            return None;
        }
        let (at, handoff) = behind(self.core.tree.owed(kind), passed)?;
        Some(self.pays(What::Hand(at), handoff.delegate, class))
    }

    pub(super) fn write_hand(&mut self, at: usize, writer: &mut Writer<'_>) -> Option<()> {
        let handoff = self.core.tree.get(at)?;
        let (job, range, number) = (handoff.job(), handoff.range, handoff.ask.number);
        let frame = writer.begin(kind::HAND)?;
        let head = writer.u32(number).and(writer.u32(range.low)).and(writer.u32(range.high));
        let content = head.and_then(|()| match job {
            Job::Parcel(name) => self.write_parcel(name, writer),
            Job::Message(message) if self.keeps_messages() => {
                write_piece(&self.broadcasts.piece(message, range, &self.core.members)?, writer)
            }
            Job::Delta(delta) if self.keeps_maps() => self.state.write_delta(delta, &self.core.members, writer),
            _ => None,
        });
        if content.is_some() { writer.end(frame) } else { writer.cancel(frame) }
    }

    /// Writes as many of a parcel's records as fit. All do, unless the buffer is too small or datagrams have been longer
    /// when it was packed; then the rest is told as other news is.
    fn write_parcel(&mut self, name: u32, writer: &mut Writer<'_>) -> Option<()> {
        let records = self.relays.records(name).iter();
        let fits = |index: &&Index| self.core.members.write(**index, self.core.now, writer).is_some();
        let count = records.take_while(fits).count();
        if count == 0 {
            return None;
        }
        for index in self.relays.shorten(name, count) {
            self.core.members.announce(index, 0);
        }
        Some(())
    }
}
