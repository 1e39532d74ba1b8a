//! Whether every map is the same everywhere, and none ever went back.

use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::format;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use super::machine::HostAddress;
use super::world::{Sim, Watch};
use crate::event::Phase;
use crate::key::{Class, SetOptions, Version};
use crate::member::{Life, NodeId, Status};
use crate::node::Node;
use crate::storage::Storage;

/// How many keys there are.
const KEYS: usize = 12;

/// What an owner has written under one version: `None` if it deleted the key.
type Writes = BTreeMap<Version, Option<Vec<u8>>>;

#[derive(Debug, Default)]
struct Book {
    /// By owner, class (vital or not) and key.
    written: BTreeMap<(NodeId, bool, String), Writes>,
    /// By host, owner, class and key: what was seen last, and whether it is still there.
    seen: BTreeMap<(usize, NodeId, bool, String), (Version, bool)>,
    /// By host: its life, how many chunks it had, and how far it has come in all.
    lives: BTreeMap<usize, (Life, u64, u64)>,
    writes: u64,
    lied: bool,
}

/// Has nodes write and delete keys, and checks what others read: only what was written, no key in an earlier version than
/// before, none that was deleted; and in the end the same everywhere.
#[derive(Clone, Debug, Default)]
pub struct Replicas(Rc<RefCell<Book>>);

impl Replicas {
    /// Keeps account for this network from now on.
    pub fn watch<A: HostAddress + 'static, S: Storage + 'static>(sim: &mut Sim<Node<A, S>>) -> Self {
        let replicas = Replicas::default();
        sim.watch(replicas.clone());
        replicas
    }

    /// Somebody lies from now on, in anybody's name.
    pub fn expect_lies(&self) {
        self.0.borrow_mut().lied = true;
    }

    /// Has a host write one of a few keys: `what` says which, how long its value is (0 to 3,000 bytes, most of them short),
    /// of which class it is, and whether it runs out. False if the host does not run or would not.
    pub fn set<A: HostAddress, S: Storage>(&self, sim: &mut Sim<Node<A, S>>, host: usize, what: usize) -> bool {
        let key = format!("key {}", what % KEYS);
        let len = if what.is_multiple_of(16) { what * 7 % 3_000 } else { what / KEYS % 64 };
        let class = match what / 5 % 8 {
            0 | 1 => Class::Vital,
            2 => Class::Local,
            _ => Class::Bulk,
        };
        let options = SetOptions::DEFAULT.with_class(class);
        let options = if what % 11 == 3 { options.with_ttl(Duration::from_secs(3)) } else { options };
        let book = self.0.clone();
        let mut done = false;
        sim.with(host, |node, now| {
            let mut book = book.borrow_mut();
            book.writes += 1;
            let value: Vec<u8> = (0..len as u64).map(|at| (book.writes.wrapping_mul(31) + at) as u8).collect();
            if let Ok(version) = node.set_with(now, &key, &value, options) {
                done = true;
                // What is for nobody else has numbers of its own.
                if class != Class::Local {
                    book.note(node.id(), class == Class::Vital, &key, version, Some(value));
                }
            }
        });
        done
    }

    /// Has a host delete one of those keys; false if it does not run or has no such key.
    pub fn delete<A: HostAddress, S: Storage>(&self, sim: &mut Sim<Node<A, S>>, host: usize, what: usize) -> bool {
        let key = format!("key {}", what % KEYS);
        let book = self.0.clone();
        let mut done = false;
        sim.with(host, |node, now| {
            let Some(class) = node.entry(node.id(), &key).map(|entry| entry.class()) else { return };
            if let Ok(version) = node.delete(now, &key)
                && class != Class::Local
            {
                done = true;
                book.borrow_mut().note(node.id(), class == Class::Vital, &key, version, None);
            }
        });
        done
    }

    /// What is not the same everywhere: every living member's map, at each that runs. The first few, a line each; empty if
    /// all is well.
    pub fn differences<A: HostAddress, S: Storage>(&self, sim: &Sim<Node<A, S>>) -> String {
        if self.0.borrow().lied {
            return String::new();
        }
        let mut text = String::new();
        let members: Vec<usize> = sim.running().filter(|host| is_member(sim, *host)).collect();
        for owner in &members {
            let id = sim.id(*owner);
            let own = sim.machine(*owner).map(|node| shared(node, id)).unwrap_or_default();
            for host in members.iter().filter(|host| *host != owner) {
                let Some(node) = sim.machine(*host).filter(|node| holds_live(sim, node, *owner)) else { continue };
                let held = shared(node, id);
                if held != own && text.len() < 1_000 {
                    let keys = |map: &[Shared]| {
                        map.iter().map(|(key, _, version)| format!("{key}@{version}")).collect::<Vec<_>>()
                    };
                    let (own, held) = (keys(&own).join(" "), keys(&held).join(" "));
                    text.push_str(&format!("host {host} has of host {owner}: {held}\n  where it has: {own}\n"));
                }
            }
        }
        text
    }
}

/// A key, its value and its version.
type Shared = (String, Vec<u8>, Version);

fn shared<A: HostAddress, S: Storage>(node: &Node<A, S>, owner: NodeId) -> Vec<Shared> {
    let all = node.entries(owner).filter(|entry| entry.class() != Class::Local);
    let mut all: Vec<Shared> =
        all.map(|entry| (entry.key().to_string(), entry.value().to_vec(), entry.version())).collect();
    all.sort();
    all
}

fn is_member<A: HostAddress, S: Storage>(sim: &Sim<Node<A, S>>, host: usize) -> bool {
    sim.machine(host).is_some_and(|node| node.phase() == Phase::Member)
}

/// Whether a node holds an owner for alive in the life that it has.
fn holds_live<A: HostAddress, S: Storage>(sim: &Sim<Node<A, S>>, node: &Node<A, S>, owner: usize) -> bool {
    let own = sim.machine(owner).and_then(|owner| owner.member(owner.id()));
    let held = node.member(sim.id(owner)).filter(|held| held.status() == Status::Alive);
    held.zip(own).is_some_and(|(held, own)| held.life() == own.life())
}

impl Book {
    fn note(&mut self, owner: NodeId, vital: bool, key: &str, version: Version, value: Option<Vec<u8>>) {
        self.written.entry((owner, vital, key.to_string())).or_default().insert(version, value);
    }

    fn check<A: HostAddress, S: Storage>(&mut self, host: usize, node: &Node<A, S>) -> Result<(), String> {
        for owner in node.owners().filter(|owner| *owner != node.id()) {
            for entry in node.entries(owner) {
                let place = (host, owner, entry.class() == Class::Vital, entry.key().to_string());
                let version = entry.version();
                if let Some((before, there)) = self.seen.insert(place, (version, true)) {
                    let went_back = version < before || version == before && !there;
                    if went_back && before.life() == version.life() {
                        return Err(format!(
                            "host {host} went back with {} of {owner} from {before} ({}) to {version}",
                            entry.key(),
                            if there { "there" } else { "deleted" }
                        ));
                    }
                }
                let writes = self.written.get(&(owner, entry.class() == Class::Vital, entry.key().to_string()));
                // What an owner had before it began another life has other versions now.
                let written = writes.and_then(|writes| writes.get(&version));
                if written.is_some_and(|value| value.as_deref() != Some(entry.value())) {
                    return Err(format!("host {host} reads of {owner} what was not written: {entry:?}"));
                }
            }
        }
        self.note_gone(host, node);
        Ok(())
    }

    /// Keys that are there no more were deleted, as long as anything of the map is there.
    fn note_gone<A: HostAddress, S: Storage>(&mut self, host: usize, node: &Node<A, S>) {
        self.seen.retain(|(holder, owner, vital, key), (_, there)| {
            if *holder != host {
                return true;
            }
            let class = if *vital { Class::Vital } else { Class::Bulk };
            *there &= node.entries(*owner).any(|entry| entry.class() == class && entry.key() == key);
            // A map that was dropped is read anew, from the beginning.
            *there || node.map_versions(*owner) != [0; 2]
        });
    }
}

impl<A: HostAddress, S: Storage> Watch<Node<A, S>> for Replicas {
    fn after_step(&mut self, sim: &Sim<Node<A, S>>, host: usize) -> Result<(), String> {
        let Some(node) = sim.machine(host) else { return Ok(()) };
        let Some(life) = node.member(node.id()).map(|myself| myself.life()) else { return Ok(()) };
        let mut book = self.0.borrow_mut();
        // A map that is dropped is no chunk.
        let versions = node.members().flat_map(|member| node.map_versions(member.id())).map(u64::from);
        let now = (life, node.stats().chunks_in, versions.sum());
        let before = book.lives.insert(host, now);
        if before.is_none_or(|(lived, ..)| lived != life) {
            book.seen.retain(|(holder, ..), _| *holder != host);
        }
        if book.lied || before == Some(now) {
            return Ok(());
        }
        book.check(host, node)
    }
}
