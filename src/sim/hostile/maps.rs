//! Lies about maps.

use std::vec::Vec;

use super::{FORGED, Forger, HostAddress, to_all};
use crate::node::Node;
use crate::sim::network::SimRng;
use crate::storage::Storage;
use crate::wire::{
    CHUNK, Chunk, ChunkHead, Frame, Had, HadOf, Origin, Position, Span, Writer, Written, kind, numbered, write_frame,
};

impl Forger {
    /// A member has written a key, it says, under that version, and it is to be passed on to all.
    pub fn key<A: HostAddress, S: Storage>(
        &self,
        member: &Node<A, S>,
        version: u32,
        key: &str,
        value: &[u8],
    ) -> Vec<u8> {
        let Some(record) = member.own_record() else { return Vec::new() };
        let origin = Origin { id: record.id, tag: record.tag() };
        let span = Span { from: version.saturating_sub(1), to: version, as_of: version, floor: 0, sure: true };
        let head = ChunkHead { origin, vital: false, piece: false, span, newest: version };
        self.write(|writer| {
            write_frame(kind::HAND, writer, |body| {
                to_all(body, numbered((version ^ FORGED) << 2, CHUNK))?;
                body.chunk_head(&head)?;
                body.written(span.from, &Written { version, key: key.as_bytes(), value: Some(value) })
            })
        })
    }

    /// The beginning of a member's log, it says, of a state that it has not come to.
    pub fn beginning<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, as_of: u32) -> Vec<u8> {
        let Some(record) = member.own_record() else { return Vec::new() };
        let origin = Origin { id: record.id, tag: record.tag() };
        let span = Span { from: 0, to: 1, as_of, floor: as_of, sure: true };
        let head = ChunkHead { origin, vital: false, piece: false, span, newest: as_of };
        self.write(|writer| {
            write_frame(kind::HAND, writer, |body| {
                to_all(body, numbered((as_of ^ FORGED) << 2, CHUNK))?;
                body.chunk_head(&head)
            })
        })
    }

    /// It has come so far with a member's map, it says.
    pub fn map_progress<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, version: u32) -> Vec<u8> {
        let Some(record) = member.own_record() else { return Vec::new() };
        let origin = Origin { id: record.id, tag: record.tag() };
        self.write(|writer| {
            write_frame(kind::HAVE, writer, |body| {
                body.u64(0)?;
                body.u64(u64::MAX)?;
                body.u8(0)?;
                body.position(origin, Position { seen: 0, versions: [version; 2] })
            })
        })
    }

    /// It has nothing of a member's map, it says; so many times in one datagram.
    pub fn fetches<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, times: usize) -> Vec<u8> {
        let Some(record) = member.own_record() else { return Vec::new() };
        let had = Had { origin: Origin { id: record.id, tag: record.tag() }, logs: [HadOf::default(); 2] };
        let fetch = |writer: &mut Writer<'_>| writer.frame(kind::FETCH, |body| body.u32(FORGED).and(body.had(&had)));
        self.write(|writer| (0..times).try_for_each(|_| fetch(writer)))
    }
}

/// Other people's maps with other versions and values, and answers that make no sense.
pub(super) fn twist(frame: Frame<'_>, writer: &mut Writer<'_>, rng: &mut SimRng) -> Option<()> {
    let number = |number: u32, rng: &mut SimRng| if rng.chance(0.7) { number } else { rng.draw() as u32 };
    match frame {
        Frame::Given(chunk) => write_frame(kind::GIVEN, writer, |body| twist_chunk(&chunk, body, rng)),
        Frame::Fetch { number, mut wants } => write_frame(kind::FETCH, writer, |body| {
            body.u32(number)?;
            while let Some(had) = wants.had() {
                let logs = had.logs.map(|log| HadOf { version: rng.below(9) as u32, rebuilds: rng.chance(0.3), ..log });
                body.had(&Had { logs, ..had })?;
            }
            Some(())
        }),
        Frame::Fetched { number: asked } => {
            let number = number(asked, rng);
            writer.frame(kind::FETCHED, |body| body.u32(number))
        }
        _ => Some(()),
    }
}

pub(super) fn twist_chunk(chunk: &Chunk<'_>, body: &mut Writer<'_>, rng: &mut SimRng) -> Option<()> {
    let Span { from, to, as_of, floor, sure } = chunk.head.span;
    let ahead = if rng.chance(0.1) { 1 << 30 } else { rng.below(3) as u32 };
    let span = Span { from, to, as_of: as_of.saturating_add(ahead), floor: floor + rng.below(2) as u32, sure };
    let head = ChunkHead { span, newest: chunk.head.newest.saturating_add(ahead), ..chunk.head };
    body.chunk_head(&head)?;
    let mut entries = chunk.body;
    if chunk.head.piece {
        return body.value_piece(&entries.value_piece()?);
    }
    let mut before = from;
    while let Some(written) = entries.written(before) {
        // Some are left out, some were deleted, it says, and some have another value.
        let value = match rng.below(4) {
            0 => None,
            1 => Some(&b"lie"[..]),
            _ => written.value,
        };
        if rng.chance(0.8) {
            body.written(before, &Written { value, ..written })?;
            before = written.version;
        }
    }
    Some(())
}
