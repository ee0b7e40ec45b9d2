//! Whether PostgreSQL itself lets an account in: a proof that was right here says nothing of VALID UNTIL, NOLOGIN, a
//! password that was changed, or pg_hba.conf, and a warm pool never asks. So a login is made there, once in a while for each
//! account and database; on a replica, which knows the same roles, while the primary is not there. Knows no client.

use super::{Account, LeaseError, Upstream};
use crate::types::Moment;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Admissions kept; past it, old ones are forgotten and asked anew.
const KEPT: usize = 4_096;

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
    /// Returns once PostgreSQL's own word that it lets this account into this database is no older than `age`.
    ///
    /// # Errors
    /// No server can be reached, or the first that can refuses the login.
    pub async fn admit(&self, account: &Account, database: &str, age: Duration) -> Result<(), LeaseError> {
        let admission = self.admissions.of(account, database);
        let mut admitted = admission.lock().await;
        let now = Moment::now();
        if admitted.is_some_and(|at| now.since(at) < age) {
            return Ok(());
        }
        self.decided().await;
        let mut outcome = self.primary().try_login(account, database).await;
        for (_, replica) in self.replicas() {
            if !matches!(outcome, Err(LeaseError::Unreachable { .. })) {
                break;
            }
            outcome = replica.try_login(account, database).await;
        }
        match outcome {
            // The role's CONNECTION LIMIT, spent by connections that the pool shares out: PostgreSQL checks it after the
            // proof and after NOLOGIN (InitializeSessionUserId in miscinit.c). Who is beyond it waits for one of those.
            Err(full @ LeaseError::Refused { proven: true, .. }) if full.is_full() => {}
            outcome => outcome?,
        }
        *admitted = Some(now);
        Ok(())
    }
}
