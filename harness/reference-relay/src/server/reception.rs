//! Content as it comes in: after DATA up to its dot, or after BDAT for as many octets as were announced (RFC 3030).

use super::Answer;
use super::content::ContentReader;

/// Content that is being received.
pub(super) enum Reception {
    /// After DATA.
    Data(ContentReader),
    /// After BDAT.
    Chunk {
        /// As announced, in octets.
        size: u64,
        /// What has not come yet.
        left: u64,
        last: bool,
        /// The chunk is read and forgotten, and then answered with this.
        refusal: Option<Answer>,
    },
}

impl Reception {
    pub(super) fn data(size_limit: u64) -> Self {
        Self::Data(ContentReader::new(size_limit))
    }

    pub(super) fn chunk(size: u64, last: bool, refusal: Option<Answer>) -> Self {
        Self::Chunk { size, left: size, last, refusal }
    }

    /// Takes octets; those of a chunk go into `chunks`, unless it is refused. Gives how many were taken, and whether they were
    /// the last of the content or chunk.
    pub(super) fn read(&mut self, input: &[u8], chunks: &mut Vec<u8>) -> (usize, bool) {
        match self {
            Self::Data(reader) => match input.iter().position(|&octet| reader.push(octet)) {
                Some(end) => (end + 1, true),
                None => (input.len(), false),
            },
            Self::Chunk { left, refusal, .. } => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                if refusal.is_none() {
                    chunks.extend_from_slice(&input[..used]);
                }
                *left -= used as u64;
                (used, *left == 0)
            }
        }
    }
}
