//! The laws of the crate's documentation, each by its number.

use std::time::Duration;

use crate::common::cluster::cluster;
use crate::common::counting;
use crate::targets::calls;
use tidings::sim::{Conditions, HostAddress, Machine, Report, Scenario, Sim, SimRng};
use tidings::{
    Clock, Config, DropReason, Event, Fixed, FixedNode, Heap, HeapNode, Instant, Limits, Narrow, Node, NodeId, Phase,
    SendFailure, Status, Storage, Wide,
};

const MEMBERS: usize = 8;

fn heap() -> HeapNode<u16> {
    HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(MEMBERS))
}

fn sent<A: HostAddress, S: Storage>(node: &mut Node<A, S>) -> Vec<(A, Vec<u8>)> {
    let mut buf = [0; 1_200];
    std::iter::from_fn(|| node.poll_transmit(&mut buf).map(|transmit| (transmit.to, transmit.payload.to_vec())))
        .collect()
}

#[test]
fn law_1_any_order_of_any_calls_is_survived_and_idle_polls_change_nothing() {
    for seed in 0..200 {
        println!("seed {seed}");
        let mut rng = SimRng::new(seed);
        let script: Vec<u8> = (0..1_000).map(|_| rng.draw() as u8).collect();
        calls::run(&script);
    }
}

#[test]
fn law_2_time_never_runs_backwards_and_deadlines_round_up() {
    let mut sim = cluster(3, 1);
    sim.with(1, |node, now| {
        node.handle_timeout(now);
        let before = node.clone();
        node.handle_timeout(Instant::ZERO);
        assert_eq!(*node, before, "an older time is no news");
        node.handle_send_error(Instant::ZERO, 99, SendFailure::Unreachable);
        assert_eq!(node.now(), now, "it counts as the newest seen");
        let due = node.poll_timeout();
        assert!(due > now);
        let mut early = node.clone();
        early.handle_timeout(Instant::from_micros(due.as_micros() - 1));
        assert!(sent(&mut early).is_empty(), "nothing is done before its time");
        early.handle_timeout(due);
        assert!(early.poll_timeout() > due, "and at its time it is done");
    });
    let clock = Clock::start();
    let wait = clock.until(clock.now() + Duration::from_micros(10_001));
    assert!(wait >= Duration::from_millis(10) && wait.subsec_nanos().is_multiple_of(1_000_000), "{wait:?}");
    assert_eq!(clock.until(Instant::ZERO), Duration::from_millis(1), "never zero");
    assert_eq!(clock.until(Instant::FAR_FUTURE), Clock::LONGEST_WAIT);
    assert_eq!(Instant::ZERO + Duration::from_nanos(1), Instant::from_micros(1));
    assert_eq!(Instant::FAR_FUTURE + Duration::from_secs(1), Instant::FAR_FUTURE);
}

/// Who was reported down, by whom, since the last look.
fn declared(sim: &mut Sim<HeapNode<u32>>) -> Vec<(usize, NodeId)> {
    let reports = sim.take_reports();
    let down = |reported: tidings::sim::Reported| match reported.report {
        Report::Member(id, Status::Down) => Some((reported.host, id)),
        _ => None,
    };
    reports.into_iter().filter_map(down).collect()
}

#[test]
fn law_3_a_stalled_node_accuses_nobody_and_up_to_three_seconds_is_not_accused() {
    for seed in 0..40 {
        let mut sim = cluster(6, seed);
        let stall = 300 + 90 * (seed % 31);
        sim.stop(2);
        sim.run_for(Duration::from_millis(stall));
        sim.resume(2);
        sim.run_for(Duration::from_secs(10));
        assert_eq!(declared(&mut sim), [], "seed {seed}: a stall of {stall} ms");
        let late = sim.machine(2).unwrap().stats().late_ticks;
        assert!(late > 0 || stall < 1_300, "seed {seed}: it knows that it was late");
    }
}

#[test]
fn law_3_a_machine_suspended_for_an_hour_accuses_nobody() {
    for seed in 0..20 {
        let mut sim = cluster(6, seed);
        sim.stop(2);
        sim.run_for(Duration::from_secs(60));
        sim.take_reports();
        // Its clock may have run meanwhile, or jump when it wakes.
        if seed % 2 == 0 {
            sim.jump_clock(2, Duration::from_secs(3_600));
        }
        sim.resume(2);
        sim.run_for(Duration::from_secs(20));
        let accused = declared(&mut sim);
        let others: Vec<_> = accused.iter().filter(|(host, id)| *host == 2 || *id != sim.id(2)).collect();
        assert!(others.is_empty(), "seed {seed}: {others:?}");
        assert!(sim.agrees(), "seed {seed}: it is taken back");
    }
}

#[test]
fn law_3_a_clock_that_jumps_an_hour_accuses_nobody() {
    let mut sim = cluster(6, 1);
    for host in 0..6 {
        sim.jump_clock(host, Duration::from_secs(3_600));
        sim.run_for(Duration::from_secs(5));
    }
    assert_eq!(declared(&mut sim), []);
    assert!(sim.agrees());
}

#[test]
fn law_4_a_datagram_that_does_not_fit_the_buffer_is_kept_and_counted() {
    let mut node = heap();
    node.join(Instant::ZERO, 7).unwrap();
    node.start(Instant::ZERO, NodeId::new(1), 1, &mut SimRng::new(1)).unwrap();
    let due = node.poll_timeout();
    for size in 0..40 {
        assert!(node.poll_transmit(&mut vec![0; size]).is_none());
        assert_eq!(node.poll_timeout(), due, "it does not make a deadline due");
    }
    assert_eq!(node.stats().dropped(DropReason::SmallBuffer), 40);
    assert_eq!(sent(&mut node).len(), 1, "it was kept");
    let told: Vec<_> = std::iter::from_fn(|| node.poll_event().map(|event| format!("{event:?}"))).collect();
    assert_eq!(told, ["Refused { reason: SmallBuffer }"]);
}

#[test]
fn law_4_news_that_does_not_fit_the_buffer_is_kept_and_counted() {
    let mut sim = cluster(4, 1);
    let mut node = sim.machine(1).unwrap().clone();
    sim.crash(1);
    // Something to tell.
    let now = node.now();
    node.set_addr(now, 77).unwrap();
    let before = node.stats().clone();
    for size in 0..36 {
        assert!(node.poll_transmit(&mut vec![0; size]).is_none(), "{size} bytes hold no record");
    }
    assert_eq!(node.stats().dropped(DropReason::SmallBuffer) - before.dropped(DropReason::SmallBuffer), 36);
    assert_eq!(node.stats().datagrams_out, before.datagrams_out);
    assert_eq!(sent(&mut node).len(), 3, "the burst goes out when there is room");
}

#[test]
fn law_4_a_full_table_refuses_newcomers_counts_them_and_says_so() {
    let mut sim = Sim::new(1, Conditions::LAN);
    for host in 0..12 {
        sim.add(heap());
        sim.start(host, &[0]);
    }
    sim.run_for(Duration::from_secs(10));
    let seed = sim.machine(0).unwrap();
    assert!(seed.stats().dropped(DropReason::TableFull) > 0);
    assert_eq!(seed.live(), MEMBERS);
    let left_out = (0..12).filter(|host| sim.machine(*host).is_some_and(|node| node.phase() == Phase::Joining)).count();
    assert_eq!(left_out, 12 - MEMBERS, "who was refused knows that it is no member");
}

#[test]
fn law_4_the_first_refusal_of_its_kind_is_told_and_the_rest_are_counted() {
    let mut nodes: [FixedNode<2, u16>; 4] = core::array::from_fn(|_| FixedNode::new(Config::LAN));
    for (addr, node) in (0..).zip(&mut nodes) {
        node.join(Instant::ZERO, 0).unwrap();
        node.start(Instant::ZERO, NodeId::new(addr + 1), addr as u16, &mut SimRng::new(addr)).unwrap();
    }
    let mut told = Vec::new();
    for millis in 0..3_000 {
        exchange(
            &mut nodes,
            Instant::from_millis(millis),
            |_, _| true,
            |host, event| {
                if host == 0 {
                    told.push(format!("{event:?}"));
                }
            },
        );
    }
    let refused = told.iter().filter(|event| **event == "Refused { reason: TableFull }").count();
    assert_eq!(refused, 1, "{told:?}");
    assert!(nodes[0].stats().dropped(DropReason::TableFull) > 1);
}

/// Lets every node have its turn at `now`: time, what it says (where `carries` lets it through), what it tells.
fn exchange<S: Storage, const N: usize>(
    nodes: &mut [Node<u16, S>; N],
    now: Instant,
    mut carries: impl FnMut(usize, usize) -> bool,
    mut tell: impl FnMut(usize, Event<'_, u16>),
) {
    let mut buf = [0; 1_200];
    for from in 0..N {
        nodes[from].handle_timeout(now);
        while let Some(transmit) = nodes[from].poll_transmit(&mut buf) {
            let (to, len) = (usize::from(transmit.to), transmit.payload.len());
            if to < N && carries(from, to) {
                nodes[to].handle_datagram(now, from as u16, &mut buf[..len]);
            }
        }
        while let Some(event) = nodes[from].poll_event() {
            tell(from, event);
        }
    }
}

/// Six nodes with tables for five, every seventh datagram lost, one that falls silent and comes back, one restarted:
/// joins, refusals, bursts, walks, juries, deaths and evictions. How often memory was asked for in the second half.
fn allocations_in_a_busy_cluster<S: Storage>(mut nodes: [Node<u16, S>; 6]) -> (u64, u64) {
    let before = counting::allocations();
    for (addr, node) in (0..).zip(&mut nodes) {
        node.join(Instant::ZERO, 0).unwrap();
        node.start(Instant::ZERO, NodeId::new(addr + 1), addr as u16, &mut SimRng::new(addr)).unwrap();
    }
    let (mut halfway, mut carried) = (0, 0u32);
    for tick in 0..8_000u64 {
        let now = Instant::from_millis(10 * tick);
        // Silent for 10 s of every 20.
        let mute = (tick / 1_000 % 2 == 1).then_some(3);
        if tick % 2_500 == 2_499 {
            nodes[4].start(now, NodeId::new(5), 4, &mut SimRng::new(tick)).unwrap();
        }
        let at = (tick % 6) as usize;
        if tick % 10 == 0 {
            // Always as long: the most that there is at a time is there soon.
            let key = ["a", "b", "c"][(tick / 60 % 3) as usize];
            let _ = nodes[at].set(now, key, &[tick as u8; 30]);
        } else if tick % 97 == 0 {
            let _ = nodes[at].delete(now, "a");
        }
        let carries = |from: usize, to: usize| {
            carried += 1;
            !carried.is_multiple_of(7) && Some(from) != mute && Some(to) != mute
        };
        exchange(&mut nodes, now, carries, |_, _| {});
        if tick == 4_000 {
            halfway = counting::allocations();
        }
    }
    assert!(nodes.iter().any(|node| node.stats().declared_down > 0), "somebody was declared down");
    assert!(nodes.iter().all(|node| node.stats().dropped(DropReason::TableFull) > 0 || node.live() <= 5));
    let after = counting::allocations();
    (halfway - before, after - halfway)
}

#[test]
fn law_5_a_fixed_node_never_allocates_and_a_heap_node_only_to_grow() {
    let fixed = allocations_in_a_busy_cluster(core::array::from_fn(|_| FixedNode::<5, u16>::new(Config::LAN)));
    assert_eq!(fixed, (0, 0), "a fixed node allocates nothing at all");
    let limits = Limits::DEFAULT.with_members(5);
    let heap = allocations_in_a_busy_cluster(core::array::from_fn(|_| HeapNode::new(Config::LAN, limits)));
    assert!(heap.0 > 0, "the count works");
    assert_eq!(heap.1, 0, "a heap node allocates nothing while it does not grow");
}

#[test]
fn law_5_bytes_on_the_wire_are_flat_in_the_size_of_a_quiet_cluster() {
    for size in [4, 16, 128] {
        let mut sim = cluster(size, 3);
        let before = sim.total_traffic();
        sim.run_for(Duration::from_secs(60));
        let bytes = (sim.total_traffic().bytes - before.bytes) / size as u64 / 60;
        assert!(bytes <= 60, "{bytes} bytes per second and node in a quiet cluster of {size}");
    }
}

/// Thirty-two nodes of whom eight every second say something new about themselves: bytes per node and second.
fn storm_of_news(config: Config) -> (Sim<HeapNode<u32>>, u64) {
    let mut sim = Sim::new(1, Conditions::LAN);
    for host in 0..32 {
        sim.add(HeapNode::new(config, Limits::DEFAULT));
        sim.start(host, &[0]);
    }
    sim.run_for(Duration::from_secs(20));
    let before = sim.total_traffic().bytes;
    for turn in 0..480 {
        let patience = Duration::from_secs(2 + turn as u64 / 32 % 2 * 2);
        sim.with(turn * 7 % 32, |node, now| node.set_config(now, config.with_patience(patience)).unwrap());
        sim.run_for(Duration::from_millis(125));
    }
    let bytes = (sim.total_traffic().bytes - before) / 32 / 60;
    (sim, bytes)
}

#[test]
fn law_5_a_byte_budget_bounds_a_storm_of_news_and_all_agree_when_it_is_over() {
    let (_, unbounded) = storm_of_news(Config::LAN);
    for budget in [100, 200] {
        let (mut sim, bytes) = storm_of_news(Config::LAN.with_byte_budget(budget));
        // Probes and answers do not wait: 56 bytes, and for each parcel that arrives an acknowledgement of half its size.
        let most = u64::from(budget) * 3 / 2 + 56;
        assert!(bytes <= most && unbounded > 2 * most, "{bytes} bytes of {budget}, and without a budget {unbounded}");
        // Of each member a record, told eleven times, at five eighths of the budget.
        let told = Duration::from_secs(32 * 30 * 11 * 8 / 5 / u64::from(budget));
        let agreed = sim.run_until_agreed(Duration::from_millis(100), told);
        assert!(agreed.is_some(), "with {budget} bytes a second not within {told:?}");
        sim.crash(3);
        // It may be silent for four seconds, and is let sleep the first times that it is tried.
        let known = sim.run_until_all_report(3, Status::Down, Duration::from_secs(120));
        assert!(known.is_some(), "with {budget} bytes a second a crash is found");
    }
}

#[test]
fn law_6_the_same_seed_gives_the_same_bytes() {
    let limits = Limits::DEFAULT.with_members(8).with_broadcast_bytes(512).with_state_bytes(512);
    let heap = |seed| story(seed, || Node::<u16, Heap<Narrow>>::new(Config::LAN, limits));
    let fixed = |seed| story(seed, || FixedNode::<8, u16, 512, 512>::new(Config::LAN));
    let wide = |seed| story(seed, || Node::<u16, Fixed<8, 512, 512, Wide>>::new(Config::LAN));
    assert_eq!(wide(7), story(7, || HeapNode::<u16>::new(Config::LAN, limits)), "and of any width");
    assert_eq!(heap(1), heap(1));
    assert_ne!(heap(1), heap(2));
    assert!(heap(1) == fixed(1), "whatever the storage, if its limits are equal");
}

/// Six nodes of whom one crashes; they write keys and broadcast more than there is room for. All that is sent.
fn story<S: Storage>(seed: u64, fresh: impl Fn() -> Node<u16, S>) -> String {
    let mut sim = Sim::<Node<u16, S>>::new(seed, Conditions::LAN.with_loss(0.1));
    sim.record_transcript();
    for host in 0..6 {
        sim.add(fresh());
        sim.start(host, &[0, 1]);
    }
    for round in 0..40usize {
        let host = round % 6;
        sim.with(host, |node, now| {
            let _ = node.set(now, ["a", "b"][round % 2], &[round as u8; 30]);
            let _ = node.broadcast(now, tidings::sim::TOPIC, &[round as u8; 60]);
        });
        sim.run_for(Duration::from_millis(500));
        if round == 20 {
            sim.crash(4);
        }
    }
    sim.transcript().to_string()
}

#[test]
fn law_7_torn_halves_come_to_one_view_without_seeds() {
    for (size, seed) in [(4, 1), (16, 2), (16, 3), (128, 4)] {
        let mut sim = cluster(size, seed);
        (0..size).for_each(|host| sim.set_side(host, host as u32 % 2));
        sim.run_for(Duration::from_secs(60));
        let half = size / 2;
        assert!(sim.running().all(|host| Machine::live(sim.machine(host).unwrap()) <= half), "each half is by itself");
        sim.heal();
        let bound = Scenario::bound(&Config::LAN, size);
        let healed = sim.run_until_agreed(Duration::from_millis(100), bound);
        assert!(healed.is_some(), "{size} nodes, seed {seed}: no one view within {bound:?}");
    }
}
