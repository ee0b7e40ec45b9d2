//! The template of a text: its tokens, with marks in the place of literals that nothing here looks into. Texts of one template are one
//! statement to the planner, whichever values their literals have. Unlike a fingerprint it folds nothing and cuts nothing.

use super::scan::{Kind, Quote, Scanner};
use super::time_words::says_time_word;

/// The words that the statements begin with of which templates are made.
const VERBS: [&str; 7] = ["select", "with", "values", "table", "insert", "update", "delete"];

/// The function whose argument is read (`current_setting('app.tenant')`): what stands behind its name keeps its value.
const READS_STRINGS: &str = "current_setting";

/// Behind each token. No text that has a template holds it.
const END: u8 = 0;

/// What stands for a literal: bytes that begin no token.
const STRING: u8 = 1;
const INTEGER: u8 = 2;
const DECIMAL: u8 = 3;

/// Of one statement that holds a literal of no account. Two texts of one template, read by the same `standard_strings`, have the same
/// tokens but for the values of such literals.
pub fn template(text: &str, standard_strings: bool) -> Option<Vec<u8>> {
    if memchr::memchr(END, text.as_bytes()).is_some() {
        return None;
    }
    let mut template = Vec::with_capacity(text.len() + text.len() / 2);
    let (mut marked, mut ended, mut reads_strings) = (false, false, false);
    for lexeme in Scanner::new(text, standard_strings) {
        let lexeme = lexeme.ok()?;
        let piece = &text[lexeme.start..lexeme.end];
        let mark = match lexeme.kind {
            Kind::Space | Kind::LineComment | Kind::BlockComment => continue,
            Kind::Text(Quote::Plain) if !reads_strings && is_closed(piece) => Some(STRING),
            Kind::Number => class(piece),
            Kind::Word | Kind::QuotedWord | Kind::UnicodeWord => {
                reads_strings |= names_reader(piece);
                None
            }
            _ => None,
        };
        if ended && piece != ";" || template.is_empty() && !begins(piece) {
            return None;
        }
        ended |= piece == ";";
        marked |= mark.is_some();
        match mark {
            Some(mark) => template.push(mark),
            None => template.extend_from_slice(piece.as_bytes()),
        }
        template.push(END);
    }
    marked.then_some(template)
}

fn begins(token: &str) -> bool {
    token == "(" || VERBS.iter().any(|verb| token.eq_ignore_ascii_case(verb))
}

fn names_reader(word: &str) -> bool {
    let reads = |part: &[u8]| part.eq_ignore_ascii_case(READS_STRINGS.as_bytes());
    word.as_bytes().windows(READS_STRINGS.len()).any(reads)
}

/// Whether a plain string is of one part, and none that a date may be read from as the present.
fn is_closed(string: &str) -> bool {
    let body = &string.as_bytes()[1..string.len() - 1];
    let mut quotes = memchr::memchr_iter(b'\'', body);
    // A doubled quote parts words as the single one does that it stands for.
    while let Some(at) = quotes.next() {
        if quotes.next() != Some(at + 1) {
            return false;
        }
    }
    !says_time_word(body)
}

/// The mark of a number, if it is written without an exponent, and with digits on both sides of its point. Where the parser counts
/// (`int[3]`), an integer of 64 bits is read and a longer one is not.
fn class(number: &str) -> Option<u8> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        None => number.parse::<i64>().is_ok().then_some(INTEGER),
        Some((whole, fraction)) => (digits(whole) && digits(fraction)).then_some(DECIMAL),
    }
}

/// The text with others in the place of its literals and parameters: as `other` says for each, or as it is.
#[cfg(test)]
pub fn rewritten(text: &str, standard_strings: bool, mut other: impl FnMut(&str) -> Option<String>) -> String {
    let mut rewritten = String::new();
    let mut end = 0;
    for lexeme in Scanner::new(text, standard_strings).map_while(Result::ok) {
        let piece = &text[lexeme.start..lexeme.end];
        let is_value = matches!(lexeme.kind, Kind::Text(_) | Kind::Number | Kind::Parameter);
        rewritten.push_str(&is_value.then(|| other(piece)).flatten().unwrap_or_else(|| piece.to_owned()));
        end = lexeme.end;
    }
    rewritten + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        let readable = |byte: &u8| match *byte {
            END => ' ',
            STRING => 'S',
            INTEGER => 'I',
            DECIMAL => 'D',
            byte => char::from(byte),
        };
        template(text, true).map(|template| template.iter().map(readable).collect::<String>().trim_end().to_owned())
    }

    #[test]
    fn literals_of_no_account_are_marked_by_their_class() {
        for (text, expected) in [
            ("SELECT  v FROM t WHERE id=17 -- x\n AND n = 'O''Neil';", "SELECT v FROM t WHERE id = I AND n = S ;"),
            ("/* a */ select -1, 1.50, '', 'a\\b'", "select - I , D , S , S"),
            ("(VALUES (1), ($1))", "( VALUES ( I ) , ( $1 ) )"),
            ("SELECT '[s\"o\"w)', 1;;", "SELECT S , I ; ;"),
        ] {
            assert_eq!(of(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn c22_what_is_looked_into_keeps_its_value() {
        for literal in [
            "'now'",
            "'2020-01-01 TODAY'",
            "'{\"n\\ow\"}'",
            "'n'\n'ow'",
            "'a'\n'b'",
            "E'a'",
            "U&'a'",
            "N'a'",
            "B'1'",
            "X'1F'",
            "$$a$$",
            "1e5",
            ".5",
            "5.",
            "9223372036854775808",
        ] {
            assert_eq!(of(&format!("SELECT 1, {literal}")), Some(format!("SELECT I , {literal}")), "{literal}");
        }
        for name in ["current_setting", "pg_catalog.Current_Setting", "\"current_setting\""] {
            let template = of(&format!("SELECT 'x', {name}('app.a'), 1")).unwrap();
            assert!(template.starts_with("SELECT S ") && template.ends_with("( 'app.a' ) , I"), "{template}");
        }
        assert!(
            template("SELECT 'a', 1", false).is_some_and(|template| template.windows(3).any(|part| part == b"'a'"))
        );
    }

    #[test]
    fn not_every_text_has_a_template() {
        for text in [
            "",
            ";",
            "SELECT v FROM t WHERE id = $1",
            "SELECT 'now'",
            "SELECT 1; SELECT 2",
            "; SELECT 1",
            "SET a = 1",
            "EXPLAIN SELECT 1",
            "SELECT 1a",
            "SELECT '1",
            "SELECT 1, '\0'",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn tokens_do_not_run_into_each_other() {
        for [one, other] in [
            ["SELECT 1, a b", "SELECT 1, ab"],
            ["SELECT 1 @- 2", "SELECT 1 @ - 2"],
            ["SELECT 1, \"a b\"", "SELECT 1, a b"],
            ["SELECT 1, 'a'", "SELECT 1, 2"],
            ["SELECT 1", "SELECT 1.0"],
            ["SELECT 1, a", "SELECT 1, A"],
        ] {
            assert_ne!(of(one), of(other), "{one}");
        }
    }
}
