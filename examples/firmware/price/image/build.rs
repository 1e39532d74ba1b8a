fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg=-T{here}/image.x");
    println!("cargo::rerun-if-changed=image.x");
}
