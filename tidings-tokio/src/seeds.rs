//! Seeds by name: what a name stands for changes, so it is looked up again and again.

use std::net::SocketAddr;
use std::sync::Arc;
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

/// All addresses that these names stand for now; those that cannot be found are logged and left out.
pub(crate) async fn resolve_all(names: Arc<[String]>) -> Vec<SocketAddr> {
    let mut addrs = Vec::new();
    for name in &*names {
        match timeout(PATIENCE, resolve(name)).await {
            Ok(Ok(more)) => {
                addrs.extend(more.into_iter().map(|addr| SocketAddr::new(addr.ip().to_canonical(), addr.port())));
            }
            Ok(Err(error)) => crate::observe::lost_seed(name, &error),
            Err(late) => crate::observe::lost_seed(name, &late),
        }
    }
    addrs
}

/// Looks up names so, and hands on what it finds, until nobody takes it any more.
pub(crate) async fn look_up<F: Future<Output = Vec<SocketAddr>>>(
    look: impl Fn() -> F,
    found: mpsc::Sender<Vec<SocketAddr>>,
    mut members: watch::Receiver<Members>,
) {
    let mut gap = ALONE.0;
    loop {
        if found.send(look().await).await.is_err() {
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

#[cfg(test)]
mod tests {
    use tidings::sim::{Conditions, HostAddress, Sim};
    use tidings::{Config, HeapNode, Limits};
    use tokio::time::Instant;

    use super::*;
    use crate::Member;

    /// So many members that know each other.
    fn members(count: usize) -> Members {
        let mut sim = Sim::<HeapNode<SocketAddr>>::new(1, Conditions::LAN);
        for _ in 0..count {
            let host = sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT));
            sim.start(host, &[0]);
        }
        sim.run_for(Duration::from_secs(2));
        let members: Vec<Member> = sim.machine(0).expect("it runs").members().collect();
        assert_eq!(members.len(), count);
        members.into()
    }

    /// The seconds until the names are looked up next.
    async fn until_next(found: &mut mpsc::Receiver<Vec<SocketAddr>>) -> u64 {
        let before = Instant::now();
        assert_eq!(found.recv().await, Some(vec![SocketAddr::of_host(7)]));
        before.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_looked_up_at_once_when_alone_and_each_minute_in_company() {
        let (alone, three) = (members(1), members(3));
        let (known, known_read) = watch::channel(alone.clone());
        let (sender, mut found) = mpsc::channel(1);
        let task = tokio::spawn(look_up(|| async { vec![SocketAddr::of_host(7)] }, sender, known_read));
        let mut waits = Vec::new();
        for _ in 0..7 {
            waits.push(until_next(&mut found).await);
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 10, 10], "alone, at gaps that grow to ten seconds");

        known.send_replace(three);
        assert_eq!(until_next(&mut found).await, 10, "it finds that out at its next look");
        assert_eq!([until_next(&mut found).await, until_next(&mut found).await], [60, 60]);

        sleep(Duration::from_secs(20)).await;
        known.send_replace(alone);
        assert_eq!([until_next(&mut found).await, until_next(&mut found).await], [0, 1], "alone again");

        drop(found);
        task.await.expect("it ends when nobody wants to know");
    }
}
