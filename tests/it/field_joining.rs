//! Joining where people run this: names that resolve to others each time, seeds that are wrong, and load balancers.
//!
//! Latency 1 to 5 ms and `Config::LAN` unless a test says otherwise. What a test prints names the seed to replay it with.

use std::collections::VecDeque;
use std::time::Duration;

use tidings::sim::{Conditions, Layer, Machine, Sim, SimRng};
use tidings::{Config, HeapNode, Hosted, Instant, Limits, NodeId, OwnedEvent, Phase, Trouble};

use crate::common::cluster::SECOND;
use crate::common::diary::{Cluster, Diary, MILLIS, cluster_of_diarists, diarist, lists, node};

#[test]
fn a_node_follows_a_name_whose_addresses_are_replaced_again_and_again() {
    for seed in 0..10 {
        let mut sim: Cluster = Sim::new(seed, Conditions::LAN);
        let stayers = [(); 2].map(|()| sim.add(diarist()));
        let mut pods: Vec<usize> = Vec::new();
        for round in 0..7 {
            pods.drain(..).for_each(|pod| sim.crash(pod));
            pods.extend([(); 3].map(|()| sim.add(diarist())));
            pods.iter().for_each(|pod| sim.start(*pod, &[pods[0], pods[1], pods[2]]));
            if round == 0 {
                stayers.iter().for_each(|host| sim.start(*host, &[pods[0]]));
            }
            for _ in 0..30 {
                for host in stayers {
                    // It resolves the name, and hands on what that stands for by now.
                    sim.with(host, |it, now| pods.iter().for_each(|pod| _ = it.node.join(now, *pod as u32)));
                }
                sim.run_for(SECOND);
            }
            let one = stayers.iter().chain(&pods).all(|host| node(&sim, *host).live() == 5);
            assert!(one, "seed {seed}: apart after {round} replacements");
        }
        for host in stayers {
            let seeds: Vec<usize> = node(&sim, host).seeds().map(|seed| seed as usize).collect();
            assert!(pods.iter().all(|pod| seeds.contains(pod)), "seed {seed}: {seeds:?}");
        }
    }
}

#[test]
fn seeds_are_listed_forgotten_and_replaced_when_they_are_silent_for_longest() {
    let mut sim: Cluster = cluster_of_diarists(3, 1);
    let seeds = |sim: &Cluster| node(sim, 0).seeds().collect::<Vec<u32>>();
    let join = |sim: &mut Cluster, seed| {
        sim.with(0, |it, now| assert_eq!(it.node.join(now, seed), Ok(())));
        sim.run_for(SECOND);
    };
    (1..=8).for_each(|seed| join(&mut sim, seed));
    assert_eq!(seeds(&sim).len(), 8);
    assert!(!seeds(&sim).contains(&3), "nobody lives there, and it was given first: {:?}", seeds(&sim));
    sim.with(0, |it, now| assert!(it.node.forget_seed(now, 5) && !it.node.forget_seed(now, 5)));
    assert!(!seeds(&sim).contains(&5));
    (20..40).for_each(|seed| join(&mut sim, seed));
    let kept = seeds(&sim);
    assert!(kept.contains(&1) && kept.contains(&2), "those at which members live are kept: {kept:?}");
    assert!((35..40).all(|seed| kept.contains(&seed)), "and so is what was given last: {kept:?}");
}

#[test]
fn who_forgets_its_only_seed_while_it_joins_is_a_cluster_of_one() {
    let mut sim: Cluster = Sim::new(1, Conditions::LAN);
    let host = sim.add(diarist());
    sim.start(host, &[7]);
    sim.run_for(SECOND);
    assert_eq!(node(&sim, host).phase(), Phase::Joining);
    sim.with(host, |it, now| assert!(it.node.forget_seed(now, 7)));
    assert_eq!((node(&sim, host).phase(), node(&sim, host).seeds().count()), (Phase::Member, 0));
}

/// When a host told that it cannot join, and why.
fn failings(sim: &Cluster, host: usize) -> Vec<(Duration, Trouble)> {
    let told = sim.machine(host).expect("it runs").app.0.iter();
    told.filter_map(|(at, event)| match event {
        OwnedEvent::JoinFailing { trouble, .. } => Some((at.duration_since(Instant::ZERO), *trouble)),
        _ => None,
    })
    .collect()
}

#[test]
fn who_asks_where_nobody_is_tells_so_at_growing_gaps_until_it_joins() {
    let mut sim: Cluster = Sim::new(1, Conditions::LAN);
    let [asker, seed] = [(); 2].map(|()| sim.add(diarist()));
    sim.start(asker, &[seed, asker]);
    sim.run_for(600 * SECOND);
    let told = failings(&sim, asker);
    assert!(told.iter().all(|(_, trouble)| *trouble == Trouble::NoAnswer), "{told:?}");
    let gaps: Vec<u64> = told.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
    assert!(told[0].0 < 5 * SECOND && told.len() == 7, "{told:?}");
    assert!(gaps.windows(2).all(|pair| pair[1] > pair[0] + pair[0] / 2), "{gaps:?}");
    let text = sim.machine(asker).expect("it runs").app.0[0].1.to_string();
    assert_eq!(text, "cannot join after 7 tries: 1 does not answer");
    sim.start(seed, &[]);
    sim.run_for(600 * SECOND);
    assert_eq!((node(&sim, asker).live(), failings(&sim, asker).len()), (2, 7));
}

#[test]
fn who_asks_another_cluster_or_one_without_room_is_told_what_is_wrong() {
    let mut sim = cluster_of_diarists(4, 1);
    let of_others = Config::LAN.with_cluster("orders");
    let stranger = sim.add(Hosted::new(HeapNode::new(of_others, Limits::DEFAULT), Diary::default()));
    let before = sim.traffic(0).bytes;
    sim.start(stranger, &[0]);
    let begun = sim.now().duration_since(Instant::ZERO);
    sim.run_for(5 * SECOND);
    let told = failings(&sim, stranger);
    assert!(told.len() == 1 && told[0].0 < begun + 5 * SECOND, "{told:?}");
    assert_eq!(told[0].1, Trouble::OtherCluster);
    assert_eq!(node(&sim, 0).live(), 4);
    let (sent, asked) = (sim.traffic(0).bytes - before, sim.traffic(stranger).bytes);
    assert!(sent < asked + 4 * 5 * 200, "{sent} B were sent, its probes included, for {asked}");

    let mut sim: Cluster = Sim::new(2, Conditions::LAN);
    let small = || Hosted::new(HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(2)), Diary::default());
    let full = [(); 3].map(|()| sim.add(small()));
    sim.start(full[0], &[]);
    sim.start(full[1], &[full[0]]);
    sim.run_for(SECOND);
    sim.start(full[2], &[full[0]]);
    sim.run_for(5 * SECOND);
    assert_eq!(failings(&sim, full[2]).first().map(|(_, trouble)| *trouble), Some(Trouble::Full));
}

/// The join of a node that has just been started, and that node.
fn first_join(config: Config) -> (HeapNode<u16>, Vec<u8>) {
    let mut node = HeapNode::<u16>::new(config, Limits::DEFAULT);
    node.join(Instant::ZERO, 9).expect("any number is an address");
    node.start_with_seed(Instant::ZERO, NodeId::new(7), 7, [7; 16]).unwrap();
    let mut buf = [0; 1_200];
    let join = node.poll_transmit(&mut buf).expect("it asks").payload.to_vec();
    (node, join)
}

#[test]
fn another_version_is_known_by_its_refusal() {
    let (mut node, join) = first_join(Config::LAN);
    let mut refusal = [&[0x13], &join[1..7]].concat();
    node.handle_datagram(Instant::from_micros(5_000), 9, &mut refusal);
    let mut at = Instant::ZERO;
    let told = loop {
        at = at + SECOND;
        node.handle_timeout(at);
        if let Some(event) = node.poll_event() {
            break event.to_owned();
        }
    };
    assert!(matches!(told, OwnedEvent::JoinFailing { seed: 9, trouble: Trouble::OtherVersion, .. }), "{told:?}");
}

#[test]
fn a_refusal_is_shorter_than_what_is_refused_and_says_nothing_of_the_cluster_that_refuses() {
    let (_, join) = first_join(Config::LAN.with_cluster("theirs"));
    let mut seed = HeapNode::<u16>::new(Config::LAN.with_cluster("ours"), Limits::DEFAULT);
    seed.start_with_seed(Instant::ZERO, NodeId::new(9), 9, [9; 16]).unwrap();
    let (_, own) = first_join(Config::LAN.with_cluster("ours"));
    let mut at = Instant::ZERO;
    let mut answer = |datagram: &[u8]| {
        at = at + 5 * SECOND;
        seed.handle_datagram(at, 50, &mut datagram.to_vec());
        let mut buf = [0; 1_200];
        seed.poll_transmit(&mut buf).map(|transmit| transmit.payload.to_vec())
    };
    assert_eq!(answer(&join), Some([&[0x12], &join[1..7]].concat()), "another's name");
    // A guess of the tag that comes in every datagram, without the name.
    let guess = [&own[..3], &join[3..]].concat();
    assert_eq!(answer(&guess), Some([&[0x12], &guess[1..7]].concat()), "the right tag looks no other");
    let newer = [&[0x13], &join[1..]].concat();
    assert_eq!(answer(&newer), Some([&[0x12], &newer[1..7]].concat()), "another version");
    assert_eq!(answer(&join[..47]), None, "too short for a join");
    assert_eq!(answer(&[&[0x02], &join[1..]].concat()), None, "for one life alone");
    let refusal = answer(&join).expect("as before");
    assert_eq!(answer(&refusal), None, "a refusal is not refused");
    assert!(answer(&own).is_some_and(|welcome| welcome.len() > 7), "whoever knows the name is answered");
}

/// A node, or a load balancer in front of some.
struct Host {
    node: HeapNode<u32>,
    /// Those that it passes datagrams on to under its own address, in turn or at random.
    behind: Vec<u32>,
    rng: Option<SimRng>,
    passed: usize,
    outbox: VecDeque<(u32, Vec<u8>)>,
}

impl Host {
    fn node() -> Self {
        let node = HeapNode::new(Config::LAN, Limits::DEFAULT);
        Host { node, behind: Vec::new(), rng: None, passed: 0, outbox: VecDeque::new() }
    }

    fn balancer(behind: std::ops::Range<u32>, rng: Option<SimRng>) -> Self {
        Host { behind: behind.collect(), rng, ..Host::node() }
    }
}

impl Layer for Host {
    type Inner = HeapNode<u32>;

    fn inner(&self) -> &HeapNode<u32> {
        &self.node
    }

    fn inner_mut(&mut self) -> &mut HeapNode<u32> {
        &mut self.node
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: u32, rng: &mut SimRng) {
        if self.behind.is_empty() {
            Machine::start(&mut self.node, now, id, addr, rng);
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: u32, datagram: &mut [u8]) {
        if self.behind.is_empty() {
            return self.node.handle_datagram(now, from, datagram);
        }
        let turn = self.rng.as_mut().map_or(self.passed, |rng| rng.below(self.behind.len() as u64) as usize);
        self.passed += 1;
        self.outbox.push_back((self.behind[turn % self.behind.len()], datagram.to_vec()));
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u32, usize)> {
        let Some((to, datagram)) = self.outbox.pop_front() else {
            return Machine::poll_transmit(&mut self.node, buf);
        };
        buf[..datagram.len()].copy_from_slice(&datagram);
        Some((to, datagram.len()))
    }
}

/// Runs until the first so many hosts all know each other; how long that takes.
fn until_whole(sim: &mut Sim<Host>, hosts: usize, limit: Duration) -> Option<Duration> {
    let whole = |sim: &Sim<Host>| (0..hosts).all(|host| sim.machine(host).is_some_and(|it| it.node.live() == hosts));
    sim.run_until_true(whole, 10 * MILLIS, limit)
}

#[test]
fn a_newcomer_joins_through_a_load_balancer_that_takes_members_in_turn() {
    for seed in 0..20 {
        for loss in [0.0, 0.1] {
            let mut sim: Sim<Host> = Sim::new(seed, Conditions::LAN.with_loss(loss));
            for host in 0..5 {
                sim.add(Host::node());
                sim.start(host, &[0]);
            }
            assert!(until_whole(&mut sim, 5, 30 * SECOND).is_some(), "seed {seed}, {loss} loss");
            let newcomer = sim.add(Host::node());
            let balancer = sim.add(Host::balancer(0..5, None));
            sim.start(balancer, &[]);
            sim.start(newcomer, &[balancer]);
            let joined = until_whole(&mut sim, 6, 30 * SECOND);
            assert!(joined.is_some_and(|took| took < 3 * SECOND), "seed {seed}, {loss} loss: {joined:?}");
        }
    }
}

#[test]
fn five_that_start_behind_a_load_balancer_become_one_cluster_in_seconds() {
    let mut all = Vec::new();
    for seed in 0..40 {
        let mut sim: Sim<Host> = Sim::new(seed, Conditions::LAN);
        (0..5).for_each(|_| _ = sim.add(Host::node()));
        let balancer = sim.add(Host::balancer(0..5, Some(SimRng::new(seed))));
        sim.start(balancer, &[]);
        (0..5).for_each(|host| sim.start(host, &[balancer]));
        all.push(until_whole(&mut sim, 5, 120 * SECOND).unwrap_or_else(|| panic!("seed {seed}: never one cluster")));
    }
    all.sort();
    let (median, worst) = (all[all.len() / 2], all[all.len() - 1]);
    assert!(median < 2 * SECOND && worst < 10 * SECOND, "median {median:?}, worst {worst:?}");
}

#[test]
fn two_clusters_of_one_name_do_not_merge_through_an_address_of_the_dead_that_one_of_them_reuses() {
    for seed in 0..4 {
        let mut sim = cluster_of_diarists(4, seed);
        sim.crash(3);
        sim.run_for(10 * SECOND);
        let others: Vec<usize> = (0..4).map(|_| sim.add(diarist())).collect();
        sim.move_host(others[3], 3);
        others.iter().for_each(|host| sim.start(*host, &[others[0]]));
        sim.run_for(300 * SECOND);
        assert_eq!(node(&sim, others[3]).addr(), Some(3), "seed {seed}");
        assert!((0..3).all(|host| node(&sim, host).live() == 3), "seed {seed}: one cluster");
        assert!(others.iter().all(|host| node(&sim, *host).live() == 4), "seed {seed}: and the other");
        assert!((0..3).all(|host| others.iter().all(|other| lists(&sim, host, *other).is_none())), "seed {seed}");
    }
}
