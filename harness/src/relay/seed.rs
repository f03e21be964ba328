//! By which seed the programs of a real relay draw their random numbers.

/// The environment's word for it.
const WORD: &str = "GAUNTLET_SEED";

/// The seed that the environment names, or 0. The mistake in it, in words.
pub(super) fn given() -> Result<u32, String> {
    read(std::env::var(WORD).ok().as_deref())
}

fn read(said: Option<&str>) -> Result<u32, String> {
    let Some(said) = said else { return Ok(0) };
    said.parse().map_err(|_| {
        format!(
            "{WORD}={said} is no seed: whole numbers from 0 to {} are, and 0 is taken without it",
            u32::MAX
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_whole_number_and_without_one_it_is_0() {
        assert_eq!((read(None), read(Some("7"))), (Ok(0), Ok(7)));
        for wrong in ["", "-1", "4294967296", "seven"] {
            let why = read(Some(wrong)).expect_err(wrong);
            assert!(why.starts_with(&format!("GAUNTLET_SEED={wrong} is no seed")), "{why}");
        }
    }
}
