//! What sessions have in common: the house around them, and what they keep among themselves. Knows no client.

use super::cancel::{Registry, TakenBy};
use super::console;
use super::plans::Plans;
use super::proof::Verifiers;
use super::secrets::Secrets;
use super::startup::Greetings;
use super::throttle::Throttle;
use crate::cache::Cache;
use crate::catalog::{CatalogVersion, Current};
use crate::coherence::Coherence;
use crate::config::Config;
use crate::config::users::Users;
use crate::feed::Feed;
use crate::route::book::Book;
use crate::route::rules::Rulebook;
use crate::route::ttl::TtlRules;
use crate::telemetry::Telemetry;
use crate::types::Moment;
use crate::upstream::Upstream;
use crate::wire::tls::Acceptor;
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// What all sessions share.
pub struct Shared {
    pub config: Arc<Config>,
    pub users: ArcSwap<Users>,
    pub upstream: Arc<Upstream>,
    pub coherence: Arc<Coherence>,
    /// None: the cache is off.
    pub cache: Option<Arc<Cache>>,
    pub catalog: Arc<Current>,
    pub feed: Option<Feed>,
    /// What may be kept by the clock while no stream can be had.
    pub ttl: ArcSwap<TtlRules>,
    /// Where statements go by the owner's word.
    pub rules: Rulebook,
    pub telemetry: Arc<Telemetry>,
    /// None: clients get no TLS.
    pub tls: ArcSwapOption<Acceptor>,
    pub common: Common,
    /// Who answers operators, once everything runs.
    pub console: OnceLock<Arc<dyn console::Console>>,
    /// Idle sessions end once it is cancelled.
    pub stop: CancellationToken,
    /// Those too that have asked nothing yet: with `stop` or after it.
    pub stop_newcomers: CancellationToken,
}

impl Shared {
    /// Whether no stream of changes can be had as the primary is set up.
    pub(super) fn is_off(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::is_off)
    }

    /// What the clock keeps is void, such as when something that is not a proven read has ended: before its session hears of
    /// the end.
    pub fn wrote(&self) {
        if let Some(cache) = &self.cache {
            cache.wrote();
        }
    }
}

/// What sessions keep in common among themselves.
#[derive(Debug, Default)]
pub struct Common {
    pub(super) cancels: Arc<Registry>,
    pub(super) plans: Plans,
    pub(super) greetings: Greetings,
    pub(super) routes: Book,
    /// The catalog's version, and when a session first met it.
    pub(super) catalog: Mutex<(CatalogVersion, Moment)>,
    /// The version that what the clock keeps was last looked up under.
    timed_catalog: AtomicU64,
    pub(super) verifiers: Verifiers,
    pub(super) secrets: Secrets,
    pub(super) throttle: Throttle,
    /// Somebody has asked what a sequence gave last: from then on connections forget what they gave others.
    pub(super) asks_sequences: AtomicBool,
}

impl Common {
    /// Since when the catalog has been of this version, at the latest.
    pub(super) fn catalog_since(&self, version: CatalogVersion) -> Moment {
        let mut met = self.catalog.lock();
        if met.0 != version {
            *met = (version, Moment::now());
        }
        met.1
    }

    /// Whether what the clock keeps was last looked up under another catalog. Says so once.
    pub(super) fn has_another_catalog(&self, version: CatalogVersion) -> bool {
        self.timed_catalog.load(Ordering::Acquire) != version.0
            && self.timed_catalog.swap(version.0, Ordering::AcqRel) != version.0
    }

    /// Where statements that needed a server went.
    pub fn routes(&self) -> &Book {
        &self.routes
    }

    /// Every session, as it is now.
    pub fn sessions(&self) -> Vec<TakenBy> {
        self.cancels.sessions()
    }
}
