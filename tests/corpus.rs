//! Replays the scripts that the fuzzer found worth keeping (see `common/datagrams.rs`).

#[path = "common/datagrams.rs"]
mod datagrams;

use std::fs;
use std::path::Path;

#[test]
fn every_script_of_the_corpus_keeps_the_laws() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/datagram");
    let entries = fs::read_dir(corpus).expect("the corpus is committed").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    assert!(files.len() >= 20, "a corpus of {} scripts has lost most of itself", files.len());
    for file in files {
        println!("{}", file.display());
        datagrams::run(&fs::read(&file).expect("readable"));
    }
}
