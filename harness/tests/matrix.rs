//! The matrix as the command tells it: on a terminal, through a pipe, for programs, and when it is interrupted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SEEDS: &[&str] = &["run", "--matrix", "--relay", "reference,iis-5,exchange-5.5", "scenarios/seeds"];

fn gauntlet(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command starts")
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("GAUNTLET_RELAY");
    command
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn document(octets: &[u8]) -> Value {
    serde_json::from_slice(octets).unwrap_or_else(|error| panic!("{error} in {}", text(octets)))
}

fn golden(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/matrix"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

/// Without the lines that tell how long something took.
fn timeless(printed: &str) -> String {
    let told = |line: &&str| !line.starts_with("seconds ") && !line.starts_with("time: ");
    let line = |line: &str| match line.rsplit_once(" (") {
        Some((rest, time)) if time.ends_with(" s)") => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    printed.lines().filter(told).map(line).collect()
}

#[test]
fn several_relays_are_a_table_and_what_is_open() {
    let output = gauntlet(SEEDS);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "no progress but on a terminal");
    golden("seeds", &timeless(&text(&output.stdout)));
}

/// The file has what the table has, and the table is the same with it.
#[test]
fn a_report_for_programs_goes_to_its_file_beside_the_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("matrix.json");
    std::fs::write(&file, "what was there before, and longer than nothing").expect("written");
    let report = format!("json={}", file.display());
    let output = gauntlet(&[SEEDS, &["--report", &report]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(timeless(&text(&output.stdout)), timeless(&text(&gauntlet(SEEDS).stdout)));
    let written = std::fs::read_to_string(&file).expect("it is there");
    let told = document(written.as_bytes());
    assert_eq!((&told["format"], &told["complete"]), (&1.into(), &true.into()));
    let cells = told["cells"].as_array().expect("an array");
    assert_eq!(cells.len(), 3 * told["scenarios"].as_u64().expect("a number") as usize);
    assert!(cells.iter().all(|cell| cell["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0)));
    let is_time = |line: &&str| {
        line.contains("seconds\": ") || line.contains("\"processors\": ") || line.contains("\"jobs\": ")
    };
    let timeless: Vec<&str> = written.lines().filter(|line| !is_time(line)).collect();
    golden("seeds-json", &timeless.join("\n"));
}

#[test]
fn a_report_on_stdout_has_it_for_itself() {
    let output = gauntlet(&[SEEDS, &["--report", "json=-"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(document(&output.stdout)["format"], 1);
    assert_eq!(timeless(&text(&output.stderr)), timeless(&text(&gauntlet(SEEDS).stdout)));
}

/// Each key of the report stands in the README, and each key that stands there is in the report.
#[test]
fn the_readme_has_every_key_of_the_report() {
    let output = gauntlet(&[SEEDS, &["--report", "json=-"]].concat());
    let told = document(&output.stdout);
    let mut keys: BTreeSet<String> = BTreeSet::new();
    let mut take = |prefix: &str, object: &Value| {
        keys.extend(object.as_object().expect("an object").keys().map(|key| format!("{prefix}{key}")));
    };
    take("", &told);
    take("relays: ", &told["relays"][0]);
    take("cells: ", &told["cells"][0]);
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("read");
    let (_, after) = readme.split_once("`--report json=FILE`").expect("the README tells of it");
    let rows =
        after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let documented: BTreeSet<String> = rows
        .skip(2)
        .flat_map(|row| {
            let cell = row.split('|').nth(1).expect("a first cell");
            let (prefix, names) = cell.split_once(": ").map_or(("", cell), |(of, names)| (of.trim(), names));
            let of =
                if prefix.is_empty() { String::new() } else { format!("{}: ", prefix.trim_matches('`')) };
            names.split('`').skip(1).step_by(2).map(|name| format!("{of}{name}")).collect::<Vec<_>>()
        })
        .filter(|key| !key.starts_with("left_out: "))
        .collect();
    assert_eq!(documented, keys);
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs_or_ends_with_3() {
    let one = "scenarios/seeds/domino-8bitmime.yaml";
    let told = |report: &str| gauntlet(&["run", "--report", report, one]);
    for (report, why) in [
        ("json=no/such/directory/matrix.json", "cannot write the report no/such/directory/matrix.json: "),
        ("yaml=matrix.yaml", "there is no report `yaml`; there is `json`"),
        ("json=", "it is `json=FILE`"),
        ("matrix.json", "it is `json=FILE`"),
    ] {
        let output = told(report);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{report}");
        assert!(text(&output.stderr).contains(why), "{report}: {}", text(&output.stderr));
    }
    if Path::new("/dev/full").exists() {
        let output = told("json=/dev/full");
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains("cannot write the report /dev/full: "),
            "{}",
            text(&output.stderr)
        );
    }
}

/// Every relay that comes with the harness is run, or left out with a reason; which of them is as the doctor says.
#[test]
fn all_are_those_that_the_doctor_finds() {
    let (directory, small) = with_scenarios(&[("small", 1)]);
    let roots = directory.path().join("no-roots");
    let with_roots =
        |arguments: &[&str]| command(arguments).env("GAUNTLET_ROOTS", &roots).output().expect("it starts");
    let output = with_roots(&["run", "--all", "--matrix", "--report", "json=-", &small]);
    let told = document(&output.stdout);
    let names = |key: &str| -> BTreeSet<String> {
        let list = told[key].as_array().expect("an array");
        list.iter().map(|one| one["relay"].as_str().expect("a name").to_owned()).collect()
    };
    let doctor = document(&with_roots(&["doctor", "--format", "json"]).stdout);
    let doctor = doctor.as_array().expect("an array");
    let labs_work = doctor.iter().any(|one| one["name"] == "a lab" && one["state"] == "ok");
    let real = doctor.iter().filter(|one| one["group"] == "real relays");
    let (here, missing): (Vec<&Value>, Vec<&Value>) =
        real.partition(|one| labs_work && one["state"] != "missing");
    let of = |list: &[&Value]| {
        list.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect::<BTreeSet<_>>()
    };
    let mut expected = of(&here);
    expected.insert("reference".to_owned());
    assert_eq!((names("relays"), names("left_out")), (expected, of(&missing)), "{}", text(&output.stderr));
    for name in names("left_out") {
        assert!(text(&output.stderr).contains(&format!("left out: {name}: ")), "{}", text(&output.stderr));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_matrix_tells_what_is_done_so_far() {
    let (directory, _) = with_scenarios(&[("a-short", 1), ("b-long", 20_000), ("c-never", 1)]);
    let file = directory.path().join("matrix.json");
    let (folder, report) =
        (directory.path().to_string_lossy().into_owned(), format!("json={}", file.display()));
    let mut child =
        command(&["run", "--jobs", "1", "--relay", "reference,iis-5", "--report", &report, &folder])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command starts");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut printed = String::new();
    // Both runs of the first scenario have their lines; the long one runs for seconds.
    while printed.lines().count() < 2 {
        assert!(std::io::BufRead::read_line(&mut stdout, &mut printed).expect("read") > 0, "{printed}");
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
    std::io::Read::read_to_string(&mut stdout, &mut printed).expect("read");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{printed}");
    for shown in
        ["a-short    pass       pass\n", "· not run  2          2\n", "interrupted after 2 of 6 runs\n"]
    {
        assert!(printed.contains(shown), "{shown:?} is missing in\n{printed}");
    }
    let told = document(&std::fs::read(&file).expect("it is there"));
    assert_eq!((&told["complete"], &told["relays"][1]["not_run"]), (&false.into(), &2.into()), "{told}");
    assert_eq!(told["cells"].as_array().map(Vec::len), Some(2), "{told}");
}

/// By `script(1)`, which gives the command a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_it_fits_has_colours_and_tells_how_far_it_is() {
    let on_terminal = |no_color: &str| {
        let line = format!("stty rows 24 cols 60 && {} {}", env!("CARGO_BIN_EXE_gauntlet"), SEEDS.join(" "));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env_remove("GAUNTLET_RELAY").env("NO_COLOR", no_color).stdin(Stdio::null());
        command
            .output()
            .ok()
            .filter(|output| output.status.code() == Some(1))
            .map(|output| text(&output.stdout))
    };
    let Some(plain) = on_terminal("1") else {
        eprintln!("skipped: there is no script(1) to make a terminal");
        return;
    };
    assert!(plain.contains("\r1 of ") && plain.contains("\r\x1b[K"), "no progress in {plain}");
    assert!(!plain.contains("\x1b[3"), "colours in {plain}");
    let (_, told) = plain.rsplit_once("\x1b[K").expect("the progress was taken away");
    let wide = told.lines().find(|line| !line.starts_with("time: ") && line.trim_end().chars().count() > 60);
    assert_eq!(wide, None, "{told}");
    assert!(told.contains("  a  b  c") || told.contains('✓'), "{told}");
    assert!(on_terminal("").is_some_and(|told| told.contains("\x1b[1;31m")), "no colours");
}

/// A directory with scenarios of these names, each of a mail in so many copies; second, the path of the first.
fn with_scenarios(scenarios: &[(&str, u32)]) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, copies) in scenarios {
        let text = format!(
            "title: Copies\nservers:\n  hub: {{ serves: [hub.example] }}\n\
             messages:\n  note: {{ from: a@origin.example, to: b@hub.example, copies: {copies} }}\n\
             expect:\n  - delivered: {{ message: note, by: hub }}\n"
        );
        std::fs::write(directory.path().join(format!("{name}.yaml")), text).expect("written");
    }
    let first = directory.path().join(format!("{}.yaml", scenarios[0].0)).to_string_lossy().into_owned();
    (directory, first)
}
