//! The one keyed hash of the crate, and the order of the id space.

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
    pub(crate) const fn new(k0: u64, k1: u64) -> Self {
        let v = (
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        );
        Sip { v, len: 0 }
    }

    const fn round(v: (u64, u64, u64, u64)) -> (u64, u64, u64, u64) {
        let (mut a, mut b, mut c, mut d) = v;
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
        (a, b, c, d)
    }

    const fn absorb(mut self, word: u64) -> Self {
        self.v.3 ^= word;
        self.v = Self::round(self.v);
        self.v.0 ^= word;
        self
    }

    /// Takes in one word.
    #[inline]
    pub(crate) const fn word(self, word: u64) -> Self {
        let mut next = self.absorb(word);
        next.len = next.len.wrapping_add(8);
        next
    }

    /// Takes in a string of bytes, the last word padded with zeros; the length goes in at the end.
    pub(crate) const fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let Some((word, tail)) = rest.split_first_chunk::<8>() {
            self = self.absorb(u64::from_le_bytes(*word));
            rest = tail;
        }
        let mut last = 0u64;
        while let Some((byte, head)) = rest.split_last() {
            last = last << 8 | *byte as u64;
            rest = head;
        }
        self = self.absorb(last);
        self.len = self.len.wrapping_add(bytes.len() as u64);
        self
    }

    #[inline]
    pub(crate) const fn finish(self) -> u64 {
        let len = self.len;
        let mut state = self.absorb(len);
        state.v.2 ^= 0xff;
        let v = Self::round(Self::round(Self::round(state.v)));
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
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
