//! How far a text's bytes are the characters that PostgreSQL reads: it converts a text from the client's encoding before it looks
//! at it. Knows names of encodings, and converts nothing.

/// A session's `client_encoding`, as far as reading its texts goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// We read what PostgreSQL reads.
    #[default]
    Utf8,
    /// Bytes below 128 are characters; what the others are is not known.
    AsciiBased,
    /// Any byte may be the second half of a character: a backslash need not be one.
    Unknown,
}

/// What the names of PostgreSQL's server encodings and their aliases begin with (`pg_encname_tbl` in encnames.c). The others, which only
/// clients may have, use bytes below 128 in their characters.
const ASCII_BASED: &[&str] = &[
    "latin",
    "iso8859",
    "win12",
    "windows12",
    "win866",
    "windows866",
    "win874",
    "windows874",
    "koi8",
    "euc",
    "sqlascii",
    "muleinternal",
];

impl Encoding {
    /// By a name as `SET client_encoding` takes it: case and signs do not count (`clean_encoding_name` in encnames.c).
    pub fn named(name: &str) -> Self {
        let clean: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        match clean.as_str() {
            "utf8" | "unicode" => Encoding::Utf8,
            clean if ASCII_BASED.iter().any(|begin| clean.starts_with(begin)) => Encoding::AsciiBased,
            _ => Encoding::Unknown,
        }
    }

    /// Whether we read this text as PostgreSQL does.
    pub fn reads(self, text: &[u8]) -> bool {
        self == Encoding::Utf8 || text.is_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_encodings_are_known_by_all_their_names() {
        for name in ["UTF8", "utf-8", "Unicode"] {
            assert_eq!(Encoding::named(name), Encoding::Utf8, "{name}");
        }
        for name in ["LATIN1", "iso-8859-5", "WIN1252", "windows-1251", "koi8r", "EUC_JP", "SQL_ASCII"] {
            assert_eq!(Encoding::named(name), Encoding::AsciiBased, "{name}");
        }
        for name in ["SJIS", "win932", "Windows949", "GBK", "gb18030", "BIG5", "JOHAB", "UHC", "nonsense"] {
            assert_eq!(Encoding::named(name), Encoding::Unknown, "{name}");
        }
        assert!(Encoding::Unknown.reads(b"plain") && !Encoding::AsciiBased.reads("\u{e9}".as_bytes()));
    }
}
