//! What a node costs, from ten members to a hundred thousand: time, instructions, allocations and memory.
//!
//! ```sh
//! cargo bench --bench node                            # the table of all sizes, in a minute or two
//! cargo bench --bench node -- --quick                 # small tables only, in seconds
//! cargo bench --bench node -- --frames                # what each kind of frame costs that a hostile member can send;
//!                                                     # it fails if a datagram costs more than 70 pings
//! cargo bench --bench node -- --profile known-record  # where the instructions of one operation go, by function
//! ```
//!
//! It needs nothing but Rust; instructions and profiles also need valgrind (Debian: `apt-get install valgrind`).
//!
//! Each operation runs in batches (`operations.rs`) on a node whose table is full (`bed.rs`), and checks afterwards
//! that the node did what the row says. Times are the median of the batches and, in brackets, the least: they are as
//! noisy as the machine. Instructions are counted by valgrind, which runs this same program again; they repeat for one
//! build. Allocations and bytes are counted by an allocator and are exact.
//!
//! What is handed to the node is first copied into a receive buffer, as `handle_datagram` may change what it is given;
//! that copy is part of each figure. One node is used over and over, so a small table is in the cache all the time;
//! `benches/cluster.rs` shows nodes that are not.

mod bed;
#[path = "../../tests/it/common/counting.rs"]
mod counting;
mod frames;
mod maps;
mod measure;
mod operations;
mod valgrind;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};

use tidings::internals::forge;

use bed::Bed;
use measure::{Cost, measure};
use operations::Kind;

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// What a node costs: time, instructions, allocations and memory.
#[derive(Parser)]
struct Arguments {
    /// Small tables and few batches.
    #[arg(long)]
    quick: bool,
    /// What each kind of frame costs that a hostile member can send.
    #[arg(long, conflicts_with = "profile")]
    frames: bool,
    /// Where the instructions of one operation go, by function. Needs valgrind.
    #[arg(long, value_name = "OPERATION")]
    profile: Option<Kind>,
    /// How many members the table of the profile has.
    #[arg(long, default_value_t = 1_000, requires = "profile", value_parser = clap::value_parser!(u32).range(10..))]
    members: u32,
    /// The part that runs under valgrind.
    #[arg(long, hide = true, num_args = 1.., value_names = ["MEMBERS", "OPERATION"])]
    counted: Vec<String>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (&arguments.counted[..], arguments.profile) {
        ([members, kinds @ ..], _) => run_counted(members, kinds),
        _ if arguments.frames => frame_costs(arguments.quick),
        (_, Some(kind)) => valgrind::profile(arguments.members as usize, kind),
        _ => Ok(costs(arguments.quick)),
    };
    match outcome {
        Ok(report) => {
            anstream::println!("{report}");
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            anstream::eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

/// What frames cost, on small tables or on large ones. It fails if one costs more than any may.
fn frame_costs(quick: bool) -> Result<String, String> {
    let (sizes, budget) = if quick { (&SIZES[1..3], 10) } else { (&SIZES[3..], 60) };
    let frames::Report { table, complaints } = frames::report(sizes, Duration::from_millis(budget));
    if complaints.is_empty() {
        return Ok(table);
    }
    anstream::println!("{table}");
    Err(complaints.join("\n"))
}

/// One batch of each operation, counted.
fn run_counted(members: &str, kinds: &[String]) -> Result<String, String> {
    let bed = Bed::new(members.parse().map_err(|_| "a number of members is wanted")?);
    for kind in kinds {
        let mut operation = Kind::from_str(kind, false)?.on(&bed);
        operation.prepare();
        valgrind::counted(operation.as_mut());
        operation.check();
    }
    Ok(String::new())
}

/// All figures of one size of table.
struct Column {
    members: usize,
    costs: Vec<Cost>,
    /// Per operation; none without valgrind.
    instructions: Result<Vec<f64>, String>,
    bytes_per_member: f64,
    bytes_per_key: f64,
}

impl Column {
    fn measure(members: usize, budget: Duration) -> Self {
        let before = counting::held();
        let bed = Bed::new(members);
        let bytes_per_member = (counting::held() - before) as f64 / members as f64;
        let (_, bytes_per_key) = maps::filled(&bed);
        let mut operations: Vec<_> = Kind::value_variants().iter().map(|kind| kind.on(&bed)).collect();
        let costs = operations.iter_mut().map(|operation| measure(operation.as_mut(), budget)).collect();
        let counts: Vec<usize> = operations.iter().map(|operation| operation.count()).collect();
        let instructions = valgrind::instructions(members, &counts);
        Column { members, costs, instructions, bytes_per_member, bytes_per_key }
    }
}

/// The table of all sizes.
fn costs(quick: bool) -> String {
    let (sizes, budget) = if quick { (&SIZES[..2], 20) } else { (&SIZES[..], 400) };
    let progress = indicatif::ProgressBar::new(sizes.len() as u64);
    let measure = |members: &usize| {
        progress.set_message(format!("{members} members"));
        let column = Column::measure(*members, Duration::from_millis(budget));
        progress.inc(1);
        column
    };
    let columns: Vec<Column> = sizes.iter().map(measure).collect();
    progress.finish_and_clear();
    let besides = format!("A node takes {} bytes besides.", grouped(size_of::<bed::Node>()));
    let complaint = columns.iter().find_map(|column| column.instructions.as_ref().err());
    let complaint =
        complaint.map_or(String::new(), |complaint| format!("\nInstructions were not counted: {complaint}"));
    format!("{}\n\n{besides}{complaint}", table(&columns))
}

fn table(columns: &[Column]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(row("members", columns, |column| grouped(column.members)));
    for (at, kind) in Kind::value_variants().iter().enumerate() {
        let name = kind.name();
        table.add_row(row(&format!("{name}, ns"), columns, |column| column.costs[at].time()));
        let counted =
            |column: &Column| column.instructions.as_ref().ok().map(|counts| grouped(counts[at].round() as usize));
        if columns.iter().all(|column| counted(column).is_some()) {
            table.add_row(row(&format!("{name}, instructions"), columns, |column| counted(column).unwrap_or_default()));
        }
    }
    let allocations = |column: &Column| column.costs.iter().map(|cost| cost.allocations).sum::<u64>().to_string();
    table.add_row(row("allocations in all of these", columns, allocations));
    table.add_row(row("bytes per member", columns, |column| format!("{:.1}", column.bytes_per_member)));
    let name = "bytes per key beside the key and the value, of ten of each member";
    table.add_row(row(name, columns, |column| format!("{:.1}", column.bytes_per_key)));
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn row(name: &str, columns: &[Column], cell: impl Fn(&Column) -> String) -> Vec<String> {
    core::iter::once(name.to_string()).chain(columns.iter().map(cell)).collect()
}

/// With commas between thousands.
fn grouped(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1_000), number % 1_000),
    }
}
