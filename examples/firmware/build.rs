//! Tells the linker where the memory is.

fn main() {
    // `link.x` is of cortex-m-rt, and includes `memory.x` of this directory.
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rerun-if-changed=memory.x");
}
