//! Shares of bounded tables: `admit` against a table that is kept by hand, and what it promises to each holder.

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::share::{Admission, Claim, OVER, admit};
use crate::unit::property::check;

type Place = Claim<u8, u8>;

/// The same by its words alone: how many places a holder has, and the worst of those that may go.
fn model(held: &[Place], limit: usize, new: Place) -> Admission {
    if held.len() < limit {
        return Admission::Free;
    }
    let same = |a: &Place, b: &Place| a.peer == b.peer || (a.addr.is_some() && a.addr == b.addr);
    let open: Vec<Place> = held.iter().copied().filter(|place| place.rank != OVER).collect();
    let places = |of: &Place| open.iter().filter(|place| same(place, of)).count();
    let share = if limit < 8 { 1 } else { limit / 4 };
    if let Some(over) = held.iter().position(|place| place.rank == OVER) {
        return Admission::Displace(over);
    }
    let mut may_go = Vec::new();
    for (at, place) in held.iter().enumerate() {
        let worse = place.rank < new.rank;
        let greedy = place.rank == new.rank && places(place) > share;
        let goes = if places(&new) >= share { worse && same(place, &new) } else { worse || greedy };
        if goes {
            may_go.push((place.rank, limit - places(place), at));
        }
    }
    may_go.sort_unstable();
    may_go.first().map_or(Admission::Refuse, |(.., at)| Admission::Displace(*at))
}

/// A few peers at a few addresses, so that they meet.
fn place() -> impl Strategy<Value = Place> {
    (0..5u8, proptest::option::of(0..5u8), 0..4u8).prop_map(|(peer, addr, rank)| Claim { peer, addr, rank })
}

#[test]
fn a_place_is_given_as_the_model_gives_it_and_never_to_a_worse_claim() {
    check(20_000, (1..17usize, vec(place(), 0..40)), |(limit, wanted)| {
        let mut held = Vec::<Place>::new();
        for new in wanted {
            let given = admit(held.iter().copied(), limit - held.len(), new);
            assert_eq!(given, model(&held, limit, new), "{new:?} among {held:?}");
            if let Admission::Displace(at) = given {
                let lost = held.remove(at);
                assert!(lost.rank == OVER || lost.rank <= new.rank, "{lost:?} gave way to {new:?}");
            }
            if given != Admission::Refuse {
                held.push(new);
            }
            assert!(held.len() <= limit);
        }
    });
}

#[test]
fn whoever_has_less_than_its_share_gets_a_place_from_one_that_has_more() {
    // All claims are equally good: one peer takes what there is, and others come.
    for limit in 4..=16usize {
        let claim = |peer| Place { peer, addr: Some(peer), rank: 1 };
        let mut held: Vec<Place> = (0..limit).map(|_| claim(0)).collect();
        let share = (limit / 4).max(1);
        for peer in (1..4).flat_map(|peer| std::iter::repeat_n(peer, share)) {
            let Admission::Displace(at) = admit(held.iter().copied(), 0, claim(peer)) else {
                panic!("{peer} is refused by {held:?}");
            };
            assert_eq!(held[at].peer, 0, "only the greedy one loses");
            held[at] = claim(peer);
        }
        let kept = held.iter().filter(|place| place.peer == 0).count();
        assert_eq!(kept, limit - 3 * share);
        assert!(kept >= share, "which keeps its own share");
        assert_eq!(admit(held.iter().copied(), 0, claim(1)), Admission::Refuse, "nobody gets more than that by force");
    }
}

#[test]
fn many_names_at_one_address_are_one_holder() {
    let at = |peer, addr| Place { peer, addr: Some(addr), rank: 1 };
    let held: Vec<Place> = (0..8).map(|peer| at(peer, 77)).collect();
    assert_eq!(admit(held.iter().copied(), 0, at(100, 77)), Admission::Refuse, "a ninth name gains nothing");
    assert!(matches!(admit(held.iter().copied(), 0, at(9, 9)), Admission::Displace(_)), "another address does");
}

#[test]
fn what_has_had_its_answer_gives_way_to_anybody() {
    let held = [
        Place { peer: 1, addr: None, rank: 3 },
        Place { peer: 2, addr: None, rank: OVER },
        Place { peer: 1, addr: None, rank: 1 },
    ];
    let greedy = Place { peer: 1, addr: None, rank: 1 };
    assert_eq!(admit(held.iter().copied(), 0, greedy), Admission::Displace(1));
}
