//! Strings that PostgreSQL's date input takes for the present day or instant. A string that holds such a word may become a
//! date without any cast being written (`created_at > 'yesterday'`), so the words alone are reason enough to refuse.

/// The longest of the words, and one more.
const ROOM: usize = "yesterday".len() + 1;

/// Whether a string holds `now`, `today`, `tomorrow` or `yesterday` as a word (a run of letters, in any case).
/// `epoch`, `infinity` and `allballs` are constants.
pub fn holds_time_word(text: &str) -> bool {
    says_time_word(text.as_bytes())
}

/// The same of bytes.
pub fn says_time_word(text: &[u8]) -> bool {
    text.split(|byte| !byte.is_ascii_alphabetic()).any(is_time_word) || (text.iter().any(quotes) && is_quoted_in(text))
}

/// Words that stand for the present time where a date is read (`datetktbl` in datetime.c).
const WORDS: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];

/// Whether it is one of them.
pub fn is_time_word(word: &[u8]) -> bool {
    WORDS.iter().any(|time| time.eq_ignore_ascii_case(word))
}

/// Whether the first letters are.
pub fn begins_with_time_word(text: &[u8]) -> bool {
    WORDS.iter().any(|time| text.get(..time.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(time)))
}

/// Elements of arrays, bounds of ranges and fields of rows may be quoted, each letter by itself.
fn quotes(byte: &u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

/// Whether it holds such a word once quotes and backslashes are gone.
fn is_quoted_in(text: &[u8]) -> bool {
    let (mut word, mut length) = ([0; ROOM], 0);
    let letters = text.iter().filter(|byte| !quotes(byte)).chain(b" ");
    for letter in letters {
        if !letter.is_ascii_alphabetic() {
            if is_time_word(&word[..length]) {
                return true;
            }
            length = 0;
        } else if let Some(room) = word.get_mut(length) {
            *room = *letter;
            length += 1;
        }
    }
    false
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
            "{\"n\\ow\"}",
            "[n\"o\"w,)",
            "{[\\\"n\\\"ow,)}",
            "(\"to\"\"day\",1)",
            "a\\now",
            "a\"now",
        ] {
            assert!(holds_time_word(yes), "{yes}");
        }
        for no in
            ["", "known", "nowhere", "epoch", "infinity", "2020-01-01", "todays", "snow", "s\"no\"w", "yester\\days"]
        {
            assert!(!holds_time_word(no), "{no}");
        }
    }
}
