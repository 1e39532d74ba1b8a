//! An application that knows of others' maps only what it is told, and what it reads when it is told to.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use super::replicas::{Empty, Replica};
use crate::map::At;
use crate::state::StateNews;

#[derive(Default)]
pub(crate) struct Told {
    keys: BTreeMap<(u64, String), Vec<u8>>,
    news: Vec<String>,
}

impl Told {
    /// Hears one thing, if there is any.
    pub(crate) fn poll_one<S: Empty>(&mut self, node: &mut Replica<S>) -> bool {
        let Some(news) = node.state.next_news(&mut node.core.members, &mut node.core.stats) else { return false };
        let note = match news {
            StateNews::Set(at) | StateNews::Deleted(at) => self.look(at, node),
            StateNews::Replaced(owner) | StateNews::Gone(owner) => {
                self.keys.retain(|(of, _), _| *of != owner.get());
                self.keys.extend(node.core.members.find(owner).into_iter().flat_map(|_| map_of(owner.get(), node)));
                std::format!("{news:?}")
            }
        };
        self.news.push(note);
        true
    }

    /// A key of the other class may be in the place of the one that was deleted.
    fn look<S: Empty>(&mut self, at: At, node: &Replica<S>) -> String {
        let (index, key) = node.state.owner_and_key(at).expect("it is there");
        let owner = node.core.members.get(index).expect("it is a member").id.get();
        match node.get(owner, key) {
            Some(value) => {
                self.keys.insert((owner, key.to_string()), value.to_vec());
                std::format!("{owner} {key} {value:?}")
            }
            None => {
                self.keys.remove(&(owner, key.to_string()));
                std::format!("{owner} {key} deleted")
            }
        }
    }

    /// Hears all, and says what that was.
    pub(crate) fn poll<S: Empty>(&mut self, node: &mut Replica<S>) -> Vec<String> {
        while self.poll_one(node) {}
        core::mem::take(&mut self.news)
    }

    /// Checks that it knows what these others have, if it has heard all.
    pub(crate) fn agrees<S: Empty>(&self, node: &Replica<S>, owners: &[u64]) {
        let others = owners.iter().filter(|owner| **owner != node.id().get());
        let there: BTreeMap<_, _> = others.flat_map(|owner| map_of(*owner, node)).collect();
        assert_eq!(self.keys, there, "what was told is what is there");
    }
}

/// All that can be read of an owner's map.
fn map_of<S: Empty>(owner: u64, node: &Replica<S>) -> Vec<((u64, String), Vec<u8>)> {
    let keys = node.map_of(owner).into_iter().map(|(_, key, ..)| String::from_utf8(key).expect("a key is text"));
    keys.map(|key| {
        let value = node.get(owner, &key).expect("it is there").to_vec();
        ((owner, key), value)
    })
    .collect()
}
