use std::time::Duration;

use rstest::rstest;

use super::*;

#[rstest]
#[case("90s", 90_000)]
#[case("15m", 900_000)]
#[case("4h", 14_400_000)]
#[case("2d", 172_800_000)]
#[case("500ms", 500)]
#[case("1h30m", 5_400_000)]
#[case("0s", 0)]
fn durations_are_numbers_with_units(#[case] text: &str, #[case] millis: u64) {
    assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
}

#[rstest]
#[case("", "it is empty")]
#[case("90", "the unit is missing")]
#[case("90 s", "not a number with a unit")]
#[case("s", "not a number with a unit")]
#[case("1w", "not a number with a unit")]
#[case("-1s", "not a number with a unit")]
#[case("400d", "longer than a year")]
#[case("99999999999999999999d", "not a number with a unit")]
fn other_durations_are_told_why(#[case] text: &str, #[case] why: &str) {
    assert_eq!(duration(text).unwrap_err().why, why);
}

#[rstest]
#[case("0", 0)]
#[case("1B", 1)]
#[case("10KiB", 10_240)]
#[case("10 KiB", 10_240)]
#[case("2MiB", 2_097_152)]
#[case("1GiB", 1_073_741_824)]
fn sizes_are_binary(#[case] text: &str, #[case] octets: u64) {
    assert_eq!(size(text), Ok(octets));
}

#[rstest]
#[case("10KB")]
#[case("10K")]
#[case("KiB")]
#[case("99999999999GiB")]
#[case("1.5MiB")]
fn decimal_and_odd_sizes_are_refused(#[case] text: &str) {
    assert!(size(text).is_err());
}

#[rstest]
#[case("3", Some(3), Some(3))]
#[case("4..", Some(4), None)]
#[case("..5", None, Some(5))]
#[case("2..7", Some(2), Some(7))]
#[case("2 .. 7", Some(2), Some(7))]
fn a_range_may_be_open_at_one_end(#[case] text: &str, #[case] from: Option<u64>, #[case] to: Option<u64>) {
    assert_eq!(range(text, number), Ok(Range { from, to }));
}

#[rstest]
#[case("..")]
#[case("7..2")]
#[case("a..b")]
#[case("1...3")]
fn a_range_that_holds_nothing_is_refused(#[case] text: &str) {
    assert!(range(text, number).is_err());
}

#[test]
fn the_ends_of_a_range_are_in() {
    let range = range("..5m", duration).unwrap();
    assert!(range.contains(Duration::from_mins(5)) && !range.contains(Duration::from_millis(300_001)));
}

#[rstest]
#[case(r"220 hub\r\n", b"220 hub\r\n")]
#[case(r"\x00\xff\\\t", b"\x00\xff\\\t")]
#[case("é", b"\xc3\xa9")]
fn escapes_are_single_octets(#[case] text: &str, #[case] bytes: &[u8]) {
    assert_eq!(unescape(text), Ok(bytes.to_vec()));
}

#[rstest]
#[case(r"\q")]
#[case(r"\x4")]
#[case(r"\xgg")]
#[case(r"\xé")]
#[case("\\")]
fn unknown_escapes_are_refused(#[case] text: &str) {
    assert!(unescape(text).is_err());
}

#[test]
fn a_range_of_recipients_is_written_out() {
    assert_eq!(
        recipients("u{9..11}@hub.example").unwrap(),
        ["u9@hub.example", "u10@hub.example", "u11@hub.example"]
    );
}

#[rstest]
#[case("bob@hub.example")]
#[case("joeuser@invaliddomain.example ")]
#[case("{x}@hub.example")]
#[case("{@hub.example")]
fn an_address_without_a_range_is_itself(#[case] text: &str) {
    assert_eq!(recipients(text).unwrap(), [text]);
}

#[rstest]
#[case("u{2..1}@hub.example")]
#[case("u{1..999999999}@hub.example")]
#[case("u{1..2}{1..2}@hub.example")]
#[case("u{a..2}@hub.example")]
fn other_ranges_of_recipients_are_refused(#[case] text: &str) {
    assert!(recipients(text).is_err());
}

#[rstest]
#[case("5.1.1", "5.1.1", true)]
#[case("5.*", "5.7.26", true)]
#[case("4.4.*", "4.4.7", true)]
#[case("5.*", "4.4.7", false)]
fn a_status_may_leave_numbers_open(#[case] pattern: &str, #[case] code: &str, #[case] fits: bool) {
    assert_eq!(status(pattern).unwrap().matches(code), fits);
}

#[rstest]
#[case("5.1")]
#[case("3.1.1")]
#[case("5")]
#[case("5.1.x")]
fn other_statuses_are_refused(#[case] text: &str) {
    assert!(status(text).is_err());
}

#[rstest]
#[case("550", "550")]
#[case("5..", "5*")]
#[case("5*", "5*")]
#[case("55.", "55*")]
#[case("5yz", "5*")]
fn a_reply_code_may_leave_digits_open(#[case] text: &str, #[case] pattern: &str) {
    assert_eq!(reply_code(text).unwrap().0, pattern);
}

#[rstest]
#[case("5")]
#[case("650")]
#[case("5500")]
#[case("...")]
#[case("")]
fn other_reply_codes_are_refused(#[case] text: &str) {
    assert!(reply_code(text).is_err());
}
