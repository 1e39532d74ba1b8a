//! Campaigns: random bad days, each replayable by its seed.

use tidings::sim::Scenario;

/// The seeds of a campaign: `SEED=n` for one, `SEEDS=n` for another number of them.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(usual),
    }
}

#[test]
fn after_any_bad_day_all_agree_within_the_bound() {
    let mut agreed_after = Vec::new();
    for seed in seeds(400) {
        match Scenario::from_seed(seed).run() {
            Ok(summary) => agreed_after.push(summary.agreed_after),
            Err(failure) => panic!("SEED={seed} cargo test --test it campaign\n{failure}"),
        }
    }
    // The bound is for the worst of worlds. That few come near it says that the protocol does its work.
    agreed_after.sort();
    let part = |part: f64| agreed_after[((agreed_after.len() - 1) as f64 * part) as usize].as_secs();
    if agreed_after.len() >= 100 {
        assert!(part(0.5) <= 3, "half agree within {} s", part(0.5));
        assert!(part(0.9) <= 20, "nine in ten agree within {} s", part(0.9));
    }
}
