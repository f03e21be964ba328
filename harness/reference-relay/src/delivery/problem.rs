//! What went wrong, in the words of RFC 3463 and of people.

use crate::dns::DnsError;
use crate::envelope::Problem;
use crate::relay::Context;
use crate::reply::Reply;

use super::connection::Broken;

/// A problem of our own finding. The class of the status says whether it is permanent.
pub(super) fn own(context: &Context, status: &str, explanation: String) -> Problem {
    Problem {
        permanent: status.starts_with('5'),
        status: status.to_owned(),
        reply: None,
        host: None,
        reason: explanation.clone(),
        explanation,
        at: context.clock.now(),
    }
}

/// A refusal. `what` says what the host has done: "refused the recipient". The status is that of the reply, or else the
/// class of its code and nothing more: anything more would be guessed.
pub(super) fn refusal(context: &Context, host: &str, reply: &Reply, what: &str) -> Problem {
    let permanent = reply.is_permanent();
    // 2yz and 3yz where they mean nothing, too, come here: their status would be one of success, and what is wrong is the
    // protocol (RFC 3463 section 3.6).
    let refuses = reply.is_negative();
    let unspecific = match (refuses, permanent) {
        (false, _) => "4.5.0",
        (true, true) => "5.0.0",
        (true, false) => "4.0.0",
    };
    let told = reply.status().filter(|_| refuses);
    let said = reply.on_one_line();
    Problem {
        permanent,
        status: told.unwrap_or(unspecific).to_owned(),
        host: Some(host.to_owned()),
        reason: if refuses { said.clone() } else { format!("{host} {what}: {said}") },
        reply: Some(said),
        explanation: format!("{host} {what}."),
        at: context.clock.now(),
    }
}

/// A session that broke. It says nothing of the mail, so the mail waits.
pub(super) fn broken(context: &Context, host: &str, broken: &Broken, when: &str) -> Problem {
    let status = match broken {
        Broken::Connect(_) => "4.4.1",
        Broken::Closed | Broken::Reset | Broken::TimedOut | Broken::Stuck => "4.4.2",
        Broken::Tls(_) => "4.7.5",
        Broken::Garbled(_) | Broken::OutOfStep | Broken::Endless => "4.5.0",
    };
    let explanation = match broken {
        Broken::Connect(why) => format!("{host} could not be reached: {why}."),
        Broken::Closed => format!("{host} closed the connection {when}."),
        Broken::Reset => format!("{host} reset the connection {when}."),
        Broken::Tls(why) => format!("TLS with {host} broke {when}: {why}."),
        Broken::Stuck => format!("{host} took nothing more {when}."),
        Broken::TimedOut => format!("{host} did not answer in time {when}."),
        Broken::OutOfStep => format!("{host} said more than it was asked {when}."),
        Broken::Endless => format!("{host} did not stop asking {when}."),
        Broken::Garbled(why) => format!("{host} did not speak SMTP {when}: {why}."),
    };
    Problem { host: Some(host.to_owned()), ..own(context, status, explanation) }
}

/// What DNS said of a recipient's domain.
pub(super) fn of_domain(context: &Context, domain: &str, error: &DnsError) -> Problem {
    let (status, explanation) = match error {
        // RFC 5321 section 5.1: a name that does not exist must be reported. One that DNS cannot even hold is among them.
        DnsError::NoSuchDomain => ("5.1.2", format!("The domain {domain} does not exist.")),
        // RFC 7505 section 4.
        DnsError::NoMail => ("5.1.10", format!("The domain {domain} does not accept mail.")),
        // RFC 3463 section 3.5 gives a name with no such records as an example of X.4.4.
        DnsError::NoAddress => {
            ("5.4.4", format!("The domain {domain} has no mail exchanger and no address."))
        }
        // RFC 5321 section 5.1: to be queued, and retried. An answer that makes no sense is none; the next may make some.
        DnsError::Temporary(why) | DnsError::Malformed(why) => {
            ("4.4.3", format!("The domain {domain} could not be looked up: {why}."))
        }
    };
    own(context, status, explanation)
}

/// What DNS said of a mail exchanger. One that cannot be found is of no use, and another may be (RFC 5321 section 5.1).
pub(super) fn of_exchanger(context: &Context, host: &str, error: &DnsError) -> Problem {
    let status = if is_temporary(error) { "4.4.3" } else { "5.4.4" };
    Problem {
        host: Some(host.to_owned()),
        ..own(context, status, format!("The mail exchanger {host} has no known address: {error}."))
    }
}

/// What DNS said instead of a host's TLSA records. RFC 7672 section 2.1.2: the host is as good as unreachable.
pub(super) fn of_tlsa(context: &Context, host: &str, error: &DnsError) -> Problem {
    let explanation = format!("The TLSA records of {host} could not be looked up: {error}.");
    Problem { host: Some(host.to_owned()), ..own(context, "4.7.5", explanation) }
}

/// What DNS said of a host that the operator named. The mistake is the operator's, who may mend it: the mail waits.
pub(super) fn of_named_host(context: &Context, host: &str, error: &DnsError) -> Problem {
    let status = if is_temporary(error) { "4.4.3" } else { "4.3.5" };
    Problem {
        host: Some(host.to_owned()),
        ..own(context, status, format!("The configured host {host} has no known address: {error}."))
    }
}

fn is_temporary(error: &DnsError) -> bool {
    matches!(error, DnsError::Temporary(_) | DnsError::Malformed(_))
}
