//! Lists of identifiers in the value of a setting (`"$user", public`). They are not read as SQL is: no comments, no `U&"…"`.

/// Bytes of the longest identifier (`NAMEDATALEN` in pg_config_manual.h).
const LONGEST: usize = 63;

/// As `SplitIdentifierString` in varlena.c splits them; nothing for what it does not take. Letters are folded as in databases of several
/// bytes a character: those of ASCII.
pub fn identifiers(list: &str) -> Option<Vec<String>> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
    let mut rest = list.trim_start_matches(is_space);
    let mut all = Vec::new();
    while !rest.is_empty() {
        let behind = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted)?;
                all.push(quoted[..end].replace("\"\"", "\""));
                &quoted[end + 1..]
            }
            None => {
                let end = rest.find(|c| c == ',' || is_space(c)).unwrap_or(rest.len());
                all.push(rest[..end].to_ascii_lowercase());
                if end == 0 {
                    return None;
                }
                &rest[end..]
            }
        };
        rest = behind.trim_start_matches(is_space);
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start_matches(is_space);
            if rest.is_empty() {
                return None;
            }
        }
    }
    Some(all)
}

/// The place of the first quote that is not doubled.
fn closing_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')?;
        if !text[at + 1..].starts_with('"') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// What PostgreSQL makes of an identifier that is too long.
pub fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c16_lists_are_split_as_postgresql_splits_them() {
        for (list, names) in [
            ("", &[][..]),
            (" \t", &[]),
            ("a", &["a"]),
            (" A ,\"B c\",\"d\"\"e\"\n, \"\" ", &["a", "B c", "d\"e", ""]),
            ("\"$user\", public", &["$user", "public"]),
            ("\u{c4}a, \u{130}", &["\u{c4}a", "\u{130}"]),
            ("a\u{a0}b", &["a\u{a0}b"]),
            ("u&\"a\", a/*", &["u&\"a\"", "a/*"]),
        ] {
            assert_eq!(identifiers(list).expect(list), names, "{list}");
        }
        for list in [",", "a,", ",a", "a,,b", "a b", "\"a", "\"a\"b", "a, \"b\"\""] {
            assert_eq!(identifiers(list), None, "{list}");
        }
    }

    #[test]
    fn c16_long_identifiers_are_cut() {
        let long = "\u{e4}".repeat(40);
        assert_eq!(cut(&long), "\u{e4}".repeat(31));
        assert_eq!(cut("short"), "short");
    }
}
