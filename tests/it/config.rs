//! Settings: what is built runs, what is refused says why. Examples first, then settings at random.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::property::check;
use proptest::prelude::*;
use tidings::sim::{Conditions, Safety, Sim};
use tidings::{Config, ConfigBuilder, ConfigError, HeapNode, Limits, MAX_DATAGRAM, MIN_DATAGRAM, Status};

fn lan() -> ConfigBuilder {
    Config::builder(Config::LAN)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn every_rule_refuses_just_outside_its_bounds_and_names_itself() {
    let outside = [
        (lan().max_datagram(MIN_DATAGRAM - 1), ConfigError::DatagramSize),
        (lan().max_datagram(MAX_DATAGRAM + 1), ConfigError::DatagramSize),
        (lan().max_datagram(usize::MAX), ConfigError::DatagramSize),
        (lan().probe_period(ms(9)), ConfigError::ProbePeriod),
        (lan().probe_period(HOUR + ms(1)), ConfigError::ProbePeriod),
        (lan().first_retry(Duration::from_micros(999)), ConfigError::FirstRetry),
        (lan().first_retry(ms(251)), ConfigError::FirstRetry),
        (lan().suspicion(ms(199)), ConfigError::Suspicion),
        (lan().suspicion(24 * HOUR + ms(1)), ConfigError::Suspicion),
        (lan().gossip_gap(Duration::from_micros(999)), ConfigError::GossipGap),
        (lan().gossip_gap(ms(1_001)), ConfigError::GossipGap),
        (lan().fanout(0), ConfigError::Fanout),
        (lan().fanout(17), ConfigError::Fanout),
        (lan().patience(Duration::from_secs(16_385)), ConfigError::Patience),
        (lan().patience(Duration::MAX), ConfigError::Patience),
        (lan().dead_probe_period(ms(999)), ConfigError::DeadProbePeriod),
        (lan().dead_probe_period(24 * HOUR + ms(1)), ConfigError::DeadProbePeriod),
        (lan().leave_timeout(ms(24)), ConfigError::LeaveTimeout),
        (lan().leave_timeout(HOUR + ms(1)), ConfigError::LeaveTimeout),
        (lan().delivery_timeout(ms(24)), ConfigError::DeliveryTimeout),
        (lan().delivery_timeout(24 * HOUR + ms(1)), ConfigError::DeliveryTimeout),
        (lan().state_retention(ms(999)), ConfigError::StateRetention),
        (lan().state_retention(24 * HOUR + ms(1)), ConfigError::StateRetention),
        (lan().dead_retention(ms(59_999)), ConfigError::DeadRetention),
        (lan().dead_retention(720 * HOUR + ms(1)), ConfigError::DeadRetention),
        (lan().left_retention(ms(59_999)), ConfigError::LeftRetention),
        (lan().left_retention(720 * HOUR + ms(1)), ConfigError::LeftRetention),
        (lan().byte_budget(15), ConfigError::ByteBudget),
        (lan().byte_budget((1 << 30) + 1), ConfigError::ByteBudget),
    ];
    for (builder, rule) in outside {
        assert_eq!(builder.build(), Err(rule), "{builder:?}");
        assert!(rule.to_string().contains(" must be "), "{rule}");
    }
}

#[test]
fn every_rule_accepts_its_bounds_and_gives_them_back() {
    let config = lan().max_datagram(MAX_DATAGRAM).probe_period(HOUR).dead_probe_period(24 * HOUR).build().unwrap();
    assert_eq!((config.max_datagram(), config.probe_period()), (MAX_DATAGRAM, HOUR));
    assert_eq!(config.dead_probe_period(), 24 * HOUR);
    let config =
        lan().first_retry(ms(250)).suspicion(ms(2_000)).gossip_gap(ms(1)).leave_timeout(ms(250)).build().unwrap();
    assert_eq!((config.first_retry(), config.suspicion()), (ms(250), ms(2_000)));
    assert_eq!((config.gossip_gap(), config.leave_timeout()), (ms(1), ms(250)));
    for bound in [lan().build().unwrap().first_retry(), 24 * HOUR] {
        assert_eq!(lan().delivery_timeout(bound).build().map(|config| config.delivery_timeout()), Ok(bound));
    }
    for bound in [ms(1_000), 24 * HOUR] {
        assert_eq!(lan().state_retention(bound).build().map(|config| config.state_retention()), Ok(bound));
    }
    for bound in [ms(60_000), 720 * HOUR] {
        assert_eq!(lan().dead_retention(bound).build().map(|config| config.dead_retention()), Ok(bound));
        assert_eq!(lan().left_retention(bound).build().map(|config| config.left_retention()), Ok(bound));
    }
    for (asked, given) in [(0, 0), (1, 2), (2, 2), (3, 4), (100, 128), (16_384, 16_384)] {
        let config = lan().patience(Duration::from_secs(asked)).build().unwrap();
        assert_eq!(config.patience(), Duration::from_secs(given), "a power of two, rounded up");
    }
}

#[test]
fn every_preset_is_one_that_the_builder_accepts() {
    for preset in [Config::LAN, Config::WAN, Config::LOCAL, Config::LOW_POWER] {
        assert_eq!(Config::builder(preset).build(), Ok(preset));
    }
}

#[test]
fn extreme_settings_run() {
    let shortest = lan().probe_period(ms(10)).first_retry(ms(1)).suspicion(ms(8)).gossip_gap(ms(1)).fanout(16);
    let smallest = lan().max_datagram(MIN_DATAGRAM).fanout(1);
    let largest = lan().max_datagram(MAX_DATAGRAM);
    for builder in [shortest, smallest, largest] {
        let config = builder.build().unwrap();
        // Faster than the probes of the shortest.
        let weather = Conditions::LAN.with_latency(Duration::from_micros(100), Duration::from_micros(200));
        let mut sim = Sim::<HeapNode<u32>>::new(1, weather);
        for host in 0..12 {
            sim.add(HeapNode::new(config, Limits::DEFAULT));
            sim.start(host, &[0]);
        }
        let agreed = sim.run_until_agreed(ms(20), Duration::from_secs(20));
        assert!(agreed.is_some(), "{builder:?}");
    }
}

#[test]
fn the_shortest_suspicions_still_find_a_crash() {
    for suspicion in [8, 16, 50, 60] {
        let hasty = lan().probe_period(ms(20)).first_retry(ms(1)).suspicion(ms(suspicion)).gossip_gap(ms(1));
        let weather = Conditions::LAN.with_latency(Duration::from_micros(20), Duration::from_micros(50));
        let mut sim = Sim::<HeapNode<u32>>::new(suspicion, weather);
        for host in 0..8 {
            sim.add(HeapNode::new(hasty.build().unwrap(), Limits::DEFAULT));
            sim.start(host, &[0]);
        }
        sim.run_for(Duration::from_secs(1));
        sim.crash(3);
        let known = sim.run_until_all_report(3, Status::Down, Duration::from_secs(5));
        assert!(known.is_some(), "a suspicion of {suspicion} ms");
    }
}

#[test]
fn members_who_may_hardly_send_anything_answer_those_who_compare_with_them() {
    // The probes alone take thirty times the budget, and all that is saved up for comparing is spent on asking.
    let tight =
        lan().max_datagram(MIN_DATAGRAM).probe_period(ms(10)).first_retry(ms(1)).suspicion(ms(8)).gossip_gap(ms(1));
    let config = tight.byte_budget(90).build().unwrap();
    for seed in 0..200 {
        let weather = Conditions::LAN.with_latency(Duration::from_micros(100), Duration::from_micros(500));
        let mut sim = Sim::<HeapNode<u32>>::new(seed, weather);
        for host in 0..5 {
            sim.add(HeapNode::new(config, Limits::DEFAULT.with_members(16)));
            sim.start(host, &[0]);
        }
        // The budget is enough for six questions in ten seconds, of which the right one need not be among the first.
        let agreed = sim.run_until_agreed(ms(10), Duration::from_secs(30));
        assert!(agreed.is_some(), "seed {seed}");
    }
}

#[test]
fn settings_change_on_a_running_node_and_not_its_cluster() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for host in 0..4 {
        sim.add(HeapNode::new(Config::LOW_POWER, Limits::DEFAULT));
        sim.start(host, &[0]);
    }
    sim.run_for(Duration::from_secs(10));
    let before = sim.machine(1).unwrap().stats().probes;
    sim.with(1, |node, now| {
        assert_eq!(node.set_config(now, Config::LAN.with_cluster("other")), Err(ConfigError::ClusterChanged));
        assert_eq!(*node.config(), Config::LOW_POWER, "and nothing else changed");
        node.set_config(now, Config::LAN).unwrap();
        assert_eq!(*node.config(), Config::LAN);
    });
    sim.run_for(Duration::from_secs(10));
    let probes = sim.machine(1).unwrap().stats().probes - before;
    assert!((9..=11).contains(&probes), "{probes} probes in 10 s, at one a second from the change on");
}

// Settings at random.

const SECOND: u64 = 1_000_000;
const HOUR_MICROS: u64 = 3_600 * SECOND;

/// What a caller may ask for; times in nanoseconds, as a `Duration` has them.
#[derive(Clone, Debug)]
struct Wish {
    max_datagram: usize,
    probe_period: u128,
    first_retry: u128,
    suspicion: u128,
    gossip_gap: u128,
    fanout: u8,
    patience: u128,
    dead_probe_period: u128,
    leave_timeout: u128,
    delivery_timeout: u128,
    state_retention: u128,
    dead_retention: u128,
    left_retention: u128,
    byte_budget: u32,
}

fn duration(nanos: u128) -> Duration {
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
}

/// Microseconds, of which a part counts as one.
fn micros(nanos: u128) -> u64 {
    nanos.div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

impl Wish {
    fn build(&self) -> Result<Config, ConfigError> {
        Config::builder(Config::LAN)
            .max_datagram(self.max_datagram)
            .probe_period(duration(self.probe_period))
            .first_retry(duration(self.first_retry))
            .suspicion(duration(self.suspicion))
            .gossip_gap(duration(self.gossip_gap))
            .fanout(self.fanout)
            .patience(duration(self.patience))
            .dead_probe_period(duration(self.dead_probe_period))
            .leave_timeout(duration(self.leave_timeout))
            .delivery_timeout(duration(self.delivery_timeout))
            .state_retention(duration(self.state_retention))
            .dead_retention(duration(self.dead_retention))
            .left_retention(duration(self.left_retention))
            .byte_budget(self.byte_budget)
            .build()
    }

    /// The rules as the documentation states them, in its order, and whether each is kept.
    fn rules(&self) -> [(ConfigError, bool); 14] {
        let (period, retry) = (micros(self.probe_period), micros(self.first_retry));
        let within = |nanos: u128, least: u64, most: u64| (least..=most).contains(&micros(nanos));
        [
            (ConfigError::DatagramSize, (96..=65_507).contains(&self.max_datagram)),
            (ConfigError::ProbePeriod, within(self.probe_period, 10_000, HOUR_MICROS)),
            (ConfigError::FirstRetry, within(self.first_retry, 1_000, period / 4)),
            (ConfigError::Suspicion, within(self.suspicion, retry.saturating_mul(8), 24 * HOUR_MICROS)),
            (ConfigError::GossipGap, within(self.gossip_gap, 1_000, period)),
            (ConfigError::Fanout, (1..=16).contains(&self.fanout)),
            (ConfigError::Patience, within(self.patience, 0, (1 << 14) * SECOND)),
            (ConfigError::DeadProbePeriod, within(self.dead_probe_period, period, 24 * HOUR_MICROS)),
            (ConfigError::LeaveTimeout, within(self.leave_timeout, retry, HOUR_MICROS)),
            (ConfigError::DeliveryTimeout, within(self.delivery_timeout, retry, 24 * HOUR_MICROS)),
            (ConfigError::StateRetention, within(self.state_retention, SECOND, 24 * HOUR_MICROS)),
            (ConfigError::DeadRetention, within(self.dead_retention, 60 * SECOND, 720 * HOUR_MICROS)),
            (ConfigError::LeftRetention, within(self.left_retention, 60 * SECOND, 720 * HOUR_MICROS)),
            (ConfigError::ByteBudget, self.byte_budget == 0 || (16..=1 << 30).contains(&self.byte_budget)),
        ]
    }
}

/// A time of any length, often within a nanosecond of what some rule allows.
fn any_time() -> impl Strategy<Value = u128> {
    let hour = u128::from(HOUR_MICROS) * 1_000;
    let bounds = vec![0, 1_000_000, 10_000_000, 200_000_000, 250_000_000, 1_000_000_000, hour, 24 * hour];
    let greatest = Duration::MAX.as_nanos();
    prop_oneof![
        (prop::sample::select(bounds), 0..3u128).prop_map(|(bound, off)| (bound + off).saturating_sub(1)),
        (0..=24 * hour, 0..47u32).prop_map(|(nanos, short)| nanos >> short),
        (0..8u128).prop_map(move |off| greatest - off),
    ]
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let datagram = prop_oneof![90..100usize, 65_500..65_600usize, any::<usize>(), 96..=65_507usize];
    let fanout = prop_oneof![3 => 1..=16u8, 1 => any::<u8>()];
    let times = || (any_time(), any_time(), any_time(), any_time(), any_time(), any_time(), any_time());
    let budget = prop_oneof![0..20u32, (1 << 30) - 2..(1 << 30) + 3u32, any::<u32>()];
    let retentions = (any_time(), any_time(), any_time());
    let rest = (valid_wish(), any::<u8>(), budget, any_time(), retentions);
    (datagram, fanout, times(), rest).prop_map(|(max_datagram, fanout, times, rest)| {
        let (valid, keep, byte_budget, delivery_timeout, retentions) = rest;
        let (state_retention, dead_retention, left_retention) = retentions;
        let (probe_period, first_retry, suspicion, gossip_gap, patience, dead_probe_period, leave_timeout) = times;
        // Most rules are kept in most wishes, so that each is the broken one now and then.
        let choose = |bit: u8, wild: u128, good: u128| if keep >> bit & 1 == 0 { good } else { wild };
        Wish {
            max_datagram: if keep % 3 == 0 { max_datagram } else { valid.max_datagram },
            probe_period: choose(0, probe_period, valid.probe_period),
            first_retry: choose(1, first_retry, valid.first_retry),
            suspicion: choose(2, suspicion, valid.suspicion),
            gossip_gap: choose(3, gossip_gap, valid.gossip_gap),
            fanout: if keep % 5 == 0 { fanout } else { valid.fanout },
            patience: choose(4, patience, valid.patience),
            dead_probe_period: choose(5, dead_probe_period, valid.dead_probe_period),
            leave_timeout: choose(6, leave_timeout, valid.leave_timeout),
            delivery_timeout: if keep % 7 == 0 { delivery_timeout } else { valid.delivery_timeout },
            state_retention: if keep % 11 == 0 { state_retention } else { valid.state_retention },
            dead_retention: if keep % 13 == 0 { dead_retention } else { valid.dead_retention },
            left_retention: if keep % 17 == 0 { left_retention } else { valid.left_retention },
            byte_budget: if keep >> 7 == 0 { valid.byte_budget } else { byte_budget },
        }
    })
}

/// A time between two bounds in microseconds, as likely short as long, and often a bound itself.
fn between(least: u64, most: u64) -> impl Strategy<Value = u128> {
    let spread = (0..=most - least, 0..40u32).prop_map(move |(more, short)| least + (more >> short));
    prop_oneof![1 => Just(least), 1 => Just(most), 6 => spread].prop_map(|micros| u128::from(micros) * 1_000)
}

/// What keeps every rule. Nothing is judged slower than in 200 probe periods: that would take long to simulate.
fn valid_wish() -> impl Strategy<Value = Wish> {
    between(10_000, HOUR_MICROS)
        .prop_flat_map(|period| (Just(period), between(1_000, micros(period) / 4)))
        .prop_flat_map(|(probe_period, first_retry)| {
            let (period, retry) = (micros(probe_period), micros(first_retry));
            let slowest = (200 * period).min(24 * HOUR_MICROS);
            let patience = prop_oneof![Just(0), between(0, slowest.min((1 << 14) * SECOND))];
            let datagram = prop_oneof![Just(96), 96..2_000usize, 96..=65_507usize];
            let intervals = (between(8 * retry, slowest), between(1_000, period), patience);
            let budget = prop_oneof![Just(0), 16..2_000u32, 16..=1u32 << 30];
            let days = || between(60 * SECOND, 720 * HOUR_MICROS);
            let waits = (between(retry, 24 * HOUR_MICROS), between(SECOND, 24 * HOUR_MICROS), days(), days());
            let rests = (between(period, 24 * HOUR_MICROS), between(retry, HOUR_MICROS), waits, budget);
            (Just((probe_period, first_retry)), datagram, 1..=16u8, intervals, rests)
        })
        .prop_map(|((probe_period, first_retry), max_datagram, fanout, intervals, rests)| {
            let (suspicion, gossip_gap, patience) = intervals;
            let (dead_probe_period, leave_timeout, waits, byte_budget) = rests;
            let (delivery_timeout, state_retention, dead_retention, left_retention) = waits;
            Wish {
                max_datagram,
                probe_period,
                first_retry,
                suspicion,
                gossip_gap,
                fanout,
                patience,
                dead_probe_period,
                leave_timeout,
                delivery_timeout,
                state_retention,
                dead_retention,
                left_retention,
                byte_budget,
            }
        })
}

#[test]
fn what_is_refused_names_the_first_rule_that_it_breaks_and_nothing_else_is() {
    check(5_000, any_wish(), |wish| {
        let broken = wish.rules().into_iter().find(|(_, kept)| !kept).map(|(rule, _)| rule);
        let built = wish.build();
        assert_eq!(built.err(), broken);
        let Ok(config) = built else { return };
        let rounded = |nanos: u128| Duration::from_micros(micros(nanos));
        assert_eq!(config.max_datagram(), wish.max_datagram);
        assert_eq!(config.fanout(), wish.fanout);
        assert_eq!(config.byte_budget(), wish.byte_budget);
        let times = [
            (config.probe_period(), wish.probe_period),
            (config.first_retry(), wish.first_retry),
            (config.suspicion(), wish.suspicion),
            (config.gossip_gap(), wish.gossip_gap),
            (config.dead_probe_period(), wish.dead_probe_period),
            (config.leave_timeout(), wish.leave_timeout),
            (config.delivery_timeout(), wish.delivery_timeout),
            (config.state_retention(), wish.state_retention),
            (config.dead_retention(), wish.dead_retention),
            (config.left_retention(), wish.left_retention),
        ];
        for (given, asked) in times {
            assert_eq!(given, rounded(asked), "what was set is read back, rounded up to microseconds");
        }
        let seconds = micros(wish.patience).div_ceil(SECOND);
        let patience = if seconds == 0 { 0 } else { seconds.next_power_of_two().max(2) };
        assert_eq!(config.patience(), Duration::from_secs(patience), "the next power of two seconds");
    });
}

#[test]
fn a_setter_refuses_what_the_builder_refuses_in_its_words_and_gives_what_it_gives() {
    type Setter = fn(Config, &Wish) -> Config;
    type Built = fn(Config, &Wish) -> Result<Config, ConfigError>;
    let both: [(Setter, Built); 14] = [
        (
            |config, wish| config.with_max_datagram(wish.max_datagram),
            |config, wish| Config::builder(config).max_datagram(wish.max_datagram).build(),
        ),
        (
            |config, wish| config.with_probe_period(duration(wish.probe_period)),
            |config, wish| Config::builder(config).probe_period(duration(wish.probe_period)).build(),
        ),
        (
            |config, wish| config.with_first_retry(duration(wish.first_retry)),
            |config, wish| Config::builder(config).first_retry(duration(wish.first_retry)).build(),
        ),
        (
            |config, wish| config.with_suspicion(duration(wish.suspicion)),
            |config, wish| Config::builder(config).suspicion(duration(wish.suspicion)).build(),
        ),
        (
            |config, wish| config.with_gossip_gap(duration(wish.gossip_gap)),
            |config, wish| Config::builder(config).gossip_gap(duration(wish.gossip_gap)).build(),
        ),
        (
            |config, wish| config.with_fanout(wish.fanout),
            |config, wish| Config::builder(config).fanout(wish.fanout).build(),
        ),
        (
            |config, wish| config.with_patience(duration(wish.patience)),
            |config, wish| Config::builder(config).patience(duration(wish.patience)).build(),
        ),
        (
            |config, wish| config.with_dead_probe_period(duration(wish.dead_probe_period)),
            |config, wish| Config::builder(config).dead_probe_period(duration(wish.dead_probe_period)).build(),
        ),
        (
            |config, wish| config.with_leave_timeout(duration(wish.leave_timeout)),
            |config, wish| Config::builder(config).leave_timeout(duration(wish.leave_timeout)).build(),
        ),
        (
            |config, wish| config.with_delivery_timeout(duration(wish.delivery_timeout)),
            |config, wish| Config::builder(config).delivery_timeout(duration(wish.delivery_timeout)).build(),
        ),
        (
            |config, wish| config.with_state_retention(duration(wish.state_retention)),
            |config, wish| Config::builder(config).state_retention(duration(wish.state_retention)).build(),
        ),
        (
            |config, wish| config.with_dead_retention(duration(wish.dead_retention)),
            |config, wish| Config::builder(config).dead_retention(duration(wish.dead_retention)).build(),
        ),
        (
            |config, wish| config.with_left_retention(duration(wish.left_retention)),
            |config, wish| Config::builder(config).left_retention(duration(wish.left_retention)).build(),
        ),
        (
            |config, wish| config.with_byte_budget(wish.byte_budget),
            |config, wish| Config::builder(config).byte_budget(wish.byte_budget).build(),
        ),
    ];
    check(1_000, (valid_wish(), any_wish()), |(base, wish)| {
        let base = base.build().expect("it keeps every rule").with_cluster("orders");
        for (set, build) in both {
            let set = catch_unwind(AssertUnwindSafe(|| set(base, &wish)));
            let set = set.map_err(|panic| *panic.downcast::<String>().expect("a sentence"));
            assert_eq!(set, build(base, &wish).map_err(|error| error.to_string()));
        }
    });
}

#[test]
fn any_settings_that_are_accepted_form_a_cluster_find_a_crash_and_let_a_member_leave() {
    check(300, (valid_wish(), any::<u64>()), |(wish, seed)| {
        let config = wish.build().expect("it keeps every rule");
        // A round trip takes the first retry at the most.
        let half = config.first_retry() / 2;
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN.with_latency(half / 5, half));
        sim.watch(Safety::new(16));
        for host in 0..5 {
            sim.add(HeapNode::new(config, Limits::DEFAULT.with_members(16)));
            sim.start(host, &[0]);
        }
        // Of a budget a quarter is for news at the least: here five records, told to each of five.
        let news = Duration::from_secs(5 * 5 * 64 * 4) / config.byte_budget().max(1);
        let held_up = if config.byte_budget() == 0 { Duration::ZERO } else { news };
        let spread = config.probe_period() * 4 + config.first_retry() * 16 + held_up;
        let formed = sim.run_until_agreed(config.first_retry(), spread);
        assert!(formed.is_some(), "no cluster after {spread:?} {:?}", sim.failure());

        sim.crash(3);
        let judge = config.patience() + config.suspicion() * 3 + spread * 2;
        let known = sim.run_until_all_report(3, Status::Down, judge);
        assert!(known.is_some(), "the crash is not known after {judge:?} {:?}", sim.failure());

        sim.leave(1);
        let left = sim.run_until_true(|sim| !sim.is_running(1), config.first_retry(), config.leave_timeout());
        assert!(left.is_some(), "it is still leaving {:?}", sim.failure());
        let parted = sim.run_until_agreed(config.first_retry(), spread);
        assert!(parted.is_some(), "not all know that it left {spread:?} later {:?}", sim.failure());
        assert_eq!(sim.failure(), None);
    });
}
