//! Vendor profiles, embedded as text. What each line of them means is known to the harness, which reads scenarios too.

/// Name and YAML text of every profile in `mock-servers/profiles`.
pub const ALL: &[(&str, &str)] = &[
    ("domino-r5", include_str!("../profiles/domino-r5.yaml")),
    ("exchange-2000", include_str!("../profiles/exchange-2000.yaml")),
    ("exchange-5.5", include_str!("../profiles/exchange-5.5.yaml")),
    ("iis-5", include_str!("../profiles/iis-5.yaml")),
    ("mcis", include_str!("../profiles/mcis.yaml")),
    ("rfc5321", include_str!("../profiles/rfc5321.yaml")),
];
