//! Turns: nobody asks more often than is right, and who asks as often as is right is never refused.

use crate::member::NodeId;
use crate::storage::{Fixed, Heap, Storage};
use crate::time::Instant;
use crate::turns::Turns;

/// How many of so many questions, one each time so many microseconds later, are answered.
fn answered(count: u64, apart: u64) -> usize {
    let mut turns = Turns::<Heap>::NEW;
    let times = (0..count).map(|turn| Instant::from_micros(turn * apart));
    times.filter(|now| turns.take(NodeId::new(1), true, *now)).count()
}

#[test]
fn a_peer_is_answered_eight_times_at_once_and_then_every_fifty_milliseconds() {
    assert_eq!(answered(100, 0), 8);
    // A thousand a second, for ten seconds.
    assert_eq!(answered(10_000, 1_000), 8 + 10_000 / 50 - 1);
    assert_eq!(answered(1_000, 50_000), 1_000, "who asks no more often is never refused");
}

fn crowd_out<S: Storage>() {
    let mut turns = Turns::<S>::NEW;
    let places = turns.places();
    let taken = (0..100).filter(|peer| turns.take(NodeId::new(*peer), false, Instant::ZERO)).count();
    assert_eq!(taken, places / 2, "of many that may not be where they say");
    let taken = (100..200).filter(|peer| turns.take(NodeId::new(*peer), true, Instant::ZERO)).count();
    assert_eq!(taken, places - places / 2, "of many that are");
    let later = Instant::from_millis(51);
    assert!(turns.take(NodeId::new(300), true, later), "a place ends when what was asked is paid for");
}

#[test]
fn senders_that_may_not_be_where_they_say_leave_half_of_the_places_to_others() {
    crowd_out::<Heap>();
    crowd_out::<Fixed<32>>();
}
