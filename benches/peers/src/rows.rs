//! The rows: experiments, what is taken from them, and what is wanted of ours.

use std::time::Duration;

use crate::experiments::crash;
use crate::experiments::flapping::Way;
use crate::figures::Target;
use crate::trial::{BOOTSTRAP_LIMIT, JOIN_LIMIT, MESSAGE_LIMITS, PARTITION_LIMIT, Trial, seconds};

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// Which figure of a run it shows.
    pub value: usize,
    pub target: Target,
    /// The time after which it is "never".
    pub limit: Duration,
    /// What explains foca's figure, where something is known to.
    pub cause: Option<Cause>,
}

/// What explains a figure of foca's; the notes below the table say more. To tell them apart, the same was run with a
/// copy of foca in which the first was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Members are expelled though they refuted a suspicion.
    Refuted,
    /// Suspicions are told to all.
    Gossiped,
    /// Who hears nobody condemns everybody.
    Deaf,
    /// Messages go to random members, and who lacks one does not ask for it.
    Unrepaired,
}

impl Cause {
    /// The sign of its note.
    pub fn sign(self) -> &'static str {
        match self {
            Cause::Refuted => " ¹",
            Cause::Gossiped => " ²",
            Cause::Deaf => " ³",
            Cause::Unrepaired => " ⁴",
        }
    }
}

impl Row {
    pub fn new(name: impl Into<String>, value: usize, target: Target) -> Self {
        Row { name: name.into(), value, target, limit: BOOTSTRAP_LIMIT, cause: None }
    }

    /// One whose figure of foca has this cause.
    pub fn from(self, cause: Cause) -> Self {
        Row { cause: Some(cause), ..self }
    }
}

/// An experiment and its lines.
#[derive(Debug)]
pub struct Plan {
    pub trial: Trial,
    pub rows: Vec<Row>,
    /// Whether it is small enough for a quick look.
    pub quick: bool,
}

impl Plan {
    fn of(trial: Trial, rows: impl IntoIterator<Item = Row>) -> Self {
        Plan { trial, rows: rows.into_iter().collect(), quick: trial.nodes() <= 16 }
    }

    fn quick(self) -> Self {
        Plan { quick: true, ..self }
    }
}

fn row(name: impl Into<String>, value: usize, target: Target) -> Row {
    Row::new(name, value, target)
}

fn within(median: f64, most: f64) -> Target {
    Target::Within { median: Some(median), most: Some(most) }
}

fn bytes(most: f64) -> Target {
    Target::AtMost(most, " B")
}

/// With a comma at the thousands.
fn count(nodes: u32) -> String {
    if nodes < 1_000 { nodes.to_string() } else { format!("{},{:03}", nodes / 1_000, nodes % 1_000) }
}

/// Without digits after the point.
pub fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// All of them, in the order of the targets.
pub fn all() -> Vec<Plan> {
    [crashes(), quiet(), cut_off(), stopped(), half_deaf(), growth(), broadcasts()].into_iter().flatten().collect()
}

fn crashes() -> Vec<Plan> {
    let mut plans = Vec::new();
    let crash = |nodes: u32, crashed: u32, loss: f64, rows: Vec<Row>| {
        let rows = rows.into_iter().map(|row| Row { limit: crash::LIMIT, ..row });
        Plan::of(Trial::Crash { nodes, crashed, loss }, rows)
    };
    for nodes in [16, 128, 1_024, 4_096] {
        for loss in [0.0, 0.05] {
            let name = format!("crash to known by all, {} loss, N = {}", percent(loss), count(nodes));
            plans.push(crash(nodes, 1, loss, vec![row(name, 0, within(4.5, 6.5))]));
        }
    }
    for (loss, target) in [(0.2, within(5.0, 7.5)), (0.3, within(5.5, 9.0))] {
        let name = format!("crash to known by all, {} loss, N = 128", percent(loss));
        plans.push(crash(128, 1, loss, vec![row(name, 0, target).from(Cause::Refuted)]));
    }
    for (crashed, most) in [(32, 10.0), (64, 13.0)] {
        let name = format!("{crashed} of 128 crash at once");
        let rows = vec![
            row(format!("{name}: known by all"), 0, Target::Within { median: None, most: Some(most) }),
            row(format!("{name}: healthy declared down"), 1, Target::Nobody),
        ];
        plans.push(crash(128, crashed, 0.0, rows));
    }
    plans
}

/// Condemned and bytes come from the same runs where the time is the same: ten minutes, or one from 1,024 members on.
fn quiet() -> Vec<Plan> {
    let mut plans = Vec::new();
    for nodes in [16, 128, 1_024, 4_096] {
        let losses: &[f64] = match nodes {
            4_096 => &[0.0],
            1_024 => &[0.0, 0.2, 0.3],
            _ => &[0.0, 0.05, 0.2, 0.3, 0.4],
        };
        let (lasts, time) = if nodes < 1_024 { (seconds(600), "10 min") } else { (seconds(60), "1 min") };
        for &loss in losses {
            let most = [(0.0, 60.0), (0.2, 110.0), (0.3, 160.0)].into_iter().find(|(part, _)| *part == loss);
            let target = most.map_or(Target::Nothing(" B"), |(_, most)| bytes(most));
            let name = format!("bytes per node per second, {} loss, N = {}", percent(loss), count(nodes));
            let steady = row(name, 0, target);
            let name = format!("live nodes declared down in {time}, {} loss, N = {}", percent(loss), count(nodes));
            let condemned = row(name, 1, Target::Nobody);
            let rows = if loss > 0.0 {
                vec![condemned.from(Cause::Refuted), steady.from(Cause::Gossiped)]
            } else {
                vec![steady]
            };
            plans.push(Plan::of(Trial::Steady { nodes, loss, lasts }, rows));
        }
    }
    plans
}

fn cut_off() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (gap, shown, most) in [(64, "64 ms", 600.0), (4_000, "4 s", 1_000.0)] {
        for cut in [1, 8, 32] {
            for lasts in [2, 8, 32] {
                let name = format!("{cut} of 128 cut off for {lasts} s, gap {shown}, 2 min");
                let rows = [
                    row(format!("{name}: healthy declared down by healthy"), 0, Target::Nobody).from(Cause::Deaf),
                    row(format!("{name}: bytes per node per second"), 1, bytes(most)).from(Cause::Gossiped),
                ];
                let gap = Duration::from_millis(gap);
                plans.push(Plan::of(Trial::CutOff { cut, lasts: seconds(lasts), gap }, rows));
            }
        }
    }
    plans
}

fn stopped() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (gap, shown) in [(64, "64 ms"), (1_000, "1 s")] {
        for stopped in [1, 8, 32] {
            let name = format!("processes of {stopped} of 128 stop for 0.5 to 3 s, gap {shown}, 2 min");
            let rows = [
                row(format!("{name}: anybody declared down"), 0, Target::Nobody).from(Cause::Refuted),
                row(format!("{name}: bytes per node per second"), 1, bytes(600.0)).from(Cause::Gossiped),
            ];
            plans.push(Plan::of(Trial::Pause { stopped, gap: Duration::from_millis(gap) }, rows));
        }
    }
    plans
}

fn half_deaf() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (way, shown) in [(Way::Inwards, "inwards"), (Way::Outwards, "outwards")] {
        let name = format!("one of 128 loses 80 % {shown}, 5 min");
        let rows = [
            row(format!("{name}: healthy declared down by others"), 0, Target::Nobody).from(Cause::Deaf),
            row(format!("{name}: healthy declared down by itself"), 1, Target::Nobody).from(Cause::Deaf),
            row(format!("{name}: flips of its status in the last minute"), 2, Target::AtMost(0.0, "")),
        ];
        plans.push(Plan::of(Trial::OneWay(way), rows));
    }
    let name = "one of 128 cut off inwards 20 s of every 40 s, 5 min";
    let rows = [
        row(format!("{name}: healthy declared down by others"), 0, Target::Nobody).from(Cause::Deaf),
        row(format!("{name}: healthy declared down by itself"), 1, Target::Nobody).from(Cause::Deaf),
    ];
    plans.push(Plan::of(Trial::HalfDeaf, rows));
    plans
}

fn growth() -> Vec<Plan> {
    let newcomer = [
        row("newcomer known by all, N = 1,024", 0, Target::Within { median: None, most: Some(0.1) }),
        row("newcomer's own view complete, N = 1,024", 1, Target::Within { median: None, most: Some(0.3) }),
    ];
    let newcomer = newcomer.map(|row| Row { limit: JOIN_LIMIT, ..row });
    let mut plans = vec![Plan::of(Trial::Join { nodes: 1_024 }, newcomer)];
    let boots = [
        (128, 0.0, 2.2, Target::Nothing(" kB")),
        (512, 0.0, 2.5, Target::Nothing(" kB")),
        (1_024, 0.0, 3.0, Target::AtMost(50.0, " kB")),
        (1_024, 0.2, 7.0, Target::AtMost(70.0, " kB")),
    ];
    for (nodes, loss, most, sent) in boots {
        let name = format!("{} join through one seed within 1 s, {} loss", count(nodes), percent(loss));
        let rows = [
            row(format!("{name}: all views complete"), 0, Target::Within { median: Some(most), most: None }),
            row(format!("{name}: sent per node until then, or for 120 s"), 1, sent),
        ];
        plans.push(Plan::of(Trial::Bootstrap { nodes, loss }, rows));
    }
    for apart in [60, 600] {
        let name = format!("halves of 128 apart for {apart} s: one whole view again, no seeds");
        let row = Row { limit: PARTITION_LIMIT, ..row(name, 0, within(3.0, 5.0)) };
        let plan = Plan::of(Trial::Partition { apart: seconds(apart) }, [row]);
        plans.push(if apart == 60 { plan.quick() } else { plan });
    }
    plans
}

fn broadcasts() -> Vec<Plan> {
    let [single, stream] = MESSAGE_LIMITS;
    let mut plans = Vec::new();
    for (nodes, most) in [(128, 0.02), (1_024, 0.025)] {
        let name = format!("64 B broadcast to all, 0 % loss, N = {}", count(nodes));
        let rows = [
            row(format!("{name}: all have it"), 0, Target::Within { median: Some(most), most: None })
                .from(Cause::Unrepaired),
            row(format!("{name}: payloads per member"), 1, Target::AtMost(1.02, "")),
        ];
        let plan = Plan::of(Trial::Shot { nodes }, rows.map(|row| Row { limit: single, ..row }));
        plans.push(if nodes == 128 { plan.quick() } else { plan });
    }
    let streamed = |rows: Vec<Row>| rows.into_iter().map(|row| Row { limit: stream, ..row }).collect::<Vec<_>>();
    for (nodes, loss) in [(128, 0.0), (16, 0.2), (128, 0.2), (1_024, 0.2)] {
        let name = format!("64 B broadcast a second by random members, {} loss, N = {}", percent(loss), count(nodes));
        let rows = vec![
            row(format!("{name}: reached all"), 0, Target::AtLeast(100.0, " %")),
            row(format!("{name}: needless payloads for each needed"), 1, Target::AtMost(0.4, "")),
            row(format!("{name}: 99 % of deliveries"), 2, Target::Within { median: Some(0.2), most: None }),
            row(format!("{name}: bytes per message and member"), 3, Target::Nothing(" B")),
        ];
        let rows = rows.into_iter().map(|row| match row.value {
            0 | 2 => row.from(Cause::Unrepaired),
            _ => row,
        });
        plans.push(Plan::of(Trial::Stream { nodes, loss, crashed: 0 }, streamed(rows.collect())));
    }
    let name = "64 B broadcast a second by random members, 38 of 128 crash at once";
    let rows = vec![
        row(format!("{name}: deliveries made, first 10 s"), 4, Target::AtLeast(100.0, " %")).from(Cause::Unrepaired),
        row(format!("{name}: deliveries made, later"), 5, Target::AtLeast(100.0, " %")).from(Cause::Unrepaired),
        row(format!("{name}: 99 % of all deliveries"), 2, Target::Nothing("")),
    ];
    plans.push(Plan::of(Trial::Stream { nodes: 128, loss: 0.0, crashed: 38 }, streamed(rows)));
    plans
}
