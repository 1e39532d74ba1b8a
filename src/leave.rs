//! Departure: the acknowledged leave.

use heapless::Vec;

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
    pub(crate) number: u32,
    until: Instant,
    linger: Instant,
    next: Instant,
    gap: u64,
    acknowledged: Vec<NodeId, WITNESSES>,
    rounds: u8,
    /// Those asked to acknowledge, and whether they are to be asked now.
    witnesses: Vec<(NodeId, bool), WITNESSES>,
}

impl Leave {
    /// `arriving`: a seed may be admitting this node at this very moment, and is waited for, to be told.
    pub(crate) fn new(number: u32, arriving: bool, now: Instant, config: &Config) -> Self {
        Leave {
            number,
            until: now.after(config.leave_timeout),
            linger: if arriving { now.after(2 * least_gap(config)) } else { now },
            next: now,
            gap: config.first_retry,
            acknowledged: Vec::new(),
            rounds: 0,
            witnesses: Vec::new(),
        }
    }

    pub(crate) fn due(&self) -> Instant {
        self.next.min(self.until)
    }

    /// Asks again those who have not acknowledged, and others in their place when they have been silent for four
    /// rounds. True when enough have acknowledged and all have been `told`, when an `isolated` node has said it as often and
    /// nobody answers, or the deadline has passed.
    pub(crate) fn tick<A: Address, S: Storage>(&mut self, told: bool, isolated: bool, core: &mut Core<A, S>) -> bool {
        let needed = (WITNESSES as u32).min(core.members.others());
        let acknowledged = self.acknowledged.len() as u32;
        let known = acknowledged >= needed && told && core.now >= self.linger;
        let vain = isolated && acknowledged == 0 && self.rounds >= PATIENCE && core.now >= self.next;
        if known || vain || core.now >= self.until {
            return true;
        }
        if core.now < self.next {
            return false;
        }
        self.next = core.now.after(self.gap);
        self.gap = (self.gap + self.gap / 2).min(core.config.probe_period / 4);
        self.rounds = self.rounds.wrapping_add(1);
        let patient = !self.rounds.is_multiple_of(PATIENCE);
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
        writer.frame(kind::LEAVE, |body| body.u32(self.number))
    }

    /// Takes an acknowledgement, once from each, also from a witness whose place another has taken meanwhile: only
    /// who was asked knows the number. False if it was none.
    pub(crate) fn on_ack(&mut self, from: NodeId, number: u32) -> bool {
        if number != self.number || self.acknowledged.contains(&from) {
            return false;
        }
        self.witnesses.retain(|(id, _)| *id != from);
        // Full means enough.
        let _ = self.acknowledged.push(from);
        true
    }
}
