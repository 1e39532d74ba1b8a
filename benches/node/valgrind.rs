//! Instructions, counted by callgrind: this program runs itself under it, and callgrind collects only while
//! [`counted`] runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;

use crate::operations::{Kind, Operation};

/// How callgrind knows it.
const COUNTED: &str = "node::valgrind::counted";

/// Runs a batch and has it counted.
#[inline(never)]
pub fn counted(operation: &mut dyn Operation) {
    operation.run();
    // Were the call the last thing to do, it could be made a jump, and this function would be over before it.
    std::hint::black_box(operation);
}

/// Instructions of doing each operation once, on a table of this size; `counts` says how often a batch does it.
pub fn instructions(members: usize, counts: &[usize]) -> Result<Vec<f64>, String> {
    let dumps = Dumps::collect(members, Kind::value_variants())?;
    counts.iter().zip(1..).map(|(count, number)| Ok(dumps.total(number)? as f64 / *count as f64)).collect()
}

/// By function, where the instructions of one operation go.
pub fn profile(members: usize, kind: Kind) -> Result<String, String> {
    let dumps = Dumps::collect(members, &[kind])?;
    let (functions, all) = (dumps.functions(1)?, dumps.total(1)?);
    assert_eq!(functions.iter().map(|(_, own)| own).sum::<u64>(), all, "every instruction is some function's");
    let percent = |(function, own): (String, u64)| (100.0 * own as f64 / all as f64, function);
    let lines = functions.into_iter().map(percent).take_while(|(percent, _)| *percent >= 1.0);
    let head =
        format!("{}, {members} members: instructions of each function and of what is inlined in it", kind.name());
    Ok(lines.fold(head, |text, (percent, function)| format!("{text}\n{percent:>5.1} %  {function}")))
}

/// What callgrind wrote: one file for each operation, in order.
struct Dumps {
    directory: PathBuf,
}

impl Dumps {
    fn collect(members: usize, kinds: &[Kind]) -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("tidings-bench-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let dumps = Dumps { directory };
        let mut file = std::ffi::OsString::from("--callgrind-out-file=");
        file.push(dumps.directory.join("out"));
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]).arg(file);
        valgrind.args([format!("--toggle-collect={COUNTED}"), format!("--dump-after={COUNTED}")]);
        valgrind.arg(program).arg("--counted").arg(members.to_string());
        valgrind.args(kinds.iter().filter_map(ValueEnum::to_possible_value).map(|value| value.get_name().to_string()));
        run(valgrind)?;
        Ok(dumps)
    }

    fn read(&self, number: usize) -> Result<String, String> {
        let file = self.directory.join(format!("out.{number}"));
        std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
    }

    fn total(&self, number: usize) -> Result<u64, String> {
        let dump = self.read(number)?;
        let total = dump.lines().find_map(|line| line.strip_prefix("totals: "));
        total.and_then(|total| total.parse().ok()).ok_or("callgrind counted nothing".to_string())
    }

    /// Functions and their own instructions, the most first.
    fn functions(&self, number: usize) -> Result<Vec<(String, u64)>, String> {
        let (mut functions, mut function, mut called) = (BTreeMap::<String, u64>::new(), "", false);
        let dump = self.read(number)?;
        for line in dump.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with(|first: char| first.is_ascii_digit()) && !called {
                // A line of the source, and its instructions.
                let own = line.split_whitespace().nth(1).and_then(|own| own.parse().ok()).unwrap_or(0);
                *functions.entry(function.to_string()).or_default() += own;
            }
            // Behind a call comes what the callee took.
            called = line.starts_with("calls=");
        }
        let mut functions: Vec<_> = functions.into_iter().collect();
        functions.sort_by_key(|(_, own)| core::cmp::Reverse(*own));
        Ok(functions)
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        // Only files in a directory for such are left if it cannot be removed.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Runs a command that succeeds, or says why it did not.
fn run(mut command: Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name} is not installed (Debian: apt-get install valgrind)"),
        _ => format!("{name}: {error}"),
    })?;
    let complaint = || format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(complaint)
}
