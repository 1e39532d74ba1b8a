//! Joining, leaving, forgetting and versions: the acceptance scenarios of the HashiCorp family, Swift's, Rapid's
//! (20-24, 34), and those of libopenstorage/gossip that are about membership (G and H). Settings are `Config::LAN` as
//! it is.
//!
//! | no. | scenario | test |
//! |---|---|---|
//! | 20 | another protocol version | `nodes_of_two_wire_versions_form_two_clusters`, and by what reason in `tests/unit/wire.rs` |
//! | 20 | another cluster's name | `two_clusters_that_reach_each_other_never_merge` in `scenarios.rs` |
//! | 21 | leave seen as left at 30 % loss | `a_leave_is_seen_as_left_and_never_as_down_by_all_of_128_at_30_percent_loss` in `scenarios.rs` |
//! | 22 | join, leave, join | `whoever_joins_leaves_and_joins_in_haste_is_what_it_last_was` |
//! | 22 | a leave heard of before the member | `whoever_is_first_heard_of_as_gone_is_not_taken_for_alive_on_an_older_word` |
//! | 22 | old leave ignored | `accusations_of_what_it_was_before_need_no_answer` in `family_ordering.rs` |
//! | 22 | no endless rebroadcast | `the_news_of_leaves_ends` |
//! | 23 | reap, tombstones | `the_dead_make_room_for_the_living_and_do_not_come_back` |
//! | 23 | timeout of one member's own | `a_new_patience_is_told_to_the_others` in `scenarios.rs` |
//! | 23 | reconnect at the same address | `another_instance_at_a_reused_address_is_not_taken_for_the_old_one` in `scenarios.rs`, the restarts in `lives.rs` |
//! | 24 | 100,000 come and leave | `ten_thousand_that_come_and_leave_cost_no_more_room_than_the_table` |
//! | 34 | 100 join at once, 50 join 20, very many through one seed | `any_number_that_joins_at_once_through_one_seed_is_complete_in_seconds` |
//! | G1 | five join through one, and leave | `five_that_join_through_one_list_each_other_refuse_a_double_and_leave` |
//! | G4, G5 | versions | `nodes_of_two_wire_versions_form_two_clusters` |
//! | G6 | leaves, and comes back elsewhere through another | `whoever_left_and_returns_at_another_address_is_listed_there_alone` |
//! | G11 | clusters' names | `two_clusters_that_all_know_each_others_addresses_keep_apart` |
//! | H3 | a node that never speaks | `a_member_that_never_spoke_to_most_is_found_dead_by_all`, `one_reachable_seed_of_several_suffices_even_if_it_comes_late` in `scenarios.rs` |
//! | H4 | a node alone | `a_node_alone_holds_itself_alive_for_hours` |
//!
//! Scaled: 10,000 come and leave, of 100,000 (24); 1,000 join through one seed, of 2,000 (34). Not applicable: vetoes
//! of joins by a policy and encryption with its keys (20), which are the application's; leaves forced by an operator
//! (22), as nobody speaks for another; snapshots (23), as a restart needs no disk.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::cluster::{SECOND, cluster, fresh, reported, status_of, watched};
use crate::common::counting;
use tidings::sim::{Conditions, Forger, Layer, Machine, Report, Safety, Sim, SimRng};
use tidings::{Config, DropReason, FixedNode, HeapNode, Instant, Limits, NodeId, Phase, Status};

type Cluster = Sim<HeapNode<u32>>;

const MILLIS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The living members that a host lists, and where.
fn listed(sim: &Cluster, host: usize) -> BTreeSet<(NodeId, u32)> {
    let members = sim.machine(host).unwrap().members();
    members.filter(|member| member.status() == Status::Alive).map(|member| (member.id(), member.addr())).collect()
}

#[test]
fn whoever_joins_leaves_and_joins_in_haste_is_what_it_last_was() {
    for seed in 0..10 {
        let mut sim = cluster(8, seed);
        let hasty = sim.add(fresh());
        let mut rng = SimRng::new(seed);
        for _ in 0..6 {
            sim.restart(hasty, fresh(), &[0, 1]);
            sim.run_for(Duration::from_millis(rng.below(300)));
            sim.leave(hasty);
            sim.run_for(Duration::from_millis(rng.below(300)));
        }
        sim.restart(hasty, fresh(), &[0, 1]);
        let back = sim.run_until_agreed(100 * MILLIS, 10 * SECOND);
        assert!(back.is_some(), "seed {seed}: it has come last");
        sim.run_for(10 * SECOND);
        assert!(sim.agrees(), "seed {seed}: and stays");
        sim.leave(hasty);
        sim.run_for(10 * SECOND);
        assert!((0..8).all(|host| status_of(&sim, host, hasty) == Some(Status::Left)), "seed {seed}: it has left last");
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}: and was never missed");
    }
}

#[test]
fn whoever_is_first_heard_of_as_gone_is_not_taken_for_alive_on_an_older_word() {
    for seed in 0..10 {
        let mut sim = cluster(5, seed);
        // Another cluster's member knows the one that nobody here has heard of.
        let [stranger, unheard] = [(); 2].map(|()| sim.add(fresh()));
        sim.set_side(stranger, 1);
        sim.set_side(unheard, 1);
        sim.start(stranger, &[]);
        sim.start(unheard, &[stranger]);
        sim.run_for(5 * SECOND);
        let forger = Forger::new(sim.machine(0).unwrap(), sim.machine(1).unwrap()).unwrap();
        let member = sim.machine(unheard).unwrap();
        let (gone, before) = (forger.farewell(member), forger.leap(member, 0));
        sim.inject(1, 0, &gone);
        sim.run_for(SECOND);
        for _ in 0..5 {
            sim.inject(1, 0, &before);
            sim.run_for(SECOND);
        }
        let lives = (0..5).filter(|host| status_of(&sim, *host, unheard).is_some_and(Status::is_live)).count();
        assert_eq!(lives, 0, "seed {seed}");
        let risen = reported(&sim.take_reports(), Status::Alive).into_iter().filter(|(host, _)| *host < 5).count();
        assert_eq!(risen, 0, "seed {seed}");
    }
}

/// What the first so many hosts have told as news.
fn news_out(sim: &Cluster, hosts: usize) -> u64 {
    (0..hosts).map(|host| sim.machine(host).unwrap().stats().news_out).sum()
}

#[test]
fn the_news_of_leaves_ends() {
    for (size, leavers, seed) in [(8, 3, 1), (64, 30, 2), (128, 100, 3)] {
        let mut sim = cluster(size, seed);
        let stay = size - leavers;
        let before = news_out(&sim, stay);
        (stay..size).for_each(|host| sim.leave(host));
        sim.run_for(20 * SECOND);
        assert!(sim.agrees(), "{leavers} of {size} have left, seed {seed}");
        let told = news_out(&sim, stay);
        assert!(told > before, "seed {seed}: their leaving was news");
        sim.run_for(10 * MINUTE);
        assert_eq!(news_out(&sim, stay), told, "{leavers} of {size} have left, seed {seed}: it is no news any more");
    }
}

#[test]
fn the_dead_make_room_for_the_living_and_do_not_come_back() {
    for seed in 0..4 {
        let mut sim = Sim::<FixedNode<12, u32>>::new(seed, Conditions::LAN);
        sim.watch(Safety::new(12));
        for host in 0..8 {
            sim.add(FixedNode::new(Config::LAN));
            sim.start(host, &[0]);
        }
        sim.run_for(5 * SECOND);
        // Three more live at a time, under a new id each time, and crash.
        let brief = [(); 3].map(|()| sim.add(FixedNode::new(Config::LAN)));
        for round in 0..12 {
            for (host, number) in brief.into_iter().zip(0..) {
                sim.set_id(host, NodeId::new(1_000 + 10 * round + number));
                sim.restart(host, FixedNode::new(Config::LAN), &[0, 1]);
            }
            let joined = sim.run_until_agreed(100 * MILLIS, MINUTE);
            assert!(joined.is_some(), "seed {seed}, round {round}: there is room: {:?}", sim.failure());
            brief.iter().for_each(|host| sim.crash(*host));
            let gone = sim.run_until_agreed(100 * MILLIS, MINUTE);
            assert!(gone.is_some(), "seed {seed}, round {round}: {:?}", sim.failure());
        }
        sim.take_reports();
        sim.run_for(5 * MINUTE);
        assert_eq!(reported(&sim.take_reports(), Status::Alive), [], "seed {seed}: nobody rises");
        assert!((0..8).all(|host| sim.machine(host).unwrap().stats().forgotten >= 30), "seed {seed}");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

#[test]
fn ten_thousand_that_come_and_leave_cost_no_more_room_than_the_table() {
    const LIMIT: usize = 64;
    let seed = 1;
    let small = || HeapNode::<u32>::new(Config::LAN, Limits::DEFAULT.with_members(LIMIT));
    let mut sim = Cluster::new(seed, Conditions::LAN);
    for host in 0..4 {
        sim.add(small());
        sim.start(host, &[0]);
    }
    let brief: Vec<usize> = (0..10).map(|_| sim.add(small())).collect();
    let (mut number, mut halfway, mut before) = (0, 0, 0);
    for round in 0..1_000 {
        for host in &brief {
            number += 1;
            sim.set_id(*host, NodeId::new(1_000_000 + number));
            sim.restart(*host, small(), &[round % 4]);
        }
        sim.run_for(200 * MILLIS);
        // A seed lets in nobody at an address before it has heard that the last one there has left.
        let let_in = |sim: &Cluster| brief.iter().all(|host| sim.machine(*host).unwrap().phase() == Phase::Member);
        let took = sim.run_until_true(let_in, 50 * MILLIS, SECOND);
        assert!(took.is_some(), "round {round}: all are let in");
        brief.iter().for_each(|host| sim.leave(*host));
        let left = |sim: &Cluster| brief.iter().all(|host| sim.machine(*host).unwrap().phase() == Phase::Left);
        let took = sim.run_until_true(left, 100 * MILLIS, 2 * Config::LAN.leave_timeout());
        assert!(took.is_some(), "round {round}: all have left");
        let down = reported(&sim.take_reports(), Status::Down);
        assert_eq!(down, [], "round {round}: nobody is missed");
        let traffic = sim.total_traffic().bytes;
        match round {
            99 => before = traffic,
            499 => halfway = counting::held(),
            _ => {}
        }
    }
    let bytes = (sim.total_traffic().bytes - before) / 900 / 14;
    assert!(bytes < 6_000, "{bytes} bytes per node and round, in which ten came and left");
    sim.run_for(10 * SECOND);
    assert!(sim.agrees() && sim.running().count() == 4, "the four are by themselves again");
    for host in 0..4 {
        let node = sim.machine(host).unwrap();
        assert!(node.members().count() <= LIMIT, "host {host}");
        assert!(node.stats().forgotten > 5_000, "host {host} has forgotten {}", node.stats().forgotten);
    }
    let held = counting::held() as i64 - halfway as i64;
    assert!(held < 100_000, "{held} bytes more than after half of them");
    let before = news_out(&sim, 4);
    sim.run_for(5 * MINUTE);
    assert_eq!(news_out(&sim, 4), before, "none of the ten thousand is news to anybody any more");
    assert!(sim.take_reports().iter().all(|told| !matches!(told.report, Report::Member(_, Status::Alive))));
}

#[test]
fn any_number_that_joins_at_once_through_one_seed_is_complete_in_seconds() {
    for (first, more, seconds, seed) in [(1, 100, 2, 1), (20, 50, 2, 2), (50, 20, 2, 3), (1, 400, 3, 4), (1, 999, 5, 5)]
    {
        let mut sim = cluster(first, seed);
        for host in first..first + more {
            sim.add(fresh());
            sim.start(host, &[0]);
        }
        let (begun, mut sizes) = (sim.now(), BTreeSet::new());
        while !sim.agrees() {
            assert!(sim.now() < begun + seconds * SECOND, "{more} join {first}, seed {seed}: not within {seconds} s");
            sim.run_for(100 * MILLIS);
            sizes.extend(sim.running().map(|host| sim.machine(host).unwrap().live()));
        }
        let took = sim.now().duration_since(begun);
        println!("{more} join {first}: {took:?}, {} sizes on the way", sizes.len());
        sim.run_for(20 * SECOND);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "{more} join {first}, seed {seed}");
        assert!(sim.agrees(), "{more} join {first}, seed {seed}: and so it stays");
    }
}

#[test]
fn five_that_join_through_one_list_each_other_refuse_a_double_and_leave() {
    for seed in 0..10 {
        let mut sim = Cluster::new(seed, Conditions::LAN);
        sim.watch(Safety::new(16));
        for host in 0..5 {
            sim.add(fresh());
            sim.start(host, &[0]);
        }
        sim.run_for(5 * SECOND);
        let all: BTreeSet<(NodeId, u32)> = (0..5).map(|host| (sim.id(host), host as u32)).collect();
        assert!((0..5).all(|host| listed(&sim, host) == all), "seed {seed}");
        let double = sim.add(fresh());
        sim.set_id(double, sim.id(2));
        sim.start(double, &[0]);
        sim.run_for(10 * SECOND);
        assert_eq!(sim.machine(double).unwrap().phase(), Phase::Idle, "seed {seed}: it is refused");
        assert!((0..5).all(|host| listed(&sim, host) == all), "seed {seed}: and has changed nothing");
        for host in (0..5).rev() {
            sim.leave(host);
            let gone = |sim: &Cluster| sim.machine(host).unwrap().phase() == Phase::Left;
            assert!(sim.run_until_true(gone, 10 * MILLIS, SECOND).is_some(), "seed {seed}: it need not wait in vain");
            sim.run_for(SECOND);
        }
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

/// A node of any wire version: on its way in and out the version in a datagram's first byte is another.
struct Versioned {
    node: HeapNode<u32>,
    /// What is changed of the version's bits.
    twist: u8,
}

impl Layer for Versioned {
    type Inner = HeapNode<u32>;

    fn inner(&self) -> &HeapNode<u32> {
        &self.node
    }

    fn inner_mut(&mut self) -> &mut HeapNode<u32> {
        &mut self.node
    }

    fn handle_datagram(&mut self, now: Instant, from: u32, datagram: &mut [u8]) {
        datagram[0] ^= self.twist;
        self.node.handle_datagram(now, from, datagram);
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u32, usize)> {
        let sent = Machine::poll_transmit(&mut self.node, buf);
        buf[0] ^= if sent.is_some() { self.twist } else { 0 };
        sent
    }
}

#[test]
fn nodes_of_two_wire_versions_form_two_clusters() {
    for seed in 0..10 {
        // The second time the last one is given a seed of its own version too.
        for seeds_of_last in [&[0][..], &[0, 2]] {
            let mut sim = Sim::<Versioned>::new(seed, Conditions::LAN);
            let (old, new) = ([0, 1, 3], [2, 4]);
            for host in 0..5 {
                sim.add(Versioned { node: fresh(), twist: if new.contains(&host) { 3 } else { 0 } });
                sim.start(host, if host == 4 { seeds_of_last } else { &[0] });
            }
            sim.run_for(30 * SECOND);
            let knows = |host: usize| -> Vec<usize> {
                (0..5).filter(|other| Machine::status(sim.machine(host).unwrap(), sim.id(*other)).is_some()).collect()
            };
            assert!(old.iter().all(|host| knows(*host) == old), "seed {seed}: the old know the old alone");
            for host in new {
                let expected = if seeds_of_last.len() == 2 { new.to_vec() } else { vec![host] };
                assert_eq!(knows(host), expected, "seed {seed}, host {host}");
            }
            let refused = sim.machine(0).unwrap().node.stats().dropped(DropReason::WireVersion);
            assert!(refused > 0, "seed {seed}: and it is counted why");
        }
    }
}

#[test]
fn whoever_left_and_returns_at_another_address_is_listed_there_alone() {
    for seed in 0..10 {
        let mut sim = watched(3, seed);
        sim.leave(0);
        sim.run_for(Duration::from_millis(300 * seed));
        sim.crash(0);
        sim.move_host(0, 500);
        sim.restart(0, fresh(), &[2]);
        sim.run_for(8 * SECOND);
        let all: BTreeSet<(NodeId, u32)> = [(0, 500), (1, 1), (2, 2)].map(|(host, at)| (sim.id(host), at)).into();
        for host in 0..3 {
            assert_eq!(listed(&sim, host), all, "seed {seed}, host {host}");
            let node = sim.machine(host).unwrap();
            assert!(node.members().all(|member| member.addr() != 0), "seed {seed}, host {host}: the old is forgotten");
        }
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

#[test]
fn two_clusters_that_all_know_each_others_addresses_keep_apart() {
    for seed in 0..10 {
        let mut sim = Cluster::new(seed, Conditions::LAN);
        let (one, other) = ([2, 4], [0, 1, 3]);
        for host in 0..5 {
            let name = if one.contains(&host) { "one" } else { "other" };
            sim.add(HeapNode::new(Config::LAN.with_cluster(name), Limits::DEFAULT));
            sim.start(host, &[0, 1, 2, 3, 4]);
        }
        sim.run_for(MINUTE);
        for host in 0..5 {
            let mates: &[usize] = if one.contains(&host) { &one } else { &other };
            let expected: BTreeSet<NodeId> = mates.iter().map(|mate| sim.id(*mate)).collect();
            let known: BTreeSet<NodeId> = sim.machine(host).unwrap().members().map(|member| member.id()).collect();
            assert_eq!(known, expected, "seed {seed}, host {host}");
        }
        let refused = |host| sim.machine(host).unwrap().stats().dropped(DropReason::OtherCluster);
        assert!((0..5).map(refused).sum::<u64>() > 0, "seed {seed}: and it is counted why");
    }
}

#[test]
fn a_member_that_never_spoke_to_most_is_found_dead_by_all() {
    for seed in 0..20 {
        let mut sim = cluster(16, seed);
        let brief = sim.add(fresh());
        sim.start(brief, &[0]);
        // Long enough to be let in by its seed.
        let admitted = |sim: &Cluster| sim.machine(brief).unwrap().phase() == Phase::Member;
        assert!(sim.run_until_true(admitted, MILLIS, SECOND).is_some(), "seed {seed}");
        sim.crash(brief);
        sim.run_for(20 * SECOND);
        let seen: Vec<Option<Status>> = sim.running().map(|host| status_of(&sim, host, brief)).collect();
        assert_eq!(seen, [Some(Status::Down); 16], "seed {seed}");
        assert!(sim.agrees(), "seed {seed}");
    }
}

#[test]
fn a_node_alone_holds_itself_alive_for_hours() {
    for (seeds, phase) in [(&[][..], Phase::Member), (&[0], Phase::Member), (&[7, 8], Phase::Joining)] {
        let mut sim = Cluster::new(1, Conditions::LAN);
        sim.add(fresh());
        sim.start(0, seeds);
        sim.run_for(3 * 60 * MINUTE);
        let told = sim.take_reports();
        let vain = told.iter().filter(|told| told.report == Report::JoinFailing).count();
        assert_eq!(told.len(), vain, "with seeds {seeds:?}: it has nothing else to tell");
        assert_eq!(vain, if phase == Phase::Joining { 12 } else { 0 }, "with seeds {seeds:?}: at gaps that double");
        let node = sim.machine(0).unwrap();
        assert_eq!((node.phase(), node.live()), (phase, 1), "with seeds {seeds:?}");
        assert_eq!(status_of(&sim, 0, 0), Some(Status::Alive), "with seeds {seeds:?}");
        // Whoever comes late is taken in.
        let late = sim.add(fresh());
        sim.start(late, &[0]);
        assert!(sim.run_until_agreed(10 * MILLIS, SECOND).is_some(), "with seeds {seeds:?}");
    }
}
