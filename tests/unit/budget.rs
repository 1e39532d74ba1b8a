//! The byte budget: never more than it allows for long, never less than each is promised, and nobody waits for nothing.

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::budget::{Budget, Class};
use crate::config::Config;
use crate::time::Instant;
use crate::unit::property::check;

const CLASSES: [Class; 4] = [Class::News, Class::Sync, Class::Casts, Class::State];

fn config(bytes: u32) -> Config {
    Config::builder(Config::LAN).byte_budget(bytes).build().expect("a sound budget")
}

/// A budget, how large the datagrams are that want to be sent, and how the time passes between them in microseconds.
fn plays() -> impl Strategy<Value = (u32, Vec<(usize, u64)>)> {
    let budget = prop_oneof![16..200u32, 200..100_000u32, 100_000..=1u32 << 30];
    let pause = prop_oneof![Just(0), 0..50_000u64, 0..20_000_000u64];
    (budget, vec((25..1_200usize, pause), 1..200))
}

/// The most that can have been saved up, by every class and in common.
fn saved(bytes: u32) -> u64 {
    5 * u64::from(2 * bytes).max(2 * 1_200)
}

/// What may be sent in this time, in bytes: 5 % more than the budget says, as its second is 2^20 microseconds.
fn allowed(bytes: u32, micros: u64) -> u64 {
    (u128::from(bytes) * u128::from(micros) * 105 / 100_000_000) as u64
}

#[test]
fn what_can_wait_stays_within_the_budget_whoever_sends_it() {
    check(300, (plays(), any::<u64>()), |((bytes, sends), choice)| {
        let config = config(bytes);
        let (mut now, mut sent) = (Instant::ZERO, 0);
        let mut budget = Budget::full(now, &config);
        for (turn, (len, pause)) in sends.into_iter().enumerate() {
            now = now.after(pause);
            let class = CLASSES[(choice >> (turn % 61) & 7) as usize % CLASSES.len()];
            if budget.allows(class, now, &config) {
                assert!(budget.room(class, now, &config) > 0, "who may send has room");
                budget.spend(len, (class, len), now, &config);
                sent += len as u64;
            }
            // Each class may be a datagram in debt.
            let most = saved(bytes) + allowed(bytes, now.as_micros()) + 3 * 1_200;
            assert!(sent <= most, "{sent} bytes of {most} after {now}");
        }
    });
}

#[test]
fn who_has_to_wait_may_send_when_it_was_told_to_come_back() {
    check(300, plays(), |(bytes, sends)| {
        let config = config(bytes);
        let mut now = Instant::ZERO;
        let mut budget = Budget::full(now, &config);
        for (len, pause) in sends {
            now = now.after(pause);
            for class in CLASSES {
                let ready = budget.ready(class, now, &config);
                let allows = budget.allows(class, now, &config);
                assert_eq!(ready == now, allows, "who may send need not wait, and who must not, must");
                assert!(budget.allows(class, ready, &config), "{class:?} told to wait from {now} until {ready}");
                let longest = now.after(10_000_000_000 / u64::from(bytes) + 128);
                assert!(ready <= longest, "{class:?} waits from {now} until {ready} to pay off a datagram");
            }
            if budget.allows(Class::News, now, &config) {
                budget.spend(len, (Class::News, len), now, &config);
            }
        }
    });
}

#[test]
fn a_class_has_its_share_however_much_another_and_the_probes_want() {
    check(100, (200..100_000u32, 0..12usize, 25..1_200usize), |(bytes, pair, len)| {
        let config = config(bytes);
        let (greedy, modest) = (CLASSES[pair % 4], CLASSES[(pair + 1 + pair / 4) % 4]);
        let mut now = Instant::ZERO;
        let mut budget = Budget::full(now, &config);
        let (mut greedy_sent, mut modest_sent) = (0u64, 0u64);
        // The greedy one and the probes send whatever is let through, the modest one when it may.
        let step = 1_000_000_000 / u64::from(bytes).max(1);
        for _ in 0..2_000 {
            now = now.after(step / 8);
            budget.spend(len, (greedy, 0), now, &config);
            for (class, sent) in [(greedy, &mut greedy_sent), (modest, &mut modest_sent)] {
                if budget.allows(class, now, &config) {
                    budget.spend(len, (class, len), now, &config);
                    *sent += len as u64;
                }
            }
        }
        let whole = allowed(bytes, now.as_micros()) * 100 / 105;
        let share = whole / 8 * if matches!(modest, Class::News | Class::Sync) { 2 } else { 1 };
        // It never wants more than one datagram a turn.
        let promised = share.min(2_000 * len as u64);
        assert!(modest_sent + 1_200 >= promised, "{modest_sent} of {promised} bytes; the other {greedy_sent}");
    });
}

#[test]
fn without_a_budget_nobody_waits_and_nothing_is_counted() {
    let mut budget = Budget::full(Instant::ZERO, &Config::LAN);
    let before = budget;
    for class in CLASSES {
        budget.spend(60_000, (class, 60_000), Instant::from_millis(1), &Config::LAN);
        assert!(budget.allows(class, Instant::ZERO, &Config::LAN));
        assert_eq!(budget.ready(class, Instant::ZERO, &Config::LAN), Instant::ZERO);
        assert_eq!(budget.room(class, Instant::ZERO, &Config::LAN), usize::MAX);
    }
    assert_eq!(budget, before);
}

#[test]
fn the_end_of_time_and_a_time_that_does_not_pass_overflow_nothing() {
    for bytes in [16, 1 << 30] {
        let config = config(bytes);
        let mut budget = Budget::full(Instant::ZERO, &config);
        for now in [Instant::FAR_FUTURE, Instant::ZERO, Instant::FAR_FUTURE] {
            for class in CLASSES {
                budget.spend(65_507, (class, 65_507), now, &config);
                budget.spend(65_507, (class, 0), now, &config);
                assert!(budget.ready(class, now, &config) >= now);
            }
        }
    }
}
