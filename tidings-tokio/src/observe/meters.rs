//! Metrics, by the conventions of Prometheus: counters end in `_total`.

use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Label, Unit};
use tidings::{DropReason, HeapNode, Phase, Status};

/// How often they are brought up to date.
const EVERY: Duration = Duration::from_secs(1);

/// What is told of a node, and how it was told last.
pub(crate) struct Meters {
    handles: Option<Handles>,
    next: Option<Instant>,
}

struct Handles {
    counters: Vec<Counter>,
    refused: Vec<(DropReason, Counter)>,
    members: [(Status, Gauge); 4],
    is_member: Gauge,
}

/// Says what each is, which exporters show.
fn describe(node: &HeapNode) {
    for (name, _) in node.stats().iter() {
        let unit = if name.starts_with("bytes") { Unit::Bytes } else { Unit::Count };
        let text = format!("The counter `{name}` of `tidings::Stats`");
        metrics::describe_counter!(format!("tidings_{name}_total"), unit, text);
    }
    metrics::describe_counter!("tidings_refused_total", Unit::Count, "What this node refused, by reason");
    metrics::describe_gauge!("tidings_members", Unit::Count, "Members that this node knows, by status");
    metrics::describe_gauge!("tidings_is_member", "1 while this node is a member and others answer it, else 0");
}

impl Handles {
    fn new(node: &HeapNode) -> Self {
        describe(node);
        let labels = vec![Label::new("node", node.id().to_string())];
        let with = |key: &'static str, value: String| {
            let mut labels = labels.clone();
            labels.push(Label::new(key, value));
            labels
        };
        let counter = |(name, _): (&str, u64)| metrics::counter!(format!("tidings_{name}_total"), labels.clone());
        let refused = |reason: DropReason| {
            (reason, metrics::counter!("tidings_refused_total", with("reason", reason.name().to_owned())))
        };
        let members =
            |status: Status, name: &str| (status, metrics::gauge!("tidings_members", with("status", name.to_owned())));
        Handles {
            counters: node.stats().iter().map(counter).collect(),
            refused: DropReason::ALL.map(refused).into(),
            members: [
                members(Status::Alive, "alive"),
                members(Status::Suspect, "suspect"),
                members(Status::Down, "down"),
                members(Status::Left, "left"),
            ],
            is_member: metrics::gauge!("tidings_is_member", labels.clone()),
        }
    }
}

impl Meters {
    pub(crate) const fn new() -> Self {
        Meters { handles: None, next: None }
    }

    /// Brings all up to date, once a second, and for the last time.
    pub(crate) fn update(&mut self, node: &HeapNode, phase: Phase, is_last: bool) {
        let now = Instant::now();
        if !is_last && self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + EVERY);
        let handles = self.handles.get_or_insert_with(|| Handles::new(node));
        for (counter, (_, value)) in handles.counters.iter().zip(node.stats().iter()) {
            counter.absolute(value);
        }
        for (reason, counter) in &handles.refused {
            counter.absolute(node.stats().dropped(*reason));
        }
        for (status, gauge) in &handles.members {
            gauge.set(node.members().filter(|member| member.status() == *status).count() as f64);
        }
        handles.is_member.set(f64::from(u8::from(phase == Phase::Member)));
    }
}
