//! Scenarios as text.

use core::fmt;
use core::str::FromStr;
use std::string::ToString;
use std::vec::Vec;

use super::{Action, Scenario};

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Loss(part) => write!(f, "loss {part}"),
            Action::Duplicate(part) => write!(f, "duplicate {part}"),
            Action::Reorder(part) => write!(f, "reorder {part}"),
            Action::Corrupt(part) => write!(f, "corrupt {part}"),
            Action::Truncate(part) => write!(f, "truncate {part}"),
            Action::LossIn(host, part) => write!(f, "loss-in {host} {part}"),
            Action::LossOut(host, part) => write!(f, "loss-out {host} {part}"),
            Action::Partition(sides) => write!(f, "partition {sides}"),
            Action::Crash(host) => write!(f, "crash {host}"),
            Action::Restart(host) => write!(f, "restart {host}"),
            Action::Stop(host) => write!(f, "stop {host}"),
            Action::Resume(host) => write!(f, "resume {host}"),
            Action::Unplug(host) => write!(f, "unplug {host}"),
            Action::Plug(host) => write!(f, "plug {host}"),
            Action::Leave(host) => write!(f, "leave {host}"),
            Action::Drift(host, parts) => write!(f, "drift {host} {parts}"),
            Action::Jump(host, seconds) => write!(f, "jump {host} {seconds}"),
            Action::Flood(host, count) => write!(f, "flood {host} {count}"),
            Action::Replay(host, count) => write!(f, "replay {host} {count}"),
            Action::Slander(host, accused) => write!(f, "slander {host} {accused}"),
            Action::Invent(host, count) => write!(f, "invent {host} {count}"),
            Action::Forge(host, what) => write!(f, "forge {host} {what}"),
            Action::Attack(host, attack, stance) => write!(f, "attack {host} {attack} {stance}"),
            Action::Lie(host) => write!(f, "lie {host}"),
            Action::Move(host) => write!(f, "move {host}"),
            Action::Twin(host) => write!(f, "twin {host}"),
            Action::Say(host, len) => write!(f, "say {host} {len}"),
            Action::Burst(host, count) => write!(f, "burst {host} {count}"),
            Action::Tell(host, other) => write!(f, "tell {host} {other}"),
            Action::Set(host, what) => write!(f, "set {host} {what}"),
            Action::Write(host, count) => write!(f, "write {host} {count}"),
            Action::Delete(host, key) => write!(f, "delete {host} {key}"),
            Action::Link(from, to, what) => write!(f, "link {from} {to} {what}"),
            Action::Zones(ways) => write!(f, "zones {ways}"),
            Action::Filter(host, seconds) => write!(f, "filter {host} {seconds}"),
            Action::Refuse(host, part) => write!(f, "refuse {host} {part}"),
            Action::Pace(host, millis) => write!(f, "pace {host} {millis}"),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "nodes {}\nseed {}", self.nodes, self.seed)?;
        self.actions.iter().try_for_each(|(at, action)| writeln!(f, "{at} {action}"))
    }
}

/// The first line of a scenario's text that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseScenarioError {
    line: usize,
}

impl fmt::Display for ParseScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no part of a scenario", self.line)
    }
}

impl core::error::Error for ParseScenarioError {}

impl FromStr for Scenario {
    type Err = ParseScenarioError;

    fn from_str(text: &str) -> Result<Self, ParseScenarioError> {
        let mut scenario = Scenario { nodes: 0, seed: 0, actions: Vec::new() };
        for (line, words) in (1..).zip(text.lines().map(str::split_whitespace)) {
            let words: Vec<&str> = words.collect();
            let understood = match words[..] {
                [] => Some(()),
                ["nodes", count] => {
                    count.parse().ok().filter(|count| (2..=16).contains(count)).map(|count| scenario.nodes = count)
                }
                ["seed", seed] => seed.parse().ok().map(|seed| scenario.seed = seed),
                [at, name, ref values @ ..] => at.parse().ok().and_then(|at| {
                    let action = Action::parse(name, values, scenario.nodes)?;
                    let in_order = scenario.actions.last().is_none_or(|(last, _)| *last <= at);
                    in_order.then(|| scenario.actions.push((at, action)))
                }),
                _ => None,
            };
            understood.ok_or(ParseScenarioError { line })?;
        }
        // Nothing may be there that would not be written: too many words, or the nodes in the wrong place.
        let written = scenario.to_string();
        let same = written.split_whitespace().eq(text.split_whitespace());
        if scenario.nodes == 0 || !same { Err(ParseScenarioError { line: text.lines().count() }) } else { Ok(scenario) }
    }
}

impl Action {
    fn parse(name: &str, values: &[&str], nodes: u8) -> Option<Self> {
        let value = |at: usize| values.get(at).and_then(|value| value.parse::<u16>().ok());
        let small = |at: usize| values.get(at).and_then(|value| value.parse::<u8>().ok());
        let host = || values.first().and_then(|value| value.parse::<u8>().ok()).filter(|host| *host < nodes);
        Some(match name {
            "loss" => Action::Loss(value(0)?),
            "duplicate" => Action::Duplicate(value(0)?),
            "reorder" => Action::Reorder(value(0)?),
            "corrupt" => Action::Corrupt(value(0)?),
            "truncate" => Action::Truncate(value(0)?),
            "loss-in" => Action::LossIn(host()?, value(1)?),
            "loss-out" => Action::LossOut(host()?, value(1)?),
            "partition" => Action::Partition(value(0)?),
            "crash" => Action::Crash(host()?),
            "restart" => Action::Restart(host()?),
            "stop" => Action::Stop(host()?),
            "resume" => Action::Resume(host()?),
            "unplug" => Action::Unplug(host()?),
            "plug" => Action::Plug(host()?),
            "leave" => Action::Leave(host()?),
            "drift" => Action::Drift(host()?, values.get(1)?.parse().ok()?),
            "jump" => Action::Jump(host()?, value(1)?),
            "flood" => Action::Flood(host()?, value(1)?),
            "replay" => Action::Replay(host()?, value(1)?),
            "slander" => Action::Slander(host()?, small(1).filter(|other| *other < nodes)?),
            "invent" => Action::Invent(host()?, small(1)?),
            "forge" => Action::Forge(host()?, small(1)?),
            "attack" => Action::Attack(host()?, values.get(1)?.parse().ok()?, values.get(2)?.parse().ok()?),
            "lie" => Action::Lie(host()?),
            "move" => Action::Move(host()?),
            "twin" => Action::Twin(host()?),
            "say" => Action::Say(host()?, value(1)?),
            "burst" => Action::Burst(host()?, value(1)?),
            "tell" => Action::Tell(host()?, small(1).filter(|other| *other < nodes)?),
            "set" => Action::Set(host()?, value(1)?),
            "write" => Action::Write(host()?, value(1)?),
            "delete" => Action::Delete(host()?, small(1)?),
            "link" => Action::Link(host()?, small(1).filter(|to| *to < nodes)?, small(2).filter(|what| *what <= 5)?),
            "zones" => Action::Zones(value(0)?),
            "filter" => Action::Filter(host()?, small(1)?),
            "refuse" => Action::Refuse(host()?, value(1).filter(|part| *part <= 1_999)?),
            "pace" => Action::Pace(host()?, value(1)?),
            _ => return None,
        })
    }
}
