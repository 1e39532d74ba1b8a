//! What members are called. No name travels with a member, but its id is made of it, so that a name can be proved.

use std::net::SocketAddr;

use tidings::{Member, NodeId, Topic};

/// Where agents ask each other: all for their own names, with one's own, or one, with nothing, for the names of others.
pub const NAMES: Topic = Topic::from_name("agent/names");

/// What one is called that has no name and came for a single command: nobody wants to hear of its coming and going.
pub fn passing(addr: SocketAddr) -> String {
    format!("agent/once {addr}")
}

pub fn is_passing(member: &Member<SocketAddr>) -> bool {
    NodeId::from_name(&passing(member.addr())) == member.id()
}

/// The address of a member that has no other name.
pub fn unnamed(member: &Member<SocketAddr>) -> Option<String> {
    let addr = member.addr().to_string();
    (NodeId::from_name(&addr) == member.id() || is_passing(member)).then_some(addr)
}
