//! What the page reads: a few flat lists of numbers. An age is how many seconds ago something was.

use tidings::{Instant, Status};

use crate::stage::Stage;

/// The time of what did not happen.
const NEVER: f32 = -1.0;

/// All that the page shows at one moment.
#[derive(Debug, Default)]
pub struct Picture {
    /// Of each node: its state, its side, how many it holds to be alive.
    nodes: Vec<u32>,
    /// Row by row: what each node holds each to be, as [`number`] has it.
    views: Vec<u8>,
    /// Of each datagram: from, to, bytes, age, age of its arrival.
    flights: Vec<f32>,
    /// Of each moment: running nodes; the least, median and most that one holds to be alive; bytes a node and second, and
    /// of the busiest.
    samples: Vec<f32>,
    /// Of each happening: number, what, node, age; of each node after how many seconds it learned of it, or else whether it
    /// is owed it (-1) or not (-2).
    happenings: Vec<f32>,
}

impl Picture {
    /// Of the stage as it is.
    pub fn take(&mut self, stage: &mut Stage) {
        let (hosts, now) = (stage.hosts(), stage.now());
        let age = |at: Instant| (now - at).as_secs_f32();
        self.nodes.clear();
        self.views.clear();
        for host in 0..hosts {
            self.nodes.extend([stage.state(host) as u32, stage.side(host), stage.live(host) as u32]);
            self.views.extend((0..hosts).map(|subject| number(stage.view(host, subject))));
        }
        self.flights.clear();
        for flight in stage.take_flights() {
            let arrived = flight.arrived.map_or(NEVER, age);
            self.flights.extend([flight.from as f32, flight.to as f32, flight.bytes as f32, age(flight.sent), arrived]);
        }
        self.samples.clear();
        for sample in stage.samples() {
            let counts = [sample.running, sample.least, sample.median, sample.most].map(|count| count as f32);
            self.samples.extend(counts);
            self.samples.extend([sample.mean_rate, sample.most_rate]);
        }
        self.happenings = stage
            .happenings(|it| {
                let head = [it.number as f32, it.what.number() as f32, it.host as f32, age(it.at)];
                let known = it.known.iter().zip(&it.owed).map(|(known, owed)| match (known, owed) {
                    (Some(at), _) => (*at - it.at).as_secs_f32(),
                    (None, true) => NEVER,
                    (None, false) => NEVER - 1.0,
                });
                head.into_iter().chain(known).collect::<Vec<f32>>()
            })
            .concat();
    }

    /// Where the list of this number begins, and how many elements it has.
    pub(crate) fn list(&self, number: u32) -> (*const u8, usize) {
        match number {
            0 => (self.nodes.as_ptr().cast(), self.nodes.len()),
            1 => (self.views.as_ptr(), self.views.len()),
            2 => (self.flights.as_ptr().cast(), self.flights.len()),
            3 => (self.samples.as_ptr().cast(), self.samples.len()),
            4 => (self.happenings.as_ptr().cast(), self.happenings.len()),
            _ => (core::ptr::null(), 0),
        }
    }
}

/// 0 if it is not known, and the statuses in their order.
fn number(status: Option<Status>) -> u8 {
    match status {
        Some(Status::Alive) => 1,
        Some(Status::Suspect) => 2,
        Some(Status::Down) => 3,
        Some(Status::Left) => 4,
        _ => 0,
    }
}
