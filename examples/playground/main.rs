//! Compiles the package beside this file for browsers, and serves the page in `page/` to this machine alone.

use std::env;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use clap::Parser;
use owo_colors::OwoColorize;

const TARGET: &str = "wasm32-unknown-unknown";
/// What the page is made of, and what each file is. Nothing else is served.
const FILES: [(&str, &str); 7] = [
    ("index.html", "text/html; charset=utf-8"),
    ("style.css", "text/css; charset=utf-8"),
    ("main.js", "text/javascript; charset=utf-8"),
    ("stage.js", "text/javascript; charset=utf-8"),
    ("ring.js", "text/javascript; charset=utf-8"),
    ("plots.js", "text/javascript; charset=utf-8"),
    ("story.js", "text/javascript; charset=utf-8"),
];
const WASM: &str = "playground.wasm";

const MISSING: &str = "\
no compiler here knows the target wasm32-unknown-unknown; one of these installs one:
  rustup target add wasm32-unknown-unknown
  apt-get install --no-install-recommends rustc-web cargo-web rust-web-src libstd-rust-web-dev lld";

/// A cluster of 64 nodes in a web page, to be broken by hand: builds the page and serves it to this machine.
#[derive(Parser)]
#[command(name = "playground")]
struct Options {
    /// Port on 127.0.0.1 at which the page is served; 0 stands for any free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Err(sentence) = build().and_then(|wasm| serve(options.port, wasm)) else { return ExitCode::SUCCESS };
    let _ = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
    ExitCode::FAILURE
}

/// Where the module is.
fn build() -> Result<PathBuf, String> {
    let target_dir = target_dir().ok_or("cannot tell where the build's own directory is")?;
    let mut cargo = if knows_target() { Command::new(tool("CARGO", "cargo")) } else { packaged_cargo()? };
    cargo.args(["build", "--release", "--target", TARGET, "--manifest-path"]);
    cargo.arg(here().join("Cargo.toml")).arg("--target-dir").arg(&target_dir);
    let built = cargo.status().map_err(|error| format!("cannot run {}: {error}", cargo.get_program().display()))?;
    if !built.success() {
        return Err("the page's module does not build".to_string());
    }
    Ok(target_dir.join(TARGET).join("release/tidings_playground.wasm"))
}

/// Whether the compiler that built this program has the standard library for browsers.
fn knows_target() -> bool {
    let libraries = read(Command::new(tool("RUSTC", "rustc")).args(["--print", "target-libdir", "--target", TARGET]));
    libraries.is_some_and(|folder| Path::new(&folder).is_dir())
}

/// Debian's compiler comes with the sources of its standard library, which is built with the module. That is for nightly
/// compilers; the variable makes this one allow it.
fn packaged_cargo() -> Result<Command, String> {
    let parts = ["/usr/bin/cargo", "/usr/bin/rustc", "/usr/lib/rustlib/src/rust/library/std/Cargo.toml"];
    let linker = linker().filter(|_| parts.iter().all(|part| Path::new(part).exists())).ok_or(MISSING)?;
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    cargo.args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="]);
    Ok(cargo)
}

/// rustup's toolchains have one for all targets; Debian has one in a package of its own.
fn linker() -> Option<PathBuf> {
    let rustc = || Command::new(tool("RUSTC", "rustc"));
    let host = read(rustc().arg("-vV")).and_then(|told| {
        let host = told.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_string)
    });
    let of_toolchain = read(rustc().args(["--print", "sysroot"]))
        .zip(host)
        .map(|(sysroot, host)| Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld"));
    let packaged = PathBuf::from("/usr/bin/wasm-ld");
    of_toolchain.into_iter().chain([packaged]).find(|linker| linker.exists())
}

/// What a program says; `None` if it cannot be run.
fn read(program: &mut Command) -> Option<String> {
    let output = program.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// A tool of the build that made this program.
fn tool(variable: &str, name: &str) -> String {
    env::var(variable).unwrap_or_else(|_| name.to_string())
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playground")
}

/// A folder beside those of the build that this program is of: `target/release/examples/playground` is its file.
fn target_dir() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    Some(program.ancestors().nth(3)?.join("playground"))
}

fn serve(port: u16, wasm: PathBuf) -> Result<(), String> {
    let bytes = std::fs::metadata(&wasm).map_err(|error| format!("cannot read {}: {error}", wasm.display()))?.len();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let failed = |error: io::Error| format!("the server failed: {error}");
    runtime.map_err(failed)?.block_on(async {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = tokio::net::TcpListener::bind(wanted).await.map_err(|error| refusal(wanted, &error))?;
        let at = listener.local_addr().map_err(failed)?;
        println!("http://{at}/ has the page, with {} kB of nodes; Ctrl-C to end", bytes / 1_000);
        axum::serve(listener, Router::new().fallback(answer).with_state(wasm)).await.map_err(failed)
    })
}

fn refusal(wanted: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("cannot serve at {wanted}: it is in use; --port 0 takes any free port"),
        _ => format!("cannot serve at {wanted}: {error}"),
    }
}

/// Files are read anew each time, so that the page can be changed while it is served.
async fn answer(State(wasm): State<PathBuf>, uri: Uri) -> Response {
    let name = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let page = FILES.iter().find(|(file, _)| *file == name).map(|(file, kind)| (here().join("page").join(file), *kind));
    let found = page.or_else(|| (name == WASM).then_some((wasm, "application/wasm")));
    let Some((file, kind)) = found else { return StatusCode::NOT_FOUND.into_response() };
    match std::fs::read(file) {
        Ok(bytes) => ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
