//! How a long payload is cut: into few pieces, none of them empty, that make it up again.

use crate::broadcast::{Entry, pieces_for};
use crate::member::NodeId;

/// A message of this length in so many pieces.
fn entry(len: u32, pieces: u8) -> Entry {
    let (origin, came) = (NodeId::new(1), 0);
    Entry { origin, tag: 2, seq: 3, topic: 4, len, came, pieces, form: 0, marks: 0, hops: 0 }
}

#[test]
fn every_length_is_cut_into_pieces_that_are_not_empty_fit_and_make_it_up_again() {
    for most in (1..40usize).chain([64, 233, 1_133]) {
        for len in 0..=32 * most as u32 {
            let pieces = pieces_for(len, most).expect("32 pieces do");
            assert!((1..=32).contains(&pieces) && usize::from(pieces) >= (len as usize).div_ceil(most));
            let (mut end, mut lens) = (0, 0);
            for piece in 0..pieces {
                let range = entry(len, pieces).range(piece);
                assert_eq!(range.start, end, "{len} bytes by {most}: each begins where the one before ends");
                assert!(range.len() <= most, "{len} bytes by {most}: it fits a datagram");
                assert!(!range.is_empty() || len == 0, "{len} bytes by {most}: none is empty");
                (end, lens) = (range.end, lens + range.len());
            }
            assert_eq!((end, lens), (len as usize, len as usize), "{len} bytes by {most}");
        }
        assert_eq!(pieces_for(32 * most as u32 + 1, most), None, "one byte more is too much");
    }
    assert_eq!((pieces_for(0, 0), pieces_for(u32::MAX, usize::MAX)), (Some(1), Some(1)));
}

#[test]
fn a_message_in_pieces_has_all_their_numbers_and_is_complete_with_the_last_of_them() {
    let message = entry(100, 5);
    let (origin, tag) = (message.origin, message.tag);
    let has: std::vec::Vec<u32> = (0..12).filter(|seq| message.has(origin, tag, *seq)).collect();
    assert_eq!((has, message.last()), (std::vec![3, 4, 5, 6, 7], 7));
    assert!(!message.has(NodeId::new(9), tag, 3) && !message.has(origin, 9, 3));
    assert!(!Entry { came: 0b1_0111, ..message }.is_complete());
    assert!(Entry { came: 0b1_1111, ..message }.is_complete());
    let last = Entry { seq: u32::MAX - 1, ..message };
    assert_eq!((last.last(), last.has(origin, tag, u32::MAX)), (u32::MAX, true), "numbers end where they end");
    assert!(entry(7, 3).range(9).is_empty(), "there is no tenth piece");
}
