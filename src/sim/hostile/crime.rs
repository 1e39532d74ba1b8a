//! An attack under way: who is struck, with what, and what comes of the answers.

use core::time::Duration;
use std::boxed::Box;
use std::cell::RefCell;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::attacks::{Attack, Stance};
use super::puppets::{LAIRS, MOST_LAIRS, Puppets};
use super::{FORGED, Forger, HostAddress, invented};
use crate::member::{Life, Liveness, MAX_JUMP, NodeId, Record};
use crate::node::Node;
use crate::sim::network::SimRng;
use crate::sim::world::{Sim, Watch};
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{self, Head, Roots, Seal, kind};

/// How often a liar looks into its mail.
const LOOK: Duration = Duration::from_millis(5);
/// How many datagrams an eavesdropper keeps.
const MOST_RECORDED: usize = 64;

/// What was sent to a liar's own addresses, and what an eavesdropper has recorded.
#[derive(Debug)]
struct Ear {
    /// Its owner does not listen any more.
    deaf: bool,
    /// Who sent it, to which of the addresses.
    mail: Vec<(usize, u32, Vec<u8>)>,
    /// What it records.
    kinds: &'static [u8],
    /// From whom to whom.
    recorded: Vec<(usize, usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct Listener(Rc<RefCell<Ear>>);

impl<A: HostAddress, S: Storage> Watch<Node<A, S>> for Listener {
    fn after_step(&mut self, _: &Sim<Node<A, S>>, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn on_transmit(&mut self, sim: &Sim<Node<A, S>>, host: usize, to: A, datagram: &[u8]) -> Result<(), String> {
        let mut ear = self.0.borrow_mut();
        if ear.deaf {
            return Ok(());
        }
        if let Some(place) = (LAIRS..LAIRS + MOST_LAIRS).find(|place| A::of_host(*place) == to) {
            ear.mail.push((host, place, datagram.to_vec()));
        }
        let to = sim.addresses.get(&to).map(|to| *to as usize);
        if let Some(to) = to.filter(|_| has_any(datagram, ear.kinds)) {
            let recorded = (host, to, datagram.to_vec());
            // The first half stays, the other has the latest.
            if ear.recorded.len() == MOST_RECORDED {
                ear.recorded.remove(MOST_RECORDED / 2);
            }
            ear.recorded.push(recorded);
        }
        Ok(())
    }
}

/// Whether there is a frame of any of these kinds. Whoever does not know the cluster's name can read it as well.
fn has_any(datagram: &[u8], kinds: &[u8]) -> bool {
    let varint = |at: &mut usize| {
        let mut value = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *datagram.get(*at)?;
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
    };
    let mut at = 18;
    let mut next = varint(&mut at);
    while next.is_some() {
        match datagram.get(at) {
            Some(kind) if kinds.contains(kind) => return true,
            Some(_) => at += 1,
            None => return false,
        }
        next = varint(&mut at);
        at += next.unwrap_or(0);
    }
    false
}

/// One who mounts an attack.
struct Liar<A> {
    host: usize,
    attack: Attack,
    stance: Stance,
    rng: SimRng,
    until: Instant,
    next: Instant,
    blows: u32,
    ear: Rc<RefCell<Ear>>,
    /// What each host last said of itself, also those that are gone.
    known: Vec<Option<Record<A>>>,
    puppets: Puppets<A>,
}

/// Whom a blow meets, and whose names it takes.
struct Blow<'a, A> {
    seal: Seal,
    victim: Record<A>,
    /// Under which names; all from one address.
    names: [Record<A>; 2],
    /// A member that something is said about; it may be gone.
    about: Record<A>,
    count: u32,
    rng: &'a mut SimRng,
    puppets: &'a mut Puppets<A>,
}

impl<A: HostAddress + 'static, S: Storage + 'static> Sim<Node<A, S>> {
    /// Has an attack mounted from now on for so long, or until everything is put right. Of a [`Stance::Member`] the host is
    /// the one that has gone bad, and nothing happens while its process does not run; others strike it, too.
    pub fn mount(&mut self, host: usize, attack: Attack, stance: Stance, how_long: Duration) {
        let kinds = if stance == Stance::Eavesdropper { attack.kinds() } else { &[] };
        let ear = Ear { deaf: false, mail: Vec::new(), kinds, recorded: Vec::new() };
        let ear = Rc::new(RefCell::new(ear));
        self.watch(Listener(ear.clone()));
        let mut liar = Liar {
            host,
            attack,
            stance,
            rng: SimRng::new(self.steps() ^ self.seed() << 8),
            until: self.now() + how_long,
            next: self.now(),
            blows: 0,
            ear,
            known: Vec::new(),
            puppets: Puppets::none(),
        };
        self.add_actor(Box::new(move |sim| liar.act(sim)));
    }
}

impl<A> Drop for Liar<A> {
    fn drop(&mut self) {
        self.ear.borrow_mut().deaf = true;
    }
}

impl<A: HostAddress + 'static> Liar<A> {
    fn act<S: Storage + 'static>(&mut self, sim: &mut Sim<Node<A, S>>) -> Option<Duration> {
        if sim.now() >= self.until {
            return None;
        }
        self.read_mail(sim);
        if sim.now() >= self.next {
            self.next = sim.now() + self.attack.gap();
            self.look_round(sim);
            match self.stance {
                Stance::Eavesdropper => self.repeat(sim),
                _ => self.strike(sim),
            }
        }
        Some(LOOK)
    }

    fn look_round<S: Storage>(&mut self, sim: &Sim<Node<A, S>>) {
        self.known.resize(sim.hosts(), None);
        for (host, known) in self.known.iter_mut().enumerate() {
            let record = sim.machine(host).and_then(|node| node.own_record());
            *known = record.copied().or(*known);
        }
    }

    /// Has those who were made up answer.
    fn read_mail<S: Storage + 'static>(&mut self, sim: &mut Sim<Node<A, S>>) {
        let mail = core::mem::take(&mut self.ear.borrow_mut().mail);
        for (host, place, datagram) in mail {
            let Some(node) = sim.machine(host) else { continue };
            let (Some(record), cluster) = (node.own_record().copied(), node.config().cluster) else { continue };
            for answer in self.puppets.answer(cluster, place, &record, &datagram) {
                sim.spoof(place, host, &answer);
            }
        }
    }

    /// Sends again what others have sent.
    fn repeat<S: Storage>(&mut self, sim: &mut Sim<Node<A, S>>) {
        for _ in 0..4 {
            let recorded = self.ear.borrow().recorded.len() as u64;
            let at = self.rng.below(recorded.max(1)) as usize;
            let Some((from, to, bytes)) = self.ear.borrow().recorded.get(at).cloned() else { return };
            let place = if self.rng.chance(0.5) { sim.place(from) } else { self.any_place(sim) };
            sim.spoof(place, to, &bytes);
        }
    }

    /// One of the liar's own addresses, or any host's.
    fn any_place<S: Storage>(&mut self, sim: &Sim<Node<A, S>>) -> u32 {
        if self.rng.chance(0.5) {
            LAIRS + self.rng.below(MOST_LAIRS.into()) as u32
        } else {
            sim.place(self.rng.below(sim.hosts() as u64) as usize)
        }
    }

    /// Strikes one of the others.
    fn strike<S: Storage + 'static>(&mut self, sim: &mut Sim<Node<A, S>>) {
        let member = self.stance == Stance::Member;
        if member && !sim.is_running(self.host) {
            return;
        }
        let victims: Vec<usize> = sim.running().filter(|host| !member || *host != self.host).collect();
        // Those who are blamed are always the same, or they would recover.
        let few = if self.attack == Attack::Blame { 3 } else { victims.len() };
        let Some(host) = victims.get(self.rng.below(few.max(1) as u64) as usize).copied() else { return };
        let Some(node) = sim.machine(host) else { return };
        let cluster = node.config().cluster;
        let others: Vec<Record<A>> = self.known.iter().flatten().copied().collect();
        let Some((victim, own)) = self.known[host].zip(self.known[self.host].or(self.known[host])) else { return };
        let others: Vec<Record<A>> = others.into_iter().filter(|record| record.id != victim.id).collect();
        if others.is_empty() {
            return;
        }
        let any = |rng: &mut SimRng| others[rng.below(others.len() as u64) as usize];
        let mut names = [any(&mut self.rng), any(&mut self.rng)];
        let place = self.any_place(sim);
        if member && self.rng.chance(0.5) {
            names[0] = own;
        }
        let about = any(&mut self.rng);
        self.blows += 1;
        let mut blow = Blow {
            seal: Seal { cluster, addressee: victim.tag() },
            victim,
            names,
            about,
            count: self.blows,
            rng: &mut self.rng,
            puppets: &mut self.puppets,
        };
        for (from, bytes) in blow.strike(self.attack) {
            match from {
                None if member => sim.inject(self.host, host, &bytes),
                from => sim.spoof(from.unwrap_or(place), host, &bytes),
            }
        }
    }
}

/// Where a datagram comes from, if not from where the liar speaks, and the datagram.
type Shot = (Option<u32>, Vec<u8>);

impl<A: HostAddress> Blow<'_, A> {
    fn strike(&mut self, attack: Attack) -> Vec<Shot> {
        let here = |bytes: Vec<u8>| std::vec![(None, bytes)];
        match attack {
            Attack::OneNumber => {
                let number = self.rng.below(3) as u32;
                let asks = self.names.map(|name| self.asks(&name, core::iter::once(number), self.about.id));
                asks.into_iter().map(|bytes| (None, bytes)).collect()
            }
            Attack::Twin => {
                let (id, life) = (self.victim.id, super::next(self.victim.life));
                let twin = self.puppets.make(Some(id), life, true).record;
                here(self.news(&[twin]))
            }
            Attack::Generation => {
                let generation = self.victim.life.generation.saturating_add(MAX_JUMP);
                let life = Life { generation, nonce: FORGED };
                here(self.news(&[Record { life, ..self.victim }]))
            }
            Attack::Nothing => here(self.want()),
            Attack::Patience => here(self.news(&[Record { patience: 15, ..self.about }])),
            Attack::Questions => {
                let first = self.rng.below(12) as u32;
                (first..first + 8).map(|number| (None, self.ask(number, self.about.id))).collect()
            }
            Attack::Sums => here(self.sums()),
            Attack::Unproved => self.ask_of_nobody(),
            Attack::Farewell => {
                // Under its own name, half the time.
                self.names[0] = if self.rng.chance(0.5) { self.about } else { self.names[0] };
                let incarnation = self.about.incarnation + self.rng.below(2) as u32;
                here(self.news(&[Record { incarnation, ..self.about.with(Liveness::Left) }]))
            }
            Attack::Accusation => here(self.news(&[self.about.with(Liveness::Down)])),
            Attack::Newcomers => {
                let puppet = self.puppets.newcomer(true);
                std::vec![(Some(puppet.place), puppet.join(self.seal.cluster, self.count, 0))]
            }
            Attack::Relays => (0..8).map(|_| (None, self.relay())).collect(),
            Attack::Blame => here(self.news(&[self.victim.with(Liveness::Down)])),
            Attack::Pings => here(self.ping()),
            Attack::OldJoin => self.join_again(),
        }
    }

    fn forger(&self, name: &Record<A>) -> Forger {
        let Record { id: sender, incarnation, .. } = *name;
        let head = Head { sender, tag: name.tag(), incarnation, open: false, full: false, newcomer: false };
        Forger { seal: self.seal, head }
    }

    fn news(&self, records: &[Record<A>]) -> Vec<u8> {
        self.forger(&self.names[0]).news(records)
    }

    fn ask(&self, number: u32, target: NodeId) -> Vec<u8> {
        self.asks(&self.names[0], core::iter::once(number), target)
    }

    /// Questions of these numbers about a member, to be answered as late as can be.
    fn asks(&self, name: &Record<A>, mut numbers: impl Iterator<Item = u32>, target: NodeId) -> Vec<u8> {
        self.forger(name).write(|writer| {
            numbers.try_for_each(|number| {
                writer.frame(kind::ASK, |body| {
                    body.u32(number)?;
                    body.id(target)?;
                    body.u32(u32::MAX)
                })
            })
        })
    }

    /// All of a list that begins behind everybody, or anywhere.
    fn want(&mut self) -> Vec<u8> {
        let low = if self.rng.chance(0.5) { u64::MAX - 1 } else { self.rng.draw() };
        self.forger(&self.names[0]).write(|writer| {
            writer.frame(kind::DIFF, |body| body.u64(low).and(body.u64(u64::MAX)).and(body.bits(u64::MAX)))
        })
    }

    fn sums(&mut self) -> Vec<u8> {
        let (salt, wrong) = (self.rng.draw() as u32, self.rng.draw());
        let of_positions = u8::from(self.rng.chance(0.5));
        self.forger(&self.names[0]).write(|writer| {
            writer.frame(kind::SUMS, |body| {
                body.u8(of_positions)?;
                body.u64(0)?;
                body.u64(u64::MAX)?;
                body.u32(salt)?;
                // Four parts of 2 bytes each.
                body.u64(wrong)
            })
        })
    }

    /// Now and then a member is made up; most of the time it is asked about, in one datagram.
    fn ask_of_nobody(&mut self) -> Vec<Shot> {
        let nobody = invented::<A>(3_000_000 + u64::from(self.count / 8));
        let asks = self.asks(&self.names[0], 0..8, nobody.id);
        std::vec![(None, self.news(&[nobody])), (None, asks)]
    }

    /// A parcel for a range: what everybody knows, or a member that was made up, and another now and then.
    fn relay(&mut self) -> Vec<u8> {
        let number = (self.rng.below(1 << 12) as u32) << 2;
        let record = if self.rng.chance(0.3) { invented(3_500_000 + u64::from(self.count / 16)) } else { self.about };
        let (low, high) = (self.rng.draw() as u32, self.rng.draw() as u32);
        self.forger(&self.names[0]).write(|writer| {
            let frame = writer.begin(kind::HAND)?;
            writer
                .u32(wire::numbered(number, wire::RECORDS))
                .and(writer.u32(low.min(high)))
                .and(writer.u32(low.max(high)))?;
            writer.record(&record)?;
            writer.end(frame)
        })
    }

    fn ping(&mut self) -> Vec<u8> {
        let (number, any) = (self.rng.below(8) as u32, self.rng.draw());
        let roots = Roots { membership: any as u32, positions: (any >> 32) as u16 };
        self.forger(&self.names[0])
            .write(|writer| writer.frame(kind::PING, |body| body.u32(number).and(body.roots(roots))))
    }

    /// One that was made up joins and never speaks again; later, with the same proof, others do.
    fn join_again(&mut self) -> Vec<Shot> {
        let again = self.puppets.last_join(self.victim.id).filter(|_| !self.count.is_multiple_of(8));
        let (place, bytes) = again.unwrap_or_else(|| {
            let puppet = self.puppets.newcomer(false);
            (puppet.place, puppet.join(self.seal.cluster, self.count, 0))
        });
        std::vec![(Some(place), bytes)]
    }
}
