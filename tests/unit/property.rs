//! Properties: claims that are tried on random inputs, the same ones on every run, and made small when they fail.

use std::string::String;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Tries a claim, which panics where it does not hold, on this many inputs. `PROPTEST_RNG_SEED` chooses other inputs
/// and `PROPTEST_CASES` another number of them.
pub(crate) fn check<S: Strategy>(cases: u32, inputs: S, claim: impl Fn(S::Value)) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let (seed, cases) = (config.rng_seed, config.cases);
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        claim(input);
        Ok(())
    });
    if let Err(failure) = outcome {
        let test = String::from(std::thread::current().name().unwrap_or(""));
        panic!("PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases} cargo test {test}\n{failure}");
    }
}
