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
use crate::detector::{Accusation, Probe, Seat, errand_time};
use crate::event::{Phase, Transmit};
use crate::gossip;
use crate::member::{Address, Certificate, Liveness, NodeId, Record};
use crate::members::{Index, MYSELF};
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::wire::{self, ANYONE, Head, Pull, Roots, SEEKS, Seal, VERSION, Word, Writer, kind};

/// The most that can be owed at once: what each table holds, and one each of what there is one of.
const MOST_OWED: usize = {
    let of_members =
        crate::detector::MOST_OWED + crate::challenge::MOST_OWED + crate::join::MOST_OWED + crate::leave::WITNESSES;
    let of_tables = crate::relay::LEGS + crate::sync::LANES;
    let of_data = crate::broadcast::MOST_OWED + crate::state::MOST_OWED;
    // A rival, a comparison and a burst of news.
    REPLIES + of_members + of_tables + of_data + 3
};

/// Something that is to be sent now: at which place of its table it stands, and to whom it goes.
pub(super) enum Owed<A> {
    Reply(usize, Reply<A>),
    Probe(Seat, Probe<A>),
    Rival,
    Challenge(usize, Side),
    Seed(usize),
    Leave(usize, NodeId),
    /// A parcel of news.
    Relay(usize, NodeId),
    /// A broadcast.
    Cast(usize, NodeId),
    Direct(usize, NodeId),
    /// A question for broadcasts that are missing.
    Pull(usize, NodeId, Pull),
    /// What an asker is to be given of broadcasts.
    Give(usize, NodeId),
    /// A part of a map.
    Delta(usize, NodeId),
    /// A question for maps of which somebody has more.
    Fetch(usize, NodeId),
    /// What an asker is to be given of maps.
    Maps(usize, NodeId),
    /// How far this node has come.
    Compare(NodeId),
    /// A question about a range.
    Sync(usize, NodeId),
    News(Index),
}

impl<A> Owed<A> {
    /// Whether it goes to another that has this node's id.
    fn is_for_twin(&self) -> bool {
        matches!(self, Owed::Rival | Owed::Reply(_, Reply { say: Say::Twin { .. }, .. }))
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
            debug_assert!(turn < MOST_OWED || self.owed(kept).is_none(), "more is owed than can be");
            let Some(owed) = self.owed(kept) else { break };
            match self.turn(owed, buf) {
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

    /// Sends, drops or keeps what is owed. `None` if it was sent or dropped and is owed all the same, which cannot be.
    fn turn(&mut self, owed: Owed<A>, buf: &mut [u8]) -> Option<Turn<A>> {
        let most = if let Owed::Reply(_, reply) = &owed { reply.most } else { usize::MAX };
        let room = buf.len().min(self.core.config.max_datagram()).min(most);
        let turn = match self.encode(&owed, buf.get_mut(..room)?) {
            Ok((to, len, news)) => {
                self.account(&owed, len, news);
                if let Owed::Seed(at) = owed {
                    self.seeds.note_check(at, wire::check_of(buf));
                }
                Turn::Sent(to, len)
            }
            // Longer than may be given for what was asked, or than any datagram may be.
            Err(Unsent::Small) if room < most && room < self.core.config.max_datagram() => return Some(Turn::Kept),
            Err(_) => Turn::Dropped,
        };
        let settled = self.settle(&owed, matches!(turn, Turn::Sent(..)));
        debug_assert!(settled, "what was owed is not there");
        settled.then_some(turn)
    }

    /// Takes note of a datagram of so many bytes, and of how many of them were news.
    fn account(&mut self, owed: &Owed<A>, len: usize, news: usize) {
        if let Owed::Reply(_, reply) = owed
            && !reply.say.is_comparison()
        {
            self.core.budget.answered(reply.home, len.saturating_sub(news), self.core.now, &self.core.config);
        }
        let could_wait = match owed {
            Owed::Reply(_, reply) if reply.say.is_comparison() => (self.pays_for_answers().unwrap_or(Class::Sync), len),
            Owed::Sync(..) | Owed::Pull(..) | Owed::Give(..) | Owed::Compare(_) => (Class::Sync, len),
            Owed::Cast(..) | Owed::Direct(..) => (Class::Casts, len),
            Owed::Delta(..) | Owed::Fetch(..) | Owed::Maps(..) => (Class::State, len),
            Owed::News(_) | Owed::Relay(..) => (Class::News, len),
            _ => (Class::News, news),
        };
        self.core.budget.spend(len, could_wait, self.core.now, &self.core.config);
        self.core.stats.datagrams_out = self.core.stats.datagrams_out.wrapping_add(1);
        self.core.stats.bytes_out = self.core.stats.bytes_out.wrapping_add(len as u64);
    }

    /// The most urgent of what is owed behind so many.
    fn owed(&self, passed: usize) -> Option<Owed<A>> {
        let mut passed = passed;
        let passed = &mut passed;
        if let Some((at, reply)) = behind(self.owed_replies(), passed) {
            return Some(Owed::Reply(at, reply.clone()));
        }
        if !self.is_running() {
            return None;
        }
        if let Some(leave) = &self.leave {
            if let Some((at, witness)) = behind(leave.owed(), passed) {
                return Some(Owed::Leave(at, witness));
            }
        } else if !self.detector.is_idle()
            && let Some((seat, probe)) = behind(self.detector.owed(), passed)
        {
            return Some(Owed::Probe(seat, probe));
        }
        if behind(self.rival.iter().filter(|rival| rival.owed), passed).is_some() {
            return Some(Owed::Rival);
        }
        if let Some((at, side)) = behind(self.challenges.owed(), passed) {
            return Some(Owed::Challenge(at, side));
        }
        if let Some(at) = behind(self.seeds.owed(), passed) {
            return Some(Owed::Seed(at));
        }
        if !self.relays.is_quiet()
            && self.may_send(Class::News)
            && let Some((at, to)) = behind(self.relays.owed(), passed)
        {
            return Some(Owed::Relay(at, to));
        }
        if let Some(owed) = self.owed_message(passed).or_else(|| self.owed_state(passed)) {
            return Some(owed);
        }
        if self.may_send(Class::Sync)
            && let Some((at, peer)) = behind(self.sync.owed(), passed)
        {
            return Some(Owed::Sync(at, peer));
        }
        let burst = self.gossip.target(&self.core.members).filter(|_| self.may_send(Class::News));
        behind(burst.into_iter(), passed).map(Owed::News)
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
    fn settle(&mut self, owed: &Owed<A>, sent: bool) -> bool {
        match *owed {
            Owed::Reply(at, _) => self.replies.take(at),
            Owed::Probe(seat, _) => self.detector.sent(seat),
            Owed::Rival => self.rival.as_mut().is_some_and(|rival| core::mem::take(&mut rival.owed)),
            Owed::Challenge(at, side) => self.challenges.sent(at, side),
            Owed::Seed(at) => self.seeds.sent(at),
            Owed::Leave(at, _) => self.leave.as_mut().is_some_and(|leave| leave.sent(at)),
            Owed::Relay(at, _) => self.relays.sent(at),
            Owed::Sync(at, peer) if self.core.members.find(peer).is_none() => self.sync.give_up(at),
            Owed::Sync(at, _) => {
                self.core.stats.syncs = self.core.stats.syncs.wrapping_add(1);
                self.sync.sent(at)
            }
            Owed::News(index) if sent => self.gossip.sent(index),
            Owed::News(_) => self.gossip.stop(),
            Owed::Compare(_) => self.comparison.sent(self.core.now, 2 * self.detector.hop(&self.core.config)),
            Owed::Delta(at, _) => self.keeps_maps() && self.state.tree.sent(at),
            Owed::Fetch(at, _) => self.keeps_maps() && self.state.fetches.sent(at),
            Owed::Maps(at, _) => self.keeps_maps() && self.state.settle_give(at),
            Owed::Cast(at, _) => self.keeps_messages() && self.broadcasts.tree.sent(at),
            Owed::Direct(at, _) => self.keeps_messages() && self.broadcasts.sends.sent(at),
            Owed::Pull(at, ..) => {
                self.core.stats.pulls = self.core.stats.pulls.wrapping_add(1);
                self.keeps_messages() && self.broadcasts.repairs.sent(at)
            }
            Owed::Give(at, _) => self.keeps_messages() && self.broadcasts.settle_give(at),
        }
    }

    /// Writes one datagram: what is owed, and as much news as there is room for. Where to, its length, and how much of
    /// that is news.
    fn encode(&mut self, owed: &Owed<A>, buf: &mut [u8]) -> Result<(A, usize, usize), Unsent> {
        if let Owed::Reply(_, Reply { to, say: Say::Elsewhere(repeated), .. }) = owed {
            return wire::write_elsewhere(*repeated, buf).map(|len| (*to, len, 0)).ok_or(Unsent::Small);
        }
        let (to, tag) = self.addressee(owed).ok_or(Unsent::Gone)?;
        let seal = Seal { cluster: self.core.config.cluster, addressee: tag };
        let head = self.head(tag == ANYONE, owed.is_for_twin()).ok_or(Unsent::Gone)?;
        let mut writer = Writer::new(buf, seal, head).ok_or(Unsent::Small)?;
        let written = self.write(owed, &mut writer);
        // Strangers are told nothing: they may not be who they say, nor where.
        let hears = written.is_some() && self.may_hear_news(owed);
        let room = if hears { self.core.budget.room(Class::News, self.core.now, &self.core.config) } else { 0 };
        let news = gossip::pack(&mut writer, room, &mut self.core);
        // A burst of news without any would be a datagram for nothing.
        if written.is_none() || matches!(owed, Owed::News(_)) && news == 0 {
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

    /// Where to, and for whom.
    fn addressee(&self, owed: &Owed<A>) -> Option<(A, u32)> {
        let of_member = |id| self.core.members.find_record(id).map(|record| (record.addr, record.tag()));
        match *owed {
            Owed::Reply(_, ref reply) => Some((reply.to, reply.tag)),
            Owed::Probe(_, Probe::Ping { target, .. }) => of_member(target),
            Owed::Probe(_, Probe::Ask { juror, .. }) => of_member(juror),
            Owed::Probe(_, Probe::Verdict { to, tag, .. }) => Some((to, tag)),
            Owed::Rival => self.rival.as_ref().map(|rival| (rival.addr, rival.life.tag(self.id()))),
            Owed::Challenge(at, side) => {
                let (claim, _) = self.challenges.question(at, side)?;
                if side == Side::Claimed { Some((claim.addr, claim.tag())) } else { of_member(claim.id) }
            }
            Owed::Seed(at) => {
                let seed = self.seeds.get(at)?;
                Some(seed.proof.map_or((seed.addr, ANYONE), |(_, tag, from)| (from, tag)))
            }
            Owed::Leave(_, id) | Owed::Sync(_, id) | Owed::Relay(_, id) | Owed::Compare(id) => of_member(id),
            Owed::Cast(_, id) | Owed::Direct(_, id) | Owed::Pull(_, id, _) | Owed::Give(_, id) => of_member(id),
            Owed::Delta(_, id) | Owed::Fetch(_, id) | Owed::Maps(_, id) => of_member(id),
            Owed::News(index) => self.core.members.get(index).map(|record| (record.addr, record.tag())),
        }
    }

    /// Whether it goes to a member, and to where that member is known to be.
    fn may_hear_news(&self, owed: &Owed<A>) -> bool {
        match owed {
            Owed::Reply(_, reply) => reply.home,
            Owed::Rival | Owed::Challenge(..) | Owed::Seed(_) => false,
            // Somebody else has brought these about, perhaps at an address where nobody wants them.
            Owed::Probe(_, Probe::Ping { target: id, .. } | Probe::Ask { juror: id, target: None, .. })
                if !self.detector.doubts(*id) =>
            {
                self.core.members.find(*id).is_some_and(|index| self.core.members.is_proved(index))
            }
            // The question may have come from anywhere.
            Owed::Probe(_, Probe::Verdict { asker, to, .. }) => {
                let there = |index: &Index| self.core.members.get(*index).is_some_and(|record| record.addr == *to);
                self.core.members.find(*asker).filter(there).is_some_and(|index| self.core.members.is_proved(index))
            }
            _ => true,
        }
    }

    fn write(&mut self, owed: &Owed<A>, writer: &mut Writer<'_>) -> Option<()> {
        match *owed {
            Owed::Reply(_, ref reply) => self.write_reply(reply, writer),
            Owed::Probe(_, ref probe) => self.write_probe(probe, writer),
            Owed::Rival => {
                self.write_ping(self.rival.as_ref()?.number, writer)?;
                // Of two equals the greater life keeps the id: the other must know which that is.
                let myself = self.core.members.myself()?;
                writer.frame(kind::NEWS, |body| body.record(myself))
            }
            Owed::Challenge(at, side) => {
                let (claim, number) = self.challenges.question(at, side)?;
                self.write_ping(number, writer)?;
                match side {
                    Side::Claimed => Some(()),
                    // What is said of it, so that it can find its twin.
                    Side::Known => writer.frame(kind::CLAIM, |body| body.record(claim)),
                }
            }
            Owed::Seed(at) => {
                let seed = self.seeds.get(at)?;
                let cookie = seed.proof.map_or(0, |(cookie, ..)| cookie);
                self.write_join((seed.number, cookie), self.seeds.sought(at), writer)
            }
            Owed::Leave(..) => {
                let number = self.leave.as_ref()?.number;
                writer.frame(kind::NEWS, |body| self.core.members.describe(MYSELF, true, body))?;
                writer.frame(kind::LEAVE, |body| body.u32(number))
            }
            Owed::Relay(at, _) => self.write_parcel(at, writer),
            Owed::Sync(at, _) => {
                // Drawn only if it is used: a buffer that is too small changes nothing.
                let mut rng = self.core.rng.clone();
                self.sync.write(at, rng.next_u32(), writer, &self.core.members)?;
                self.core.rng = rng;
                Some(())
            }
            Owed::News(_) => Some(()),
            Owed::Compare(_) if self.keeps_data() => self.write_comparison(writer),
            Owed::Delta(at, _) if self.keeps_maps() => self.state.write_delta(at, &self.core.members, writer),
            Owed::Fetch(at, _) if self.keeps_maps() => self.state.write_fetch(at, &self.core.members, writer),
            Owed::Maps(at, _) if self.keeps_maps() => {
                self.state.write_give(at, &self.core.config, &self.core.members, writer)
            }
            Owed::Cast(at, _) if self.keeps_messages() => self.write_cast(at, writer),
            Owed::Direct(at, _) if self.keeps_messages() => self.write_direct(at, writer),
            Owed::Pull(_, _, ref pull) => writer.frame(kind::PULL, |body| pull.write(body)),
            Owed::Give(at, _) if self.keeps_messages() => {
                self.broadcasts.write_give(at, &self.core.config, &self.core.members, writer)
            }
            _ => None,
        }
    }

    /// Writes how far this node has come, or sums of it.
    fn write_comparison(&mut self, writer: &mut Writer<'_>) -> Option<()> {
        // Drawn only if it is used: a buffer that is too small changes nothing.
        let mut rng = self.core.rng.clone();
        let parts = (&self.broadcasts, &self.state);
        self.comparison.write(rng.next_u32(), parts, &self.core.members, writer)?;
        self.core.rng = rng;
        Some(())
    }

    /// Writes as many of a parcel's records as fit. All do, unless the buffer is too small or datagrams have been longer
    /// when it was packed; then the rest is told as other news is.
    fn write_parcel(&mut self, at: usize, writer: &mut Writer<'_>) -> Option<()> {
        let (leg, records) = self.relays.content(at)?;
        let frame = writer.begin(kind::RELAY)?;
        let head = writer.u32(leg.number).and(writer.u32(leg.share.low)).and(writer.u32(leg.share.high));
        let fits = |index: &&Index| self.core.members.write(**index, self.core.now, writer).is_some();
        let count = head.map_or(0, |()| records.iter().take_while(fits).count());
        if count == 0 {
            return writer.cancel(frame);
        }
        for index in self.relays.shorten(at, count) {
            self.core.members.announce(index, 0);
        }
        writer.end(frame)
    }

    fn write_ping(&self, number: u32, writer: &mut Writer<'_>) -> Option<()> {
        let roots = self.roots(number);
        writer.frame(kind::PING, |body| {
            body.u32(number)?;
            body.roots(roots)
        })
    }

    fn write_probe(&self, probe: &Probe<A>, writer: &mut Writer<'_>) -> Option<()> {
        match *probe {
            Probe::Ping { target, number, claim } => {
                self.write_ping(number, writer)?;
                // What others say of it, so that it can speak against it at once (Lifeguard's buddy system).
                let Some(Accusation { incarnation, by }) = claim else { return Some(()) };
                let record = Record { incarnation, ..self.core.members.find_record(target)?.with(Liveness::Down) };
                // It asks who says so.
                let said_by = Certificate::said_by(by);
                // The smallest datagram may have no room for more than the record.
                writer.frame(kind::NEWS, |body| body.told(&record, 0, Some(&said_by)).or_else(|| body.record(&record)))
            }
            Probe::Ask { question, target, many, .. } => writer.frame(kind::ASK, |body| {
                body.u32(question)?;
                body.id(target.unwrap_or(self.id()))?;
                body.time(errand_time(&self.core.config, many))
            }),
            Probe::Verdict { question, target, word, .. } => write_verdict(question, target, word, writer),
        }
    }

    pub(super) fn write_introduce(&self, to: A, writer: &mut Writer<'_>) -> Option<()> {
        let cookie = crate::join::cookie(&self.core.rng, to, self.core.now, &self.core.config);
        writer.frame(kind::INTRODUCE, |body| body.u64(cookie))
    }

    pub(super) fn write_join(
        &self,
        (number, cookie): (u32, u64),
        sought: Option<NodeId>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        // Whoever leaves has itself introduced to nobody any more.
        if self.leave.is_some() {
            return None;
        }
        writer.frame(kind::JOIN, |body| {
            body.u32(number)?;
            let sought = sought.filter(|_| cookie == 0);
            body.u64(sought.map_or(cookie, NodeId::get))?;
            body.u8(if sought.is_some() { VERSION | SEEKS } else { VERSION })?;
            body.u8(VERSION)?;
            // Whoever is asked may be newer than this node, and is to know from where on it is told.
            self.core.members.describe(MYSELF, true, body)
        })
    }

    /// This node's roots, mixed with a ping's number.
    pub(super) fn roots(&self, number: u32) -> Roots {
        Roots::of(self.core.members.root(), self.keeps_data().then(|| self.core.members.progress()), number)
    }
}

pub(super) fn write_verdict(question: u32, target: NodeId, word: Word, writer: &mut Writer<'_>) -> Option<()> {
    writer.frame(kind::VERDICT, |body| {
        body.u32(question)?;
        body.id(target)?;
        body.u8(match word {
            Word::Silent => 0,
            Word::Heard => 1,
            Word::Busy => 2,
        })
    })
}
