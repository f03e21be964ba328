//! `servers:` — who stands where, and what differs from the profile.

use mock_servers::script::{Offers, Profile, Script};
use mock_servers::transcript::Side;

use super::context::{Context, entries};
use super::model::{Address, Reach, Server, Serves};
use super::{dialogue, profiles, replies, rules, tls, values, words};
use crate::yaml::{Diagnostic, Mapping, Node, Value, one_or_more};

/// The profile of a server that names none.
const PLAIN: &str = "rfc5321";

/// EHLO keywords that `drop:` may name though the profile does not list them.
const KEYWORDS: [&str; 16] = [
    "8BITMIME",
    "AUTH",
    "BINARYMIME",
    "CHUNKING",
    "DELIVERBY",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "ETRN",
    "EXPN",
    "HELP",
    "PIPELINING",
    "REQUIRETLS",
    "SIZE",
    "SMTPUTF8",
    "STARTTLS",
    "VRFY",
];

/// How many servers, and addresses of one server, have room among a run's documentation addresses.
const MOST_SERVERS: usize = 20;
const MOST_ADDRESSES: usize = 10;

/// The value of `servers:`.
pub(super) fn servers(node: &Node, cx: &Context<'_>) -> Vec<Server> {
    if !matches!(node.value, Value::Mapping(_)) {
        cx.problems.expected(node, "a mapping from names to servers");
    }
    if let Value::Mapping(list) = &node.value
        && let Some(entry) = list.get(MOST_SERVERS)
    {
        cx.problems.push(
            Diagnostic::new(entry.key_span.clone(), format!("more than {MOST_SERVERS} servers"))
                .because("the documentation addresses of a run are used up here"),
        );
    }
    let mut servers: Vec<Server> =
        entries(node).take(MOST_SERVERS).filter_map(|(name, node)| server(name, node, cx)).collect();
    // A host name by the domain it serves is only good for one.
    let shared: Vec<String> = {
        let domains: Vec<&String> =
            servers.iter().filter_map(|server| server.serves.first()).map(|serves| &serves.domain).collect();
        domains
            .iter()
            .filter(|domain| domains.iter().filter(|other| other.eq_ignore_ascii_case(domain)).count() > 1)
            .map(|domain| (*domain).clone())
            .collect()
    };
    for server in &mut servers {
        if server.script.hostname.is_empty() {
            server.script.hostname = match server.serves.first() {
                None => format!("{}.example", server.script.name),
                Some(first) if shared.contains(&first.domain) => {
                    format!("{}.{}", server.script.name, first.domain)
                }
                Some(first) => format!("mx.{}", first.domain),
            };
        }
    }
    servers
}

fn server(name: &str, node: &Node, cx: &Context<'_>) -> Option<Server> {
    let problems = cx.problems;
    let mapping = Mapping::new(node, &words::SERVER, problems)?;
    let mut profile = mapping.take("profile").map_or_else(|| plain(node, cx), |node| profile_of(node, cx))?;
    if let Some(node) = mapping.take("banner")
        && let Some(banner) = replies::reply(node, cx)
    {
        profile.banner = banner;
    }
    if let Some(node) = mapping.take("offers") {
        profile.offers = offers(node, &profile.offers, cx);
    }
    let serves = mapping.take("serves").map(|node| serves(node, cx)).unwrap_or_default();
    let addresses = mapping.take("addresses").map_or_else(
        || vec![Address { v6: false, reach: Reach::Good }],
        |node| {
            if let Some(extra) = one_or_more(node).get(MOST_ADDRESSES) {
                problems.push(Diagnostic::new(
                    extra.span.clone(),
                    format!("more than {MOST_ADDRESSES} addresses of one server"),
                ));
            }
            one_or_more(node).iter().take(MOST_ADDRESSES).filter_map(|node| address(node, cx)).collect()
        },
    );
    let hostname = mapping.take("hostname").and_then(|node| problems.some_text(node, "a host name"));
    let rules_node = mapping.take("on");
    let rules = rules_node.map(|node| rules::on(node, cx)).unwrap_or_default();
    let pace = mapping.take("pace").and_then(|node| rules::segment_size(node, cx));
    let read = mapping
        .take("read")
        .and_then(|node| problems.parsed(node, "how much is read", values::reading))
        .unwrap_or_default();
    let dialogue_node = mapping.take("dialogue");
    let dialogue = dialogue_node.and_then(|node| dialogue::dialogue(node, Side::Server, cx));
    let credentials = mapping.take("credentials").and_then(|node| credentials(node, cx));
    let certificate =
        mapping.take("certificate").and_then(|node| tls::certificate(node, cx)).unwrap_or_default();
    for key in ["on", "profile", "banner", "offers", "pace", "credentials", "certificate"] {
        if let (Some(entry), Some(_)) = (mapping.entry(key), dialogue_node) {
            problems.push(
                Diagnostic::new(entry.key_span.clone(), format!("`{key}:` beside `dialogue:`"))
                    .because("a dialogue says its own lines and nothing else: this would have no effect")
                    .help("take one of the two"),
            );
        }
    }
    mapping.finish();
    if !serves.is_empty() {
        cx.mention(super::context::Kind::Server, name);
    }
    Some(Server {
        script: Script {
            name: name.to_owned(),
            hostname: hostname.unwrap_or_default(),
            profile,
            rules,
            dialogue,
            credentials,
            pace,
            read,
            certificate,
        },
        serves,
        addresses,
    })
}

fn plain(node: &Node, cx: &Context<'_>) -> Option<Profile> {
    named(PLAIN, node, cx)
}

fn profile_of(node: &Node, cx: &Context<'_>) -> Option<Profile> {
    let name = cx.problems.text(node, "the name of a profile")?;
    let known: Vec<&str> = profiles::profile_names().collect();
    if !known.contains(&name.as_str()) {
        cx.problems.unknown(node.span.clone(), format!("there is no profile `{name}`"), &name, &known);
        return None;
    }
    named(&name, node, cx)
}

fn named(name: &str, node: &Node, cx: &Context<'_>) -> Option<Profile> {
    match profiles::profile(name)? {
        Ok(profile) => Some(profile),
        Err(diagnostics) => {
            cx.problems.push(
                Diagnostic::new(node.span.clone(), format!("the profile `{name}` cannot be read"))
                    .help(diagnostics.to_string()),
            );
            None
        }
    }
}

fn serves(node: &Node, cx: &Context<'_>) -> Vec<Serves> {
    let read = |node: &Node| {
        if let Value::Mapping(_) = node.value {
            let mapping = Mapping::new(node, &words::SERVES, cx.problems)?;
            let domain = mapping.require("domain").and_then(|node| domain(node, cx));
            let preference = mapping.take("preference").map_or(Some(10), |node| {
                let number = cx.problems.integer(node, "a preference from 0 to 65535")?;
                let preference = u16::try_from(number).ok();
                if preference.is_none() {
                    cx.problems.expected(node, "a preference from 0 to 65535");
                }
                preference
            });
            mapping.finish();
            return Some(Serves { domain: domain?, preference: preference? });
        }
        Some(Serves { domain: domain(node, cx)?, preference: 10 })
    };
    one_or_more(node).iter().filter_map(read).collect()
}

fn domain(node: &Node, cx: &Context<'_>) -> Option<String> {
    let domain = cx.problems.some_text(node, "a domain")?;
    if domain.contains(['@', ' ', '*']) {
        cx.problems.push(
            Diagnostic::new(node.span.clone(), format!("`{domain}` is not a domain"))
                .help("a domain stands alone, without a mailbox: `hub.example`"),
        );
        return None;
    }
    Some(domain)
}

/// `v4`, `{ v6: filtered }`.
fn address(node: &Node, cx: &Context<'_>) -> Option<Address> {
    let problems = cx.problems;
    if let Value::Text(_) = node.value {
        let v6 = problems.word(node, "a kind of address", &[("v4", false), ("v6", true)])?;
        return Some(Address { v6, reach: Reach::Good });
    }
    let mapping = Mapping::new(node, &words::ADDRESS, problems)?;
    let words = [("good", Reach::Good), ("refused", Reach::Refused), ("filtered", Reach::Filtered)];
    let reach = |node| problems.word(node, "what a connection meets", &words);
    let v4 = mapping.take("v4").map(|node| (false, reach(node)));
    let v6 = mapping.take("v6").map(|node| (true, reach(node)));
    mapping.finish();
    match (v4, v6) {
        (Some((v6, reach)), None) | (None, Some((v6, reach))) => Some(Address { v6, reach: reach? }),
        _ => {
            problems.push(
                Diagnostic::new(node.span.clone(), "an address is `v4` or `v6`")
                    .help("`{ v6: filtered }`; each address is an element of its own"),
            );
            None
        }
    }
}

fn credentials(node: &Node, cx: &Context<'_>) -> Option<(String, String)> {
    let mapping = Mapping::new(node, &words::CREDENTIALS, cx.problems)?;
    let user = mapping.require("user").and_then(|node| cx.problems.some_text(node, "a user name"));
    let password = mapping.require("password").and_then(|node| cx.problems.text(node, "a password"));
    mapping.finish();
    Some((user?, password?))
}

/// `offers:` — a list in place of the profile's, or changes to it.
fn offers(node: &Node, base: &Offers, cx: &Context<'_>) -> Offers {
    if let Value::List(_) = node.value {
        return Offers { at_first: keywords(node, cx), after_tls: None, after_auth: None };
    }
    let Some(mapping) = Mapping::new(node, &words::OFFERS, cx.problems) else { return base.clone() };
    let mut offers = base.clone();
    change(&mut offers.at_first, &mapping, cx);
    for (word, tls) in [("after tls", true), ("after auth", false)] {
        let Some(node) = mapping.take(word) else { continue };
        let list = if let Value::List(_) = node.value {
            keywords(node, cx)
        } else {
            let mut list = offers.list(tls, false).into_owned();
            if let Some(mapping) = Mapping::new(node, &words::OFFERS_AFTER, cx.problems) {
                change(&mut list, &mapping, cx);
                mapping.finish();
            }
            list
        };
        if tls {
            offers.after_tls = Some(list);
        } else {
            offers.after_auth = Some(list);
        }
    }
    mapping.finish();
    offers
}

/// `add:` and `drop:`.
fn change(list: &mut Vec<String>, mapping: &Mapping<'_>, cx: &Context<'_>) {
    for node in mapping.take("drop").map(one_or_more).unwrap_or_default() {
        let Some(keyword) = cx.problems.some_text(node, "an EHLO keyword") else { continue };
        let listed: Vec<String> = list.iter().map(|one| first_word(one).to_owned()).collect();
        let others = KEYWORDS.into_iter().filter(|one| !listed.iter().any(|l| l.eq_ignore_ascii_case(one)));
        let known: Vec<&str> = listed.iter().map(String::as_str).chain(others).collect();
        if !known.iter().any(|one| one.eq_ignore_ascii_case(&keyword)) {
            let title = format!("`drop:` knows no EHLO keyword `{keyword}`");
            cx.problems.unknown(node.span.clone(), title, &keyword, &known);
        }
        list.retain(|one| !first_word(one).eq_ignore_ascii_case(&keyword));
    }
    for keyword in mapping.take("add").map(|node| keywords(node, cx)).unwrap_or_default() {
        // `AUTH LOGIN` and `AUTH=LOGIN` stand beside each other in many a reply.
        let old_style = |one: &str| one.as_bytes().get(first_word(one).len()) == Some(&b'=');
        let same = |one: &&mut String| {
            first_word(one).eq_ignore_ascii_case(first_word(&keyword))
                && old_style(one) == old_style(&keyword)
        };
        match list.iter_mut().find(same) {
            Some(one) => *one = keyword,
            None => list.push(keyword),
        }
    }
}

fn keywords(node: &Node, cx: &Context<'_>) -> Vec<String> {
    one_or_more(node).iter().filter_map(|node| cx.problems.some_text(node, "an EHLO keyword")).collect()
}

fn first_word(keyword: &str) -> &str {
    keyword.split([' ', '=']).next().unwrap_or_default()
}
