//! A live table of all members, for a terminal of any width.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use owo_colors::{OwoColorize, Style};
use tidings::{HeapNode, Instant, Member, NodeId, Phase, Status};
use unicode_width::UnicodeWidthChar;

use crate::agent::Agent;
use crate::carry::Attempt;
use crate::{console, shared, show};

/// How often the table is drawn anew, and over how many of these periods rates are taken.
const PERIOD: Duration = Duration::from_secs(1);
const PERIODS: usize = 4;
/// Rows that are not members: three lines of head, the latest events, and one line that says what keys do.
const HEAD: usize = 3;
const EVENTS: usize = 4;
const FOOT: usize = 1;

#[derive(Clone, Copy, Default)]
struct Flow {
    bytes: u64,
    datagrams: u64,
}

/// What came and what went.
#[derive(Clone, Copy, Default)]
struct Traffic {
    came: Flow,
    went: Flow,
}

pub struct Top {
    /// Of the last periods, the one that runs first.
    traffic: VecDeque<BTreeMap<SocketAddr, Traffic>>,
    next: Instant,
    /// How each member is, and since when this has been seen.
    since: BTreeMap<NodeId, (Status, Instant)>,
    /// How many members are above the first that is shown.
    above: usize,
    /// Something has changed since it was drawn.
    stale: bool,
}

/// A column: its head, how wide it is, and whether it is aligned to the right.
type Column = (&'static str, usize, bool);
const WIDE: [Column; 7] = [
    ("NAME", 16, false),
    ("ADDRESS", 21, false),
    ("STATUS", 8, false),
    ("SINCE", 6, true),
    ("KEYS", 5, true),
    ("IN B/s", 7, true),
    ("OUT B/s", 7, true),
];
const NARROW: [Column; 5] =
    [("NAME", 13, false), ("STATUS", 7, false), ("SINCE", 5, true), ("KEYS", 4, true), ("IN B/s", 6, true)];
/// The columns of the narrow table among those of the wide one.
const KEPT: [usize; 5] = [0, 2, 3, 4, 5];

impl Top {
    fn new(now: Instant) -> Top {
        let traffic = VecDeque::from([BTreeMap::new()]);
        Top { traffic, next: now + PERIOD, since: BTreeMap::new(), above: 0, stale: true }
    }

    pub fn due(&self) -> Instant {
        if self.stale { Instant::ZERO } else { self.next }
    }

    pub fn soil(&mut self) {
        self.stale = true;
    }

    pub fn came(&mut self, from: SocketAddr, bytes: usize) {
        if let Some(running) = self.traffic.front_mut() {
            running.entry(from).or_default().came.add(bytes);
        }
    }

    pub fn went(&mut self, to: SocketAddr, bytes: usize) {
        if let Some(running) = self.traffic.front_mut() {
            running.entry(to).or_default().went.add(bytes);
        }
    }

    /// Whether it is time to draw.
    fn turn(&mut self, node: &HeapNode, now: Instant) -> bool {
        if now >= self.next {
            self.traffic.push_front(BTreeMap::new());
            self.traffic.truncate(PERIODS + 1);
            self.next = now + PERIOD;
            self.stale = true;
        }
        if std::mem::take(&mut self.stale) {
            for member in node.members() {
                let seen = self.since.entry(member.id()).or_insert((member.status(), now));
                if seen.0 != member.status() {
                    *seen = (member.status(), now);
                }
            }
            return true;
        }
        false
    }

    /// A second, over the whole periods; of one address, or of all.
    fn rate(&self, addr: Option<SocketAddr>, of: fn(&Traffic) -> Flow) -> Flow {
        let flows = self.traffic.iter().skip(1).flatten().filter(|(with, _)| addr.is_none_or(|addr| addr == **with));
        let (mut sum, periods) = (Flow::default(), self.traffic.len().saturating_sub(1).max(1) as u64);
        for flow in flows.map(|(_, traffic)| of(traffic)) {
            sum.bytes += flow.bytes;
            sum.datagrams += flow.datagrams;
        }
        Flow { bytes: sum.bytes / periods, datagrams: sum.datagrams / periods }
    }

    fn scroll(&mut self, key: KeyCode, rows: usize) {
        self.above = match key {
            KeyCode::Down | KeyCode::Char('j') => self.above + 1,
            KeyCode::Up | KeyCode::Char('k') => self.above.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.above + rows,
            KeyCode::PageUp => self.above.saturating_sub(rows),
            KeyCode::Home => 0,
            _ => return,
        };
        self.stale = true;
    }
}

impl Flow {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.datagrams += 1;
    }
}

impl Agent {
    pub fn open_top(&mut self, now: Instant) -> Attempt {
        if !self.desk.console.has_prompt() {
            return Attempt::Failed("top needs a terminal; members prints the table once".to_string());
        }
        self.desk.console.fill();
        self.top = Some(Top::new(now));
        Attempt::Done(None)
    }

    /// What a key does while the table is shown.
    pub fn press(&mut self, key: KeyEvent) {
        let Some(top) = &mut self.top else { return };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => self.close_top(),
            KeyCode::Char('c' | 'd') if control => self.close_top(),
            KeyCode::Char('z') if control => {
                self.desk.console.suspend();
                top.soil();
            }
            code => top.scroll(code, console::size().1.saturating_sub(HEAD + EVENTS + FOOT)),
        }
    }

    /// Back to the prompt, or out of the cluster if the table was all that was wanted.
    fn close_top(&mut self) {
        self.top = None;
        self.desk.console.unfill(!self.desk.terse);
        if self.desk.terse {
            shared::begin_leaving();
        }
    }

    pub fn draw_top(&mut self, now: Instant) {
        let Some(mut top) = self.top.take() else { return };
        if top.turn(&self.node, now) {
            let (columns, rows) = console::size();
            let lines = self.lines(&mut top, now, columns, rows);
            self.desk.console.paint(&lines);
        }
        self.top = Some(top);
    }

    fn lines(&self, top: &mut Top, now: Instant, columns: usize, rows: usize) -> Vec<String> {
        let wide = columns >= WIDE.iter().map(|(_, width, _)| width + 1).sum::<usize>();
        let layout: &[Column] = if wide { &WIDE } else { &NARROW };
        let (members, past) = show::roster(&self.node, |id| self.desk.name(id));
        let events = self.desk.console.latest(EVENTS);
        let room = rows.saturating_sub(HEAD + events.len() + FOOT).max(1);
        top.above = top.above.min(members.len().saturating_sub(room));

        let mut lines = self.head(top, columns, past);
        let heads: Vec<_> = layout.iter().map(|(head, ..)| (head.to_string(), Style::new().bold())).collect();
        lines.push(row(layout, &heads, columns));
        for member in members.iter().skip(top.above).take(room) {
            let cells = self.cells(top, member, wide, now);
            let kept: Vec<_> = if wide { cells } else { KEPT.iter().map(|at| cells[*at].clone()).collect() };
            lines.push(row(layout, &kept, columns));
        }
        lines.resize(rows.saturating_sub(events.len() + FOOT).max(lines.len()), String::new());
        lines.extend(events.iter().map(|event| cut(event, columns)));
        let hidden = members.len().saturating_sub(room);
        let more = if hidden > 0 {
            format!("  {} of {}, arrows scroll", top.above + room, members.len())
        } else {
            String::new()
        };
        lines.push(cut(&format!("{}", format_args!("q ends it{more}").dimmed()), columns));
        lines.truncate(rows);
        lines
    }

    fn head(&self, top: &Top, columns: usize, past: usize) -> Vec<String> {
        let name = self.desk.who(self.node.id());
        let (phase, style) = match self.node.phase() {
            Phase::Member => ("member", Style::new().green()),
            Phase::Joining => ("asking to join", Style::new().yellow()),
            Phase::Isolated => ("isolated: nobody answers", Style::new().red()),
            Phase::Leaving => ("leaving", Style::new().blue()),
            _ => ("gone", Style::new().blue()),
        };
        let count = |status| self.node.members().filter(|member| member.status() == status).count();
        let [alive, suspect, down, left] = [Status::Alive, Status::Suspect, Status::Down, Status::Left].map(count);
        let (came, went) = (top.rate(None, |traffic| traffic.came), top.rate(None, |traffic| traffic.went));
        let left = left.saturating_sub(past);
        let counts = format!("{alive} alive  {suspect} suspect  {down} down  {left} left");
        let rates =
            format!("in {} B/s, {}/s  out {} B/s, {}/s", came.bytes, came.datagrams, went.bytes, went.datagrams);
        let time = shared::stamp();
        let first = format!("{}  {}  {}", name.bold(), phase.style(style), (&time[..8]).dimmed());
        if columns >= counts.len() + rates.len() + 4 {
            let fill = " ".repeat(columns - counts.len() - rates.len() - 1);
            return vec![cut(&first, columns), cut(&format!("{counts}{fill}{rates}"), columns)];
        }
        vec![cut(&first, columns), cut(&counts, columns), cut(&rates, columns)]
    }

    fn cells(&self, top: &Top, member: &Member<SocketAddr>, wide: bool, now: Instant) -> Vec<(String, Style)> {
        let plain = Style::new();
        let addr = member.addr();
        let name = self.desk.name(member.id()).unwrap_or_else(|| member.id().to_string()[..8].to_string());
        let myself = member.id() == self.node.id();
        let status = match member.status() {
            Status::Alive => ("alive", Style::new().green()),
            Status::Suspect => ("suspect", Style::new().yellow()),
            Status::Down => ("down", Style::new().red()),
            _ => ("left", Style::new().blue()),
        };
        let (_, since) = top.since.get(&member.id()).copied().unwrap_or((member.status(), now));
        let (came, went) = (top.rate(Some(addr), |traffic| traffic.came), top.rate(Some(addr), |traffic| traffic.went));
        let keys = self.node.entries(member.id()).count();
        // Of an address the end says more than the beginning.
        let name = if name == addr.to_string() && !wide { format!("..:{}", addr.port()) } else { name };
        let some = |number: u64| if number == 0 { String::new() } else { number.to_string() };
        vec![
            (name, if myself { plain.bold() } else { plain }),
            (addr.to_string(), plain),
            (status.0.to_string(), status.1),
            (span(now - since), plain.dimmed()),
            (some(keys as u64), plain),
            (some(came.bytes), plain),
            (some(went.bytes), plain),
        ]
    }
}

fn row(layout: &[Column], cells: &[(String, Style)], columns: usize) -> String {
    let cells = layout.iter().zip(cells).map(|((_, width, right), (text, style))| {
        let text = cut(text, *width);
        let fill = " ".repeat(width.saturating_sub(columns_of(&text)));
        let text = text.style(*style);
        if *right { format!("{fill}{text}") } else { format!("{text}{fill}") }
    });
    cut(&cells.collect::<Vec<_>>().join(" "), columns)
}

/// How long, in at most five columns.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds @ 100..6_000 => format!("{} m", seconds / 60),
        seconds @ 6_000..360_000 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn columns_of(text: &str) -> usize {
    text.chars().filter_map(|char| char.width()).sum()
}

/// The beginning of a text with colours, no wider than that.
fn cut(text: &str, columns: usize) -> String {
    let (mut shown, mut width, mut escape, mut coloured) = (String::new(), 0, false, false);
    for char in text.chars() {
        if escape || char == '\u{1b}' {
            escape = char != 'm';
            coloured = true;
            shown.push(char);
            continue;
        }
        width += char.width().unwrap_or(0);
        if width > columns {
            break;
        }
        shown.push(char);
    }
    if coloured {
        shown.push_str("\u{1b}[0m");
    }
    shown
}
