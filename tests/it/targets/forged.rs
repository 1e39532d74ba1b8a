//! Frames in a liar's name. Their numbers, questions and members are few, so that different senders come upon the same.

use tidings::Member;

use super::forge;
use super::pair::tag_of;
use super::script::Script;

/// A datagram for the life of this tag, from one of these members, with some frames about others of them.
pub fn datagram(cluster: &str, addressee: u32, members: &[Member<u16>], script: &mut Script<'_>) -> Vec<u8> {
    let pick = |choice: u8| members.get(usize::from(choice) % members.len().max(1));
    let (sender, count) = (script.byte(), 1 + script.byte() % 3);
    let Some(sender) = pick(sender) else { return Vec::new() };
    let mut bytes = sender.id().get().to_le_bytes().to_vec();
    bytes.extend(&tag_of(sender).to_le_bytes()[..3]);
    bytes.extend(forge::varint(sender.incarnation()));
    for _ in 0..count {
        let (kind, about) = (script.byte(), script.byte());
        bytes.extend(pick(about).map_or(Vec::new(), |about| frame(kind, about.id().get(), script)));
    }
    forge::sealed(forge::cluster(cluster), forge::VERSION, addressee, &bytes)
}

/// A frame of one of these kinds.
fn frame(kind: u8, about: u64, script: &mut Script<'_>) -> Vec<u8> {
    const KINDS: [u8; 12] = [1, 2, 3, 3, 3, 4, 10, 11, 15, 7, 7, 16];
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let number = u32::from(script.byte() & 3).to_le_bytes();
    let about = about.to_le_bytes();
    let body = match kind {
        1 => [&number[..], script.bytes(6), &[0; 6]].concat()[..10].to_vec(),
        // A question, and how long it is waited for.
        3 => [&number[..], &about, &(1u32 << (script.byte() & 31)).to_le_bytes()].concat(),
        4 => [&number[..], &about, &[script.byte() % 3]].concat(),
        15 => [&[number[0] << 2 | 1, 0, 0, 0][..], &[script.byte() & 1]].concat(),
        // What of a list is wanted, from anywhere in the id space on, where there may be nothing.
        7 => {
            let (low, bits) = (script.number(1) << 56, script.number(2) * 0x1_0001_0001);
            [&low.to_le_bytes()[..], &[0xff; 8], &[8], &bits.to_le_bytes()].concat()
        }
        16 => [&[number[0] & 1][..], &[0; 8], &[0xff; 8], &number, script.bytes(4), &number].concat(),
        _ => number.to_vec(),
    };
    forge::frame(kind, &body)
}
