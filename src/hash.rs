//! The one keyed hash of the crate, and the order of the id space.
//!
//! `inline(never)` on targets of less than 64 bits, here and elsewhere: what many call is one function where flash counts.
//! Inlined, the hash alone took 10 kB of a firmware. On a host the calls cost up to three quarters more instructions, so
//! that there the compiler decides, and for the steps of the hash and of a walk it is told to inline them: else a comparison of
//! sums takes 1.6 times as long (`cargo bench --bench node -- --frames`). WebAssembly counts among the small ones: a page
//! loads less, and hashes a little slower.

/// SipHash-1-3 (Aumasson and Bernstein, 2012, with the reduced rounds that hash tables use) over 64-bit words.
///
/// It serves for check values, fingerprints, cookies and the generator. Keyed, so that nobody without the cluster
/// name can aim at a value; additions, rotations and exclusive-ors only, so that it is cheap where multiplication is
/// not. It is no authentication code: whoever knows the cluster name can compute it.
pub(crate) struct Sip {
    v: (u64, u64, u64, u64),
    len: u64,
}

impl Sip {
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn new(k0: u64, k1: u64) -> Self {
        let v = (
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        );
        Sip { v, len: 0 }
    }

    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    const fn round(&mut self) {
        let (mut a, mut b, mut c, mut d) = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = (a, b, c, d);
    }

    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    const fn absorb(&mut self, word: u64) {
        self.v.3 ^= word;
        self.round();
        self.v.0 ^= word;
    }

    /// Takes in one word.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn word(mut self, word: u64) -> Self {
        self.absorb(word);
        self.len = self.len.wrapping_add(8);
        self
    }

    /// Takes in a string of bytes, the last word padded with zeros; the length goes in at the end.
    pub(crate) const fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let Some((word, tail)) = rest.split_first_chunk::<8>() {
            self.absorb(u64::from_le_bytes(*word));
            rest = tail;
        }
        let mut last = 0u64;
        while let Some((byte, head)) = rest.split_last() {
            last = last << 8 | *byte as u64;
            rest = head;
        }
        self.absorb(last);
        self.len = self.len.wrapping_add(bytes.len() as u64);
        self
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn finish(mut self) -> u64 {
        self.absorb(self.len);
        self.v.2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        let v = self.v;
        v.0 ^ v.1 ^ v.2 ^ v.3
    }
}

/// Hashes a name under a domain, at compile time if the name is known then.
pub(crate) const fn name(domain: u64, name: &str) -> u64 {
    Sip::new(domain, 0).bytes(name.as_bytes()).finish()
}

/// A bijection of the 64-bit numbers that scatters neighbours (the finalizer of SplitMix64, Steele et al. 2014).
///
/// A bijection, so that distinct ids have distinct places in the id space and the order needs no tie-break.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
