//! What is worth knowing of how clients get in: TLS towards them, and how they prove who they are. Pure.

use super::findings::{Finding, bad, good, warning};
use crate::config::users::Users;
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
        Err(cause) => bad(format!("TLS towards clients: {cause}"), "mend tls_certificate, tls_key and tls_client_ca"),
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
