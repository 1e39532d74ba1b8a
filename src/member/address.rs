//! Where a member is reached: the types of addresses there are, and how long each is on the wire.

use core::fmt;
use core::hash::Hash;
use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use core::panic::{RefUnwindSafe, UnwindSafe};

use serde::{Serialize, de::DeserializeOwned};

use crate::bytes::{self, Pen};

/// Where a member is reached. Implemented for socket addresses, for the unsigned integers (radio addresses) and for
/// byte arrays; implement it for your own type by naming its greatest encoded length. The other traits ask for plain data,
/// which any thread may have.
///
/// An IPv6 scope does not travel: the receiver of a `SocketAddrV6` sees scope 0, so link-local addresses work only
/// where the socket binds to one interface.
pub trait Address:
    Copy + Ord + Hash + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe
{
    /// The most bytes that postcard writes for any value; at most 28, so that a record fits the smallest datagram.
    const MAX_LEN: usize;

    /// Whether others can send to it. A node is not started at an address where they cannot: a socket address whose IP is
    /// unspecified (a wildcard) or whose port is 0, which is what a socket is bound to before it is told better.
    fn is_reachable(&self) -> bool {
        true
    }

    /// Writes what postcard would, and gives how many bytes that takes; `None` if it does not fit. Those implemented here
    /// do it by hand: postcard's way to write an integer cannot be linked without one way to panic.
    #[doc(hidden)]
    fn encode_into(&self, buf: &mut [u8]) -> Option<usize> {
        bytes::encode(self, buf)
    }
}

macro_rules! addresses {
    ($($kind:ty: $len:expr, |$addr:ident, $pen:ident| $write:expr $(, $reachable:path)?;)*) => { $(
        impl Address for $kind {
            const MAX_LEN: usize = $len;

            $(fn is_reachable(&self) -> bool {
                $reachable((*self).into())
            })?

            fn encode_into(&self, buf: &mut [u8]) -> Option<usize> {
                let ($addr, mut $pen) = (self, Pen::new(buf));
                $write?;
                Some($pen.len())
            }
        }
    )* };
}

addresses! {
    SocketAddr: 20, |addr, pen| match addr {
        SocketAddr::V4(addr) => pen.put(&[0]).and_then(|()| pen.put(&addr.ip().octets())),
        SocketAddr::V6(addr) => pen.put(&[1]).and_then(|()| pen.put(&addr.ip().octets())),
    }.and_then(|()| pen.varint(addr.port().into())), names_a_socket;
    SocketAddrV4: 7, |addr, pen| pen.put(&addr.ip().octets()).and_then(|()| pen.varint(addr.port().into())), names_a_socket;
    SocketAddrV6: 19, |addr, pen| pen.put(&addr.ip().octets()).and_then(|()| pen.varint(addr.port().into())), names_a_socket;
    u8: 1, |addr, pen| pen.put(&[*addr]);
    u16: 3, |addr, pen| pen.varint((*addr).into());
    u32: 5, |addr, pen| pen.varint((*addr).into());
    u64: 10, |addr, pen| pen.varint(*addr);
    [u8; 2]: 2, |addr, pen| pen.put(addr);
    [u8; 4]: 4, |addr, pen| pen.put(addr);
    [u8; 6]: 6, |addr, pen| pen.put(addr);
    [u8; 8]: 8, |addr, pen| pen.put(addr);
    [u8; 16]: 16, |addr, pen| pen.put(addr);
}

/// Whether a datagram can be sent to it: a wildcard and port 0 only say that a socket takes what comes.
fn names_a_socket(addr: SocketAddr) -> bool {
    !addr.ip().to_canonical().is_unspecified() && addr.port() != 0
}
