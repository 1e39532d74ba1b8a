//! Texts that are committed and compared.

/// Compares a text with the committed one; with `BLESS=1` in the environment, commits it instead.
pub fn compare(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    if text != golden {
        let line = text.lines().zip(golden.lines()).take_while(|(new, old)| new == old).count();
        panic!(
            "tests/golden/{name} differs from line {} on:\nnow  {:?}\nthen {:?}\n\
             If it was meant to, run the test with BLESS=1 and review the difference.",
            line + 1,
            text.lines().nth(line),
            golden.lines().nth(line),
        );
    }
}
