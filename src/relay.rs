//! The relay tree: how a change reaches everybody from whoever was the first to know.
//!
//! The holder of a *parcel* of records cuts the part of the id space that it answers for at itself, divides the rest
//! among a few members that stand in it, and hands each its share. Whoever takes a share passes the parcel on in the
//! same manner. Each member receives it once, after a number of hops that is logarithmic in the cluster, and there is
//! no tree to maintain: the order of the ids is the tree. No share contains one of those who have it already, since
//! each has cut at itself.
//!
//! Each hop is acknowledged. A delegate is tried three times before another in its share is asked, and one that cannot
//! pass the parcel on says so: it does not believe it, knows too few members yet, or has no room. An acknowledgement
//! means that it was received, not that it was passed on: what a dying delegate kept to itself, anti-entropy finds.
//!
//! Gossip in rounds would take a dozen copies to each member for the same certainty.

use heapless::Vec;

use crate::config::Config;
use crate::context::Context;
use crate::member::{Address, Member, NodeId, Status};
use crate::members::{Index, MYSELF, Members};
use crate::storage::Storage;
use crate::time::Instant;

/// The most records in a parcel.
pub(crate) const PARCEL: usize = 24;
/// The most parcels under way.
const PARCELS: usize = 4;
/// The most shares that wait for an acknowledgement.
const LEGS: usize = 20;
/// The most shares that a node cuts; its own place may cut one of them in two.
const WAYS: usize = 8;
/// How many of the latest parcels are known again when they come twice.
const TAKEN: usize = 16;
/// How often one delegate is tried.
const TRIES: u8 = 3;
/// What a share may cost before it is left to anti-entropy.
const MOST_COST: u8 = 30;
/// What a delegate costs that does not answer.
const SILENT: u8 = 5;
/// What one costs that answers that it cannot pass the parcel on. It has it, at least.
const UNABLE: u8 = 1;
/// How many members of a share are looked at to find a delegate, or counted to cut it evenly.
const LOOK: usize = 64;
/// By how much the gap between parcels grows while there is more and more to tell: to 80 ms from 5.
const MOST_ROUNDS: u8 = 4;

/// A part of the id space, both ends included, in units of 2^32 places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    pub(crate) low: u32,
    pub(crate) high: u32,
}

impl Share {
    pub(crate) const ALL: Share = Share { low: 0, high: u32::MAX };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Parcel {
    name: u32,
    records: Vec<Index, PARCEL>,
}

/// A share that was handed to a delegate, who has not acknowledged it yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Leg {
    parcel: u32,
    share: Share,
    delegate: NodeId,
    /// Unpredictable, so that only who was asked can answer, and the same for all tries.
    number: u32,
    /// With this delegate.
    tries: u8,
    /// Of the delegates before.
    cost: u8,
    next: Instant,
    owed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Relays {
    parcels: Vec<Parcel, PARCELS>,
    legs: Vec<Leg, LEGS>,
    /// The numbers under which parcels came, the latest overwriting the oldest.
    taken: [u32; TAKEN],
    next_taken: u8,
    /// Records of this node's own to tell, which wait for each other.
    outbox: Vec<Index, PARCEL>,
    last_parcel: Instant,
    rounds: u8,
    next_name: u32,
}

impl Relays {
    pub(crate) const NONE: Self = Relays {
        parcels: Vec::new(),
        legs: Vec::new(),
        taken: [0; TAKEN],
        next_taken: 0,
        outbox: Vec::new(),
        last_parcel: Instant::ZERO,
        rounds: 0,
        next_name: 0,
    };

    /// Has everybody told of this record; false if too much else waits to be told.
    pub(crate) fn tell(&mut self, index: Index, now: Instant, config: &Config) -> bool {
        if self.outbox.contains(&index) {
            return true;
        }
        if self.outbox.is_empty() && now >= self.last_parcel.after(config.gossip_gap << (self.rounds + 1).min(8)) {
            self.rounds = 0;
        }
        self.outbox.push(index).is_ok()
    }

    /// Whether all that was to be told has been acknowledged, or given up.
    pub(crate) fn is_done(&self) -> bool {
        self.outbox.is_empty() && self.legs.is_empty()
    }

    /// When there is something to do next.
    pub(crate) fn due(&self, config: &Config) -> Instant {
        let legs = self.legs.iter().map(|leg| leg.next).min().unwrap_or(Instant::FAR_FUTURE);
        if self.outbox.is_empty() || !self.has_room(config) {
            return legs;
        }
        legs.min(self.next_parcel(config))
    }

    /// The first parcel after a quiet time leaves at once; while there is more and more to tell, ever more rides
    /// together.
    fn next_parcel(&self, config: &Config) -> Instant {
        if self.outbox.is_full() { self.last_parcel } else { self.last_parcel.after(config.gossip_gap << self.rounds) }
    }

    pub(crate) fn has_room(&self, config: &Config) -> bool {
        !self.parcels.is_full() && self.legs.len() + ways(config) < LEGS
    }

    /// Sends off what waits, and tries again where no acknowledgement came.
    pub(crate) fn tick<A: Address, S: Storage>(&mut self, unit: u64, cx: &mut Context<'_, A, S>) {
        for leg in &mut self.legs {
            leg.tick(unit, cx);
        }
        // What is given up makes room for what waits.
        self.forget_done();
        if !self.outbox.is_empty() && self.has_room(cx.config) && cx.now >= self.next_parcel(cx.config) {
            let len = self.outbox.len().min(capacity::<A>(cx.config));
            let parcel = self.outbox.iter().copied().take(len).collect();
            self.outbox = self.outbox.iter().copied().skip(len).collect();
            (self.last_parcel, self.rounds) = (cx.now, (self.rounds + 1).min(MOST_ROUNDS));
            self.pass_on(parcel, Share::ALL, unit, cx);
        }
    }

    /// Passes a parcel on to all members of a share but this node.
    pub(crate) fn pass_on<A: Address, S: Storage>(
        &mut self,
        records: Vec<Index, PARCEL>,
        share: Share,
        unit: u64,
        cx: &mut Context<'_, A, S>,
    ) {
        let name = self.next_name;
        self.next_name = name.wrapping_add(1);
        let parcel = Parcel { name, records };
        for share in cut(share, ways(cx.config), cx.members) {
            let Some(delegate) = choose(share, None, &parcel.records, cx) else { continue };
            let number = cx.rng.next_u32() | 1;
            let mut leg = Leg { parcel: name, share, delegate, number, tries: 0, cost: 0, next: cx.now, owed: false };
            leg.tick(unit, cx);
            let _ = self.legs.push(leg);
        }
        let _ = self.parcels.push(parcel);
        self.forget_done();
    }

    fn forget_done(&mut self) {
        self.legs.retain(|leg| leg.cost < MOST_COST);
        let legs = &self.legs;
        self.parcels.retain(|parcel| legs.iter().any(|leg| leg.parcel == parcel.name));
    }

    /// Gives up everything under way: nobody answers.
    pub(crate) fn clear(&mut self) {
        (self.legs, self.parcels, self.outbox) = (Vec::new(), Vec::new(), Vec::new());
    }

    // What others send.

    /// Whether a parcel of this number has been taken before.
    pub(crate) fn has_taken(&self, number: u32) -> bool {
        self.taken.contains(&number)
    }

    pub(crate) fn take(&mut self, number: u32) {
        if let Some(place) = self.taken.get_mut(usize::from(self.next_taken)) {
            *place = number;
        }
        self.next_taken = (self.next_taken + 1) % TAKEN as u8;
    }

    /// Takes a delegate's acknowledgement; one who cannot pass the parcel on is replaced. False if it is none.
    pub(crate) fn on_ack<A: Address, S: Storage>(
        &mut self,
        from: NodeId,
        number: u32,
        passes_on: bool,
        cx: &mut Context<'_, A, S>,
    ) -> bool {
        let asked = |leg: &Leg| leg.number == number && leg.delegate == from;
        if !self.legs.iter().any(asked) {
            return false;
        }
        if passes_on {
            self.legs.retain(|leg| !asked(leg));
            self.forget_done();
        } else {
            self.hand_on(asked, cx);
        }
        true
    }

    /// This member knows what is told, and cannot be asked to pass it on.
    pub(crate) fn do_without<A: Address, S: Storage>(&mut self, delegate: NodeId, cx: &mut Context<'_, A, S>) {
        self.hand_on(|leg| leg.delegate == delegate, cx);
    }

    /// Hands these legs to other delegates, and gives up those for which there is none.
    fn hand_on<A: Address, S: Storage>(&mut self, which: impl Fn(&Leg) -> bool, cx: &mut Context<'_, A, S>) {
        self.legs.retain(|leg| {
            !which(leg) || choose(leg.share, Some(leg.delegate), &[], cx).is_some_and(|other| other != leg.delegate)
        });
        for leg in self.legs.iter_mut().filter(|leg| which(leg)) {
            leg.replace(UNABLE, cx);
        }
        self.forget_done();
    }

    // What is to be sent.

    /// Whom to send a parcel to next, and the number.
    pub(crate) fn owed(&self) -> Option<(NodeId, u32)> {
        self.legs.iter().find(|leg| leg.owed).map(|leg| (leg.delegate, leg.number))
    }

    /// The share and the records that go under this number.
    pub(crate) fn content(&self, number: u32) -> Option<(Share, &[Index])> {
        let leg = self.legs.iter().find(|leg| leg.number == number)?;
        let parcel = self.parcels.iter().find(|parcel| parcel.name == leg.parcel)?;
        Some((leg.share, &parcel.records))
    }

    pub(crate) fn sent(&mut self, number: u32) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.number == number) {
            leg.owed = false;
        }
    }
}

impl Leg {
    /// Tries the delegate again at gaps that double, and after the third time another one.
    fn tick<A: Address, S: Storage>(&mut self, unit: u64, cx: &mut Context<'_, A, S>) {
        if cx.now < self.next {
            return;
        }
        let lives = cx.members.find(self.delegate).is_some_and(|index| cx.members.is_live(index));
        if self.tries >= TRIES || !lives {
            self.replace(SILENT, cx);
        }
        self.next = cx.now.after(unit << self.tries);
        self.tries += 1;
        self.owed = self.cost < MOST_COST;
    }

    /// Hands the share to the next delegate in it, or to the same if there is no other.
    fn replace<A: Address, S: Storage>(&mut self, cost: u8, cx: &mut Context<'_, A, S>) {
        self.cost = self.cost.saturating_add(cost);
        (self.tries, self.next, self.owed) = (0, cx.now, false);
        match choose(self.share, Some(self.delegate), &[], cx) {
            Some(delegate) if delegate != self.delegate => {
                (self.delegate, self.number) = (delegate, cx.rng.next_u32() | 1);
            }
            Some(_) => {}
            None => self.cost = MOST_COST,
        }
    }
}

/// How many records fit a datagram of this node's, whatever they are.
pub(crate) fn capacity<A: Address>(config: &Config) -> usize {
    let most = crate::wire::most_of_record::<A>();
    ((config.max_datagram() - crate::wire::MOST_BEFORE_RECORDS) / most).clamp(1, PARCEL)
}

fn ways(config: &Config) -> usize {
    usize::from(config.fanout).clamp(2, WAYS)
}

/// Cuts a share at this node's place and divides the rest: by the members in it if they are few enough to be counted,
/// else by its width, as ids are spread evenly.
fn cut<A: Address, S: Storage>(share: Share, ways: usize, members: &Members<A, S>) -> Vec<Share, { WAYS + 2 }> {
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
    shares: &mut Vec<Share, { WAYS + 2 }>,
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

fn by_width(side: Share, width: u32, shares: &mut Vec<Share, { WAYS + 2 }>) {
    let mut low = side.low;
    while side.high - low >= width && shares.len() < WAYS {
        let _ = shares.push(Share { low, high: low + (width - 1) });
        low += width;
    }
    let _ = shares.push(Share { low, high: side.high });
}

/// The living others that stand in a share, in order.
fn live_in<A: Address, S: Storage>(share: Share, members: &Members<A, S>) -> impl Iterator<Item = (u32, Index)> {
    let all = members.ordered_from(u64::from(share.low) << 32).map(|(place, index)| (cell(place), index));
    all.take_while(move |(here, _)| *here <= share.high)
        .filter(|(_, index)| *index != MYSELF && members.is_live(*index))
}

/// A delegate in this share: the next behind `after`, or behind a random place, around the share. Better one that was
/// heard, is not suspected and does not sleep, and that the parcel is not about.
fn choose<A: Address, S: Storage>(
    share: Share,
    after: Option<NodeId>,
    parcel: &[Index],
    cx: &mut Context<'_, A, S>,
) -> Option<NodeId> {
    let start = match after {
        Some(id) => cell(cx.members.place(id)).saturating_add(1),
        None => share.low + ((u64::from(cx.rng.next_u32()) * u64::from(share.high - share.low)) >> 32) as u32,
    };
    let (start, members) = (start.clamp(share.low, share.high), &*cx.members);
    let around = || live_in(Share { low: start, ..share }, members).chain(live_in(share, members));
    let sound = |(_, index): &(u32, Index)| {
        let awake = |member: Member<A>| member.status() == Status::Alive && member.record.patience == 0;
        let answers = members.is_heard(*index) && members.member(*index).is_some_and(awake);
        answers && !parcel.contains(index)
    };
    let id_of = |(_, index): (u32, Index)| members.get(index).map(|record| record.id);
    let other = |at: &(u32, Index)| after.is_none() || id_of(*at) != after;
    let best = around().take(LOOK).filter(other).find(sound).or_else(|| around().find(other));
    best.or_else(|| around().next()).and_then(id_of)
}

fn cell(place: u64) -> u32 {
    (place >> 32) as u32
}
