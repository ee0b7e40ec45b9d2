//! A connection on loan, from a server to one session. Knows what has happened to its server since; decides nothing.

use super::Connection;
use super::pool::Slot;
use super::server::Server;
use super::status::PassedOver;
use crate::types::Lsn;
use std::sync::Arc;
use std::time::Instant;

/// A connection on loan. Dropped, it is closed and another may be opened; released, it goes back to the pool.
#[derive(Debug)]
pub struct Lease {
    // Dropped in this order: closed first, then somebody else may open one.
    connection: Box<Connection>,
    /// Where it leads.
    pub server: Arc<Server>,
    losses: u64,
    slot: Slot,
}

impl Lease {
    pub(super) fn new(connection: Box<Connection>, server: Arc<Server>, slot: Slot) -> Self {
        connection.lent();
        let losses = server.life();
        let mut lease = Lease { connection, server, losses, slot };
        lease.renew_path();
        lease
    }

    /// Where the connection does not know which schemas of its path its role may use now, who puts settings on it next has it look
    /// again. Not within a transaction.
    pub fn renew_path(&mut self) {
        if !self.server.knows_path(&self.connection) {
            // Before it is told again, never after.
            self.connection.paths = self.server.paths_shown();
            self.connection.carried.is_path_old = true;
        }
    }

    /// The replica said on this connection that it has replayed up to here. Counts unless the watch has lost the
    /// server since: a replica that crashed may come back with less.
    pub fn saw_replayed(&self, position: Lsn) {
        self.server.evidence().saw_replayed(position, Some(self.losses));
    }

    /// [`Server::life`] when it was lent.
    pub fn life(&self) -> u64 {
        self.losses
    }

    /// Gives the connection back. Only for a connection that is idle (ReadyForQuery `I`) with nothing unread.
    pub fn release(self) {
        let Lease { mut connection, server, slot, .. } = self;
        let now = Instant::now();
        let current = server.is_current(&connection) && !connection.is_worn(server.lifetime(), now);
        connection.returned();
        connection.rest();
        // Bytes unread are looked at once, here: the next session must not find an answer to this one's question.
        if current && (connection.input.is_empty() || connection.check().is_ok()) {
            slot.give_back(connection, now);
        } else {
            // Before its slot is free.
            drop(connection);
        }
    }

    /// Whether the server is still the one this connection was opened to, and sessions start there as they did then.
    pub fn is_current(&self) -> bool {
        self.server.is_current(&self.connection)
    }

    /// Whether names mean there what they mean on a new connection.
    pub fn knows_path(&self) -> bool {
        self.server.knows_path(&self.connection)
    }

    /// Whether the server, or the primary that it follows, has begun another life since: what is written there now may be lost.
    pub fn is_outlived(&self) -> bool {
        self.server.has_outlived(&self.connection)
    }

    /// Where replay stands on a replica that is further behind than it may be; nothing on any other.
    pub fn lags_at(&self) -> Option<Lsn> {
        let seen = self.server.seen();
        let fit = self.server.fit(seen.following, Lsn::ZERO);
        (fit == Err(PassedOver::TooFarBehind)).then(|| self.server.replayed())
    }

    /// Whether the watch has lost the server since it was lent, and has not found it again: it may be frozen, and never answer.
    pub fn is_forsaken(&self) -> bool {
        self.server.role() == super::Role::Unknown && self.server.life() != self.losses
    }
}

impl std::ops::Deref for Lease {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl std::ops::DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
