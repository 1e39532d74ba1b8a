//! What tests of one cluster over loopback have in common.

use std::future::Future;
use std::time::Duration;

use tidings_tokio::{Cluster, Config};
use tokio::time::timeout;

/// Ends a test that hangs.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("this takes no half minute")
}

/// A member that has joined.
pub async fn start(name: &str, seed: Option<&Cluster>) -> Cluster {
    let seeds = seed.map(|seed| seed.addr().to_string());
    let node = Cluster::builder("test").name(name).bind("127.0.0.1:0").config(Config::LOCAL).seeds(seeds);
    let node = node.start().await.unwrap();
    soon(node.joined()).await.unwrap();
    node
}
