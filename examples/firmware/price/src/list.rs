//! The price list: figures by name, written as tables, read back, and compared.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::builds::KINDS;
use crate::image::Failure;

/// By how much a figure may change, in percent, before the list must be written anew.
const TOLERANCE: u32 = 2;

/// Everything that is measured, by name: tables as `table/row/column`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prices {
    pub compiler: String,
    pub figures: BTreeMap<String, u32>,
    /// The largest functions of the image with all, each with its size.
    pub largest: Vec<(String, u32)>,
}

impl Prices {
    pub fn note(&mut self, name: impl Into<String>, figure: u32) {
        self.figures.insert(name.into(), figure);
    }

    fn get(&self, name: &str) -> String {
        self.figures.get(name).map_or("-".to_string(), |figure| thousands(*figure))
    }

    /// The tables that a reader wants first.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        table(
            &mut text,
            "bytes of flash, 32 members with `u16` addresses: at `opt-level`",
            &["`s`", "`z`", "the node's first value"],
            &KINDS.map(|(kind, _)| kind),
            |row, column| self.get(&format!("flash/{row}/{column}")),
        );
        table(
            &mut text,
            "bytes of memory",
            &["8 members", "32", "128"],
            &["membership, `u16`", "membership, `SocketAddrV4`", "all, `u16`", "all, `SocketAddrV4`"],
            |row, column| {
                let (kind, addr) = row.split_once(", ").unwrap_or((row, ""));
                let members = column.split(' ').next().unwrap_or("");
                self.get(&format!("node/{kind}/{}/{members}", addr.trim_matches('`')))
            },
        );
        let verbs: Vec<&str> = self.figures.keys().filter_map(|name| name.strip_prefix("stack/all/")).collect();
        table(&mut text, "bytes of stack at most", &["membership", "all"], &verbs, |row, column| {
            self.get(&format!("stack/{column}/{}", row.trim_matches('`')))
        });
        text
    }

    /// The whole list.
    pub fn list(&self) -> String {
        let mut text = String::from(
            "# What a node costs in a firmware\n\n\
             Written by `cargo run --release --manifest-path examples/firmware/price/Cargo.toml -- --write`, which links \
             images for thumbv7em\nand reads them; without `--write` it compares this list with what they are now. \
             \"All\" has 1 KiB for state and 1 KiB for\nbroadcasts in it. Stack is the deepest way through the calls of a \
             linked image, with all that is called; there is no recursion.\nNo image can panic: its panic handler cannot be \
             linked. None has an allocator, a 64-bit division or a float.\n\
             The node is a `static`, whose first value is in flash. One that is made at run time is not, but is made on the stack.\n\n",
        );
        let _ = writeln!(
            text,
            "Compiler: {}, `opt-level = \"s\"` where no other is named, link-time optimisation.\n",
            self.compiler
        );
        text.push_str(&self.summary());
        let types: Vec<&str> = self.figures.keys().filter_map(|name| name.strip_prefix("type/")).collect();
        table(&mut text, "type", &["bytes"], &types, |row, _| self.get(&format!("type/{row}")));
        let _ = writeln!(text, "The largest functions of the image with all, with what was inlined into them:\n");
        let _ = writeln!(text, "| function | bytes |\n|---|---|");
        for (name, size) in &self.largest {
            let _ = writeln!(text, "| `{name}` | {} |", thousands(*size));
        }
        let _ = writeln!(text, "\nThe figures once more, to be compared:\n\n```text");
        for (name, figure) in &self.figures {
            let _ = writeln!(text, "{name} {figure}");
        }
        text.push_str("```\n");
        text
    }

    /// Reads the figures of a list.
    pub fn read(text: &str) -> Result<Prices, Failure> {
        let compiler = text.lines().find_map(|line| line.strip_prefix("Compiler: ")?.split_once(", `"));
        let compiler = compiler.ok_or("the list does not say by which compiler it is")?.0.to_string();
        let (_, figures) = text.split_once("```text\n").ok_or("the list has no figures")?;
        let mut prices = Prices { compiler, ..Prices::default() };
        for line in figures.lines().take_while(|line| *line != "```") {
            let (name, figure) = line.rsplit_once(' ').ok_or_else(|| format!("no figure: {line}"))?;
            prices.note(name, figure.parse().map_err(|_| format!("no figure: {line}"))?);
        }
        Ok(prices)
    }

    /// What differs too much from the list, in words.
    pub fn changes(&self, listed: &Prices) -> Vec<String> {
        let names = self.figures.keys().chain(listed.figures.keys());
        let mut names: Vec<&String> = names.collect();
        names.sort();
        names.dedup();
        let changed = names.into_iter().filter_map(|name| match (listed.figures.get(name), self.figures.get(name)) {
            (Some(then), Some(now)) if then.abs_diff(*now) * 100 <= *then * TOLERANCE => None,
            (then, now) => Some(format!("{name}: {} in the list, {} now", shown(then), shown(now))),
        });
        changed.collect()
    }
}

fn shown(figure: Option<&u32>) -> String {
    figure.map_or("not".to_string(), |figure| figure.to_string())
}

fn thousands(figure: u32) -> String {
    let digits = figure.to_string();
    let head = digits.len() % 3;
    let groups = digits.as_bytes()[head..].chunks(3).map(|group| String::from_utf8_lossy(group));
    let groups: Vec<_> = Some(digits[..head].into()).filter(|_| head > 0).into_iter().chain(groups).collect();
    groups.join(",")
}

fn table(text: &mut String, name: &str, columns: &[&str], rows: &[&str], figure: impl Fn(&str, &str) -> String) {
    let _ = writeln!(text, "| {name} | {} |", columns.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
    for row in rows {
        let figures: Vec<String> = columns.iter().map(|column| figure(row, column)).collect();
        let _ = writeln!(text, "| {row} | {} |", figures.join(" | "));
    }
    text.push('\n');
}
