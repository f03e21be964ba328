//! No text makes the reader panic.

use proptest::prelude::*;

use super::templates::TEMPLATE;
use super::*;

fn seeds() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/seeds");
    let files = crate::scenario::find(&[folder]).unwrap();
    files.iter().map(|file| (file.display().to_string(), std::fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn the_founding_cases_can_be_read() {
    for (path, text) in seeds() {
        if let Err(diagnostics) = parse(&text, Path::new(&path), "x") {
            panic!("{diagnostics}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.render(true));
    }

    #[test]
    fn no_octets_in_a_file_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.yaml");
        std::fs::write(&path, octets).unwrap();
        let _ = load(&path, directory.path()).map_err(|diagnostics| diagnostics.render(true));
    }

    #[test]
    fn no_slip_in_a_template_makes_it_panic(at in any::<prop::sample::Index>(), cut in 0_usize..8, put in "[ -~\n\t\u{e9}]{0,4}") {
        let mut text = TEMPLATE.to_owned();
        let start = at.index(text.len());
        text.replace_range(start..(start + cut).min(text.len()), &put);
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.to_string());
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "([a-z]{1,3}|[-:,*&!|>'\"#%@`{}\\[\\]\\\\ \\t\\n\u{e9}\u{1f600}]){0,60}") {
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.to_string());
    }

    #[test]
    fn no_slip_in_a_founding_case_makes_it_panic(at in any::<prop::sample::Index>(), cut in 0_usize..8, put in "[ -~\n\t\u{e9}]{0,4}", which in any::<prop::sample::Index>()) {
        let seeds = seeds();
        let mut text = seeds[which.index(seeds.len())].1.clone();
        let floor = |mut at: usize| {
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(at.index(text.len()));
        let end = floor((start + cut).min(text.len())).max(start);
        text.replace_range(start..end, &put);
        let _ = parse(&text, Path::new("x.yaml"), "x").map_err(|diagnostics| diagnostics.to_string());
    }
}
