//! The cursor of positions: when it begins, how it goes on, and how it ends.

use std::vec::Vec;

use super::{GAP, HOP, PEER, Table, record};
use crate::member::{Liveness, NodeId};
use crate::time::Instant;
use crate::walk::{LATEST_ONLY, Range, Walk};

const OTHER: NodeId = NodeId::new(30);
const ALL: Range = (0, u64::MAX);

/// A node that knows some others, and what it asks.
struct Asker {
    table: Table,
    walk: Walk,
    now: Instant,
}

impl Asker {
    fn new() -> Self {
        let table = Table::new(1, (2..60).map(|id| record(id, 0, Liveness::Alive)));
        Asker { table, walk: Walk::NEW, now: Instant::from_millis(1) }
    }

    /// A probe of this peer has shown whether the roots are equal.
    fn hear_roots(&mut self, peer: NodeId, equal: bool) {
        self.walk.note_roots(peer, equal, false, self.now);
    }

    /// What is asked now, and of whom; whether it is the latest that is told.
    fn asked(&mut self) -> Vec<(NodeId, bool)> {
        self.table.core.now = self.now;
        self.walk.tick((GAP, HOP), &mut self.table.core);
        let mut asked = Vec::new();
        while let Some((at, peer)) = { self.walk.owed(false).next() } {
            asked.push((peer, self.walk.is_of_latest(at)));
            assert!(self.walk.sent(at), "it was owed");
        }
        asked
    }

    /// How long after the first each question is asked if nobody answers.
    fn gaps(&mut self) -> Vec<u64> {
        let began = self.now;
        let mut gaps = Vec::new();
        while self.walk.due() != Instant::FAR_FUTURE {
            self.now = self.now.max(self.walk.due());
            gaps.extend(self.asked().iter().map(|_| self.now.since(began)));
        }
        gaps
    }
}

#[test]
fn roots_that_differ_once_have_the_latest_told_and_nothing_asked() {
    let mut asker = Asker::new();
    asker.hear_roots(PEER, false);
    assert_eq!(asker.asked(), [(PEER, true)]);
    assert_eq!(asker.walk.due(), Instant::FAR_FUTURE, "no answer is waited for");
    asker.hear_roots(PEER, true);
    assert_eq!(asker.asked(), []);
}

#[test]
fn roots_that_differ_in_two_probes_in_a_row_have_all_positions_compared() {
    let mut asker = Asker::new();
    asker.hear_roots(OTHER, false);
    asker.asked();
    asker.hear_roots(PEER, false);
    assert_eq!(asker.asked(), [(PEER, false)]);

    let mut asker = Asker::new();
    for equal in [false, true, false] {
        asker.hear_roots(PEER, equal);
    }
    assert_eq!(asker.asked(), [(PEER, true)], "equal roots between them begin the count anew");
}

#[test]
fn a_node_that_lacks_room_for_all_compares_the_latest_alone() {
    let mut asker = Asker::new();
    for _ in 0..5 {
        asker.walk.note_roots(PEER, false, true, asker.now);
        assert_eq!(asker.asked(), [(PEER, true)]);
    }
}

#[test]
fn who_does_not_answer_is_asked_four_times_at_gaps_that_double_and_then_left() {
    let mut asker = Asker::new();
    (0..2).for_each(|_| asker.hear_roots(PEER, false));
    assert_eq!(asker.gaps(), [0, 0, 2 * HOP, 6 * HOP, 14 * HOP], "the latest, and four questions");
}

#[test]
fn who_does_not_answer_is_left_for_one_whose_probe_was_answered() {
    let mut asker = Asker::new();
    (0..2).for_each(|_| asker.hear_roots(PEER, false));
    asker.asked();
    asker.hear_roots(OTHER, false);
    assert_eq!(asker.asked(), [(OTHER, true)], "asked once only: the answer may be on its way");
    asker.now = asker.walk.due();
    assert_eq!(asker.asked(), [(PEER, false)]);
    asker.hear_roots(OTHER, false);
    assert_eq!(asker.asked(), [(OTHER, false)]);
}

#[test]
fn an_answer_moves_the_cursor_and_the_next_question_waits_for_room() {
    let mut asker = Asker::new();
    asker.walk.ask_for_all(PEER, asker.now, HOP);
    assert_eq!(asker.asked(), [(PEER, false)]);
    asker.walk.on_have(OTHER, (0, 9), false, Some(10), asker.now);
    asker.walk.on_have(PEER, LATEST_ONLY, false, Some(1), asker.now);
    assert_ne!(asker.walk.due(), Instant::FAR_FUTURE, "neither is an answer");

    asker.walk.on_have(PEER, (0, 9), false, Some(10), asker.now);
    assert_eq!(asker.walk.due(), Instant::FAR_FUTURE, "there may be no room for what comes of more");
    asker.walk.go_on(asker.now);
    assert_eq!(asker.asked(), [(PEER, false)]);
    asker.walk.on_have(PEER, (0, 9), false, Some(10), asker.now);
    assert_ne!(asker.walk.due(), Instant::FAR_FUTURE, "what comes twice is behind the cursor");

    asker.walk.on_have(PEER, (u64::MAX, u64::MAX), true, None, asker.now);
    asker.walk.go_on(asker.now);
    assert_eq!(asker.asked(), [], "nothing differs up to the end");
}

#[test]
fn a_new_node_asks_for_all_ever_more_seldom_until_somebody_has_told_it() {
    let mut asker = Asker::new();
    let mut waits = Vec::new();
    for _ in 0..12 {
        asker.walk.ask_for_all(PEER, asker.now, HOP);
        waits.push(asker.walk.asking_due().since(asker.now));
        assert!(!asker.walk.is_answered());
    }
    assert_eq!(waits[..9], [HOP; 9]);
    assert_eq!(waits[9..], [2 * HOP, 4 * HOP, 8 * HOP]);
    asker.walk.on_have(OTHER, LATEST_ONLY, true, None, asker.now);
    assert!(asker.walk.is_answered());
}

#[test]
fn who_did_not_know_the_asker_is_told_the_latest_once_more_and_no_more() {
    let mut asker = Asker::new();
    asker.hear_roots(PEER, false);
    assert_eq!(asker.asked(), [(PEER, true)]);
    asker.walk.note_introduced(OTHER, asker.now);
    assert_eq!(asker.asked(), [], "another was told nothing");
    asker.walk.note_introduced(PEER, asker.now);
    assert_eq!(asker.asked(), [(PEER, true)]);
    asker.walk.note_introduced(PEER, asker.now);
    assert_eq!(asker.asked(), [], "or it would go on for ever");
}

#[test]
fn questions_for_records_and_for_positions_do_not_take_each_others_answers() {
    let mut asker = Asker::new();
    asker.walk.pull(PEER, false, asker.now);
    asker.walk.on_have(PEER, ALL, false, None, asker.now);
    assert_eq!(asker.asked(), [(PEER, false)], "the records are still asked for");

    let mut asker = Asker::new();
    asker.walk.ask_for_all(PEER, asker.now, HOP);
    asker.table.core.now = asker.now;
    assert!(!asker.walk.on_page(PEER, ALL, &mut asker.table.core));
    assert_eq!(asker.asked(), [(PEER, false)], "the positions are still asked for");
}
