//! What would take time or memory without measure is refused.

use std::io::Write as _;
use std::time::Duration;

use super::*;

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let text = format!("title: {}\n", "x".repeat(yaml::LARGEST));
    assert!(parse(&text, Path::new("x.yaml"), "x").unwrap_err().to_string().contains("at most"));
}

/// Refused with a word of why, in time and memory that do not run away.
fn refused(text: &str, why: &str) -> String {
    let began = std::time::Instant::now();
    let told = parse(text, Path::new("x.yaml"), "x").expect_err("refused");
    let shown = told.to_string();
    assert!(shown.contains(why), "{}", shown.chars().take(2000).collect::<String>());
    assert!(told.list().len() <= crate::yaml::MOST);
    assert!(shown.len() < 200_000, "{} octets are shown", shown.len());
    // A hundredfold of what it takes, for machines with much else to do; only what grows without measure comes near.
    assert!(began.elapsed() < Duration::from_secs(30), "took {:?}", began.elapsed());
    shown
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "title: x\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        let last = format!("*a{}, ", n - 1).repeat(9);
        text += &format!("a{n}: &a{n} [{}]\n", last.trim_end_matches(", "));
    }
    refused(&text, "a reference to an anchor");
}

#[test]
fn deep_nesting_is_refused() {
    refused(&format!("title: {}{}", "[".repeat(300_000), "]".repeat(300_000)), "nested more than 64 deep");
    refused(&format!("title: {}", "{ a: ".repeat(100_000)), "nested more than 64 deep");
    refused(&"- ".repeat(200_000), "nested more than 64 deep");
}

#[test]
fn keys_by_the_thousand_are_refused() {
    let beyond: String = (0..120_000).map(|n| format!("k{n}: 1\n")).collect();
    refused(&beyond, "at most 1048576 are read");
    let many: String = (0..10_000).map(|n| format!("k{n}: 1\n")).collect();
    refused(&format!("title: x\n{many}"), "a scenario has no `k0:`");
    refused(&format!("title: x\n{}", "a: 1\n".repeat(10_000)), "the key is there twice");
    let flow: String = (0..10_000).map(|n| format!("k{n},")).collect();
    refused(&format!("title: x\nservers: {{{flow}}}\n"), "more than 20 servers");
    refused(&format!("title: x\nmessages: {{{flow}}}\n"), "a message needs `from:`");
}

#[test]
fn names_by_the_thousand_are_looked_up_in_good_time() {
    let messages: String =
        (0..1_000).map(|n| format!("  m{n}: {{ from: a@origin.example, to: b@hub.example }}\n")).collect();
    let sends: String = (0..2_500).map(|n| format!("  - send: n{n}\n")).collect();
    refused(&format!("title: x\nmessages:\n{messages}steps:\n{sends}"), "there is no message `n0`");
    let sends: String = (0..1_000).map(|n| format!("  - send: m{n}\n")).collect();
    let checks: String = (0..1_000).map(|n| format!("  - delivered: {{ message: m{n} }}\n")).collect();
    refused(
        &format!("title: x\nmessages:\n{messages}steps:\n{sends}expect:\n{checks}"),
        "more than 500 elements of `expect:`",
    );
}

#[test]
fn long_lines_are_shown_in_part() {
    let wide = "x".repeat(60_000);
    for text in [
        format!("title: x\nservers: {{ hub: {{ banner: \"{wide}\" }} }}\n"),
        format!("title: x\nservers: {{ hub: {{ {wide}: 1 }} }}\n"),
        format!("title: x\nservers: {{ hub: {{ profile: {wide} }} }}\n"),
        format!("title: x\nservers: {{ hub: {{ pace: {wide} }} }}\n"),
        format!("title: x\nmessages: [{}]\n", "a: b, ".repeat(10_000)),
        format!("title: x\nmessages: {{ n: {{ from: \"{wide}\", to: x }} }}\n"),
    ] {
        assert!(refused(&text, "x.yaml:2:").lines().all(|line| line.len() < 2000));
    }
}

#[test]
fn counts_that_would_fill_the_memory_are_refused() {
    let to = format!("[{}]", "\"u{1..100000}@hub.example\", ".repeat(1_000).trim_end_matches(", "));
    let rest = "servers: { hub: { serves: [hub.example] } }\nexpect: [{ delivered: {} }]\n";
    refused(
        &format!("title: x\nmessages: {{ n: {{ from: a@x.example, to: {to} }} }}\n{rest}"),
        "too large once this is written out",
    );
    let headers: String = (0..1_000).map(|n| format!("X-{n}: {{ times: 100000, text: hello }}, ")).collect();
    refused(
        &format!(
            "title: x\nmessages: {{ n: {{ from: a@x.example, to: b@x.example, headers: {{ {headers} }} }} }}\n{rest}"
        ),
        "too large once this is written out",
    );
}

#[test]
fn rules_and_patterns_by_the_thousand_take_good_time() {
    let rules: String = (0..1_000)
        .map(|n| {
            format!(
                "        - {{ when: {{ nth: {}, matches: \"(a{{9}}){{9}}{n}\" }}, reply: \"450 x\" }}\n",
                n + 1
            )
        })
        .collect();
    let text = format!(
        "title: x\nservers:\n  hub:\n    serves: [hub.example]\n    on:\n      RCPT:\n{rules}\
         messages: {{ n: {{ from: a@x.example, to: b@hub.example }} }}\nexpect: [{{ delivered: {{}} }}]\n"
    );
    refused(&text, "more than 500 rules on `RCPT`");
}

/// The file is sparse: it takes no room.
#[test]
fn a_file_for_content_has_a_limit_and_is_no_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let text = format!(
            "title: x\nservers: {{ hub: {{ serves: [hub.example] }} }}\nmessages: {{ n: {{ from: a@x.example, to: \
             b@hub.example, content: {{ file: {name} }} }} }}\nexpect: [delivered: {{}}]\n"
        );
        parse(&text, &directory.path().join("x.yaml"), "x").unwrap_err().to_string()
    };
    let large = std::fs::File::create(directory.path().join("large.eml")).unwrap();
    large.set_len(64 * 1024 * 1024).unwrap();
    assert!(told("large.eml").contains("more than 67107840 octets (64 MiB)"), "{}", told("large.eml"));
    #[cfg(unix)]
    {
        let made =
            std::process::Command::new("mkfifo").arg(directory.path().join("pipe.yaml")).status().unwrap();
        assert!(made.success());
        assert!(told("pipe.yaml").contains("it is no file"), "{}", told("pipe.yaml"));
        // Nor is a pipe among the scenarios of a folder.
        let found = crate::scenario::find(&[directory.path().to_owned()]);
        assert!(matches!(found, Err(crate::scenario::FindError::Empty { .. })), "{found:?}");
    }
}

#[test]
fn files_of_a_template_have_a_limit_over_all_cases() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("large.eml")).unwrap();
    // What has a CR is taken as it is.
    (&file).write_all(b"\r").unwrap();
    file.set_len(60 * 1024 * 1024).unwrap();
    let text = "title: x\nfor each: { n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }\nservers: { hub: { serves: [hub.example] } }\n\
                messages: { n: { from: \"a{n}@x.example\", to: b@hub.example, content: { file: large.eml } } }\n\
                expect: [delivered: {}]\n";
    let told = parse(text, &directory.path().join("x.yaml"), "x").unwrap_err().to_string();
    assert!(told.contains("the template is too large once its cases are written out"), "{told}");
}

/// Only a megabyte of it is read.
#[test]
fn a_file_of_ten_megabytes_is_refused_by_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("big.yaml");
    std::fs::write(&path, "title: x\n".repeat(1_200_000)).unwrap();
    let told = load(&path, directory.path()).unwrap_err().to_string();
    assert!(told.contains("the file has 10800000 octets; at most 1048576 are read"), "{told}");
}
