//! Time as the caller tells it.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: microseconds since an epoch of the caller's choice.
///
/// A node never reads a clock. It takes an `Instant` with every input, and only differences matter, so the epoch
/// can be the start of the program, the boot of the device or anything else that does not jump. There is on purpose
/// no conversion from `std::time::Instant`: `Clock` (feature `std`) anchors one to the other explicitly.
///
/// Arithmetic saturates: adding past the end gives [`Instant::FAR_FUTURE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const ZERO: Instant = Instant(0);
    /// Later than everything: what [`Node::poll_timeout`](crate::Node::poll_timeout) returns when nothing is due.
    pub const FAR_FUTURE: Instant = Instant(u64::MAX);

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The time from `earlier` to this instant, or zero if `earlier` is in fact later.
    pub const fn duration_since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This instant plus `micros` microseconds.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn after(self, micros: u64) -> Instant {
        Instant(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this instant; zero if `earlier` is later.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Rounds a part of a microsecond up, so that a deadline is never early.
    fn add(self, duration: Duration) -> Instant {
        self.after(micros(duration))
    }
}

/// As [`Instant::duration_since`]: zero if the other is later.
impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

/// Saturates at the epoch. Rounds a part of a microsecond up, as adding does, so that one undoes the other.
impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Instant::FAR_FUTURE {
            return f.write_str("never");
        }
        write!(f, "{}.{:06} s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Whole microseconds of a duration, rounded up, saturating.
pub(crate) const fn micros(duration: Duration) -> u64 {
    let nanos = duration.subsec_nanos();
    let part = nanos.div_ceil(1_000) as u64;
    duration.as_secs().saturating_mul(1_000_000).saturating_add(part)
}

/// Anchors the standard library's monotonic clock to [`Instant`].
///
/// ```
/// let clock = tidings::Clock::start();
/// let now = clock.now();
/// assert!(clock.until(now) > core::time::Duration::ZERO, "a wait is never zero");
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: std::time::Instant,
}

#[cfg(feature = "std")]
impl Clock {
    /// The longest wait that [`until`](Self::until) returns; waking early is harmless.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

    /// A clock whose epoch is now.
    pub fn start() -> Self {
        Clock { anchor: std::time::Instant::now() }
    }

    /// The present time.
    pub fn now(&self) -> Instant {
        Instant::ZERO.after(self.anchor.elapsed().as_micros().try_into().unwrap_or(u64::MAX))
    }

    /// How long to wait for `deadline`, rounded up to a whole millisecond, at least one and at most
    /// [`LONGEST_WAIT`](Self::LONGEST_WAIT).
    ///
    /// Never zero, because a socket takes a read timeout of zero for an error or for "wait for ever", and never
    /// rounded down, because a wait that ends before its deadline is a busy loop.
    pub fn until(&self, deadline: Instant) -> Duration {
        let millis = deadline.since(self.now()).div_ceil(1_000).max(1);
        Duration::from_millis(millis).min(Self::LONGEST_WAIT)
    }
}
