//! Values with a form of their own: durations, sizes, ranges, escapes, recipients.

use std::time::Duration;

use mock_servers::script::{Glob, Range, Reading, TlsVersion};

pub(super) use crate::yaml::{Wrong, regular_expression, wrong, wrong_with};

/// The longest duration: about what a queue can live, many times over.
const LONGEST: u64 = 366 * 86_400 * 1000;

/// `90s`, `15m`, `4h`, `2d`, also `500ms` and `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let mut rest = text;
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if digits > 0 && tail.is_empty() => {
                return Err(wrong_with(
                    "the unit is missing",
                    format!("did you mean `{text}s`, `{text}m`, `{text}h` or `{text}d`?"),
                ));
            }
            _ => {
                return Err(wrong_with("not a number with a unit", "durations are `90s`, `15m`, `4h`, `2d`"));
            }
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        let Some(part) = part else {
            return Err(wrong_with("not a number with a unit", "durations are `90s`, `15m`, `4h`, `2d`"));
        };
        millis = millis.saturating_add(part);
        rest = tail;
    }
    match millis {
        _ if text.is_empty() => Err(wrong("it is empty")),
        0..=LONGEST => Ok(Duration::from_millis(millis)),
        _ => Err(wrong("longer than a year")),
    }
}

/// `99`, `50000`, `1B`, `10KiB`, `2MiB`.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        "K" | "kB" | "KB" | "k" => {
            return Err(wrong_with("not a size", format!("did you mean `{number}KiB`?")));
        }
        "M" | "MB" => return Err(wrong_with("not a size", format!("did you mean `{number}MiB`?"))),
        _ => return Err(wrong_with("not a size", "sizes are `512B`, `10KiB`, `2MiB`")),
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.ok_or_else(|| wrong_with("not a size", "sizes are `512B`, `10KiB`, `2MiB`"))
}

/// `freely`, `0`, `1KiB per 2m`.
pub(super) fn reading(text: &str) -> Result<Reading, Wrong> {
    const FORMS: &str = "`freely`; `0` for nothing; or so much in so long: `1KiB per 2m`";
    let Some((octets, every)) = text.split_once(" per ") else {
        return match text {
            "freely" => Ok(Reading::Freely),
            "0" => Ok(Reading::Nothing),
            _ => Err(wrong_with("neither a word nor a size `per` a duration", FORMS)),
        };
    };
    let octets = usize::try_from(size(octets.trim())?).unwrap_or(usize::MAX);
    let every = duration(every.trim())?;
    if octets == 0 {
        return Err(wrong_with("nothing, however long it takes", "to read nothing: `0`"));
    }
    if every.is_zero() {
        return Err(wrong_with("in no time at all", "to read all that comes: `freely`"));
    }
    Ok(Reading::Slowly { octets, every })
}

/// `1.2`, `1.3`.
pub(super) fn tls_version(text: &str) -> Result<TlsVersion, Wrong> {
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        "1.0" | "1.1" => Err(wrong_with(
            "the mock servers' TLS has 1.2 and 1.3 (RFC 8996 deprecates what was before)",
            "what an old server says to a new client: `tls: { fail: alert }`",
        )),
        _ => Err(wrong_with("no version of TLS", "`\"1.2\"` or `\"1.3\"`")),
    }
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<u64, Wrong> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().ok_or_else(|| wrong("not a whole number"))
}

/// `4..`, `..5`, `2..7`, `3`; each end in the form that `item` reads.
pub(super) fn range<T: PartialOrd + Copy>(
    text: &str,
    item: impl Fn(&str) -> Result<T, Wrong>,
) -> Result<Range<T>, Wrong> {
    let Some((from, to)) = text.split_once("..") else {
        return item(text).map(Range::exactly);
    };
    let end = |text: &str| {
        let text = text.trim();
        if text.is_empty() { Ok(None) } else { item(text).map(Some) }
    };
    let (from, to) = (end(from)?, end(to)?);
    match (from, to) {
        (None, None) => {
            Err(wrong_with("a range needs at least one end", "ranges are `4..`, `..5` and `2..7`"))
        }
        (Some(from), Some(to)) if from > to => {
            Err(wrong_with("nothing lies between these ends", "the smaller end comes first"))
        }
        _ => Ok(Range { from, to }),
    }
}

/// A range that is not limited at all.
pub(super) fn is_everything<T: PartialOrd + Default>(range: &Range<T>) -> bool {
    range.from.as_ref().is_none_or(|from| *from <= T::default()) && range.to.is_none()
}

/// A pattern in which `*` stands for any text.
pub(super) fn glob(text: &str) -> Result<Glob, Wrong> {
    if text.is_empty() { Err(wrong("it is empty, and fits nothing")) } else { Ok(Glob(text.to_owned())) }
}

/// An enhanced status code, `*` for any number: `5.1.1`, `4.4.*`, `5.*`.
pub(super) fn status(text: &str) -> Result<Glob, Wrong> {
    let parts: Vec<&str> = text.split('.').collect();
    let number =
        |part: &str| part == "*" || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let class = matches!(parts.first(), Some(&("2" | "4" | "5" | "*")));
    let complete = parts.len() == 3 || (parts.len() == 2 && parts[1] == "*");
    if class && complete && parts[1..].iter().all(|part| number(part)) {
        return Ok(Glob(text.to_owned()));
    }
    Err(wrong_with(
        "a status is class, subject and detail (RFC 3463)",
        "`5.1.1`; `*` stands for any number: `5.1.*`, `5.*`",
    ))
}

/// A reply code in which `.` or `*` stand for any digits: `550`, `5..`, `5*`.
pub(super) fn reply_code(text: &str) -> Result<Glob, Wrong> {
    let digits = text.trim_end_matches(['.', '*', 'x', 'y', 'z']);
    let fits = digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.len() <= 3
        && digits.starts_with(['2', '3', '4', '5'])
        && (text.len() == 3 || text.ends_with('*'))
        && text.len() <= 3.max(digits.len() + 1);
    if !fits {
        return Err(wrong_with(
            "a reply code has three digits",
            "`550`; `5..` is any code that begins with 5",
        ));
    }
    Ok(Glob(if digits.len() == 3 { digits.to_owned() } else { format!("{digits}*") }))
}

/// How many recipients a text stands for, as far as it can be read.
pub(super) fn recipients_in(text: &str) -> u64 {
    let inside =
        text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let ends = inside.split_once("..").and_then(|(from, to)| number(from).ok().zip(number(to).ok()));
    ends.map_or(1, |(from, to)| to.saturating_sub(from).saturating_add(1))
}

/// `u{1..250}@hub.example` written out; a text without braces is itself.
pub(super) fn recipients(text: &str) -> Result<Vec<String>, Wrong> {
    const MOST: u64 = 100_000;
    let Some((before, rest)) = text.split_once('{') else { return Ok(vec![text.to_owned()]) };
    let Some((inside, after)) = rest.split_once('}') else { return Ok(vec![text.to_owned()]) };
    let Some((from, to)) = inside.split_once("..") else { return Ok(vec![text.to_owned()]) };
    let ends = number(from).and_then(|from| number(to).map(|to| (from, to)));
    let Ok((from, to)) = ends else {
        return Err(wrong_with(
            "the ends of a range of recipients are whole numbers",
            "`u{1..250}@hub.example`",
        ));
    };
    if from > to {
        return Err(wrong_with("nothing lies between these ends", "the smaller end comes first"));
    }
    if to - from >= MOST {
        return Err(wrong(format!("more than {MOST} recipients")));
    }
    if after.contains('{') {
        return Err(wrong("only one range of recipients can stand in an address"));
    }
    Ok((from..=to).map(|number| format!("{before}{number}{after}")).collect())
}

/// The bytes of a text with `\r`, `\n`, `\t`, `\\` and `\xNN`.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, Wrong> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let (byte, length) = match escape.bytes().next() {
            Some(b'r') => (b'\r', 1),
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'0') => (0, 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => {
                let digits =
                    escape.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (byte.ok_or_else(|| wrong("`\\x` needs two hexadecimal digits"))?, 3)
            }
            _ => {
                return Err(wrong_with(
                    "unknown escape",
                    "escapes are `\\r`, `\\n`, `\\t`, `\\0`, `\\\\` and `\\xNN`",
                ));
            }
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests;
