//! The rows about state.

use super::day::{Day, LIMIT, RATES};
use crate::figures::Target;
use crate::rows::{Row, percent};

/// A day and its lines.
#[derive(Debug)]
pub struct Plan {
    pub day: Day,
    pub rows: Vec<Row>,
    /// Whether it is small enough for a quick look.
    pub quick: bool,
}

/// All of them.
pub fn all() -> Vec<Plan> {
    let mut plans = Vec::new();
    for nodes in [40, 128] {
        for loss in [0.0, 0.1] {
            plans.push(Plan { day: Day { nodes, loss }, rows: rows(nodes, loss), quick: nodes == 40 && loss == 0.0 });
        }
    }
    plans
}

/// The lines of a day, in the order of its figures.
fn rows(nodes: usize, loss: f64) -> Vec<Row> {
    let place = format!("{} loss, N = {nodes}", percent(loss));
    let mut shown = vec![
        (format!("state of all who start within 1 s, {place}: all have it"), ""),
        (format!("state that nobody sets, {place}: bytes per node per second"), " B"),
        (format!("64 B of state set by one, {place}: all have it"), ""),
    ];
    for rate in RATES {
        let name = format!("64 B of state set {rate} × a second by random members, {place}");
        shown.push((format!("{name}: bytes per write and member"), " B"));
        shown.push((format!("{name}: after the last, all have it"), ""));
    }
    let row = |(value, (name, unit))| Row { limit: LIMIT, ..Row::new(name, value, Target::Nothing(unit)) };
    shown.into_iter().enumerate().map(row).collect()
}
