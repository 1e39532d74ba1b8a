//! What goes to logs and metrics: without the features `tracing` and `metrics`, nothing.

#[cfg(feature = "metrics")]
mod meters;

#[cfg(feature = "metrics")]
pub(crate) use meters::Meters;

use crate::Event;

/// Nothing to measure with.
#[cfg(not(feature = "metrics"))]
pub(crate) struct Meters;

#[cfg(not(feature = "metrics"))]
impl Meters {
    pub(crate) const fn new() -> Self {
        Meters
    }

    pub(crate) fn update(&mut self, _: &tidings::HeapNode, _: tidings::Phase, _is_last: bool) {}
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn lost_seed(_: &str, _: &dyn std::error::Error) {}

/// A seed's name stands for nothing at this look: no event says so, as the node knows addresses alone.
#[cfg(feature = "tracing")]
pub(crate) fn lost_seed(name: &str, error: &dyn std::error::Error) {
    tracing::warn!(name, %error, "cannot find a seed");
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn event(_: &Event) {}

/// A record of an event: what an operator acts on as a warning, who comes and goes as information, and the rest for
/// whoever looks for a fault. Payloads and values may be secret and are left out.
#[cfg(feature = "tracing")]
pub(crate) fn event(event: &Event) {
    use tracing::{debug, info, warn};
    let seen = |what: &str, member: &crate::Member| {
        info!(id = %member.id(), addr = %member.addr(), "member {what}");
    };
    match event {
        Event::MemberUp(member) => seen("up", member),
        Event::MemberDown(member) => seen("down", member),
        Event::MemberLeft(member) => seen("left", member),
        Event::MemberMoved(member) => seen("moved", member),
        Event::MemberSuspect(member) => debug!(id = %member.id(), addr = %member.addr(), "member suspect"),
        Event::Joined => info!("joined"),
        Event::JoinFailing { seed, tries, trouble } => warn!(%seed, tries, %trouble, "cannot join"),
        Event::Left => info!("left"),
        Event::Isolated => warn!("isolated: nobody answers; cut off, or the last one alive"),
        Event::Reconnected => info!("no longer isolated"),
        Event::IdTaken => warn!("stopped: another live node has this id"),
        Event::Refused { reason } => warn!(%reason, "refused"),
        Event::Gap { origin, first, last } => warn!(%origin, first, last, "broadcasts lost"),
        Event::Unreachable { id, to } => debug!(%id, %to, "message not acknowledged"),
        Event::Message { origin, topic, id, payload, hops } => {
            debug!(%origin, %topic, %id, bytes = payload.len(), hops, "message");
        }
        Event::KeySet { owner, entry } => {
            debug!(%owner, key = entry.key(), bytes = entry.value().len(), version = %entry.version(), "key set");
        }
        Event::KeyDeleted { owner, key } => debug!(%owner, key, "key deleted"),
        _ => {}
    }
}
