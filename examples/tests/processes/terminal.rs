//! The example `agent` at a terminal, which `script` makes for it: the live table, and a prompt that was stopped.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// For everything together; it takes a few seconds. As in `agent.rs`, it only says when to give up waiting.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long to wait between two looks at what nothing tells of.
const PACE: Duration = Duration::from_millis(20);

/// A terminal with an agent at it, which does not outlive the test.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    output: Receiver<String>,
    /// All that was written to it.
    seen: String,
    began: Instant,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // An error means that it has ended already. With its terminal gone the agent ends too.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

impl Terminal {
    fn open(options: &str) -> Terminal {
        let agent = crate::example("agent");
        let line = format!("exec '{}' --bind 127.0.0.1:0 --preset local {options}", agent.display());
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
        let mut script =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Linux has the command `script`");
        let mut screen = script.stdout.take().expect("its output is a pipe");
        let keys = script.stdin.take().expect("its input is a pipe");
        let (printer, output) = channel();
        thread::spawn(move || {
            let mut buf = [0; 4_096];
            while let Ok(len @ 1..) = screen.read(&mut buf) {
                // When the test has failed, nobody looks.
                let _ = printer.send(String::from_utf8_lossy(&buf[..len]).into_owned());
            }
        });
        Terminal { script, keys, output, seen: String::new(), began: Instant::now() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.keys.flush().expect("the terminal takes keys");
    }

    /// Waits until something has been written to the screen that was not there before; what came with it.
    fn wait(&mut self, what: &str) -> String {
        while !self.seen.contains(what) {
            let left = DEADLINE.saturating_sub(self.began.elapsed());
            let more = self.output.recv_timeout(left);
            self.seen += &more.unwrap_or_else(|_| panic!("no \"{what}\" on the screen:\n{}", self.seen));
        }
        std::mem::take(&mut self.seen)
    }

    /// The number of the agent's process, and the file of its terminal.
    fn agent(&self) -> (String, String) {
        let script = self.script.id();
        let children = fs::read_to_string(format!("/proc/{script}/task/{script}/children")).expect("it has children");
        let agent = children.split_whitespace().next().expect("the agent runs").to_string();
        let terminal = fs::read_link(format!("/proc/{agent}/fd/0")).expect("the agent has an input");
        (agent, terminal.display().to_string())
    }

    /// Waits until the agent has ended as one that has done what it was asked to.
    fn see_off(mut self) {
        while self.began.elapsed() < DEADLINE {
            if let Some(status) = self.script.try_wait().expect("a child can be waited for") {
                assert!(status.success(), "{status}:\n{}", self.seen);
                return;
            }
            self.seen.extend(self.output.recv_timeout(PACE));
        }
        panic!("the agent does not end:\n{}", self.seen);
    }
}

/// What a command of the system says.
fn system(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("every system has this command");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_live_table_shows_who_is_there_and_ends_with_a_key() {
    let mut ann = Terminal::open("--name ann");
    let greeting = ann.wait(" in cluster ");
    let addr = greeting.split(" at ").nth(1).and_then(|rest| rest.split(' ').next()).expect("it tells its address");

    let mut table = Terminal::open(&format!("--join {addr} --name tom top"));
    table.wait("ADDRESS");
    table.wait("ann");
    ann.wait("tom at ");
    table.press("q");
    table.see_off();
    ann.wait("has left");
    ann.press("top\r");
    ann.wait("ADDRESS");
    ann.press("\u{3}");
    ann.press("stats\r");
    ann.wait("datagrams in");
    ann.press("\u{4}");
    ann.see_off();
}

#[test]
fn a_prompt_that_was_stopped_takes_keys_again_when_it_goes_on() {
    let mut ann = Terminal::open("--name ann");
    ann.wait("> ");
    let (agent, terminal) = ann.agent();
    let is_raw = || system("stty", &["--file", &terminal, "--all"]).contains("-icanon");
    assert!(is_raw(), "a prompt reads single keys");

    // What a shell does that takes its terminal back.
    system("kill", &["-STOP", &agent]);
    system("stty", &["--file", &terminal, "sane"]);
    assert!(!is_raw());
    // `script` stops with what runs in it, some time after that.
    let both = [agent, ann.script.id().to_string()];
    while !is_raw() {
        assert!(ann.began.elapsed() < DEADLINE, "the terminal is not set again");
        both.iter().for_each(|process| drop(system("kill", &["-CONT", process])));
        thread::sleep(PACE);
    }
    ann.press("mem\t\r");
    while !ann.seen.contains("this node") {
        assert!(ann.began.elapsed() < DEADLINE, "no members on the screen:\n{}", ann.seen);
        both.iter().for_each(|process| drop(system("kill", &["-CONT", process])));
        ann.seen.extend(ann.output.recv_timeout(PACE));
    }
    ann.press("\u{4}");
    ann.see_off();
}
