//! Seeds by name: what a name stands for changes, so it is looked up again and again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::Members;
use crate::socket::resolve;

/// How long to wait before the next look while this node is alone: the first time, and at most.
const ALONE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// How long to wait before the next look while others are there.
const IN_COMPANY: Duration = Duration::from_secs(60);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// All addresses that these names stand for now; those that cannot be found are left out.
pub(crate) async fn resolve_all(names: &[String]) -> Vec<SocketAddr> {
    let mut addrs = Vec::new();
    for name in names {
        if let Ok(Ok(more)) = timeout(PATIENCE, resolve(name)).await {
            addrs.extend(more.into_iter().map(|addr| SocketAddr::new(addr.ip().to_canonical(), addr.port())));
        }
    }
    addrs
}

/// Looks up these names, and hands on what it finds, until nobody takes it any more.
pub(crate) async fn look_up(
    names: Vec<String>,
    found: mpsc::Sender<Vec<SocketAddr>>,
    mut members: watch::Receiver<Members>,
) {
    let mut gap = ALONE.0;
    loop {
        if found.send(resolve_all(&names).await).await.is_err() {
            return;
        }
        let others = |members: &Members| members.iter().filter(|member| member.status().is_live()).count() > 1;
        if others(&members.borrow_and_update()) {
            gap = ALONE.0;
            // Whoever has become alone looks at once.
            let alone = members.wait_for(|members| !others(members));
            if let Ok(Err(_)) = timeout(IN_COMPANY, alone).await {
                return;
            }
        } else {
            sleep(gap).await;
            gap = (2 * gap).min(ALONE.1);
        }
    }
}
