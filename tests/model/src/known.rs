//! Faults of the protocol that this check has found and that are not mended yet. With `true` it looks away: from the
//! first in that any told death of the same life counts as grounds, from the second in that no isolation is judged at
//! all. Whoever mends one puts `false` here, and it is watched for from then on.

/// Who was told that a member is dead, and then hears it speak against that, has no grounds any more. But a node that
/// puts the claim to the member does not drop it with the member's later word: while the case is open, it may declare
/// the member dead at the very incarnation with which it spoke. A cut of one member is enough, and no loss.
pub const OUTLIVED_CLAIMS: bool = true;

/// A node that has confirmed a death that others claim counts the dead one among those who do not answer it, but no
/// longer among those of whom an answer is expected. Of three, it holds itself for isolated until the other next
/// answers. A member that is deaf for three seconds is enough, and no loss.
pub const HASTY_ISOLATION: bool = true;
