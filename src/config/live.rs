//! The settings that may change while the process runs, as one value that is replaced whole. Who reads it at every use has
//! the present one; knows nothing of how it is read anew.

use crate::types::Level;
use std::time::Duration;

/// What may change while the process runs. A limit of `None` is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What sessions begin with.
    pub consistency: Level,
    /// Connections a server, user and database.
    pub pool_size: usize,
    /// Beyond them, for who has waited `pool_reserve_after`.
    pub pool_reserve: usize,
    pub pool_reserve_after: Duration,
    /// Kept open in pools that have been used.
    pub pool_min: usize,
    /// How long a session waits for a connection before 53300.
    pub pool_timeout: Duration,
    pub pool_idle_timeout: Option<Duration>,
    pub pool_lifetime: Option<Duration>,
    pub query_timeout: Option<Duration>,
    pub transaction_idle_timeout: Option<Duration>,
    pub client_idle_timeout: Option<Duration>,
    pub max_clients: usize,
    /// How long a client may take to prove itself.
    pub auth_timeout: Duration,
    /// The longest wait after failed proofs; zero for none.
    pub auth_failure_delay: Duration,
    /// How long SIGTERM waits for transactions to end.
    pub drain_timeout: Duration,
    /// Refuse plain TCP connections.
    pub tls_required: bool,
    /// Who may use the console.
    pub admin_users: Vec<String>,
}

#[cfg(test)]
impl Live {
    /// The defaults.
    pub fn example() -> Live {
        let environment = |name: &str| (name == "SIDECACHE_PRIMARY").then(|| "postgres://shop:shop@db/shop".to_owned());
        super::Config::load(&super::Flags::default(), &environment).expect("the defaults can be used").live
    }
}
