//! The scripts of `script.rs`: random ones, and those that are kept.

use std::path::Path;
use std::vec::Vec;
use std::{fs, println};

use proptest::collection::vec;
use proptest::prelude::*;

use super::script::run;
use crate::unit::property::check;

#[test]
fn whatever_is_exchanged_nothing_deleted_comes_back_and_all_have_the_same_in_the_end() {
    check(1_500, vec(any::<u8>(), 1..500), |script| run(&script));
}

#[test]
fn scripts_that_were_worth_keeping_keep_to_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/state");
    let entries = fs::read_dir(corpus).expect("the corpus is committed").map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    assert!(files.len() >= 20, "a corpus of {} files has lost most of itself", files.len());
    for file in files {
        println!("{}", file.display());
        run(&fs::read(&file).expect("readable"));
    }
}
