//! Nothing happens but loss: what that costs, and whom it condemns.

use std::time::Duration;

use tidings::sim::{Conditions, Traffic};

use super::{Slander, Subject, rate};

/// What a quiet time showed.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    /// Bytes of UDP payload that a node sent in a second, on average.
    pub bytes: f64,
    /// The same of the one that sent most.
    pub most: f64,
    /// Datagrams that a node sent in a second, on average.
    pub datagrams: f64,
    /// Who was declared down: nobody was.
    pub slander: Slander,
}

/// Leaves a settled cluster alone for so long, under this loss.
pub fn run<M: Subject>(nodes: u32, loss: f64, lasts: Duration, seed: u64) -> Result<Steady, String> {
    let mut sim = M::cluster(nodes, seed)?;
    sim.set_conditions(Conditions::LAN.with_loss(loss));
    let before: Vec<Traffic> = (0..nodes as usize).map(|host| sim.traffic(host)).collect();
    let total = sim.total_traffic();
    sim.run_for(lasts);
    let most = before.iter().zip(0..).map(|(before, host)| sim.traffic(host).bytes - before.bytes).max();
    let (bytes, datagrams) = (sim.total_traffic().bytes - total.bytes, sim.total_traffic().datagrams - total.datagrams);
    let mut slander = Slander::default();
    let reports = sim.take_reports();
    slander.count(&sim, &reports, &[]);
    Ok(Steady {
        bytes: rate(nodes, bytes, lasts),
        most: rate(1, most.unwrap_or(0), lasts),
        datagrams: rate(nodes, datagrams, lasts),
        slander,
    })
}
