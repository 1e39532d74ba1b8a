//! Settings: what is built runs, what is refused says why.

use std::time::Duration;

use tidings::sim::{Conditions, Sim};
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
