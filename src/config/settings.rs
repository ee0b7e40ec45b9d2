//! Every setting, declared once: its name everywhere, its default and what it means. Flags, help, environment, file
//! and `config.toml` are all made from this table. Does not know what a value means; `build` does.

/// What stands where nothing was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing can: the setting must be given. With an example.
    Required(&'static str),
    /// The feature is off. With an example of a value.
    Absent(&'static str),
    /// This value.
    Value(&'static str),
}

/// How many values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    One,
    /// The flag may be repeated; in the environment values are separated by commas; in the file they are an array.
    Many,
}

/// How a value looks in `config.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Number,
    Boolean,
}

/// What of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Open,
    /// A URL that may hold a password.
    Url,
    /// Nothing. It has no flag either: command lines are public on most systems.
    Hidden,
}

/// When another value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// From the next reload on.
    Reload,
    /// From the next start on.
    Restart,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file; the environment's is `SIDECACHE_` and this in upper case.
    pub key: &'static str,
    /// Its flag, without dashes.
    pub flag: &'static str,
    /// What help calls its value.
    pub value: &'static str,
    pub count: Count,
    pub form: Form,
    pub secrecy: Secrecy,
    pub fallback: Fallback,
    pub change: Change,
    pub doc: &'static str,
}

impl Setting {
    /// The variable of the environment that gives it.
    pub fn environment(&self) -> String {
        format!("SIDECACHE_{}", self.key.to_ascii_uppercase())
    }

    const fn new(
        key: &'static str,
        flag: &'static str,
        value: &'static str,
        fallback: Fallback,
        doc: &'static str,
    ) -> Self {
        Setting {
            key,
            flag,
            value,
            count: Count::One,
            form: Form::Text,
            secrecy: Secrecy::Open,
            fallback,
            change: Change::Restart,
            doc,
        }
    }

    const fn live(self) -> Self {
        Setting { change: Change::Reload, ..self }
    }

    const fn many(self) -> Self {
        Setting { count: Count::Many, ..self }
    }

    const fn form(self, form: Form) -> Self {
        Setting { form, ..self }
    }

    const fn secret(self, secrecy: Secrecy) -> Self {
        Setting { secrecy, ..self }
    }
}

/// The setting of this name.
///
/// # Panics
/// If there is none: names come from `build` alone, and a test reads every one.
pub(super) fn setting(key: &str) -> &'static Setting {
    SETTINGS.iter().find(|s| s.key == key).expect("the table has every setting that is read")
}

use Fallback::{Absent, Required, Value};

/// All of them, in the order of `config.toml`.
pub static SETTINGS: &[Setting] = &[
    Setting::new("primary", "primary", "URL", Required("postgres://app:password@127.0.0.1:5432/shop"),
        "The primary, with the user that Sidecache itself uses. Parameters: sslmode (disable, prefer, require, verify-ca, verify-full), sslrootcert, channel_binding (disable, prefer, require), host, port, zone. A host that begins with / is a Unix socket's directory.")
        .secret(Secrecy::Url),
    Setting::new("replicas", "replica", "URL", Absent("postgres://10.0.0.2:5432?zone=eu-1a"),
        "Replicas that take proven reads. User, password, database, sslmode and channel_binding that a URL leaves out are the primary's.")
        .many().secret(Secrecy::Url),
    Setting::new("users", "users", "FILE", Absent("/etc/sidecache/users"),
        "Who may connect: user:password or user:SCRAM-SHA-256$... a line (with auth_method md5 or trust also user:md5...), or \"user\" \"secret\" as in PgBouncer's auth_file. Without it, the user of the primary's URL alone.").live(),
    Setting::new("auth_query", "auth-query", "SQL", Absent("SELECT usename, passwd FROM sidecache_auth.secret_of($1)"),
        "Asked on the primary, by the user of its URL, for users that are not in the users file: gives name and SCRAM secret of the user $1. search_path is pg_catalog: name the schema of everything else."),
    Setting::new("auth_method", "auth-method", "METHOD", Value("scram"),
        "How clients prove who they are: scram; md5, as weak as it is, for clients that know nothing else (needs passwords or md5 hashes; who has a SCRAM secret proves it by SCRAM); trust, not at all (on loopback addresses and Unix sockets alone)."),
    Setting::new("auth_trust_any_address", "auth-trust-any-address", "BOOL", Value("false"),
        "Allows auth_method trust where other machines can connect: whoever does is any user, operators included.")
        .form(Form::Boolean),
    Setting::new("auth_refresh", "auth-refresh", "DURATION", Value("60s"),
        "How long the primary's word on who may log in is believed: past it, a client that connects is let in only after a login of its user there (or on a replica, while the primary is gone), and auth_query is asked again."),
    Setting::new("redis", "redis", "URL", Absent("rediss://:password@127.0.0.1:6379/0"),
        "The shared tier (redis:// or rediss:// for TLS). Without it, memory only.").secret(Secrecy::Url),
    Setting::new("redis_secret", "", "SECRET", Absent("at least 16 characters, the same on all instances"),
        "Authenticates entries in the shared tier; required with redis. Has no flag: command lines can be read by others.")
        .secret(Secrecy::Hidden),
    Setting::new("redis_timeout", "redis-timeout", "DURATION", Value("10ms"),
        "The longest wait for the shared tier; past it, a miss."),
    Setting::new("listen", "listen", "ADDR", Value("127.0.0.1:6432"),
        "Where PostgreSQL clients connect; repeatable. A path is a Unix socket: name it DIR/.s.PGSQL.PORT for libpq.").many(),
    Setting::new("reuse_port", "reuse-port", "BOOL", Value("false"),
        "Lets a second process of the same user listen beside this one, so that it can take over: new clients go to it once this one is told to end.")
        .form(Form::Boolean),
    Setting::new("http", "http", "ADDR", Value("127.0.0.1:9432"),
        "Where /metrics, /livez, /readyz and /status are served, without authentication; off for none."),
    Setting::new("zone", "zone", "NAME", Absent("eu-1a"),
        "This instance's availability zone: replicas in it are preferred."),
    Setting::new("memory", "memory", "SIZE", Value("256MiB"), "Bytes of the memory tier."),
    Setting::new("entry_limit", "entry-limit", "SIZE", Value("1MiB"), "The largest answer that is stored."),
    Setting::new("consistency", "consistency", "LEVEL", Value("session"),
        "What a hit promises: session (no older than the bound, never before the session's own last write or read), bounded (no older than the bound), strong (every read goes to the primary).").live(),
    Setting::new("staleness", "staleness", "DURATION", Value("1s"),
        "The freshness bound: when the stream of changes is later than this, hits stop."),
    Setting::new("max_retained_wal", "max-retained-wal", "SIZE", Value("4GiB"),
        "How much WAL the primary may have to keep for the stream, which reads from the oldest transaction that has written: past it the stream ends, and hits stop until that transaction has."),
    Setting::new("cache", "cache", "MODE", Value("on"), "on, off, or shadow (does everything but serve)."),
    Setting::new("pool", "pool", "MODE", Value("transaction"),
        "When a client's connection goes back to the pool: after each transaction, or at the session's end."),
    Setting::new("pool_size", "pool-size", "N", Value("20"), "Connections to each server for each user and database.").form(Form::Number).live(),
    Setting::new("pool_reserve", "pool-reserve", "N", Value("0"),
        "Connections beyond pool_size, for sessions that have waited pool_reserve_after.").form(Form::Number).live(),
    Setting::new("pool_reserve_after", "pool-reserve-after", "DURATION", Value("1s"),
        "How long a session waits before it may have one of pool_reserve.").live(),
    Setting::new("pool_min", "pool-min", "N", Value("0"),
        "Connections that are kept open though nobody uses them, in pools that have been used.").form(Form::Number).live(),
    Setting::new("pool_idle_timeout", "pool-idle-timeout", "DURATION", Value("10m"),
        "Connections to servers that nobody has used for so long are closed, but for pool_min; 0s for never.").live(),
    Setting::new("pool_lifetime", "pool-lifetime", "DURATION", Value("1h"),
        "Connections to servers are closed at about this age, once they are free; 0s for never.").live(),
    Setting::new("pool_timeout", "pool-timeout", "DURATION", Value("5s"),
        "How long a session waits for a connection before it is told 53300.").live(),
    Setting::new("max_prepared_statements", "max-prepared-statements", "N", Value("256"),
        "Statements of clients that a server connection keeps prepared; for one more, the least recently used goes, and is prepared again when it is bound.")
        .form(Form::Number),
    Setting::new("connect_timeout", "connect-timeout", "DURATION", Value("5s"),
        "How long connecting to a server may take."),
    Setting::new("query_timeout", "query-timeout", "DURATION", Value("0s"),
        "Requests that take longer, the client's reading included, are cancelled (57014); 0s for never.").live(),
    Setting::new("transaction_idle_timeout", "transaction-idle-timeout", "DURATION", Value("0s"),
        "Sessions that leave a transaction open and say nothing for so long are ended (25P03); 0s for never.").live(),
    Setting::new("client_idle_timeout", "client-idle-timeout", "DURATION", Value("0s"),
        "Sessions outside a transaction that say nothing for so long are ended (57P05); 0s for never.").live(),
    Setting::new("keepalive", "keepalive", "DURATION", Value("30s"),
        "TCP peers, clients and servers, that fall silent are probed after this time and given up after twice as long; at most 32767s; 0s leaves it to the system."),
    Setting::new("tcp_user_timeout", "tcp-user-timeout", "DURATION", Value("0s"),
        "TCP peers, clients and servers, are given up once what was sent to them has not been acknowledged for so long, or not been taken: who stops reading counts too. 0s leaves it to the system, as PostgreSQL does, which goes on for about a quarter of an hour."),
    Setting::new("workers", "workers", "N", Absent("1"),
        "Threads that serve sessions. Without it, one for each core. With fewer, a query costs less, since threads wake each other less often; one thread serves as many queries as one core can.").form(Form::Number),
    Setting::new("max_clients", "max-clients", "N", Value("10000"),
        "Sessions at a time; more are told 53300 (sorry, too many clients already).").form(Form::Number).live(),
    Setting::new("auth_timeout", "auth-timeout", "DURATION", Value("10s"), "How long a client may take to prove itself.").live(),
    Setting::new("auth_failure_delay", "auth-failure-delay", "DURATION", Value("5s"),
        "The longest that an attempt to log in waits after failed ones of the same user from the same address (IPv6: the same /64). The first few cost nothing, then the wait doubles from 250ms up to this, or to half of auth_timeout. 0s for no wait.").live(),
    Setting::new("drain_timeout", "drain-timeout", "DURATION", Value("30s"),
        "How long SIGTERM waits for transactions to end.").live(),
    Setting::new("tls_certificate", "tls-certificate", "FILE", Absent("/etc/sidecache/server.crt"),
        "PEM certificate chain for TLS towards clients; with tls_key.").live(),
    Setting::new("tls_key", "tls-key", "FILE", Absent("/etc/sidecache/server.key"), "PEM private key of tls_certificate.").live(),
    Setting::new("tls_required", "tls-required", "BOOL", Value("false"), "Refuse TCP clients that do not use TLS.")
        .form(Form::Boolean).live(),
    Setting::new("tls_client_ca", "tls-client-ca", "FILE", Absent("/etc/sidecache/clients-ca.crt"),
        "PEM certificates of those who sign certificates of clients; with tls_client_auth.").live(),
    Setting::new("tls_client_auth", "tls-client-auth", "MODE", Value("off"),
        "What a certificate counts for that a client shows, in pg_hba.conf's words: off, verify-ca (TCP clients need one beside their password), verify-full (and its common name is the user), cert (its common name is the user, and no password is asked for; the password in the users file logs in upstream). Unix sockets are left out.").live(),
    Setting::new("admin_users", "admin-user", "USER", Absent("ops"),
        "Who may use the console, the database sidecache, with the password of the users file. Without it, the user of the primary's URL alone, on a Unix socket.")
        .many().live(),
    Setting::new("log_format", "log-format", "FORMAT", Value("text"), "text or json."),
    Setting::new("log_level", "log-level", "FILTER", Value("info"),
        "off, error, warn, info, debug or trace, which is Sidecache's own: what it is built from says warnings and errors alone; or a filter that names modules, such as info,sidecache::feed=debug.").live(),
];
