//! Cuts a text into lexemes exactly where PostgreSQL's scanner does: the one state machine beneath comment stripping,
//! tokens and statement splitting, so that these can never disagree about where a string ends. Knows bytes and ranges;
//! decodes nothing, knows no grammar.

/// How a string constant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    /// `'…'` without escapes.
    Plain,
    /// `E'…'`, or `'…'` while `standard_conforming_strings` is off.
    Escape,
    /// `U&'…'`.
    Unicode,
    /// `B'…'`.
    Bits,
    /// `X'…'`.
    Hex,
    /// `N'…'`.
    National,
    /// `$tag$…$tag$`.
    Dollar,
}

/// What a range of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Space,
    LineComment,
    BlockComment,
    /// An identifier or keyword without quotes.
    Word,
    /// `"…"`.
    QuotedWord,
    /// `U&"…"`.
    UnicodeWord,
    /// A string constant, with all parts that a line break joins.
    Text(Quote),
    Number,
    /// `$1`.
    Parameter,
    Operator,
    /// One of `, ( ) [ ] . ; :`.
    Sign,
}

/// A range of the text and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lexeme {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// Why a text cannot be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// A string, comment or identifier does not end.
    Unterminated,
    /// A byte that begins nothing.
    StrangeByte,
    /// PostgreSQL's versions or settings read it differently (`1a`, `$1a`, `0x1F`, `U&''` without standard strings).
    Ambiguous,
}

/// Iterates over the lexemes of a text; ends after the first error.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    standard_strings: bool,
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

const fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

const fn continues_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str, standard_strings: bool) -> Self {
        Scanner { bytes: text.as_bytes(), at: 0, standard_strings }
    }

    fn byte(&self, index: usize) -> Option<u8> {
        self.bytes.get(index).copied()
    }

    fn lexeme(&self, start: usize) -> Result<(Kind, usize), Broken> {
        let first = self.bytes[start];
        let second = self.byte(start + 1);
        match first {
            byte if is_space(byte) => Ok((Kind::Space, self.while_at(start, is_space))),
            b'-' if second == Some(b'-') => Ok((Kind::LineComment, self.line_comment(start))),
            b'/' if second == Some(b'*') => Ok((Kind::BlockComment, self.block_comment(start)?)),
            b'\'' if self.standard_strings => Ok((Kind::Text(Quote::Plain), self.string(start, false)?)),
            b'\'' => Ok((Kind::Text(Quote::Escape), self.string(start, true)?)),
            b'e' | b'E' if second == Some(b'\'') => Ok((Kind::Text(Quote::Escape), self.string(start + 1, true)?)),
            b'b' | b'B' if second == Some(b'\'') => Ok((Kind::Text(Quote::Bits), self.string(start + 1, false)?)),
            b'x' | b'X' if second == Some(b'\'') => Ok((Kind::Text(Quote::Hex), self.string(start + 1, false)?)),
            b'n' | b'N' if second == Some(b'\'') => {
                Ok((Kind::Text(Quote::National), self.string(start + 1, !self.standard_strings)?))
            }
            b'u' | b'U' if second == Some(b'&') && self.byte(start + 2) == Some(b'\'') => {
                if !self.standard_strings {
                    return Err(Broken::Ambiguous);
                }
                Ok((Kind::Text(Quote::Unicode), self.string(start + 2, false)?))
            }
            b'u' | b'U' if second == Some(b'&') && self.byte(start + 2) == Some(b'"') => {
                Ok((Kind::UnicodeWord, self.quoted_word(start + 2)?))
            }
            b'"' => Ok((Kind::QuotedWord, self.quoted_word(start)?)),
            byte if begins_word(byte) => Ok((Kind::Word, self.while_at(start, continues_word))),
            byte if byte.is_ascii_digit() => self.number(start),
            b'.' if second.is_some_and(|b| b.is_ascii_digit()) => self.number(start),
            b'$' => self.dollar(start),
            b',' | b'(' | b')' | b'[' | b']' | b';' => Ok((Kind::Sign, start + 1)),
            b'.' if second == Some(b'.') => Err(Broken::Ambiguous),
            b'.' => Ok((Kind::Sign, start + 1)),
            b':' if matches!(second, Some(b':' | b'=')) => Ok((Kind::Operator, start + 2)),
            b':' => Ok((Kind::Sign, start + 1)),
            byte if is_operator(byte) => Ok((Kind::Operator, self.operator(start))),
            _ => Err(Broken::StrangeByte),
        }
    }

    fn while_at(&self, start: usize, test: impl Fn(u8) -> bool) -> usize {
        self.bytes[start..].iter().position(|&b| !test(b)).map_or(self.bytes.len(), |n| start + n)
    }

    /// Ends before the line break, which is not part of the comment.
    fn line_comment(&self, start: usize) -> usize {
        self.while_at(start, |b| b != b'\n' && b != b'\r')
    }

    fn block_comment(&self, start: usize) -> Result<usize, Broken> {
        let mut depth = 0usize;
        let mut at = start;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Ok(at);
                    }
                }
                (Some(_), _) => at += 1,
                (None, _) => return Err(Broken::Unterminated),
            }
        }
    }

    /// From the opening quote to behind the last part: a string goes on after white space that holds a line break.
    fn string(&self, open: usize, escapes: bool) -> Result<usize, Broken> {
        let mut at = open + 1;
        loop {
            match self.byte(at) {
                None => return Err(Broken::Unterminated),
                Some(b'\\') if escapes => at += 2,
                Some(b'\'') if self.byte(at + 1) == Some(b'\'') => at += 2,
                Some(b'\'') => match self.next_part(at + 1) {
                    Some(open) => at = open + 1,
                    None => return Ok(at + 1),
                },
                Some(_) => at += 1,
            }
        }
    }

    /// The opening quote of the part that continues a string closed just before `at`.
    fn next_part(&self, mut at: usize) -> Option<usize> {
        let mut broke = false;
        loop {
            match self.byte(at)? {
                b'\n' | b'\r' => {
                    broke = true;
                    at += 1;
                }
                byte if is_space(byte) => at += 1,
                b'-' if self.byte(at + 1) == Some(b'-') => at = self.line_comment(at),
                b'\'' if broke => return Some(at),
                _ => return None,
            }
        }
    }

    fn quoted_word(&self, open: usize) -> Result<usize, Broken> {
        let mut at = open + 1;
        loop {
            match self.byte(at) {
                None => return Err(Broken::Unterminated),
                Some(b'"') if self.byte(at + 1) == Some(b'"') => at += 2,
                Some(b'"') => return Ok(at + 1),
                Some(_) => at += 1,
            }
        }
    }

    fn number(&self, start: usize) -> Result<(Kind, usize), Broken> {
        let digits = |at: usize| self.while_at(at, |b| b.is_ascii_digit());
        let mut at = digits(start);
        if self.byte(at) == Some(b'.') {
            if self.byte(at + 1) == Some(b'.') {
                return Err(Broken::Ambiguous);
            }
            at = digits(at + 1);
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(at + 1), Some(b'+' | b'-')));
            if self.byte(at + 1 + sign).is_some_and(|b| b.is_ascii_digit()) {
                at = digits(at + 1 + sign);
            }
        }
        match self.byte(at) {
            Some(byte) if begins_word(byte) => Err(Broken::Ambiguous),
            _ => Ok((Kind::Number, at)),
        }
    }

    fn dollar(&self, start: usize) -> Result<(Kind, usize), Broken> {
        if self.byte(start + 1).is_some_and(|b| b.is_ascii_digit()) {
            let end = self.while_at(start + 1, |b| b.is_ascii_digit());
            return match self.byte(end) {
                Some(byte) if begins_word(byte) => Err(Broken::Ambiguous),
                _ => Ok((Kind::Parameter, end)),
            };
        }
        let close = match self.byte(start + 1) {
            Some(byte) if begins_word(byte) => self.while_at(start + 1, |b| begins_word(b) || b.is_ascii_digit()),
            _ => start + 1,
        };
        if self.byte(close) != Some(b'$') {
            return Err(Broken::StrangeByte);
        }
        let tag = &self.bytes[start..=close];
        match memchr::memmem::find(&self.bytes[close + 1..], tag) {
            Some(found) => Ok((Kind::Text(Quote::Dollar), close + 1 + found + tag.len())),
            None => Err(Broken::Unterminated),
        }
    }

    /// The longest run of operator characters that begins no comment; a run of several gives up `+` and `-` at its end
    /// unless it holds a character that SQL's own operators never do (`a<-1` is `a < -1`, `a@-1` is one operator).
    fn operator(&self, start: usize) -> usize {
        let mut end = self.while_at(start, is_operator);
        let run = &self.bytes[start..end];
        if let Some(comment) = run.windows(2).position(|pair| pair == b"--" || pair == b"/*") {
            end = start + comment;
        }
        let special = |b: &u8| matches!(b, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%');
        if !self.bytes[start..end].iter().any(special) {
            while end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
                end -= 1;
            }
        }
        end
    }
}

impl Iterator for Scanner<'_> {
    type Item = Result<Lexeme, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let start = self.at;
        match self.lexeme(start) {
            // An escape may stand before the last byte's quote that never came: stay inside the text.
            Ok((kind, end)) if end <= self.bytes.len() => {
                self.at = end;
                Some(Ok(Lexeme { kind, start, end }))
            }
            Ok(_) => {
                self.at = self.bytes.len();
                Some(Err(Broken::Unterminated))
            }
            Err(broken) => {
                self.at = self.bytes.len();
                Some(Err(broken))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, standard: bool) -> Vec<&str> {
        Scanner::new(text, standard)
            .map(|l| l.map(|l| &text[l.start..l.end]).unwrap_or("!"))
            .filter(|s| !s.trim().is_empty())
            .collect()
    }

    #[test]
    fn strings_end_where_postgresql_ends_them() {
        assert_eq!(cut("'a''b' c", true), ["'a''b'", "c"]);
        assert_eq!(cut(r"'a\' c", true), [r"'a\'", "c"]);
        assert_eq!(cut(r"'a\' c", false), ["!"]);
        assert_eq!(cut(r"'a\'' c", false), [r"'a\''", "c"]);
        assert_eq!(cut(r"e'a\'' c", true), [r"e'a\''", "c"]);
        assert_eq!(cut("'a'\n 'b' c", true), ["'a'\n 'b'", "c"]);
        assert_eq!(cut("'a' 'b'", true), ["'a'", "'b'"]);
        assert_eq!(cut("'a' -- x\n 'b'", true), ["'a' -- x\n 'b'"]);
        assert_eq!(cut("'a' /* x */\n 'b'", true), ["'a'", "/* x */", "'b'"]);
        assert_eq!(cut("E'a'\n'\\'b' c", true), ["E'a'\n'\\'b'", "c"]);
        assert_eq!(cut("$$ ' $a$ $$ x", true), ["$$ ' $a$ $$", "x"]);
        assert_eq!(cut("$a$ $$ $b$ $a$ x", true), ["$a$ $$ $b$ $a$", "x"]);
        assert_eq!(cut("a$b$c", true), ["a$b$c"]);
        assert_eq!(cut("u&'x' U&\"y\" u & 'z'", true), ["u&'x'", "U&\"y\"", "u", "&", "'z'"]);
        for unfinished in ["'a", "E'a\\'", "E'\\", "$$a", "$a$a$b$", "\"a", "/* /* */", "u&'a"] {
            assert_eq!(cut(unfinished, true), ["!"], "{unfinished}");
        }
    }

    #[test]
    fn comments_nest_and_operators_stop_before_them() {
        assert_eq!(cut("1 /* a /* b */ c */ 2", true), ["1", "/* a /* b */ c */", "2"]);
        assert_eq!(cut("a+--x\nb", true), ["a", "+", "--x", "b"]);
        assert_eq!(cut("a--x\rb", true), ["a", "--x", "b"]);
        assert_eq!(cut("a*/*x*/b", true), ["a", "*", "/*x*/", "b"]);
    }

    #[test]
    fn operators_and_numbers() {
        assert_eq!(cut("a<-1", true), ["a", "<", "-", "1"]);
        assert_eq!(cut("a@-1", true), ["a", "@-", "1"]);
        assert_eq!(cut("a=-1", true), ["a", "=", "-", "1"]);
        assert_eq!(cut("x::int", true), ["x", "::", "int"]);
        assert_eq!(cut("1.5e-3 .5 5. 1e5", true), ["1.5e-3", ".5", "5.", "1e5"]);
        assert_eq!(cut("$12 $1", true), ["$12", "$1"]);
        for ambiguous in ["1a", "0x1F", "1_000", "$1a", "1..2", "1e"] {
            assert_eq!(cut(ambiguous, true).last(), Some(&"!"), "{ambiguous}");
        }
    }
}
