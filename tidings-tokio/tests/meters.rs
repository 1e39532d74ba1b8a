//! What operators measure of a node: its counters, and its members.
#![cfg(feature = "metrics")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use common::{soon, start};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use tidings_tokio::tidings::DropReason;

/// All that was registered, by name and labels.
#[derive(Default)]
struct Board {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    described: Mutex<Vec<String>>,
}

fn text(key: &Key) -> String {
    let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect::<Vec<_>>();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl metrics::Recorder for Board {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.counters.lock().unwrap().entry(text(key)).or_default().clone().into()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.gauges.lock().unwrap().entry(text(key)).or_default().clone().into()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Board {
    fn counter(&self, name: &str) -> u64 {
        self.counters.lock().unwrap()[name].load(Relaxed)
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.gauges.lock().unwrap()[name].load(Relaxed))
    }
}

#[tokio::test]
async fn every_counter_is_a_metric_and_the_last_values_are_those_of_the_end() {
    let board = Board::default();
    // The runtime has this one thread.
    let _guard = metrics::set_default_local_recorder(&board);
    let a = start("a", None).await;
    let node = format!("node={}", a.id());
    let is_member = format!("tidings_is_member{{{node}}}");
    let stats = a.stats().await.unwrap();
    let named = stats.iter().map(|(name, _)| format!("tidings_{name}_total{{{node}}}"));
    let refused = DropReason::ALL.map(|reason| format!("tidings_refused_total{{{node},reason={}}}", reason.name()));
    let mut wanted: Vec<String> = named.chain(refused).collect();
    wanted.sort_unstable();
    let counters: Vec<String> = board.counters.lock().unwrap().keys().cloned().collect();
    assert_eq!(counters, wanted, "every counter, and nothing else");
    assert_eq!(board.gauge(&is_member), 1.0);
    for gauge in board.gauges.lock().unwrap().keys() {
        assert!(gauge.starts_with("tidings_members{") || *gauge == is_member, "{gauge}");
    }

    let b = start("b", Some(&a)).await;
    let alive = format!("tidings_members{{{node},status=alive}}");
    // They are brought up to date once a second.
    soon(async {
        while board.gauge(&alive) < 2.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let before = a.stats().await.unwrap();
    soon(b.leave()).await.unwrap();
    soon(a.leave()).await.unwrap();
    for (name, count) in before.iter() {
        assert!(board.counter(&format!("tidings_{name}_total{{{node}}}")) >= count, "{name} stands still");
    }
    assert!(board.counter(&format!("tidings_datagrams_out_total{{{node}}}")) > before.datagrams_out);
    assert_eq!(board.gauge(&is_member), 0.0, "whoever has left is no member");
    let described = board.described.lock().unwrap();
    for name in counters.iter().map(|counter| &counter[..counter.find('{').unwrap()]) {
        assert!(described.iter().any(|it| it == name), "{name} is not described");
    }
}
