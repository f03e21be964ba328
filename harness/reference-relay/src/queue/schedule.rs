//! When a message is tried, warned of and given up (RFC 5321 section 4.5.4.1).

use std::time::SystemTime;

use crate::config::{Queue, Vintage};
use crate::envelope::Problem;

/// When what is still pending is returned.
pub(super) fn end_of_life(queue: &Queue, arrival: SystemTime) -> SystemTime {
    arrival + queue.lifetime
}

/// When the sender is told of the delay; `None`: never, or it would be told of the failure first.
pub(super) fn warning(queue: &Queue, arrival: SystemTime) -> Option<SystemTime> {
    queue.warn.filter(|&warn| warn < queue.lifetime).map(|warn| arrival + warn)
}

/// When to try again after the last of `attempts` attempts ended at `now` in vain.
///
/// The wait doubles from `retry_first` up to `retry_at_most`. An attempt that would come after the end of the message's
/// life is made at that end, as the last one; but no sooner than `retry_first` after the one before, for a host that
/// could not take the mail is not to be asked again at once.
pub(super) fn next_attempt(queue: &Queue, arrival: SystemTime, attempts: u32, now: SystemTime) -> SystemTime {
    let doubled = queue.retry_first.saturating_mul(1 << attempts.saturating_sub(1).min(30));
    let regular = now + doubled.min(queue.retry_at_most);
    let last = end_of_life(queue, arrival).max(now + queue.retry_first);
    regular.min(last)
}

/// The failure of a recipient whose time is over.
///
/// RFC 3463 section 3.5 wants the status of the actual problem in place of X.4.7 where it can be told; who reads the
/// notification then learns what to mend. Exchange 2000 says 4.4.7 and nothing else (KB Q301401, Q329636).
pub(super) fn expired(last: Option<Problem>, now: SystemTime, vintage: &Vintage) -> Problem {
    let too_late = "The message could not be delivered in the time it is kept for.";
    let status = "4.4.7".to_owned();
    match last {
        Some(last) => {
            let explanation = format!("{too_late} {}", last.explanation);
            let tells_something = !vintage.exchange_notices && !last.status.ends_with(".0.0");
            let status = if tells_something { last.status.clone() } else { status };
            Problem { permanent: true, status, explanation, ..last }
        }
        None => Problem {
            permanent: true,
            status,
            reply: None,
            host: None,
            reason: too_late.to_owned(),
            explanation: too_late.to_owned(),
            at: now,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const MINUTE: u64 = 60;

    fn times(queue: &Queue, length_of_attempt: u64) -> Vec<u64> {
        let mut times = Vec::new();
        let mut now = UNIX_EPOCH;
        for attempts in 1.. {
            times.push(now.duration_since(UNIX_EPOCH).expect("time goes forward").as_secs() / MINUTE);
            now += Duration::from_secs(length_of_attempt * MINUTE);
            if now >= end_of_life(queue, UNIX_EPOCH) {
                break;
            }
            now = next_attempt(queue, UNIX_EPOCH, attempts, now);
        }
        times
    }

    fn queue(first: u64, at_most: u64, lifetime: u64) -> Queue {
        let minutes = |n| Duration::from_secs(n * MINUTE);
        Queue {
            retry_first: minutes(first),
            retry_at_most: minutes(at_most),
            warn: None,
            lifetime: minutes(lifetime),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_the_last_attempt_is_at_the_end() {
        assert_eq!(times(&queue(30, 240, 1000), 0), [0, 30, 90, 210, 450, 690, 930, 1000]);
    }

    #[test]
    fn the_last_attempt_keeps_its_distance_from_the_one_before() {
        assert_eq!(times(&queue(30, 240, 220), 0), [0, 30, 90, 210, 240]);
    }

    #[test]
    fn waits_begin_when_an_attempt_ends() {
        assert_eq!(times(&queue(30, 60, 120), 5), [0, 35, 100, 135]);
    }

    #[test]
    fn the_default_schedule_tries_twice_in_the_first_hour_and_for_five_days() {
        let times = times(&Queue::default(), 0);
        assert_eq!(times[..4], [0, 30, 90, 210]);
        assert_eq!(times.last(), Some(&(5 * 24 * 60)));
    }

    #[test]
    fn a_warning_after_the_end_is_none() {
        let late = Queue { warn: Some(Duration::from_hours(1)), ..queue(30, 60, 60) };
        assert_eq!(warning(&late, UNIX_EPOCH), None);
    }
}
