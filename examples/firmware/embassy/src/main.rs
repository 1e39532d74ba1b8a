//! Three nodes in tasks of embassy, each with a network stack of its own, on one microcontroller. They find each other;
//! then the third is unplugged, and the other two must notice, and go on hearing each other.
//!
//! What a program of your own needs of it is `gossip.rs`, and the task `member` below.

#![no_std]
#![no_main]

mod gossip;
mod hub;
mod systick;

use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m_semihosting::{debug, hprintln};
use embassy_executor::Spawner;
use embassy_net::{Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_net_driver_channel::{Device, State};
use embassy_time::{Duration, Timer};
use gossip::{CONFIG, Member, gossip, now};
use hub::{MTU, Port, device, hub};
use panic_semihosting as _;
use static_cell::StaticCell;
use tidings::rand_core::TryRng;
use tidings::{Event, NodeId};

const MEMBERS: usize = 3;
const PORT: u16 = 7946;
/// What the emulator's board runs at.
const HERTZ: u32 = 25_000_000;
/// When the third is unplugged, and when all is judged: long after its address is forgotten by the others' ARP.
const UNPLUGGED: Duration = Duration::from_secs(20);
const JUDGED: Duration = Duration::from_secs(120);

/// Who has been seen up by whom, a bit each: one that is suspect for a moment is up again. And how many reports that a member
/// is down there were.
static UP: AtomicU32 = AtomicU32::new(0);
static DOWN: AtomicU32 = AtomicU32::new(0);

#[embassy_executor::task(pool_size = MEMBERS)]
async fn network(mut runner: Runner<'static, Device<'static, MTU>>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn cables(ports: [Port; MEMBERS]) -> ! {
    hub(ports, UNPLUGGED).await
}

#[embassy_executor::task(pool_size = MEMBERS)]
async fn member(number: u8, node: &'static mut Member, stack: Stack<'static>) -> ! {
    let id = NodeId::new(number.into());
    node.join(now(), SocketAddrV4::new(addr(1), PORT)).expect("a real address and port");
    let addr = SocketAddrV4::new(addr(number), PORT);
    node.start(now(), id, addr, &mut Entropy(number.into())).expect("it has an address and a port");
    gossip(node, stack, PORT, |event| {
        hprintln!("{}: {} at {}: {}", now(), id, number, event);
        match event {
            Event::MemberUp(seen) => {
                let bit = MEMBERS as u32 * (u32::from(number) - 1) + (seen.id().get() as u32 - 1);
                UP.fetch_or(1 << bit, Ordering::Relaxed)
            }
            Event::MemberDown(lost) if lost.id() == NodeId::new(MEMBERS as u64) => DOWN.fetch_add(1, Ordering::Relaxed),
            Event::MemberDown(_) => panic!("it is there all the time"),
            Event::Isolated if number < MEMBERS as u8 => panic!("another is there all the time"),
            _ => 0,
        };
    })
    .await
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static NODES: [StaticCell<Member>; MEMBERS] = [const { StaticCell::new() }; MEMBERS];
    static DEVICES: [StaticCell<State<MTU, 8, 8>>; MEMBERS] = [const { StaticCell::new() }; MEMBERS];
    static STACKS: [StaticCell<StackResources<1>>; MEMBERS] = [const { StaticCell::new() }; MEMBERS];

    let processor = cortex_m::Peripherals::take().expect("nobody else has taken it");
    systick::start(processor.SYST, HERTZ);
    let ports = core::array::from_fn(|index| {
        let number = index as u8 + 1;
        let (device, port) = device(&DEVICES[index], number);
        let address = Ipv4Cidr::new(addr(number), 24);
        let config = StaticConfigV4 { address, gateway: None, dns_servers: Default::default() };
        let resources = STACKS[index].init_with(StackResources::new);
        let (stack, runner) =
            embassy_net::new(device, embassy_net::Config::ipv4_static(config), resources, number.into());
        spawner.spawn(network(runner).expect("there is one for each member"));
        let node = NODES[index].init_with(|| const { Member::new(CONFIG) });
        spawner.spawn(member(number, node, stack).expect("there is one for each member"));
        port
    });
    spawner.spawn(cables(ports).expect("there is one"));

    Timer::after(JUDGED).await;
    let (up, down) = (UP.load(Ordering::Relaxed).count_ones(), DOWN.load(Ordering::Relaxed));
    assert_eq!((up, down), (6, 2), "each sees two others up, and two of them the third down");
    hprintln!("{}: all saw what there was, with nodes of {} bytes", now(), size_of::<Member>());
    debug::exit(debug::EXIT_SUCCESS);
}

fn addr(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

/// The same numbers each time, so that runs in an emulator can be compared. On a chip it is its generator that belongs
/// here: what others can guess, they can forge.
struct Entropy(u64);

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u32()? as u8;
        }
        Ok(())
    }
}
