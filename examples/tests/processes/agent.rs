//! The example `agent` as processes on loopback: what its commands come to, and with which exit status.

use std::fmt::{self, Display};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// For everything together; it takes some ten seconds. These are real processes, and one that hangs must end the test:
/// the clock decides only when to give up waiting, never whether what came was right.
const DEADLINE: Duration = Duration::from_secs(90);
/// What ends a process by itself that the test has lost.
const LONG: &str = "90";

/// A process that does not outlive the test.
struct Listener {
    child: Child,
    addr: String,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a single command came to.
struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {:?}\n{}{}", self.status, self.out, self.err)
    }
}

/// All agents that listen, and all that they print.
struct Stage {
    listeners: Vec<Listener>,
    printer: Sender<(&'static str, String)>,
    lines: Receiver<(&'static str, String)>,
    transcript: Vec<(&'static str, String)>,
    began: Instant,
}

impl Stage {
    fn new() -> Stage {
        let (printer, lines) = channel();
        Stage { listeners: Vec::new(), printer, lines, transcript: Vec::new(), began: Instant::now() }
    }

    /// Starts an agent that listens to `alarms`, and returns its number once it has told its address.
    fn start(&mut self, name: &'static str, answer: &str) -> usize {
        self.start_with(name, &["--listen", "alarms", "--answer", answer], "")
    }

    /// Starts an agent with these options, which does what is in its input.
    fn start_with(&mut self, name: &'static str, options: &[&str], input: &str) -> usize {
        let mut command = agent();
        command.args(["--name", name, "--for", LONG]).args(options);
        command.args(self.listeners.first().iter().flat_map(|first| ["--join", &first.addr]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("an example can be run");
        let output = child.stdout.take().expect("its output is a pipe");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        stdin.write_all(input.as_bytes()).expect("it is read");
        self.listeners.push(Listener { child, addr: String::new() });
        let printer = self.printer.clone();
        thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            // When the test has failed, nobody listens.
            lines.try_for_each(|line| printer.send((name, line)))
        });
        let greeting = self.wait(name, " at 127.0.0.1:");
        let mut words = greeting.split_whitespace().skip_while(|word| *word != "at");
        let number = self.listeners.len() - 1;
        self.listeners[number].addr = words.nth(1).expect("an address follows").to_string();
        number
    }

    /// Waits until an agent has printed a line with this in it.
    fn wait(&mut self, name: &str, what: &str) -> String {
        loop {
            let found = self.transcript.iter().find(|(who, line)| *who == name && line.contains(what));
            if let Some((_, line)) = found {
                return line.clone();
            }
            let left = DEADLINE.saturating_sub(self.began.elapsed());
            let heard = self.lines.recv_timeout(left);
            self.transcript.push(heard.unwrap_or_else(|_| panic!("{name} has not said \"{what}\":\n{self}")));
        }
    }

    /// Has a newcomer carry out one command.
    fn run(&self, words: &[&str]) -> Outcome {
        finish(agent().args(["--join", &self.listeners[0].addr]).args(words), "")
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transcript.iter().try_for_each(|(name, line)| writeln!(f, "{name:>8}: {line}"))
    }
}

fn agent() -> Command {
    let mut command = Command::new(crate::example("agent"));
    command.args(["--bind", "127.0.0.1:0", "--preset", "local"]).stdin(Stdio::null());
    command
}

/// Runs an agent to its end, with some lines as its input.
fn finish(command: &mut Command, input: &str) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("an example can be run");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // One that has failed already reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (done, ended) = channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let output = ended.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{command:?} does not end"));
    let output = output.expect("a child can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    Outcome { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn what_is_said_told_and_asked_reaches_whom_it_should() {
    let mut stage = Stage::new();
    stage.start("ann", "I am");
    stage.start("bob", "not me");
    let carol = stage.start("carol", "asleep");
    for name in ["bob", "carol"] {
        stage.wait(name, " joined ");
    }

    let said = stage.run(&["say", "alarms", "fire in hall 2"]);
    assert_eq!(said.status, Some(0), "{said}");
    for name in ["ann", "bob", "carol"] {
        stage.wait(name, " on alarms: fire in hall 2");
    }

    let told = stage.run(&["--", "tell", "bob", "come", "home"]);
    assert_eq!((told.status, told.out.as_str()), (Some(0), "bob has it\n"), "{told}");
    stage.wait("bob", " to you: come home");

    stage.listeners[carol].child.kill().expect("a child can be killed");
    let lost = stage.run(&["tell", "carol", "are you there?"]);
    assert_eq!(lost.status, Some(1), "{lost}");
    assert!(lost.err.starts_with("error: carol is unreachable"), "{lost}");
    stage.wait("ann", "carol at");
    stage.wait("ann", " is down");

    let asked = stage.run(&["ask", "alarms", "who is on duty?"]);
    assert_eq!(asked.status, Some(0), "{asked}");
    for line in ["ann answers: I am\n", "bob answers: not me\n", "2 answers\n"] {
        assert!(asked.out.contains(line), "no line \"{}\" in {asked}", line.trim());
    }
    let asked = stage.run(&["ask", "@bob", "and you?"]);
    assert_eq!((asked.status, asked.out.as_str()), (Some(0), "bob answers: not me\n"), "{asked}");
    let silence = stage.run(&["--within", "0.5", "ask", "prices", "how much?"]);
    assert_eq!(silence.status, Some(1), "{silence}");
    assert_eq!(silence.err, "error: nobody answered \"how much?\" within 0.5 s\n");
    assert!(!stage.to_string().contains("how much?"), "nobody listens to it:\n{stage}");
    let told =
        ["is up", "has left"].map(|what| stage.transcript.iter().filter(|(_, line)| line.ends_with(what)).count());
    assert!(told[0] > 0, "those with names are told of:\n{stage}");
    assert_eq!(told[1], 0, "who comes for a single command goes without a word:\n{stage}");
}

#[test]
fn what_one_sets_all_can_read_and_watch() {
    let mut stage = Stage::new();
    stage.start_with("ann", &[], "set load 0.1\nset rack r1\nwatch lo\n");
    stage.wait("ann", "watching keys that begin with lo");
    stage.start_with("bob", &[], "set load 0.2\nset zone z 2\ndelete zone\n");
    stage.wait("bob", "zone is deleted");
    stage.wait("ann", "bob sets load: 0.2");

    let got = stage.run(&["get", "bob", "load"]);
    assert_eq!((got.status, got.out.as_str()), (Some(0), "0.2\n"), "{got}");
    let got = stage.run(&["get", "load"]);
    assert_eq!((got.status, got.out.as_str()), (Some(0), "ann: 0.1\nbob: 0.2\n"), "{got}");
    let keys = stage.run(&["keys"]);
    let rows: Vec<_> = keys.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!((keys.status, rows.join("; ").as_str()), (Some(0), "key of; load ann, bob; rack ann"), "{keys}");
    let keys = stage.run(&["keys", "ann"]);
    let rows: Vec<_> = keys.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows.join("; "), "key value version; load 0.1 0.1; rack r1 0.2", "{keys}");
    let gone = stage.run(&["get", "bob", "zone"]);
    assert_eq!((gone.status, gone.err.as_str()), (Some(1), "error: bob has no key zone, as far as this node knows\n"));

    let set = stage.run(&["--name", "carol", "set", "lost", "and found"]);
    assert_eq!((set.status, set.out.as_str()), (Some(0), "lost is set\n"), "{set}");
    stage.wait("ann", "carol sets lost: and found");
    let watched = stage.run(&["--for", "2", "watch"]);
    assert_eq!((watched.status, watched.out.as_str()), (Some(0), "watching all keys\n"), "nothing changes: {watched}");
}

#[test]
fn a_newcomer_knows_the_dead_by_name_and_counts_those_that_came_for_one_command() {
    let mut stage = Stage::new();
    stage.start("ann", "I am");
    let bob = stage.start("bob", "not me");
    stage.start("carol", "asleep");
    let port = stage.listeners[0].addr.split(':').nth(1).expect("an address has a port").to_string();
    for name in ["bob at", "carol at"] {
        stage.wait("ann", name);
    }
    stage.listeners[bob].child.kill().expect("a child can be killed");
    stage.wait("ann", " is down");

    // Names come a moment after members, and a command does not wait for them.
    let mut seen = None;
    while stage.began.elapsed() < DEADLINE && seen.is_none() {
        let seed = format!("localhost:{port}");
        let shown = finish(agent().args(["--join", &seed, "members"]), "");
        assert_eq!(shown.status, Some(0), "{shown}");
        let rows: Vec<Vec<_>> = shown.out.lines().map(|line| line.split_whitespace().collect()).collect();
        let dead = rows.iter().any(|row| row.first() == Some(&"bob") && row.get(2) == Some(&"down"));
        let counted = rows.last().is_some_and(|row| row.join(" ").contains("came for a single command"));
        assert!(!rows.iter().any(|row| row.contains(&"left")), "no such row: {shown}");
        seen = (dead && counted).then_some(());
    }
    assert!(seen.is_some(), "bob is never shown by name:\n{stage}");
}

#[test]
fn a_script_is_carried_out_line_by_line() {
    let mut stage = Stage::new();
    stage.start("ann", "I am");
    let mut command = agent();
    command.args(["--name", "bob", "--join", &stage.listeners[0].addr]);
    let script = "# nothing\n\nsay alarms one\nsing a song\ntell ann two\nask alarms three\nmembers\nsay alarms four";
    let outcome = finish(&mut command, script);
    assert_eq!(outcome.status, Some(1), "one line is wrong: {outcome}");
    assert!(outcome.err.starts_with("error: there is no command \"sing\""), "{outcome}");
    let mut rest = outcome.out.as_str();
    for part in ["joined ann", "said on alarms", "ann has it", "ann answers: I am", "1 answer", "this node", "said"] {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no \"{part}\" in its place: {outcome}"));
        rest = after;
    }
    for line in
        ["bob on alarms: one", "bob to you: two", "bob asks on alarms, question 1: three", "bob on alarms: four"]
    {
        stage.wait("ann", line);
    }
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let mut stage = Stage::new();
    stage.start("ann", "I am");
    let addr = stage.listeners[0].addr.clone();
    let too_long = "x".repeat(50_000);
    let wrong: [(&[&str], &str); 23] = [
        (&["say", "alarms", "fire"], "nobody to join: \"say\" needs --join"),
        (&["--join", "127.0.0.1:9", "--within", "0.3", "say", "a", "b"], "nobody to join: no answer from 127.0.0.1:9"),
        (&["--join", &addr, "say", "alarms"], "expected a topic and a text"),
        (&["--join", &addr, "sing", "a", "song"], "there is no command \"sing\""),
        (&["--join", &addr, "membres"], "there is no command \"membres\"; did you mean members?"),
        (&["--join", &addr, "top"], "top needs a terminal"),
        (&["top", "--join", &addr], "expected nothing after top; options such as --join go before the command"),
        (
            &["say", "a", "b", "--join", &addr],
            "nobody to join: \"say\" needs --join with the address of a node; options",
        ),
        (&["--join", "localhost", "members"], "--join localhost: expected a host name or an IP address with a port"),
        (&["--join", &addr, "--advertise", "moon", "members"], "--advertise moon: expected a host name or"),
        (&["--join", &addr, "--advertise", "127.0.0.1:0", "members"], "nobody can send to 127.0.0.1:0: --advertise"),
        (&["--join", &addr, "tell", "dave", "hello"], "there is no member dave"),
        (&["--join", &addr, "say", "alarms", &too_long], "the text has 50000 bytes; at most"),
        (&["--join", &addr, "answer", "yes"], "nobody has asked anything"),
        (&["--join", &addr, "--name", "ann", "say", "a", "b"], "another live node has this name"),
        (&["set", "load", "1"], "nobody to join: \"set\" needs --join"),
        (&["--join", &addr, "set", "load"], "expected a key and a value"),
        (&["--join", &addr, "set", &too_long[..99], "1"], "the key has 99 bytes; at most 63 can be set"),
        (&["--join", &addr, "delete", "load"], "this node has no key load"),
        (&["--join", &addr, "get", "load"], "nobody has a key load"),
        (&["--join", &addr, "get", "dave", "load"], "there is no member dave"),
        (&["--join", &addr, "unwatch", "lo"], "nothing is watched"),
        (&["--join", "[::1]:7001", "members"], "--join [::1]:7001 and --bind 127.0.0.1:0 must both be"),
    ];
    for (words, sentence) in wrong {
        let outcome = finish(agent().args(words), "");
        assert_eq!(outcome.status, Some(1), "{words:?}: {outcome}");
        assert!(outcome.err.starts_with(&format!("error: {sentence}")), "{words:?}: {outcome}");
        assert_eq!(outcome.err.lines().count(), 1, "{words:?}: {outcome}");
    }
    let taken = finish(Command::new(crate::example("agent")).args(["--bind", &addr]), "");
    assert_eq!(
        (taken.status, taken.err),
        (Some(1), format!("error: cannot bind {addr}: it is in use; port 0 stands for any free one\n"))
    );
    let option = finish(agent().args(["--within", "soon"]), "");
    assert_eq!(option.status, Some(2), "{option}");
}
