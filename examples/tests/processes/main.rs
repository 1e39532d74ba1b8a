//! The examples as processes on loopback, as a user runs them.
//!
//! A plain `cargo test` builds the examples. For these tests alone, build them first: `cargo build --examples`.
#![cfg(unix)]

mod agent;
mod loops;
mod simulate;
#[cfg(target_os = "linux")]
mod terminal;

/// Where an example was built, beside this test.
fn example(name: &str) -> std::path::PathBuf {
    let myself = std::env::current_exe().expect("a test knows where it is");
    let profile = myself.parent().and_then(|deps| deps.parent()).expect("a test is in target/<profile>/deps");
    let path = profile.join("examples").join(name);
    let profile = if profile.ends_with("release") { " --release" } else { "" };
    assert!(path.exists(), "there is no {}: first run `cargo build{profile} --examples`", path.display());
    path
}
