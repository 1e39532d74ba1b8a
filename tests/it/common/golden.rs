//! What is committed and compared.

use std::path::{Path, PathBuf};

/// A file of this checkout.
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether what is committed is to be written, and not compared.
pub fn bless() -> bool {
    std::env::var("BLESS").is_ok_and(|value| value == "1")
}

/// Compares a text, or bytes, with what is committed; with `BLESS=1` in the environment, commits it instead.
pub fn compare(name: &str, now: impl AsRef<[u8]>) {
    let path = checkout("tests/golden").join(name);
    let now = now.as_ref();
    if bless() {
        std::fs::write(&path, now).expect("the golden file can be written");
    }
    let then = std::fs::read(&path).unwrap_or_default();
    if now != then {
        panic!(
            "tests/golden/{name} differs from {}\n\
             If it was meant to, run the test with BLESS=1 and review the difference.",
            first_difference(now, &then),
        );
    }
}

fn first_difference(now: &[u8], then: &[u8]) -> String {
    let (Ok(now), Ok(then)) = (std::str::from_utf8(now), std::str::from_utf8(then)) else {
        let byte = now.iter().zip(then).take_while(|(new, old)| new == old).count();
        return format!("byte {byte} on: now {} bytes, then {}", now.len(), then.len());
    };
    let line = now.lines().zip(then.lines()).take_while(|(new, old)| new == old).count();
    format!("line {} on:\nnow  {:?}\nthen {:?}", line + 1, now.lines().nth(line), then.lines().nth(line))
}
