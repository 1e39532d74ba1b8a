use tidings::*;
use std::collections::VecDeque;
struct R(u64);
impl rand_core::TryRng for R { type Error = core::convert::Infallible;
 fn try_next_u32(&mut self)->Result<u32,Self::Error>{ Ok(self.try_next_u64()? as u32)}
 fn try_next_u64(&mut self)->Result<u64,Self::Error>{ self.0=self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); Ok(self.0 ^ self.0>>29)}
 fn try_fill_bytes(&mut self, d:&mut [u8])->Result<(),Self::Error>{ for b in d {*b=self.try_next_u64()? as u8;} Ok(())}}
#[test]
fn smoke(){
  let n=5; let mut nodes: Vec<HeapNode<u16>> = (0..n).map(|_| HeapNode::new(Config::LAN, Limits::DEFAULT)).collect();
  for (i,node) in nodes.iter_mut().enumerate(){ if i>0 {node.join(Instant::ZERO,0).unwrap();} node.start(Instant::ZERO, NodeId::new(i as u64+1), i as u16, &mut R(i as u64+7)); }
  let mut q: VecDeque<(u64,u16,u16,Vec<u8>)> = VecDeque::new(); let mut buf=[0u8;1200]; let mut t=0u64;
  while t < 12_000_000 {
    for i in 0..nodes.len(){ if i==3 && t>3_000_000 {continue}
      while let Some(x)=nodes[i].poll_transmit(&mut buf){ if t<200_000 || (t>3_000_000 && x.payload.len()>31) { println!("{t} {i}->{} {}", x.to, x.payload.len()); } q.push_back((t+2000,i as u16,x.to,x.payload.to_vec())); }
      while let Some(e)=nodes[i].poll_event(){ println!("{t} node {i}: {e:?}"); }
    }
    let next = nodes.iter().enumerate().filter(|(i,_)| !(*i==3 && t>3_000_000)).map(|(_,n)| n.poll_timeout().as_micros()).min().unwrap();
    let qn = q.front().map_or(u64::MAX,|x|x.0);
    assert!(next.min(qn) >= t, "{next} {qn} {t}");
    t = next.min(qn);
    if qn<=t { let (_,f,to,mut d)=q.pop_front().unwrap(); if !(to==3&&t>3_000_000) {nodes[to as usize].handle_datagram(Instant::from_micros(t), f, &mut d);} }
    else { for (i,n) in nodes.iter_mut().enumerate(){ if !(i==3&&t>3_000_000){ n.handle_timeout(Instant::from_micros(t)); } } }
  }
  for n in &nodes { println!("{:?} {:?}", n.phase(), n.members().map(|m|(m.id(),m.status())).collect::<Vec<_>>()); println!("{:?}", n.stats()); }
}
