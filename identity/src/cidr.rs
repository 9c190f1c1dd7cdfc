//! Address prefixes as label keys: IPv6 with `-` for `:`, for a label's text knows only one `:`.

use palisade_abi::Prefix;

/// The key of a prefix's label: `10.0.0.0/8`, `fd00--0/8`, `0--1/128`.
pub(crate) fn key(prefix: Prefix) -> String {
    let address = prefix.address();
    let length = prefix.length();
    if address.is_ipv4() {
        return format!("{address}/{length}");
    }
    let dashed = address.to_string().replace(':', "-");
    // An edge without a digit would not parse as a Kubernetes label key.
    let head = if dashed.starts_with('-') { "0" } else { "" };
    let tail = if dashed.ends_with('-') { "0" } else { "" };
    format!("{head}{dashed}{tail}/{length}")
}

/// Reads a key back; the form with colons is taken too.
pub(crate) fn parse(key: &str) -> Option<Prefix> {
    if !key.contains('/') {
        return None;
    }
    key.replace('-', ":").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_keys_translate_both_ways() {
        let cases = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.7/32", "192.0.2.7/32"),
            ("fd00::/8", "fd00--0/8"),
            ("::1/128", "0--1/128"),
            ("::/0", "0--0/0"),
            ("2001:db8::1/128", "2001-db8--1/128"),
            ("2001:db8:1:2:3:4:5:6/128", "2001-db8-1-2-3-4-5-6/128"),
        ];
        for (text, expected) in cases {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(key(prefix), expected, "{text}");
            assert_eq!(parse(expected), Some(prefix), "{expected}");
        }
    }

    #[test]
    fn a_bare_address_is_no_key() {
        assert_eq!(parse("10.0.0.1"), None);
        assert_eq!(parse("10.0.0.1/33"), None);
        assert_eq!(parse("ten/8"), None);
    }
}
