//! What the debugger's or the emulator's host tells by semihosting: the command line and the time.

use core::str::{self, FromStr};

use cortex_m_semihosting::{nr, syscall, syscall1};

/// The most bytes of a command line.
const LONGEST_LINE: usize = 256;

/// Words such as `number=11`, of which QEMU takes each as another `arg=` of `-semihosting-config`.
pub struct Arguments {
    line: [u8; LONGEST_LINE],
    len: usize,
}

impl Arguments {
    pub fn read() -> Result<Arguments, &'static str> {
        let mut line = [0; LONGEST_LINE];
        let mut block = [line.as_mut_ptr() as usize, line.len()];
        // SAFETY: the block holds the address and the length of a buffer that outlives the call, which writes no more
        // than that, and the length of what it has written into the block.
        let failed = unsafe { syscall1(nr::GET_CMDLINE, block.as_mut_ptr() as usize) } != 0;
        let [_, len] = block;
        if failed || len > LONGEST_LINE { Err("the host gives no command line") } else { Ok(Arguments { line, len }) }
    }

    /// The values of all words that begin with `name=`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let line = self.line.get(..self.len).and_then(|line| str::from_utf8(line).ok()).unwrap_or("");
        let words = line.split(|letter: char| letter.is_ascii_whitespace() || letter == '\0');
        words.filter_map(move |word| word.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn number<N: FromStr>(&self, name: &str) -> Result<N, &'static str> {
        let value = self.all(name).next().and_then(|value| value.parse().ok());
        value.ok_or("the command line needs number=N members=N and seed=ADDR:PORT")
    }
}

/// Seconds since 1970. It stands in for a source of random numbers, which this machine does not have.
pub fn time() -> u64 {
    // SAFETY: the call takes no argument and writes no memory.
    unsafe { syscall!(TIME) as u64 }
}
