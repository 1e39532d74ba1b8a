//! Verdicts, and what one needs.

use super::*;

const AROUND: Around = Around { bystanders: 40, jurors: 40, crowd: false, partial: false, slack: 0 };
const ENOUGH: Evidence = Evidence {
    silence: 3_200,
    allowed: 3_200,
    silent_jurors: 7,
    silent_so_far: 11,
    missing: 0,
    contested: false,
    around: AROUND,
    claimed: false,
};

#[test]
fn a_member_is_dead_when_it_and_all_who_tried_it_were_silent_long_enough() {
    assert!(is_dead(ENOUGH));
    assert!(!is_dead(Evidence { silence: 3_199, ..ENOUGH }));
    assert!(!is_dead(Evidence { silent_so_far: 10, ..ENOUGH }));
    assert!(!is_dead(Evidence { silent_jurors: 1, ..ENOUGH }), "those before are no witnesses");
    assert!(!is_dead(Evidence { silent_jurors: 1, silence: 9_599, ..ENOUGH }));
    let few = Evidence { silent_jurors: 1, silent_so_far: 1, silence: 9_600, ..ENOUGH };
    assert!(is_dead(few), "where most have died");
    assert!(!is_dead(Evidence { silent_jurors: 0, silence: u64::MAX, ..ENOUGH }), "never on one word");
}

#[test]
fn a_node_that_does_not_reach_everybody_asks_more_and_one_among_many_dead_asks_less() {
    let partial = Evidence { around: Around { partial: true, ..AROUND }, ..ENOUGH };
    assert!(!is_dead(Evidence { silent_so_far: 23, ..partial }));
    assert!(is_dead(Evidence { silent_so_far: 24, ..partial }));
    assert!(!is_dead(Evidence { silence: 38_399, ..partial }));
    assert!(is_dead(Evidence { silence: 38_400, ..partial }));
    let crowd = Evidence { around: Around { crowd: true, ..AROUND }, ..ENOUGH };
    assert!(is_dead(Evidence { silent_jurors: 2, silent_so_far: 2, ..crowd }));
    assert!(!is_dead(Evidence { silent_jurors: 1, silent_so_far: 2, ..crowd }));
}

#[test]
fn one_of_many_who_hears_a_member_takes_another_jury_to_outvote() {
    let contested = Evidence { contested: true, ..ENOUGH };
    assert!(!is_dead(Evidence { silent_so_far: 23, ..contested }));
    assert!(is_dead(Evidence { silent_so_far: 24, ..contested }));
}

#[test]
fn of_three_one_bystander_suffices_and_of_two_nobody_declares() {
    let around = Around { bystanders: 1, jurors: 1, ..AROUND };
    assert!(is_dead(Evidence { around, silent_jurors: 1, silent_so_far: 2, ..ENOUGH }));
    let around = Around { bystanders: 0, jurors: 0, ..AROUND };
    assert!(!is_dead(Evidence { around, silent_jurors: 0, silence: u64::MAX, ..ENOUGH }));
}

#[test]
fn a_claim_of_others_is_confirmed_by_half_the_silence() {
    let claimed = Evidence { claimed: true, silent_jurors: 2, silent_so_far: 2, ..ENOUGH };
    assert!(is_dead(Evidence { silence: 1_600, ..claimed }));
    assert!(!is_dead(Evidence { silence: 1_599, ..claimed }));
    assert!(!is_dead(Evidence { silence: 3_200, silent_jurors: 1, ..claimed }), "on the word of two, as any");
}

#[test]
fn a_verdict_takes_no_more_answers_than_there_are_members_to_give_them_and_one() {
    let around = Around { bystanders: 5, jurors: 5, ..AROUND };
    assert!(is_dead(Evidence { around, silent_jurors: 5, silent_so_far: 6, ..ENOUGH }));
    assert!(!is_dead(Evidence { around, silent_jurors: 5, silent_so_far: 5, ..ENOUGH }));
}

#[test]
fn of_few_heard_among_many_each_counts_twice_and_against_one_who_hears_three_times() {
    let around = Around { bystanders: 100, jurors: 5, ..AROUND };
    assert!(is_dead(Evidence { around, silent_jurors: 5, silent_so_far: 10, ..ENOUGH }));
    assert!(!is_dead(Evidence { around, silent_jurors: 5, silent_so_far: 9, ..ENOUGH }));
    let contested = Evidence { around, silent_jurors: 4, contested: true, ..ENOUGH };
    assert!(is_dead(Evidence { silent_so_far: 15, ..contested }));
    assert!(!is_dead(Evidence { silent_so_far: 14, ..contested }));
    assert!(!is_dead(Evidence { silent_so_far: 14, silence: 38_399, ..contested }), "nor by a longer silence");
}

#[test]
fn for_four_jurors_who_do_not_answer_one_more_is_to_be_silent() {
    assert!(is_dead(Evidence { missing: 4, silent_so_far: 12, ..ENOUGH }));
    assert!(!is_dead(Evidence { missing: 4, silent_so_far: 11, ..ENOUGH }));
    let partial = Evidence { around: Around { partial: true, ..AROUND }, silent_so_far: 24, ..ENOUGH };
    assert!(is_dead(Evidence { missing: 12, ..partial }), "who is cut off from many expects no more of them");
}
