//! Whether PostgreSQL itself lets an account in: a proof that was right here says nothing of VALID UNTIL, NOLOGIN, a
//! password that was changed, or pg_hba.conf, and a warm pool never asks. So a login is made there, once in a while for each
//! account and database; on a replica, which knows the same roles, while the primary is not there. Knows no client.

use super::control::{Control, ControlError};
use super::{Account, LeaseError, Server, Site, Upstream};
use crate::types::Moment;
use crate::wire::backend::{Failure, failure_frame};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Admissions kept; past it, old ones are forgotten and asked anew.
const KEPT: usize = 4_096;

/// What `InitPostgres` in postinit.c looks at behind its limits: an invalid database, ALLOW_CONNECTIONS, and CONNECT.
const LETS_IN: &str = "SELECT (d.datconnlimit <> -2)::pg_catalog.text, d.datallowconn::pg_catalog.text, \
     pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')::pg_catalog.text \
     FROM pg_catalog.pg_database d, pg_catalog.pg_roles r WHERE d.datname = $1 AND r.rolname = $2";

/// When the login that was let in had been begun. Locked while a login is under way, so that of many clients one asks.
type Admission = Arc<tokio::sync::Mutex<Option<Moment>>>;

/// By account, then database.
#[derive(Debug, Default)]
pub(super) struct Admissions(Mutex<HashMap<Account, HashMap<String, Admission>>>);

impl Admissions {
    fn of(&self, account: &Account, database: &str) -> Admission {
        let mut all = self.0.lock();
        if let Some(known) = all.get(account).and_then(|databases| databases.get(database)) {
            return Arc::clone(known);
        }
        if all.values().map(HashMap::len).sum::<usize>() >= KEPT {
            all.clear();
        }
        Arc::clone(all.entry(account.clone()).or_default().entry(database.to_owned()).or_default())
    }
}

impl Upstream {
    /// Returns once PostgreSQL's own word that it lets this account into this database is no older than `age`. While paused, nobody is
    /// asked.
    ///
    /// # Errors
    /// No server can be reached, or the first that can refuses the login.
    pub async fn admit(&self, account: &Account, database: &str, age: Duration) -> Result<(), LeaseError> {
        let admission = self.admissions.of(account, database);
        let mut admitted = admission.lock().await;
        if admitted.is_some_and(|at| Moment::now().since(at) < age) {
            return Ok(());
        }
        self.terms.gate.pass().await;
        let now = Moment::now();
        self.decided().await;
        let (asked, outcome) = self.ask_any(account, database).await;
        match outcome {
            // The role's CONNECTION LIMIT, spent by connections that the pool shares out: PostgreSQL checks it after the
            // proof and after NOLOGIN (InitializeSessionUserId in miscinit.c), and before what is asked here. Who is beyond it
            // waits for one of those.
            Err(full @ LeaseError::Refused { proven: true, .. }) if full.is_full() => {
                let site = self.sites.iter().find(|site| Arc::ptr_eq(&site.server, asked));
                match lets_in(site, &account.user, database).await {
                    Ok(Ok(())) => {}
                    Ok(Err(refusal)) => return Err(refused(&refusal)),
                    Err(cause) => {
                        tracing::warn!(%cause, "whether a role without free connections may connect cannot be asked");
                        return Err(full);
                    }
                }
            }
            outcome => outcome?,
        }
        *admitted = Some(now);
        Ok(())
    }

    /// What the first server says that can be reached; if none can, why not the primary. Those that the watch cannot reach either come
    /// last: each would hold the client up for as long as connecting may take, and two of them for longer than a login may.
    async fn ask_any(&self, account: &Account, database: &str) -> (&Arc<Server>, Result<(), LeaseError>) {
        let primary = self.primary();
        let replicas = self.replicas().map(|(_, replica)| replica);
        let (silent, heard): (Vec<_>, Vec<_>) = std::iter::once(primary).chain(replicas).partition(|s| s.is_silent());
        let mut why_not = None;
        for server in heard.into_iter().chain(silent) {
            match server.try_login(account, database).await {
                Err(cause @ LeaseError::Unreachable { .. }) if Arc::ptr_eq(server, primary) => why_not = Some(cause),
                Err(LeaseError::Unreachable { .. }) => {}
                outcome => return (server, outcome),
            }
        }
        (primary, Err(why_not.expect("the primary has been asked")))
    }
}

/// Whether this role may connect to this database, by a connection of our own; else what PostgreSQL says of it.
async fn lets_in(site: Option<&Site>, user: &str, database: &str) -> Result<Result<(), Failure>, ControlError> {
    let Some(site) = site else { return Err(ControlError("no server of ours".to_owned())) };
    let control = Control::connect(site.server.target(), &site.account, &site.database).await?;
    let rows = control.rows_with(LETS_IN, &[database, user]).await?;
    Ok(verdict(&rows, user, database))
}

/// In the order and the words of postinit.c.
fn verdict(rows: &[Vec<Option<String>>], user: &str, database: &str) -> Result<(), Failure> {
    let holds = |column: &Option<String>| column.as_deref() == Some("true");
    match rows.first().map(Vec::as_slice) {
        Some([valid, ..]) if !holds(valid) => {
            Err(Failure::fatal("55000", format!("cannot connect to invalid database \"{database}\"")))
        }
        Some([_, allowed, _]) if !holds(allowed) => {
            Err(Failure::fatal("55000", format!("database \"{database}\" is not currently accepting connections")))
        }
        Some([_, _, granted]) if !holds(granted) => {
            Err(Failure::fatal("42501", format!("permission denied for database \"{database}\"")))
        }
        Some([_, _, _]) => Ok(()),
        _ => Err(Failure::fatal("3D000", format!("no database \"{database}\" for role \"{user}\""))),
    }
}

fn refused(failure: &Failure) -> LeaseError {
    LeaseError::Refused {
        frame: failure_frame(failure),
        sqlstate: failure.sqlstate.to_owned(),
        message: failure.message.clone(),
        proven: true,
    }
}
