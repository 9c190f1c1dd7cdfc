//! Address prefixes as label keys: IPv6 with `-` for `:`, for a label's text knows only one `:`.

use std::net::{IpAddr, Ipv4Addr};

use palisade_abi::Prefix;

use crate::text::Text;

/// The key of a prefix's label: `10.0.0.0/8`, `fd00--0/8`, `0--1/128`.
pub(crate) fn key(prefix: Prefix) -> Text {
    let address = prefix.address();
    let length = prefix.length();
    if let IpAddr::V4(address) = address.ip() {
        return ipv4(address, length);
    }
    let dashed = address.to_string().replace(':', "-");
    // An edge without a digit would not parse as a Kubernetes label key.
    let head = if dashed.starts_with('-') { "0" } else { "" };
    let tail = if dashed.ends_with('-') { "0" } else { "" };
    Text::from(&*format!("{head}{dashed}{tail}/{length}"))
}

/// Written by hand: such keys are made by the thousand.
fn ipv4(address: Ipv4Addr, length: u8) -> Text {
    let mut text = String::with_capacity("255.255.255.255/32".len());
    let [a, b, c, d] = address.octets();
    for (number, separator) in [(a, '.'), (b, '.'), (c, '.'), (d, '/')] {
        push_number(&mut text, number);
        text.push(separator);
    }
    push_number(&mut text, length);
    Text::from(&*text)
}

fn push_number(text: &mut String, number: u8) {
    for unit in [100, 10, 1] {
        if number >= unit || unit == 1 {
            text.push(char::from(b'0' + number / unit % 10));
        }
    }
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
            assert_eq!(&*key(prefix), expected, "{text}");
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
