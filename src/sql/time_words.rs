//! Strings that PostgreSQL's date input takes for the present day or instant. A string that holds such a word may become a
//! date without any cast being written (`created_at > 'yesterday'`), so the words alone are reason enough to refuse.

/// Whether a string holds `now`, `today`, `tomorrow` or `yesterday` as a word (a run of letters, in any case).
/// `epoch`, `infinity` and `allballs` are constants.
pub fn holds_time_word(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphabetic())
        .any(|word| ["now", "today", "tomorrow", "yesterday"].iter().any(|w| word.eq_ignore_ascii_case(w)))
}

#[cfg(test)]
mod tests {
    use super::holds_time_word;

    #[test]
    fn c22_time_words() {
        for yes in [
            "now",
            "NOW",
            " today ",
            "tomorrow 10:00",
            "{yesterday,2020-01-01}",
            "[now,infinity)",
            "now2",
            "2020-01-01 now",
        ] {
            assert!(holds_time_word(yes), "{yes}");
        }
        for no in ["", "known", "nowhere", "epoch", "infinity", "2020-01-01", "todays", "snow"] {
            assert!(!holds_time_word(no), "{no}");
        }
    }
}
