//! The tree down which something goes to all: the order of the ids is the tree, so that there is none to maintain.
//!
//! The holder of a *job* cuts the part of the id space that it answers for at itself, divides the rest among a few
//! members that stand in it, and hands each its share. Whoever takes a share passes the job on in the same manner. Each
//! member receives it once, after a number of hops that is logarithmic in the cluster. No share contains one of those
//! who have it already, since each has cut at itself.
//!
//! Each hop is acknowledged. A delegate is tried three times before another in its share is asked, and one that cannot
//! pass the job on says so. One that was silent is passed over for a while by all that this node hands out: where many
//! die at once, not every message should have to find it out anew. Where there is no other in a share, silence ends in a
//! probe: whoever lives and lost every copy is found by its answer, and not by chance.
//!
//! What the job is, and who may be told of it, is not decided here: `relay.rs` tells news of members this way, and
//! `broadcast.rs` messages.

use core::marker::PhantomData;

use heapless::Vec;

use crate::ask::{Ask, Schedule, earliest};
use crate::member::{Address, Member, NodeId, Record, Status};
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::storage::{Few, FewData, FewOf, Storage};
use crate::time::Instant;

/// The most members among which a share is divided.
pub(crate) const WAYS: usize = 8;
/// The most shares that come of that: a node's own place may cut one of them in two, and what is left is one more.
pub(crate) const MOST_SHARES: usize = WAYS + 2;
/// How often one delegate is tried.
const TRIES: u8 = 3;
/// What a share may cost before it is given up.
const MOST_COST: u8 = 30;
/// What a delegate costs that does not answer.
const SILENT: u8 = 5;
/// What one costs that answers that it cannot pass the job on. It has it, at least.
const UNABLE: u8 = 1;
/// How many members of a share are looked at to find a delegate, or counted to cut it evenly.
pub(crate) const LOOK: usize = 64;
/// How many silent delegates are kept in mind.
const DOUBTS: usize = 8;
const FEW_DOUBTS: usize = 3;
/// For how many times the first wait they are.
const DOUBTED_FOR: u64 = 128;

/// A part of the id space, both ends included, in units of 2^32 places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    pub(crate) low: u32,
    pub(crate) high: u32,
}

impl Share {
    pub(crate) const ALL: Share = Share { low: 0, high: u32::MAX };
}

/// A share that was handed to a delegate, who has not acknowledged it yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leg<J> {
    pub(crate) job: J,
    pub(crate) share: Share,
    pub(crate) delegate: NodeId,
    /// With this delegate.
    pub(crate) ask: Ask,
    /// Of the delegates before.
    cost: u8,
}

/// Who had better be a delegate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish<'w> {
    Any,
    /// One who listens to any of these topics.
    Listens(u32),
    /// None of these.
    Not(&'w [Index]),
}

impl Wish<'_> {
    fn fits<A>(self, index: Index, record: &Record<A>) -> bool {
        match self {
            Wish::Any => true,
            Wish::Listens(topics) => record.topics & topics != 0,
            Wish::Not(those) => !those.contains(&index),
        }
    }
}

/// The shares under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tree<J, L: FewOf<Leg<J>>, D: FewOf<Doubt>> {
    legs: L,
    /// Who did not answer, and until when that is kept in mind.
    doubts: D,
    job: PhantomData<J>,
}

/// One who did not answer, and until when that is kept in mind.
pub(crate) type Doubt = (NodeId, Instant);
/// A tree for news of members.
pub(crate) type NewsTree<S, J, const WIDE: usize, const NARROW: usize> =
    Tree<J, Few<S, Leg<J>, WIDE, NARROW>, Few<S, Doubt, DOUBTS, FEW_DOUBTS>>;
/// A tree for messages or maps.
pub(crate) type DataTree<S, J, const WIDE: usize, const NARROW: usize> =
    Tree<J, FewData<S, Leg<J>, WIDE, NARROW>, FewData<S, Doubt, DOUBTS, FEW_DOUBTS>>;

impl<J: Copy + PartialEq, L: FewOf<Leg<J>>, D: FewOf<Doubt>> Tree<J, L, D> {
    pub(crate) const NONE: Self = Tree { legs: FewOf::EMPTY, doubts: FewOf::EMPTY, job: PhantomData };

    pub(crate) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// How many more shares it can hold.
    pub(crate) fn room(&self) -> usize {
        self.legs.room()
    }

    /// The most shares that it holds.
    pub(crate) fn limit(&self) -> usize {
        self.legs.len() + self.legs.room()
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = J> {
        self.legs.iter().map(|leg| leg.job)
    }

    /// Changes how jobs are called.
    pub(crate) fn rename(&mut self, rename: impl Fn(J) -> J) {
        for leg in self.legs.iter_mut() {
            leg.job = rename(leg.job);
        }
    }

    /// When the next try is due.
    pub(crate) fn due(&self) -> Instant {
        earliest(self.legs.iter().map(|leg| &leg.ask))
    }

    /// Tries again where no acknowledgement came, and gives up what has cost too much. Returns who was tried in vain then,
    /// one of them if they are several.
    pub(crate) fn tick<A: Address, S: Storage>(&mut self, unit: u64, core: &mut Core<A, S>) -> Option<NodeId> {
        if self.legs.is_empty() || core.now < self.due() {
            return None;
        }
        self.doubts.retain(|(_, until)| core.now < *until);
        for leg in self.legs.iter_mut() {
            leg.tick(unit, &mut self.doubts, core);
        }
        let given_up = self.legs.iter().find(|leg| leg.cost >= MOST_COST).map(|leg| leg.delegate);
        self.legs.retain(|leg| leg.cost < MOST_COST);
        given_up
    }

    /// Hands this share to delegates in up to so many parts, all but this node's own place; as far as there is room. Better
    /// to such as are wished for.
    pub(crate) fn hand_out<A: Address, S: Storage>(
        &mut self,
        job: J,
        (share, ways): (Share, usize),
        wished: Wish<'_>,
        unit: u64,
        core: &mut Core<A, S>,
    ) {
        self.hand_out_or_join(job, (share, ways), wished, |_| false, unit, core);
    }

    /// The same, but where a job is still on its way in such a part that the new one joins, that one goes again in place of
    /// both.
    pub(crate) fn hand_out_or_join<A: Address, S: Storage>(
        &mut self,
        job: J,
        (share, ways): (Share, usize),
        wished: Wish<'_>,
        mut joins: impl FnMut(&mut J) -> bool,
        unit: u64,
        core: &mut Core<A, S>,
    ) {
        for share in cut(share, ways.clamp(2, WAYS), &core.members) {
            let mut held = self.legs.iter_mut().filter(|leg| leg.share == share);
            if let Some(leg) = held.find_map(|leg| joins(&mut leg.job).then_some(leg)) {
                // An answer to what went before is no answer to this.
                leg.ask = Ask::new(core.rng.next_u32() | 1, core.now);
                leg.tick(unit, &mut self.doubts, core);
                continue;
            }
            let Some(delegate) = choose(share, None, wished, &self.doubts, core) else { continue };
            let number = core.rng.next_u32() | 1;
            // Only where there is no other. If it is suspected as well it is most likely dead; else it may have lost all that raised
            // the doubt, where many datagrams are lost, and must not lose all of these too.
            let doubted = self.doubts.iter().any(|(id, _)| *id == delegate);
            let suspect = core.members.find(delegate).and_then(|index| core.members.member(index));
            let suspect = suspect.is_some_and(|member| member.status() == Status::Suspect);
            let cost = if doubted { MOST_COST - if suspect { 2 } else { 4 } * SILENT } else { 0 };
            let mut leg = Leg { job, share, delegate, ask: Ask::new(number, core.now), cost };
            leg.tick(unit, &mut self.doubts, core);
            let _ = self.legs.push(leg);
        }
    }

    /// Gives up everything under way: nobody answers.
    pub(crate) fn clear(&mut self) {
        self.legs.clear();
    }

    /// The caller came late: a delegate is not passed over for a silence that may wait in the socket.
    pub(crate) fn postpone(&mut self, read: Instant) {
        self.legs.iter_mut().for_each(|leg| leg.ask.postpone(TRIES, read));
    }

    /// The host did not take what was sent to a delegate that is there: that one has not been asked.
    pub(crate) fn not_sent(&mut self, there: impl Fn(NodeId) -> bool) {
        self.legs.iter_mut().filter(|leg| there(leg.delegate)).for_each(|leg| leg.ask.not_sent());
    }

    /// Takes a delegate's acknowledgement; one who cannot pass the job on is replaced. False if it is none.
    pub(crate) fn on_ack<A: Address, S: Storage>(
        &mut self,
        from: NodeId,
        number: u32,
        passes_on: bool,
        core: &mut Core<A, S>,
    ) -> bool {
        let asked = |leg: &Leg<J>| leg.ask.number == number && leg.delegate == from;
        if !self.legs.iter().any(asked) {
            return false;
        }
        self.doubts.retain(|(id, _)| *id != from);
        if passes_on {
            self.legs.retain(|leg| !asked(leg));
        } else {
            self.hand_on(asked, core);
        }
        true
    }

    /// This member knows what is told, and cannot be asked to pass it on.
    pub(crate) fn do_without<A: Address, S: Storage>(&mut self, delegate: NodeId, core: &mut Core<A, S>) {
        self.hand_on(|leg| leg.delegate == delegate, core);
    }

    /// Hands these legs to other delegates, and gives up those for which there is none.
    fn hand_on<A: Address, S: Storage>(&mut self, which: impl Fn(&Leg<J>) -> bool, core: &mut Core<A, S>) {
        for leg in self.legs.iter_mut().filter(|leg| which(leg)) {
            let before = leg.delegate;
            leg.replace(UNABLE, &self.doubts, core);
            if leg.delegate == before {
                leg.cost = MOST_COST;
            }
        }
        self.legs.retain(|leg| leg.cost < MOST_COST);
    }

    // What is to be sent.

    /// Which legs are to be sent.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, &Leg<J>)> {
        self.legs.iter().enumerate().filter(|(_, leg)| leg.ask.owed)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Leg<J>> {
        self.legs.get(at)
    }

    /// The delegate has answered that it needs another job in place of this one, and is sent it at once.
    pub(crate) fn change_job<A: Address, S: Storage>(
        &mut self,
        number: u32,
        job: J,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> bool {
        let Some(leg) = self.legs.iter_mut().find(|leg| leg.ask.number == number) else { return false };
        (leg.job, leg.ask) = (job, Ask::new(core.rng.next_u32() | 1, core.now));
        leg.cost = leg.cost.saturating_add(UNABLE);
        leg.tick(unit, &mut self.doubts, core);
        true
    }

    /// What went under this number.
    pub(crate) fn leg(&self, number: u32) -> Option<&Leg<J>> {
        self.legs.iter().find(|leg| leg.ask.number == number)
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.legs.get_mut(at).is_some_and(|leg| leg.ask.sent())
    }
}

impl<J> Leg<J> {
    /// Tries the delegate again at gaps that double, and after the third time another one.
    fn tick<A: Address, S: Storage>(&mut self, unit: u64, doubts: &mut impl FewOf<Doubt>, core: &mut Core<A, S>) {
        if !self.ask.is_due(core.now) {
            return;
        }
        let lives = core.members.find(self.delegate).is_some_and(|index| core.members.is_live(index));
        if self.ask.tries >= TRIES {
            doubts.retain(|(id, _)| *id != self.delegate);
            if doubts.is_full() {
                doubts.take_first();
            }
            let _ = doubts.push((self.delegate, core.now.after(DOUBTED_FOR * unit)));
        }
        if self.ask.tries >= TRIES || !lives {
            self.replace(SILENT, doubts, core);
        }
        self.ask.repeat(Schedule::handoff(unit), core.now);
        self.ask.owed = self.cost < MOST_COST;
    }

    /// Hands the share to the next delegate in it, or to the same if there is no other.
    fn replace<A: Address, S: Storage>(&mut self, cost: u8, doubts: &[(NodeId, Instant)], core: &mut Core<A, S>) {
        self.cost = self.cost.saturating_add(cost);
        self.ask.restart(core.now);
        match choose(self.share, Some(self.delegate), Wish::Any, doubts, core) {
            Some(delegate) if delegate != self.delegate => {
                (self.delegate, self.ask.number) = (delegate, core.rng.next_u32() | 1);
            }
            // There is no other, and what it does not take, a comparison finds. Where nobody may be, it is tried twice at most.
            Some(delegate) => {
                let proved = core.members.find(delegate).is_some_and(|index| core.members.is_proved(index));
                self.cost = self.cost.saturating_add(if proved { cost } else { MOST_COST / 2 });
            }
            None => self.cost = MOST_COST,
        }
    }
}

/// Cuts a share at this node's place and divides the rest: by the members in it if they are few enough to be counted,
/// else by its width, as ids are spread evenly.
pub(crate) fn cut<A: Address, S: Storage>(
    share: Share,
    ways: usize,
    members: &Members<A, S>,
) -> Vec<Share, MOST_SHARES> {
    let ways = ways.max(1);
    let me = members.myself().map_or(0, |myself| cell(members.place(myself.id)));
    let inside = share.low <= me && me <= share.high;
    let below = me.checked_sub(1).filter(|_| inside).map(|high| Share { high, ..share });
    let above = me.checked_add(1).filter(|_| inside).map(|low| Share { low, ..share });
    let whole = Some(share).filter(|_| !inside);
    let sides = [below, above, whole].into_iter().flatten().filter(|side| side.low <= side.high);
    let count: usize = sides.clone().map(|side| live_in(side, members).take(LOOK).count()).sum();
    let mut shares = Vec::new();
    for side in sides {
        if count < LOOK {
            by_count(side, count.div_ceil(ways), members, &mut shares);
        } else {
            by_width(side, (share.high - share.low) / ways as u32 + 1, &mut shares);
        }
    }
    shares
}

fn by_count<A: Address, S: Storage>(
    side: Share,
    most: usize,
    members: &Members<A, S>,
    shares: &mut Vec<Share, MOST_SHARES>,
) {
    let mut low = side.low;
    for (at, (here, _)) in live_in(side, members).enumerate() {
        // Members unknown here stand between: the shares leave no gap.
        if at > 0 && at.is_multiple_of(most) && here > low {
            let _ = shares.push(Share { low, high: here - 1 });
            low = here;
        }
    }
    let _ = shares.push(Share { low, high: side.high });
}

fn by_width(side: Share, width: u32, shares: &mut Vec<Share, MOST_SHARES>) {
    let mut low = side.low;
    while side.high - low >= width && shares.len() < WAYS {
        let _ = shares.push(Share { low, high: low + (width - 1) });
        low += width;
    }
    let _ = shares.push(Share { low, high: side.high });
}

/// The living others that stand in a share, in order.
pub(crate) fn live_in<A: Address, S: Storage>(
    share: Share,
    members: &Members<A, S>,
) -> impl Iterator<Item = (u32, Index)> {
    let all = members.ordered_from(u64::from(share.low) << 32).map(|(place, index)| (cell(place), index));
    all.take_while(move |(here, _)| *here <= share.high)
        .filter(|(_, index)| *index != MYSELF && members.is_live(*index))
}

/// A delegate in this share: the next behind `after`, or behind a random place, around the share. Better one that is
/// wished for, was heard, is not suspected nor doubted, and does not sleep.
#[inline(never)] // every tree calls it, whatever its jobs
fn choose<A: Address, S: Storage>(
    share: Share,
    after: Option<NodeId>,
    wished: Wish<'_>,
    doubts: &[(NodeId, Instant)],
    core: &mut Core<A, S>,
) -> Option<NodeId> {
    let start = match after {
        Some(id) => cell(core.members.place(id)).saturating_add(1),
        None => share.low + ((u64::from(core.rng.next_u32()) * u64::from(share.high - share.low)) >> 32) as u32,
    };
    let (start, members) = (start.max(share.low).min(share.high), &core.members);
    let around = || live_in(Share { low: start, ..share }, members).chain(live_in(share, members));
    let id_of = |(_, index): (u32, Index)| members.get(index).map(|record| record.id);
    let sound = |at: &(u32, Index)| {
        let awake = |member: Member<A>| {
            let doubted = doubts.iter().any(|(id, _)| *id == member.id());
            member.status() == Status::Alive && member.record.patience == 0 && !doubted
        };
        members.is_heard(at.1) && members.member(at.1).is_some_and(awake)
    };
    let other = |at: &(u32, Index)| after.is_none() || id_of(*at) != after;
    let near = || around().take(LOOK).filter(other);
    let best = near()
        .find(|at| sound(at) && members.get(at.1).is_some_and(|record| wished.fits(at.1, record)))
        .or_else(|| near().find(sound));
    best.or_else(|| around().find(other)).or_else(|| around().next()).and_then(id_of)
}

fn cell(place: u64) -> u32 {
    (place >> 32) as u32
}
