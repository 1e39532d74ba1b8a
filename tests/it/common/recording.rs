//! Makes recorded calls of nodes again and compares what comes of them. `recorder.rs` says what a recording looks like.
//!
//! It needs neither the standard library nor an allocator, so that it runs on a microcontroller just as on a host.

use core::convert::Infallible;
use core::fmt;

use tidings::rand_core::TryRng;
use tidings::{Instant, Node, NodeId, Storage};

/// How much was made again, and was equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub lives: u32,
    pub calls: u32,
    pub datagrams: u32,
    /// Of those datagrams.
    pub bytes: u32,
    pub deadlines: u32,
}

/// What ended a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// At this byte of the recording begins what is no call, or none that can be made.
    Unreadable { at: usize },
    /// A call came to something else than it did.
    Difference {
        /// The address of the node.
        node: u16,
        /// The latest time that it was told.
        now: Instant,
        expected: Outcome<&'a [u8]>,
        found: Outcome<&'a [u8]>,
    },
}

/// What comes of asking a node for something. `P` is the payload of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<P> {
    Datagram { to: u16, payload: P },
    NoDatagram,
    Event,
    NoEvent,
    Deadline(Instant),
}

enum Call<'a> {
    /// From here on it is another node.
    Renew {
        addr: u16,
    },
    Give(Instant, Input<'a>),
    Ask(Outcome<&'a [u8]>),
}

enum Input<'a> {
    Start { id: NodeId, addr: u16, random: [u8; 16] },
    Join(u16),
    Leave,
    Datagram { from: u16, payload: &'a [u8] },
    Timeout,
}

/// Makes the calls of each life in turn, of `node`, which `renew` makes anew before each. `buf` has room for the longest
/// datagram.
pub fn replay<'a, S: Storage>(
    recording: &'a [u8],
    node: &mut Node<u16, S>,
    renew: impl Fn(&mut Node<u16, S>),
    buf: &'a mut [u8],
) -> Result<Tally, Failure<'a>> {
    let (mut tally, mut rest) = (Tally::default(), recording);
    let (mut living, mut latest) = (0, Instant::ZERO);
    while !rest.is_empty() {
        let unreadable = Failure::Unreadable { at: recording.len() - rest.len() };
        let call = Call::read(&mut rest).ok_or(unreadable)?;
        tally.count(&call);
        match call {
            Call::Renew { addr } => {
                renew(node);
                (living, latest) = (addr, Instant::ZERO);
            }
            Call::Give(now, input) => {
                latest = now;
                input.give(now, node, buf).ok_or(unreadable)?;
            }
            Call::Ask(expected) => {
                let found = expected.ask_again(node, buf);
                if found.map(|len| &buf[..len]) != expected {
                    let found = found.map(|len| &buf[..len]);
                    return Err(Failure::Difference { node: living, now: latest, expected, found });
                }
            }
        }
    }
    Ok(tally)
}

impl Tally {
    fn count(&mut self, call: &Call<'_>) {
        match call {
            Call::Renew { .. } => return self.lives += 1,
            Call::Ask(Outcome::Datagram { payload, .. }) => {
                self.datagrams += 1;
                self.bytes += payload.len() as u32;
            }
            Call::Ask(Outcome::Deadline(_)) => self.deadlines += 1,
            _ => {}
        }
        self.calls += 1;
    }
}

impl<'a> Call<'a> {
    /// Reads the next call; `None` if that is none.
    fn read(recording: &mut &'a [u8]) -> Option<Call<'a>> {
        let (length, rest) = recording.split_first_chunk()?;
        let (call, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        *recording = rest;
        let (kind, fields) = call.split_first()?;
        let mut fields = Fields(fields);
        let call = match kind {
            b'L' => Call::Renew { addr: fields.addr()? },
            b'O' => Call::Ask(Outcome::Datagram { to: fields.addr()?, payload: fields.rest() }),
            b'o' => Call::Ask(Outcome::NoDatagram),
            b'E' => Call::Ask(Outcome::Event),
            b'e' => Call::Ask(Outcome::NoEvent),
            b'W' => Call::Ask(Outcome::Deadline(fields.instant()?)),
            kind => Call::Give(fields.instant()?, Input::read(*kind, &mut fields)?),
        };
        fields.0.is_empty().then_some(call)
    }
}

impl<'a> Input<'a> {
    fn read(kind: u8, fields: &mut Fields<'a>) -> Option<Input<'a>> {
        Some(match kind {
            b'S' => Input::Start {
                id: NodeId::new(u64::from_le_bytes(fields.take()?)),
                addr: fields.addr()?,
                random: fields.take()?,
            },
            b'J' => Input::Join(fields.addr()?),
            b'Q' => Input::Leave,
            b'D' => Input::Datagram { from: fields.addr()?, payload: fields.rest() },
            b'T' => Input::Timeout,
            _ => return None,
        })
    }

    /// `None` if it cannot be given.
    fn give<S: Storage>(self, now: Instant, node: &mut Node<u16, S>, buf: &mut [u8]) -> Option<()> {
        match self {
            Input::Start { id, addr, random } => node.start(now, id, addr, &mut Drawn(&random)).unwrap(),
            Input::Join(seed) => node.join(now, seed).ok()?,
            Input::Leave => node.leave(now),
            Input::Datagram { from, payload } => {
                let datagram = buf.get_mut(..payload.len())?;
                datagram.copy_from_slice(payload);
                node.handle_datagram(now, from, datagram);
            }
            Input::Timeout => node.handle_timeout(now),
        }
        Some(())
    }
}

impl<P> Outcome<P> {
    /// Asks for the same; what comes of it. A payload is so many bytes in `buf`.
    fn ask_again<S: Storage>(&self, node: &mut Node<u16, S>, buf: &mut [u8]) -> Outcome<usize> {
        match self {
            Outcome::Datagram { .. } | Outcome::NoDatagram => match node.poll_transmit(buf) {
                Some(sent) => Outcome::Datagram { to: sent.to, payload: sent.payload.len() },
                None => Outcome::NoDatagram,
            },
            Outcome::Event | Outcome::NoEvent => match node.poll_event() {
                Some(_) => Outcome::Event,
                None => Outcome::NoEvent,
            },
            Outcome::Deadline(_) => Outcome::Deadline(node.poll_timeout()),
        }
    }

    fn map<Q>(self, change: impl FnOnce(P) -> Q) -> Outcome<Q> {
        match self {
            Outcome::Datagram { to, payload } => Outcome::Datagram { to, payload: change(payload) },
            Outcome::NoDatagram => Outcome::NoDatagram,
            Outcome::Event => Outcome::Event,
            Outcome::NoEvent => Outcome::NoEvent,
            Outcome::Deadline(at) => Outcome::Deadline(at),
        }
    }
}

/// The fields of a call that are not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn addr(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn instant(&mut self) -> Option<Instant> {
        self.take().map(|micros| Instant::from_micros(u64::from_le_bytes(micros)))
    }

    fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }
}

/// The random bytes that were drawn then; there are no others.
struct Drawn<'a>(&'a [u8]);

impl TryRng for Drawn<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let (drawn, rest) = self.0.split_at(bytes.len());
        bytes.copy_from_slice(drawn);
        self.0 = rest;
        Ok(())
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreadable { at } => write!(f, "byte {at} of the recording begins no call that can be made"),
            Failure::Difference { node, now, expected, found } => {
                write!(f, "node {node} at {now}: expected {expected}, found {found}")
            }
        }
    }
}

impl fmt::Display for Outcome<&[u8]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Datagram { to, payload } => {
                write!(f, "a datagram to {to}, ")?;
                payload.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Outcome::NoDatagram => f.write_str("no datagram"),
            Outcome::Event => f.write_str("an event"),
            Outcome::NoEvent => f.write_str("no event"),
            Outcome::Deadline(at) => write!(f, "the deadline {at}"),
        }
    }
}
