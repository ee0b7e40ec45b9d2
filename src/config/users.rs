//! Who may connect, and what proves it. Does not know the protocol of the proof. A line of the users file is a
//! secret: errors give its number alone.

use super::{AuthMethod, Config, ConfigError, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::path::Path;

/// Rounds of PBKDF2 that a secret may ask of clients: a count beyond is a mistake, or meant to keep them busy.
const MOST_ITERATIONS: u32 = 10_000_000;

/// What is known of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The password itself.
    Password(Secret),
    /// What PostgreSQL keeps in `pg_authid.rolpassword`: enough to check a proof, not to make one.
    Scram(ScramSecret),
    /// What PostgreSQL kept there before: enough for an MD5 challenge on either side. `md5` and 32 hexadecimal digits.
    Md5(Secret),
}

impl Credential {
    /// As `pg_authid.rolpassword` has it; nothing if it is of no kind that is known.
    pub fn of_secret(text: &str) -> Option<Self> {
        ScramSecret::read(text).map(Credential::Scram).or_else(|| md5_hash(text).map(Credential::Md5))
    }
}

fn md5_hash(text: &str) -> Option<Secret> {
    let digits = text.strip_prefix("md5").filter(|digits| digits.len() == 32)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| Secret(text.to_ascii_lowercase()))
}

/// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramSecret {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; 32],
    pub server_key: [u8; 32],
}

impl ScramSecret {
    /// As `pg_authid.rolpassword` has it; nothing if it is no SCRAM secret.
    pub fn read(text: &str) -> Option<Self> {
        scram(text.strip_prefix("SCRAM-SHA-256$")?)
    }
}

impl std::fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SCRAM-SHA-256$***")
    }
}

/// Everyone who may connect.
#[derive(Debug, Clone, Default)]
pub struct Users {
    known: HashMap<String, Credential>,
    is_listed: bool,
}

impl Users {
    /// From the users file if there is one, else the user of the primary's URL alone; by what else is in force.
    ///
    /// # Errors
    /// The file cannot be read, or does not fit.
    pub fn load(file: Option<&Path>, in_force: &Config) -> Result<Self, ConfigError> {
        match file {
            Some(path) => Self::from_file(path, in_force.auth_method),
            None => Ok(Self::alone(&in_force.primary.user, in_force.primary.password.as_ref())),
        }
    }

    /// What proves this user, or nothing if nobody of that name may connect.
    pub fn lookup(&self, user: &str) -> Option<&Credential> {
        self.known.get(user)
    }

    /// Those of whom a secret is known and not the password, by name.
    pub fn without_password(&self) -> Vec<&str> {
        let without = self.known.iter().filter(|(_, credential)| !matches!(credential, Credential::Password(_)));
        let mut names: Vec<&str> = without.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Whether a users file says who they are.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// One user; without a password nobody can prove to be that user.
    fn alone(user: &str, password: Option<&Secret>) -> Self {
        let known = password.map(|p| (user.to_owned(), Credential::Password(p.clone()))).into_iter().collect();
        Users { known, is_listed: false }
    }

    fn from_file(path: &Path, method: AuthMethod) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Value {
            key: "users",
            shown: format!("{:?}", path.display().to_string()),
            origin: super::error::Origin::File(path.to_owned()),
            reason: cause.to_string(),
        })?;
        parse(&text, method).map_err(|Wrong { line, reason }| ConfigError::Users {
            path: path.to_owned(),
            line,
            reason: reason.to_owned(),
        })
    }
}

struct Wrong {
    line: usize,
    reason: &'static str,
}

fn parse(text: &str, method: AuthMethod) -> Result<Users, Wrong> {
    let mut known = HashMap::new();
    // Some editors begin a file with a byte order mark, which is no part of a name.
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let wrong = |reason| Wrong { line: index + 1, reason };
        if line.trim().is_empty() || line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (user, secret) = match line.trim().strip_prefix('"') {
            Some(quoted) => pgbouncers(quoted).map_err(wrong)?,
            None => own(line).map_err(wrong)?,
        };
        let credential = credential(&secret, method).map_err(wrong)?;
        if known.insert(user, credential).is_some() {
            return Err(wrong("gives a user a second time"));
        }
    }
    Ok(Users { known, is_listed: true })
}

/// `user:secret`, all as it stands.
fn own(line: &str) -> Result<(String, String), &'static str> {
    let (user, secret) = line.split_once(':').ok_or("not user:password")?;
    match user {
        _ if user.trim().is_empty() => Err("names no user before the colon"),
        _ if user.trim() != user => Err("has spaces around the user's name: write user:password without them"),
        _ if user.starts_with('\'') => Err("has the user's name in quotes: write user:password without them"),
        _ => Ok((user.to_owned(), secret.to_owned())),
    }
}

/// `"user" "secret"`, a quote in either doubled, as PgBouncer's `auth_file` has it; of old ones a third that is empty. The first
/// quote has been read.
fn pgbouncers(line: &str) -> Result<(String, String), &'static str> {
    let wrong = "begins with a quote and is not \"user\" \"password\", as PgBouncer has it, nor user:password";
    let (user, rest) = quoted(line).ok_or(wrong)?;
    let rest = rest.strip_prefix([' ', '\t']).and_then(|rest| rest.trim_start().strip_prefix('"')).ok_or(wrong)?;
    let (secret, rest) = quoted(rest).ok_or(wrong)?;
    match rest.trim() {
        _ if user.is_empty() => Err("names no user between the quotes"),
        "" | "\"\"" => Ok((user, secret)),
        _ => Err("has more than a user and a secret"),
    }
}

/// Up to the quote that closes, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"')?;
        value.push_str(part);
        match behind.strip_prefix('"') {
            Some(behind) => {
                value.push('"');
                rest = behind;
            }
            None => return Some((value, behind)),
        }
    }
}

fn credential(secret: &str, method: AuthMethod) -> Result<Credential, &'static str> {
    if let Some(rest) = secret.strip_prefix("SCRAM-SHA-256$") {
        return scram(rest).map(Credential::Scram).ok_or("not SCRAM-SHA-256$iterations:salt$stored:server");
    }
    if let Some(hash) = md5_hash(secret) {
        return match method {
            AuthMethod::Scram => Err(
                "gives an md5 hash, which proves nothing in SCRAM: give the password or its SCRAM secret, or start with auth_method md5",
            ),
            AuthMethod::Md5 | AuthMethod::Trust => Ok(Credential::Md5(hash)),
        };
    }
    match secret {
        "" => Err("gives an empty password"),
        _ if secret.contains('\0') => Err("holds a zero byte"),
        _ => Ok(Credential::Password(Secret(secret.to_owned()))),
    }
}

fn scram(rest: &str) -> Option<ScramSecret> {
    let (cost, keys) = rest.split_once('$')?;
    let (iterations, salt) = cost.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let key = |text: &str| <[u8; 32]>::try_from(STANDARD.decode(text).ok()?).ok();
    let secret = ScramSecret {
        iterations: iterations.parse().ok()?,
        salt: STANDARD.decode(salt).ok()?,
        stored_key: key(stored)?,
        server_key: key(server)?,
    };
    ((1..=MOST_ITERATIONS).contains(&secret.iterations) && !secret.salt.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const SCRAM: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHgA=";

    #[test]
    fn passwords_and_scram_secrets_are_read() {
        let text = format!("# who\r\n\r\nann: p:a ss \nbob:{SCRAM}\n");
        let Ok(users) = parse(&text, AuthMethod::Scram) else { panic!("refused") };
        assert_eq!(users.lookup("ann"), Some(&Credential::Password(Secret(" p:a ss ".into()))));
        let Some(Credential::Scram(bob)) = users.lookup("bob") else { panic!("bob") };
        assert_eq!((bob.iterations, bob.salt.as_slice()), (4096, b"saltsaltsaltsalt".as_slice()));
        assert_eq!((bob.stored_key[31], bob.server_key[0]), (31, 31));
        assert_eq!((users.lookup("Ann"), users.count()), (None, 2));
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number_alone() {
        for wrong in [
            "nocolon-hunter2",
            ":hunter2",
            "a:",
            "a:md50123456789abcdef0123456789abcdef",
            "a:SCRAM-SHA-256$4096:hunter2",
            "a:SCRAM-SHA-256$0:c2FsdA==$AA==:AA==",
            "ok:again",
            "\"a\":hunter2",
            "\"a\" \"hunter2",
            "\"a\" hunter2",
            "\"a\" \"hunter2\" more",
            "\"\" \"hunter2\"",
            "\"ok\" \"again\"",
            "a :hunter2",
            " a:hunter2",
            "'a':hunter2",
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            write!(file, "ok:fine\n{wrong}\n").unwrap();
            let error = Users::from_file(file.path(), AuthMethod::Scram).unwrap_err().to_string();
            assert!(error.contains("line 2") && !error.contains("hunter2"), "{wrong}: {error}");
        }
    }

    #[test]
    fn lines_in_pgbouncers_form_are_read() {
        let text = format!("; who\n\"a\"\"n n\"  \"p\"\"w:1\" \"\"\n\t\"bob\" \"{SCRAM}\"\r\ncarl:p\n");
        let Ok(users) = parse(&text, AuthMethod::Scram) else { panic!("refused") };
        let password = |text: &str| Some(Credential::Password(Secret(text.into())));
        assert_eq!(users.lookup("a\"n n").cloned(), password("p\"w:1"));
        assert!(matches!(users.lookup("bob"), Some(Credential::Scram(_))));
        assert_eq!((users.lookup("carl").cloned(), users.count()), (password("p"), 3));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name() {
        let Ok(users) = parse("\u{feff}ann:p\n", AuthMethod::Scram) else { panic!("refused") };
        assert!(users.lookup("ann").is_some());
    }

    #[test]
    fn an_md5_hash_is_taken_where_it_proves_something() {
        let hash = format!("md5{}", "0123456789ABCDEF".repeat(2));
        for method in [AuthMethod::Md5, AuthMethod::Trust] {
            assert_eq!(credential(&hash, method), Ok(Credential::Md5(Secret(hash.to_lowercase()))));
        }
        assert!(credential(&hash, AuthMethod::Scram).is_err());
        for password in ["md5", &hash[..34], &hash.replace('0', "g")] {
            assert_eq!(credential(password, AuthMethod::Scram), Ok(Credential::Password(Secret(password.into()))));
        }
    }

    #[test]
    fn a_secret_may_not_keep_clients_busy() {
        assert!(ScramSecret::read(&SCRAM.replace("4096", "10000000")).is_some());
        for absurd in ["0", "10000001", "4294967295", "4294967296", "-1"] {
            assert_eq!(ScramSecret::read(&SCRAM.replace("4096", absurd)), None, "{absurd}");
        }
    }

    #[test]
    fn without_a_file_the_primarys_user_is_alone() {
        let users = Users::alone("app", Some(&Secret("p".into())));
        assert!(users.lookup("app").is_some() && users.lookup("postgres").is_none());
        assert_eq!(Users::alone("app", None).lookup("app"), None, "nobody proves anything by an absent password");
    }
}
