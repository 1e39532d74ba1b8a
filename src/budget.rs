//! The byte budget: how much a node may send, and who goes without when that is not enough.
//!
//! A token bucket in which every class of datagrams has a reserved share, and which all draw on beyond theirs. What a
//! class does not use flows on to the others, so that none starves another and nothing is wasted. Probes, answers and
//! joins are never held up: a node that did not answer in time would be taken for dead. They draw on what nobody has
//! reserved, and owe what is not there.
//!
//! What a node sends of its own accord it bounds itself, and what it answers others bound: a flood of pings would have it
//! send as much as the flood. So answers have two accounts beside the shares, which the whole rate fills and a little more:
//! one for members at home, and one for all others, who cannot keep members waiting. However small the budget, so many
//! pings in a probe period are answered, or a flood in members' names would have this node taken for dead.

use crate::config::Config;
use crate::time::Instant;

/// What can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    News,
    /// Repair of broadcasts included.
    Sync,
    Casts,
    State,
}

const CLASSES: usize = 4;
/// The reserved shares, in eighths; the rest is for whoever comes first, probes before all.
const SHARES: [i64; CLASSES] = [2, 2, 1, 1];
/// A byte, in the unit of account. A rate in bytes per 2^20 microseconds then needs no division.
const BYTE: i64 = 1 << BYTE_BITS;
const BYTE_BITS: u32 = 20;

/// What is left, in 2^-20 bytes; below zero it is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    filled: Instant,
    common: i64,
    reserved: [i64; CLASSES],
    /// Of answers to anybody, and to members at home.
    answers: [i64; 2],
}

impl Budget {
    pub(crate) const EMPTY: Self = Budget { filled: Instant::ZERO, common: 0, reserved: [0; CLASSES], answers: [0; 2] };

    /// With all saved up that can be.
    pub(crate) fn full(now: Instant, config: &Config) -> Self {
        let most = Self::most(config);
        Budget { filled: now, common: most, reserved: [most; CLASSES], answers: [most; 2] }
    }

    /// The rate in bytes per 2^20 microseconds: 4.9 % more than in a second.
    fn rate(config: &Config) -> i64 {
        let bytes = i64::from(config.byte_budget);
        bytes + ((bytes * 199) >> 12)
    }

    /// What a share can save up, so that a node which was quiet may speak at length: two datagrams, or two seconds.
    fn most(config: &Config) -> i64 {
        (2 * i64::from(config.byte_budget)).max(2 * i64::from(config.max_datagram)) * BYTE
    }

    fn refilled(mut self, now: Instant, config: &Config) -> Self {
        if now <= self.filled {
            return self;
        }
        // An hour fills every share; more would only overflow.
        let passed = now.since(self.filled).min(1 << 32) as i64;
        let (gained, most) = (passed * Self::rate(config), Self::most(config));
        self.filled = now;
        let mut flows_on = gained;
        for (reserved, share) in self.reserved.iter_mut().zip(SHARES) {
            let before = *reserved;
            *reserved = (before + (gained >> 3) * share).min(most);
            flows_on -= *reserved - before;
        }
        self.common = (self.common + flows_on).clamp(-most, most);
        for (left, home) in self.answers.iter_mut().zip([false, true]) {
            *left = (*left + passed * Self::answer_rate(home, config)).min(most);
        }
        self
    }

    /// At which rate answers are paid for: the whole, and so many pings of 32 bytes in a probe period.
    fn answer_rate(home: bool, config: &Config) -> i64 {
        let pings: u32 = if home { 12 } else { 2 };
        let least = ((pings * 32) << 20) / config.probe_period.clamp(1, u64::from(u32::MAX)) as u32;
        Self::rate(config) + i64::from(least)
    }

    /// When an answer may be sent, to a member at home or to anybody: now, or soon after it can.
    pub(crate) fn answer_ready(&self, home: bool, now: Instant, config: &Config) -> Instant {
        let left = |budget: &Self| {
            let [anybody, members] = budget.answers;
            if home { members } else { anybody }
        };
        // Time only adds to what is there.
        if config.byte_budget == 0 || left(self) > 0 {
            return now;
        }
        let left = left(&self.refilled(now, config));
        if left > 0 { now } else { Self::after(now, -left, Self::answer_rate(home, config)) }
    }

    /// When this rate has brought so much.
    fn after(now: Instant, missing: i64, rate: i64) -> Instant {
        let missing = (missing.max(0) >> BYTE_BITS) as u64;
        // So few bits of both that this fits 32.
        let shift = u64::BITS - (missing >> 17).leading_zeros();
        let (missing, rate) = ((missing >> shift) as u32 + 1, (rate >> shift).clamp(1, 1 << 31) as u32);
        now.after(u64::from((missing << 14) / rate + 1) << 6)
    }

    /// Whether a datagram of this class may be sent now. What it takes beyond what is there is paid off first.
    pub(crate) fn allows(&self, class: Class, now: Instant, config: &Config) -> bool {
        // Time only adds to what is there.
        config.byte_budget == 0 || self.left(class) > 0 || self.refilled(now, config).left(class) > 0
    }

    fn left(&self, class: Class) -> i64 {
        self.reserved.get(class as usize).map_or(0, |reserved| reserved + self.common.max(0))
    }

    /// How many bytes of this class may ride on a datagram that is sent anyway.
    pub(crate) fn room(&self, class: Class, now: Instant, config: &Config) -> usize {
        if config.byte_budget == 0 {
            return usize::MAX;
        }
        // Rounded up, so that it is not zero while the class may send.
        ((self.refilled(now, config).left(class) + BYTE - 1) >> BYTE_BITS).max(0) as usize
    }

    /// When a class that may not send now may, if it is left to itself: not before `now`, and soon after it can.
    pub(crate) fn ready(&self, class: Class, now: Instant, config: &Config) -> Instant {
        if self.allows(class, now, config) {
            return now;
        }
        let share = SHARES.get(class as usize).copied().unwrap_or(1);
        Self::after(now, -self.refilled(now, config).left(class), (Self::rate(config) * share) >> 3)
    }

    /// Takes note of an answer of so many bytes that was sent, beside what [`spend`](Self::spend) does.
    pub(crate) fn answered(&mut self, home: bool, len: usize, now: Instant, config: &Config) {
        *self = self.refilled(now, config);
        let [anybody, members] = &mut self.answers;
        let left = if home { members } else { anybody };
        *left = (*left - len as i64 * BYTE).max(-Self::most(config));
    }

    /// Takes note of a datagram that was sent: of how many bytes, and how many of them were of a class that could have
    /// waited.
    pub(crate) fn spend(&mut self, len: usize, (class, class_len): (Class, usize), now: Instant, config: &Config) {
        if config.byte_budget == 0 {
            return;
        }
        *self = self.refilled(now, config);
        self.common = (self.common - len.saturating_sub(class_len) as i64 * BYTE).max(-Self::most(config));
        let Some(reserved) = self.reserved.get_mut(class as usize) else { return };
        let cost = class_len as i64 * BYTE;
        // Its own share first; then what nobody has reserved; and what is not there, it owes.
        let own = cost.min((*reserved).max(0));
        let common = (cost - own).min(self.common.max(0));
        *reserved -= cost - common;
        self.common -= common;
    }
}
