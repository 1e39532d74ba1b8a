//! Shares: who gets a place in a bounded table that peers fill.
//!
//! First come, first served lets one peer take every place and keep all others out for as long as its entries last. So
//! each entry has a holder and a rank, and [`admit`] decides by both when there is no place left:
//!
//! 1. An entry of rank [`OVER`] has had its answer. It is kept only for a question that is repeated, and goes first.
//! 2. A holder that has its share already may only replace an entry of its own, by a better one.
//! 3. Any other holder displaces the worst entry that ranks lower, or one of the same rank whose holder has more than its
//!    share. An entry never gives way to one that ranks lower.
//!
//! A share is a quarter of the places, and one at least. While there are places left, anybody gets one: a share is what is
//! left to a peer when many want more than there is.
//! The address that an entry came from counts as a holder too, since a peer can speak under many names.
//!
//! A share does not help against entries that last. So each entry ends, at the latest after a time that this node's own
//! settings give.
//!
//! # The tables where it decides
//!
//! Numbers in brackets are those of a [`Narrow`](crate::Narrow) node.
//!
//! | table | places | who fills it | holder; rank | an entry ends | what a full table stops until then |
//! |---|---|---|---|---|---|
//! | `Detector::errands` | 8 (3) | whoever asks for a probe | asker and address; a member's question from its own address, about a member that has proved its own, comes first | with its answer, or after twice this node's own time for it | other verdicts, but not one about a member that this node finds silent itself |
//! | claims among `Detector::cases` | 6 (2) | whoever says that a member is dead | accuser | with an answer of the accused, or the verdict after half a suspicion | the check of other claims, which come again |
//! | `Detector::charges` | 2 (1) | whoever says that this node is gone | accuser; one that has proved its address comes first | with an answer, or a suspicion after three tries | this node speaks up later |
//! | `Challenges` | 4 (2) | whoever says that a member moved, began anew, sleeps or leaves | teller and claimed address; a proved address comes first | with an answer, or after five tries | the check of other claims, which come again |
//! | `Repairs` | 8 (3) | whoever has more of an origin | teller | when nothing is missing, or after the delivery timeout | repair of other origins, which show again |
//! | `Broadcasts::gives` | 4 (2) | whoever lacks broadcasts | asker | when all is given | what others lack, for which they ask again |
//! | `Replies` | 16 (8) | whoever asks anything | address; a member's, at its address, comes first | when it is sent, at the latest when the byte budget allows | other answers, for which others ask again |
//!
//! # The tables where it does not
//!
//! | table | places | who fills it | what a full table stops, for how long, and why it has no shares |
//! |---|---|---|---|
//! | `Members::slots` | as many as the caller says | newcomers, and whoever names one | newcomers, until others leave or are found dead; an address brings in one, and none for half a minute after a crash there, or four by hearsay (`Node::is_crowded`) |
//! | `Relays::parcels` | 4 (2) | whoever passes news on; this node | news on its way, until delegates acknowledge; one place is this node's own, half at most a member's, and one all strangers' (`relay.rs`) |
//! | own `Detector::cases` | 6 (2) at least | this node, one a probe period | probes of others, until a verdict; claims never take these places |
//! | `Detector::unanswered`, `Case::jurors` | 3, 12 | this node | nothing: so many are enough |
//! | `Members::certificates` | 8 (3) | tellers of deaths with witnesses | nothing: the oldest goes, and its death is looked into where it is told later |
//! | `Relays::outbox` | 24 | this node, with what it has believed | nothing: the rest goes by gossip |
//! | `Recent` numbers of jobs, of direct messages | 80, 128 (28, 48) | senders of what is taken | nothing: the oldest goes; what comes again after that is taken again |
//! | `Tree::unresponsive` | 8 (3) | silent delegates | nothing: the oldest goes, all after 128 first waits |
//! | `Walk::cursors` | 6 | this node; the answers of those it asked | comparison with others, for five tries of each peer that does not answer; one that answers without end holds it longer |
//! | `Seeds`, `Leave` | 8; 4 | the caller; this node | not by peers |
//! | `Sends`, `Questions`, topics, watched prefixes, `Broadcasts::outbox` | 2 to 16 | the application | not by peers |
//! | `Tree::handoffs` | 64 (20): 20, 16 and 12 (8, 4 and 4) for news, messages and maps, the rest for any | senders of what goes down the tree; this node | the passing on of others of that kind, until delegates acknowledge or a handoff is given up; senders repeat theirs, or find another |
//! | `State::gives` | 2 (1) | whoever lacks maps | what others lack, for 16 datagrams at most; one an asker |
//! | `Fetches` | 4 (2) | whoever has more of a map | other fetches, until those who were asked answer or the tries are over |
//! | `State::rebuilds`, `State::partials` | 4 (2) | givers of maps that this node lacks | other large values, until the patience for each is over |
//! | `gaps`, `gone`, `changed`, both `latest` | 8 to 40 | what was believed | nothing: hints, where the oldest goes or all is looked at |

use core::cmp::Reverse;

/// The rank of an entry that has had its answer.
pub(crate) const OVER: u8 = 0;

/// Who holds a place, or wants one, and how good its reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim<P, A> {
    pub(crate) peer: P,
    /// Where it comes from, if that is known.
    pub(crate) addr: Option<A>,
    /// The greater, the better; [`OVER`] if the entry has had its answer.
    pub(crate) rank: u8,
}

/// What becomes of who wants a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// There is a place left.
    Free,
    /// It takes the place of this entry.
    Displace(usize),
    Refuse,
}

impl<P: PartialEq, A: PartialEq> Claim<P, A> {
    fn is_of(&self, other: &Self) -> bool {
        self.peer == other.peer || self.addr.is_some() && self.addr == other.addr
    }
}

/// Decides about `new`, where the table holds these entries and has so much room.
pub(crate) fn admit<P, A, I>(held: I, room: usize, new: Claim<P, A>) -> Admission
where
    P: Copy + PartialEq,
    A: Copy + PartialEq,
    I: Iterator<Item = Claim<P, A>> + Clone,
{
    if room > 0 {
        return Admission::Free;
    }
    let share = (held.clone().count() / 4).max(1);
    let has_share = places_of(held.clone(), &new) >= share;
    // Of those who are equally good the one whose holder has most; and of equals, and of those that are over, the oldest.
    let mut worst = None;
    for (at, entry) in held.clone().enumerate() {
        let places = if entry.rank > OVER { places_of(held.clone(), &entry) } else { 0 };
        let gives_way = match entry.rank {
            OVER => true,
            rank if has_share => entry.is_of(&new) && rank < new.rank,
            rank => rank < new.rank || rank == new.rank && places > share,
        };
        let badness = (entry.rank, Reverse(places));
        if gives_way && worst.is_none_or(|(than, _)| badness < than) {
            worst = Some((badness, at));
        }
    }
    worst.map_or(Admission::Refuse, |(_, at)| Admission::Displace(at))
}

/// How many of these a holder has.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn places_of<P: PartialEq, A: PartialEq>(held: impl Iterator<Item = Claim<P, A>>, holder: &Claim<P, A>) -> usize {
    held.filter(|other| other.rank > OVER && other.is_of(holder)).count()
}

/// Makes room for `new` in a table with these claims; whether there is any then.
macro_rules! make_room {
    ($list:expr, $claim:expr, $new:expr) => {
        match $crate::share::admit($list.iter().map($claim), $list.room(), $new) {
            $crate::share::Admission::Free => true,
            $crate::share::Admission::Displace(at) => $list.take(at).is_some(),
            $crate::share::Admission::Refuse => false,
        }
    };
}
pub(crate) use make_room;
