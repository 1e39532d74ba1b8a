//! Departure: the acknowledged leave.

use heapless::Vec;

use crate::ask::{Ask, Schedule};
use crate::config::Config;
use crate::join::least_gap;
use crate::member::{Address, Member, NodeId};
use crate::members::MYSELF;
use crate::node_core::Core;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{Writer, kind};

/// How many peers are told of a leave; each acknowledges and passes it on.
pub(crate) const WITNESSES: usize = 4;
/// How often a witness is told before another takes its place; and how often a node that nobody answers says farewell, which
/// somebody may hear who is just coming back.
const PATIENCE: u8 = 4;

/// A leave that is being told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leave {
    /// The same for all witnesses: each try is a round.
    ask: Ask,
    until: Instant,
    linger: Instant,
    acknowledged: Vec<NodeId, WITNESSES>,
    /// Those asked to acknowledge, and whether they are to be asked now.
    witnesses: Vec<(NodeId, bool), WITNESSES>,
}

impl Leave {
    /// `arriving`: a seed may be admitting this node at this very moment, and is waited for, to be told.
    pub(crate) fn new(number: u32, arriving: bool, now: Instant, config: &Config) -> Self {
        Leave {
            ask: Ask::new(number, now),
            until: now.after(config.leave_timeout),
            linger: if arriving { now.after(2 * least_gap(config)) } else { now },
            acknowledged: Vec::new(),
            witnesses: Vec::new(),
        }
    }

    pub(crate) fn due(&self) -> Instant {
        self.ask.next.min(self.until)
    }

    /// Asks again those who have not acknowledged, and others in their place when they have been silent for four
    /// rounds. True when enough have acknowledged and all have been `told`, when an `isolated` node has said it as often and
    /// nobody answers, or the deadline has passed.
    pub(crate) fn tick<A: Address, S: Storage>(&mut self, told: bool, isolated: bool, core: &mut Core<A, S>) -> bool {
        let needed = (WITNESSES as u32).min(core.members.others());
        let acknowledged = self.acknowledged.len() as u32;
        let known = acknowledged >= needed && told && core.now >= self.linger;
        let vain = isolated && acknowledged == 0 && self.ask.is_in_vain(PATIENCE, core.now);
        if known || vain || core.now >= self.until {
            return true;
        }
        if !self.ask.is_due(core.now) {
            return false;
        }
        self.ask.repeat(Schedule::leave(&core.config), core.now);
        if isolated && self.ask.tries == PATIENCE {
            // The last word: an answer to it takes a round trip, and no more is said.
            self.ask.next = core.now.after(core.config.first_retry);
        }
        let patient = !self.ask.tries.is_multiple_of(PATIENCE);
        let lives = |id: NodeId| core.members.find(id).is_some_and(|index| core.members.is_live(index));
        self.witnesses.retain(|(id, _)| patient && lives(*id));
        while acknowledged + (self.witnesses.len() as u32) < needed {
            let (witnesses, done) = (&self.witnesses, &self.acknowledged);
            let fresh = |member: &Member<A>| {
                !done.contains(&member.id()) && !witnesses.iter().any(|(id, _)| *id == member.id())
            };
            let chosen = core.members.random_live(&mut core.rng, fresh).and_then(|index| core.members.get(index));
            let Some(id) = chosen.map(|record| record.id) else { break };
            if self.witnesses.push((id, true)).is_err() {
                break;
            }
        }
        for (_, owed) in &mut self.witnesses {
            *owed = true;
        }
        false
    }

    /// Which witnesses are to be told, and who they are.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, NodeId)> {
        self.witnesses.iter().enumerate().filter(|(_, (_, owed))| *owed).map(|(at, (id, _))| (at, *id))
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.witnesses.get_mut(at).is_some_and(|(_, owed)| core::mem::take(owed))
    }

    /// Writes the farewell.
    pub(crate) fn write<A: Address, S: Storage>(&self, core: &Core<A, S>, writer: &mut Writer<'_>) -> Option<()> {
        writer.frame(kind::NEWS, |body| core.members.describe(MYSELF, true, body))?;
        writer.frame(kind::LEAVE, |body| body.u32(self.ask.number))
    }

    /// Takes an acknowledgement, once from each, also from a witness whose place another has taken meanwhile: only
    /// who was asked knows the number. False if it was none.
    pub(crate) fn on_ack(&mut self, from: NodeId, number: u32) -> bool {
        if number != self.ask.number || self.acknowledged.contains(&from) {
            return false;
        }
        self.witnesses.retain(|(id, _)| *id != from);
        // Full means enough.
        let _ = self.acknowledged.push(from);
        true
    }
}
