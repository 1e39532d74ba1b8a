//! What can be asked of the agent, typed or on the command line.

/// A line for each command.
pub const HELP: &str = "  members             who is in the cluster, and how it is
  top                 the same, live, with rates, until q
  say TOPIC TEXT      send the text to all who listen to the topic
  listen TOPIC        show what is said on the topic from now on
  unlisten TOPIC      stop showing what is said on the topic
  tell MEMBER TEXT    send to one member, and say whether it arrived
  ask TOPIC TEXT      ask all who listen, and wait for their answers
  ask @MEMBER TEXT    ask one member
  answer [N] TEXT     answer question number N, or the latest
  set KEY VALUE       write to this node's map, which all members can read
  delete KEY          delete a key of this node's map
  get [MEMBER] KEY    what a member has under the key, or all who have any
  keys [MEMBER]       all keys of a member, or of all
  watch [PREFIX]      show what others set and delete, if the key begins so
  unwatch [PREFIX]    stop watching this prefix; without one, all
  stats               what this node has counted
  help                this list
  leave, quit         leave the cluster and end
MEMBER is a name given to --name, an id, the beginning of one, or an address.
TEXT and VALUE are all the rest of the line.
The map of a member that has left or is down can be read for ten minutes more.
A member that restarts under its name begins with an empty map.";

/// Every command, and what the first word after it is.
const VERBS: [(&str, Word); 18] = [
    ("answer", Word::Other),
    ("ask", Word::Topic),
    ("delete", Word::Key),
    ("get", Word::MemberOrKey),
    ("help", Word::Other),
    ("keys", Word::Member),
    ("leave", Word::Other),
    ("listen", Word::Topic),
    ("members", Word::Other),
    ("quit", Word::Other),
    ("say", Word::Topic),
    ("set", Word::Key),
    ("stats", Word::Other),
    ("tell", Word::Member),
    ("top", Word::Other),
    ("unlisten", Word::Topic),
    ("unwatch", Word::Key),
    ("watch", Word::Key),
];
/// So many slips of the finger are forgiven.
const SLIPS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Topic,
    Member,
    Key,
    MemberOrKey,
    Other,
}

/// What is known that could be typed.
pub struct Known {
    pub topics: Vec<String>,
    pub members: Vec<String>,
    pub keys: Vec<String>,
}

/// How many characters of the line belong to its last word, and the words that it can become.
pub fn completions(line: &str, known: &Known) -> (usize, Vec<String>) {
    let begun = line.rsplit(char::is_whitespace).next().unwrap_or("");
    let before: Vec<&str> = line[..line.len() - begun.len()].split_whitespace().collect();
    let mut words: Vec<String> = match before[..] {
        [] => VERBS.iter().map(|(verb, _)| verb.to_string()).collect(),
        [verb] => match VERBS.iter().find(|(known, _)| *known == verb) {
            Some((_, Word::Topic)) if begun.starts_with('@') => {
                known.members.iter().map(|name| format!("@{name}")).collect()
            }
            Some((_, Word::Topic)) => known.topics.clone(),
            Some((_, Word::Member)) => known.members.clone(),
            Some((_, Word::Key)) => known.keys.clone(),
            Some((_, Word::MemberOrKey)) => [&known.members[..], &known.keys].concat(),
            _ => Vec::new(),
        },
        ["get", _] => known.keys.clone(),
        _ => Vec::new(),
    };
    words.retain(|word| word.starts_with(begun));
    words.sort();
    words.dedup();
    (begun.chars().count(), words)
}

fn unknown(verb: &str) -> String {
    let near = |known: &&str| strsim::damerau_levenshtein(known, verb);
    let nearest = VERBS.iter().map(|(known, _)| *known).min_by_key(near).filter(|known| near(known) <= SLIPS);
    match nearest {
        Some(known) => format!("there is no command \"{verb}\"; did you mean {known}?"),
        None => format!("there is no command \"{verb}\"; help lists those that there are"),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Members,
    /// A live table.
    Top,
    Say {
        topic: String,
        text: String,
    },
    Listen(String),
    Unlisten(String),
    Tell {
        to: String,
        text: String,
    },
    Ask {
        topic: String,
        text: String,
    },
    AskOne {
        to: String,
        text: String,
    },
    Answer {
        number: Option<u32>,
        text: String,
    },
    Set {
        key: String,
        value: String,
    },
    Delete(String),
    Get {
        owner: Option<String>,
        key: String,
    },
    Keys(Option<String>),
    Watch(String),
    /// `None` for all that is watched.
    Unwatch(Option<String>),
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
            "top" => bare(Command::Top, verb, rest)?,
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
            "set" => {
                let (key, value) = two(rest).ok_or("expected a key and a value, such as: set load 0.7")?;
                Command::Set { key, value }
            }
            "delete" => Command::Delete(one(rest).ok_or("expected one key, such as: delete load")?),
            "get" => match (split(rest), two(rest)) {
                ((key, ""), _) if !key.is_empty() => Command::Get { owner: None, key: key.to_string() },
                (_, Some((owner, key))) if one(&key).is_some() => Command::Get { owner: Some(owner), key },
                _ => return Err("expected a key, or a member and a key, such as: get db-7 load".to_string()),
            },
            "keys" => Command::Keys(at_most_one(rest).ok_or("expected nothing or one member, such as: keys db-7")?),
            "watch" => {
                let prefix = at_most_one(rest).ok_or("expected nothing or one prefix, such as: watch load")?;
                Command::Watch(prefix.unwrap_or_default())
            }
            "unwatch" => {
                Command::Unwatch(at_most_one(rest).ok_or("expected nothing or one prefix, such as: unwatch load")?)
            }
            other => return Err(unknown(other)),
        };
        Ok(Some(command))
    }

    /// Whether others must be known for it to make sense.
    pub fn needs_others(&self) -> bool {
        use Command::*;
        let of_map = matches!(self, Set { .. } | Delete(_)) || self.needs_maps();
        of_map || matches!(self, Members | Top | Say { .. } | Tell { .. } | Ask { .. } | AskOne { .. })
    }

    /// Whether others' maps must have been read for it to make sense.
    pub fn needs_maps(&self) -> bool {
        matches!(self, Command::Get { .. } | Command::Keys(_) | Command::Watch(_))
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

fn at_most_one(rest: &str) -> Option<Option<String>> {
    if rest.is_empty() { Some(None) } else { one(rest).map(Some) }
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
