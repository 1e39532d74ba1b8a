//! Who in a range is asked to pass a job on.

use super::cut::{LOOK, Range32, cell, live_in};
use super::{Context, Job, Parcel, Unresponsive};
use crate::member::{Address, Member, NodeId, Record, Status};
use crate::members::Index;
use crate::storage::Storage;

/// Which members make good delegates for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference<'p> {
    Any,
    /// One that listens to any of these topics: it passes on the payload, and others a message without it.
    Listens(u32),
    /// None of these: they may not be there any more.
    Not(&'p [Index]),
}

impl<'p> Preference<'p> {
    /// For a job, where these are the parcels on their way.
    pub(super) fn of(job: Job, parcels: &'p [Parcel]) -> Self {
        match job {
            Job::Parcel(name) => {
                let parcel = parcels.iter().find(|parcel| parcel.name == name);
                parcel.map_or(Preference::Any, |parcel| Preference::Not(&parcel.records))
            }
            Job::Message(message) => Preference::Listens(message.topics),
            Job::Delta(_) => Preference::Any,
        }
    }

    fn fits<A>(self, index: Index, record: &Record<A>) -> bool {
        match self {
            Preference::Any => true,
            Preference::Listens(topics) => record.topics & topics != 0,
            Preference::Not(those) => !those.contains(&index),
        }
    }
}

/// A delegate in this range: the next behind `after`, or behind a random place, around the range. A preferred one comes
/// first, if it was heard, is awake, and is neither suspect nor unresponsive; then one of which all but the first is true; then
/// any.
#[inline(never)] // for all kinds of jobs
pub(super) fn choose<A: Address, S: Storage>(
    range: Range32,
    after: Option<NodeId>,
    preference: Preference<'_>,
    unresponsive: &[Unresponsive],
    context: &mut Context<'_, A, S>,
) -> Option<NodeId> {
    let start = match after {
        Some(id) => cell(context.members.place(id)).saturating_add(1),
        None => {
            let width = u64::from(range.high - range.low);
            range.low + ((u64::from(context.rng.next_u32()) * width) >> 32) as u32
        }
    };
    let (start, members) = (start.max(range.low).min(range.high), context.members);
    let around = || live_in(Range32 { low: start, ..range }, members).chain(live_in(range, members));
    let id_of = |(_, index): (u32, Index)| members.get(index).map(|record| record.id);
    let sound = |at: &(u32, Index)| {
        let awake = |member: Member<A>| {
            let silent = unresponsive.iter().any(|(id, _)| *id == member.id());
            member.status() == Status::Alive && member.record.patience == 0 && !silent
        };
        members.is_heard(at.1) && members.member(at.1).is_some_and(awake)
    };
    let other = |at: &(u32, Index)| after.is_none() || id_of(*at) != after;
    let near = || around().take(LOOK).filter(other);
    let best = near()
        .find(|at| sound(at) && members.get(at.1).is_some_and(|record| preference.fits(at.1, record)))
        .or_else(|| near().find(sound));
    best.or_else(|| around().find(other)).or_else(|| around().next()).and_then(id_of)
}
