//! Where a server tells its role, its life and its lag: PostgreSQL's own functions, or Aurora's, whose readers share the writer's
//! storage and have no replay position. One question for each, whose answer has the same columns. Knows no connection.
//!
//! RDS is PostgreSQL here: what its users may not see is asked for only where it may be, and is unknown elsewhere.

use super::stray::STARTED;

/// Which functions there are, and which of those that read the control file this user may run.
pub(super) const ACCESS: &str = "SELECT has_function_privilege('pg_control_system()', 'execute'),
    has_function_privilege('pg_control_checkpoint()', 'execute'),
    to_regprocedure('aurora_replica_status()') IS NOT NULL
        AND to_regprocedure('aurora_db_instance_identifier()') IS NOT NULL";

/// Begins the cluster's name where the storage is shared: the name is the writer's, since there is none that a reader and the writer
/// both tell.
const SHARED: &str = "aurora:";

/// What the answer to [`ACCESS`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dialect {
    control_system: bool,
    control_checkpoint: bool,
    aurora: bool,
}

impl Dialect {
    pub(super) fn read(row: &[Option<String>]) -> Self {
        let holds = |column: usize| row.get(column).is_some_and(|value| value.as_deref() == Some("t"));
        Dialect { control_system: holds(0), control_checkpoint: holds(1), aurora: holds(2) }
    }

    /// One row about a server in either role.
    pub(super) fn probe(self) -> String {
        if self.aurora { aurora() } else { postgresql(self.control_system, self.control_checkpoint) }
    }
}

/// Whether a cluster of this name keeps one storage for all its servers.
pub(super) fn is_shared(system: Option<&str>) -> bool {
    system.is_some_and(|system| system.starts_with(SHARED))
}

/// A standby may be promoted while this runs, never the reverse, so the order of the CASEs matters: what fails in recovery is
/// asked only once recovery has been seen to be over.
fn postgresql(control_system: bool, control_checkpoint: bool) -> String {
    let system = if control_system { "(SELECT system_identifier::text FROM pg_control_system())" } else { "NULL" };
    let checkpoint = if control_checkpoint { "(SELECT timeline_id FROM pg_control_checkpoint())" } else { "NULL" };
    format!(
        "SELECT pg_is_in_recovery(),
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END,
    CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END,
    pg_last_wal_replay_lsn(),
    CASE WHEN pg_is_in_recovery() THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), {checkpoint}) END,
    {system},
    pg_postmaster_start_time(),
    (SELECT stats_reset FROM pg_stat_bgwriter),
    current_setting('wal_level'),
    current_setting('server_version_num'),
    current_setting('wal_block_size'),
    NULL,
    EXISTS (SELECT FROM pg_stat_wal_receiver),
    {STARTED}"
    )
}

/// In place of a timeline, the first one: storage that is shared has no other. In place of the position inserted, the one that is
/// durable, which nobody else's is compared with. A writer that another instance has succeeded does not find itself to be the master.
fn aurora() -> String {
    format!(
        "WITH nodes AS (SELECT * FROM aurora_replica_status()),
    own AS (SELECT * FROM nodes WHERE server_id = aurora_db_instance_identifier()),
    writer AS (SELECT * FROM nodes WHERE session_id = 'MASTER_SESSION_ID')
SELECT pg_is_in_recovery() OR coalesce((SELECT session_id FROM own), '') <> 'MASTER_SESSION_ID',
    (SELECT to_hex(durable_lsn::bigint >> 32) || '/' || to_hex(durable_lsn::bigint & 4294967295) FROM writer),
    '000000010000000000000000',
    NULL,
    '1',
    '{SHARED}' || (SELECT server_id FROM writer),
    pg_postmaster_start_time(),
    NULL,
    current_setting('wal_level'),
    current_setting('server_version_num'),
    '8192',
    coalesce((SELECT ceil(replica_lag_in_msec)::bigint::text FROM own WHERE replica_lag_in_msec >= 0), 'unknown'),
    NULL,
    {STARTED}"
    )
}
