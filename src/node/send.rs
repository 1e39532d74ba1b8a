//! Out: what is owed, in order of urgency, written straight into the caller's buffer.
//!
//! Every call takes turns, and each turn takes the most urgent of what is owed and sends it, drops it or keeps it. What is
//! kept for want of room is passed over for the rest of the call, so that it stands before nothing; what has nothing to
//! say any more is dropped. So each turn leaves one thing less, and there are never more turns than can be owed at once.
//!
//! What is owed is named by its place in its table, and taken off at that place. A key would do as well only while no two
//! entries have the same, and others choose some of those keys.

use super::Node;
use super::reply::{REPLIES, Reply, Say};
use crate::budget::Class;
use crate::challenge::Side;
use crate::detector::Seat;
use crate::event::{Phase, Transmit};
use crate::gossip;
use crate::member::{Address, NodeId};
use crate::members::Index;
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::tree::Kind;
use crate::walk::{self, LATEST_ONLY};
use crate::wire::{self, ANYONE, Head, Seal, Writer, kind};

/// The most that can be owed at once: what each table holds, and one each of what there is one of.
const MOST_OWED: usize = {
    let of_members =
        crate::detector::MOST_OWED + crate::challenge::MOST_OWED + crate::join::MOST_OWED + crate::leave::WITNESSES;
    let of_tables = crate::tree::HANDOFFS + crate::walk::CURSORS;
    let of_data = crate::broadcast::MOST_OWED + crate::state::MOST_OWED;
    // A rival and a burst of news.
    REPLIES + of_members + of_tables + of_data + 2
};

/// What waits to be sent: in which table, and at which place there.
#[derive(Clone, Copy)]
pub(super) enum What {
    Reply(usize),
    Probe(Seat),
    Rival,
    Challenge(usize, Side),
    Seed(usize),
    Leave(usize),
    /// What the tree hands to a delegate.
    Hand(usize),
    Direct(usize),
    /// A question for broadcasts that are missing.
    Pull(usize),
    /// What an asker is to be given of broadcasts.
    Give(usize),
    /// A question for maps of which somebody has more.
    Fetch(usize),
    /// What an asker is to be given of maps.
    Maps(usize),
    /// A question about a range, or the latest positions.
    Walk(usize),
    News(Index),
}

/// A datagram that is to be sent now.
#[derive(Clone, Copy)]
pub(super) struct Pending<A> {
    pub(super) what: What,
    /// Where to, and the tag of the life that it is for; `None` if there is nobody any more.
    pub(super) to: Option<(A, u32)>,
    /// It goes to a member, and to where that member is known to be: it takes news along. Strangers are told nothing, as
    /// they may not be who they say, nor where.
    pub(super) hears: bool,
    /// Which share of the byte budget pays for it. Without one it waits for nothing, and only its news is paid for.
    pub(super) class: Option<Class>,
}

impl<A> Pending<A> {
    /// What waits for no budget.
    fn strict(what: What, to: Option<(A, u32)>, hears: bool) -> Self {
        Pending { what, to, hears, class: None }
    }
}

/// Why nothing was written.
enum Unsent {
    /// There is nothing to say, or nobody to say it to.
    Gone,
    /// It does not fit.
    Small,
}

/// What a turn came to.
enum Turn<A> {
    /// So many bytes are to go there.
    Sent(A, usize),
    Dropped,
    Kept,
}

/// The next behind those that are passed over, which are counted down.
pub(super) fn behind<T>(mut owed: impl Iterator<Item = T>, passed: &mut usize) -> Option<T> {
    owed.find(|_| match passed.checked_sub(1) {
        Some(fewer) => {
            *passed = fewer;
            false
        }
        None => true,
    })
}

impl<A: Address, S: Storage> Node<A, S> {
    /// The next datagram to send, written into `buf`, or `None` if there is nothing to send. Call it until then.
    ///
    /// A buffer of [`Config::max_datagram`](crate::Config::max_datagram) bytes always suffices. What does not fit a smaller
    /// one is kept, [`DropReason::SmallBuffer`] is counted, and what is behind it goes out if that fits. `None` means that
    /// nothing does.
    pub fn poll_transmit<'b>(&mut self, buf: &'b mut [u8]) -> Option<Transmit<'b, A>> {
        let mut kept = 0;
        let mut sent = None;
        for turn in 0..=MOST_OWED {
            debug_assert!(turn < MOST_OWED || self.next_pending(kept).is_none(), "more is owed than can be");
            let Some(pending) = self.next_pending(kept) else {
                if kept == 0 {
                    self.note_idle();
                }
                break;
            };
            match self.turn(pending, buf) {
                Some(Turn::Sent(to, len)) => {
                    sent = Some((to, len));
                    break;
                }
                Some(Turn::Dropped) => {}
                Some(Turn::Kept) => kept += 1,
                // To go on would be to go on without end.
                None => break,
            }
        }
        if kept > 0 {
            self.refuse(DropReason::SmallBuffer);
        }
        let (to, len) = sent?;
        Some(Transmit { to, payload: buf.get(..len)? })
    }

    /// Sends, drops or keeps what waits. `None` if it was sent or dropped and waits all the same, which cannot be.
    fn turn(&mut self, pending: Pending<A>, buf: &mut [u8]) -> Option<Turn<A>> {
        let most = match pending.what {
            What::Reply(at) => self.replies.get(at).map_or(0, |reply| reply.most),
            _ => usize::MAX,
        };
        let room = buf.len().min(self.core.config.max_datagram()).min(most);
        let turn = match self.encode(&pending, buf.get_mut(..room)?) {
            Ok((to, len, news)) => {
                self.account(&pending, len, news);
                if let What::Seed(at) = pending.what {
                    self.seeds.note_check(at, wire::check_of(buf));
                }
                Turn::Sent(to, len)
            }
            // Longer than may be given for what was asked, or than any datagram may be.
            Err(Unsent::Small) if room < most && room < self.core.config.max_datagram() => return Some(Turn::Kept),
            Err(_) => Turn::Dropped,
        };
        let settled = self.settle(&pending, matches!(turn, Turn::Sent(..)));
        debug_assert!(settled, "what was owed is not there");
        settled.then_some(turn)
    }

    /// Takes note of a datagram of so many bytes, and of how many of them were news.
    fn account(&mut self, pending: &Pending<A>, len: usize, news: usize) {
        let could_wait = match (pending.what, pending.class) {
            (_, Some(class)) => (class, len),
            (What::Reply(_), None) => {
                let answer = len.saturating_sub(news);
                self.core.budget.answered(pending.hears, answer, self.core.now, &self.core.config);
                (Class::News, news)
            }
            (_, None) => (Class::News, news),
        };
        self.core.budget.spend(len, could_wait, self.core.now, &self.core.config);
        self.core.stats.datagrams_out = self.core.stats.datagrams_out.wrapping_add(1);
        self.core.stats.bytes_out = self.core.stats.bytes_out.wrapping_add(len as u64);
    }

    /// The most urgent of what waits behind so many.
    fn next_pending(&self, passed: usize) -> Option<Pending<A>> {
        let mut passed = passed;
        let passed = &mut passed;
        if let Some((at, reply)) = behind(self.owed_replies(), passed) {
            let comparison = reply.say.is_comparison();
            let class = comparison.then(|| self.pays_for_answers().unwrap_or(Class::Sync));
            return Some(Pending { what: What::Reply(at), to: Some((reply.to, reply.tag)), hears: reply.home, class });
        }
        if !self.is_running() || self.is_idle() {
            return None;
        }
        if let Some(pending) = self.next_of_membership(passed) {
            return Some(pending);
        }
        let of_news = self.owed_hand(Kind::Parcel, passed);
        let of_messages =
            of_news.or_else(|| self.owed_hand(Kind::Message, passed)).or_else(|| self.owed_message(passed));
        let of_maps = of_messages.or_else(|| self.owed_hand(Kind::Delta, passed)).or_else(|| self.owed_state(passed));
        if of_maps.is_some() {
            return of_maps;
        }
        if self.may_send(Class::Sync)
            && let Some((at, id)) = behind(self.walk.owed(self.detector.isolated), passed)
        {
            return Some(self.pays(What::Walk(at), id, Class::Sync));
        }
        let burst = self.gossip.target(&self.core.members).filter(|_| self.may_send(Class::News));
        let index = behind(burst.into_iter(), passed)?;
        let to = self.core.members.get(index).map(|record| (record.addr, record.tag()));
        Some(Pending { what: What::News(index), to, hears: true, class: Some(Class::News) })
    }

    /// What waits for no budget: who is alive, who is who, and who comes and goes.
    fn next_of_membership(&self, passed: &mut usize) -> Option<Pending<A>> {
        if let Some(leave) = &self.leave {
            if let Some((at, id)) = behind(leave.owed(), passed) {
                return Some(Pending::strict(What::Leave(at), self.core.members.whereabouts(id), true));
            }
        } else if !self.detector.is_idle()
            && let Some((seat, to, hears)) = behind(self.detector.owed(&self.core.members), passed)
        {
            return Some(Pending::strict(What::Probe(seat), to, hears));
        }
        if let Some(rival) = behind(self.rival.iter().filter(|rival| rival.ask.owed), passed) {
            return Some(Pending::strict(What::Rival, Some((rival.addr, rival.life.tag(self.id()))), false));
        }
        if let Some((at, side)) = behind(self.challenges.owed(), passed) {
            return Some(Pending::strict(
                What::Challenge(at, side),
                self.challenges.to(at, side, &self.core.members),
                false,
            ));
        }
        // Whoever leaves has itself introduced to nobody any more.
        let (at, seed) = behind(self.seeds.owed().filter(|_| self.leave.is_none()), passed)?;
        Some(Pending::strict(What::Seed(at), Some(seed.to()), false))
    }

    /// What goes to a member when its class may send.
    pub(super) fn pays(&self, what: What, to: NodeId, class: Class) -> Pending<A> {
        Pending { what, to: self.core.members.whereabouts(to), hears: true, class: Some(class) }
    }

    /// What an answer to a comparison may be paid from. Not only from what is set aside for comparing: members that all
    /// spent it on asking would never answer each other.
    pub(super) fn pays_for_answers(&self) -> Option<Class> {
        [Class::Sync, Class::News].into_iter().find(|class| self.may_send(*class))
    }

    /// Whether the byte budget has anything left for what can wait.
    pub(super) fn may_send(&self, class: Class) -> bool {
        self.core.budget.allows(class, self.core.now, &self.core.config)
    }

    /// Takes off its table what was sent, or will never be; whether it was there.
    fn settle(&mut self, pending: &Pending<A>, sent: bool) -> bool {
        match pending.what {
            What::Reply(at) => self.replies.take(at),
            What::Probe(seat) => self.detector.sent(seat),
            What::Rival => self.rival.as_mut().is_some_and(|rival| rival.ask.sent()),
            What::Challenge(at, side) => self.challenges.sent(at, side),
            What::Seed(at) => self.seeds.sent(at),
            What::Leave(at) => self.leave.as_mut().is_some_and(|leave| leave.sent(at)),
            What::Hand(at) => self.core.tree.sent(at),
            What::Walk(at) if pending.to.is_none() => self.walk.give_up(at),
            What::Walk(at) => {
                let counts = u64::from(self.walk.is_of_records(at));
                self.core.stats.syncs = self.core.stats.syncs.wrapping_add(counts);
                self.walk.sent(at)
            }
            What::News(index) if sent => self.gossip.sent(index),
            What::News(_) => self.gossip.stop(),
            What::Fetch(at) => self.keeps_maps() && self.state.fetches.sent(at),
            What::Maps(at) => self.keeps_maps() && self.state.settle_give(at),
            What::Direct(at) => self.keeps_messages() && self.broadcasts.sends.sent(at),
            What::Pull(at) => {
                self.core.stats.pulls = self.core.stats.pulls.wrapping_add(1);
                self.keeps_messages() && self.broadcasts.repairs.sent(at)
            }
            What::Give(at) => self.keeps_messages() && self.broadcasts.settle_give(at),
        }
    }

    /// Writes one datagram: what waits, and as much news as there is room for. Where to, its length, and how much of
    /// that is news.
    fn encode(&mut self, pending: &Pending<A>, buf: &mut [u8]) -> Result<(A, usize, usize), Unsent> {
        let reply = if let What::Reply(at) = pending.what { self.replies.get(at) } else { None };
        if let Some(Reply { to, say: Say::Elsewhere(repeated), .. }) = reply {
            return wire::write_elsewhere(*repeated, buf).map(|len| (*to, len, 0)).ok_or(Unsent::Small);
        }
        let for_twin =
            matches!(pending.what, What::Rival) || matches!(reply, Some(Reply { say: Say::Twin { .. }, .. }));
        let (to, tag) = pending.to.ok_or(Unsent::Gone)?;
        let seal = Seal { cluster: self.core.config.cluster, addressee: tag };
        let head = self.head(tag == ANYONE, for_twin).ok_or(Unsent::Gone)?;
        let mut writer = Writer::new(buf, seal, head).ok_or(Unsent::Small)?;
        let written = self.write(pending.what, &mut writer);
        let hears = written.is_some() && pending.hears;
        let room = if hears { self.core.budget.room(Class::News, self.core.now, &self.core.config) } else { 0 };
        let news = gossip::pack(&mut writer, room, &mut self.core);
        // A burst of news without any would be a datagram for nothing.
        if written.is_none() || matches!(pending.what, What::News(_)) && news == 0 {
            return Err(if writer.is_short() { Unsent::Small } else { Unsent::Gone });
        }
        let len = writer.finish(seal).ok_or(Unsent::Small)?;
        Ok((to, len, news))
    }

    fn head(&self, open: bool, for_twin: bool) -> Option<Head> {
        let myself = self.core.members.myself()?;
        let (sender, tag, incarnation) = (myself.id, myself.tag(), myself.incarnation);
        // Nobody compares tables with its twin: the flag says something else to that.
        let full = if for_twin { self.is_held() } else { self.core.members.has_refused() };
        let newcomer = self.core.phase == Phase::Joining;
        Some(Head { sender, tag, incarnation, open, full, newcomer })
    }

    fn write(&mut self, what: What, writer: &mut Writer<'_>) -> Option<()> {
        match what {
            What::Reply(at) => self.write_reply(self.replies.get(at)?, writer),
            What::Probe(seat) => self.detector.write(seat, &self.core, writer),
            What::Rival => self.rival.as_ref()?.write(&self.core, writer),
            What::Challenge(at, side) => self.challenges.write(at, side, &self.core, writer),
            What::Seed(at) => self.seeds.write(at, &self.core, writer),
            What::Leave(_) => self.leave.as_ref()?.write(&self.core, writer),
            What::Hand(at) => self.write_hand(at, writer),
            What::Walk(at) if self.keeps_data() && self.walk.is_of_latest(at) => {
                let parts = (&self.broadcasts, &self.state);
                walk::write_have(LATEST_ONLY, false, parts, &self.core.members, writer)
            }
            What::Walk(at) => {
                // Drawn only if it is used: a buffer that is too small changes nothing.
                let mut rng = self.core.rng.clone();
                self.walk.write(at, rng.next_u32(), writer, &self.core.members)?;
                self.core.rng = rng;
                Some(())
            }
            What::News(_) => Some(()),
            What::Fetch(at) if self.keeps_maps() => self.state.write_fetch(at, &self.core.members, writer),
            What::Maps(at) if self.keeps_maps() => {
                self.state.write_give(at, &self.core.config, &self.core.members, writer)
            }
            What::Direct(at) if self.keeps_messages() => self.write_direct(at, writer),
            What::Pull(at) if self.keeps_messages() => {
                let pull = self.broadcasts.repairs.question(at, &self.core.members)?;
                writer.frame(kind::PULL, |body| pull.write(body))
            }
            What::Give(at) if self.keeps_messages() => {
                self.broadcasts.write_give(at, &self.core.config, &self.core.members, writer)
            }
            _ => None,
        }
    }
}
