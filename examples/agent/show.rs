//! Tables, and texts of others made fit for a terminal.

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use tidings::{DropReason, Entry, HeapNode, NodeId, Status};

/// The most members that are named beside a key.
const NAMES: usize = 8;

/// A text as it came, but for what could move the cursor or change colours.
pub fn text(payload: &[u8]) -> String {
    let printable = |char: char| match char {
        char if char.is_control() => char.escape_default().to_string(),
        char => char.to_string(),
    };
    String::from_utf8_lossy(payload).chars().map(printable).collect()
}

/// Every known member, this node first, then the living.
pub fn members(node: &HeapNode, name: impl Fn(NodeId) -> Option<String>) -> Table {
    let mut table = empty(&["id", "name", "address", "status", "life"]);
    let mut members: Vec<_> = node.members().collect();
    members.sort_by_key(|member| (member.id() != node.id(), !member.status().is_live(), member.id()));
    for member in members {
        let color = match member.status() {
            Status::Alive => Color::Green,
            Status::Suspect => Color::Yellow,
            Status::Down => Color::Red,
            _ => Color::Blue,
        };
        let addr = member.addr().to_string();
        let name = name(member.id()).filter(|name| *name != addr);
        let myself = if member.id() == node.id() { ", this node" } else { "" };
        table.add_row([
            Cell::new(member.id()),
            Cell::new(name.unwrap_or_default()),
            Cell::new(addr),
            Cell::new(format!("{}{myself}", member.status())).fg(color),
            Cell::new(u64::from(member.life().generation()) + 1),
        ]);
    }
    table
}

/// The counters that an operator may wonder about, and whatever was refused.
pub fn stats(node: &HeapNode) -> Table {
    let stats = node.stats();
    let mut table = empty(&["count", "of"]);
    let mut row = |count: u64, what: &str| {
        let count = Cell::new(count).set_alignment(CellAlignment::Right);
        table.add_row([count, Cell::new(what)]);
    };
    row(stats.datagrams_in, "datagrams in");
    row(stats.bytes_in, "bytes in");
    row(stats.datagrams_out, "datagrams out");
    row(stats.bytes_out, "bytes out");
    row(stats.send_errors, "sends that failed");
    row(stats.suspicions, "members suspected");
    row(stats.declared_down, "members declared down");
    row(stats.late_ticks, "ticks too late");
    row(stats.broadcasts, "own broadcasts");
    row(stats.casts_in, "pieces of others' broadcasts");
    row(stats.duplicates, "of them come before");
    row(stats.pulls, "times asked for what was missing");
    row(stats.messages_lost, "messages lost");
    row(stats.chunks_in, "parts of others' maps");
    row(stats.maps_lost, "maps gone without a word");
    for reason in DropReason::ALL {
        if stats.dropped(reason) > 0 {
            row(stats.dropped(reason), &format!("refused: {reason}"));
        }
    }
    table
}

/// The keys of one member, in their order.
pub fn map<'n>(entries: impl Iterator<Item = Entry<'n>>) -> Table {
    let mut table = empty(&["key", "value", "version"]);
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|entry| entry.key());
    for entry in entries {
        table.add_row([text(entry.key().as_bytes()), text(entry.value()), entry.version().to_string()]);
    }
    table
}

/// The keys of all members, each with those who have it.
pub fn keys(keys: &BTreeMap<&str, Vec<String>>) -> Table {
    let mut table = empty(&["key", "of"]);
    for (key, owners) in keys {
        let owners = match owners.len() {
            0..=NAMES => owners.join(", "),
            many => format!("{many} members"),
        };
        table.add_row([text(key.as_bytes()), owners]);
    }
    table
}

fn empty(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heads);
    table
}
