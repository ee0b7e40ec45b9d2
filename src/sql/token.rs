//! A text as tokens: words folded as PostgreSQL folds them, strings decoded, and the doubts that forbid to reason about the
//! text. Also its bounds: longer or deeper than these, a text is not parsed, so that no stack can run out.

use super::Refused;
use super::scan::{Broken, Kind, Quote, Scanner};
use std::borrow::Cow;

/// Texts longer than this are not parsed (bytes).
pub const LONGEST: usize = 32 * 1024;
/// Parentheses, brackets, CASE and waiting joins, one in the other, beyond which a text is not parsed.
pub const DEEPEST: usize = 64;
/// Tokens beyond which a text is not parsed: chains of operators become trees as deep as they are long.
pub const MOST_TOKENS: usize = 8 * 1024;
/// PostgreSQL cuts longer identifiers (bytes), so that two of them may mean one.
const LONGEST_NAME: usize = 63;

/// One token: where it stands and what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub kind: Kind,
    start: u32,
    end: u32,
}

/// A text cut into tokens, without white space and comments.
#[derive(Debug)]
pub struct Lexed<'a> {
    text: &'a str,
    pub(super) tokens: Vec<Token>,
    /// The first reason not to trust what the tokens seem to say.
    doubt: Option<Refused>,
}

/// Cuts a text. Fails only if the text has no tokens in PostgreSQL's sense either (an unfinished string, a strange byte),
/// or has different ones by version.
pub fn lex(text: &str, standard_strings: bool) -> Result<Lexed<'_>, Refused> {
    let mut lexed = Lexed { text, tokens: Vec::new(), doubt: None };
    let position = |at: usize| u32::try_from(at).map_err(|_| Refused::TooLong);
    for lexeme in Scanner::new(text, standard_strings) {
        let lexeme = lexeme.map_err(|broken| match broken {
            Broken::Unterminated | Broken::StrangeByte => Refused::Unparsed,
            Broken::Ambiguous => Refused::UncertainSyntax,
        })?;
        if matches!(lexeme.kind, Kind::Space | Kind::LineComment | Kind::BlockComment) {
            continue;
        }
        let token = Token { kind: lexeme.kind, start: position(lexeme.start)?, end: position(lexeme.end)? };
        lexed.tokens.push(token);
    }
    lexed.doubt = lexed.find_doubt();
    Ok(lexed)
}

impl<'a> Lexed<'a> {
    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the text is only white space and comments.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The first reason not to trust what the tokens seem to say.
    pub fn doubt(&self) -> Option<Refused> {
        self.doubt
    }

    /// The statements, between semicolons outside parentheses; empty ones left out.
    pub fn statements(&self) -> Vec<Lexed<'a>> {
        let mut statements = Vec::new();
        let mut depth = 0i64;
        let mut from = 0;
        for at in 0..=self.len() {
            match self.sign(at) {
                Some('(' | '[') => depth += 1,
                Some(')' | ']') => depth -= 1,
                _ => {}
            }
            if at == self.len() || (depth <= 0 && self.sign(at) == Some(';')) {
                if from < at {
                    let part = Lexed { text: self.text, tokens: self.tokens[from..at].to_vec(), doubt: None };
                    let doubt = part.find_doubt();
                    statements.push(Lexed { doubt, ..part });
                }
                from = at + 1;
            }
        }
        statements
    }

    /// The tokens from `from` to before `to`.
    pub fn part(&self, from: usize, to: usize) -> Lexed<'a> {
        let tokens = self.tokens.get(from..to).unwrap_or_default().to_vec();
        Lexed { text: self.text, tokens, doubt: self.doubt }
    }

    /// The text from the first token to the last.
    pub fn source(&self) -> &'a str {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => &self.text[first.start as usize..last.end as usize],
            _ => "",
        }
    }

    /// The token as it is written.
    pub fn raw(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |t| &self.text[t.start as usize..t.end as usize])
    }

    /// Whether the token is this keyword or unquoted identifier (given in lower case).
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.kind(at) == Some(Kind::Word) && self.raw(at).eq_ignore_ascii_case(word)
    }

    /// Whether the token is one of these keywords.
    pub fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|w| self.is(at, w))
    }

    /// Whether any token is this keyword or unquoted identifier.
    pub fn has(&self, word: &str) -> bool {
        (0..self.len()).any(|at| self.is(at, word))
    }

    /// The punctuation mark at this place, if it is one.
    pub fn sign(&self, at: usize) -> Option<char> {
        (self.kind(at) == Some(Kind::Sign)).then(|| self.raw(at).chars().next()).flatten()
    }

    /// The operator at this place, if it is one.
    pub fn operator(&self, at: usize) -> Option<&'a str> {
        (self.kind(at) == Some(Kind::Operator)).then(|| self.raw(at))
    }

    /// Whether the token is a keyword or identifier without quotes.
    pub fn is_word(&self, at: usize) -> bool {
        self.kind(at) == Some(Kind::Word)
    }

    /// The number as it is written.
    pub fn number(&self, at: usize) -> Option<&'a str> {
        (self.kind(at) == Some(Kind::Number)).then(|| self.raw(at))
    }

    /// The n of `$n`.
    pub fn parameter(&self, at: usize) -> Option<u32> {
        (self.kind(at) == Some(Kind::Parameter)).then(|| self.raw(at)[1..].parse().unwrap_or(u32::MAX))
    }

    /// The identifier or keyword at this place, folded or unquoted.
    pub fn name(&self, at: usize) -> Option<Cow<'a, str>> {
        let raw = self.raw(at);
        match self.kind(at)? {
            Kind::Word if raw.bytes().any(|b| b.is_ascii_uppercase()) => Some(Cow::Owned(raw.to_ascii_lowercase())),
            Kind::Word => Some(Cow::Borrowed(raw)),
            Kind::QuotedWord => Some(undouble(&raw[1..raw.len() - 1], '"')),
            Kind::UnicodeWord => Some(undouble(&raw[3..raw.len() - 1], '"')),
            _ => None,
        }
    }

    /// Whether a name is written with escapes (`U&"d\0061ta"`), so that [`name`](Self::name) is not what it means.
    pub fn has_escaped_names(&self) -> bool {
        let is_escaped = |at| self.kind(at) == Some(Kind::UnicodeWord) && self.raw(at).contains('\\');
        (0..self.len()).any(|at| is_escaped(at) || self.is(at, "uescape"))
    }

    /// The string at this place, decoded; `None` too if it is a bit string or cannot be decoded with certainty.
    pub fn string(&self, at: usize) -> Option<Cow<'a, str>> {
        let Some(Kind::Text(quote)) = self.kind(at) else { return None };
        let raw = self.raw(at);
        match quote {
            Quote::Dollar => {
                let tag = raw[1..].find('$')? + 2;
                Some(Cow::Borrowed(&raw[tag..raw.len() - tag]))
            }
            Quote::Plain => parts(raw).map(|p| undouble(p, '\'')).reduce(|a, b| Cow::Owned(a.into_owned() + &b)),
            Quote::Unicode if !raw.contains('\\') => {
                parts(&raw[2..]).map(|p| undouble(p, '\'')).reduce(|a, b| Cow::Owned(a.into_owned() + &b))
            }
            Quote::Escape => {
                let body = raw.strip_prefix(['e', 'E']).unwrap_or(raw);
                let mut decoded = String::with_capacity(body.len());
                escaped_parts(body, &mut decoded)?;
                Some(Cow::Owned(decoded))
            }
            Quote::Unicode | Quote::Bits | Quote::Hex | Quote::National => None,
        }
    }

    pub(super) fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|t| t.kind)
    }

    fn find_doubt(&self) -> Option<Refused> {
        if self.source().len() > LONGEST {
            return Some(Refused::TooLong);
        }
        if self.len() > MOST_TOKENS {
            return Some(Refused::TooDeep);
        }
        if self.is_too_deep() {
            return Some(Refused::TooDeep);
        }
        (0..self.len()).find_map(|at| self.token_doubt(at))
    }

    /// What makes the parser recurse: parentheses, brackets, CASE, and joins that wait for their ON (`a JOIN b JOIN c ON … ON …`).
    /// A word closes only what was opened between the same parentheses, so that no alias can pay for a depth.
    fn is_too_deep(&self) -> bool {
        let mut depth = 0usize;
        let mut outer: Vec<[usize; 2]> = Vec::new();
        let [mut cases, mut joins] = [0usize; 2];
        for at in 0..self.len() {
            match self.sign(at) {
                Some('(' | '[') => {
                    outer.push([cases, joins]);
                    [cases, joins] = [0; 2];
                    depth += 1;
                }
                Some(')' | ']') => {
                    if let Some(level) = outer.pop() {
                        depth -= 1 + cases + joins;
                        [cases, joins] = level;
                    }
                }
                _ if self.is(at, "case") => {
                    cases += 1;
                    depth += 1;
                }
                _ if self.is(at, "end") && cases > 0 => {
                    cases -= 1;
                    depth -= 1;
                }
                _ if self.is(at, "join") => {
                    joins += 1;
                    depth += 1;
                }
                _ if self.is_any(at, &["on", "using"]) && joins > 0 => {
                    joins -= 1;
                    depth -= 1;
                }
                _ => {}
            }
            if depth > DEEPEST {
                return true;
            }
        }
        false
    }

    fn token_doubt(&self, at: usize) -> Option<Refused> {
        let raw = self.raw(at);
        let doubtful = match self.kind(at)? {
            // Servers with a one-byte encoding fold such letters, all others do not.
            Kind::Word => {
                let folded_by_some = !raw.is_ascii()
                    && raw.chars().any(|c| !c.is_ascii() && c.to_lowercase().next().is_some_and(|lower| lower != c));
                folded_by_some || self.misread_only(at) || self.is(at, "uescape")
            }
            Kind::UnicodeWord => raw.contains('\\'),
            Kind::Text(Quote::Bits | Quote::Hex) => false,
            Kind::Text(_) => self.string(at).is_none(),
            Kind::Parameter => self.parameter(at).is_none_or(|n| n == 0 || n > u32::from(u16::MAX)),
            _ => false,
        };
        let long = self.name(at).is_some_and(|name| name.len() > LONGEST_NAME);
        if long { Some(Refused::LongIdentifier) } else { doubtful.then_some(Refused::UncertainSyntax) }
    }

    /// ONLY before a relation reads as a relation of that name to our parser; it is meant so wherever it does not end
    /// FETCH … ROWS ONLY or READ ONLY.
    fn misread_only(&self, at: usize) -> bool {
        self.is(at, "only") && !at.checked_sub(1).is_some_and(|before| self.is_any(before, &["row", "rows", "read"]))
    }
}

fn undouble(body: &str, quote: char) -> Cow<'_, str> {
    let doubled: String = [quote, quote].iter().collect();
    if body.contains(&doubled) {
        Cow::Owned(body.replace(&doubled, quote.encode_utf8(&mut [0; 4])))
    } else {
        Cow::Borrowed(body)
    }
}

/// The bodies of the parts of a string without escapes (`'a'` newline `'b'` is one string).
fn parts(raw: &str) -> impl Iterator<Item = &str> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let open = next_quote(bytes, at)?;
        let mut close = open + 1;
        while bytes.get(close) != Some(&b'\'') || bytes.get(close + 1) == Some(&b'\'') {
            close += if bytes.get(close) == Some(&b'\'') { 2 } else { 1 };
            if close >= bytes.len() {
                return None;
            }
        }
        at = close + 1;
        Some(&raw[open + 1..close])
    })
}

/// The next opening quote at or behind `at`, over white space and line comments.
fn next_quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'\'' => return Some(at),
            b'-' => at += bytes[at..].iter().position(|b| matches!(b, b'\n' | b'\r'))?,
            _ => at += 1,
        }
    }
}

/// Decodes a string with escapes, all parts. `None` if an escape names a byte or code point beyond ASCII: what it means
/// then depends on encodings.
fn escaped_parts(raw: &str, decoded: &mut String) -> Option<()> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while let Some(open) = next_quote(bytes, at) {
        at = open + 1;
        loop {
            match bytes.get(at)? {
                b'\'' if bytes.get(at + 1) == Some(&b'\'') => {
                    decoded.push('\'');
                    at += 2;
                }
                b'\'' => break,
                b'\\' => at = escape(raw, at + 1, decoded)?,
                _ => {
                    let c = raw[at..].chars().next()?;
                    decoded.push(c);
                    at += c.len_utf8();
                }
            }
        }
        at += 1;
    }
    Some(())
}

/// Decodes what follows a backslash; gives the place behind it.
fn escape(raw: &str, at: usize, decoded: &mut String) -> Option<usize> {
    let digits = |from: usize, most: usize, radix: u32| {
        let run = raw[from..].chars().take(most).take_while(|c| c.is_digit(radix)).count();
        (run, u32::from_str_radix(raw.get(from..from + run).unwrap_or_default(), radix).ok())
    };
    let first = raw[at..].chars().next()?;
    let (end, code) = match first {
        'b' => (at + 1, 0x08),
        'f' => (at + 1, 0x0C),
        'n' => (at + 1, 0x0A),
        'r' => (at + 1, 0x0D),
        't' => (at + 1, 0x09),
        '0'..='7' => {
            let (run, code) = digits(at, 3, 8);
            (at + run, code?)
        }
        'x' => match digits(at + 1, 2, 16) {
            (0, _) => (at + 1, u32::from('x')),
            (run, code) => (at + 1 + run, code?),
        },
        'u' => (at + 5, digits(at + 1, 4, 16).1.filter(|_| digits(at + 1, 4, 16).0 == 4)?),
        'U' => (at + 9, digits(at + 1, 8, 16).1.filter(|_| digits(at + 1, 8, 16).0 == 8)?),
        other => {
            decoded.push(other);
            return Some(at + other.len_utf8());
        }
    };
    let byte = u8::try_from(code).ok().filter(|b| b.is_ascii() && *b != 0)?;
    decoded.push(char::from(byte));
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Option<String> {
        let lexed = lex(text, true).unwrap();
        assert_eq!(lexed.len(), 1, "{text}");
        lexed.string(0).or_else(|| lexed.name(0)).map(Cow::into_owned)
    }

    #[test]
    fn strings_and_names_are_decoded() {
        for (text, value) in [
            ("'a''b'", "a'b"),
            ("''", ""),
            ("'a'\n  'b''' -- x\n'c'", "ab'c"),
            (r"'a\n'", r"a\n"),
            (r"E'a\n\'\\''\x41\101\u0041\q'", "a\n'\\'AAAq"),
            ("E'a'\n'\\tb'", "a\tb"),
            ("$$a'b$$", "a'b"),
            ("$x$a$$b$x$", "a$$b"),
            ("U&'abc'", "abc"),
            ("FooBar", "foobar"),
            ("\"Foo\"\"Bar\"", "Foo\"Bar"),
            ("größe", "größe"),
        ] {
            assert_eq!(only(text).as_deref(), Some(value), "{text}");
        }
        for text in [r"E'\xff'", r"E'\u00e9'", r"U&'\0061'", "N'a'", r"E'\u12'", r"E'\0'"] {
            assert_eq!(only(text), None, "{text}");
            assert_eq!(lex(text, true).unwrap().doubt(), Some(Refused::UncertainSyntax), "{text}");
        }
        let off = lex(r"'a\'b'", false).unwrap();
        assert_eq!(off.string(0).as_deref(), Some("a'b"));
    }

    #[test]
    fn statements_part_at_semicolons() {
        let parts =
            |text| lex(text, true).unwrap().statements().iter().map(|s| s.source().to_owned()).collect::<Vec<_>>();
        assert_eq!(parts("SELECT 1;; SELECT ';' ; -- x;y\n"), ["SELECT 1", "SELECT ';'"]);
        assert_eq!(parts("a (b; c); d"), ["a (b; c)", "d"]);
        assert!(parts(" ; ; ").is_empty());
    }

    #[test]
    fn bounds_and_doubts() {
        let doubt = |text: &str| lex(text, true).unwrap().doubt();
        assert_eq!(doubt(&format!("SELECT '{}'", "x".repeat(LONGEST))), Some(Refused::TooLong));
        assert_eq!(doubt(&format!("{}1{}", "(".repeat(65), ")".repeat(65))), Some(Refused::TooDeep));
        assert_eq!(doubt(&"CASE WHEN a THEN ".repeat(65)), Some(Refused::TooDeep));
        assert_eq!(doubt(&"a JOIN ".repeat(65)), Some(Refused::TooDeep));
        assert_eq!(doubt(&"a JOIN b ON c ".repeat(65)), None);
        assert_eq!(doubt(&"(a JOIN b) ".repeat(65)), None);
        assert_eq!(doubt(&"JOIN (SELECT 1 AS end, 1 AS on) x ".repeat(65)), Some(Refused::TooDeep));
        assert_eq!(doubt(&"CASE a END ) ] ".repeat(65)), None);
        assert_eq!(doubt(&"1+".repeat(8000)), Some(Refused::TooDeep));
        assert_eq!(doubt(&"x".repeat(64)), Some(Refused::LongIdentifier));
        assert_eq!(doubt(&"x".repeat(63)), None);
        assert_eq!(doubt("Ärger"), Some(Refused::UncertainSyntax));
        assert_eq!(doubt("\"Ärger\""), None);
        assert_eq!(doubt("FROM ONLY t"), Some(Refused::UncertainSyntax));
        assert_eq!(doubt("FETCH FIRST 5 ROWS ONLY"), None);
        assert_eq!(doubt("SELECT 1"), None);
        assert!(lex("'a", true).is_err());
    }
}
