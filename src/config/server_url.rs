//! A PostgreSQL server's URL, as libpq reads it, apart from what would be ignored in silence: parameters that are not
//! known, several hosts, fragments are refused. Reasons never repeat any part that could be a piece of a password.

use super::{ChannelBinding, Secret, ServerUrl, SslMode};
use std::path::PathBuf;
use url::Url;

/// Stands where a URL names no host, which the `url` crate would not parse beside a user.
const UNNAMED: &str = "unnamed.invalid";

/// Reads `text`. What it leaves out of user, password, database and TLS comes from `base`, where there is one (a
/// replica's URL has the primary's).
pub fn server_url(text: &str, base: Option<&ServerUrl>) -> Result<ServerUrl, String> {
    let url = parse(text)?;
    let user = match decode(url.username())? {
        empty if empty.is_empty() => {
            base.map(|b| b.user.clone()).ok_or("names no user (postgres://USER:PASSWORD@HOST/DATABASE)")?
        }
        user => user,
    };
    let password = match url.password() {
        Some(encoded) => Some(Secret(decode(encoded)?)),
        None => base.filter(|b| b.user == user).and_then(|b| b.password.clone()),
    };
    let database = match decode(url.path().strip_prefix('/').unwrap_or_default())? {
        empty if empty.is_empty() => {
            base.map(|b| b.database.clone()).ok_or("names no database (postgres://USER:PASSWORD@HOST/DATABASE)")?
        }
        database if database.contains('/') => return Err("its path is more than a database's name".to_owned()),
        database => database,
    };
    let mut server = ServerUrl {
        host: match url.host_str() {
            Some(UNNAMED) | None => String::new(),
            Some(host) => decode(host.trim_start_matches('[').trim_end_matches(']'))?,
        },
        port: url.port().unwrap_or(5432),
        user,
        password,
        database,
        ssl_mode: base.map_or(SslMode::Prefer, |b| b.ssl_mode),
        ssl_root_cert: base.and_then(|b| b.ssl_root_cert.clone()),
        channel_binding: base.map_or(ChannelBinding::Prefer, |b| b.channel_binding),
        zone: None,
    };
    for (name, value) in url.query_pairs() {
        parameter(&mut server, &name, &value)?;
    }
    let names = |wanted| url.query_pairs().any(|(name, _)| name == wanted);
    if trusts_system(&server) && names("sslrootcert") && !names("sslmode") && !server.host.starts_with('/') {
        // As libpq: it is what goes with it.
        server.ssl_mode = SslMode::VerifyFull;
    } else if server.ssl_mode == SslMode::Disable && !names("sslrootcert") {
        server.ssl_root_cert = None;
    }
    check(&server)?;
    Ok(server)
}

fn parse(text: &str) -> Result<Url, String> {
    let rest = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
        .ok_or("must begin with postgres:// or postgresql://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if rest.matches('@').count() > 1 {
        return Err("an @ in a user or password must be written %40".to_owned());
    }
    if rest.contains('@') && !authority.contains('@') {
        return Err("a / or ? before the @ must be percent-encoded (%2F, %3F)".to_owned());
    }
    if rest.contains('#') {
        return Err("a # must be written %23".to_owned());
    }
    if authority.rsplit('@').next().is_some_and(|hosts| hosts.contains(',')) {
        return Err("names several hosts: give each replica a URL of its own".to_owned());
    }
    let tail = &rest[authority.len()..];
    let named = if authority.is_empty() || authority.ends_with('@') {
        format!("postgres://{authority}{UNNAMED}{tail}")
    } else {
        format!("postgres://{rest}")
    };
    Url::parse(&named).map_err(|cause| cause.to_string())
}

fn parameter(server: &mut ServerUrl, name: &str, value: &str) -> Result<(), String> {
    match name {
        "host" => server.host = value.to_owned(),
        "port" => server.port = value.parse().map_err(|_| "its port is not a number below 65536")?,
        "sslmode" => server.ssl_mode = ssl_mode(value)?,
        "sslrootcert" => server.ssl_root_cert = Some(PathBuf::from(value)),
        "channel_binding" => server.channel_binding = channel_binding(value)?,
        "zone" => server.zone = Some(value.to_owned()),
        _ => {
            return Err(format!(
                "parameter {name:?} is not known (host, port, sslmode, sslrootcert, channel_binding, zone are)"
            ));
        }
    }
    Ok(())
}

fn ssl_mode(value: &str) -> Result<SslMode, String> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "allow" | "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => Err("its sslmode is not one of disable, prefer, require, verify-ca, verify-full".to_owned()),
    }
}

fn channel_binding(value: &str) -> Result<ChannelBinding, String> {
    match value {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err("its channel_binding is not one of disable, prefer, require".to_owned()),
    }
}

fn trusts_system(server: &ServerUrl) -> bool {
    server.ssl_root_cert.as_deref().is_some_and(|path| path.as_os_str() == "system")
}

fn check(server: &ServerUrl) -> Result<(), String> {
    if server.host.is_empty() {
        return Err("names no host".to_owned());
    }
    if server.port == 0 {
        return Err("its port is 0".to_owned());
    }
    if [&server.host, &server.user, &server.database].iter().any(|part| part.contains('\0')) {
        return Err("holds a zero byte".to_owned());
    }
    if server.password.as_ref().is_some_and(|p| p.0.contains('\0')) {
        return Err("its password holds a zero byte".to_owned());
    }
    let socket = server.host.starts_with('/');
    if socket && matches!(server.ssl_mode, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) {
        return Err("a Unix socket cannot use TLS: leave sslmode out".to_owned());
    }
    if trusts_system(server) && !socket && server.ssl_mode != SslMode::VerifyFull {
        return Err(
            "sslrootcert=system needs sslmode=verify-full: the system trusts who has a certificate for any name"
                .to_owned(),
        );
    }
    if server.channel_binding == ChannelBinding::Require && (socket || server.ssl_mode == SslMode::Disable) {
        return Err("channel_binding=require needs TLS".to_owned());
    }
    Ok(())
}

/// `%40` to `@`. The crate that `url` uses for it is not exported, and `+` means itself here.
fn decode(text: &str) -> Result<String, String> {
    let wrong = || "holds a % that no two hexadecimal digits follow (write %25)".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or_else(wrong);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 when its % are decoded".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ServerUrl {
        server_url(text, None).unwrap_or_else(|reason| panic!("{text}: {reason}"))
    }

    #[test]
    fn every_part_is_read_and_decoded() {
        let s = read(
            "postgresql://us%65r:p%40s%2Fs%3A%25%2B+@db.example:6000/my%20db?sslmode=verify-full&sslrootcert=%2Fca.pem&zone=a",
        );
        assert_eq!((s.host.as_str(), s.port, s.user.as_str()), ("db.example", 6000, "user"));
        assert_eq!(s.password, Some(Secret("p@s/s:%++".into())));
        assert_eq!((s.database.as_str(), s.ssl_mode), ("my db", SslMode::VerifyFull));
        assert_eq!((s.ssl_root_cert, s.zone.as_deref()), (Some("/ca.pem".into()), Some("a")));
        let s = read("postgres://us,er:se,cret@h/d");
        assert_eq!((s.user.as_str(), s.password, s.host.as_str()), ("us,er", Some(Secret("se,cret".into())), "h"));
    }

    #[test]
    fn what_is_left_out_has_libpqs_default() {
        let s = read("postgres://u@h/d");
        assert_eq!((s.port, s.password, s.ssl_mode, s.zone), (5432, None, SslMode::Prefer, None));
        assert_eq!(read("postgres://u@h/d?sslmode=allow").ssl_mode, SslMode::Prefer);
    }

    #[test]
    fn channel_binding_is_libpqs_and_the_primarys() {
        let bound = read("postgres://u@h/d?channel_binding=require");
        assert_eq!(read("postgres://u@h/d").channel_binding, ChannelBinding::Prefer);
        let replica = |text: &str| server_url(text, Some(&bound)).map(|server| server.channel_binding);
        assert_eq!(replica("postgres://h2"), Ok(ChannelBinding::Require));
        assert_eq!(replica("postgres://h2?channel_binding=disable&sslmode=disable"), Ok(ChannelBinding::Disable));
        for wrong in ["postgres://h2?channel_binding=yes", "postgres://h2?sslmode=disable", "postgres:///d?host=/run"] {
            assert!(replica(wrong).unwrap_err().contains("channel_binding"), "{wrong}");
        }
    }

    #[test]
    fn r25_the_systems_roots_are_for_names_as_with_libpq() {
        assert_eq!(read("postgres://u@h/d?sslrootcert=system").ssl_mode, SslMode::VerifyFull);
        assert_eq!(read("postgres://u@h/d?sslmode=verify-full&sslrootcert=system").ssl_mode, SslMode::VerifyFull);
        for weaker in ["disable", "prefer", "require", "verify-ca"] {
            let error = server_url(&format!("postgres://u@h/d?sslmode={weaker}&sslrootcert=system"), None).unwrap_err();
            assert!(error.contains("verify-full"), "{weaker}: {error}");
        }
        let primary = read("postgres://u@h/d?sslrootcert=system");
        assert!(server_url("postgres://h2?sslmode=require", Some(&primary)).is_err());
        assert_eq!(server_url("postgres://h2?sslmode=disable", Some(&primary)).unwrap().ssl_root_cert, None);
    }

    #[test]
    fn sockets_and_ipv6_are_hosts() {
        assert_eq!(read("postgres://u:p@%2Frun%2Fpostgresql:6000/d").host, "/run/postgresql");
        assert_eq!(read("postgres://u:p@/d?host=/run/postgresql&port=6001").host, "/run/postgresql");
        assert_eq!(read("postgres://u:p@/d?host=%2Frun&port=6001").port, 6001);
        assert_eq!(read("postgres://u@[::1]:6000/d").host, "::1");
        assert!(server_url("postgres://u@%2Frun/d?sslmode=require", None).is_err());
    }

    #[test]
    fn a_replica_leaves_to_the_primary_what_it_does_not_say() {
        let primary = read("postgres://u:p@h/d?sslmode=require&zone=a");
        let replica = server_url("postgres://h2:5433?zone=b", Some(&primary)).unwrap();
        assert_eq!((replica.host.as_str(), replica.port, replica.user.as_str()), ("h2", 5433, "u"));
        assert_eq!((replica.password, replica.database.as_str()), (Some(Secret("p".into())), "d"));
        assert_eq!((replica.ssl_mode, replica.zone.as_deref()), (SslMode::Require, Some("b")));
        let other = server_url("postgres://someone@h2", Some(&primary)).unwrap();
        assert_eq!(other.password, None, "a password belongs to its user");
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for wrong in [
            "",
            "h",
            "mysql://u@h/d",
            "postgres://h/d",
            "postgres://u@h",
            "postgres://u@h/",
            "postgres://u@/d",
            "postgres://u@h/a/b",
            "postgres://u@h1,h2/d",
            "postgres://u:p,p@h1,h2/d",
            "postgres://h1,h2/d",
            "postgres://u@h:0/d",
            "postgres://u@h:70000/d",
            "postgres://u@h/d?sslmode=maybe",
            "postgres://u@h/d?connect_timeout=3",
            "postgres://u@h/d#x",
            "postgres://u%zz@h/d",
            "postgres://u:%00@h/d",
            "postgres://u%ff@h/d",
            "postgres://u@h/d?port=x",
        ] {
            assert!(server_url(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reasons_hold_no_piece_of_a_password() {
        for text in [
            "postgres://u:hunter@2@h/d",
            "postgres://u:hunter/2@h/d",
            "postgres://u:12?hunter=2@h/d",
            "postgres://u:hunter#2@h/d",
            "postgres://u:p@ss?hunter=2@h/d",
            "postgres://u:%hunter@h/d",
            "postgres://u:hunter%@h/d",
        ] {
            let base = read("postgres://u:p@h/d");
            for base in [None, Some(&base)] {
                let reason = server_url(text, base).unwrap_err();
                assert!(!reason.contains("hunter"), "{text}: {reason}");
            }
        }
    }
}
