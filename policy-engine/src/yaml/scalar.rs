//! What a scalar means: text, or one of the things that YAML takes unquoted words for.

/// A scalar as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar<'a> {
    pub(crate) text: &'a str,
    pub(crate) style: Style,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// Without quotes; the text decides what it means.
    Plain,
    /// In quotes or a block: text, whatever it says.
    Quoted,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    Boolean(bool),
    Integer(i64),
    Null,
    Number,
    Text,
    /// A word that YAML 1.1, and with it Kubernetes, reads as a boolean and YAML 1.2 as text.
    Word,
}

impl Scalar<'_> {
    pub(crate) fn meaning(&self) -> Meaning {
        match self.style {
            Style::Plain => plain(self.text),
            Style::Quoted => Meaning::Text,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self.meaning() {
            Meaning::Boolean(_) => format!("the boolean {}", self.text),
            Meaning::Integer(_) | Meaning::Number => format!("the number {}", self.text),
            Meaning::Null => "nothing".to_owned(),
            // A message repeats the start of a long text.
            Meaning::Text => match self.text.char_indices().nth(100) {
                Some((end, _)) => {
                    format!("the text {:?}…", self.text.get(..end).unwrap_or_default())
                }
                None => format!("the text {:?}", self.text),
            },
            Meaning::Word => format!("{}, which Kubernetes reads as a boolean", self.text),
        }
    }
}

fn plain(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" => Meaning::Boolean(true),
        "false" | "False" | "FALSE" => Meaning::Boolean(false),
        _ if is_word(text) => Meaning::Word,
        _ => number(text),
    }
}

fn is_word(text: &str) -> bool {
    const WORDS: [&str; 6] = ["n", "no", "off", "on", "y", "yes"];
    text.len() <= 3 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn number(text: &str) -> Meaning {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Meaning::Text;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        // A leading zero is octal to YAML 1.1 and decimal to YAML 1.2: a number, but which?
        let octal = digits.len() > 1 && digits.starts_with('0');
        return match text.parse() {
            Ok(value) if !octal => Meaning::Integer(value),
            _ => Meaning::Number,
        };
    }
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| {
        digits.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_')
        })
    });
    let plain = digits
        .bytes()
        .all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if radix || (plain && text.parse::<f64>().is_ok()) {
        Meaning::Number
    } else {
        Meaning::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_mean_what_kubernetes_takes_them_for() {
        let cases = [
            ("", Meaning::Null),
            ("true", Meaning::Boolean(true)),
            ("yes", Meaning::Word),
            ("80", Meaning::Integer(80)),
            ("-1", Meaning::Integer(-1)),
            ("010", Meaning::Number),
            ("0x50", Meaning::Number),
            ("1.5", Meaning::Number),
            ("1e3", Meaning::Number),
            ("10.0.0.0/8", Meaning::Text),
            ("10.0.0.1", Meaning::Text),
            ("2001:db8::/32", Meaning::Text),
            ("web", Meaning::Text),
            ("-", Meaning::Text),
            (".", Meaning::Text),
        ];
        for (text, meaning) in cases {
            assert_eq!(plain(text), meaning, "{text:?}");
        }
    }
}
