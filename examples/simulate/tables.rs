//! What the tables of all experiments have in common.

use clap::value_parser;

use crate::desk::Desk;
use crate::report::{in_parallel, progress};
use crate::sheet::{Cell, Column, Form, column, key};

/// Percentages that are lost; beyond 60 nothing is left of any protocol.
pub fn percentage() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(0..=60)
}

pub fn size() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(4..=10_000)
}

pub fn runs() -> clap::builder::RangedU64ValueParser {
    value_parser!(u64).range(1..=100_000)
}

pub fn part(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

pub fn bytes(figure: f64) -> Cell {
    Cell::Number(figure, 1)
}

pub fn nodes(count: u32) -> Cell {
    Cell::Count(count.into())
}

pub fn loss(percent: u32) -> Cell {
    Cell::Part(part(percent), 0)
}

/// The columns of most tables.
pub const NODES: Column = key("nodes", "nodes");
pub const LOSS: Column = key("loss", "loss");
pub const RUNS: Column = column("runs", "runs");

/// A row for each of `cells`: its first columns, the number of runs, and what `row` makes of the runs.
pub fn tabulate<C: Sync, T: Send>(
    desk: &Desk,
    form: Form,
    cells: impl IntoIterator<Item = C>,
    seeds: u64,
    label: impl Fn(&C) -> Vec<Cell>,
    run: impl Fn(&C, u64) -> Result<T, String> + Sync,
    row: impl Fn(&C, Vec<T>) -> Vec<Cell>,
) -> Result<(), String> {
    let cells: Vec<C> = cells.into_iter().collect();
    let progress = progress(cells.len() as u64 * seeds);
    desk.begin(form, &progress);
    for cell in &cells {
        let mut columns = label(cell);
        progress.set_message(columns.iter().map(Cell::shown).collect::<Vec<_>>().join(", "));
        let runs = in_parallel(seeds, &progress, |seed| run(cell, seed))?;
        columns.push(Cell::count(runs.len()));
        columns.extend(row(cell, runs));
        desk.add(columns);
    }
    desk.end()
}

/// Every combination.
pub fn product<A: Copy, B: Copy>(left: &[A], right: &[B]) -> Vec<(A, B)> {
    left.iter().flat_map(|left| right.iter().map(|right| (*left, *right))).collect()
}
