//! What is said of a member, in bytes and in words. The merge rule is tested beside itself, in `src/member.rs`.

use core::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use crate::member::{Address, Life, Liveness, MAX_JUMP, Member, NodeId, Record, Status};
use crate::unit::forge;
use crate::unit::property::check;
use crate::wire::MAX_ADDR;

fn record() -> Record<u16> {
    let life = Life { generation: 3, nonce: 0x0a0b };
    Record { id: NodeId::new(1), life, incarnation: 4, liveness: Liveness::Alive, addr: 9, patience: 0, topics: 0 }
}

#[test]
fn an_id_is_shown_in_16_digits_and_read_back() {
    check(200, any::<u64>(), |number| {
        let id = NodeId::new(number);
        let text = id.to_string();
        assert_eq!((text.len(), id.get()), (16, number));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id), "capitals too");
        assert_eq!(std::format!("{id:?}"), std::format!("NodeId({text})"));
    });
    assert_eq!("2a".parse(), Ok(NodeId::new(42)), "leading zeros may be left out");
}

#[test]
fn what_is_not_1_to_16_digits_is_no_id() {
    for text in ["", "00000000000000000", "+1", "-1", "0x1", " 1", "1 ", "g", "é", "1_0"] {
        let error = text.parse::<NodeId>().expect_err(text);
        assert_eq!(error.to_string(), "a node id is 1 to 16 hexadecimal digits");
    }
}

#[test]
fn names_are_hashed_as_an_independent_writer_does() {
    for name in ["", "a", "db-7", "eight by", "rather a long name of a node"] {
        assert_eq!(NodeId::from_name(name).get(), forge::id(name), "{name:?}");
    }
}

#[test]
fn a_life_is_stood_for_by_24_bits_and_never_by_those_that_mean_anyone() {
    check(300, any::<(u64, u32, u32)>(), |(id, generation, nonce)| {
        let life = Life { generation, nonce };
        let tag = life.tag(NodeId::new(id));
        assert_eq!(tag, forge::tag(id, generation, nonce));
        assert!(tag > 0 && tag < 1 << 24);
        assert_eq!((life.generation(), life.nonce()), (generation, nonce));
        assert_eq!(Record { id: NodeId::new(id), life, ..record() }.tag(), tag);
    });
    // The 24 bits of this one are all zero.
    let none = NodeId::new(0xa1f4_ebcc_a9a8_7717);
    assert_eq!(Life { generation: 0, nonce: 0 }.tag(none), 1);
}

#[test]
fn a_member_says_what_its_record_says() {
    let record = record();
    let member = |liveness, suspect| Member { record: record.with(liveness), suspect };
    let statuses = [
        (Liveness::Alive, false, Status::Alive, "alive"),
        (Liveness::Alive, true, Status::Suspect, "suspect"),
        (Liveness::Down, true, Status::Down, "down"),
        (Liveness::Left, true, Status::Left, "left"),
    ];
    for (liveness, suspect, status, word) in statuses {
        let member = member(liveness, suspect);
        assert_eq!((member.status(), status.to_string().as_str()), (status, word));
        assert_eq!(status.is_live(), liveness == Liveness::Alive, "who is suspected still counts as alive");
        assert_eq!((member.id(), member.addr()), (record.id, 9));
        assert_eq!((member.life(), member.incarnation()), (record.life, 4));
    }
    let said = std::format!("{:?}", member(Liveness::Alive, true));
    let expected = "Member { id: NodeId(0000000000000001), addr: 9, life: Life { generation: 3, nonce: 2571 }, \
        incarnation: 4, status: Suspect }";
    assert_eq!(said, expected, "in the terms of what can be asked of it");
    assert_eq!(std::format!("{:>7}", Status::Down), "   down", "padded, for tables");
    assert_eq!(record.life.to_string(), "3-00000a0b");
}

#[test]
fn an_account_of_a_later_life_may_begin_with_any_counter_that_does_not_leap() {
    let held = Record { incarnation: 3 * MAX_JUMP, ..record() };
    let next = Life { generation: held.life.generation + 1, nonce: 1 };
    assert!(!Record { life: next, incarnation: MAX_JUMP, ..held }.jumps(Some(&held)));
    assert!(Record { life: next, incarnation: MAX_JUMP + 1, ..held }.jumps(Some(&held)), "it counts from 0 again");
    let other = Life { nonce: held.life.nonce + 1, ..held.life };
    assert!(Record { life: other, ..held }.jumps(Some(&held)), "and so in a life of the same generation");
    assert!(Record { life: other, incarnation: 0, ..held }.jumps(None) == (held.life.generation > MAX_JUMP));
    assert!(!Record { incarnation: 0, ..held }.jumps(Some(&held)), "going back is no leap");
    let first = Life { generation: MAX_JUMP, nonce: 0 };
    assert!(!Record { life: first, incarnation: MAX_JUMP, ..held }.jumps(None), "of somebody unknown");
    assert!(Record { life: Life { generation: MAX_JUMP + 1, nonce: 0 }, incarnation: 0, ..held }.jumps(None));
    assert!(Record { life: first, incarnation: MAX_JUMP + 1, ..held }.jumps(None));
}

/// The longest encoding that there is of a type of address, and what it says of itself.
fn longest<A: Address>(greatest: A) -> (usize, usize, String) {
    let mut scratch = [0; 64];
    let len = postcard::to_slice(&greatest, &mut scratch).expect("it fits").len();
    (len, A::MAX_LEN, String::from(core::any::type_name::<A>()))
}

#[test]
fn every_address_takes_at_most_the_bytes_that_it_says_and_its_greatest_takes_them_all() {
    let v6 = SocketAddrV6::new(Ipv6Addr::from_bits(u128::MAX), u16::MAX, 0, 0);
    let v4 = SocketAddrV4::new([255; 4].into(), u16::MAX);
    let all: Vec<(usize, usize, String)> = std::vec![
        longest(SocketAddr::from(v6)),
        longest(v4),
        longest(v6),
        longest(u8::MAX),
        longest(u16::MAX),
        longest(u32::MAX),
        longest(u64::MAX),
        longest([255u8; 2]),
        longest([255u8; 4]),
        longest([255u8; 6]),
        longest([255u8; 8]),
        longest([255u8; 16]),
    ];
    for (len, said, name) in all {
        assert_eq!(len, said, "{name}");
    }
}

#[test]
fn an_address_written_by_hand_is_as_postcard_writes_it() {
    fn same<A: Address>(addr: A) {
        let mut by_hand = [0; MAX_ADDR];
        let len = addr.encode_into(&mut by_hand).expect("there is room");
        let mut by_postcard = [0; MAX_ADDR];
        let written = postcard::to_slice(&addr, &mut by_postcard).expect("there is room");
        assert_eq!(&by_hand[..len], written, "{addr:?}");
        assert!(len <= A::MAX_LEN);
        assert_eq!(addr.encode_into(&mut by_hand[..len - 1]), None, "without room for it");
    }
    check(200, (any::<u64>(), any::<[u8; 16]>()), |(value, bytes)| {
        // Short ones too.
        let value = value >> (bytes[0] % 64);
        same(value);
        same(value as u32);
        same(value as u16);
        same(value as u8);
        same(bytes);
        let [a, b, c, d, ..] = bytes;
        same([a, b]);
        same([a, b, c, d]);
        let v4 = SocketAddrV4::new([a, b, c, d].into(), value as u16);
        let v6 = SocketAddrV6::new(bytes.into(), value as u16, 0, 0);
        same(v4);
        same(v6);
        same(SocketAddr::V4(v4));
        same(SocketAddr::V6(v6));
    });
}
