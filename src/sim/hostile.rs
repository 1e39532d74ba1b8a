//! A peer that lies: it knows the cluster's name and whatever it overhears, and speaks as whom it likes.

mod attacks;
mod crime;
mod maps;
mod puppets;

use std::vec::Vec;

use super::machine::{HostAddress, TOPIC};
use super::network::SimRng;
use super::world::{Sim, Tamper};
use crate::member::{Certificate, Life, Liveness, MAX_JUMP, Member, NodeId, Record};
use crate::node::Node;
use crate::storage::Storage;
use crate::wire::{
    self, Content, Frame, Head, Lack, Origin, Part, Passing, Piece, Position, Pull, Reader, Roots, Seal, Writer, kind,
    write_frame, write_part, write_piece,
};

pub use attacks::{Attack, Stance, UnknownName};

/// Nobody is at the addresses from this number on, so that whatever is sent there answers to a lie.
pub(super) const GHOSTS: u32 = 50_000;
/// An address where nobody is and of which nobody speaks: what goes there answers to what was said to come from there.
pub(super) const NOBODY: u32 = 65_000;
/// The nonce of every life that is made up.
const FORGED: u32 = 7;

/// Whether a member is held to be what only a liar can have said. Whoever has never heard of a member believes what it
/// hears first.
pub(super) fn is_forged<A: HostAddress>(member: &Member<A>) -> bool {
    member.life().nonce() == FORGED || member.addr() == A::of_host(GHOSTS)
}

/// A member that there is not.
fn invented<A: HostAddress>(id: u64) -> Record<A> {
    Record {
        id: NodeId::new(id),
        life: Life { generation: 0, nonce: id as u32 },
        incarnation: 0,
        liveness: Liveness::Alive,
        addr: A::of_host(GHOSTS + (id % 10_000) as u32),
        patience: 0,
        topics: 0,
    }
}

/// Writes datagrams that a node takes for a member's: the head and the check value are right, the news is a lie.
///
/// Inject what it gives with [`Sim::inject`].
#[derive(Clone, Copy, Debug)]
pub struct Forger {
    seal: Seal,
    head: Head,
}

impl Forger {
    /// Speaks to `victim` as the node `mask`; `None` if either is not started.
    pub fn new<A: HostAddress, S: Storage>(victim: &Node<A, S>, mask: &Node<A, S>) -> Option<Self> {
        let addressee = victim.own_record()?.tag();
        let mask = mask.own_record()?;
        let (sender, tag, incarnation) = (mask.id, mask.tag(), mask.incarnation);
        let head = Head { sender, tag, incarnation, open: false, full: false, newcomer: false };
        Some(Forger { seal: Seal { cluster: victim.config().cluster, addressee }, head })
    }

    /// A member is dead, it says, which may well live.
    pub fn accusation<A: HostAddress, S: Storage>(&self, accused: &Node<A, S>) -> Vec<u8> {
        self.about(accused, |record| record.with(Liveness::Down))
    }

    /// A member is dead, it says, and names two others who bear witness.
    pub fn verdict<A: HostAddress, S: Storage>(&self, accused: &Node<A, S>, jurors: [NodeId; 2]) -> Vec<u8> {
        let Some(accused) = accused.own_record() else { return Vec::new() };
        let certificate = Certificate { jurors, question: FORGED };
        self.write(|writer| {
            let frame = writer.begin(kind::NEWS)?;
            writer.told(&accused.with(Liveness::Down), 0, Some(&certificate))?;
            writer.end(frame)
        })
    }

    /// A member that there is not, which all others are to be told of by whoever gets this.
    pub fn parcel<A: HostAddress>(&self, number: u32, id: u64) -> Vec<u8> {
        self.write(|writer| {
            let frame = writer.begin(kind::HAND)?;
            to_all(writer, wire::numbered(number, wire::RECORDS))?;
            writer.record(&invented::<A>(id))?;
            writer.end(frame)
        })
    }

    /// A member has died in a life that it has not begun, it says.
    pub fn obituary<A: HostAddress, S: Storage>(&self, member: &Node<A, S>) -> Vec<u8> {
        self.about(member, |record| Record { life: next(record.life), ..record.with(Liveness::Down) })
    }

    /// A member has died, it says, in a life whose generation is this much greater than that of its own.
    pub fn late_obituary<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, by: u32) -> Vec<u8> {
        self.about(member, |record| {
            let generation = record.life.generation.saturating_add(by);
            Record { life: Life { generation, nonce: FORGED }, ..record.with(Liveness::Down) }
        })
    }

    /// A member says this of itself, it says: what is true.
    pub fn hearsay<A: HostAddress, S: Storage>(&self, member: &Node<A, S>) -> Vec<u8> {
        self.about(member, |record| record)
    }

    /// A member may sleep for 2^patience seconds, it says, and has said so this much later than what it said last.
    pub fn lullaby<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, patience: u8, later: u32) -> Vec<u8> {
        self.about(member, |record| Record {
            patience,
            incarnation: record.incarnation.saturating_add(later),
            ..record
        })
    }

    /// A member has left, it says, which is still there.
    pub fn farewell<A: HostAddress, S: Storage>(&self, member: &Node<A, S>) -> Vec<u8> {
        self.about(member, |record| {
            let incarnation = record.incarnation.saturating_add(1);
            Record { incarnation, ..record.with(Liveness::Left) }
        })
    }

    /// The same under the incarnation at which the member was alive, as no owner says it.
    pub fn idle_farewell<A: HostAddress, S: Storage>(&self, member: &Node<A, S>) -> Vec<u8> {
        self.about(member, |record| record.with(Liveness::Left))
    }

    /// A member is asked whether it has left, under the incarnation at which it was alive or the next.
    pub fn doubt<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, later: u32) -> Vec<u8> {
        let Some(record) = member.own_record().map(|record| record.with(Liveness::Left)) else { return Vec::new() };
        let record = Record { incarnation: record.incarnation.saturating_add(later), ..record };
        self.write(|writer| writer.frame(kind::CLAIM, |body| body.record(&record)))
    }

    /// A member has moved to the address of this number, it says.
    pub fn removal<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, place: u32) -> Vec<u8> {
        self.about(member, |record| Record {
            incarnation: record.incarnation.saturating_add(1),
            addr: A::of_host(place),
            ..record
        })
    }

    /// A member has begun anew, it says, at the address of this number or where it is.
    pub fn rebirth<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, place: Option<u32>) -> Vec<u8> {
        self.about(member, |record| {
            let addr = place.map_or(record.addr, A::of_host);
            Record { life: next(record.life), incarnation: 0, addr, ..record }
        })
    }

    /// A member's incarnation is this much greater than it is, it says.
    pub fn leap<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, by: u32) -> Vec<u8> {
        self.about(member, |record| Record { incarnation: record.incarnation.saturating_add(by), ..record })
    }

    /// It asks for a probe of that member, under so many numbers from this one on in one datagram, and says that it waits
    /// for as long as can be said.
    pub fn ask(&self, question: u32, target: NodeId, times: u32) -> Vec<u8> {
        self.write(|writer| {
            (0..times).try_for_each(|at| {
                let question = question.wrapping_add(at);
                writer.frame(kind::ASK, |body| body.u32(question).and(body.id(target)).and(body.time(u64::MAX)))
            })
        })
    }

    /// Members that there are not, at addresses where nobody is.
    pub fn invention<A: HostAddress>(&self, ids: impl Iterator<Item = u64>) -> Vec<u8> {
        self.news(&ids.map(invented).collect::<Vec<Record<A>>>())
    }

    /// Members that there are not, all at the address of this number.
    pub fn crowd<A: HostAddress>(&self, ids: impl Iterator<Item = u64>, place: u32) -> Vec<u8> {
        self.news(&ids.map(|id| Record { addr: A::of_host(place), ..invented(id) }).collect::<Vec<Record<A>>>())
    }

    /// A member has broadcast this, it says, under that number, and it is to be passed on to all.
    pub fn broadcast<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, seq: u32, payload: &[u8]) -> Vec<u8> {
        let Some(record) = member.own_record() else { return Vec::new() };
        self.cast(Origin { id: record.id, tag: record.tag() }, seq, payload)
    }

    /// The same of a member that there is not.
    pub fn broadcast_of_nobody(&self, id: u64, seq: u32, payload: &[u8]) -> Vec<u8> {
        self.cast(Origin { id: NodeId::new(id), tag: FORGED }, seq, payload)
    }

    fn cast(&self, origin: Origin, seq: u32, payload: &[u8]) -> Vec<u8> {
        let part = Part { form: 0, topic: TOPIC.get(), piece: 0, pieces: 1, len: payload.len() as u32, bytes: payload };
        self.write(|writer| {
            write_frame(kind::HAND, writer, |body| {
                to_all(body, wire::numbered((seq ^ FORGED) << 2, wire::PIECE))?;
                write_piece(&Piece { origin, seq, part }, body)
            })
        })
    }

    /// It has come so far with a member's broadcasts, it says.
    pub fn progress<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, seen: u32) -> Vec<u8> {
        let Some(record) = member.own_record() else { return Vec::new() };
        self.write(|writer| {
            write_frame(kind::HAVE, writer, |body| {
                body.u64(0)?;
                body.u64(u64::MAX)?;
                body.u8(0)?;
                body.position(Origin { id: record.id, tag: record.tag() }, Position { seen, versions: [0; 2] })
            })
        })
    }

    /// It lacks 64 of a member's broadcasts, it says, from the first on; so many times in one datagram.
    pub fn pulls<A: HostAddress, S: Storage>(&self, member: &Node<A, S>, times: usize) -> Vec<u8> {
        let Some(record) = member.own_record() else { return Vec::new() };
        let origin = Origin { id: record.id, tag: record.tag() };
        let pull = Pull { number: FORGED, origin, first: 1, wanted: u64::MAX };
        self.write(|writer| (0..times).try_for_each(|_| writer.frame(kind::PULL, |body| pull.write(body))))
    }

    /// A ping, with roots of its own.
    pub fn ping(&self) -> Vec<u8> {
        let roots = Roots { membership: FORGED, positions: 1 };
        self.write(|writer| writer.frame(kind::PING, |body| body.u32(FORGED).and(body.roots(roots))))
    }

    fn about<A: HostAddress, S: Storage>(
        &self,
        member: &Node<A, S>,
        lie: impl FnOnce(Record<A>) -> Record<A>,
    ) -> Vec<u8> {
        member.own_record().map_or(Vec::new(), |record| self.news(&[lie(*record)]))
    }

    fn news<A: HostAddress>(&self, records: &[Record<A>]) -> Vec<u8> {
        self.write(|writer| {
            let frame = writer.begin(kind::NEWS)?;
            // What does not fit is left out.
            records.iter().try_for_each(|record| writer.record(record));
            writer.end(frame)
        })
    }

    fn write(&self, frames: impl FnOnce(&mut Writer<'_>) -> Option<()>) -> Vec<u8> {
        let mut buf = std::vec![0; 1_200];
        let written = Writer::new(&mut buf, self.seal, self.head).and_then(|mut writer| {
            frames(&mut writer)?;
            writer.finish(self.seal)
        });
        buf.truncate(written.unwrap_or(0));
        buf
    }
}

fn next(life: Life) -> Life {
    Life { generation: life.generation.saturating_add(1), nonce: FORGED }
}

/// A peer that answers everything wrongly: give it to [`Sim::set_tamper`]. It keeps to the form, so that it is read, and
/// to the numbers of the questions most of the time, so that it is taken for an answer. Of what it says in a second only
/// the first 200 datagrams are more than empty: a wrong answer can call for another question, as often as it is given.
pub fn liar<A: HostAddress, S: Storage>(seed: u64) -> Tamper<Node<A, S>> {
    let mut rng = SimRng::new(seed);
    let mut said = (0, 0);
    std::boxed::Box::new(move |sim: &Sim<Node<A, S>>, from, to, bytes: &mut Vec<u8>| {
        let second = sim.now().as_micros() / 1_000_000;
        said = if said.0 == second { (second, said.1 + 1) } else { (second, 1) };
        if said.1 > 200 {
            return bytes.clear();
        }
        let forger = sim.machine(to).zip(sim.machine(from)).and_then(|(victim, mask)| Forger::new(victim, mask));
        if let Some(lie) = forger.and_then(|forger| forger.twist::<A>(bytes, &mut rng)) {
            *bytes = lie;
        }
    })
}

impl Forger {
    /// The same frames with something else in them; `None` if it is not for this victim.
    fn twist<A: HostAddress>(&self, datagram: &[u8], rng: &mut SimRng) -> Option<Vec<u8>> {
        let (head, mut frames) = wire::open(datagram, self.seal).ok()?;
        let forger = Forger { head, ..*self };
        Some(forger.write(|writer| {
            while let Ok((kind, body)) = frames.frame() {
                match wire::decode(kind, body) {
                    Ok(frame) => twist_frame::<A>(frame, writer, rng)?,
                    Err(_) => return None,
                }
            }
            Some(())
        }))
    }
}

fn twist_frame<A: HostAddress>(frame: Frame<'_>, writer: &mut Writer<'_>, rng: &mut SimRng) -> Option<()> {
    let any = rng.draw();
    let roots = Roots { membership: any as u32, positions: (any >> 32) as u16 };
    let numbered = |number: u32, rng: &mut SimRng| if rng.chance(0.7) { number } else { rng.draw() as u32 };
    match frame {
        Frame::Ping { number, .. } => writer.frame(kind::PING, |body| {
            body.u32(number)?;
            body.roots(roots)
        }),
        Frame::Ack { number, .. } => {
            let number = numbered(number, rng);
            writer.frame(kind::ACK, |body| {
                body.u32(number)?;
                body.roots(roots)
            })
        }
        Frame::Ask { question, target, .. } => writer.frame(kind::ASK, |body| {
            body.u32(question)?;
            body.id(target)?;
            body.time(any >> 30)
        }),
        Frame::Verdict { question, target, word } => writer.frame(kind::VERDICT, |body| {
            body.u32(question)?;
            body.id(target)?;
            body.u8(u8::from(word != wire::Word::Heard))
        }),
        Frame::News(records) => twist_list::<A>(kind::NEWS, |_| Some(()), records, writer, rng),
        Frame::List { low, high, mut shorts, .. } | Frame::Sums { low, high, sums: mut shorts, .. } => {
            let list = rng.chance(0.5);
            let frame = writer.begin(if list { kind::LIST } else { kind::SUMS })?;
            if !list {
                writer.u8((any >> 32) as u8 & 1)?;
            }
            writer.u64(low).and(writer.u64(high)).and(writer.u32(any as u32))?;
            while let Some(short) = shorts.u32() {
                writer.u32(short ^ rng.below(2) as u32)?;
            }
            writer.end(frame)
        }
        Frame::Parts(parts) => {
            let log = rng.below(8) as u8;
            wire::Parts { meant: any as u32, log, ..parts }.write(writer)
        }
        Frame::Diff { low, high, records, .. } => {
            let head = |body: &mut Writer<'_>| body.u64(low).and(body.u64(high)).and(body.bits(any));
            twist_list::<A>(kind::DIFF, head, records, writer, rng)
        }
        Frame::Hand { number, low, high, content } => {
            let range = |body: &mut Writer<'_>| body.u32(number).and(body.u32(low)).and(body.u32(high));
            match content {
                Content::Records(records) => twist_list::<A>(kind::HAND, range, records, writer, rng),
                Content::Piece(piece) => {
                    let piece = twist_piece(&piece, rng);
                    write_frame(kind::HAND, writer, |body| range(body).and(write_piece(&piece, body)))
                }
                Content::Chunk(chunk) => write_frame(kind::HAND, writer, |body| {
                    range(body)?;
                    maps::twist_chunk(&chunk, body, rng)
                }),
            }
        }
        Frame::HandAck { number: asked, .. } => {
            let passing = [Passing::No, Passing::Yes, Passing::Gap][rng.below(3) as usize];
            let number = if rng.chance(0.7) { asked } else { rng.draw() as u32 };
            writer.frame(kind::HAND_ACK, |body| body.hand_ack(number, passing, any as u32))
        }
        Frame::Welcome { number, mut record, .. } => {
            // One of the five answers that there are.
            let (code, record) = (rng.below(5) as u8, record.record::<A>()?);
            writer.frame(kind::WELCOME, |body| {
                body.u32(number)?;
                body.u8(code)?;
                body.u64(any)?;
                body.record(&record)
            })
        }
        Frame::LeaveAck { .. } => writer.frame(kind::LEAVE_ACK, |body| body.u32(any as u32)),
        Frame::Introduce { .. } => writer.frame(kind::INTRODUCE, |body| body.u64(any)),
        Frame::Claim(records) => twist_list::<A>(kind::CLAIM, |_| Some(()), records, writer, rng),
        // Of its own coming and going it tells the truth: it wants to stay.
        Frame::Join { .. } | Frame::Leave { .. } => Some(()),
        message => twist_message(message, writer, rng),
    }
}

/// The number of what is handed out, and that it is to be passed on to all.
fn to_all(writer: &mut Writer<'_>, number: u32) -> Option<()> {
    writer.u32(number).and(writer.u32(0)).and(writer.u32(u32::MAX))
}

fn twist_piece<'d>(piece: &Piece<'d>, rng: &mut SimRng) -> Piece<'d> {
    let seq = if rng.chance(0.1) { u32::MAX } else { piece.seq.wrapping_add(rng.below(70) as u32).max(33) };
    let form = piece.part.form ^ u8::from(rng.chance(0.1));
    Piece { seq, part: Part { form, ..piece.part }, ..*piece }
}

/// Other people's messages with other numbers, and acknowledgements of what was thrown away.
fn twist_message(frame: Frame<'_>, writer: &mut Writer<'_>, rng: &mut SimRng) -> Option<()> {
    let any = rng.draw();
    let number = |number: u32, rng: &mut SimRng| if rng.chance(0.7) { number } else { rng.draw() as u32 };
    match frame {
        Frame::Give(piece) => {
            let piece = twist_piece(&piece, rng);
            write_frame(kind::GIVE, writer, |body| write_piece(&piece, body))
        }
        Frame::Pull(pull) => writer.frame(kind::PULL, |body| Pull { wanted: any, ..pull }.write(body)),
        Frame::Lack(lack) => {
            let pull = Pull { wanted: any, ..lack.pull };
            let lack = Lack { pull, oldest: rng.draw() as u32, newest: rng.draw() as u32 };
            writer.frame(kind::LACK, |body| lack.write(body))
        }
        Frame::Have { low, high, answer, mut positions } => write_frame(kind::HAVE, writer, |body| {
            body.u64(low).and(body.u64(high)).and(body.u8(u8::from(answer)))?;
            while let Some((origin, Position { seen, versions })) = positions.position() {
                let seen = if rng.chance(0.2) { u32::MAX } else { seen.wrapping_add(rng.below(200) as u32) };
                let versions = versions.map(|version| match rng.below(8) {
                    0 => u32::MAX,
                    1 => version.saturating_add(1 << 16),
                    more => version.saturating_add(more as u32 / 4),
                });
                body.position(origin, Position { seen, versions })?;
            }
            Some(())
        }),
        Frame::Direct { number: named, part } => {
            let number = number(named, rng);
            write_frame(kind::DIRECT, writer, |body| body.u32(number).and(write_part(&part, body)))
        }
        Frame::DirectAck { number: named, piece, .. } => {
            let (number, taken) = (number(named, rng), u8::from(rng.chance(0.5)));
            writer.frame(kind::DIRECT_ACK, |body| body.u32(number).and(body.u8(piece)).and(body.u8(taken)))
        }
        map => maps::twist(map, writer, rng),
    }
}

/// The same records, each with another lie.
fn twist_list<A: HostAddress>(
    kind: u8,
    head: impl FnOnce(&mut Writer<'_>) -> Option<()>,
    mut records: Reader<'_>,
    writer: &mut Writer<'_>,
    rng: &mut SimRng,
) -> Option<()> {
    let frame = writer.begin(kind)?;
    head(writer)?;
    while let Some(record) = records.record::<A>() {
        let incarnation = record.incarnation;
        let lie = match rng.below(6) {
            0 => record.with(Liveness::Down),
            1 => Record { incarnation: u32::MAX, ..record },
            2 => Record { incarnation: incarnation.saturating_add(2 * MAX_JUMP), ..record },
            3 => Record { incarnation: incarnation.saturating_add(1), addr: A::of_host(GHOSTS), ..record },
            4 => Record { life: next(record.life), addr: A::of_host(GHOSTS), ..record },
            _ => Record { life: Life { generation: u32::MAX, ..record.life }, ..record },
        };
        // A longer record need not fit any more.
        if writer.record(&lie).is_none() {
            break;
        }
    }
    writer.end(frame)
}
