//! The identity of a text: what is left when its comments, outer white space and closing semicolons are gone, and what
//! its comments asked for. Two texts of one identity mean the same to PostgreSQL; nothing here needs a grammar.

use super::scan::{Broken, Kind, Scanner, is_space};
use crate::types::{Level, RouteTo};
use std::borrow::Cow;

/// What a comment asks for: `/* sidecache: off */`, `/* sidecache: level=strong */`,
/// `/* sidecache: route=primary */`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// Neither look up nor store.
    pub off: bool,
    /// Overrides the session's level.
    pub level: Option<Level>,
    /// Among the servers that may answer it.
    pub route: Option<RouteTo>,
}

/// A text without its comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped<'a> {
    /// Without comments, outer white space and closing semicolons.
    pub identity: Cow<'a, str>,
    /// What the comments asked for; the last word counts.
    pub hint: Hint,
}

/// Strips a text. One that has no comment is only trimmed, without being scanned.
pub fn strip(text: &str, standard_strings: bool) -> Stripped<'_> {
    if !may_hold_comment(text.as_bytes()) {
        return Stripped { identity: Cow::Borrowed(trim(text)), hint: Hint::default() };
    }
    // A text that cannot be cut is an error to PostgreSQL, or is never cached: it is its own identity.
    scan(text, standard_strings).unwrap_or(Stripped { identity: Cow::Borrowed(text), hint: Hint::default() })
}

fn may_hold_comment(bytes: &[u8]) -> bool {
    memchr::memchr2_iter(b'-', b'/', bytes)
        .any(|at| matches!((bytes[at], bytes.get(at + 1)), (b'-', Some(b'-')) | (b'/', Some(b'*'))))
}

fn trim(text: &str) -> &str {
    let blank = |c: char| u8::try_from(c).is_ok_and(is_space);
    text.trim_start_matches(blank).trim_end_matches(|c| c == ';' || blank(c))
}

fn scan(text: &str, standard_strings: bool) -> Result<Stripped<'_>, Broken> {
    let mut identity = String::with_capacity(text.len());
    let mut hint = Hint::default();
    let mut commented = false;
    let mut after_string = false;
    // Where the last token ends that is no semicolon.
    let mut end = 0;
    for lexeme in Scanner::new(text, standard_strings) {
        let lexeme = lexeme?;
        let piece = &text[lexeme.start..lexeme.end];
        match lexeme.kind {
            Kind::Space => identity.push_str(piece),
            // The line break behind it stays, and separates what the comment separated.
            Kind::LineComment => {
                commented = true;
                read_hint(&piece[2..], &mut hint);
            }
            // Between strings a block comment is not white space: it keeps PostgreSQL from joining them.
            Kind::BlockComment => {
                commented = true;
                read_hint(&piece[2..piece.len() - 2], &mut hint);
                identity.push_str(if after_string { "/**/" } else { " " });
            }
            kind => {
                after_string = matches!(kind, Kind::Text(_));
                identity.push_str(piece);
                if piece != ";" {
                    end = identity.len();
                }
            }
        }
    }
    if !commented {
        return Ok(Stripped { identity: Cow::Borrowed(trim(text)), hint });
    }
    let identity = Cow::Owned(trim(&identity[..end]).to_owned());
    Ok(Stripped { identity, hint })
}

/// Understands `sidecache: off`, `sidecache: level=strong`, several with commas or spaces. What it does not know it leaves:
/// a comment is never an error.
fn read_hint(comment: &str, hint: &mut Hint) {
    let Some(wishes) = comment.trim().strip_prefix("sidecache:") else { return };
    for wish in wishes.split([',', '|', ' ', '\t', '\n', '\r']) {
        if wish == "off" {
            hint.off = true;
        } else if let Some(level) = wish.strip_prefix("level=") {
            hint.level = level.parse().ok().or(hint.level);
        } else if let Some(route) = wish.strip_prefix("route=") {
            hint.route = route.parse().ok().or(hint.route);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str) -> String {
        strip(text, true).identity.into_owned()
    }

    #[test]
    fn comments_go_and_tokens_stay_apart() {
        for (text, left) in [
            ("  SELECT 1 ; ", "SELECT 1"),
            ("SELECT 1 /* traceparent='x' */", "SELECT 1"),
            ("/* a /* b */ */ SELECT/**/1", "SELECT 1"),
            ("SELECT 1 -- x\n + 2 -- y", "SELECT 1 \n + 2"),
            ("SELECT 1; -- done", "SELECT 1"),
            ("SELECT '--x' /* y */", "SELECT '--x'"),
            ("SELECT '/* x */', \"-- y\"", "SELECT '/* x */', \"-- y\""),
            ("SELECT $$ -- x $$ --y", "SELECT $$ -- x $$"),
            ("SELECT 1-/**/-1", "SELECT 1- -1"),
            ("SELECT 'a' /* x */", "SELECT 'a'"),
            ("SELECT 'a' /* x */ ; /* y */ ;", "SELECT 'a'"),
            // An operator that looks like the end of a comment.
            ("SELECT 'a'/*/x*/**/", "SELECT 'a'/**/**/"),
            ("-- nothing", ""),
            (";", ""),
        ] {
            assert_eq!(identity(text), left, "{text}");
        }
    }

    #[test]
    fn identity_keeps_apart_what_postgresql_keeps_apart() {
        // The first is one string, the second a syntax error.
        assert_ne!(identity("SELECT 'a' \n 'b'"), identity("SELECT 'a' /* x */ \n 'b'"));
        assert_ne!(identity("SELECT 'a' -- x\n'b'"), identity("SELECT 'a' 'b' -- x"));
        // The backslash ends the string or not.
        let text = r"SELECT '\' /* ' */ , x /* y */";
        assert_ne!(strip(text, true).identity, strip(text, false).identity);
    }

    #[test]
    fn identity_is_its_own_identity() {
        for text in ["SELECT 'a' /* x */ \n 'b'", "a--b\nc", "/*x*/ 'a' /*y*/ /*z*/ 'b';;", "SELECT U&'\\0061' -- x"] {
            let once = identity(text);
            assert_eq!(identity(&once), once, "{text}");
        }
    }

    #[test]
    fn hints_are_heard_in_comments_alone() {
        let hint = |text| strip(text, true).hint;
        assert!(hint("/* sidecache: off */ SELECT 1").off);
        assert!(hint("SELECT 1 --sidecache: off").off);
        assert_eq!(hint("SELECT 1 /* sidecache: level=strong */").level, Some(Level::Strong));
        assert_eq!(
            hint("/*sidecache:level=bounded,off*/ SELECT 1"),
            Hint { off: true, level: Some(Level::Bounded), route: None }
        );
        assert_eq!(hint("/* sidecache: route=primary */ SELECT 1").route, Some(RouteTo::Primary));
        assert_eq!(hint("SELECT '/* sidecache: off */' /* x */"), Hint::default());
        assert_eq!(hint("SELECT 1 /* sidecache: level=best */"), Hint::default());
    }
}
