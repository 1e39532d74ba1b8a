//! Two claimants of one id: exactly one gives way.

use super::*;
use std::vec::Vec;

/// Every contest over a small space.
fn all() -> Vec<Contest> {
    let mut space = Vec::new();
    for bits in 0..32 {
        for (against, backing, others) in (0..64).map(|of| (of % 4, of / 4 % 4, of / 16)) {
            for age in [0, 1, 2, 31, 32] {
                let [greater, answers, waited, rested, stands] = [1, 2, 4, 8, 16].map(|bit| bits & bit != 0);
                let others = 2 * others;
                space.push(Contest {
                    greater,
                    answers,
                    stands,
                    waited,
                    against,
                    backing,
                    others,
                    age,
                    rested,
                    insisted: false,
                });
            }
        }
    }
    space
}

#[test]
fn nobody_gives_way_or_begins_anew_for_a_life_that_nobody_who_was_asked_holds() {
    for contest in all().into_iter().filter(|contest| contest.against == 0) {
        assert!(matches!(decide(contest), Outcome::Wait | Outcome::Drop), "{contest:?}");
    }
}

#[test]
fn a_member_among_three_others_or_more_gives_way_on_two_words_and_only_to_one_that_answers() {
    for contest in all().into_iter().filter(|contest| decide(*contest) == Outcome::GiveWay) {
        assert!(contest.answers && contest.against >= if contest.others > 2 { 2 } else { 1 }, "{contest:?}");
        assert!(contest.greater || contest.stands, "{contest:?}");
    }
}

#[test]
fn a_member_begins_anew_only_above_a_greater_life_that_is_silent() {
    for contest in all().into_iter().filter(|contest| decide(*contest) == Outcome::Outlive) {
        assert!(contest.greater && !contest.answers && contest.waited && contest.against > 0, "{contest:?}");
        let one = contest.against == 1 && contest.others > 2;
        assert!(!one || contest.rested && contest.age >= 2, "on one word seldom: {contest:?}");
    }
}

#[test]
fn what_nobody_holds_is_dropped_as_soon_as_two_say_so_and_everything_ends() {
    for contest in all() {
        let refuted = contest.against == 0 && contest.backing >= 2;
        assert!(!refuted || decide(contest) == Outcome::Drop, "{contest:?}");
        assert!(contest.age < FORGOTTEN || decide(contest) != Outcome::Wait, "{contest:?}");
    }
}

#[test]
fn of_two_that_answer_each_other_never_both_give_way() {
    for one in all().into_iter().filter(|one| one.answers && one.others > 2) {
        for (against, backing) in (0..16).map(|of| (of % 4, of / 4)) {
            let other = Contest { greater: !one.greater, stands: one.backing >= 2, against, backing, ..one };
            let one = Contest { stands: backing >= 2, ..one };
            let both = [one, other].map(decide) == [Outcome::GiveWay; 2];
            assert!(!both, "{one:?} {other:?}");
            // Not if either has heard of the other before that had found others, either.
            let early = [Contest { stands: false, ..one }, other].map(decide) == [Outcome::GiveWay; 2];
            assert!(!early, "{one:?} {other:?}");
        }
    }
}

#[test]
fn of_two_that_others_hold_the_lesser_gives_way_and_before_that_the_one_that_nobody_holds() {
    let split = Contest {
        greater: true,
        answers: true,
        stands: true,
        waited: false,
        against: 2,
        backing: 2,
        others: 9,
        age: 0,
        rested: true,
        insisted: false,
    };
    assert_eq!(decide(split), Outcome::GiveWay);
    assert_eq!(decide(Contest { greater: false, ..split }), Outcome::Wait);
    assert_eq!(decide(Contest { stands: false, ..split }), Outcome::Wait, "the rival may have none");
    assert_eq!(decide(Contest { greater: false, backing: 1, ..split }), Outcome::GiveWay);
}
