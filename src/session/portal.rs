//! The prepared statements and portals of one session, by the client's names. Statements live here, not on a
//! connection: a connection that lacks one gets it when it is bound.

use super::plans::Names;
use crate::catalog::CatalogVersion;
use crate::route::plan::Plan;
use bytes::Bytes;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A statement as the client prepared it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its name on connections; every Parse of the unnamed statement has a number of its own.
    pub number: u64,
    pub sql: Bytes,
    /// What servers are given to parse: the same, but for what no server knows.
    pub sent: Bytes,
    /// Parameter type oids as sent, four bytes each.
    pub types: Bytes,
    /// The same as numbers.
    pub oids: Box<[u32]>,
    pub plan: Arc<Plan>,
    /// How it was read when the plan was made.
    pub names: Arc<Names>,
    pub is_named: bool,
    /// Others that read it by equal names get the same statement, whenever they parse it.
    pub is_alike: bool,
    /// Its number is also theirs.
    pub is_shared: bool,
    pub told: Told,
}

/// What the client was last told of the shape of a statement's result, and the catalog's version for which that is known to hold. A client
/// that does not ask again reads rows by it.
#[derive(Debug, Default)]
pub struct Told {
    /// Zero: nothing yet.
    shape: AtomicU64,
    catalog: AtomicU64,
    /// The types of its parameters, four bytes each; empty while it was not told, and where there are none.
    parameters: Mutex<Bytes>,
}

impl Clone for Told {
    fn clone(&self) -> Self {
        let told = Told::default();
        told.tell(self.shape().unwrap_or(0), self.catalog());
        told.tell_parameters(&self.parameters());
        told
    }
}

impl Told {
    pub fn shape(&self) -> Option<u64> {
        Some(self.shape.load(Relaxed)).filter(|shape| *shape != 0)
    }

    pub fn catalog(&self) -> CatalogVersion {
        CatalogVersion(self.catalog.load(Relaxed))
    }

    pub fn tell(&self, shape: u64, catalog: CatalogVersion) {
        self.shape.store(shape, Relaxed);
        self.confirm(catalog);
    }

    pub fn parameters(&self) -> Bytes {
        self.parameters.lock().clone()
    }

    /// PostgreSQL never changes the types of a statement's parameters: a client may bind by them ever after.
    pub fn tell_parameters(&self, types: &Bytes) {
        self.parameters.lock().clone_from(types);
    }

    /// It holds in this version too.
    pub fn confirm(&self, catalog: CatalogVersion) {
        self.catalog.store(catalog.0, Relaxed);
    }
}

/// All of a session's statements and portals.
#[derive(Debug, Default)]
pub struct Statements {
    named: HashMap<Box<[u8]>, Arc<Prepared>, RandomState>,
    unnamed: Option<Arc<Prepared>>,
    /// Only while a transaction is open: portals end with it. Each with whether the batch under way opens it, as far as that does not fail.
    portals: HashMap<Box<[u8]>, (Arc<Prepared>, bool), RandomState>,
    /// The unnamed one, which nearly every batch opens.
    unnamed_portal: Option<Arc<Prepared>>,
}

impl Statements {
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) }
    }

    pub fn insert(&mut self, name: &[u8], statement: Arc<Prepared>) {
        if name.is_empty() {
            self.unnamed = Some(statement);
        } else {
            self.named.insert(name.into(), statement);
        }
    }

    /// What the client was told of the results of statements of this identity.
    pub fn shapes(&self, identity: &str) -> impl Iterator<Item = u64> {
        let all = self.named.values().chain(&self.unnamed);
        all.filter(move |statement| *statement.plan.identity == *identity)
            .filter_map(|statement| statement.told.shape())
    }

    /// Has another take a statement's place.
    pub fn replace(&mut self, old: &Arc<Prepared>, new: &Arc<Prepared>) {
        for statement in self.named.values_mut().chain(&mut self.unnamed).filter(|there| Arc::ptr_eq(there, old)) {
            *statement = Arc::clone(new);
        }
    }

    /// Closes a statement; one that does not exist is closed all the same.
    pub fn close(&mut self, name: &[u8]) -> bool {
        if name.is_empty() { self.unnamed.take().is_some() } else { self.named.remove(name).is_some() }
    }

    /// DEALLOCATE ALL, DISCARD ALL: the unnamed statement stays (`DropAllPreparedStatements` drops named ones).
    pub fn close_all(&mut self) {
        self.named.clear();
    }

    pub fn portal(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        if name.is_empty() {
            self.unnamed_portal.as_ref()
        } else {
            self.portals.get(name).map(|(statement, _)| statement)
        }
    }

    pub fn open_portal(&mut self, name: &[u8], statement: Arc<Prepared>) {
        if name.is_empty() {
            self.unnamed_portal = Some(statement);
        } else {
            self.portals.insert(name.into(), (statement, true));
        }
    }

    /// What has been sent is answered. If it failed, which of its portals it has opened is not known, nor which earlier ones of these names are
    /// still there.
    pub fn opened(&mut self, failed: bool) {
        self.portals.retain(|_, (_, is_opening)| !(std::mem::take(is_opening) && failed));
    }

    pub fn close_portal(&mut self, name: &[u8]) {
        if name.is_empty() {
            self.unnamed_portal = None;
        } else {
            self.portals.remove(name);
        }
    }

    /// The transaction ended, and its portals with it.
    pub fn transaction_ended(&mut self) {
        self.unnamed_portal = None;
        self.portals.clear();
    }
}
