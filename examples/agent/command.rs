//! What can be asked of the agent, typed or on the command line.

/// A line for each command.
pub const HELP: &str = "  members             who is in the cluster, and how it is
  say TOPIC TEXT      to all who listen to the topic
  listen TOPIC        show what is said on the topic from now on
  unlisten TOPIC      no more
  tell MEMBER TEXT    to one member, and whether it has it
  ask TOPIC TEXT      all who listen, and wait for their answers
  ask @MEMBER TEXT    one member
  answer [N] TEXT     question number N, or the latest
  stats               what this node has counted
  help                this list
  leave, quit         leave the cluster and end
MEMBER is a name given to --name, an id, the beginning of one, or an address.
TEXT is all the rest of the line.";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Members,
    Say { topic: String, text: String },
    Listen(String),
    Unlisten(String),
    Tell { to: String, text: String },
    Ask { topic: String, text: String },
    AskOne { to: String, text: String },
    Answer { number: Option<u32>, text: String },
    Stats,
    Help,
    Leave,
}

impl Command {
    /// `None` for a line that says nothing. An error is a sentence that says what was expected.
    pub fn parse(line: &str) -> Result<Option<Command>, String> {
        let (verb, rest) = split(line);
        let command = match verb {
            "" => return Ok(None),
            comment if comment.starts_with('#') => return Ok(None),
            "members" => bare(Command::Members, verb, rest)?,
            "stats" => bare(Command::Stats, verb, rest)?,
            "help" | "?" => Command::Help,
            "leave" | "quit" | "exit" => bare(Command::Leave, verb, rest)?,
            "listen" => Command::Listen(one(rest).ok_or("expected one topic, such as: listen alarms")?),
            "unlisten" => Command::Unlisten(one(rest).ok_or("expected one topic, such as: unlisten alarms")?),
            "say" => {
                let (topic, text) =
                    two(rest).ok_or("expected a topic and a text, such as: say alarms fire in hall 2")?;
                Command::Say { topic, text }
            }
            "tell" => {
                let (to, text) = two(rest).ok_or("expected a member and a text, such as: tell db-7 slow down")?;
                Command::Tell { to, text }
            }
            "ask" => {
                let expected = "expected a topic or @MEMBER and a text, such as: ask alarms who is on duty?";
                let (whom, text) = two(rest).ok_or(expected)?;
                match whom.strip_prefix('@') {
                    Some("") => return Err(expected.to_string()),
                    Some(to) => Command::AskOne { to: to.to_string(), text },
                    None => Command::Ask { topic: whom, text },
                }
            }
            "answer" => answer(rest)?,
            other => return Err(format!("there is no command \"{other}\"; help lists those that there are")),
        };
        Ok(Some(command))
    }

    /// Whether others must be known for it to make sense.
    pub fn needs_others(&self) -> bool {
        use Command::*;
        matches!(self, Members | Say { .. } | Tell { .. } | Ask { .. } | AskOne { .. })
    }
}

/// A text that begins with a number is only taken for one if the number is said before it.
fn answer(rest: &str) -> Result<Command, String> {
    let (first, text) = split(rest);
    match (first.parse(), text) {
        _ if first.is_empty() => Err("expected a text, such as: answer I am".to_string()),
        (Ok(number), text) if !text.is_empty() => Ok(Command::Answer { number: Some(number), text: text.to_string() }),
        _ => Ok(Command::Answer { number: None, text: rest.to_string() }),
    }
}

fn bare(command: Command, verb: &str, rest: &str) -> Result<Command, String> {
    if rest.is_empty() { Ok(command) } else { Err(format!("expected nothing after {verb}")) }
}

fn one(rest: &str) -> Option<String> {
    let (word, rest) = split(rest);
    (!word.is_empty() && rest.is_empty()).then(|| word.to_string())
}

fn two(rest: &str) -> Option<(String, String)> {
    let (word, text) = split(rest);
    (!text.is_empty()).then(|| (word.to_string(), text.to_string()))
}

/// The first word, and what is left of the line.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim_start()))
}
