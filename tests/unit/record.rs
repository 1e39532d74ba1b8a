//! Records: their order, and what they come to when they are joined.

use super::*;
use std::vec::Vec;

fn join(a: Record<u16>, b: Record<u16>) -> Record<u16> {
    if b.supersedes(&a) { b } else { a }
}

/// Every record of one id over two generations, two nonces, three incarnations, all verdicts, two addresses and
/// two patiences: 144 of them.
fn small_space() -> Vec<Record<u16>> {
    let mut space = Vec::new();
    for bits in 0..2u32 * 2 * 2 * 2 * 9 {
        let (flags, rest) = (bits % 16, bits / 16);
        space.push(Record {
            id: NodeId::new(1),
            life: Life { generation: flags & 1, nonce: flags >> 1 & 1 },
            incarnation: rest % 3,
            liveness: [Liveness::Alive, Liveness::Down, Liveness::Left][rest as usize / 3],
            addr: (flags >> 2 & 1) as u16,
            patience: (flags >> 3) as u8,
            topics: 0,
        });
    }
    space
}

#[test]
fn merge_is_a_lattice_join_over_the_whole_small_space() {
    let space = small_space();
    assert_eq!(space.len(), 144);
    for &a in &space {
        assert_eq!(join(a, a), a, "idempotent");
        for &b in &space {
            let ab = join(a, b);
            assert_eq!(ab, join(b, a), "commutative: {a:?} {b:?}");
            assert!(ab == a || ab == b, "the merge invents nothing");
            assert!(!a.supersedes(&ab) && !b.supersedes(&ab), "an upper bound of both");
            for &c in &space {
                assert_eq!(join(ab, c), join(a, join(b, c)), "associative: {a:?} {b:?} {c:?}");
            }
        }
    }
}

#[test]
fn precedence_is_life_then_incarnation_then_verdict_then_address() {
    let base = Record {
        id: NodeId::new(1),
        life: Life { generation: 1, nonce: 5 },
        incarnation: 3,
        liveness: Liveness::Down,
        addr: 7u16,
        patience: 0,
        topics: 0,
    };
    let reborn = Life { generation: 2, nonce: 0 };
    let other_nonce = Life { generation: 1, nonce: 6 };
    let newer = [
        Record { life: reborn, incarnation: 0, liveness: Liveness::Alive, addr: 0, ..base },
        Record { life: other_nonce, incarnation: 0, liveness: Liveness::Alive, addr: 0, ..base },
        Record { incarnation: 4, liveness: Liveness::Alive, addr: 0, ..base },
        Record { liveness: Liveness::Left, addr: 0, ..base },
        Record { addr: 8, ..base },
        Record { patience: 1, ..base },
        Record { topics: 1, ..base },
    ];
    for record in newer {
        assert!(record.supersedes(&base) && !base.supersedes(&record), "{record:?}");
    }
    assert!(!base.supersedes(&base));
    assert!(!base.with(Liveness::Alive).supersedes(&base), "a dead member does not rise at its old incarnation");
    assert!(!Record { id: NodeId::new(2), ..newer[0] }.supersedes(&base), "another id is another member");
}

#[test]
fn counters_that_leap_are_not_believed_from_others() {
    let held = Record {
        id: NodeId::new(1),
        life: Life { generation: 9, nonce: 5 },
        incarnation: 100,
        liveness: Liveness::Alive,
        addr: 7u16,
        patience: 0,
        topics: 0,
    };
    assert!(!Record { incarnation: 100 + MAX_JUMP, ..held }.jumps(Some(&held)));
    assert!(Record { incarnation: 101 + MAX_JUMP, ..held }.jumps(Some(&held)));
    let next = Life { generation: 9 + MAX_JUMP, nonce: 0 };
    assert!(!Record { life: next, incarnation: 0, ..held }.jumps(Some(&held)));
    assert!(Record { life: Life { generation: 10 + MAX_JUMP, nonce: 0 }, ..held }.jumps(Some(&held)));
    assert!(Record { life: next, incarnation: MAX_JUMP + 1, ..held }.jumps(Some(&held)), "a new life counts from 0");
    assert!(Record { incarnation: u32::MAX, ..held }.jumps(None));
    assert!(!held.jumps(None));
}
