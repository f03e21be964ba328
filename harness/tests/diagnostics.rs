//! What an author is told: one bad scenario for each kind of mistake, and what is shown for it.

use std::path::{Path, PathBuf};

use gauntlet::relay::embedded;
use gauntlet::scenario;

/// Each file in `tests/diagnostics` is refused, and is told so in the words of its snapshot.
#[test]
fn every_mistake_is_shown_where_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("harness/tests/diagnostics");
    let files = scenario::find(std::slice::from_ref(&folder)).unwrap();
    let relays: Vec<&str> = embedded::choices().iter().map(|choice| choice.name).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root.join("snapshots/diagnostics"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let shown = match scenario::load_knowing(file, &folder, &relays) {
            Ok(_) => "nothing is wrong with it".to_owned(),
            // The path as an author would give it, wherever this checkout lies.
            Err(diagnostics) => diagnostics.to_string().replace(&format!("{}/", folder.display()), ""),
        };
        settings.bind(|| insta::assert_snapshot!(name, shown));
        assert_ne!(shown, "nothing is wrong with it", "{name}");
    }
}

/// A snapshot without its file is a mistake that nobody shows any more.
#[test]
fn no_snapshot_is_left_over() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("snapshots/diagnostics")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".snap") else { continue };
        let scenario: PathBuf = root.join("harness/tests/diagnostics").join(format!("{stem}.yaml"));
        assert!(scenario.exists(), "{name} belongs to no scenario");
    }
}

/// Each mistake is told once, where it is, and no mistake follows from another one.
#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_its_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/tests/diagnostics");
    let diagnostics = scenario::load(&folder.join("twenty-mistakes.yaml"), &folder).unwrap_err();
    let places = diagnostics.list().iter().map(|one| diagnostics.place(one.span.clone().unwrap()).start);
    let lines: Vec<usize> = places.map(|(line, _)| line).collect();
    let expected = [1, 2, 3, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 18, 18, 19, 19, 20, 22, 23, 25, 26, 27, 28];
    assert_eq!(lines, expected, "{diagnostics}");
}
