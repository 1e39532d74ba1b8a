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

#[cfg(all(test, unit_tests))]
#[path = "../../tests/unit/verdict.rs"]
mod tests;
