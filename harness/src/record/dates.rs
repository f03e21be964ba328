//! Dates as mail writes them (RFC 5322 section 3.3), found by their grammar in fields and replies that hold one.

use mail_parser::DateTime;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The dates in a text: each as it is written, and the moment in seconds since 1970.
pub(super) fn in_text(text: &str) -> Vec<(String, i64)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].char_indices().map(|(i, _)| from + i).find(|&at| starts(text, at)) {
        match date(&text[at..]) {
            Some((written, moment)) => {
                from = at + written.len();
                found.push((written.to_owned(), moment));
            }
            None => from = at + text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    found
}

fn starts(text: &str, at: usize) -> bool {
    let bounded = at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
    let rest = &text[at..];
    bounded && (DAYS.iter().any(|day| rest.starts_with(day)) || rest.as_bytes()[0].is_ascii_digit())
}

/// `[day ","] day month year time zone` at the start of a text.
fn date(text: &str) -> Option<(&str, i64)> {
    let words = words(text, 6);
    let named = DAYS.iter().any(|day| words.first().is_some_and(|w| w.1.trim_end_matches(',') == *day));
    let first = usize::from(named);
    let [day, month, year, time, zone] = words.get(first..first + 5)? else { return None };
    let number = |word: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
    };
    let zone_word = zone.1.trim_end_matches([',', ';', '.', ')', '>']);
    let is_zone = matches!(zone_word.as_bytes(), [b'+' | b'-', digits @ ..] if digits.len() == 4)
        || matches!(zone_word, "GMT" | "UT" | "UTC");
    let is_date = number(day.1, 1..=2)
        && MONTHS.contains(&month.1)
        && number(year.1, 4..=4)
        && time.1.split(':').count() >= 2
        && time.1.split(':').all(|part| number(part, 2..=2))
        && is_zone;
    let written = &text[..zone.0 + zone_word.len()];
    is_date.then(|| DateTime::parse_rfc822(written)).flatten().map(|moment| (written, moment.to_timestamp()))
}

/// The first words of a text with their places.
fn words(text: &str, most: usize) -> Vec<(usize, &str)> {
    let place = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_ascii_whitespace().take(most).map(|word| (place(word), word)).collect()
}

/// As Windows wrote it in the United States: `6/11/2001 12:39 PM` (KB Q301401).
pub(super) fn american(moment: i64) -> String {
    let date = DateTime::from_timestamp(moment);
    let (half, hour) = if date.hour < 12 { ("AM", date.hour) } else { ("PM", date.hour - 12) };
    let hour = if hour == 0 { 12 } else { hour };
    format!("{}/{}/{} {hour}:{:02} {half}", date.month, date.day, date.year, date.minute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Mon, 11 Jun 2001 12:39:00 +0000", "Mon, 11 Jun 2001 12:39:00 +0000")]
    #[case("by a id 7; Mon, 11 Jun 2001 14:39:00 +0200 (CEST)", "Mon, 11 Jun 2001 14:39:00 +0200")]
    #[case("220 mail ESMTP Sendmail ready at 11 Jun 2001 12:39:00 GMT.", "11 Jun 2001 12:39:00 GMT")]
    fn a_date_is_found_where_one_is_written(#[case] text: &str, #[case] written: &str) {
        assert_eq!(in_text(text), [(written.to_owned(), 992_263_140)]);
    }

    #[rstest]
    #[case("Monday we meet")]
    #[case("11 Jun 2001")]
    #[case("250 11 Jum 2001 12:39:00 +0000")]
    fn what_is_no_date_stays_text(#[case] text: &str) {
        assert_eq!(in_text(text), []);
    }

    #[test]
    fn windows_wrote_american_dates() {
        assert_eq!(american(992_263_140), "6/11/2001 12:39 PM");
        assert_eq!(american(992_217_600), "6/11/2001 12:00 AM");
    }
}
