//! Whether a ClientHello offers to resume an earlier session.

/// What is known of a ClientHello so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    /// It is not complete yet.
    Incomplete,
    /// It is complete; or is none at all, which the TLS library will say better.
    Complete {
        /// Whether it has a ticket, a pre-shared key or, from a client that does not speak TLS 1.3, a session id.
        resumes: bool,
    },
}

/// `session_ticket` (RFC 5077 section 3.2), `pre_shared_key` and `supported_versions` (RFC 8446 section 4.2).
const SESSION_TICKET: u16 = 35;
const PRE_SHARED_KEY: u16 = 41;
const SUPPORTED_VERSIONS: u16 = 43;

/// Looks at what a client said first: TLS records with a handshake message in them (RFC 8446 sections 5.1 and 4).
pub(super) fn look(mut records: &[u8]) -> Hello {
    let none = Hello::Complete { resumes: false };
    let mut message = Vec::new();
    loop {
        if let Some((&[kind, a, b, c], body)) = message.split_first_chunk::<4>() {
            if kind != 1 {
                return none;
            }
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if let Some(body) = body.get(..length) {
                return Hello::Complete { resumes: resumes(body).unwrap_or(false) };
            }
        }
        let Some((&[kind, _, _, a, b], rest)) = records.split_first_chunk::<5>() else {
            return Hello::Incomplete;
        };
        if kind != 22 {
            return none;
        }
        let Some((fragment, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([a, b]))) else {
            return Hello::Incomplete;
        };
        if fragment.is_empty() {
            return none;
        }
        message.extend_from_slice(fragment);
        records = rest;
    }
}

/// Whether the message's body offers it; `None` where it is malformed.
fn resumes(body: &[u8]) -> Option<bool> {
    let (_version_and_random, rest) = body.split_at_checked(2 + 32)?;
    let (session_id, rest) = vector(rest, 1)?;
    let (_cipher_suites, rest) = vector(rest, 2)?;
    let (_compression, rest) = vector(rest, 1)?;
    let mut extensions = if rest.is_empty() { rest } else { vector(rest, 2)?.0 };
    let (mut offered, mut speaks_13) = (false, false);
    while let Some((&[a, b], rest)) = extensions.split_first_chunk::<2>() {
        let (data, rest) = vector(rest, 2)?;
        match u16::from_be_bytes([a, b]) {
            SESSION_TICKET => offered |= !data.is_empty(),
            PRE_SHARED_KEY => offered = true,
            SUPPORTED_VERSIONS => {
                speaks_13 = data.get(1..)?.chunks_exact(2).any(|version| version == [3, 4]);
            }
            _ => {}
        }
        extensions = rest;
    }
    // In TLS 1.3 a session id is there for the looks of it (RFC 8446 appendix D.4).
    Some(offered || !session_id.is_empty() && !speaks_13)
}

/// A vector behind its length, and what follows it.
fn vector(bytes: &[u8], length_octets: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length_octets)?;
    let length = length.iter().fold(0, |length, &octet| length << 8 | usize::from(octet));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A ClientHello with this session id and these extensions, in records of at most `size`.
    fn hello(session_id: &[u8], extensions: &[(u16, &[u8])], size: usize) -> Vec<u8> {
        let mut body = vec![3; 34];
        body.push(session_id.len() as u8);
        body.extend_from_slice(session_id);
        body.extend_from_slice(&[0, 2, 0x13, 1, 1, 0]);
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend_from_slice(&kind.to_be_bytes());
            list.extend_from_slice(&(data.len() as u16).to_be_bytes());
            list.extend_from_slice(data);
        }
        body.extend_from_slice(&(list.len() as u16).to_be_bytes());
        body.extend_from_slice(&list);
        let mut message = vec![1, 0, 0, body.len() as u8];
        message.extend_from_slice(&body);
        let records = message.chunks(size).flat_map(|fragment| {
            let mut record = vec![22, 3, 1, 0, fragment.len() as u8];
            record.extend_from_slice(fragment);
            record
        });
        records.collect()
    }

    const TLS_1_3: (u16, &[u8]) = (SUPPORTED_VERSIONS, &[4, 3, 4, 3, 3]);

    #[rstest]
    #[case(&[], &[], false)]
    #[case(&[7; 32], &[], true)]
    #[case(&[7; 32], &[TLS_1_3], false)]
    #[case(&[7; 32], &[(SESSION_TICKET, &[][..]), TLS_1_3], false)]
    #[case(&[], &[(SESSION_TICKET, &[1, 2][..])], true)]
    #[case(&[7; 32], &[TLS_1_3, (PRE_SHARED_KEY, &[0][..])], true)]
    fn tickets_keys_and_session_ids_are_offers(
        #[case] session_id: &[u8],
        #[case] extensions: &[(u16, &[u8])],
        #[case] resumes: bool,
    ) {
        for size in [1, 5, 200] {
            let records = hello(session_id, extensions, size);
            assert_eq!(look(&records), Hello::Complete { resumes }, "in records of {size}");
            for cut in 0..records.len() {
                assert_eq!(look(&records[..cut]), Hello::Incomplete, "cut at {cut} of records of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_client_hello_is_left_to_the_library() {
        for bytes in [&b"EHLO relay.example\r\n"[..], &[22, 3, 1, 0, 4, 2, 0, 0, 0], &[22, 3, 1, 0, 0]] {
            assert_eq!(look(bytes), Hello::Complete { resumes: false });
        }
    }
}
