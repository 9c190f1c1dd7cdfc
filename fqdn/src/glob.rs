//! One label against one label's pattern.

/// Whether every byte of the label is one that a star may stand for.
///
/// A pattern's own characters are of the same set, so a label with any other byte matches nothing.
pub(crate) fn is_plain(label: &[u8]) -> bool {
    label
        .iter()
        .all(|&byte| byte.is_ascii() && PLAIN >> byte & 1 == 1)
}

/// A bit for each character, since every byte of every query passes here.
const PLAIN: u128 = range(b'a', b'z')
    | range(b'A', b'Z')
    | range(b'0', b'9')
    | range(b'-', b'-')
    | range(b'_', b'_');

const fn range(first: u8, last: u8) -> u128 {
    (u128::MAX >> (127 - (last - first))) << first
}

/// Whether a label made of plain bytes fits the pattern. Linear in the label for each star.
pub(crate) fn matches(pattern: &[u8], label: &[u8]) -> bool {
    let mut pieces = pattern.split(|&byte| byte == b'*');
    let Some(first) = pieces.next() else {
        return label.is_empty();
    };
    let Some(last) = pieces.next_back() else {
        return first == label;
    };
    let Some(rest) = label.strip_prefix(first) else {
        return false;
    };
    let Some(rest) = rest.strip_suffix(last) else {
        return false;
    };
    // Taking each piece where it first occurs leaves the most room for those that follow.
    pieces
        .try_fold(rest, |rest, piece| after(rest, piece))
        .is_some()
}

/// What follows the first occurrence of `piece` in `text`.
fn after<'a>(text: &'a [u8], piece: &[u8]) -> Option<&'a [u8]> {
    if piece.is_empty() {
        return Some(text);
    }
    let start = text
        .windows(piece.len())
        .position(|window| window == piece)?;
    text.get(start + piece.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_number_of_characters() {
        let case = |pattern: &str, label: &str| matches(pattern.as_bytes(), label.as_bytes());
        assert!(case("*", "x") && case("*a", "a") && case("a*", "a") && case("a*b", "ab"));
        assert!(case("a*b*c", "axbxbxc") && case("*b*", "abc"));
        assert!(!case("a*a", "a") && !case("ab*bc", "abc") && !case("a*b*b", "ab"));
        assert!(!case("a", "ab") && !case("a*b", "b"));
    }
}
