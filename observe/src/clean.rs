//! Names come from pods and from the network; a terminal must not obey them.

use std::fmt::{self, Write as _};

/// A text without characters that a terminal acts on: they are printed as escapes.
pub(crate) struct Clean<'a>(pub(crate) &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_unsafe(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// JSON whose strings hold no such character either: they become `\uXXXX`.
///
/// Outside of its strings JSON that is written on one line has none.
pub(crate) struct CleanJson<'a>(pub(crate) &'a str);

impl fmt::Display for CleanJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_unsafe(character) {
                write!(f, "\\u{:04x}", u32::from(character))?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
/// All of them have four hexadecimal digits.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_do_not_reach_a_terminal() {
        let cases = [
            ("shop/cart", "shop/cart"),
            ("münchen", "münchen"),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("a\nb\r", r"a\u{a}b\u{d}"),
            ("\u{9b}0m", r"\u{9b}0m"),
            ("\u{202e}gpj", r"\u{202e}gpj"),
        ];
        for (text, cleaned) in cases {
            assert_eq!(Clean(text).to_string(), cleaned);
        }
    }

    #[test]
    fn json_keeps_its_meaning() {
        let name = "a\u{9b}\u{7f}\u{202e}é\u{1b}";
        let plain = serde_json::to_string(name).unwrap();
        let cleaned = CleanJson(&plain).to_string();
        assert_eq!(cleaned, r#""a\u009b\u007f\u202eé\u001b""#);
        assert_eq!(serde_json::from_str::<String>(&cleaned).unwrap(), name);
    }
}
