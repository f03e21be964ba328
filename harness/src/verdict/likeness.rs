//! How alike two bodies are, of which the one may have lost what no relay has to pass on.

/// RFC 5321 section 4.5.3.1.6, CRLF included.
const LONGEST_LINE: usize = 1000;

/// What no relay has to pass on as it is: bare CR or LF (RFC 5321 section 2.3.8), NUL, and lines past the limit
/// (section 4.5.3.1.6).
pub(super) fn excused(body: &[u8]) -> bool {
    (0..body.len()).any(|at| is_bare(body, at))
        || body.split(|b| *b == b'\n').any(|line| line.len() + 1 > LONGEST_LINE)
}

/// CR or LF alone, or NUL.
fn is_bare(body: &[u8], at: usize) -> bool {
    match body[at] {
        b'\n' => at == 0 || body[at - 1] != b'\r',
        b'\r' => body.get(at + 1) != Some(&b'\n'),
        b => b == 0,
    }
}

/// How alike two bodies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// They say the same, apart from what an excused body may lose, and from the spaces that may stand for it.
    Same,
    /// So they do, but for a line past the limit, which was broken.
    LineBroken,
    Other,
}

/// The least alike of the parts.
pub(super) fn alike(sent: &[Vec<u8>], got: &[Vec<u8>]) -> Likeness {
    if sent.len() != got.len() {
        return Likeness::Other;
    }
    let parts = sent.iter().zip(got).map(|(sent, got)| alike_part(sent, got));
    parts.max().unwrap_or(Likeness::Same)
}

/// Line ends and NUL apart: a space may stand for each bare CR, bare LF or NUL. Where a line past the limit was broken, a
/// space may stand behind the break, and the `!` of sendmail's mailers before it.
fn alike_part(sent: &[u8], got: &[u8]) -> Likeness {
    let lost = |b: u8| matches!(b, b'\r' | b'\n' | 0);
    let (mut at, mut other) = (0, 0);
    // How many spaces may stand here, and the end of the line, if it is past the limit.
    let (mut spaces, mut long_until) = (0, 0);
    let mut likeness = Likeness::Same;
    loop {
        if at == 0 || sent[at - 1] == b'\n' {
            let line = sent[at..].iter().position(|b| *b == b'\n').unwrap_or(sent.len() - at);
            long_until = if line + 1 > LONGEST_LINE { at + line } else { 0 };
        }
        if sent.get(at).is_some_and(|b| lost(*b)) {
            spaces += usize::from(is_bare(sent, at));
            at += 1;
            continue;
        }
        let mut broken = false;
        let is_mark = at < long_until
            && got.get(other) == Some(&b'!')
            && matches!(got.get(other + 1), Some(b'\r' | b'\n'))
            && sent.get(at) != Some(&b'!');
        other += usize::from(is_mark);
        while got.get(other).is_some_and(|b| lost(*b)) {
            broken = at < long_until;
            other += 1;
        }
        if broken {
            likeness = Likeness::LineBroken;
        }
        match (sent.get(at), got.get(other)) {
            (None, None) => return likeness,
            (Some(a), Some(b)) if a == b => {
                spaces = if *a == b' ' { spaces } else { 0 };
                (at, other) = (at + 1, other + 1);
            }
            (_, Some(b' ')) if broken => other += 1,
            (_, Some(b' ')) if spaces > 0 => (spaces, other) = (spaces - 1, other + 1),
            _ => return Likeness::Other,
        }
    }
}
