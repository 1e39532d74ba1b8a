//! What becomes of the terminal when a process is stopped and goes on, where there is such a thing.

/// Stops this process until somebody lets it go on.
#[cfg(unix)]
pub fn stop() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP);
}

/// Whether this process has the terminal. To read from it otherwise would stop the process.
#[cfg(unix)]
pub fn is_in_front() -> bool {
    let group = rustix::termios::tcgetpgrp(rustix::stdio::stdin());
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Whether this process has the terminal, and the terminal waits for whole lines.
#[cfg(unix)]
pub fn has_lost_terminal() -> bool {
    use rustix::termios::{LocalModes, tcgetattr};
    is_in_front() && tcgetattr(rustix::stdio::stdin()).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ICANON))
}

#[cfg(not(unix))]
pub fn stop() {}

#[cfg(not(unix))]
pub fn is_in_front() -> bool {
    true
}

#[cfg(not(unix))]
pub fn has_lost_terminal() -> bool {
    false
}
