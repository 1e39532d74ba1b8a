//! Time at its edges: nothing wraps, and what is rounded is rounded up.

use core::time::Duration;

use proptest::prelude::*;

use crate::time::{Clock, Instant, micros};
use crate::unit::property::check;

/// Numbers of every length, and those next to the greatest.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0..64u32).prop_map(|(bits, short)| bits >> short),
        (0..10u64).prop_map(|low| u64::MAX - low)
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    (number(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

/// What 128 bits make of it.
fn clamped(exact: u128) -> u64 {
    exact.try_into().unwrap_or(u64::MAX)
}

#[test]
fn a_duration_is_rounded_up_to_microseconds_and_stops_at_the_greatest() {
    check(2_000, duration(), |duration| {
        assert_eq!(micros(duration), clamped(duration.as_nanos().div_ceil(1_000)), "{duration:?}");
    });
    let nanos = [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (999_999_999, 1_000_000)];
    for (nanos, rounded) in nanos {
        assert_eq!(micros(Duration::from_nanos(nanos)), rounded, "{nanos} ns");
    }
    assert_eq!(micros(Duration::MAX), u64::MAX);
}

#[test]
fn adding_is_exact_and_stops_in_the_far_future() {
    check(2_000, (number(), duration()), |(begun, duration)| {
        let exact = u128::from(begun) + duration.as_nanos().div_ceil(1_000);
        let sum = Instant::from_micros(begun) + duration;
        assert_eq!(sum.as_micros(), clamped(exact));
        assert_eq!(Instant::from_micros(begun).after(clamped(duration.as_nanos().div_ceil(1_000))), sum);
    });
    assert_eq!(Instant::FAR_FUTURE + Duration::from_nanos(1), Instant::FAR_FUTURE);
    assert_eq!(Instant::FAR_FUTURE + Duration::MAX, Instant::FAR_FUTURE);
    assert_eq!(Instant::from_micros(u64::MAX - 1) + Duration::from_nanos(1), Instant::FAR_FUTURE);
}

#[test]
fn a_difference_is_exact_and_never_less_than_nothing() {
    check(2_000, (number(), number()), |(a, b)| {
        let (one, other) = (Instant::from_micros(a), Instant::from_micros(b));
        let exact = a.saturating_sub(b);
        assert_eq!((one.since(other), one.duration_since(other)), (exact, Duration::from_micros(exact)));
        assert_eq!(other + one.duration_since(other), one.max(other), "and leads back");
        assert_eq!(one.cmp(&other), a.cmp(&b), "later is greater");
    });
}

#[test]
fn milliseconds_stop_at_the_greatest_and_time_is_shown_in_seconds() {
    check(500, number(), |millis| {
        assert_eq!(Instant::from_millis(millis).as_micros(), clamped(u128::from(millis) * 1_000));
    });
    assert_eq!(std::format!("{}", Instant::from_micros(12_000_034)), "12.000034 s");
    assert_eq!(std::format!("{} {}", Instant::ZERO, Instant::FAR_FUTURE), "0.000000 s never");
}

#[test]
fn a_wait_is_whole_milliseconds_neither_none_nor_endless_and_never_too_short() {
    let clock = Clock::start();
    check(500, number(), |ahead| {
        let before = clock.now();
        let deadline = before.after(ahead);
        let wait = clock.until(deadline);
        let after = clock.now();
        assert!(wait >= Duration::from_millis(1) && wait <= Clock::LONGEST_WAIT, "{wait:?}");
        assert_eq!(wait.subsec_nanos() % 1_000_000, 0, "{wait:?}");
        let enough = deadline.duration_since(after).min(Clock::LONGEST_WAIT);
        let least = Duration::from_millis(1);
        let too_much = (deadline.duration_since(before) + least).max(least).min(Clock::LONGEST_WAIT);
        assert!(wait >= enough && wait <= too_much, "{wait:?} for {ahead} us");
    });
    assert_eq!(clock.until(Instant::ZERO), Duration::from_millis(1), "what is overdue");
    assert_eq!(clock.until(Instant::FAR_FUTURE), Clock::LONGEST_WAIT);
}
