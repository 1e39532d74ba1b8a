//! What a node costs in a firmware, and whether that has changed.

mod builds;
mod calls;
mod image;
mod list;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use calls::Calls;
use clap::Parser;
use image::{Failure, Image};
use list::Prices;

/// No image may have these in it: an allocator, words for a panic, 64-bit division, and floats in software.
const FORBIDDEN: [&str; 9] = [
    "__rust_alloc",
    "__rdl_alloc",
    "core::panicking",
    "core::fmt",
    "core::result::unwrap_failed",
    "__aeabi_uldivmod",
    "__aeabi_ldivmod",
    "__aeabi_f",
    "__aeabi_d",
];
const VERBS: [&str; 16] = [
    "start",
    "join",
    "leave",
    "handle_datagram",
    "handle_timeout",
    "handle_send_error",
    "poll_transmit",
    "poll_event",
    "poll_timeout",
    "members",
    "set",
    "delete",
    "get",
    "subscribe",
    "broadcast",
    "send",
];
/// Of these images stack and functions are listed too.
const LISTED: &str = "s";
/// How many of the largest functions are listed.
const LARGEST: usize = 25;
const BEGIN: &str = "<!-- prices: written by examples/firmware/price -->\n";
const END: &str = "<!-- end of prices -->";

/// Links images of a node for thumbv7em, and compares what they cost with the committed price list.
///
/// Fails if a figure has changed by more than 2 %, or if an image can panic or has something in it that none may have. By
/// another compiler than that of the list only the latter is checked.
#[derive(Parser)]
struct Options {
    /// Write the list and its part in BENCHMARKS.md
    #[arg(long)]
    write: bool,
    /// Say who calls the functions with this in their name, in the image with all
    #[arg(long, value_name = "TEXT")]
    callers: Option<String>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let mut prices = Prices { compiler: builds::compiler()?, ..Prices::default() };
    for (level, (kind, features)) in
        builds::LEVELS.into_iter().flat_map(|level| builds::KINDS.map(|kind| (level, kind)))
    {
        eprintln!("linking a node with {kind} at {level}");
        let image = builds::build("price-image", features, builds::TARGET, level)?;
        check(&image)?;
        prices.note(format!("flash/{kind}/`{level}`"), image.flash);
        prices.note(format!("flash/{kind}/the node's first value"), image.data);
        if level != LISTED {
            continue;
        }
        if let Some(text) = options.callers.as_ref().filter(|_| kind == "all") {
            show_callers(&image, text);
            return Ok(());
        }
        measure(kind, &image, &mut prices)?;
    }
    eprintln!("linking a node with all for {}", builds::SMALLEST);
    for level in builds::LEVELS {
        check(&builds::build("price-image", "state,broadcast", builds::SMALLEST, level)?)?;
    }
    eprintln!("linking nodes of all sizes");
    for (name, size) in builds::build("sizes", "", builds::TARGET, LISTED)?.variables {
        prices.note(name, size);
    }
    let (list, page) = (place("examples/firmware/PRICES.md"), place("BENCHMARKS.md"));
    if options.write {
        write(&list, &prices.list())?;
        return write(&page, &with_summary(&read(&page)?, &prices)?);
    }
    compare(&prices, &Prices::read(&read(&list)?)?, &read(&page)?)
}

fn check(image: &Image) -> Result<(), Failure> {
    if !image.missing.is_empty() {
        return Err(format!("the image lacks {}", image.missing.join(", ")));
    }
    let found = image.functions.values().find(|function| FORBIDDEN.iter().any(|part| function.name.contains(part)));
    found.map_or(Ok(()), |function| Err(format!("no image may have this in it: {}", function.name)))
}

fn measure(kind: &str, image: &Image, prices: &mut Prices) -> Result<(), Failure> {
    let calls = Calls::of(image);
    if let Some(blind) = calls.blind.iter().next().and_then(|at| image.functions.get(at)) {
        return Err(format!("no bound for the stack, as this calls through a pointer: {}", blind.name));
    }
    for verb in VERBS {
        if let Some(at) = image.find(verb) {
            prices.note(format!("stack/{kind}/{verb}"), calls.deepest(image, at)?.0);
        }
    }
    if kind == "all" {
        let mut functions: Vec<_> = image.functions.values().collect();
        functions.sort_by_key(|function| (u32::MAX - function.size, &function.name));
        let largest = functions.into_iter().take(LARGEST).map(|function| (short(&function.name), function.size));
        prices.largest = largest.collect();
    }
    Ok(())
}

/// A name without the types that are the same everywhere.
fn short(name: &str) -> String {
    name.replace("tidings::", "").replace("<u16, storage::Fixed<32>>", "").replace("<storage::Fixed<32>>", "")
}

fn show_callers(image: &Image, text: &str) {
    let calls = Calls::of(image);
    for (at, function) in image.functions.iter().filter(|(_, function)| function.name.contains(text)) {
        println!("{}", function.name);
        for caller in calls.callers(*at).filter_map(|at| image.functions.get(&at)) {
            println!("    is called by {}", caller.name);
        }
    }
}

fn compare(prices: &Prices, listed: &Prices, page: &str) -> Result<(), Failure> {
    if prices.compiler != listed.compiler {
        println!("The list is by {}, and this is {}: nothing to compare.", listed.compiler, prices.compiler);
        return Ok(());
    }
    let changes = prices.changes(listed);
    if !changes.is_empty() {
        return Err(format!(
            "the price list is out of date; write it anew with --write, and say why in the same commit:\n  {}",
            changes.join("\n  ")
        ));
    }
    if !page.contains(&listed.summary()) {
        return Err("BENCHMARKS.md has another price list; write both with --write".to_string());
    }
    println!("All {} figures are those of the list, within 2 %.\n\n{}", prices.figures.len(), prices.summary());
    Ok(())
}

fn with_summary(page: &str, prices: &Prices) -> Result<String, Failure> {
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = parts.ok_or("BENCHMARKS.md has no place for prices")?;
    Ok(format!("{head}{BEGIN}\n{}{END}{tail}", prices.summary()))
}

fn place(path: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).unwrap_or(here).join(path)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
