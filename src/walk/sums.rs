//! Sums of equal parts of a range, over the sums that the member table keeps of its blocks.

use super::Range;
use crate::hash::mix;
use crate::member::Address;
use crate::members::{Look, Members, Sum};
use crate::storage::Storage;
use crate::wire::{Parts, Reader, What, Writer, kind};

/// The logarithm of the most sums in a datagram.
const MOST_PARTS: u32 = 4;

/// What stands for a range; `None` if it would take too long to sum up. A salt of its own for each question keeps two
/// bytes from colliding for ever.
fn sum<A: Address, S: Storage>(
    what: What,
    range: Range,
    salt: u32,
    members: &Members<A, S>,
    look: &mut Look,
) -> Option<u16> {
    let quantity = match what {
        What::Records => Sum::Living,
        What::Positions => Sum::Positions,
    };
    let sum = members.within(range, quantity, look)?;
    Some(if sum == 0 { 0 } else { (mix(sum ^ u64::from(salt)) >> 48) as u16 })
}

/// Writes the sums of the parts of a range, of as many as fit.
pub(super) fn write_sums<A: Address, S: Storage>(
    what: What,
    (low, high): Range,
    salt: u32,
    members: &Members<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let frame = writer.begin(kind::SUMS)?;
    let fill = |writer: &mut Writer<'_>| {
        writer.u8(what as u8)?;
        writer.u64(low)?;
        writer.u64(high)?;
        writer.u32(salt)?;
        let Some(log) = (writer.room() / 2).checked_ilog2() else { return writer.no_room() };
        let parts = Parts { low, high, log: log.min(MOST_PARTS) as u8, meant: 0 };
        let (mut rest, mut look) = (1 << parts.log, Look::NEW);
        for range in parts.ranges() {
            // What it would take too long to sum up is to be found different.
            writer.u16(sum(what, range, salt, members, &mut look).unwrap_or(1))?;
            rest -= 1;
        }
        (0..rest).try_for_each(|_: i32| writer.u16(0))
    };
    match fill(writer) {
        Some(()) => writer.end(frame),
        None => writer.cancel(frame),
    }
}

/// Compares the sums of another's parts with the own; `None` if they are not as many as a power of two.
pub(crate) fn compare_sums<A: Address, S: Storage>(
    members: &Members<A, S>,
    what: What,
    (low, high): Range,
    salt: u32,
    mut sums: Reader<'_>,
) -> Option<Parts> {
    let count = sums.len() / 2;
    if !count.is_power_of_two() || count > 1 << MOST_PARTS {
        return None;
    }
    let mut parts = Parts { low, high, log: count.ilog2() as u8, meant: 0 };
    let mut look = Look::NEW;
    for (at, range) in parts.ranges().enumerate() {
        let (theirs, own) = (sums.u16()?, sum(what, range, salt, members, &mut look));
        parts.meant |= u32::from(own != Some(theirs)) << at;
    }
    Some(parts)
}

impl Parts {
    /// The parts, in order; of a range of less than so many places there are fewer.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range> + use<> {
        let parts = *self;
        (0..1 << self.log().min(MOST_PARTS)).map_while(move |at| parts.range(at))
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn range(&self, at: u64) -> Option<Range> {
        let span = (self.high - self.low) >> self.log().min(MOST_PARTS);
        let start = self.low.checked_add(at.checked_mul(span)?)?.checked_add(at)?;
        (start <= self.high).then(|| (start, start.saturating_add(span).min(self.high)))
    }

    fn log(&self) -> u32 {
        self.log.into()
    }

    pub(super) fn meant(&self) -> impl Iterator<Item = Range> + use<> {
        let meant = self.meant;
        self.ranges().zip(0..).filter(move |(_, at)| meant >> at & 1 == 1).map(|(range, _)| range)
    }

    /// The first of those that are meant, with its neighbours.
    pub(crate) fn first_meant(&self) -> Option<Range> {
        let mut meant = self.meant();
        let first = meant.next()?;
        Some(meant.fold(first, |run, next| if run.1.checked_add(1) == Some(next.0) { (run.0, next.1) } else { run }))
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        writer.frame(kind::PARTS, |body| {
            body.u64(self.low)?;
            body.u64(self.high)?;
            body.u8(self.log)?;
            body.u32(self.meant)
        })
    }
}
