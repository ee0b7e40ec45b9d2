//! Reading settings and users anew while the process runs. All of what is read counts, or nothing of it: what cannot be
//! used leaves everything as it is, and is said in the log and in `/status`.

use super::picture::ReloadPicture;
use crate::config::users::Users;
use crate::config::{Config, ConfigError};
use crate::route::ttl::TtlRules;
use crate::session;
use crate::telemetry::logs::Filter;
use crate::wire::tls::{self, Acceptor, TlsError};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// Reads what the process was started with once more.
pub type Reread = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// What a reload needs.
pub struct Reloader {
    shared: Arc<session::Shared>,
    reread: Reread,
    filter: Filter,
    state: Mutex<State>,
}

struct State {
    /// As it is in force.
    config: Config,
    picture: ReloadPicture,
}

/// The settings of these names were changed as well; they count after a restart.
pub type RestartNeeded = Vec<&'static str>;

impl Reloader {
    pub fn new(shared: Arc<session::Shared>, reread: Reread, filter: Filter) -> Self {
        let state = State { config: Config::clone(&shared.config), picture: ReloadPicture::default() };
        Reloader { shared, reread, filter, state: Mutex::new(state) }
    }

    /// Reads everything and puts it to use.
    ///
    /// # Errors
    /// Why nothing was changed, in a line that holds no secret.
    pub fn reload(&self) -> Result<RestartNeeded, String> {
        // Held throughout: two reloads at once would mix.
        let mut state = self.state.lock();
        match self.change(&mut state.config) {
            Ok(needed) => {
                let picture = &mut state.picture;
                (picture.done, picture.error) = (picture.done + 1, None);
                picture.restart_needed.clone_from(&needed);
                tracing::info!("settings and users were read anew");
                if !needed.is_empty() {
                    tracing::warn!(settings = needed.join(", "), "these settings count after a restart only");
                }
                Ok(needed)
            }
            Err(reason) => {
                tracing::error!(reason, "settings could not be read anew: everything stays as it is");
                state.picture.error = Some(reason.clone());
                Err(reason)
            }
        }
    }

    fn change(&self, present: &mut Config) -> Result<RestartNeeded, String> {
        let config = (self.reread)().map_err(|wrong| wrong.to_string())?;
        // Who the primary's user is, and how one proves who one is, counts after a restart: so it does for who may log in.
        let users = Users::load(config.users.as_deref(), present).map_err(|wrong| wrong.to_string())?;
        Filter::check(&config.log_level).map_err(|wrong| wrong.to_string())?;
        let tls = acceptor(&config).map_err(|wrong| wrong.to_string())?;
        // From here on nothing fails.
        let shared = &self.shared;
        let needed = present.needs_restart_for(&config);
        shared.users.store(Arc::new(users));
        shared.tls.store(tls.map(Arc::new));
        if config.ttl_rules != present.ttl_rules {
            shared.ttl.store(Arc::new(TtlRules::new(&config.ttl_rules)));
            // What was kept by other rules may be older than the new ones allow.
            shared.wrote();
        }
        if config.route_rules != present.route_rules {
            shared.rules.change(&config.route_rules);
        }
        shared.upstream.change(config.live.clone());
        self.filter.change(&config.log_level).map_err(|wrong| wrong.to_string())?;
        present.adopt(config);
        Ok(needed)
    }

    /// What is in force.
    pub fn config(&self) -> Config {
        self.state.lock().config.clone()
    }

    pub fn picture(&self) -> ReloadPicture {
        self.state.lock().picture.clone()
    }
}

/// TLS towards clients cannot be had as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct UnusableTls {
    /// The setting, or those that do not go together.
    pub key: &'static str,
    pub reason: String,
}

/// TLS towards clients, as configured.
///
/// # Errors
/// Certificate, key or authorities cannot be used.
pub fn acceptor(config: &Config) -> Result<Option<Acceptor>, UnusableTls> {
    let Some(files) = &config.client_tls else { return Ok(None) };
    let key_of = |named: &Path| match named {
        _ if named == files.certificate => "tls_certificate",
        _ if named == files.key => "tls_key",
        _ => "tls_client_ca",
    };
    tls::server_acceptor(files).map(Some).map_err(|cause| {
        let key = match &cause {
            TlsError::File { path, .. } => key_of(path),
            TlsError::NoCertificate(place) => key_of(Path::new(place)),
            TlsError::Unusable(_) => "tls_certificate and tls_key",
        };
        UnusableTls { key, reason: cause.to_string() }
    })
}
