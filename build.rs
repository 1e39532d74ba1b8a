//! Says that the unit tests are here. The package leaves them out, and this file too.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=unit_tests");
}
