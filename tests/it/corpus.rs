//! Replays what the fuzz targets found worth keeping: every file in `corpus/`, in the directory of its target.
//!
//! To look into a crash of the fuzzer, and to keep it, copy its file there: a test that fails shows what was done.

use std::fs;
use std::path::Path;

use tidings::internals;

use crate::targets::{bad_days, calls, datagrams, messages};

/// Runs a target with every file of its corpus, of which there must be at least so many.
fn replay(target: &str, least: usize, run: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let entries = fs::read_dir(corpus).expect("the corpus is committed").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    assert!(files.len() >= least, "a corpus of {} files has lost most of itself", files.len());
    for file in files {
        println!("{}", file.display());
        run(&fs::read(&file).expect("readable"));
    }
}

#[test]
fn any_script_of_a_bad_network_keeps_the_laws() {
    replay("datagram", 20, datagrams::run);
}

#[test]
fn any_calls_in_any_order_keep_the_laws() {
    replay("calls", 20, calls::run);
}

#[test]
fn after_any_bad_day_the_simulated_cluster_agrees() {
    replay("cluster", 20, bad_days::run);
}

/// Days that ended badly once, as text: the names say what was wrong. `cargo run --release --example simulate -- replay FILE`
/// runs one of them.
#[test]
fn every_day_that_once_ended_badly_ends_well() {
    replay("days", 15, |text| {
        let text = std::str::from_utf8(text).expect("a day is text");
        let day: tidings::sim::Scenario = text.parse().expect("a day");
        if let Err(failure) = day.run() {
            panic!("{failure}");
        }
    });
}

#[test]
fn whatever_is_sent_is_told_once_and_as_it_was_sent() {
    replay("messages", 20, messages::run);
}

#[test]
fn any_bytes_are_read_as_the_tables_say_and_survive_being_written() {
    replay("wire", 20, internals::read_twice);
}
