//! The configuration as a whole: what wins, what is refused, and `config.toml` held equal to the code.

use super::template::config_toml;
use super::users::Users;
use super::*;
use crate::types::Level;
use clap::{Args, FromArgMatches};
use std::collections::HashMap;
use std::io::Write;

const PRIMARY: &str = "postgres://app:hunter2@db/shop";

fn load(flags: &[&str], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let command = Flags::augment_args(clap::Command::new("sidecache").no_binary_name(true));
    let matches = command.try_get_matches_from(flags).unwrap();
    let environment: HashMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::load(&Flags::from_arg_matches(&matches).unwrap(), &|name| environment.get(name).cloned())
}

fn with(flags: &[&str]) -> Result<Config, ConfigError> {
    load(&[&["--primary", PRIMARY], flags].concat(), &[])
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn config_toml_says_what_the_code_does() {
    let shipped = include_str!("../../config.toml");
    if shipped != config_toml() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
        assert!(
            std::env::var_os("SIDECACHE_BLESS").is_some(),
            "config.toml differs: run with SIDECACHE_BLESS=1 to write it"
        );
        std::fs::write(path, config_toml()).unwrap();
    }
}

#[test]
fn the_shipped_file_is_the_defaults() {
    let shipped = file(&config_toml());
    let from_file = with(&["--config", shipped.path().to_str().unwrap()]).unwrap();
    assert_eq!(format!("{from_file:?}"), format!("{:?}", with(&[]).unwrap()));
}

#[test]
fn every_setting_of_the_shipped_file_is_read_once_uncommented() {
    let uncommented: String = config_toml()
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|l| l.contains(" = ")).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let table: toml::Table = toml::from_str(&uncommented).unwrap();
    for setting in SETTINGS {
        assert!(table.contains_key(setting.key), "{}", setting.key);
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let text = file("primary = \"postgres://f:p@db/shop\"\nstaleness = \"3s\"\npool_size = 3\nmemory = \"3MiB\"\n");
    let path = text.path().to_str().unwrap();
    let environment = [("SIDECACHE_STALENESS", "2s"), ("SIDECACHE_POOL_SIZE", "2"), ("SIDECACHE_MEMORY", "")];
    let config = load(&["--config", path, "--staleness", "1ms"], &environment).unwrap();
    assert_eq!(config.staleness, Duration::from_millis(1));
    assert_eq!(config.live.pool_size, 2);
    assert_eq!(config.memory, 3 << 20, "an empty variable gives nothing");
    assert_eq!(config.live.max_clients, 10_000);
    let named_by_environment = load(&[], &[("SIDECACHE_CONFIG", path)]).unwrap();
    assert_eq!(named_by_environment.primary.user, "f");
}

#[test]
fn defaults_are_those_that_are_documented() {
    let config = with(&[]).unwrap();
    assert_eq!(config.listen, [Listen::Tcp("127.0.0.1:6432".parse().unwrap())]);
    assert_eq!(config.http, Some("127.0.0.1:9432".parse().unwrap()));
    assert_eq!((config.memory, config.entry_limit), (256 << 20, 1 << 20));
    assert_eq!((config.live.consistency, config.staleness), (Level::Session, Duration::from_secs(1)));
    assert_eq!((config.cache, config.pool, config.live.pool_size), (CacheMode::On, PoolMode::Transaction, 20));
    assert!(config.redis.is_none() && config.replicas.is_empty() && config.client_tls.is_none());
}

#[test]
fn lists_are_repeated_flags_commas_and_arrays() {
    let two = with(&["--replica", "postgres://a", "--replica", "postgres://b?zone=z"]).unwrap();
    assert_eq!((two.replicas.len(), two.replicas[1].zone.as_deref()), (2, Some("z")));
    let variables = [("SIDECACHE_PRIMARY", PRIMARY), ("SIDECACHE_REPLICAS", "postgres://a, postgres://b")];
    assert_eq!(load(&[], &variables).unwrap().replicas.len(), 2);
    let text = file("listen = [\"127.0.0.1:1\", \"/tmp/x\"]\nhttp = \"off\"");
    let config = with(&["--config", text.path().to_str().unwrap()]).unwrap();
    assert_eq!((config.listen.len(), config.http), (2, None));
}

#[test]
fn every_error_names_key_value_source_and_reason() {
    assert_eq!(
        with(&["--staleness", "0s"]).unwrap_err().to_string(),
        "staleness = \"0s\" (from --staleness): must be longer than zero"
    );
    let error = load(&[], &[("SIDECACHE_PRIMARY", PRIMARY), ("SIDECACHE_CACHE", "yes")]).unwrap_err();
    assert_eq!(error.to_string(), "cache = \"yes\" (from SIDECACHE_CACHE): not one of on, off, shadow");
    let error = load(&["--primary", "postgres://app:hunter2@db/shop?sslmode=no"], &[]).unwrap_err().to_string();
    assert!(error.starts_with("primary = \"postgres://***\" (from --primary): its sslmode is not one of"), "{error}");
    let error = load(&[], &[]).unwrap_err().to_string();
    assert!(error.starts_with("primary is required: give --primary URL, SIDECACHE_PRIMARY"), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let refused = |flags: &[&str], says: &str| {
        let error = with(flags).unwrap_err().to_string();
        assert!(error.contains(says), "{flags:?}: {error}");
    };
    refused(&["--redis", "redis://:hunter2@r"], "redis = \"redis://***\" (from --redis): needs redis_secret");
    refused(&["--pool-size", "0"], "at least 1");
    refused(&["--pool-size", "2", "--pool-min", "3"], "larger than pool_size");
    refused(&["--max-clients", "0"], "at least 1");
    refused(&["--entry-limit", "512MiB"], "larger than memory");
    refused(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:1"], "is given twice");
    refused(&["--listen", "127.0.0.1:9432"], "is also in listen");
    refused(&["--replica", "postgres://db"], "is the primary");
    refused(&["--replica", "postgres://a", "--replica", "postgres://a"], "is given twice");
    refused(&["--replica", "postgres://a/other"], "another database");
    refused(&["--tls-certificate", "/dev/null"], "needs tls_key");
    refused(&["--tls-key", "/dev/null"], "needs tls_certificate");
    refused(&["--tls-required", "true"], "needs tls_certificate and tls_key");
    refused(&["--users", "/nonexistent/users"], "No such file");
    refused(&["--tls-client-auth", "cert"], "tls_client_auth = \"cert\" (from --tls-client-auth): needs tls_client_ca");
    refused(&["--tls-client-ca", "/dev/null"], "needs tls_client_auth");
    refused(&["--tls-client-ca", "/dev/null", "--tls-client-auth", "cert"], "needs tls_certificate and tls_key");
    refused(&["--tls-client-auth", "verify"], "not one of off, verify-ca, verify-full, cert");
    refused(&["--auth-method", "password"], "not one of scram, md5, trust");
    refused(&["--auth-method", "trust", "--listen", "/tmp/s", "--listen", "0.0.0.0:1"], "whoever reaches 0.0.0.0:1");
    refused(&["--auth-trust-any-address", "true"], "needs auth_method trust");
    let anywhere = ["--auth-method", "trust", "--listen", "[::]:1", "--auth-trust-any-address", "true"];
    assert!(with(&anywhere).is_ok() && with(&anywhere[..2]).is_ok());
    assert!(with(&["--auth-method", "trust", "--listen", "/tmp/s", "--listen", "[::1]:1"]).is_ok());
    let empty = file("listen = []");
    refused(&["--config", empty.path().to_str().unwrap()], "listen = \"[]\"");
    for reading in ["connect-timeout", "pool-timeout", "auth-timeout", "redis-timeout"] {
        refused(&[&format!("--{reading}"), "0s"], "longer than zero");
    }
    assert!(with(&["--drain-timeout", "0s"]).is_ok(), "not waiting is a choice");
}

#[test]
fn the_shared_tier_needs_its_secret_and_a_plain_url() {
    let load = |url: &str, secret: &str| {
        load(&["--primary", PRIMARY, "--redis", url], &[("SIDECACHE_REDIS_SECRET", secret)]).map(|config| config.redis)
    };
    assert!(load("rediss://:hunter2@r:6380/1", "0123456789abcdef").unwrap().is_some());
    for (url, secret) in [
        ("redis://r", "hunter2short"),
        ("http://:hunter2@r", "0123456789abcdef"),
        ("redis://:hunter2@r/x", "0123456789abcdef"),
        ("redis://:hunter2@r?a=b", "0123456789abcdef"),
        ("redis:", "0123456789abcdef"),
    ] {
        let error = load(url, secret).unwrap_err().to_string();
        assert!(error.starts_with("redis") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn secrets_are_never_printed() {
    let secret = [("SIDECACHE_REDIS_SECRET", "hunter2hunter2hunter2")];
    let config = load(&["--primary", PRIMARY, "--redis", "redis://:hunter2@r"], &secret).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", Users::load(config.users.as_deref(), &config).unwrap()).contains("hunter2"));
}

#[test]
fn the_readme_has_every_setting() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = readme.split_once("<!-- settings -->\n").expect("the table's beginning is marked");
    let (_, tail) = rest.split_once("<!-- /settings -->").expect("and its end");
    let wanted = format!("{head}<!-- settings -->\n{}<!-- /settings -->{tail}", super::template::readme_table());
    if readme != wanted {
        assert!(
            std::env::var_os("SIDECACHE_BLESS").is_some(),
            "README.md differs: run with SIDECACHE_BLESS=1 to write it"
        );
        std::fs::write(path, wanted).unwrap();
    }
}

#[test]
fn an_auth_query_that_asks_for_nobody_is_refused_by_name() {
    let error = with(&["--auth-query", "SELECT rolname, rolpassword FROM pg_authid"]).unwrap_err().to_string();
    assert!(error.contains("auth_query") && error.contains("$1"), "{error}");
    assert!(with(&["--auth-refresh", "0s"]).unwrap_err().to_string().contains("auth_refresh"));
    for query in
        ["SELECT u, p FROM s.f($1)", " /* who */ with x AS (SELECT $1) SELECT u, p FROM x", " -- who\n(SELECT $1)"]
    {
        assert!(with(&["--auth-query", query]).unwrap().auth_query.is_some(), "{query}");
    }
    for query in ["DELETE FROM s.users WHERE u = $1", "CALL s.f($1)", "$1", "selection($1)"] {
        let error = with(&["--auth-query", query]).unwrap_err().to_string();
        assert!(error.contains("auth_query") && error.contains("SELECT"), "{error}");
    }
}

#[test]
fn an_empty_item_of_a_list_is_refused() {
    for (name, list) in [("ADMIN_USERS", "ops,"), ("ADMIN_USERS", ",ops"), ("LISTEN", "127.0.0.1:1,,127.0.0.1:2")] {
        let error = load(&[], &[("SIDECACHE_PRIMARY", PRIMARY), (&format!("SIDECACHE_{name}"), list)]).unwrap_err();
        assert!(error.to_string().contains("empty item"), "{error}");
    }
    assert!(with(&["--admin-user", ""]).unwrap_err().to_string().contains("empty item"));
    let empty = file("admin_users = ['ops', '']");
    assert!(with(&["--config", empty.path().to_str().unwrap()]).is_err());
}

#[test]
fn a_comma_in_a_password_separates_no_urls() {
    let list = "postgres://app:hun,ter2@a, postgres://b";
    let config = load(&[], &[("SIDECACHE_PRIMARY", PRIMARY), ("SIDECACHE_REPLICAS", list)]).unwrap();
    let password = |server: &ServerUrl| server.password.clone().map(|password| password.0);
    assert_eq!(
        config.replicas.iter().map(password).collect::<Vec<_>>(),
        [Some("hun,ter2".into()), Some("hunter2".into())]
    );
    let list = "postgres://a,b";
    let error = load(&[], &[("SIDECACHE_PRIMARY", PRIMARY), ("SIDECACHE_REPLICAS", list)]).unwrap_err().to_string();
    assert!(error.contains("several hosts"), "{error}");
}

#[test]
fn a_root_certificate_that_is_not_there_is_refused() {
    let url = |path: &str| format!("postgres://app:hunter2@db/shop?sslmode=verify-full&sslrootcert={path}");
    let error = load(&["--primary", &url("/nonexistent/ca.pem")], &[]).unwrap_err().to_string();
    for part in ["primary = ", "sslrootcert", "/nonexistent/ca.pem", "No such file"] {
        assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
    }
    let error = with(&["--replica", "postgres://r1", "--replica", "postgres://r2?sslrootcert=/nonexistent"]);
    assert!(error.unwrap_err().to_string().contains("replicas = \"postgres://r2"));
    for there in ["/dev/null", "system"] {
        assert!(load(&["--primary", &url(there)], &[]).is_ok(), "{there}");
    }
}
