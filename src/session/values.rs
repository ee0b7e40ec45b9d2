//! Values of settings, as PostgreSQL reads them. Knows no setting.

/// As `parse_bool` in bool.c: any beginning of a word that no other word has.
pub fn boolean(text: &str) -> Option<bool> {
    let begins = |word: &str| word.get(..text.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(text));
    match text {
        "" => None,
        "1" => Some(true),
        "0" => Some(false),
        _ if begins("true") || begins("yes") || text.eq_ignore_ascii_case("on") => Some(true),
        _ if begins("false") || begins("no") || text.len() > 1 && begins("off") => Some(false),
        _ => None,
    }
}

/// A time as PostgreSQL reads it for a setting whose unit is the millisecond (`parse_int` and `convert_to_base_unit` in guc.c), but
/// for fractions and numbers that are not decimal.
pub fn milliseconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit.trim_start() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_times_are_read_as_postgresql_reads_them() {
        for (text, millis) in
            [("0", 0), ("300", 300), ("300ms", 300), ("5 s", 5_000), ("2min", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(milliseconds(text), Some(millis), "{text}");
        }
        for text in ["", "-1", "1.5s", "5m", "99999d", "default"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }

    #[test]
    fn c17_booleans_are_read_as_postgresql_reads_them() {
        for (text, value) in [("on", true), ("of", false), ("off", false)] {
            assert_eq!(boolean(text), Some(value), "{text}");
            assert_eq!(boolean(&text.to_uppercase()), Some(value), "{text}");
        }
        for (word, value) in [("true", true), ("yes", true), ("1", true), ("false", false), ("no", false), ("0", false)]
        {
            (1..=word.len()).for_each(|end| assert_eq!(boolean(&word[..end]), Some(value), "{word}"));
        }
        for text in ["", "o", "offs", "onn", "truee", "10", " on", "ja", "\u{e9}"] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }
}
