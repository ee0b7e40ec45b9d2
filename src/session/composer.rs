//! Bytes for a server and the answers that they are owed: each kind of message that a session sends, with the names that connections know
//! statements by. Does not know why anything is sent; does no I/O.

use super::changes::Changes;
use super::compose::Side;
use super::expected::{array, is_own, texts};
use super::flow::{Flow, Owner, Probe, Slot, Step};
use super::portal::Prepared;
use super::round::Round;
use crate::upstream::Carried;
use crate::wire::frontend::{self, Subject};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::sync::Arc;

/// Our own statements, prepared on a connection when first needed. Numbers below `plans::FIRST_NUMBER`.
const SNAPSHOT: (u64, &str) = (1, "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text");
const INSERTED: (u64, &str) = (2, "SELECT pg_catalog.pg_current_wal_insert_lsn()");

/// With when the server started, in a form that hangs on no setting: it tells servers behind one address apart.
const REPLAYED: (u64, &str) = (
    3,
    "SELECT pg_catalog.pg_last_wal_replay_lsn(), pg_catalog.pg_is_in_recovery(), \
     (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8",
);
const RECEIVED: (u64, &str) =
    (4, "SELECT GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())");

/// Whether settings (an array of names) have these values (an array, NULL for one that was never set). Operators would be looked up in
/// the session's search path.
const SETTINGS: (u64, &str) = (
    6,
    "SELECT pg_catalog.bool_and(CASE WHEN v IS NULL THEN pg_catalog.current_setting(n, true) IS NULL \
     ELSE COALESCE(pg_catalog.texteq(pg_catalog.current_setting(n, true), v), false) END) \
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS s(n, v)",
);

/// What PostgreSQL's own functions and types read of a session, so that answers depend on it, what bounds and labels its statements, and an
/// array of the users' own settings: one that was set and taken back is empty there, and counts as if it had never been set. Then
/// whether the session has temporary objects.
macro_rules! state {
    ($more:expr) => {
        concat!(
            "SELECT pg_catalog.concat_ws('|', CURRENT_USER, SESSION_USER, pg_catalog.current_setting('search_path'), \
     pg_catalog.current_setting('TimeZone'), pg_catalog.current_setting('timezone_abbreviations'), \
     pg_catalog.current_setting('DateStyle'), pg_catalog.current_setting('IntervalStyle'), \
     pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('bytea_output'), \
     pg_catalog.current_setting('client_encoding'), pg_catalog.current_setting('lc_monetary'), \
     pg_catalog.current_setting('lc_numeric'), pg_catalog.current_setting('lc_time'), \
     pg_catalog.current_setting('default_text_search_config'), pg_catalog.current_setting('xmlbinary'), \
     pg_catalog.current_setting('xmloption'), pg_catalog.current_setting('array_nulls'), \
     pg_catalog.current_setting('transform_null_equals'), pg_catalog.current_setting('row_security'), \
     pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('gin_fuzzy_search_limit'), \
     pg_catalog.current_setting('default_transaction_isolation'), \
     pg_catalog.current_setting('default_transaction_read_only'), \
     pg_catalog.current_setting('default_transaction_deferrable'), pg_catalog.current_setting('session_replication_role'), \
     pg_catalog.current_setting('statement_timeout'), pg_catalog.current_setting('lock_timeout'), \
     pg_catalog.current_setting('idle_in_transaction_session_timeout'), pg_catalog.current_setting('idle_session_timeout', true), \
     pg_catalog.current_setting('transaction_timeout', true), pg_catalog.current_setting('synchronous_commit'), \
     pg_catalog.current_setting('application_name'), pg_catalog.current_setting('client_min_messages'), \
     (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(COALESCE(pg_catalog.current_setting(n, true), '')), ',') \
     FROM pg_catalog.unnest($1::pg_catalog.text[]) AS s(n))), \
     CASE WHEN pg_catalog.oideq(pg_catalog.pg_my_temp_schema(), 0) THEN false ELSE EXISTS (SELECT FROM pg_catalog.pg_class AS c \
     WHERE pg_catalog.oideq(c.relnamespace, pg_catalog.pg_my_temp_schema())) END",
            $more
        )
    };
}
const STATE: (u64, &str) = (5, state!(""));

/// The same, and whether it holds advisory locks: to ask that looks at every lock of the server.
macro_rules! state_and_locks {
    ($more:literal) => {
        state!(concat!(
            ", EXISTS (SELECT FROM pg_catalog.pg_locks AS l WHERE pg_catalog.texteq(l.locktype, 'advisory') \
         AND pg_catalog.int4eq(l.pid, pg_catalog.pg_backend_pid()))",
            $more
        ))
    };
}
const STATE_AND_LOCKS: (u64, &str) = (7, state_and_locks!(""));

/// And all that is set in the session but a transaction's modes, and whether it listens: that takes a server some ten times as long.
const WHOLE_STATE: (u64, &str) = (
    8,
    state_and_locks!(
        ", COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat_ws('=', s.name, s.setting), ',') FROM pg_catalog.pg_settings AS s \
         WHERE pg_catalog.texteq(s.source, 'session') AND NOT pg_catalog.starts_with(s.name, 'transaction_')), ''), \
         EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"
    ),
);

/// Whether there are temporary objects, advisory locks, cursors that are held, and channels that are listened to. Whatever a schema holds
/// depends on it.
const HOLDS: (u64, &str) = (
    9,
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_depend AS d \
     WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
     AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), \
     EXISTS (SELECT FROM pg_catalog.pg_locks AS l WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' \
     AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), \
     EXISTS (SELECT FROM pg_catalog.pg_cursors AS c WHERE c.is_holdable), \
     EXISTS (SELECT FROM pg_catalog.pg_listening_channels())",
);

/// Bytes that a unit usually grows by on its way to a server: names, and questions of our own.
const OUT_MARGIN: usize = 192;

/// Bytes to send and the answers they are owed.
pub struct Composer<'a> {
    pub out: BytesMut,
    pub flow: &'a mut Flow,
    /// What the connection is known to have: changed by answers alone, since an error skips what stands behind it.
    pub carried: &'a mut Carried,
    /// Statements that these bytes prepare or close.
    changes: Changes,
    /// Statements of clients that the connection may keep.
    pub limit: usize,
    tick: u64,
}

/// What is looked for on a connection on which something ran that may have left something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Settings and temporary objects.
    Settings,
    /// Advisory locks too.
    Locks,
    /// And whatever is set or listened to.
    Whole,
}

/// How our own messages stand to the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// In a group of their own.
    Apart,
    /// In the client's batch, which has not seen its Sync.
    Within,
}

/// What a statement is called on connections.
pub fn server_name(mut number: u64) -> SmallVec<[u8; 24]> {
    const PREFIX: &[u8] = b"sc_";
    // Written from its end; no number has more than twenty digits.
    let mut name = [0; PREFIX.len() + 20];
    let mut at = name.len();
    loop {
        at -= 1;
        name[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    at -= PREFIX.len();
    name[at..at + PREFIX.len()].copy_from_slice(PREFIX);
    SmallVec::from_slice(&name[at..])
}

impl<'a> Composer<'a> {
    pub fn new(flow: &'a mut Flow, carried: &'a mut Carried, tick: u64) -> Self {
        Composer::within(BytesMut::new(), flow, carried, tick)
    }

    /// In room that was used before, and is empty.
    pub fn within(mut out: BytesMut, flow: &'a mut Flow, carried: &'a mut Carried, tick: u64) -> Self {
        out.reserve(OUT_MARGIN);
        Composer { out, flow, carried, changes: Changes::default(), limit: usize::MAX, tick }
    }

    /// Whether the connection has this statement when it comes to what is written next.
    pub fn has(&self, number: u64) -> bool {
        self.changes.leave(number).unwrap_or_else(|| self.carried.prepared.contains_key(&number))
    }

    fn put_named(&mut self, owner: Owner, number: u64, sql: &[u8], types: &[u8]) {
        frontend::put_parse(&mut self.out, &server_name(number), sql, types);
        self.flow.sent(Step::Parse(owner, Slot::Named(number)));
        self.changes.prepare(number, self.tick);
    }

    fn own(&mut self, statement: (u64, &str), probe: Probe) {
        self.own_with(statement, probe, b"\0\0\0\0");
    }

    /// `parameters`: as in a Bind.
    fn own_with(&mut self, (number, sql): (u64, &str), probe: Probe, parameters: &[u8]) {
        let name = server_name(number);
        if !self.has(number) {
            self.put_named(Owner::Own(Probe::Effect), number, sql.as_bytes(), b"");
        }
        frontend::put_run(&mut self.out, &name, parameters);
        self.flow.sent(Step::Bind(Owner::Own(probe)));
        self.flow.sent(Step::Execute(Owner::Own(probe)));
    }

    pub fn before(&mut self, side: Side) {
        match side {
            Side::Primary => self.own(SNAPSHOT, Probe::Snapshot),
            Side::Replica => self.own(REPLAYED, Probe::Replayed),
        }
    }

    pub fn after(&mut self, side: Side) {
        match side {
            Side::Primary => self.own(INSERTED, Probe::High),
            Side::Replica => self.own(RECEIVED, Probe::High),
        }
    }

    /// What is asked behind a write.
    pub fn behind(&mut self, side: Side, position: bool, state: Option<Look>) {
        if position {
            self.after(side);
        }
        if let Some(look) = state {
            let known = self.carried.state.as_ref();
            let asked = known.map(|state| Arc::clone(&state.asked)).unwrap_or_default();
            self.state(&asked, look);
        }
        self.sync_own();
    }

    /// Asks for what decides answers there: `asked` among others, and the users' own settings that sessions have set there.
    pub fn state(&mut self, asked: &[String], look: Look) {
        let carried = self.carried.settings.keys().filter(|name| is_own(name));
        let names = array(carried.chain(asked).map(|name| Some(name.as_str())));
        let statement = match look {
            Look::Settings => STATE,
            Look::Locks => STATE_AND_LOCKS,
            Look::Whole => WHOLE_STATE,
        };
        self.own_with(statement, Probe::State, &texts(&[names]));
    }

    /// Asks what the session holds on the connection.
    pub fn holds(&mut self) {
        self.own(HOLDS, Probe::Holds);
        self.sync_own();
    }

    /// Asks, in a group of our own, whether settings are as they should be: an error in asking is not the client's.
    pub fn settings(&mut self, expected: &[u8]) {
        self.own_with(SETTINGS, Probe::Settings, expected);
        self.sync_own();
    }

    /// Ends a group of our own.
    pub fn sync_own(&mut self) {
        frontend::put_sync(&mut self.out);
        self.flow.sent(Step::Sync(Owner::Own(Probe::Effect)));
    }

    /// A text of our own as a simple query.
    pub fn query_own(&mut self, sql: &str, probe: Probe) {
        frontend::put_query(&mut self.out, sql.as_bytes());
        self.flow.sent(Step::Query(Owner::Own(probe)));
        self.carried.unnamed = None;
    }

    /// Begins the transaction that the client was told of, and makes it fail if the client was told that it has failed.
    pub fn begin(&mut self, begin: &str, failed: bool) {
        self.query_own(begin, Probe::Effect);
        if failed {
            self.fail_own();
        }
    }

    /// Makes the transaction that is open fail, by an error that is not the client's.
    pub fn fail_own(&mut self) {
        self.put_failing();
        self.sync_own();
    }

    /// A message that the server answers with an error.
    fn put_failing(&mut self) {
        frontend::put_subject(&mut self.out, b'D', Subject::Statement, b"sc_none");
        self.flow.sent(Step::Fail);
    }

    /// Makes room for, then prepares, a statement of the client's that this connection lacks.
    pub fn inject(&mut self, statement: &Prepared) {
        if statement.is_named {
            if let Some(used) = self.carried.prepared.get_mut(&statement.number) {
                *used = self.tick;
            }
            self.changes.touch(statement.number, self.tick);
            let is_new = self.changes.leave(statement.number).is_some();
            if !is_new && self.carried.outdated.contains(&statement.number) {
                self.close_own(statement.number);
            }
            if !self.has(statement.number) {
                self.evict();
                self.put_named(Owner::Own(Probe::Effect), statement.number, &statement.sent, &statement.types);
            }
        } else if self.carried.unnamed != Some(statement.number) {
            frontend::put_parse(&mut self.out, b"", &statement.sent, &statement.types);
            self.flow.sent(Step::Parse(Owner::Own(Probe::Effect), Slot::Unnamed(statement.number)));
        }
    }

    /// Parses a statement anew and asks for its description.
    pub fn inspect(&mut self, statement: &Prepared, ask: Ask) {
        if statement.is_named && self.has(statement.number) {
            self.close_own(statement.number);
        }
        self.inject(statement);
        let name = if statement.is_named { server_name(statement.number) } else { SmallVec::new() };
        frontend::put_subject(&mut self.out, b'D', Subject::Statement, &name);
        self.flow.sent(Step::Describe(Owner::Own(Probe::Shape)));
        match ask {
            Ask::Apart => self.sync_own(),
            Ask::Within => frontend::put_flush(&mut self.out),
        }
    }

    /// Makes room for one more. A portal outlives the statement that it was made of.
    fn evict(&mut self) {
        for number in self.changes.too_many(&self.carried.prepared, self.limit) {
            self.close_own(number);
        }
    }

    /// Drops a statement from the connection.
    pub fn close_own(&mut self, number: u64) {
        frontend::put_subject(&mut self.out, b'C', Subject::Statement, &server_name(number));
        self.flow.sent(Step::Close(Owner::Own(Probe::Effect), Some(number)));
        self.changes.close(number);
    }

    /// The client's Parse.
    pub fn parse(&mut self, statement: &Prepared) {
        if !statement.is_named {
            frontend::put_parse(&mut self.out, b"", &statement.sent, &statement.types);
            self.flow.sent(Step::Parse(Owner::Client, Slot::Unnamed(statement.number)));
            return;
        }
        if self.has(statement.number) {
            // Parsed anew, since the client is owed the errors that parsing finds today.
            self.close_own(statement.number);
        } else {
            self.evict();
        }
        self.put_named(Owner::Client, statement.number, &statement.sent, &statement.types);
    }

    /// The client's Parse of a name that it has given already. PostgreSQL finds that out last: so it is asked to parse the text
    /// under a name that is taken on the connection, which is returned.
    pub fn parse_twice(&mut self, known: &Prepared, statement: &Prepared) -> u64 {
        let there = if self.has(known.number) { None } else { self.carried.prepared.keys().find(|n| self.has(**n)) };
        let taken = there.copied().unwrap_or(known.number);
        if there.is_none() {
            self.inject(known);
        }
        frontend::put_parse(&mut self.out, &server_name(taken), &statement.sent, &statement.types);
        self.flow.sent(Step::Parse(Owner::Client, Slot::Named(taken)));
        taken
    }

    /// A message that fails, in whose place the client gets this ErrorResponse.
    pub fn fail(&mut self, failure: Bytes, round: &mut Round) {
        self.put_failing();
        round.substitutes.push_back(failure);
    }

    /// What is to be sent. Moved as a whole, it takes no room while a server works.
    pub fn end(self) -> BytesMut {
        self.out
    }

    /// A statement under the name that SQL knows it by.
    pub fn parse_by_name(&mut self, owner: Owner, name: &[u8], statement: &Prepared) {
        frontend::put_parse(&mut self.out, name, &statement.sql, &statement.types);
        self.flow.sent(Step::Parse(owner, Slot::ByName));
    }

    /// Drops what has this name in SQL, if anything has.
    pub fn close_by_name(&mut self, owner: Owner, name: &[u8]) {
        frontend::put_subject(&mut self.out, b'C', Subject::Statement, name);
        self.flow.sent(Step::Close(owner, None));
    }

    /// Asks for the description of what has this name in SQL.
    pub fn inspect_by_name(&mut self, name: &str) {
        frontend::put_subject(&mut self.out, b'D', Subject::Statement, name.as_bytes());
        self.flow.sent(Step::Describe(Owner::Own(Probe::Shape)));
    }

    pub fn copy(&mut self, tag: u8, body: &[u8]) {
        crate::wire::backend::put_frame(&mut self.out, tag, body);
    }
}
