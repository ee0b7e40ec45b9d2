//! `application_name` as a server keeps it: cut, and printable ASCII alone. The greeting says it though no server was asked, since
//! sessions that share a greeting differ in it. Knows no session.

use crate::sql::list::cut;

/// The first major version that says which bytes it does not keep (`pg_clean_ascii` in string.c).
const ESCAPES: u32 = 16;

/// What a server of this version (`server_version`) keeps.
pub(super) fn kept(name: &str, version: &str) -> String {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    let escapes = version[..digits].parse::<u32>().is_ok_and(|major| major >= ESCAPES);
    let mut kept = String::new();
    for byte in cut(name).bytes() {
        match byte {
            b' '..=b'~' => kept.push(char::from(byte)),
            _ if escapes => kept += &format!("\\x{byte:02x}"),
            _ => kept.push('?'),
        }
    }
    kept
}

/// What the client is told of a name that is cut (`truncate_identifier` in scansup.c).
pub(super) fn told(name: &str) -> Option<String> {
    let cut = cut(name);
    (cut.len() < name.len()).then(|| format!("identifier \"{name}\" will be truncated to \"{cut}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_keeps_its_own() {
        for (version, expected) in
            [("15.18 (Debian)", "a ~???"), ("16rc1", r"a ~\x0a\xc3\xa9"), ("18.4", r"a ~\x0a\xc3\xa9")]
        {
            assert_eq!(kept("a ~\n\u{e9}", version), expected, "{version}");
        }
        assert_eq!(kept("x", ""), "x");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = "n".repeat(62) + "\u{e9}";
        assert_eq!(kept(&name, "15"), "n".repeat(62));
        assert!(told(&name).is_some_and(|text| text.ends_with("n\"")));
        assert_eq!(told(&"n".repeat(63)), None);
    }
}
