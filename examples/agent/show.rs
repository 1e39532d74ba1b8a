//! Tables, and texts of others made fit for a terminal.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use tidings::{DropReason, Entry, HeapNode, Member, NodeId, Status};

use crate::names;

/// Narrower than this, the table of members has its most important columns only.
const WIDE: usize = 72;
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

/// Whom to show, this node first, then the living. Of those that came for a single command, the gone are only counted.
pub fn roster(node: &HeapNode, name: impl Fn(NodeId) -> Option<String>) -> (Vec<Member<SocketAddr>>, usize) {
    let is_past = |member: &Member<SocketAddr>| !member.status().is_live() && names::is_passing(member);
    let (past, mut members): (Vec<_>, Vec<_>) = node.members().partition(is_past);
    members.sort_by_cached_key(|member| {
        let name = name(member.id());
        (member.id() != node.id(), !member.status().is_live(), name.is_none(), name, member.id())
    });
    (members, past.len())
}

pub fn members(node: &HeapNode, columns: usize, name: impl Fn(NodeId) -> Option<String>) -> String {
    let (members, past) = roster(node, &name);
    let wide = columns >= WIDE;
    let mut table =
        empty(if wide { &["name", "address", "status", "id", "restarts"] } else { &["name", "address", "status"] });
    for member in members {
        let color = match member.status() {
            Status::Alive => Color::Green,
            Status::Suspect => Color::Yellow,
            Status::Down => Color::Red,
            _ => Color::Blue,
        };
        let addr = member.addr().to_string();
        let id = member.id().to_string();
        let named = name(member.id()).filter(|name| *name != addr);
        let status = match (member.id() == node.id(), wide) {
            (true, true) => format!("{}, this node", member.status()),
            (true, false) => "myself".to_string(),
            (false, _) => member.status().to_string(),
        };
        let mut row = vec![
            Cell::new(named.unwrap_or_else(|| if wide { String::new() } else { id[..8].to_string() })),
            Cell::new(addr),
            Cell::new(status).fg(color),
        ];
        if wide {
            let restarts = u64::from(member.life().generation());
            row.push(Cell::new(id));
            row.push(Cell::new(if restarts == 0 { String::new() } else { restarts.to_string() }));
        }
        table.add_row(row);
    }
    let past = match past {
        0 => String::new(),
        1 => "\nand one that came for a single command and is gone".to_string(),
        several => format!("\nand {several} that came for a single command and are gone"),
    };
    format!("{table}{past}")
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
    row(stats.duplicates, "of them had come before");
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
