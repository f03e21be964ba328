//! Vendor profiles, embedded as text. What each line of them means is known to the harness, which reads scenarios too.

/// Name and YAML text of every profile in `mock-servers/profiles`.
pub const ALL: &[(&str, &str)] = &[
    ("cisco-asa", include_str!("../profiles/cisco-asa.yaml")),
    ("cisco-pix", include_str!("../profiles/cisco-pix.yaml")),
    ("domino-r5", include_str!("../profiles/domino-r5.yaml")),
    ("exchange-2000", include_str!("../profiles/exchange-2000.yaml")),
    ("exchange-5.5", include_str!("../profiles/exchange-5.5.yaml")),
    ("exchange-online", include_str!("../profiles/exchange-online.yaml")),
    ("gmail", include_str!("../profiles/gmail.yaml")),
    ("iis-5", include_str!("../profiles/iis-5.yaml")),
    ("mcis", include_str!("../profiles/mcis.yaml")),
    ("postfix", include_str!("../profiles/postfix.yaml")),
    ("rfc5321", include_str!("../profiles/rfc5321.yaml")),
];
