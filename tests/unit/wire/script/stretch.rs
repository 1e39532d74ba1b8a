//! What a chunk says, in numbers and bytes.

use std::vec::Vec;

use crate::wire::{Chunk, ChunkHead, ValuePiece, Writer, Written};

/// One piece of a value: its key, the value's length with how many pieces and which, and the bytes.
type Part = (Vec<u8>, (u32, u8, u8), Vec<u8>);

/// A part of one log of a member's map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) head: ChunkHead,
    /// Each with its version, its key, and its value unless it was deleted.
    pub(super) entries: Vec<(u32, Vec<u8>, Option<Vec<u8>>)>,
    /// In place of those, one piece of a value: its key, its length and its place, and its bytes.
    pub(super) piece: Option<Part>,
}

impl Stretch {
    pub(super) fn of(chunk: Chunk<'_>) -> Self {
        let Chunk { head, mut body } = chunk;
        let (mut entries, mut before, mut piece) = (Vec::new(), head.span.from, None);
        if head.piece {
            let ValuePiece { key, len, pieces, piece: place, bytes } = body.value_piece().expect("it was read through");
            piece = Some((key.to_vec(), (len, pieces, place), bytes.to_vec()));
        }
        while !body.is_empty() {
            let Written { version, key, value } = body.written(before).expect("it was read through");
            entries.push((version, key.to_vec(), value.map(<[u8]>::to_vec)));
            before = version;
        }
        Stretch { head, entries, piece }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        writer.chunk_head(&self.head)?;
        if let Some((key, (len, pieces, piece), bytes)) = &self.piece {
            return writer.value_piece(&ValuePiece { key, len: *len, pieces: *pieces, piece: *piece, bytes });
        }
        let mut before = self.head.span.from;
        for (version, key, value) in &self.entries {
            writer.written(before, &Written { version: *version, key, value: value.as_deref() })?;
            before = *version;
        }
        Some(())
    }
}
