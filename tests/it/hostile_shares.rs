//! Hostile peers and bounded tables: nobody keeps others out of one, and what one datagram sets off has a bound. As in
//! `hostile.rs`, the safety checks of the simulator are on.

use std::time::Duration;

use crate::common::cluster::{SECOND, reported, status_of, watched};
use tidings::sim::{Forger, Sim};
use tidings::{DropReason, HeapNode, Instant, NodeId, Phase, Status};

type Cluster = Sim<HeapNode<u32>>;

const MILLIS: Duration = Duration::from_millis(1);
/// How often an attack goes on.
const TICK: u64 = 50;
/// The host that crashes.
const CRASHED: usize = 5;
/// A member that there is not, and where it is said to be.
const GHOST: u64 = 1_000_003;
const GHOST_ADDR: u32 = 50_003;

/// Tells `victim` what the forger says, from where its neighbour `mask` is. It is not counted as traffic.
fn tell(sim: &mut Cluster, victim: usize, mask: usize, lie: impl FnOnce(&Cluster, Forger) -> Vec<u8>) {
    let nodes = sim.machine(victim).zip(sim.machine(mask));
    let Some(forger) = nodes.and_then(|(victim, mask)| Forger::new(victim, mask)) else { return };
    let bytes = lie(sim, forger);
    assert!(!bytes.is_empty());
    sim.spoof(mask as u32, victim, &bytes);
}

/// After how many milliseconds all others know of a crash, while this is done in every tick, and two seconds before.
fn known_after(sim: &mut Cluster, mut attack: impl FnMut(&mut Cluster, u64)) -> u64 {
    let tick = Duration::from_millis(TICK);
    for at in 0..40 {
        attack(sim, at);
        sim.run_for(tick);
    }
    sim.crash(CRASHED);
    for at in 40..1_000 {
        attack(sim, at);
        sim.run_for(tick);
        let knows = |host| status_of(sim, host, CRASHED) == Some(Status::Down);
        if (0..sim.hosts()).filter(|host| *host != CRASHED).all(knows) {
            assert_eq!(sim.failure(), None);
            let down = reported(&sim.take_reports(), Status::Down);
            let crashed = sim.id(CRASHED);
            assert!(down.iter().all(|(_, id)| *id == crashed || id.get() >= 1_000_000), "nobody else: {down:?}");
            return (at - 39) * TICK;
        }
    }
    panic!("{:?}: nobody finds it", sim.failure());
}

/// Whom the questions of an attack are about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum About {
    Living,
    Crashed,
    Invented,
}

/// Asks every member for eight probes, in the names of so many others, from their addresses.
fn ask_all(sim: &mut Cluster, about: About, masks: usize, first: u32) {
    let size = sim.hosts();
    for victim in (0..size).filter(|victim| *victim != CRASHED) {
        let ghost = GHOST + victim as u64;
        let target = match about {
            About::Living => sim.id((victim + 1) % size),
            About::Crashed => sim.id(CRASHED),
            About::Invented => NodeId::new(ghost),
        };
        if about == About::Invented {
            tell(sim, victim, (victim + 1) % size, |_, forger| forger.invention::<u32>([ghost].into_iter()));
        }
        for at in 0..8 {
            let mask = (victim + 1 + at % masks) % size;
            tell(sim, victim, mask, |_, forger| forger.ask(first + at as u32, target, 1));
        }
    }
}

#[test]
fn eight_questions_in_any_names_about_anybody_do_not_delay_the_detection_of_a_crash() {
    for about in [About::Living, About::Crashed, About::Invented] {
        for (masks, every, replayed) in [(1, 26_000, false), (8, 26_000, false), (8, 500, false), (8, 500, true)] {
            let mut took: Vec<u64> = (0..16)
                .map(|seed| {
                    let mut sim = watched(16, seed);
                    known_after(&mut sim, |sim, at| {
                        if (at * TICK).is_multiple_of(every) {
                            ask_all(sim, about, masks, if replayed { 1 } else { 8 * at as u32 });
                        }
                    })
                })
                .collect();
            took.sort_unstable();
            // Without any attack it is 3.3 to 4.9 s here, 3.7 in half of the runs. Of 80 seeds one in ten takes more than 6 s in
            // the worst of these, and one 8.7 s.
            let (median, late, worst) = (took[8], took[14], took[15]);
            let soon = median <= 5_200 && late <= 8_000 && worst <= 9_000;
            assert!(soon, "{about:?}, {masks} names every {every} ms: {took:?}");
        }
    }
}

#[test]
fn accusations_without_end_do_not_slow_the_accused_down() {
    for (size, every) in [(16, 200), (16, 50), (64, 200)] {
        for seed in 0..2 {
            let mut sim = watched(size, seed);
            let took = known_after(&mut sim, |sim, at| {
                for victim in (0..size).filter(|_| (at * TICK).is_multiple_of(every)) {
                    let mask = (victim + 1 + at as usize % 7) % size;
                    tell(sim, victim, mask, |sim, forger| forger.accusation(sim.machine(victim).unwrap()));
                }
            });
            assert!(took <= 6_000, "{size} members, each accused every {every} ms, seed {seed}: {took} ms");
        }
    }
}

/// What a lie costs in five seconds: the bytes and datagrams of all beyond those without it, and the victim's phase.
fn cost(size: usize, seed: u64, victim: usize, lie: impl Fn(&Cluster, Forger) -> Vec<u8>) -> (u64, u64) {
    let [told, quiet] = [true, false].map(|tells| {
        let mut sim = watched(size, seed);
        let before = sim.total_traffic();
        if tells {
            tell(&mut sim, victim, 1, &lie);
        }
        sim.run_for(5 * SECOND);
        assert_eq!(sim.failure(), None);
        assert!(sim.agrees());
        assert!((0..size).all(|host| sim.machine(host).unwrap().stats().refutations == 0), "nobody need speak up");
        assert!((0..size).all(|host| sim.machine(host).unwrap().phase() == Phase::Member));
        let after = sim.total_traffic();
        (after.bytes - before.bytes, after.datagrams - before.datagrams)
    });
    (told.0.saturating_sub(quiet.0), told.1.saturating_sub(quiet.1))
}

#[test]
fn an_accusation_costs_a_few_datagrams_at_any_size() {
    for size in [8, 64, 128] {
        for seed in 0..3 {
            let accused = size - 2;
            let (bytes, datagrams) =
                cost(size, seed, 3, |sim, forger| forger.accusation(sim.machine(accused).unwrap()));
            assert!(bytes <= 300 && datagrams <= 8, "{size} members, seed {seed}: {bytes} B, {datagrams} datagrams");
        }
    }
}

#[test]
fn whoever_is_told_that_it_is_dead_or_has_left_asks_and_tells_nobody_else() {
    for size in [8, 64, 128] {
        for what in 0..3 {
            let accused = size - 2;
            let (bytes, datagrams) = cost(size, 1, accused, |sim, forger| {
                let machine = sim.machine(accused).unwrap();
                match what {
                    0 => forger.accusation(machine),
                    1 => forger.verdict(machine, [sim.id(2), sim.id(3)]),
                    _ => forger.farewell(machine),
                }
            });
            assert!(bytes <= 150 && datagrams <= 4, "{size} members, lie {what}: {bytes} B, {datagrams} datagrams");
        }
    }
}

/// A member by itself, with others who speak to it.
struct Alone {
    sim: Cluster,
    node: HeapNode<u32>,
    now: Instant,
}

impl Alone {
    fn new(size: usize) -> Self {
        Self::of_seed(size, 1)
    }

    fn of_seed(size: usize, seed: u64) -> Self {
        let sim = watched(size, seed);
        let (node, now) = (sim.machine(0).unwrap().clone(), sim.now());
        Alone { sim, node, now }
    }

    /// Tells it what `mask` says, from where that is; how many bytes that took.
    fn told_by(&mut self, mask: usize, lie: impl FnOnce(&Cluster, Forger) -> Vec<u8>) -> usize {
        let forger = Forger::new(&self.node, self.sim.machine(mask).unwrap()).unwrap();
        let mut bytes = lie(&self.sim, forger);
        self.node.handle_datagram(self.now, mask as u32, &mut bytes);
        bytes.len()
    }

    fn sent(&mut self) -> Vec<(u32, usize)> {
        let mut buf = [0; 2_048];
        std::iter::from_fn(|| self.node.poll_transmit(&mut buf).map(|sent| (sent.to, sent.payload.len()))).collect()
    }

    /// What it sends to an address in so many seconds.
    fn sent_within(&mut self, seconds: u64, to: u32) -> usize {
        let mut bytes = 0;
        for _ in 0..seconds * 100 {
            bytes += self.sent().iter().filter(|(addr, _)| *addr == to).map(|(_, len)| len).sum::<usize>();
            self.now = self.now + 10 * MILLIS;
            self.node.handle_timeout(self.now);
        }
        bytes
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.node.stats().dropped(reason)
    }
}

#[test]
fn questions_about_a_member_that_proved_nothing_send_it_three_bytes_for_one() {
    // Asked under eight numbers, eight times under one, and under forty in one datagram.
    for (numbers, times, frames) in [(8, 1, 1), (1, 8, 1), (1, 1, 40)] {
        let [asked, quiet] = [true, false].map(|asks| {
            // The order of the node's own probes is chance, and they differ by more than the questions cost: they are
            // summed up over many seeds.
            let runs = (1..=16).map(|seed| {
                let mut alone = Alone::of_seed(4, seed);
                alone.told_by(1, |_, forger| forger.invention::<u32>([GHOST].into_iter()));
                let mut cost = 0;
                for (question, _) in (0..numbers).flat_map(|number| (0..times).map(move |time| (64 * number, time))) {
                    if asks {
                        cost += alone.told_by(1, |_, forger| forger.ask(question, NodeId::new(GHOST), frames));
                    }
                }
                // Until its own probe, which is not the askers' doing, has found the member dead, and beyond.
                (cost, alone.sent_within(30, GHOST_ADDR))
            });
            runs.fold((0, 0), |(costs, sums), (cost, sent)| (costs + cost, sums + sent))
        });
        assert!(asked.1 > quiet.1, "the questions are heeded");
        let brought = asked.1 - quiet.1;
        assert!(brought <= 3 * asked.0, "{numbers} numbers, {times} times: {brought} bytes for {}", asked.0);
    }
}

#[test]
fn one_accuser_does_not_keep_the_claims_of_another_from_being_looked_into() {
    let mut alone = Alone::new(32);
    alone.now = alone.now + 2 * SECOND;
    for accused in 3..20 {
        alone.told_by(1, |sim, forger| forger.accusation(sim.machine(accused).unwrap()));
    }
    let refused = alone.dropped(DropReason::TooManyClaims);
    assert!(refused > 0, "there are more than are looked into at once");
    alone.told_by(2, |sim, forger| forger.accusation(sim.machine(25).unwrap()));
    assert_eq!(alone.dropped(DropReason::TooManyClaims), refused);
}

#[test]
fn one_teller_does_not_keep_the_moves_that_another_tells_from_being_looked_into() {
    let mut alone = Alone::new(12);
    for moved in 3..9 {
        alone.told_by(1, |sim, forger| forger.removal(sim.machine(moved).unwrap(), GHOST_ADDR + moved as u32));
    }
    let refused = alone.dropped(DropReason::TooManyClaims);
    assert_eq!(refused, 2, "four of six are looked into");
    alone.told_by(2, |sim, forger| forger.removal(sim.machine(10).unwrap(), GHOST_ADDR));
    assert_eq!(alone.dropped(DropReason::TooManyClaims), refused);
}

#[test]
fn one_asker_does_not_keep_the_answers_to_another_from_being_sent() {
    let mut alone = Alone::new(4);
    let nobody = NodeId::new(77_777);
    for question in 0..40 {
        alone.told_by(1, |_, forger| forger.ask(question, nobody, 1));
    }
    alone.told_by(2, |_, forger| forger.ask(7, nobody, 1));
    assert_eq!(alone.dropped(DropReason::Busy), 25, "sixteen answers are kept");
    let sent = alone.sent();
    assert_eq!(sent.iter().filter(|(to, _)| *to == 2).count(), 1);
    assert_eq!(sent.iter().filter(|(to, _)| *to == 1).count(), 15);
}
