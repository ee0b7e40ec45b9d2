//! `sidecache check`: asks every server that is configured, and says for each thing that is amiss what to run to mend
//! it. Changes nothing: the one slot that it tries is temporary and dropped at once. What is good or bad is decided in
//! `findings`.

mod clients;
mod findings;

pub use self::findings::PrimaryFacts;
use self::findings::{Finding, ReplicaFacts, Trial};
use super::files;
use super::reload::acceptor;
use super::setup::TRIGGERS;
use crate::catalog::{STORAGES, Storage};
use crate::config::users::Users;
use crate::config::{CacheMode, Config, ServerUrl, TtlRule};
use crate::store::shared::breaker::BreakerState;
use crate::store::shared::{Shared, SharedOptions};
use crate::types::Lsn;
use crate::upstream::{Control, Upstream};
use std::time::Duration;

/// How long the shared tier may take to be reached.
const SHARED_TIMEOUT: Duration = Duration::from_secs(3);

/// How often it is looked at meanwhile.
const SHARED_POLL: Duration = Duration::from_millis(20);

/// How long the trial slot may wait for transactions that are open.
const SLOT_TIMEOUT: &str = "3s";

/// One row of facts about the primary, each as text.
const PRIMARY_FACTS: &str = "\
SELECT current_setting('server_version_num'), current_setting('server_version'), pg_is_in_recovery()::text,
 current_setting('wal_level'),
 current_setting('max_replication_slots'), (SELECT count(*) FROM pg_replication_slots)::text,
 current_setting('max_wal_senders'), (SELECT count(*) FROM pg_stat_replication)::text,
 quote_ident(current_user),
 (SELECT (rolsuper OR rolreplication)::text FROM pg_roles WHERE rolname = current_user),
 (SELECT pg_has_role(current_user, oid, 'member')::text FROM pg_roles WHERE rolname = 'rds_replication'),
 current_setting('cloudsql.logical_decoding', true),
 CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END::text";

const REPLICA_FACTS: &str =
    "SELECT pg_is_in_recovery()::text, pg_last_wal_replay_lsn()::text, current_setting('server_version'),
    (SELECT quote_ident(current_user) WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE'))";

const SYSTEM: &str = "SELECT system_identifier::text FROM pg_control_system()";

const SLOT_MADE: &str =
    "SELECT pg_create_logical_replication_slot('sidecache_check_' || pg_backend_pid(), 'test_decoding', true)";
const SLOT_DROPPED: &str = "SELECT pg_drop_replication_slot('sidecache_check_' || pg_backend_pid())";

/// Whether anything stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    Good,
    Bad,
}

/// Asks everything and prints each finding as it comes.
pub async fn check(config: &Config, users: &Users, mut print: impl FnMut(&str)) -> Checked {
    let mut report = Report { worst: Checked::Good, print: &mut print };
    report.add(findings::configuration(config, users));
    report.add_some(clients::authentication(config, users));
    report.add_some(findings::open_files(files::raise_limit(), files::wanted(config)));
    if let Some(loaded) = acceptor(config).map(|loaded| loaded.map(|loaded| loaded.client_auth)).transpose() {
        report.add(clients::certificate(loaded.map_err(|cause| cause.to_string())));
    }
    let primary = primary(config, &mut report).await;
    for (index, url) in config.replicas.iter().enumerate() {
        let name = format!("replica-{} {}", index + 1, place(url));
        match ask_replica(config, url).await {
            Ok(facts) => report.all(findings::replica(&name, &facts, primary.as_ref())),
            Err(cause) => report.add(findings::unreachable(&name, &cause)),
        }
    }
    report.all(findings::zones(config));
    if config.cache != CacheMode::Off {
        report.add_some(shared_tier(config).await);
    }
    report.worst
}

struct Report<'a> {
    worst: Checked,
    print: &'a mut dyn FnMut(&str),
}

impl Report<'_> {
    fn add(&mut self, finding: Finding) {
        if finding.is_bad() {
            self.worst = Checked::Bad;
        }
        (self.print)(&finding.to_string());
    }

    fn add_some(&mut self, finding: Option<Finding>) {
        finding.into_iter().for_each(|finding| self.add(finding));
    }

    fn all(&mut self, findings: Vec<Finding>) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }
}

async fn primary(config: &Config, report: &mut Report<'_>) -> Option<PrimaryFacts> {
    let name = format!("primary {}", place(&config.primary));
    let (control, facts) = match primary_facts(config).await {
        Ok(asked) => asked,
        Err(cause) => {
            report.add(findings::unreachable(&name, &cause));
            return None;
        }
    };
    report.add(findings::primary(&name, &facts));
    if let Some(query) = &config.auth_query {
        let user = &config.primary.user;
        let rows = control.rows_with(query, &[user]).await.map_err(|cause| cause.to_string());
        report.add(clients::auth_query(rows.as_deref().map_err(String::as_str), user));
    }
    if facts.in_recovery || (config.cache == CacheMode::Off && config.replicas.is_empty()) {
        return Some(facts);
    }
    let mut stream = findings::stream(&facts);
    if !stream.iter().any(Finding::is_bad) {
        stream.push(findings::trial(try_slot(&control).await));
        match event_triggers(&control).await {
            Ok(always) => stream.push(findings::event_triggers(always)),
            Err(cause) => report.add(findings::unreachable(&name, &cause)),
        }
    }
    if !config.ttl_rules.is_empty() {
        stream = stream.into_iter().map(Finding::softened).collect();
    }
    report.all(stream);
    if config.cache != CacheMode::Off {
        match storages(&control).await {
            Ok(all) => all.iter().for_each(|(kind, tables)| report.add_some(findings::storage(*kind, tables))),
            Err(cause) => report.add(findings::unreachable(&name, &cause)),
        }
    }
    for rule in &config.ttl_rules {
        match ask_rule(&control, rule).await {
            Ok(kind) => report.add(findings::ttl_rule(rule, kind.as_deref())),
            Err(cause) => report.add(findings::unreachable(&name, &cause)),
        }
    }
    Some(facts)
}

/// A connection as Sidecache's own user, to any of the servers.
async fn connect(config: &Config, url: &ServerUrl) -> Result<Control, String> {
    let alone = Config { primary: url.clone(), replicas: Vec::new(), ..config.clone() };
    let limit = config.connect_timeout;
    match tokio::time::timeout(limit, Upstream::new(&alone).control()).await {
        Ok(connected) => connected.map_err(|cause| cause.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

async fn row(control: &Control, sql: &str) -> Result<Vec<Option<String>>, String> {
    let rows = control.rows(sql).await.map_err(|cause| cause.to_string())?;
    rows.into_iter().next().ok_or_else(|| "the server answered with no row".to_owned())
}

async fn ask_primary(control: &Control) -> Result<PrimaryFacts, String> {
    let facts = row(control, PRIMARY_FACTS).await?;
    let system = system(control).await;
    PrimaryFacts::read(facts, system).ok_or_else(|| "the server's answer could not be understood".to_owned())
}

/// A connection to the primary as Sidecache's own user, and what the primary says of itself.
///
/// # Errors
/// It cannot be reached or understood, in a sentence.
pub async fn primary_facts(config: &Config) -> Result<(Control, PrimaryFacts), String> {
    let control = connect(config, &config.primary).await?;
    let facts = ask_primary(&control).await?;
    Ok((control, facts))
}

/// How many of ours fire in every session, whatever its session_replication_role.
async fn event_triggers(control: &Control) -> Result<usize, String> {
    let names = TRIGGERS.map(|(name, _)| format!("'{name}'")).join(", ");
    let sql = format!("SELECT evtname::text FROM pg_event_trigger WHERE evtenabled = 'A' AND evtname IN ({names})");
    Ok(control.rows(&sql).await.map_err(|cause| cause.to_string())?.len())
}

/// Where the tables have their rows, and how many there.
async fn storages(control: &Control) -> Result<Vec<(Storage, String)>, String> {
    let rows = control.rows(STORAGES).await.map_err(|cause| cause.to_string())?;
    let storage = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
        Ok([Some(word), Some(count)]) => Storage::named(&word).map(|storage| (storage, count)),
        _ => None,
    };
    let all: Option<Vec<_>> = rows.into_iter().map(storage).collect();
    all.ok_or_else(|| "the server's answer could not be understood".to_owned())
}

/// What a rule names.
async fn ask_rule(control: &Control, rule: &TtlRule) -> Result<Option<String>, String> {
    let quoted = rule.table.replace('\'', "''");
    let sql = format!(
        "SELECT relkind FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE concat(nspname, '.', relname) = '{quoted}'"
    );
    let rows = control.rows(&sql).await.map_err(|cause| cause.to_string())?;
    Ok(rows.into_iter().flatten().flatten().next())
}

/// Which cluster it is; nothing where that may not be asked.
async fn system(control: &Control) -> Option<String> {
    row(control, SYSTEM).await.ok()?.into_iter().next()?
}

async fn ask_replica(config: &Config, url: &ServerUrl) -> Result<ReplicaFacts, String> {
    let control = connect(config, url).await?;
    let [recovery, replayed, version, unprivileged] = <[_; 4]>::try_from(row(&control, REPLICA_FACTS).await?)
        .map_err(|_| "the server's answer could not be understood")?;
    Ok(ReplicaFacts {
        in_recovery: recovery.as_deref() == Some("true"),
        replayed: replayed.and_then(|text| text.parse::<Lsn>().ok()),
        version: version.unwrap_or_default(),
        system: system(&control).await,
        unprivileged,
    })
}

/// Makes a slot as the feed does, and drops it.
async fn try_slot(control: &Control) -> Trial {
    if let Err(cause) = control.rows(&format!("SET statement_timeout = '{SLOT_TIMEOUT}'")).await {
        return Trial::Refused(cause.to_string());
    }
    match control.rows(SLOT_MADE).await {
        Ok(_) => {
            // If this fails the slot still ends with the connection, which ends here.
            let _ = control.rows(SLOT_DROPPED).await;
            Trial::Made
        }
        Err(cause) if cause.to_string().contains("statement timeout") => Trial::Waited,
        Err(cause) => Trial::Refused(cause.to_string()),
    }
}

async fn shared_tier(config: &Config) -> Option<Finding> {
    let (url, secret) = config.redis.clone().zip(config.redis_secret.clone())?;
    let options = SharedOptions { url, secret, timeout: config.redis_timeout, value_limit: config.entry_limit };
    let shared = match Shared::new(&options) {
        Ok(shared) => shared,
        Err(cause) => return Some(findings::shared_tier(Err(cause.to_string()))),
    };
    let reached = async {
        while shared.state() != BreakerState::Closed {
            tokio::time::sleep(SHARED_POLL).await;
        }
    };
    let reached = tokio::select! {
        () = shared.run() => false,
        reached = tokio::time::timeout(SHARED_TIMEOUT, reached) => reached.is_ok(),
    };
    let trouble = || shared.trouble().map_or("no answer", |trouble| trouble.label()).to_owned();
    Some(findings::shared_tier(if reached { Ok(()) } else { Err(trouble()) }))
}

fn place(url: &ServerUrl) -> String {
    if url.host.starts_with('/') {
        format!("{}/.s.PGSQL.{}", url.host, url.port)
    } else {
        format!("{}:{}", url.host, url.port)
    }
}
