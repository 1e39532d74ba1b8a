//! A web service on a cluster: its health, its members, configuration that all share, a leader, and metrics.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, put};
use clap::Parser;
use tidings_tokio::{Cluster, Member, NAME, Phase};
use tokio::signal::unix::{SignalKind, signal};

/// Serves the state of a cluster by HTTP, until SIGTERM or Ctrl-C.
#[derive(Parser)]
#[command(
    name = "web",
    after_help = "Two of them, in two terminals, each after `cargo run --example web --`:
  --name a --bind 127.0.0.1:7001 --http 127.0.0.1:8001
  --name b --bind 127.0.0.1:7002 --http 127.0.0.1:8002 --join localhost:7001
Then `curl -X PUT -d blue 127.0.0.1:8001/config/colour`, and open http://127.0.0.1:8002/"
)]
struct Options {
    /// Name of this node; no two may have the same
    #[arg(long)]
    name: String,
    /// Where the node's socket is bound
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: String,
    /// Where others reach the node, if not where it is bound
    #[arg(long)]
    advertise: Option<String>,
    /// Nodes to join through, as host:port
    #[arg(long, num_args = 1..)]
    join: Vec<String>,
    /// Where HTTP is served
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run(Options::parse()).await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let Options { name, bind, advertise, join, http } = options;
    let mut builder = Cluster::builder("web").name(&name).bind(bind).seeds(join);
    if let Some(advertise) = advertise {
        builder = builder.advertise(advertise);
    }
    let cluster = builder.start().await?;
    let pages = Router::new().route("/", get(page)).route("/health", get(health)).route("/metrics", get(metrics));
    let pages = pages.route("/config/{key}", put(configure)).with_state(cluster.clone());
    let listener = tokio::net::TcpListener::bind(http).await?;
    println!("{name} at {}, http://{}/", cluster.addr(), listener.local_addr()?);
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        served = async { axum::serve(listener, pages).await } => served?,
        why = cluster.stopped() => return Err(why.into()),
        _ = terminated.recv() => {}
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(cluster.leave().await?)
}

/// 200 while this node is a member, else 503.
async fn health(State(cluster): State<Cluster>) -> (StatusCode, String) {
    let phase = cluster.phase();
    let code = if phase == Phase::Member { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{phase}\n"))
}

/// Configuration that any node may write. The latest value counts, so each has the time at its front.
async fn configure(State(cluster): State<Cluster>, Path(key): Path<String>, value: String) -> StatusCode {
    let millis = UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis());
    let set = cluster.set(&format!("config/{key}"), format!("{millis:020} {value}")).await;
    if set.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Every counter, as Prometheus reads it.
async fn metrics(State(cluster): State<Cluster>) -> Result<String, StatusCode> {
    let stats = cluster.stats().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let counters: String = stats.iter().map(|(name, count)| format!("tidings_{name}_total {count}\n")).collect();
    Ok(format!("tidings_live_members {}\n{counters}", cluster.live().len()))
}

/// Members and their names, who leads (the smallest id that lives), and one key of the configuration.
async fn page(State(cluster): State<Cluster>) -> Result<Html<String>, StatusCode> {
    let values = async |key| cluster.values(key).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE);
    let text = |value: &[u8]| String::from_utf8_lossy(value).replace('&', "&amp;").replace('<', "&lt;");
    let names: HashMap<_, _> = values(NAME).await?.into_iter().map(|(id, entry)| (id, text(entry.value()))).collect();
    let colour = values("config/colour").await?.iter().map(|(_, entry)| text(entry.value())).max().unwrap_or_default();
    let leader = cluster.live().iter().map(|member| member.id()).min();
    let row = |member: &Member| {
        let name = names.get(&member.id()).map_or("", String::as_str);
        let leads = if Some(member.id()) == leader { "leader" } else { "" };
        format!("<tr><td>{name}<td>{}<td>{:?}<td>{leads}", member.addr(), member.status())
    };
    let (rows, colour): (String, _) = (cluster.members().iter().map(row).collect(), colour.get(21..).unwrap_or("none"));
    Ok(Html(format!("<!doctype html><title>web</title><p>colour: {colour}<table>{rows}</table>")))
}
