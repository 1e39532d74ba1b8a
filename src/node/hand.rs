//! What goes down the tree (`tree.rs`): jobs that others hand to this node, and those that it hands out.

use super::Node;
use super::receive::Speaker;
use super::send::{Pending, What, behind};
use crate::budget;
use crate::member::Address;
use crate::storage::Storage;
use crate::tree::{Job, Kind, Preference};
use crate::wire::{Passing, Writer, kind, write_piece};

impl<A: Address, S: Storage> Node<A, S> {
    // In.

    /// Whether this node can pass on what it is handed. A newcomer knows too few of those who are to have it, and a node
    /// that leaves may be gone before they do.
    pub(super) fn can_pass_on(&self) -> bool {
        !self.detector.isolated && !self.walk.by_newcomer() && self.leave.is_none()
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
        let prefer = |job: Job| match job.kind() {
            Kind::Parcel => self.relays.preference(job),
            Kind::Message => self.broadcasts.preference(job),
            Kind::Delta => Preference::Any,
        };
        let (tree, mut context) = self.core.tree();
        let asked = tree.on_ack(from, passing == Passing::Yes, &prefer, &mut context);
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
        let frame = writer.begin(match job.kind() {
            Kind::Parcel => kind::RELAY,
            Kind::Message => kind::CAST,
            Kind::Delta => kind::DELTA,
        })?;
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
        let fits = |index: &&u32| self.core.members.write(**index, self.core.now, writer).is_some();
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
