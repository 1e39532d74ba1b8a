//! What the silence of a member comes to: a pure function of it, of what jurors say, and of what else is known.

/// What there is to decide a case by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Since the first unanswered try.
    pub(super) silence: u64,
    /// What the member is allowed.
    pub(super) allowed: u64,
    /// Jurors whose answer to the present question is fresh and says that they hear nothing either.
    pub(super) silent_jurors: u32,
    /// The same of all questions of this case.
    pub(super) silent_so_far: u32,
    /// Jurors who have not answered, though they live, of all questions of this case.
    pub(super) missing: u32,
    /// A single juror of many has heard it.
    pub(super) contested: bool,
    pub(super) around: Around,
    /// Another member holds it dead.
    pub(super) claimed: bool,
}

/// What else weighs in a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Around {
    /// Living members besides this node and the silent one.
    pub(super) bystanders: u32,
    /// How many of them this node has heard itself: others, who may be made up, are no witnesses.
    pub(super) jurors: u32,
    /// Many are silent at once: to ask many about each would drown those who are left.
    pub(super) crowd: bool,
    /// Others have lately heard members whom this node could not reach.
    pub(super) partial: bool,
    /// How much longer answers take where callers come round slowly.
    pub(super) slack: u64,
}

/// How many silent answers a verdict takes in all, where not too many are silent at once: most of the fifteen whom a case asks.
const MANY: u32 = 11;
/// How many silent answers it takes for a node that is known not to reach everybody, or against one juror who hears it.
const PARTIAL: u32 = 24;

/// Whether a silent member is dead. With nobody to ask, a crash and a cut look the same: of the last two members that is not
/// decided here.
///
/// Two silent jurors may stand where this node stands, on this side of a link that is cut, so nearly all who are asked in the
/// time must be silent, and they are many. Jurors who do not answer may stand on the other side: four of them take one more who
/// does. That of fifteen nobody hears a member whom a third of the network reaches, and another third does not answer, comes
/// to pass less than once in ten thousand times; a node that could not reach members whom others heard asks still more. A single
/// one of many who hears it may lie: it takes more to outvote it.
pub(super) fn is_dead(evidence: Evidence) -> bool {
    let Evidence { silence, allowed, contested, around, .. } = evidence;
    // The silence that another has seen counts too; the witnesses must be this node's own.
    let least = if evidence.claimed { allowed / 2 } else { allowed };
    let long = if around.partial || contested { 12 } else { 3 };
    // Where most have died, two who answer may not be found: then one is enough, after thrice the silence.
    let most_died = silence >= long * allowed;
    let needed = around.bystanders.min(if most_died { 1 } else { 2 });
    // A juror that is asked again has no more to say: of few heard each counts twice at most, or against another three times.
    let in_all = match around {
        _ if most_died || evidence.claimed => 0,
        Around { crowd: true, .. } => 0,
        Around { jurors, .. } if contested => PARTIAL.min(3 * jurors),
        // In a small cluster one who hears it is soon found.
        Around { partial, jurors, bystanders, .. } => {
            let most = if partial { PARTIAL } else { MANY + evidence.missing / 4 };
            most.min(bystanders + 1).min(2 * jurors)
        }
    };
    needed > 0 && evidence.silent_jurors >= needed && evidence.silent_so_far >= in_all && silence >= least
}

#[cfg(test)]
mod tests {
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
}
