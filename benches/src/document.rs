//! A bench document taken apart without being held in memory as a tree.

/// The top-level arrays and objects of a JSON object, as text.
pub(crate) struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Fields<'a> {
    /// The fields of an object.
    pub(crate) fn of(object: &'a str) -> Self {
        let rest = object.trim().strip_prefix('{').unwrap_or_default();
        Self { rest }
    }

    /// The items of the array under a key; none if there is no such array.
    pub(crate) fn array(object: &'a str, key: &str) -> Vec<&'a str> {
        let found = Self::of(object).find(|(name, _)| *name == key);
        found.map_or_else(Vec::new, |(_, value)| items(value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_start_matches([' ', ',']);
        let (key, rest) = rest.split_at_checked(value_length(rest))?;
        let rest = rest.trim_start().strip_prefix(':')?.trim_start();
        let (value, rest) = rest.split_at_checked(value_length(rest))?;
        self.rest = rest;
        Some((key.trim_matches('"'), value))
    }
}

/// The items of an array.
fn items(array: &str) -> Vec<&str> {
    let mut rest = array.strip_prefix('[').unwrap_or_default();
    let mut items = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        let length = value_length(rest);
        match rest.split_at_checked(length).filter(|_| length > 0) {
            Some((item, after)) => {
                items.push(item);
                rest = after;
            }
            None => return items,
        }
    }
}

/// How long the value is that a text starts with.
fn value_length(text: &str) -> usize {
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_text = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' | b':' if depth == 0 => return at,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(byte, b'}' | b']') {
                return at + 1;
            }
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_their_field() {
        let text = r#"{"id": 7, "list": [{"a": "}\"]"}, [1, 2], "x"], "last": []}"#;
        assert_eq!(
            Fields::array(text, "list"),
            [r#"{"a": "}\"]"}"#, "[1, 2]", "\"x\""]
        );
        assert!(Fields::array(text, "last").is_empty());
        let names: Vec<&str> = Fields::of(text).map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "list", "last"]);
    }
}
