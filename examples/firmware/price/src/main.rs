mod calls; mod image;
fn main(){ let p=std::env::args().nth(1).unwrap(); let i=image::Image::read(p.as_ref()).unwrap(); let c=calls::Calls::of(&i);
 println!("flash {} data {} missing {:?}",i.flash,i.data,i.missing);
 println!("blind {:?}", c.blind.iter().map(|a|&i.functions[a].name).collect::<Vec<_>>());
 for v in ["start","join","leave","handle_timeout","handle_datagram","handle_send_error","poll_transmit","poll_event","poll_timeout","members","set","delete","get","subscribe","broadcast","send"] { if let Some(a)=i.find(v) { match c.deepest(&i,a) { Ok((d,w))=>println!("{v}: {d} via {:?}", w.iter().map(|a|{let f=&i.functions[a]; let n=&f.name; (n.chars().take(60).collect::<String>(),f.frame)}).collect::<Vec<_>>()), Err(e)=>println!("{v}: {e}") } } }
 for f in std::env::args().skip(2) { for (a,_) in i.functions.iter().filter(|(_,x)| x.name.contains(&f)) { println!("{} called by", i.functions[a].name); for x in c.callers(*a) { println!("   {}", i.functions[&x].name); } } }
}
