//! From text to what will be done: each setting read by its meaning, contradictions between them refused.

use super::error::ConfigError;
use super::server_url::server_url;
use super::sources::{Flags, Given, Sources};
use super::{
    AuthMethod, CacheMode, ClientAuth, ClientTls, Config, Listen, Live, LogFormat, PoolMode, Secret, ServerUrl, values,
};
use crate::types::{KeepAlive, Level};
use std::path::Path;

/// Keys shorter than this could be guessed by who can read the shared tier.
const REDIS_SECRET_MIN: usize = 16;

impl Config {
    /// Reads flags, environment and file, in this order of strength.
    ///
    /// # Errors
    /// The first setting that cannot be used, by name, value and reason.
    pub fn load(flags: &Flags, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let from = Sources::open(flags, environment)?;
        let primary = from.required("primary", |text| server_url(text, None))?;
        let config = Config {
            replicas: from.list("replicas", |text| server_url(text, Some(&primary)))?,
            primary,
            users: from.optional("users", values::path)?,
            auth_query: from.optional("auth_query", auth_query)?,
            auth_method: from.required("auth_method", values::word(AUTH_METHODS))?,
            auth_refresh: from.required("auth_refresh", values::some_duration)?,
            redis: from.optional("redis", redis_url)?,
            redis_secret: from.optional("redis_secret", redis_secret)?,
            redis_timeout: from.required("redis_timeout", values::some_duration)?,
            listen: from.list("listen", values::listen)?,
            reuse_port: from.required("reuse_port", values::boolean)?,
            http: from.required("http", values::address_or_off)?,
            zone: from.optional("zone", |text| Ok(text.to_owned()))?,
            memory: from.required("memory", values::size)?,
            entry_limit: from.required("entry_limit", |text| {
                usize::try_from(values::size(text)?).map_err(|_| "larger than memory".to_owned())
            })?,
            staleness: from.required("staleness", values::some_duration)?,
            max_retained_wal: from.required("max_retained_wal", values::size)?,
            cache: from.required("cache", values::word(CACHE_MODES))?,
            ttl_rules: from.ttl_rules().to_vec(),
            route_rules: from.route_rules().to_vec(),
            pool: from.required("pool", values::word(POOL_MODES))?,
            max_prepared_statements: from.required("max_prepared_statements", values::count)?,
            connect_timeout: from.required("connect_timeout", values::some_duration)?,
            keep_alive: KeepAlive {
                after: from.required("keepalive", values::keepalive)?,
                unacknowledged: from.required("tcp_user_timeout", values::user_timeout)?,
            },
            workers: from.optional("workers", values::threads)?,
            client_tls: client_tls(&from)?,
            log_format: from.required("log_format", values::word(LOG_FORMATS))?,
            log_level: from.required("log_level", |text| Ok(text.to_owned()))?,
            live: live(&from)?,
            texts: from.texts()?,
        };
        contradictions(&config, &from)?;
        Ok(config)
    }
}

fn live(from: &Sources<'_>) -> Result<Live, ConfigError> {
    Ok(Live {
        consistency: from.required("consistency", values::word(LEVELS))?,
        pool_size: from.required("pool_size", values::count)?,
        pool_reserve: from.required("pool_reserve", values::count_or_none)?,
        pool_reserve_after: from.required("pool_reserve_after", values::duration)?,
        pool_min: from.required("pool_min", values::count_or_none)?,
        pool_timeout: from.required("pool_timeout", values::some_duration)?,
        pool_idle_timeout: from.required("pool_idle_timeout", values::limit)?,
        pool_lifetime: from.required("pool_lifetime", values::limit)?,
        query_timeout: from.required("query_timeout", values::limit)?,
        transaction_idle_timeout: from.required("transaction_idle_timeout", values::limit)?,
        client_idle_timeout: from.required("client_idle_timeout", values::limit)?,
        max_clients: from.required("max_clients", values::count)?,
        auth_timeout: from.required("auth_timeout", values::some_duration)?,
        auth_failure_delay: from.required("auth_failure_delay", values::duration)?,
        drain_timeout: from.required("drain_timeout", values::duration)?,
        tls_required: from.required("tls_required", values::boolean)?,
        admin_users: from.list("admin_users", |text| Ok(text.to_owned()))?,
    })
}

const LEVELS: &[(&str, Level)] = &[("session", Level::Session), ("bounded", Level::Bounded), ("strong", Level::Strong)];
const CACHE_MODES: &[(&str, CacheMode)] =
    &[("on", CacheMode::On), ("off", CacheMode::Off), ("shadow", CacheMode::Shadow)];
const POOL_MODES: &[(&str, PoolMode)] = &[("transaction", PoolMode::Transaction), ("session", PoolMode::Session)];
const AUTH_METHODS: &[(&str, AuthMethod)] =
    &[("scram", AuthMethod::Scram), ("md5", AuthMethod::Md5), ("trust", AuthMethod::Trust)];
const CLIENT_AUTH: &[(&str, ClientAuth)] = &[
    ("off", ClientAuth::Off),
    ("verify-ca", ClientAuth::VerifyCa),
    ("verify-full", ClientAuth::VerifyFull),
    ("cert", ClientAuth::Cert),
];
const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

impl Sources<'_> {
    fn optional<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, ConfigError> {
        self.given(key)?.map(|given| one(&given, &read)).transpose()
    }

    fn required<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let given = self.given(key)?.expect("a setting with a default, or required, is given");
        one(&given, &read)
    }

    fn list<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, ConfigError> {
        let Some(given) = self.given(key)? else { return Ok(Vec::new()) };
        let item = |text: &str| if text.is_empty() { Err("an empty item of a list".to_owned()) } else { read(text) };
        given.values.iter().map(|text| item(text).map_err(|reason| given.wrong(text, reason))).collect()
    }

    /// The error for a setting that was read and contradicts another.
    fn contradiction(&self, key: &str, index: usize, reason: impl Into<String>) -> ConfigError {
        match self.given(key) {
            Ok(Some(given)) => given.wrong(given.values.get(index).map_or("", String::as_str), reason),
            Ok(None) => unreachable!("only settings that were given contradict"),
            Err(error) => error,
        }
    }
}

fn one<T>(given: &Given, read: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
    let text = given.values.first().expect("given values are not empty");
    read(text).map_err(|reason| given.wrong(text, reason))
}

fn auth_query(text: &str) -> Result<String, String> {
    if !text.contains("$1") {
        return Err("does not name $1, the user who is asked for".to_owned());
    }
    if !["select", "with"].contains(&first_word(text).to_ascii_lowercase().as_str()) {
        return Err("is not a SELECT".to_owned());
    }
    Ok(text.to_owned())
}

/// The first word of a statement, past comments and brackets.
fn first_word(text: &str) -> &str {
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    while let Some((_, behind)) = match rest.get(..2) {
        Some("--") => rest.split_once('\n'),
        Some("/*") => rest.split_once("*/"),
        _ => None,
    } {
        rest = behind.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    }
    &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
}

fn redis_url(text: &str) -> Result<Secret, String> {
    let url = url::Url::parse(text).map_err(|cause| cause.to_string())?;
    if !matches!(url.scheme(), "redis" | "rediss") {
        return Err("must begin with redis:// or rediss:// (TLS)".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    if url.fragment().is_some() || url.query().is_some() {
        return Err("takes no parameters (write ? and # in a password as %3F and %23)".to_owned());
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Err("its path is not a database's number".to_owned());
    }
    Ok(Secret(text.to_owned()))
}

fn redis_secret(text: &str) -> Result<Secret, String> {
    if text.len() < REDIS_SECRET_MIN {
        return Err(format!("shorter than {REDIS_SECRET_MIN} characters"));
    }
    Ok(Secret(text.to_owned()))
}

fn client_tls(from: &Sources<'_>) -> Result<Option<ClientTls>, ConfigError> {
    let certificate = from.optional("tls_certificate", values::path)?;
    let key = from.optional("tls_key", values::path)?;
    let required = from.required("tls_required", values::boolean)?;
    let client_ca = from.optional("tls_client_ca", values::path)?;
    let client_auth = from.required("tls_client_auth", values::word(CLIENT_AUTH))?;
    match (client_auth, &client_ca) {
        (ClientAuth::Off, Some(_)) => {
            return Err(from.contradiction("tls_client_ca", 0, "needs tls_client_auth, which says what it is for"));
        }
        (ClientAuth::Off, None) => {}
        (_, None) => return Err(from.contradiction("tls_client_auth", 0, "needs tls_client_ca")),
        (_, Some(_)) if certificate.is_none() => {
            return Err(from.contradiction("tls_client_auth", 0, "needs tls_certificate and tls_key"));
        }
        (_, Some(_)) => {}
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(ClientTls { certificate, key, client_ca, client_auth })),
        (Some(_), None) => Err(from.contradiction("tls_certificate", 0, "needs tls_key")),
        (None, Some(_)) => Err(from.contradiction("tls_key", 0, "needs tls_certificate")),
        (None, None) if required => Err(from.contradiction("tls_required", 0, "needs tls_certificate and tls_key")),
        (None, None) => Ok(None),
    }
}

/// Trust is for whom the system lets connect. Anybody else would be let in as anybody.
fn trust(config: &Config, from: &Sources<'_>) -> Result<(), ConfigError> {
    let anywhere = from.required("auth_trust_any_address", values::boolean)?;
    match config.auth_method {
        AuthMethod::Trust if !anywhere => {
            let is_open = |listen: &&Listen| matches!(listen, Listen::Tcp(address) if !address.ip().is_loopback());
            let Some(open) = config.listen.iter().find(is_open) else { return Ok(()) };
            let reason = format!(
                "lets whoever reaches {open} be any user: listen on 127.0.0.1 or a Unix socket alone, or set auth_trust_any_address"
            );
            Err(from.contradiction("auth_method", 0, reason))
        }
        AuthMethod::Scram | AuthMethod::Md5 if anywhere => {
            Err(from.contradiction("auth_trust_any_address", 0, "needs auth_method trust"))
        }
        AuthMethod::Trust | AuthMethod::Scram | AuthMethod::Md5 => Ok(()),
    }
}

fn contradictions(config: &Config, from: &Sources<'_>) -> Result<(), ConfigError> {
    trust(config, from)?;
    if config.redis.is_some() && config.redis_secret.is_none() {
        let reason =
            "needs redis_secret (SIDECACHE_REDIS_SECRET, or the configuration file), which authenticates entries";
        return Err(from.contradiction("redis", 0, reason));
    }
    if config.live.pool_min > config.live.pool_size {
        return Err(from.contradiction("pool_min", 0, "larger than pool_size"));
    }
    if config.entry_limit as u64 > config.memory {
        return Err(from.contradiction("entry_limit", 0, "larger than memory"));
    }
    for (index, listen) in config.listen.iter().enumerate() {
        if config.listen[..index].contains(listen) {
            return Err(from.contradiction("listen", index, "is given twice"));
        }
        if matches!((listen, config.http), (Listen::Tcp(a), Some(b)) if *a == b && b.port() != 0) {
            return Err(from.contradiction("http", 0, "is also in listen"));
        }
    }
    let at = |server: &ServerUrl| (server.host.clone(), server.port);
    for (index, replica) in config.replicas.iter().enumerate() {
        let wrong = |reason: &str| Err(from.contradiction("replicas", index, reason));
        if at(replica) == at(&config.primary) {
            return wrong("is the primary");
        }
        if config.replicas[..index].iter().any(|other| at(other) == at(replica)) {
            return wrong("is given twice");
        }
        if replica.database != config.primary.database {
            return wrong("names another database than the primary's URL");
        }
    }
    root_certificate("primary", 0, &config.primary, from)?;
    for (index, replica) in config.replicas.iter().enumerate() {
        root_certificate("replicas", index, replica, from)?;
    }
    readable("users", config.users.as_deref(), from)?;
    readable("tls_certificate", config.client_tls.as_ref().map(|tls| tls.certificate.as_path()), from)?;
    readable("tls_key", config.client_tls.as_ref().map(|tls| tls.key.as_path()), from)?;
    readable("tls_client_ca", config.client_tls.as_ref().and_then(|tls| tls.client_ca.as_deref()), from)
}

fn root_certificate(key: &str, index: usize, server: &ServerUrl, from: &Sources<'_>) -> Result<(), ConfigError> {
    // `system` stands for the system's own.
    let named = server.ssl_root_cert.as_deref().filter(|path| path.as_os_str() != "system");
    match named.map(|path| (path, std::fs::File::open(path))) {
        Some((path, Err(cause))) => {
            Err(from.contradiction(key, index, format!("its sslrootcert {}: {cause}", path.display())))
        }
        _ => Ok(()),
    }
}

/// A file that is named must be there: better said now than at the first client.
fn readable(key: &str, path: Option<&Path>, from: &Sources<'_>) -> Result<(), ConfigError> {
    match path.map(std::fs::File::open) {
        Some(Err(cause)) => Err(from.contradiction(key, 0, cause.to_string())),
        _ => Ok(()),
    }
}
