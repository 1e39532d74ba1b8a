//! Builds the images, with the packaged compiler: it has the sources of `core` for any target.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::{Failure, Image};

/// What the images are built for.
pub const TARGET: &str = "thumbv7em-none-eabihf";
/// A core without compare-and-swap and without division, for which one is built too: what the other has an instruction for
/// would be a function here.
pub const SMALLEST: &str = "thumbv6m-none-eabi";
/// What they are built with.
pub const COMPILER: &str = "/usr/bin/rustc";

/// The images differ in what the application uses beside membership.
pub const KINDS: [(&str, &str); 4] =
    [("membership", ""), ("and state", "state"), ("and broadcast", "broadcast"), ("all", "state,broadcast")];

/// How the images are optimised: for size with an eye on speed, and for size alone.
pub const LEVELS: [&str; 2] = ["s", "z"];

/// The compiler's own description of itself.
pub fn compiler() -> Result<String, Failure> {
    let version = Command::new(COMPILER).arg("--version").output();
    let version = version.map_err(|error| {
        format!("cannot run {COMPILER}: {error}. Debian's rustc-web, cargo-web, rust-web-src and libstd-rust-web-dev have it")
    })?;
    Ok(String::from_utf8_lossy(&version.stdout).trim().to_string())
}

/// Links a program of the package `image`, and reads it.
pub fn build(program: &str, features: &str, target: &str, level: &str) -> Result<Image, Failure> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(3).ok_or("this package has been moved")?;
    let target_dir = root.join("target/prices").join(level);
    let status = Command::new("/usr/bin/cargo")
        .args(["build", "--quiet", "--release", "-Zbuild-std=core", "--target", target, "--bin", program])
        .args(["--features", features])
        .arg("--manifest-path")
        .arg(here.join("image/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTC", COMPILER)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zemit-stack-sizes")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", level)
        .env(format!("CARGO_TARGET_{}_LINKER", target.replace('-', "_").to_uppercase()), linker()?)
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .status()
        .map_err(|error| format!("cannot run the packaged cargo: {error}"))?;
    if !status.success() {
        return Err(format!(
            "the image {program} with {features:?} cannot be linked at {level}. If what is missing is called \
             this_image_can_panic, something in it can"
        ));
    }
    Image::read(&target_dir.join(target).join("release").join(program))
}

/// The packaged compiler has no linker for other machines; the one of rustup has.
fn linker() -> Result<PathBuf, Failure> {
    let output = Command::new("rustc").args(["+stable", "--print", "sysroot"]).output();
    let output = output.map_err(|error| format!("cannot ask rustup where its linker is: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let linker = sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    if linker.exists() { Ok(linker) } else { Err(format!("there is no linker at {}", linker.display())) }
}
