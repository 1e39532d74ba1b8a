//! Push-back: how many writes go through while others lag, and when it ends.

use crate::Config;
use crate::state::parts::Pace;
use crate::time::Instant;

const PERIOD: u64 = 1_000_000;
const STEPS: u64 = 200;

/// An application that writes as often as it may, at most so often in a period.
struct Writer {
    pace: Pace,
    now: u64,
    written: u32,
}

impl Writer {
    fn new() -> Self {
        Writer { pace: Pace::FREE, now: 10 * PERIOD, written: 0 }
    }

    /// One period, in which it would write so often; how often it did. Others are so far behind in each step.
    fn period(&mut self, most: u32, behind: impl Fn(u32) -> u32) -> u32 {
        let (start, mut count) = (self.now, 0);
        for step in 1..=STEPS {
            while u64::from(count) < u64::from(most) * step / STEPS
                && self.pace.allow(Instant::from_micros(self.now), &Config::LAN).is_ok()
            {
                self.pace.note_write();
                (self.written, count) = (self.written + 1, count + 1);
            }
            let have = self.written - behind(self.written);
            self.pace.note_report(self.pace.is_behind(self.written - have));
            self.now = start + step * PERIOD / STEPS;
        }
        count
    }
}

#[test]
fn while_nobody_lags_there_is_no_limit() {
    let mut writer = Writer::new();
    for _ in 0..10 {
        assert_eq!(writer.period(1_000, |_| 0), 1_000);
        assert_eq!(writer.period(1_000, |_| 900), 1_000, "less than a period is no lag");
    }
}

#[test]
fn the_rate_is_halved_in_each_period_in_which_somebody_lags() {
    for before in [16, 100, 512, 600, 1_000, 3_000] {
        let mut writer = Writer::new();
        for _ in 0..4 {
            assert_eq!(writer.period(before, |_| 0), before);
        }
        // It shows at the end of a period.
        let mut allowed = writer.period(before, |written| written);
        while allowed > 4 {
            let next = writer.period(before, |written| written);
            assert!(next <= allowed / 2 + 1, "{next} of {allowed}, at first {before}");
            allowed = next;
        }
        assert!(writer.period(before, |written| written) >= 1, "never to nothing");
    }
}

#[test]
fn it_grows_by_an_eighth_and_is_free_again() {
    let mut writer = Writer::new();
    for _ in 0..4 {
        writer.period(800, |_| 0);
    }
    writer.period(800, |written| written);
    let mut rates = std::vec![writer.period(800, |_| 0)];
    assert!((395..=405).contains(&rates[0]), "{rates:?}");
    while *rates.last().expect("there is one") < 800 {
        let (before, next) = (rates[rates.len() - 1], writer.period(10_000, |_| 0));
        assert!(next > before && next <= before + 60, "{rates:?}, then {next}");
        rates.push(next);
    }
    let mut periods = 0;
    while writer.period(10_000, |_| 0) < 10_000 {
        periods += 1;
        assert!(periods < 40, "it ends");
    }
}

#[test]
fn whoever_does_not_push_back_is_never_held_up() {
    let config = Config::LAN.with_push_back(false);
    let mut pace = Pace::FREE;
    for step in 0..5_000u32 {
        let now = Instant::from_micros(u64::from(step) * PERIOD / 100);
        assert_eq!(pace.allow(now, &config), Ok(()));
        pace.note_write();
        pace.note_report(pace.is_behind(step + 1));
    }
}
