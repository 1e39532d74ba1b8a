//! What the example `simulate` prints and draws: for people, for programs, and as pictures.

use std::path::PathBuf;
use std::process::Command;

/// Each experiment, as small as it can be.
const EXPERIMENTS: [(&str, &[&str]); 12] = [
    ("crash", &["--nodes", "4,8", "--seeds", "1"]),
    ("steady", &["--nodes", "4", "--seeds", "1", "--seconds", "5"]),
    ("join", &["--nodes", "4,8", "--seeds", "1"]),
    ("bootstrap", &["--nodes", "4,8", "--seeds", "1"]),
    ("partition", &["--nodes", "4,8", "--seeds", "1", "--apart", "5"]),
    ("pause", &["--nodes", "4", "--seeds", "1", "--stopped", "1,2"]),
    ("cutoff", &["--nodes", "4", "--seeds", "1", "--cut", "1"]),
    ("oneway", &["--nodes", "4", "--seeds", "1"]),
    ("churn", &["--nodes", "8", "--seeds", "1", "--seconds", "5"]),
    ("broadcast", &["--nodes", "4,8", "--seeds", "1", "--messages", "12", "--crash", "0,30"]),
    ("state", &["--nodes", "4,8", "--seeds", "1", "--keys", "2", "--rates", "1,10"]),
    ("staleness", &["--nodes", "4", "--keys", "2", "--capacity", "4", "--seconds", "10", "--after", "10"]),
];

fn simulate(experiment: &str, arguments: &[&str]) -> String {
    let run = Command::new(crate::example("simulate")).arg(experiment).args(arguments).output();
    let run = run.expect("an example can be run");
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{experiment} {arguments:?}: {complaint}");
    String::from_utf8(run.stdout).expect("it prints text")
}

#[test]
fn tables_of_experiments_fit_eighty_columns_and_have_one_rule_each() {
    for (experiment, arguments) in EXPERIMENTS {
        let text = simulate(experiment, arguments);
        for table in text.split("\n\n").filter(|part| part.contains('─')) {
            let wide = table.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{experiment}");
            assert_eq!(table.lines().filter(|line| line.contains('─')).count(), 1, "{table}");
        }
    }
}

#[test]
fn figures_for_programs_are_the_same_as_csv_and_as_json_and_all_are_drawn() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    // What an earlier run has left would be taken for this one's.
    let _ = std::fs::remove_dir_all(&folder);
    for (experiment, arguments) in EXPERIMENTS {
        let path = folder.join(experiment);
        let drawn = ["--plot", path.to_str().expect("the path is text")];
        let (csv, json) = ([arguments, &["--csv"]].concat(), [arguments, &["--json"], &drawn].concat());
        let (csv, json) = (simulate(experiment, &csv), simulate(experiment, &json));
        let rows = csv.split("\n\n").flat_map(|table| {
            let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
            let head = lines.next().expect("a table has a head");
            lines.map(move |row| {
                assert_eq!(row.len(), head.len(), "{experiment}: {row:?}");
                let field = |(name, cell): (&&str, &&str)| {
                    format!("\"{name}\": {}", if cell.is_empty() { "null" } else { cell })
                };
                format!("{{{}}}", head.iter().zip(&row).map(field).collect::<Vec<_>>().join(", "))
            })
        });
        let rows: Vec<String> = rows.collect();
        let found: Vec<&str> = json.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        let found: Vec<&str> = found.iter().map(|line| line.trim_end_matches(',')).collect();
        assert_eq!(found, rows, "{experiment}");
        let pictures = std::fs::read_dir(&path).expect("the directory is made").map(|entry| entry.unwrap().path());
        let pictures: Vec<String> = pictures.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert!(!pictures.is_empty(), "{experiment} draws something");
        assert!(
            pictures.iter().all(|text| text.starts_with("<svg") && text.trim_end().ends_with("</svg>")),
            "{experiment}"
        );
    }
}
