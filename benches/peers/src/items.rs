//! What foca asks of an application that broadcasts: to tell what is new.

use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::rc::Rc;

use foca::{BroadcastHandler, Invalidates};
use tidings::sim::{Report, number_of};

use crate::experiments::ledger::origin_of;
use crate::peer::Name;

/// What an item is known by: no other makes it stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Invalidates for Key {
    fn invalidates(&self, other: &Self) -> bool {
        self == other
    }
}

/// The items that a member has; foca keeps one of two handles to them, and gives none back.
#[derive(Clone, Default)]
pub struct Items(Rc<RefCell<Seen>>);

#[derive(Default)]
struct Seen {
    keys: HashSet<u64>,
    /// Those that were not asked for yet.
    new: Vec<Report>,
    received: u64,
}

impl Items {
    /// What was new since this was last called.
    pub fn take_new(&self) -> Vec<Report> {
        std::mem::take(&mut self.0.borrow_mut().new)
    }

    /// How many items came from others, again and again included.
    pub fn received(&self) -> u64 {
        self.0.borrow().received
    }
}

impl BroadcastHandler<Name> for Items {
    type Key = Key;
    type Error = Infallible;

    fn receive_item(&mut self, data: &[u8], sender: Option<&Name>) -> Result<Option<Key>, Infallible> {
        let mut seen = self.0.borrow_mut();
        seen.received += u64::from(sender.is_some());
        let number = number_of(data);
        if !seen.keys.insert(number) {
            return Ok(None);
        }
        // One's own as well: it is to be sent on just so. foca does not know how far an item has come.
        seen.new.push(Report::Message { origin: origin_of(number), seq: 0, number, hops: 0 });
        Ok(Some(Key(number)))
    }
}
