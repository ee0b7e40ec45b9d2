//! What is worth knowing of how clients get in: TLS towards them, and how they prove who they are. Pure.

use super::findings::{Finding, bad, good, warning};
use crate::config::users::{Credential, Users};
use crate::config::{AuthMethod, ClientAuth, Config};

/// TLS towards clients.
pub fn certificate(loaded: Result<ClientAuth, String>) -> Finding {
    match loaded {
        Ok(ClientAuth::Off) => good("TLS towards clients: certificate and key fit"),
        Ok(ClientAuth::VerifyCa | ClientAuth::VerifyFull) => {
            good("TLS towards clients: certificate and key fit, clients need one too, beside their password")
        }
        Ok(ClientAuth::Cert) => {
            good("TLS towards clients: certificate and key fit, clients prove themselves by theirs alone")
        }
        Err(cause) => bad(format!("TLS towards clients: {cause}"), "mend the file that this names, or the setting"),
    }
}

/// What `auth_query` said of one user, or why it said nothing.
pub fn auth_query(rows: Result<&[Vec<Option<String>>], &str>, user: &str) -> Finding {
    let gives = "it is to give one row, the name and the secret of the user $1: SELECT usename, passwd FROM …";
    let wrong = |what: String| bad(format!("auth_query gave {what}"), gives);
    let rows = match rows {
        Ok(rows) => rows,
        Err(cause) => {
            let mend = "let this user run it; search_path is pg_catalog, so name the schema of everything else\n\
                        the manual, Running it, has a function that needs no superuser";
            return bad(format!("auth_query: {cause}"), mend);
        }
    };
    match rows {
        [] => good(format!("auth_query: answers, and knows no user \"{user}\"")),
        [row] => match row.as_slice() {
            [None, _] | [Some(_), None] => good(format!("auth_query: answers, and gives no secret of user \"{user}\"")),
            [Some(name), _] if name != user => wrong("another user than was asked for".to_owned()),
            [Some(_), Some(secret)] if Credential::of_secret(secret).is_none() => {
                wrong("neither a SCRAM secret nor an md5 hash".to_owned())
            }
            [Some(_), Some(_)] => good("auth_query: gives name and secret"),
            columns => wrong(format!("{} columns, not name and secret", columns.len())),
        },
        more => wrong(format!("{} rows for one user", more.len())),
    }
}

/// How clients prove who they are, where it is worth a word.
pub fn authentication(config: &Config, users: &Users) -> Option<Finding> {
    let by_certificate = config.client_tls.as_ref().is_some_and(|tls| tls.client_auth == ClientAuth::Cert);
    match (config.auth_method, users.without_password()) {
        (AuthMethod::Trust, _) => Some(warning(
            "auth_method is trust: whoever can connect is any user, operators included",
            "set auth_method = \"scram\" where that is not meant",
        )),
        (AuthMethod::Md5, _) => Some(warning(
            "auth_method is md5: what is heard on the way, or read from the users file, can be used to log in",
            "set auth_method = \"scram\" once every client knows it",
        )),
        (AuthMethod::Scram, named) if by_certificate && !named.is_empty() => Some(warning(
            format!("users who have a certificate and no password to log in upstream with: {}", named.join(", ")),
            "give their passwords in the users file, in place of SCRAM secrets",
        )),
        (AuthMethod::Scram, _) => None,
    }
}
