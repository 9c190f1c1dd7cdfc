//! Whether a text is a regular expression in the syntax of RE2, which proxies use.
//!
//! Only the syntax is looked at: nothing is compiled, so that a text costs time in proportion to
//! its length. Names of Unicode classes are not compared with the tables of a Unicode version.

use std::iter::Peekable;
use std::str::Chars;

/// Checks a text.
///
/// # Errors
/// What is wrong, in a few words.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let mut parser = Parser {
        rest: text.chars().peekable(),
        open: Vec::new(),
        here: Group::default(),
        names: Vec::new(),
    };
    while let Some(character) = parser.rest.next() {
        parser.step(character)?;
    }
    if parser.open.is_empty() {
        Ok(())
    } else {
        Err("a `(` is not closed")
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    open: Vec<Group>,
    here: Group,
    names: Vec<String>,
}

/// What stands between a parenthesis and the place.
#[derive(Clone, Copy, Default)]
struct Group {
    last: Last,
    /// How often the last atom may be repeated by counts inside it and on it.
    weight: u32,
    /// The largest of the group.
    heaviest: u32,
}

/// What stands before the place.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Last {
    Atom,
    #[default]
    Nothing,
    Repetition,
}

impl Parser<'_> {
    fn step(&mut self, character: char) -> Result<(), &'static str> {
        match character {
            '(' => self.open_group(),
            ')' => self.close_group(),
            '|' => {
                self.here.last = Last::Nothing;
                Ok(())
            }
            '*' | '+' | '?' => self.repeat(1),
            '{' => match self.counts() {
                Some(count) => self.repeat(count?),
                None => self.atom(),
            },
            '[' => {
                self.class()?;
                self.atom()
            }
            '\\' => self.escape(),
            _ => self.atom(),
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the last step of those that can fail"
    )]
    const fn atom(&mut self) -> Result<(), &'static str> {
        self.here.last = Last::Atom;
        self.here.weight = 1;
        Ok(())
    }

    fn repeat(&mut self, count: u32) -> Result<(), &'static str> {
        match self.here.last {
            Last::Nothing => return Err("there is nothing to repeat"),
            Last::Repetition => return Err("a repetition is repeated"),
            Last::Atom => {}
        }
        let _lazy = self.rest.next_if_eq(&'?');
        let weight = self.here.weight.max(1).saturating_mul(count.max(1));
        if weight > MAX_REPEAT {
            return Err("more than 1000 repetitions");
        }
        self.here.last = Last::Repetition;
        self.here.heaviest = self.here.heaviest.max(weight);
        Ok(())
    }

    /// The larger count of `{2,5}`; `None` if the brace stands for itself.
    fn counts(&mut self) -> Option<Result<u32, &'static str>> {
        let mut ahead = self.rest.clone();
        let least = number(&mut ahead)?;
        let most = match ahead.next()? {
            '}' => Some(least),
            ',' if ahead.next_if_eq(&'}').is_some() => None,
            ',' => {
                let most = number(&mut ahead)?;
                ahead.next_if_eq(&'}')?;
                Some(most)
            }
            _ => return None,
        };
        self.rest = ahead;
        let largest = most.unwrap_or(least).max(least);
        Some(
            if largest > MAX_REPEAT || most.is_some_and(|most| most < least) {
                Err("these repetition counts are not possible")
            } else {
                Ok(largest)
            },
        )
    }

    fn open_group(&mut self) -> Result<(), &'static str> {
        if self.rest.next_if_eq(&'?').is_some() && self.group_kind()? == Kind::Flags {
            return Ok(());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err("groups are nested too deep");
        }
        self.open.push(self.here);
        self.here = Group::default();
        Ok(())
    }

    /// What follows `(?`: a name, or flags with or without an expression of their own.
    fn group_kind(&mut self) -> Result<Kind, &'static str> {
        let named = match self.rest.peek() {
            Some('P') => {
                self.rest.next();
                if self.rest.next_if_eq(&'<').is_none() {
                    return Err("after `(?P` a name in `<>` is needed");
                }
                true
            }
            Some('<') => self.rest.next().is_some(),
            _ => false,
        };
        if named {
            let mut name = String::new();
            while let Some(c) = self
                .rest
                .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
            {
                name.push(c);
            }
            if name.is_empty() || self.rest.next_if_eq(&'>').is_none() || self.names.contains(&name)
            {
                return Err("the name of a group is not valid");
            }
            if self.names.len() >= MAX_DEPTH {
                return Err("too many names of groups");
            }
            self.names.push(name);
            return Ok(Kind::Expression);
        }
        let (mut minus, mut any) = (false, false);
        loop {
            match self.rest.next() {
                Some('i' | 'm' | 's' | 'U') => any = true,
                Some('-') if !minus => (minus, any) = (true, false),
                Some(':') if any || !minus => return Ok(Kind::Expression),
                Some(')') if any || !minus => return Ok(Kind::Flags),
                Some(_) | None => return Err("a group starts with `(?` and no flags known"),
            }
        }
    }

    fn close_group(&mut self) -> Result<(), &'static str> {
        let inner = self.here;
        self.here = self.open.pop().ok_or("a `)` closes nothing")?;
        self.here.last = Last::Atom;
        self.here.weight = inner.heaviest.max(1);
        self.here.heaviest = self.here.heaviest.max(self.here.weight);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        match self.rest.next() {
            Some('A' | 'b' | 'B' | 'z' | 'd' | 'D' | 's' | 'S' | 'w' | 'W') => self.atom(),
            Some('p' | 'P') => {
                self.unicode_class()?;
                self.atom()
            }
            // Text up to `\E` stands for itself.
            Some('Q') => {
                while let Some(c) = self.rest.next() {
                    if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                        break;
                    }
                    self.atom()?;
                }
                Ok(())
            }
            Some(character) => {
                self.character(character)?;
                self.atom()
            }
            None => Err("a backslash stands at the end"),
        }
    }

    /// The character that an escape stands for.
    fn character(&mut self, escaped: char) -> Result<char, &'static str> {
        let octal = |c: &char| ('0'..='7').contains(c);
        match escaped {
            '1'..='7' if !self.rest.peek().is_some_and(octal) => {
                Err("there are no back references")
            }
            '0'..='7' => {
                let mut value = escaped.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    if let Some(c) = self.rest.next_if(octal) {
                        value = value * 8 + c.to_digit(8).unwrap_or(0);
                    }
                }
                char::from_u32(value).ok_or(ESCAPE)
            }
            'x' => self.hexadecimal(),
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
            _ => Err(ESCAPE),
        }
    }

    fn hexadecimal(&mut self) -> Result<char, &'static str> {
        let braced = self.rest.next_if_eq(&'{').is_some();
        let mut digits = String::new();
        while digits.len() < if braced { 8 } else { 2 } {
            match self.rest.next_if(char::is_ascii_hexdigit) {
                Some(c) => digits.push(c),
                None => break,
            }
        }
        let closed = if braced {
            self.rest.next_if_eq(&'}').is_some()
        } else {
            digits.len() == 2
        };
        let value = u32::from_str_radix(&digits, 16).ok().filter(|_| closed);
        // A surrogate is no character to Rust and one to RE2; any other stands in its place.
        let surrogate = |value: u32| (0xd800..0xe000).contains(&value).then_some('\u{d7ff}');
        value
            .and_then(|value| char::from_u32(value).or_else(|| surrogate(value)))
            .ok_or(ESCAPE)
    }

    fn unicode_class(&mut self) -> Result<(), &'static str> {
        let unknown = "this class of characters is not known";
        match self.rest.next() {
            Some('{') => {
                let _negated = self.rest.next_if_eq(&'^');
                let mut any = false;
                for c in self.rest.by_ref() {
                    match c {
                        '}' if any => return Ok(()),
                        'A'..='Z' | 'a'..='z' | '_' => any = true,
                        _ => return Err(unknown),
                    }
                }
                Err(unknown)
            }
            Some('C' | 'L' | 'M' | 'N' | 'P' | 'S' | 'Z') => Ok(()),
            Some(_) | None => Err(unknown),
        }
    }

    fn class(&mut self) -> Result<(), &'static str> {
        let _negated = self.rest.next_if_eq(&'^');
        let mut first = true;
        loop {
            let character = self.rest.next().ok_or("a `[` is not closed")?;
            match character {
                ']' if !first => return Ok(()),
                '[' if self.rest.peek() == Some(&':') && self.named_class()? => {}
                '\\' if self.class_escape()? => {}
                _ => self.range(character)?,
            }
            first = false;
        }
    }

    /// `[:alpha:]`, of which the bracket is read; whether it is one.
    fn named_class(&mut self) -> Result<bool, &'static str> {
        let mut ahead = self.rest.clone();
        ahead.next();
        let mut name = String::new();
        while let Some(c) = ahead.next_if(|c| c.is_ascii_lowercase() || *c == '^') {
            name.push(c);
        }
        if ahead.next() != Some(':') || ahead.next() != Some(']') {
            return Ok(false);
        }
        self.rest = ahead;
        let name = name.strip_prefix('^').unwrap_or(&name);
        if CLASSES.contains(&name) {
            Ok(true)
        } else {
            Err("this class of characters is not known")
        }
    }

    /// An escape that stands for a class, of which the backslash is read; whether it is one.
    fn class_escape(&mut self) -> Result<bool, &'static str> {
        match self.rest.peek() {
            Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => {
                self.rest.next();
                Ok(true)
            }
            Some('p' | 'P') => {
                self.rest.next();
                self.unicode_class()?;
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// A character of a class, or a range that starts with it.
    fn range(&mut self, first: char) -> Result<(), &'static str> {
        let low = self.class_character(first)?;
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || matches!(ahead.peek(), Some(']') | None) {
            return Ok(());
        }
        self.rest = ahead;
        let last = self.rest.next().ok_or("a `[` is not closed")?;
        if self.class_character(last)? < low {
            return Err("a range of characters ends before it starts");
        }
        Ok(())
    }

    fn class_character(&mut self, character: char) -> Result<char, &'static str> {
        if character != '\\' {
            return Ok(character);
        }
        let escaped = self.rest.next().ok_or("a backslash stands at the end")?;
        self.character(escaped)
    }
}

/// What the text after `(?` starts.
#[derive(Eq, PartialEq)]
enum Kind {
    Expression,
    Flags,
}

/// Digits without a leading zero; a number beyond any limit comes back as the largest.
fn number(rest: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut digits = String::new();
    while let Some(c) = rest.next_if(char::is_ascii_digit) {
        digits.push(c);
    }
    let plain = !digits.is_empty() && (digits.len() == 1 || !digits.starts_with('0'));
    plain.then(|| digits.parse().unwrap_or(u32::MAX))
}

const ESCAPE: &str = "this escape is not known";
const MAX_DEPTH: usize = 1_000;
const MAX_REPEAT: u32 = 1_000;

const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_compile_is_taken() {
        let good = [
            "",
            "/api/.*",
            "GET|POST",
            "^/a$",
            "example\\.com",
            "(a|b)+?c{2,5}",
            "[]a-z-]*",
            "[^[:alpha:]\\d\\pL]",
            "(?i)get",
            "(?i-s:x)y",
            "(?P<id>\\d+)",
            "(?<id>x)",
            "a{,2}",
            "a{b",
            "\\x41\\x{10FFFF}\\012",
            "\\Qa(b\\E+",
            "\\p{Greek}",
            "(|a)",
            "x*|y",
            "^*",
            "[a\\-z]",
            "{",
            "a{01}",
            "[[:nope]",
            "(a{10}){100}",
            "(?:)*",
        ];
        for text in good {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_they_do_not_is_refused() {
        let bad = [
            "[",
            "(",
            ")",
            "a)",
            "*",
            "a**",
            "a{2}{3}",
            "+a",
            "(*a)",
            "|*",
            "[z-a]",
            "[[:nope:]]",
            "\\",
            "\\1",
            "\\8",
            "\\C",
            "\\y",
            "\\x4",
            "\\x{110000}",
            "a{3,2}",
            "a{1001}",
            "(a{100}){100}",
            "(?z)",
            "(?P=a)",
            "(?P<>a)",
            "(?P<a>x)(?P<a>y)",
            "(?=a)",
            "(?i",
            "\\p{}",
            "\\pX",
            "[a",
            "[\\",
            "a*??",
            "{2}",
            "(?-)",
        ];
        for text in bad {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(check(&"(".repeat(5_000)).is_err());
    }
}
