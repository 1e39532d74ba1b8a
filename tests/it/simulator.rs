//! The simulator itself: it repeats, it drives anything, its checks can fail, and a failure can be replayed.

use std::time::Duration;

use tidings::sim::{Conditions, HostAddress, Link, Machine, Refusal, Report, Scenario, Sim, SimRng, Watch};
use tidings::{Config, HeapNode, Instant, Limits, NodeId, Status};

/// Another protocol: everybody tells host 0 every 100 ms that it lives.
#[derive(Default)]
struct Beacon {
    next: Option<Instant>,
    me: u64,
    owed: bool,
    heard: u64,
    refused: u64,
}

impl Machine for Beacon {
    type Addr = u16;

    fn addr_of(host: u32) -> u16 {
        u16::of_host(host)
    }
    fn start(&mut self, now: Instant, id: NodeId, _: u16, _: &mut SimRng) {
        (self.next, self.me) = (Some(now), id.get());
    }
    fn join(&mut self, _: Instant, _: u16) {}
    fn leave(&mut self, _: Instant) {
        self.next = None;
    }
    fn handle_datagram(&mut self, _: Instant, _: u16, datagram: &mut [u8]) {
        assert_eq!(datagram, b"here");
        self.heard += 1;
    }
    fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_some_and(|next| now >= next) {
            (self.next, self.owed) = (Some(now + Duration::from_millis(100)), self.me != 1);
        }
    }
    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u16, usize)> {
        std::mem::take(&mut self.owed).then(|| {
            buf[..4].copy_from_slice(b"here");
            (0, 4)
        })
    }
    fn poll_report(&mut self) -> Option<Report> {
        None
    }
    fn poll_timeout(&self) -> Instant {
        self.next.unwrap_or(Instant::FAR_FUTURE)
    }
    fn status(&self, _: NodeId) -> Option<Status> {
        None
    }
    fn live(&self) -> usize {
        1
    }
    fn has_left(&self) -> bool {
        self.next.is_none()
    }
    fn send_error(&mut self, _: Instant, to: u16) {
        assert_eq!(to, 0);
        self.refused += 1;
    }
}

fn beacons(conditions: Conditions) -> Sim<Beacon> {
    let mut sim = Sim::new(3, conditions);
    for host in 0..11 {
        sim.add(Beacon::default());
        sim.start(host, &[]);
    }
    sim
}

#[test]
fn it_drives_another_protocol_and_loses_what_it_is_told_to() {
    let mut sim = beacons(Conditions::LAN);
    sim.run_for(Duration::from_secs(100));
    // Ten beacons at ten a second; each first one at time zero.
    assert_eq!(sim.total_traffic().datagrams, 10_010);
    let heard = sim.machine(0).unwrap().heard;
    assert!((10_000..=10_010).contains(&heard), "all but what is under way: {heard}");

    let mut lossy = beacons(Conditions::LAN.with_loss(0.25));
    lossy.run_for(Duration::from_secs(100));
    let heard = lossy.machine(0).unwrap().heard;
    assert!((7_300..7_700).contains(&heard), "a quarter is lost: {heard}");
}

#[test]
fn a_stopped_process_finds_what_waited_in_its_socket_and_a_fast_clock_ticks_more() {
    let mut sim = beacons(Conditions::LAN);
    sim.stop(0);
    sim.run_for(Duration::from_secs(1));
    assert_eq!(sim.machine(0).unwrap().heard, 0);
    sim.resume(0);
    assert!(sim.machine(0).unwrap().heard >= 95);
    let before = sim.traffic(3).datagrams;
    sim.set_drift(3, 50_000);
    sim.run_for(Duration::from_secs(100));
    let sent = sim.traffic(3).datagrams - before;
    assert!((1_049..=1_051).contains(&sent), "five percent more than a thousand: {sent}");
}

/// What of ten beacons, each of ten a second, host 0 hears in ten seconds under these faults.
fn heard_under(faults: impl FnOnce(&mut Sim<Beacon>)) -> u64 {
    let mut sim = beacons(Conditions::LAN);
    faults(&mut sim);
    sim.run_for(Duration::from_secs(10));
    let before = sim.machine(0).unwrap().heard;
    sim.heal();
    assert!(!sim.has_partial_faults(), "all is healed");
    sim.run_for(Duration::from_secs(10));
    let after = sim.machine(0).unwrap().heard - before;
    // Those that were slow come then too.
    assert!((990..=1_060).contains(&after), "and heard again: {after}");
    before
}

#[test]
fn links_and_zones_lose_what_they_are_told_to_one_way() {
    let near = |heard: u64, wanted: u64| heard.abs_diff(wanted) <= 12;
    assert!(near(heard_under(|sim| sim.set_link(1, 0, Link::BLOCKED)), 900));
    assert!(near(heard_under(|sim| sim.set_link(0, 1, Link::BLOCKED)), 1_000), "the way back is another");
    assert!(near(heard_under(|sim| sim.set_link_between(1, 0, Link::GOOD.with_longest(3))), 900), "four bytes");
    assert!(near(heard_under(|sim| sim.set_link(1, 0, Link::GOOD.with_longest(4))), 1_000));
    assert!(near(heard_under(|sim| sim.set_link(1, 0, Link::GOOD.with_delay(Duration::from_secs(5)))), 950));
    let lossy = heard_under(|sim| (1..=10).for_each(|host| sim.set_link(host, 0, Link::GOOD.with_loss(0.5))));
    assert!((420..580).contains(&lossy), "half is lost: {lossy}");
    let zones = heard_under(|sim| {
        (1..=4).for_each(|host| sim.set_zone(host, 7));
        sim.set_zone_link(7, 0, Link::BLOCKED);
    });
    assert!(near(zones, 600), "four are in another zone: {zones}");
}

#[test]
fn a_filter_lets_in_what_was_sent_to_of_late() {
    let near = |heard: u64, wanted: u64| heard.abs_diff(wanted) <= 12;
    let closed = heard_under(|sim| sim.set_filter(0, Some(Duration::from_secs(3))));
    assert_eq!(closed, 0, "host 0 sends nothing");
    let open = heard_under(|sim| {
        sim.set_filter(0, Some(Duration::from_secs(3)));
        sim.inject(0, 1, b"here");
    });
    assert!(near(open, 30), "one is let in for three seconds: {open}");
}

#[test]
fn refused_sends_are_told_to_the_machine_and_leave_nothing_on_the_network() {
    let mut sim = beacons(Conditions::LAN);
    sim.set_refusal(1, Refusal::Chance(0.25));
    let window = Refusal::Window { lasts: Duration::from_millis(300), every: Duration::from_secs(1) };
    sim.set_refusal(2, window);
    sim.run_for(Duration::from_secs(100));
    let by_chance = sim.machine(1).unwrap().refused;
    assert!((200..300).contains(&by_chance), "a quarter of a thousand: {by_chance}");
    assert!((299..=301).contains(&sim.machine(2).unwrap().refused));
    for host in [1, 2] {
        let sent = sim.traffic(host).datagrams;
        assert_eq!(sent + sim.machine(host).unwrap().refused, 1_001, "what is refused is not sent");
    }
}

#[test]
fn a_coarse_loop_reads_all_that_waits_and_sends_only_when_it_comes_round() {
    let mut sim = beacons(Conditions::LAN);
    sim.set_pace(0, Some(Duration::from_secs(2)));
    sim.set_pace(1, Some(Duration::from_secs(2)));
    let (mut heard, mut changes) = (0, 0);
    for _ in 0..1_000 {
        sim.run_for(Duration::from_millis(10));
        let now = sim.machine(0).unwrap().heard;
        changes += u64::from(now != heard);
        heard = now;
    }
    assert!((4..=6).contains(&changes), "it reads every two seconds: {changes}");
    assert!(heard >= 8 * 90 - 10, "and misses nothing: {heard}");
    assert!((4..=6).contains(&sim.traffic(1).datagrams), "and sends once each time");
}

struct Never;

impl Watch<HeapNode<u32>> for Never {
    fn after_step(&mut self, sim: &Sim<HeapNode<u32>>, host: usize) -> Result<(), String> {
        if sim.now() > Instant::from_millis(5_000) { Err(format!("host {host} did a step")) } else { Ok(()) }
    }
}

#[test]
fn a_watch_that_finds_fault_ends_the_run_and_the_failure_can_be_replayed() {
    let scenario = Scenario::from_seed(7);
    let failure = scenario.run_with(Config::LAN, |sim| sim.watch(Never)).expect_err("the watch finds fault");
    let text = failure.to_string();
    assert!(text.starts_with("host "), "{text}");
    assert!(text.contains("simulate -- replay FILE"), "{text}");
    let saved = &text[text.find("nodes ").expect("the scenario is in the text")..];
    assert_eq!(saved.parse(), Ok(scenario));
}

#[test]
fn no_agreement_is_a_failure() {
    // Under another cluster's name nobody can agree with it.
    let scenario: Scenario = "nodes 3\nseed 1\n".parse().unwrap();
    let failure = scenario.run_with(Config::LAN, |sim| {
        sim.add(HeapNode::new(Config::LAN.with_cluster("elsewhere"), Limits::DEFAULT));
        sim.start(0, &[]);
    });
    assert!(failure.expect_err("they cannot agree").to_string().starts_with("no agreement"));
}

#[test]
fn every_scenario_survives_being_written_and_read() {
    for seed in 0..500 {
        let scenario = Scenario::from_seed(seed);
        assert_eq!(scenario.to_string().parse(), Ok(scenario));
    }
    for bad in [
        "",
        "nodes 1\n",
        "nodes 5\n10 crash 5\n",
        "nodes 5\n10 crash\n",
        "nodes 5\n10 jump 1 x\n",
        "nodes 5\n20 crash 1\n10 crash 2\n",
    ] {
        assert!(bad.parse::<Scenario>().is_err(), "{bad:?}");
    }
}

#[test]
fn any_bytes_are_a_scenario() {
    for bytes in [&[][..], &[9], &[255; 400], &[0; 7]] {
        let scenario = Scenario::from_bytes(bytes);
        assert_eq!(scenario.to_string().parse(), Ok(scenario));
    }
}
