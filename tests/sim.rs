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
    for seed in seeds(400) {
        if let Err(failure) = Scenario::from_seed(seed).run() {
            panic!("SEED={seed} cargo test --test sim\n{failure}");
        }
    }
}
