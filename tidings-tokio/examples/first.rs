use tidings_tokio::{Cluster, Topic};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Cluster::builder("orders").name("db-7").bind("0.0.0.0:7946");
    let cluster = node.seeds(["gossip.internal:7946"]).start().await?;
    cluster.joined().await?; // waits until a seed answers
    cluster.set("load", "0.7").await?; // every member can read it
    let mut alarms = cluster.subscribe(Topic::from_name("alarms")).await?;
    while let Some(alarm) = alarms.recv().await {
        println!("{alarm:?}, and {} members are alive", cluster.live().len());
    }
    Ok(())
}
