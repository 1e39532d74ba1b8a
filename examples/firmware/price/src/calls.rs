//! Who calls whom, read off the instructions; and from that the deepest stack, and who can come to a function.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::{Failure, Image};

/// The calls of each function, by address.
#[derive(Debug)]
pub struct Calls {
    calls: BTreeMap<u32, BTreeSet<u32>>,
    /// Functions that call through a pointer: nobody can tell from the instruction where to.
    pub blind: BTreeSet<u32>,
}

impl Calls {
    pub fn of(image: &Image) -> Calls {
        let mut calls = Calls { calls: BTreeMap::new(), blind: BTreeSet::new() };
        let (start, code) = (image.code.0, &image.code.1);
        let half = |at: u32| {
            let at = (at - start) as usize;
            code.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        let mut at = start;
        while let Some(first) = half(at) {
            let is_code = image.regions.range(..=at).next_back().is_none_or(|(_, code)| *code);
            let wide = first >> 11 >= 0b11101;
            let second = half(at + 2).unwrap_or(0);
            if let Some((from, _)) = image.function_at(at).filter(|_| is_code) {
                if wide {
                    let to = branch(first, second).map(|offset| (at + 4).wrapping_add_signed(offset));
                    // A jump inside the function is none of our business.
                    if let Some((to, _)) = to.and_then(|to| image.function_at(to)).filter(|(to, _)| *to != from) {
                        calls.calls.entry(from).or_default().insert(to);
                    } else if to == Some(from) && is_call(second) {
                        calls.calls.entry(from).or_default().insert(from);
                    }
                } else if let Some((to, _)) =
                    short_jump(first).and_then(|offset| image.function_at((at + 4).wrapping_add_signed(offset)))
                    && to != from
                {
                    calls.calls.entry(from).or_default().insert(to);
                } else if first & 0xff87 == 0x4780 || first & 0xff87 == 0x4700 && first != RETURN {
                    calls.blind.insert(from);
                }
            }
            at += if wide && is_code { 4 } else { 2 };
        }
        calls
    }

    /// The deepest stack from this function on, and the way there. Fails where functions call each other in a ring.
    pub fn deepest(&self, image: &Image, from: u32) -> Result<(u32, Vec<u32>), Failure> {
        let mut known = BTreeMap::new();
        let depth = self.descend(image, from, &mut Vec::new(), &mut known)?;
        let (mut way, mut at) = (vec![from], from);
        while let Some((_, Some(next))) = known.get(&at) {
            way.push(*next);
            at = *next;
        }
        Ok((depth, way))
    }

    fn descend(
        &self,
        image: &Image,
        at: u32,
        above: &mut Vec<u32>,
        known: &mut BTreeMap<u32, (u32, Option<u32>)>,
    ) -> Result<u32, Failure> {
        let name = |at: &u32| image.functions.get(at).map_or("?", |function| &function.name);
        if let Some((depth, _)) = known.get(&at) {
            return Ok(*depth);
        }
        if let Some(ring) = above.iter().position(|other| *other == at) {
            let ring: Vec<&str> = above[ring..].iter().map(name).collect();
            return Err(format!("no bound for the stack, these call each other: {}", ring.join(" -> ")));
        }
        above.push(at);
        let mut below = (0, None);
        for next in self.calls.get(&at).into_iter().flatten() {
            let depth = self.descend(image, *next, above, known)?;
            if depth > below.0 || below.1.is_none() {
                below = (depth, Some(*next));
            }
        }
        above.pop();
        let own = image.functions.get(&at).and_then(|function| function.frame).unwrap_or(0);
        known.insert(at, (own + below.0, below.1));
        Ok(own + below.0)
    }

    /// Who calls this function.
    pub fn callers(&self, of: u32) -> impl Iterator<Item = u32> {
        self.calls.iter().filter(move |(_, calls)| calls.contains(&of)).map(|(from, _)| *from)
    }
}

/// How far a call (BL) or a long jump (B.W) goes, in bytes from 4 behind it; Armv7-M Architecture Reference Manual, A7.7.12
/// and A7.7.18. `None` if it is neither.
fn branch(first: u16, second: u16) -> Option<i32> {
    if first >> 11 != 0b11110 || second & 0x8000 == 0 {
        return None;
    }
    let conditional = second & 0x5000 == 0;
    if conditional {
        // Conditions from 0b1110 on are other instructions.
        if first >> 7 & 0b111 == 0b111 {
            return None;
        }
        let (sign, high) = (u32::from(first >> 10 & 1), u32::from(first & 0x3f));
        let (j1, j2) = (u32::from(second >> 13 & 1), u32::from(second >> 11 & 1));
        let bits = sign << 19 | j2 << 18 | j1 << 17 | high << 11 | u32::from(second & 0x7ff);
        return Some(((bits << 12) as i32 >> 12) * 2);
    }
    let sign = u32::from(first >> 10 & 1);
    let (i1, i2) = (u32::from(second >> 13 & 1) ^ sign ^ 1, u32::from(second >> 11 & 1) ^ sign ^ 1);
    let bits = sign << 23 | i1 << 22 | i2 << 21 | u32::from(first & 0x3ff) << 11 | u32::from(second & 0x7ff);
    Some(((bits << 8) as i32 >> 8) * 2)
}

fn is_call(second: u16) -> bool {
    second & 0xd000 == 0xd000
}

/// `BX LR`: back to who called.
const RETURN: u16 = 0x4770;

/// How far a short jump (B, A7.7.12) goes; `None` if it is none.
fn short_jump(first: u16) -> Option<i32> {
    (first >> 11 == 0b11100).then_some((i32::from(first) << 21 >> 21) * 2)
}
