//! What the facts mean: good, worth knowing, or in the way, and what to run then. Pure.

use super::super::setup::TRIGGERS;
use crate::catalog::Storage;
use crate::config::users::Users;
use crate::config::{AuthMethod, CacheMode, Config, TtlRule, ZoneTrouble};
use crate::types::Lsn;
use std::fmt;

/// The oldest PostgreSQL whose functions the feed uses (`pg_current_snapshot`, `xid8`).
const OLDEST_VERSION: u32 = 130_000;

/// What the feed takes of each: one stream, and one more for the moment in which it is replaced.
const SLOTS_WANTED: i64 = 2;

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Good(String),
    /// Works, less well than it could.
    Warning {
        what: String,
        mend: String,
    },
    /// Does not work.
    Bad {
        what: String,
        mend: String,
    },
}

impl Finding {
    pub fn is_bad(&self) -> bool {
        matches!(self, Finding::Bad { .. })
    }

    /// What stands in the way of something that there is a way around.
    pub fn softened(self) -> Self {
        match self {
            Finding::Bad { what, mend } => Finding::Warning { what, mend },
            other => other,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, what, mend) = match self {
            Finding::Good(what) => ("ok", what, None),
            Finding::Warning { what, mend } => ("warn", what, Some(mend)),
            Finding::Bad { what, mend } => ("FAIL", what, Some(mend)),
        };
        write!(f, "{word:<5} {what}")?;
        mend.iter().flat_map(|mend| mend.lines()).try_for_each(|line| write!(f, "\n      > {line}"))
    }
}

pub(super) fn good(what: impl Into<String>) -> Finding {
    Finding::Good(what.into())
}

pub(super) fn warning(what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding::Warning { what: what.into(), mend: mend.into() }
}

pub(super) fn bad(what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding::Bad { what: what.into(), mend: mend.into() }
}

/// Whose service the primary is: each mends the same thing in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Own,
    /// RDS or Aurora.
    Rds,
    CloudSql,
}

/// What the primary said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryFacts {
    pub version: u32,
    pub version_text: String,
    pub in_recovery: bool,
    pub wal_level: String,
    pub slots: Headroom,
    pub senders: Headroom,
    /// Quoted as SQL wants it.
    pub user: String,
    pub may_replicate: bool,
    pub host: Host,
    pub position: Option<Lsn>,
    pub system: Option<String>,
}

/// How many there may be and are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    pub limit: i64,
    pub used: i64,
}

impl PrimaryFacts {
    /// Reads the row that `PRIMARY_FACTS` asks for.
    pub fn read(row: Vec<Option<String>>, system: Option<String>) -> Option<Self> {
        let [
            version,
            version_text,
            recovery,
            wal_level,
            slots,
            slots_used,
            senders,
            senders_used,
            user,
            replicates,
            rds,
            cloudsql,
            position,
        ] = <[Option<String>; 13]>::try_from(row).ok()?;
        let truth = |text: Option<String>| text.as_deref() == Some("true");
        let headroom = |limit: Option<String>, used: Option<String>| {
            Some(Headroom { limit: limit?.parse().ok()?, used: used?.parse().ok()? })
        };
        let host = match (&rds, &cloudsql) {
            (Some(_), _) => Host::Rds,
            (None, Some(_)) => Host::CloudSql,
            (None, None) => Host::Own,
        };
        Some(PrimaryFacts {
            version: version?.parse().ok()?,
            version_text: version_text?,
            in_recovery: truth(recovery),
            wal_level: wal_level?,
            slots: headroom(slots, slots_used)?,
            senders: headroom(senders, senders_used)?,
            user: user?,
            may_replicate: truth(replicates) || truth(rds),
            host,
            position: position.and_then(|text| text.parse().ok()),
            system,
        })
    }

    /// What gives the user the right to replicate.
    pub fn replication_grant(&self) -> String {
        let user = &self.user;
        match self.host {
            Host::Own => format!("ALTER ROLE {user} REPLICATION;"),
            Host::Rds => format!("GRANT rds_replication TO {user};"),
            Host::CloudSql => format!("ALTER USER {user} WITH REPLICATION;"),
        }
    }
}

/// What a replica said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaFacts {
    pub in_recovery: bool,
    pub replayed: Option<Lsn>,
    pub version: String,
    pub system: Option<String>,
    /// Who asked, if he may not read statistics: of the WAL receiver he sees nothing (`pg_stat_get_wal_receiver` in walreceiver.c).
    pub unprivileged: Option<String>,
}

/// How the trial of a slot went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    Made,
    /// Transactions that were open held it up for as long as it was given.
    Waited,
    Refused(String),
}

/// The configuration was read, or this would not run; what it leaves out is worth a word.
pub fn configuration(config: &Config, users: &Users) -> Finding {
    match users.count() {
        0 if config.auth_method != AuthMethod::Trust => bad(
            "configuration: nobody can connect, since the primary's URL has no password and there is no users file",
            "give the URL a password (postgres://USER:PASSWORD@HOST/DATABASE), or --users FILE",
        ),
        count => {
            let cache = match config.cache {
                CacheMode::On => "cache on",
                CacheMode::Off => "cache off",
                CacheMode::Shadow => "cache in shadow mode: nothing is served from it",
            };
            good(format!("configuration: {cache}, {} replicas, users who may connect: {count}", config.replicas.len()))
        }
    }
}

/// How many files this process may have open, and may come to need.
pub fn open_files(limit: Option<u64>, wanted: u64) -> Option<Finding> {
    let limit = limit.filter(|limit| *limit < wanted)?;
    Some(warning(
        format!("open files: {limit} at most, while max_clients and a pool for each server may take {wanted}"),
        "raise the hard limit (LimitNOFILE= in a systemd unit, ulimit -Hn in a shell), or lower max_clients",
    ))
}

/// A server that cannot be asked.
pub fn unreachable(name: &str, cause: &str) -> Finding {
    // Causes often begin with the server's address, which the name ends with.
    let place = name.rsplit(' ').next().unwrap_or_default();
    let cause = cause.strip_prefix(place).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(cause);
    let mend = match cause {
        _ if cause.contains("28P01") => {
            "the password in the URL is not that user's: mend the URL, or ALTER ROLE … PASSWORD"
        }
        _ if cause.contains("28000") => {
            "let this user and address in: a line in pg_hba.conf, then SELECT pg_reload_conf();"
        }
        _ if cause.contains("3D000") => "name a database that exists in the URL",
        _ if cause.contains("53300") => "no connection is free there: raise max_connections, or lower pool_size",
        _ if cause.contains("peer certificate") => "let sslrootcert name who signed it; README's limits tell the rest",
        _ => "check the URL, and that the server runs and can be reached from here",
    };
    bad(format!("{name}: {cause}"), mend)
}

/// The primary itself.
pub fn primary(name: &str, facts: &PrimaryFacts) -> Finding {
    let version = &facts.version_text;
    if facts.in_recovery {
        return bad(
            format!("{name}: PostgreSQL {version} is in recovery, so it is a replica"),
            "set primary to the server that takes writes",
        );
    }
    if facts.version < OLDEST_VERSION {
        return bad(format!("{name}: PostgreSQL {version} is older than 13"), "upgrade it");
    }
    good(format!("{name}: PostgreSQL {version}, takes writes, user {}", facts.user))
}

/// What the stream of changes needs.
pub fn stream(facts: &PrimaryFacts) -> Vec<Finding> {
    vec![
        wal_level(facts),
        privilege(facts),
        headroom("max_replication_slots", facts.slots, facts.host),
        headroom("max_wal_senders", facts.senders, facts.host),
    ]
}

fn wal_level(facts: &PrimaryFacts) -> Finding {
    let level = &facts.wal_level;
    if level == "logical" {
        return good("wal_level is logical");
    }
    let mend = match facts.host {
        Host::Own => "ALTER SYSTEM SET wal_level = 'logical';\nthen restart the primary",
        Host::Rds => {
            "set rds.logical_replication = 1 in the parameter group (Aurora: the cluster's), then reboot the writer"
        }
        Host::CloudSql => "set the flag cloudsql.logical_decoding = on, which restarts the instance",
    };
    bad(format!("wal_level is {level}: changes cannot be heard, so nothing is cached but by [[ttl]] rules"), mend)
}

fn privilege(facts: &PrimaryFacts) -> Finding {
    let user = &facts.user;
    if facts.may_replicate {
        return good(format!("{user} may replicate"));
    }
    bad(format!("{user} may not replicate: changes cannot be heard"), facts.replication_grant())
}

/// The event triggers of `sidecache setup`: how many of them fire in every session.
pub fn event_triggers(always: usize) -> Finding {
    if always == TRIGGERS.len() {
        return good("event triggers tell of DDL");
    }
    let what = match always {
        0 => "no event triggers",
        _ => "one event trigger of two",
    };
    warning(
        format!("{what}: DDL in one transaction with changed rows is noticed within half of `staleness`, not at once"),
        "sidecache setup | psql …   as a superuser, in the primary's database",
    )
}

fn headroom(setting: &str, Headroom { limit, used }: Headroom, host: Host) -> Finding {
    let what = format!("{setting}: {used} of {limit} are in use");
    let enough = used + SLOTS_WANTED;
    let mend = match host {
        Host::Own => format!("ALTER SYSTEM SET {setting} = {};\nthen restart the primary", enough.max(10)),
        Host::Rds | Host::CloudSql => {
            format!("raise {setting} to {} or more, then restart the primary", enough.max(10))
        }
    };
    match limit - used {
        free if free >= SLOTS_WANTED => good(what),
        1 => warning(format!("{what}: each instance of Sidecache takes one"), mend),
        _ => bad(format!("{what}: none is left for Sidecache"), mend),
    }
}

/// So many tables have their rows where the stream does not tell of them.
pub fn storage(storage: Storage, tables: &str) -> Option<Finding> {
    let (what, mend) = match storage {
        Storage::Own => return None,
        Storage::AccessMethod => (
            format!("tables whose access method is not heap: {tables}; what reads one is not cached"),
            "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relam <> 2;\n\
             a table that is to be cached has to be a heap: ALTER TABLE … SET ACCESS METHOD heap;",
        ),
        Storage::Shards => (
            format!("citus keeps rows in shards: of its database no table is cached (of {tables})"),
            "give tables that are to be cached a database without it",
        ),
        Storage::Compressed => (
            format!(
                "timescaledb compresses: what reads a table with heirs or partitions is not cached (such tables: {tables})"
            ),
            "leave compression off, or give tables that are to be cached another database",
        ),
    };
    Some(warning(what, mend))
}

/// A `[[ttl]]` rule. `kind`: `pg_class.relkind` of what it names, if there is such a thing.
pub fn ttl_rule(rule: &TtlRule, kind: Option<&str>) -> Finding {
    let what = format!("[[ttl]] {} for {:?}", rule.table, rule.ttl);
    match kind {
        Some("r" | "p") => good(format!("{what}: followed while there is no stream of changes")),
        Some("v") => warning(format!("{what}: is a view"), "name the tables that it reads"),
        Some(_) => warning(format!("{what}: nothing that reads it is ever cached"), "take the rule out"),
        None => {
            warning(format!("{what}: there is no such table"), "mend or take out the rule: names are as in pg_class")
        }
    }
}

/// The slot that was tried.
pub fn trial(trial: Trial) -> Finding {
    match trial {
        Trial::Made => good("a temporary slot with test_decoding can be made"),
        Trial::Waited => warning(
            "a slot waits for transactions that are open: hits begin when they end",
            "SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start;",
        ),
        Trial::Refused(cause) if cause.contains("test_decoding") => bad(
            format!("a slot cannot be made: {cause}"),
            "install PostgreSQL's contrib modules on the primary (test_decoding)",
        ),
        Trial::Refused(cause) => bad(format!("a slot cannot be made: {cause}"), "mend what the server names"),
    }
}

/// One replica.
pub fn replica(name: &str, facts: &ReplicaFacts, primary: Option<&PrimaryFacts>) -> Vec<Finding> {
    if !facts.in_recovery {
        return vec![bad(
            format!("{name}: PostgreSQL {} is not in recovery: it takes no reads", facts.version),
            "if it was promoted, make it the primary; else rebuild it as a replica",
        )];
    }
    let systems = (facts.system.as_ref(), primary.and_then(|p| p.system.as_ref()));
    if let (Some(own), Some(primary)) = systems
        && own != primary
    {
        return vec![bad(
            format!("{name}: follows another cluster than the primary's"),
            "take it out of replicas, or rebuild it",
        )];
    }
    let lag = match (facts.replayed, primary.and_then(|p| p.position)) {
        (None, _) => {
            return vec![warning(
                format!("{name}: how far it has replayed is not known, so it takes no reads"),
                "Aurora's readers do not tell; elsewhere, check that it streams from the primary",
            )];
        }
        // Asked after the primary was: what it shows is at most this late.
        (Some(replayed), Some(primary)) => format!("{} bytes behind", primary.bytes().saturating_sub(replayed.bytes())),
        (Some(replayed), None) => format!("replayed up to {replayed}"),
    };
    let mut findings = vec![good(format!("{name}: PostgreSQL {}, in recovery, {lag}", facts.version))];
    findings.extend(facts.unprivileged.as_ref().map(|user| {
        warning(
            format!("{name}: which timeline it receives is not shown to {user}: after a failover it takes no reads until its next restartpoint"),
            format!("GRANT pg_read_all_stats TO {user};"),
        )
    }));
    findings
}

/// Where the replicas are.
pub fn zones(config: &Config) -> Vec<Finding> {
    let finding = |trouble: ZoneTrouble| {
        let mend = match &trouble {
            ZoneTrouble::AllInOne(_) => {
                "place one in another zone, or reads fall back on the primary when the zone fails"
            }
            ZoneTrouble::NoneNear(_) => {
                "every read crosses to another zone: place a replica in this one, or name its zone by ?zone= in its URL"
            }
        };
        warning(trouble.to_string(), mend)
    };
    config.zone_troubles().into_iter().map(finding).collect()
}

/// The shared tier.
pub fn shared_tier(reached: Result<(), String>) -> Finding {
    match reached {
        Ok(()) => good("redis: reached"),
        Err(trouble) => bad(
            format!("redis: {trouble}"),
            "check the URL, its password and the network; without it, Sidecache goes on with memory alone",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(changes: &[(usize, Option<&str>)]) -> PrimaryFacts {
        let mut row: Vec<Option<String>> =
            ["150008", "15.8", "false", "logical", "10", "1", "10", "2", "\"App\"", "true", "", "", "0/10"]
                .into_iter()
                .map(|text| (!text.is_empty()).then(|| text.to_owned()))
                .collect();
        for (index, value) in changes {
            row[*index] = value.map(str::to_owned);
        }
        PrimaryFacts::read(row, Some("7".to_owned())).unwrap()
    }

    fn text(findings: &[Finding]) -> String {
        findings.iter().filter(|f| !matches!(f, Finding::Good(_))).map(|f| f.to_string() + "\n").collect()
    }

    #[test]
    fn a_primary_in_order_has_nothing_to_mend() {
        assert_eq!(text(&stream(&row(&[]))), "");
        assert!(!primary("primary", &row(&[])).is_bad());
    }

    #[test]
    fn what_to_run_depends_on_whose_service_it_is() {
        let (level, replicates, rds, cloudsql) = (3, 9, 10, 11);
        let own = text(&stream(&row(&[(level, Some("replica")), (replicates, Some("false"))])));
        assert!(own.contains("> ALTER SYSTEM SET wal_level = 'logical';\n      > then restart"), "{own}");
        assert!(own.contains("> ALTER ROLE \"App\" REPLICATION;"), "{own}");
        let on_rds = [(level, Some("replica")), (replicates, Some("false")), (rds, Some("false"))];
        let on_rds = text(&stream(&row(&on_rds)));
        assert!(
            on_rds.contains("rds.logical_replication = 1") && on_rds.contains("GRANT rds_replication TO \"App\";"),
            "{on_rds}"
        );
        assert_eq!(text(&stream(&row(&[(replicates, Some("false")), (rds, Some("true"))]))), "", "the grant is enough");
        let cloud = text(&stream(&row(&[(level, Some("replica")), (cloudsql, Some("off"))])));
        assert!(cloud.contains("cloudsql.logical_decoding"), "{cloud}");
    }

    #[test]
    fn slots_that_run_out_are_said_before_they_have() {
        let slots = |used| headroom("max_replication_slots", Headroom { limit: 10, used }, Host::Own);
        assert!(matches!(slots(8), Finding::Good(_)));
        assert!(matches!(slots(9), Finding::Warning { .. }));
        assert!(slots(10).is_bad());
        assert!(slots(10).to_string().contains("ALTER SYSTEM SET max_replication_slots = 12;"));
    }

    #[test]
    fn a_primary_that_is_a_replica_or_too_old_is_bad() {
        assert!(primary("p", &row(&[(2, Some("true"))])).is_bad());
        assert!(primary("p", &row(&[(0, Some("120020"))])).is_bad());
    }

    #[test]
    fn a_replica_must_follow_this_primary_and_say_how_far() {
        let facts = ReplicaFacts {
            in_recovery: true,
            replayed: Some(Lsn::new(10)),
            version: "15.8".into(),
            system: Some("7".into()),
            unprivileged: None,
        };
        let said = |facts: &ReplicaFacts| replica("replica-1", facts, Some(&row(&[])))[0].to_string();
        assert_eq!(said(&facts), "ok    replica-1: PostgreSQL 15.8, in recovery, 6 bytes behind");
        assert!(said(&ReplicaFacts { in_recovery: false, ..facts.clone() }).starts_with("FAIL"));
        assert!(said(&ReplicaFacts { system: Some("8".into()), ..facts.clone() }).contains("another cluster"));
        assert!(said(&ReplicaFacts { replayed: None, ..facts.clone() }).starts_with("warn"));
        let unprivileged = ReplicaFacts { unprivileged: Some("app".into()), ..facts };
        let all = replica("replica-1", &unprivileged, Some(&row(&[])));
        assert!(all[0].to_string().starts_with("ok") && all[1].to_string().contains("GRANT pg_read_all_stats TO app;"));
    }

    #[test]
    fn a_server_that_refuses_is_named_once_with_what_to_do() {
        let refused =
            unreachable("replica-1 10.0.0.2:5432", "10.0.0.2:5432: no entry for host (SQLSTATE 28000)").to_string();
        assert!(
            refused.starts_with("FAIL  replica-1 10.0.0.2:5432: no entry") && refused.contains("pg_hba.conf"),
            "{refused}"
        );
        let unknown = "invalid peer certificate: UnknownIssuer";
        assert!(unreachable("primary h:1", unknown).to_string().contains("sslrootcert"));
        assert!(unreachable("primary h:1", "Connection refused").to_string().contains("that the server runs"));
    }

    #[test]
    fn a_rule_must_name_a_table() {
        let rule = TtlRule { table: "public.rates".into(), ttl: std::time::Duration::from_secs(30) };
        assert!(matches!(ttl_rule(&rule, Some("r")), Finding::Good(_)));
        for (kind, says) in
            [(Some("v"), "the tables that it reads"), (Some("m"), "ever cached"), (None, "no such table")]
        {
            assert!(ttl_rule(&rule, kind).to_string().contains(says), "{kind:?}");
        }
    }

    #[test]
    fn tables_whose_rows_are_elsewhere_are_told() {
        assert_eq!(storage(Storage::Own, "7"), None);
        for (kind, says) in [
            (Storage::AccessMethod, "warn  tables whose access method is not heap: 7;"),
            (Storage::Shards, "warn  citus keeps rows in shards"),
            (Storage::Compressed, "warn  timescaledb compresses"),
        ] {
            let told = storage(kind, "7").expect("it is worth a word").to_string();
            assert!(told.starts_with(says), "{told}");
        }
    }

    #[test]
    fn trials_name_their_cause() {
        assert!(!trial(Trial::Made).is_bad() && !trial(Trial::Waited).is_bad());
        let missing = trial(Trial::Refused("could not access file \"test_decoding\"".into()));
        assert!(missing.is_bad() && missing.to_string().contains("contrib"));
    }
}
