//! The fingerprint of a text: the identity of its shape without its literals, and the shape itself, which may be shown where
//! the literals may not. Needs no grammar; decides nothing.

use super::scan::{Kind, Scanner};
use std::fmt::{self, Write};
use std::hash::Hasher;
use std::str::FromStr;
use std::sync::OnceLock;

/// How much of a text makes its shape (bytes): texts that are alike so far count as one statement.
const LONGEST: usize = 2048;

/// What stands for a text that cannot be cut into tokens: no part of it may be shown.
const UNREADABLE: &str = "(unreadable)";

/// The same for texts that differ in literals, comments and white space alone. A name for people and rules; nothing is proven by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = whole.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Fingerprint).ok_or_else(|| "is not a fingerprint of 16 hexadecimal digits".to_owned())
    }
}

/// The shape of one text, worked out when it is first asked for: who notes a statement each time it runs cuts it up once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape(OnceLock<(Fingerprint, String)>);

impl Shape {
    /// `text` and `standard_strings` are the same at every call.
    pub fn of(&self, text: &str, standard_strings: bool) -> (Fingerprint, &str) {
        let (fingerprint, shape) = self.0.get_or_init(|| {
            let shape = shape(text, standard_strings);
            (fingerprint(&shape), shape)
        });
        (*fingerprint, shape)
    }
}

/// Of a shape. The same in every build, since rules name it: FNV-1a, of 64 bits.
pub fn fingerprint(shape: &str) -> Fingerprint {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        fn finish(&self) -> u64 {
            self.0
        }
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(shape.as_bytes());
    Fingerprint(hash.finish())
}

/// The text with `?` for every literal, one space for white space, no comments, words in lower case, and lists of literals of
/// whatever length as one. The value of a SET is a literal too, however it is written.
pub fn shape(text: &str, standard_strings: bool) -> String {
    let mut shape = String::with_capacity(text.len().min(LONGEST));
    let mut cut = Vec::new();
    for lexeme in Scanner::new(text, standard_strings) {
        if shape.len() >= LONGEST {
            shape.push('…');
            break;
        }
        let Ok(lexeme) = lexeme else { return UNREADABLE.to_owned() };
        let piece = &text[lexeme.start..lexeme.end];
        match lexeme.kind {
            Kind::Space | Kind::LineComment | Kind::BlockComment => {
                if !shape.is_empty() && !shape.ends_with(' ') {
                    shape.push(' ');
                }
            }
            Kind::Text(_) | Kind::Number => push_literal(&mut shape),
            Kind::Word => {
                let at = shape.len();
                shape.push_str(piece);
                shape[at..].make_ascii_lowercase();
                if cut.len() < 4 {
                    cut.push(shape.len());
                }
            }
            _ => shape.push_str(piece),
        }
    }
    shape.truncate(shape.trim_end_matches([' ', ';']).len());
    if let Some(end) = set_name(&shape, &cut) {
        shape.truncate(end);
        // Writing to a string does not fail.
        let _ = write!(shape, " = ?");
    }
    shape
}

/// `?`, unless it continues a list of them.
fn push_literal(shape: &mut String) {
    let list = shape.trim_end().strip_suffix(',').map(str::trim_end);
    match list {
        Some(before) if before.ends_with('?') => {
            let kept = before.len();
            shape.truncate(kept);
        }
        _ => shape.push('?'),
    }
}

/// Where the name ends that a SET gives a value. `words`: where the first words end.
fn set_name(shape: &str, words: &[usize]) -> Option<usize> {
    let word = |n: usize| {
        let from = if n == 0 { 0 } else { *words.get(n - 1)? };
        shape.get(from..*words.get(n)?).map(str::trim)
    };
    if word(0)? != "set" {
        return None;
    }
    let scope = usize::from(matches!(word(1)?, "local" | "session"));
    if matches!(word(1 + scope)?, "transaction" | "characteristics" | "constraints") {
        return None;
    }
    let from = *words.get(scope)?;
    let name = shape[from..].trim_start();
    let length = name.find([' ', '=']).unwrap_or(name.len());
    Some(shape.len() - name.len() + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_comments_and_white_space_do_not_count() {
        for (text, expected) in [
            ("SELECT  1", "select ?"),
            ("SELECT v FROM t WHERE id = 7 -- x\n AND n = 'secret';", "select v from t where id = ? and n = ?"),
            ("select * from \"T\" where id in (1, 2,3)", "select * from \"T\" where id in (?)"),
            ("select v from t where id = $1", "select v from t where id = $1"),
            ("select $$secret$$, E'\\'secret', 1.5e3", "select ?"),
            ("SET app.token TO secret", "set app.token = ?"),
            ("SET LOCAL \"app.token\" = secret", "set local \"app.token\" = ?"),
            ("SET SESSION TIME ZONE secret", "set session time = ?"),
            ("SET TRANSACTION READ ONLY", "set transaction read only"),
            ("select 'secret", UNREADABLE),
            ("", ""),
        ] {
            assert_eq!(shape(text, true), expected, "{text}");
        }
    }

    #[test]
    fn a_shape_has_a_limit_and_a_fingerprint_is_the_same_everywhere() {
        let long = format!("SELECT {} FROM t", "column_name, ".repeat(1_000));
        assert!(shape(&long, true).len() < LONGEST + 64);
        // The test vector of the algorithm's authors.
        assert_eq!(fingerprint("a").to_string(), "af63dc4c8601ec8c");
        let fingerprint = fingerprint("select ?");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert!("x".parse::<Fingerprint>().is_err() && "+f63dc4c8601ec8c".parse::<Fingerprint>().is_err());
    }
}
