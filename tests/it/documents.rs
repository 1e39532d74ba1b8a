//! The documents: what they promise of the code and of each other. They are read from the checkout.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tidings::{DropReason, HeapNode, Limits};

use crate::common::golden::checkout;

fn read(path: &str) -> String {
    fs::read_to_string(checkout(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below `folder` with such an end, but for what builds leave there.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    /// What is not the project's own, or no text.
    const OTHERS: [&str; 3] = ["target", "corpus", "node_modules"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("a folder can be listed");
        let name = name.to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && !OTHERS.contains(&&*name) {
            found.append(&mut files(&path, end));
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
    found
}

/// What is between back quotes, outside of blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("\n```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// The variants of the enum that begins with this line.
fn variants<'t>(source: &'t str, head: &str) -> Vec<&'t str> {
    let body = source.split_once(head).and_then(|(_, rest)| rest.split_once("\n}")).expect("the enum is there").0;
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.split([' ', '(', ',']).next().unwrap())
        .collect()
}

#[test]
fn the_readme_is_one_page_and_hides_no_line_of_code() {
    let readme = read("README.md");
    let (words, lines) = (readme.split_whitespace().count(), readme.lines().count());
    assert!(words <= 1_200 && lines <= 200, "{words} words, {lines} lines");
    let code =
        readme.split("```rust").skip(1).filter_map(|rest| rest.split_once("\n```")).flat_map(|(code, _)| code.lines());
    // Only rustdoc hides such lines; a registry and a forge show them.
    let hidden: Vec<&str> = code.filter(|line| *line == "#" || line.starts_with("# ")).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn the_readmes_tokio_program_is_an_example_that_is_compiled() {
    let (readme, example) = (read("README.md"), read("tidings-tokio/examples/first.rs"));
    assert!(readme.contains(&format!("```rust,ignore\n{example}```\n")), "copy tidings-tokio/examples/first.rs");
    assert_eq!(readme.matches("rust,ignore").count(), 1, "all other programs are compiled from the README itself");
}

#[test]
fn every_relative_link_of_a_document_leads_somewhere() {
    let mut broken = Vec::new();
    for document in files(&checkout(""), ".md") {
        let text = fs::read_to_string(&document).expect("a document is text");
        let prose: String = text.split("\n```").step_by(2).collect();
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let has_anchor = || anchors(&fs::read_to_string(&target).unwrap_or_default()).contains(anchor);
            if !target.exists() || !anchor.is_empty() && !has_anchor() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What a heading is called in a link: lower case, words joined by hyphens, and nothing else.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = text.split("\n```").step_by(2).flat_map(str::lines);
    let headings = prose.filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn the_guide_explains_every_event_counter_and_reason_to_refuse() {
    let guide = read("docs/guide.md");
    let words: BTreeSet<&str> = quoted(&guide).collect();
    let events = read("src/event/mod.rs");
    let node = HeapNode::<u16>::new(tidings::Config::LAN, Limits::DEFAULT);
    let counters = node.stats().iter().map(|(name, _)| name);
    let names = variants(&events, "pub enum Event<'n, A> {").into_iter().chain(counters);
    let names = names.chain(DropReason::ALL.iter().map(|reason| reason.name()));
    let missing: Vec<&str> = names.filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "not in docs/guide.md: {missing:?}");
    let texts: Vec<String> = DropReason::ALL.iter().map(ToString::to_string).collect();
    let unsaid: Vec<&String> = texts.iter().filter(|text| !guide.contains(&format!("| {text} |"))).collect();
    assert!(unsaid.is_empty(), "what these are called in a log is not in docs/guide.md: {unsaid:?}");
}

/// What the names of files begin with.
const FOLDERS: [&str; 8] = [".ci/", "benches/", "docs/", "examples/", "fuzz/", "src/", "tests/", "tidings-tokio/"];

#[test]
fn every_test_and_file_that_a_document_names_is_there() {
    let sources: String = ["src", "tests"]
        .iter()
        .flat_map(|folder| files(&checkout(folder), ".rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut missing = Vec::new();
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "BENCHMARKS.md",
        "CONTRIBUTING.md",
        "PROTOCOL.md",
        "SECURITY.md",
        "docs/guide.md",
        "examples/README.md",
    ] {
        let text = read(document);
        for name in quoted(&text) {
            let is_path = FOLDERS.iter().any(|folder| name.starts_with(folder)) && !name.contains([' ', '*', '<']);
            let is_test = name.len() > 30 && name.contains('_') && !name.contains([' ', '/', ':']);
            let found =
                if is_path { checkout(name).exists() } else { !is_test || sources.contains(&format!("fn {name}(")) };
            if !found {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_room_of_the_source_is_in_the_architecture() {
    let page = read("ARCHITECTURE.md");
    let rooms = fs::read_dir(checkout("src")).unwrap().map(|entry| entry.unwrap().path());
    let rooms = rooms.filter(|path| path.is_dir() || path.extension().is_some_and(|kind| kind == "rs"));
    let rooms = rooms.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    let missing: BTreeSet<String> =
        rooms.filter(|room| room != "lib" && !page.contains(&format!("`{room}`"))).collect();
    assert!(missing.is_empty(), "not in ARCHITECTURE.md: {missing:?}");
}

#[test]
fn every_table_of_the_benchmarks_has_its_command_in_the_script() {
    let (page, script) = (read("BENCHMARKS.md"), read("benches/figures"));
    let tables = page.split("<!-- figures: ").skip(1).filter_map(|rest| Some(rest.split_once(" -->")?.0));
    let tables: BTreeSet<&str> = tables.collect();
    let names = script.lines().filter_map(|line| line.trim_start().strip_prefix("table ")?.split(' ').next());
    assert_eq!(tables, names.collect(), "the tables of BENCHMARKS.md, and those of benches/figures");
    assert_eq!(page.matches("<!-- end of figures -->").count(), tables.len());
}
