//! The prepared statements and portals of one session, by the client's names. Statements live here, not on a
//! connection: a connection that lacks one gets it when it is bound.

use super::plans::Names;
use crate::route::plan::Plan;
use bytes::Bytes;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// A statement as the client prepared it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its name on connections; every Parse of the unnamed statement has a number of its own.
    pub number: u64,
    pub sql: Bytes,
    /// Parameter type oids as sent, four bytes each.
    pub types: Bytes,
    /// The same as numbers.
    pub oids: Box<[u32]>,
    pub plan: Arc<Plan>,
    /// How names were read when the plan was made.
    pub names: Arc<Names>,
    pub is_named: bool,
}

/// All of a session's statements and portals.
#[derive(Debug, Default)]
pub struct Statements {
    named: HashMap<Box<[u8]>, Arc<Prepared>, RandomState>,
    unnamed: Option<Arc<Prepared>>,
    /// Only while a transaction is open: portals end with it.
    portals: HashMap<Box<[u8]>, Arc<Prepared>, RandomState>,
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

    /// Closes a statement; one that does not exist is closed all the same.
    pub fn close(&mut self, name: &[u8]) -> bool {
        if name.is_empty() { self.unnamed.take().is_some() } else { self.named.remove(name).is_some() }
    }

    /// DEALLOCATE ALL, DISCARD ALL: the unnamed statement stays (`DropAllPreparedStatements` drops named ones).
    pub fn close_all(&mut self) {
        self.named.clear();
    }

    pub fn portal(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.portals.get(name)
    }

    pub fn open_portal(&mut self, name: &[u8], statement: Arc<Prepared>) {
        self.portals.insert(name.into(), statement);
    }

    pub fn close_portal(&mut self, name: &[u8]) {
        self.portals.remove(name);
    }

    /// The transaction ended, and its portals with it.
    pub fn transaction_ended(&mut self) {
        self.portals.clear();
    }
}
