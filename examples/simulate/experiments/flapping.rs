//! Some are in trouble, again and again: cut off, stopped, or half deaf. How many others they drag along.

use std::collections::HashMap;
use std::time::Duration;

use tidings::sim::{Report, Reported, Sim, SimRng};
use tidings::{Instant, Status};

use super::{SECOND, Slander, Subject, rate, some};

/// What the trouble showed.
#[derive(Clone, Copy, Debug)]
pub struct Troubled {
    pub slander: Slander,
    /// Bytes of UDP payload that a node sent in a second, on average.
    pub bytes: f64,
    /// How often an observer changed its mind about whether one of the troubled lives, in the last minute.
    pub flips: usize,
}

/// How long the trouble of cut-off and stopped ones lasts: two minutes, as in Lifeguard's experiments.
pub const LASTS: Duration = Duration::from_secs(120);

/// So many lose their network for this long, again and again, with this gap; their timers run on.
pub fn cut_off<M: Subject>(
    nodes: u32,
    count: u32,
    cut: Duration,
    gap: Duration,
    seed: u64,
) -> Result<Troubled, String> {
    let troubled = some(count, nodes, seed);
    troubled_for::<M>(nodes, &troubled, LASTS, seed, |sim, round| {
        let plugged = round % 2 == 1;
        troubled.iter().for_each(|host| sim.set_plugged(*host, plugged));
        if plugged { gap } else { cut }
    })
}

/// The processes of so many stop for half a second to three, again and again, with this gap, each at times of its own.
pub fn pause<M: Subject>(nodes: u32, count: u32, gap: Duration, seed: u64) -> Result<Troubled, String> {
    let troubled = some(count, nodes, seed);
    let mut rng = SimRng::new(seed);
    let mut next: Vec<(Instant, bool)> = vec![(Instant::ZERO, false); troubled.len()];
    troubled_for::<M>(nodes, &troubled, LASTS, seed, move |sim, _| {
        let now = sim.now();
        for ((at, stopped), host) in next.iter_mut().zip(some(count, nodes, seed)) {
            if now < *at {
                continue;
            }
            if *stopped {
                sim.resume(host)
            } else {
                sim.stop(host)
            }
            *stopped = !*stopped;
            let stop = Duration::from_millis(500 + rng.below(2_501));
            *at = now + if *stopped { stop } else { gap };
        }
        next.iter().map(|(at, _)| *at).min().map_or(SECOND, |at| at.duration_since(now))
    })
}

/// Which way is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Inwards,
    Outwards,
}

/// One loses this part of what goes that way, for five minutes.
pub fn one_way<M: Subject>(nodes: u32, way: Way, part: f64, seed: u64) -> Result<Troubled, String> {
    let troubled = some(1, nodes, seed);
    troubled_for::<M>(nodes, &troubled, 300 * SECOND, seed, |sim, _| {
        match way {
            Way::Inwards => sim.set_loss_in(troubled[0], part),
            Way::Outwards => sim.set_loss_out(troubled[0], part),
        }
        300 * SECOND
    })
}

/// One is cut off inwards for 20 s of every 40 s, for five minutes.
pub fn half_deaf_by_turns<M: Subject>(nodes: u32, seed: u64) -> Result<Troubled, String> {
    let troubled = some(1, nodes, seed);
    troubled_for::<M>(nodes, &troubled, 300 * SECOND, seed, |sim, round| {
        sim.set_loss_in(troubled[0], if round.is_multiple_of(2) { 1.0 } else { 0.0 });
        20 * SECOND
    })
}

/// Lets a settled cluster run while `trouble` is made: it is told the round, from 0 on, and says when it wants the next.
fn troubled_for<M: Subject>(
    nodes: u32,
    troubled: &[usize],
    lasts: Duration,
    seed: u64,
    mut trouble: impl FnMut(&mut Sim<M>, u64) -> Duration,
) -> Result<Troubled, String> {
    let mut sim = M::cluster(nodes, seed)?;
    let (begun, before) = (sim.now(), sim.total_traffic());
    let (mut slander, mut flips) = (Slander::default(), Flips::default());
    for round in 0.. {
        let wait = trouble(&mut sim, round);
        sim.run_until((sim.now() + wait).min(begun + lasts));
        let reports = sim.take_reports();
        slander.count(&sim, &reports, troubled);
        for reported in &reports {
            flips.count(&sim, reported, troubled, begun + (lasts - 60 * SECOND));
        }
        if sim.now() >= begun + lasts {
            break;
        }
    }
    let bytes = rate(nodes, sim.total_traffic().bytes - before.bytes, lasts);
    Ok(Troubled { slander, bytes, flips: flips.count })
}

/// Changes of mind about whether members live; to suspect one is none.
#[derive(Default)]
struct Flips {
    count: usize,
    lives: HashMap<(usize, usize), bool>,
}

impl Flips {
    fn count<M: Subject>(&mut self, sim: &Sim<M>, reported: &Reported, troubled: &[usize], from: Instant) {
        let Report::Member(of, status) = reported.report else { return };
        let Some(of) = troubled.iter().find(|host| sim.id(**host) == of) else { return };
        let lives = matches!(status, Status::Alive | Status::Suspect);
        let before = self.lives.insert((reported.host, *of), lives).unwrap_or(true);
        self.count += usize::from(before != lives && reported.at >= from);
    }
}
