//! A web service on a cluster: its health, its members and who leads, configuration that all share, and metrics.

use std::net::SocketAddr;

use axum::extract::{Path, State};
use axum::{Router, http::StatusCode, response::Html, routing};
use clap::Parser;
use tidings_tokio::{Cluster, NAME, NodeId, Phase};
use tokio::signal::unix::{SignalKind, signal};

/// Serves the state of a cluster by HTTP, until SIGTERM or Ctrl-C.
#[derive(Parser)]
#[command(name = "web", after_help = HELP)]
struct Options {
    /// Name of this node; no two may have the same
    #[arg(long)]
    name: String,
    /// Where the node's socket is bound
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: String,
    /// Nodes to join through, as host:port
    #[arg(long, num_args = 1..)]
    join: Vec<String>,
    /// Where HTTP is served
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), String> {
    run(Options::parse()).await.map_err(|error| error.to_string())
}

async fn run(Options { name, bind, join, http }: Options) -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder("web").name(&name).bind(bind).seeds(join).start().await?;
    let pages = Router::new().route("/", routing::get(page)).route("/config/{key}", routing::put(configure));
    let pages = pages.route("/health", routing::get(health)).route("/metrics", routing::get(metrics));
    let pages = pages.with_state(cluster.clone());
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
    let code = if cluster.phase() == Phase::Member { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, cluster.phase().to_string())
}

/// Configuration that any node may write. The latest value counts, so each has the time at its front. It lasts as long as
/// the node that was told: see `Cluster::values` for what must last longer.
async fn configure(State(cluster): State<Cluster>, Path(key): Path<String>, value: String) -> StatusCode {
    let micros = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    let set = cluster.set(&format!("config/{key}"), format!("{micros:020} {value}")).await;
    if set.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Every counter, as Prometheus reads it.
async fn metrics(State(cluster): State<Cluster>) -> Result<String, StatusCode> {
    let stats = cluster.stats().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let counter = |(name, count)| format!("# TYPE tidings_{name}_total counter\ntidings_{name}_total {count}\n");
    Ok(stats.iter().map(counter).collect())
}

/// Members by their names, the one that leads, and the colour of all.
async fn page(State(cluster): State<Cluster>) -> Html<String> {
    let colours = cluster.values("config/colour").await.unwrap_or_default();
    let newest = colours.iter().map(|(_, entry)| entry.value()).max().and_then(|value| value.get(21..));
    let names = cluster.values(NAME).await.unwrap_or_default();
    let rows = names.iter().map(|(id, name)| row(&cluster, *id, name.value())).collect::<String>();
    Html(format!("{HEAD}<p>colour: {}<table>{rows}</table>", text(newest.unwrap_or(b"none"))))
}

// What people read: the page's HTML, and the help.

const HEAD: &str = "<!doctype html><meta charset=utf-8><title>web</title><style>td { padding-right: 2em }</style>";

fn row(cluster: &Cluster, id: NodeId, name: &[u8]) -> String {
    let member = cluster.member(id);
    let (addr, status) = member.map(|member| (member.addr().to_string(), member.status().to_string())).unzip();
    let leads = if cluster.leader() == Some(id) { "leads" } else { "" };
    let cells = [text(name), addr.unwrap_or_default(), status.unwrap_or_default(), leads.to_owned()];
    format!("<tr><td>{}", cells.join("<td>"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('&', "&amp;").replace('<', "&lt;")
}

const HELP: &str = "Two of them, in two terminals, each after `cargo run --example web --`:
  --name a --bind 127.0.0.1:7001 --http 127.0.0.1:8001
  --name b --bind 127.0.0.1:7002 --http 127.0.0.1:8002 --join localhost:7001
Then `curl -X PUT -d blue 127.0.0.1:8001/config/colour`, and open http://127.0.0.1:8002/";
