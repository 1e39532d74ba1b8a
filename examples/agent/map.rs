//! The commands about maps: this node's own, and what it reads of others'.

use std::collections::BTreeMap;

use tidings::{Instant, Member, NodeId, StateError};

use crate::agent::Agent;
use crate::carry::Attempt;
use crate::show;

impl Agent {
    pub fn set(&mut self, key: &str, value: &str, now: Instant) -> Attempt {
        match self.node.set(now, key, value.as_bytes()) {
            Ok(_) => Attempt::Done(Some(format!("{key} is set"))),
            Err(error) => self.not_set(error, key, value),
        }
    }

    pub fn delete(&mut self, key: &str, now: Instant) -> Attempt {
        match self.node.delete(now, key) {
            Ok(_) => Attempt::Done(Some(format!("{key} is deleted"))),
            Err(error) => self.not_set(error, key, ""),
        }
    }

    fn not_set(&self, error: StateError, key: &str, value: &str) -> Attempt {
        let (key_len, most_key) = (key.len(), self.node.max_key());
        let (len, most) = (value.len(), self.node.max_value(key_len));
        Attempt::Failed(match error {
            StateError::WouldBlock => return Attempt::Later,
            StateError::Key => format!("the key has {key_len} bytes; at most {most_key} can be set"),
            StateError::TooLarge => format!("the value has {len} bytes; under this key at most {most} can be set"),
            StateError::Full => "this node's map has no room for it; delete a key first".to_string(),
            StateError::Unknown => format!("this node has no key {key}"),
            error => error.to_string(),
        })
    }

    // Reading.

    /// The value and nothing beside it, for scripts.
    pub fn get(&mut self, owner: &str, key: &str) -> Attempt {
        let member = match self.find(owner) {
            Ok(member) => member,
            Err(sentence) => return Attempt::Failed(sentence),
        };
        match self.node.get(member.id(), key) {
            Some(value) => self.show(show::text(value)),
            None => Attempt::Failed(format!("{owner} has no key {key}, as far as this node knows")),
        }
    }

    pub fn get_from_all(&mut self, key: &str) -> Attempt {
        let of = |owner, value| (self.owner(owner), show::text(value));
        let mut values: Vec<_> = self.node.values(key).map(|(owner, entry)| of(owner, entry.value())).collect();
        values.sort();
        if values.is_empty() {
            return Attempt::Failed(format!("nobody has a key {key}, as far as this node knows"));
        }
        let lines: Vec<_> = values.iter().map(|(owner, value)| format!("{owner}: {value}")).collect();
        self.show(lines.join("\n"))
    }

    pub fn keys(&mut self, owner: Option<&str>) -> Attempt {
        let Some(owner) = owner else { return self.keys_of_all() };
        let id = match self.find(owner) {
            Ok(member) => member.id(),
            Err(sentence) => return Attempt::Failed(sentence),
        };
        if self.node.entries(id).next().is_none() {
            return Attempt::Done(Some(format!("{owner} has no keys, as far as this node knows")));
        }
        self.show(show::map(self.node.entries(id)))
    }

    fn keys_of_all(&mut self) -> Attempt {
        let mut keys: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for owner in self.node.owners() {
            for entry in self.node.entries(owner) {
                keys.entry(entry.key()).or_default().push(self.owner(owner));
            }
        }
        keys.values_mut().for_each(|owners| owners.sort());
        if keys.is_empty() {
            return Attempt::Done(Some("nobody has any keys, as far as this node knows".to_string()));
        }
        self.show(show::keys(&keys))
    }

    /// Whose a map is, and how it is if it is not alive.
    fn owner(&self, id: NodeId) -> String {
        let status = self.node.member(id).as_ref().map(Member::status);
        match status.filter(|status| !status.is_live()) {
            Some(status) => format!("{} ({status})", self.desk.who(id)),
            None => self.desk.who(id),
        }
    }

    // Watching.

    pub fn watch(&mut self, prefix: &str) -> Attempt {
        let (len, most) = (prefix.len(), self.node.max_key());
        if len > most {
            return Attempt::Failed(format!("the prefix has {len} bytes; no key has more than {most}"));
        }
        match self.node.watch(prefix) {
            Ok(()) => {
                self.desk.watched.insert(prefix.to_string());
                Attempt::Done(Some(format!("watching {}", what(prefix))))
            }
            Err(_) => Attempt::Failed("four prefixes are watched already; unwatch one first".to_string()),
        }
    }

    pub fn unwatch(&mut self, prefix: Option<&str>) -> Attempt {
        if self.desk.watched.is_empty() {
            return Attempt::Failed("nothing is watched".to_string());
        }
        let watched = match prefix {
            Some(prefix) => self.desk.watched.take(prefix).into_iter().collect(),
            None => std::mem::take(&mut self.desk.watched),
        };
        match (watched.is_empty(), prefix) {
            (true, Some(prefix)) => return Attempt::Failed(format!("{} are not watched", what(prefix))),
            _ => watched.iter().for_each(|prefix| self.node.unwatch(prefix)),
        }
        Attempt::Done(Some(
            prefix.map_or("watching nothing".to_string(), |prefix| format!("watching {} no more", what(prefix))),
        ))
    }
}

fn what(prefix: &str) -> String {
    if prefix.is_empty() { "all keys".to_string() } else { format!("keys that begin with {prefix}") }
}
