//! Who a member is: the id that its application chose.

use core::fmt;
use core::str::FromStr;

use crate::hash;

/// A member's stable identity: 64 bits that the caller chooses and that survive restarts and changes of address.
///
/// Two members of one cluster must not share an id; a node that notices reports it (`Event::IdTaken`).
/// Shown and parsed as 16 hexadecimal digits.
///
/// ```
/// use tidings::NodeId;
/// const DB: NodeId = NodeId::from_name("db-7");
/// assert_eq!(DB.to_string().parse(), Ok(DB));
/// ```
///
/// A member's name does not travel, only its id. Those who know all names can compare hashes; where others must read
/// the name, one of up to eight bytes can be the id itself:
///
/// ```
/// use tidings::NodeId;
/// let id = NodeId::new(u64::from_be_bytes(*b"ann\0\0\0\0\0"));
/// assert_eq!(String::from_utf8_lossy(&id.get().to_be_bytes()).trim_end_matches('\0'), "ann");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The id with this number.
    pub const fn new(number: u64) -> Self {
        NodeId(number)
    }

    /// A 64-bit hash of a name, at compile time for a constant one. Among 10,000 names the chance that any two
    /// collide is 3 in 10^12.
    pub const fn from_name(name: &str) -> Self {
        NodeId(hash::name(0x6964, name))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for NodeId {
    fn from(number: u64) -> Self {
        NodeId(number)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:016x})", self.0)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for NodeId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{:016x}", self.0);
    }
}

/// The text was not 1 to 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node id is 1 to 16 hexadecimal digits")
    }
}

impl core::error::Error for ParseIdError {}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        if text.is_empty() || text.len() > 16 || !digits {
            return Err(ParseIdError);
        }
        u64::from_str_radix(text, 16).map(NodeId).map_err(|_| ParseIdError)
    }
}
