//! What is sent for a unit: the client's messages with statements under the names that connections know them by,
//! and our own beside them. Decides nothing; does no I/O.

use super::Session;
use super::client::{UnitEnd, frames};
use super::exchange::Round;
use super::flow::{Flow, Owner, Probe, Slot, Step};
use super::portal::Prepared;
use crate::route::plan::{Plan, Refusal};
use crate::upstream::Carried;
use crate::wire::backend::Failure;
use crate::wire::frontend::{self, Bind, Malformed, Parse, Subject};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::sync::Arc;

/// Prepared statements that a connection keeps; past it the least recently used one is closed.
const PREPARED_LIMIT: usize = 256;

/// Our own statements, prepared on a connection when first needed. Numbers below `plans::FIRST_NUMBER`.
const SNAPSHOT: (u64, &str) = (1, "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text");
const INSERTED: (u64, &str) = (2, "SELECT pg_catalog.pg_current_wal_insert_lsn()");
const REPLAYED: (u64, &str) = (3, "SELECT pg_catalog.pg_last_wal_replay_lsn(), pg_catalog.pg_is_in_recovery()");
const RECEIVED: (u64, &str) =
    (4, "SELECT GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())");

/// What is learned beside the client's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    /// Before the query what proves a fill, after it how far it may have read.
    Proof,
    /// After it, how far it may have read.
    High,
}

/// Whether the server in question is a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Primary,
    Replica,
}

/// What the messages of a unit do, as far as their plans tell.
#[derive(Debug, Default)]
pub struct Survey {
    /// The plan of each execution, in order; `None` for a portal that is not known.
    pub runs: SmallVec<[Option<Arc<Plan>>; 4]>,
    /// What the unit prepares, in order.
    pub prepares: Vec<(Bytes, Arc<Prepared>)>,
    /// Plans that are prepared, described or bound without being run here.
    pub touches: SmallVec<[Arc<Plan>; 4]>,
    /// Every execution is a proven read that may run anywhere.
    pub reads: bool,
    /// An Execute asked for a part of the rows.
    pub partial: bool,
    /// Named statements that it binds and that were prepared before.
    pub earlier: SmallVec<[Arc<Prepared>; 4]>,
}

impl Survey {
    /// Whether it may have seen rows that others write.
    pub fn reads_rows(&self) -> bool {
        let blind = [Refusal::NoRelation, Refusal::SystemCatalog, Refusal::NotARead];
        let sees = |plan: &Arc<Plan>| !matches!(&plan.cache, Err(refusal) if blind.contains(refusal));
        self.runs.iter().any(|plan| plan.as_ref().is_none_or(sees))
    }
}

/// Bytes to send and the answers they are owed.
pub struct Composer<'a> {
    pub out: BytesMut,
    pub flow: &'a mut Flow,
    pub carried: &'a mut Carried,
    pub tick: u64,
}

/// What a statement is called on connections.
fn server_name(mut number: u64) -> SmallVec<[u8; 24]> {
    let mut name = SmallVec::new();
    loop {
        name.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    name.extend_from_slice(b"_cs");
    name.reverse();
    name
}

impl Composer<'_> {
    fn own(&mut self, (number, sql): (u64, &str), probe: Probe) {
        let name = server_name(number);
        if !self.carried.prepared.contains_key(&number) {
            frontend::put_parse(&mut self.out, &name, sql.as_bytes(), b"");
            self.flow.sent(Step::Parse(Owner::Own(Probe::Effect), Slot::Named(number)));
        }
        frontend::put_run(&mut self.out, &name);
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

    /// Makes room for, then prepares, a statement of the client's that this connection lacks.
    fn inject(&mut self, statement: &Prepared) {
        if statement.is_named {
            if self.carried.prepared.contains_key(&statement.number) {
                self.carried.prepared.insert(statement.number, self.tick);
                return;
            }
            self.evict();
            let name = server_name(statement.number);
            frontend::put_parse(&mut self.out, &name, &statement.sql, &statement.types);
            self.flow.sent(Step::Parse(Owner::Own(Probe::Effect), Slot::Named(statement.number)));
        } else if self.carried.unnamed != Some(statement.number) {
            frontend::put_parse(&mut self.out, b"", &statement.sql, &statement.types);
            self.flow.sent(Step::Parse(Owner::Own(Probe::Effect), Slot::Unnamed(statement.number)));
        }
    }

    fn evict(&mut self) {
        if self.carried.prepared.len() < PREPARED_LIMIT {
            return;
        }
        let oldest = self.carried.prepared.iter().filter(|(n, _)| **n >= super::plans::FIRST_NUMBER);
        if let Some((&number, _)) = oldest.min_by_key(|(_, tick)| **tick) {
            self.close_own(number);
        }
    }

    /// Drops a statement from the connection.
    pub fn close_own(&mut self, number: u64) {
        frontend::put_subject(&mut self.out, b'C', Subject::Statement, &server_name(number));
        self.flow.sent(Step::Close(Owner::Own(Probe::Effect), Some(number)));
        self.carried.prepared.remove(&number);
    }

    /// The client's Parse.
    fn parse(&mut self, statement: &Prepared) {
        if !statement.is_named {
            frontend::put_parse(&mut self.out, b"", &statement.sql, &statement.types);
            self.flow.sent(Step::Parse(Owner::Client, Slot::Unnamed(statement.number)));
            return;
        }
        if self.carried.prepared.contains_key(&statement.number) {
            // Parsed anew, since the client is owed the errors that parsing finds today.
            self.close_own(statement.number);
        } else {
            self.evict();
        }
        let name = server_name(statement.number);
        frontend::put_parse(&mut self.out, &name, &statement.sql, &statement.types);
        self.flow.sent(Step::Parse(Owner::Client, Slot::Named(statement.number)));
    }

    /// A message that fails, in whose place the client gets `failure`.
    fn fail(&mut self, failure: Failure, round: &mut Round) {
        frontend::put_subject(&mut self.out, b'D', Subject::Statement, b"sc_none");
        self.flow.sent(Step::Fail);
        round.substitutes.push_back(failure);
    }

    fn copy(&mut self, tag: u8, body: &[u8]) {
        crate::wire::backend::put_frame(&mut self.out, tag, body);
    }
}

fn unknown_statement(name: &[u8]) -> Failure {
    if name.is_empty() {
        return Failure::error("26000", "unnamed prepared statement does not exist");
    }
    Failure::error("26000", format!("prepared statement \"{}\" does not exist", String::from_utf8_lossy(name)))
}

fn duplicate_statement(name: &[u8]) -> Failure {
    Failure::error("42P05", format!("prepared statement \"{}\" already exists", String::from_utf8_lossy(name)))
}

impl Session {
    /// Reads a unit's messages: what they run and prepare.
    ///
    /// # Errors
    /// A message whose fields do not fill its frame.
    pub(super) fn survey(&mut self, unit: &[u8], end: UnitEnd) -> Result<Survey, Malformed> {
        let mut survey = Survey::default();
        let mut portals: SmallVec<[(&[u8], Arc<Prepared>); 4]> = SmallVec::new();
        for (header, body) in frames(unit) {
            match header.tag {
                b'Q' => {
                    let text = frontend::query(body)?;
                    survey.runs.push(Some(self.plan(text)));
                }
                b'P' => {
                    let parse = Parse::read(body)?;
                    let statement = self.prepare(&parse);
                    survey.touches.push(Arc::clone(&statement.plan));
                    survey.prepares.push((Bytes::copy_from_slice(parse.name), statement));
                }
                b'B' => {
                    let bind = Bind::read(body)?;
                    if let Some(statement) = self.statement(&survey, bind.statement) {
                        if statement.is_named && !survey.prepares.iter().any(|(name, _)| name == bind.statement) {
                            survey.earlier.push(Arc::clone(&statement));
                        }
                        survey.touches.push(self.plan_of(&statement));
                        portals.push((bind.portal, statement));
                    }
                }
                b'D' | b'C' => {
                    let (subject, name) = frontend::subject(body)?;
                    if header.tag == b'D'
                        && subject == Subject::Statement
                        && let Some(statement) = self.statement(&survey, name)
                    {
                        survey.touches.push(self.plan_of(&statement));
                    }
                }
                b'E' => {
                    let (name, rows) = frontend::execute(body)?;
                    survey.partial |= rows != 0;
                    let here = portals.iter().rev().find(|(portal, _)| *portal == name).map(|(_, s)| Arc::clone(s));
                    let statement = here.or_else(|| self.statements.portal(name).cloned());
                    survey.runs.push(statement.map(|statement| self.plan_of(&statement)));
                }
                _ => {}
            }
        }
        if end == UnitEnd::Call {
            survey.runs.push(None);
        }
        Ok(survey)
    }

    fn statement(&self, survey: &Survey, name: &[u8]) -> Option<Arc<Prepared>> {
        let here = survey.prepares.iter().rev().find(|(n, _)| n == name).map(|(_, statement)| statement);
        here.or_else(|| self.statements.get(name)).cloned()
    }

    /// Writes the unit's messages for the connection, with `beside` around or behind them.
    pub(super) fn compose(
        &mut self,
        unit: &[u8],
        end: UnitEnd,
        survey: &Survey,
        (beside, side): (Beside, Side),
        composer: &mut Composer<'_>,
        round: &mut Round,
    ) {
        if end == UnitEnd::Query {
            if beside == Beside::Proof {
                composer.before(side);
                composer.sync_own();
            }
            composer.out.extend_from_slice(unit);
            composer.flow.sent(Step::Query(Owner::Client));
            composer.carried.unnamed = None;
            if beside != Beside::Nothing {
                composer.after(side);
                composer.sync_own();
            }
            return;
        }
        if end == UnitEnd::Call {
            composer.out.extend_from_slice(unit);
            composer.flow.sent(Step::Call);
            return;
        }
        if beside == Beside::Proof {
            composer.before(side);
        }
        // Statements that the unit itself prepares, as far as it has come, and those it closed.
        let mut prepared = survey.prepares.iter();
        let mut here: Vec<(&[u8], &Arc<Prepared>)> = Vec::new();
        for (header, body) in frames(unit) {
            match header.tag {
                b'P' => {
                    let (name, statement) = prepared.next().expect("the survey saw the same messages");
                    let exists = here.iter().any(|(n, _)| n == name) || self.statements.get(name).is_some();
                    if !name.is_empty() && exists {
                        composer.fail(duplicate_statement(name), round);
                    } else {
                        composer.parse(statement);
                        here.push((name, statement));
                    }
                }
                b'B' => {
                    let bind = Bind::read(body).expect("the survey has read it");
                    let own = here.iter().rev().find(|(n, _)| *n == bind.statement).map(|(_, s)| Arc::clone(s));
                    let earlier = || self.statements.get(bind.statement).cloned();
                    let is_here = own.is_some();
                    let Some(statement) = own.or_else(earlier) else {
                        composer.fail(unknown_statement(bind.statement), round);
                        continue;
                    };
                    if !is_here {
                        composer.inject(&statement);
                    }
                    if statement.is_named {
                        frontend::put_bind(&mut composer.out, &bind, &server_name(statement.number));
                    } else {
                        composer.copy(b'B', body);
                    }
                    composer.flow.sent(Step::Bind(Owner::Client));
                    self.statements.open_portal(bind.portal, statement);
                }
                b'D' | b'C' => self.compose_subject(header.tag, body, &mut here, composer, round),
                b'E' => {
                    composer.copy(b'E', body);
                    composer.flow.sent(Step::Execute(Owner::Client));
                }
                b'S' => {
                    if beside != Beside::Nothing {
                        composer.after(side);
                    }
                    frontend::put_sync(&mut composer.out);
                    composer.flow.sent(Step::Sync(Owner::Client));
                }
                // A Flush right before the Sync has nothing left to do.
                b'H' if end == UnitEnd::Sync => {}
                tag => composer.copy(tag, body),
            }
        }
    }

    fn compose_subject(
        &mut self,
        tag: u8,
        body: &[u8],
        here: &mut Vec<(&[u8], &Arc<Prepared>)>,
        composer: &mut Composer<'_>,
        round: &mut Round,
    ) {
        let (subject, name) = frontend::subject(body).expect("the survey has read it");
        let step = if tag == b'D' { Step::Describe } else { Step::Close(Owner::Client, None) };
        if subject == Subject::Portal {
            if tag == b'C' {
                self.statements.close_portal(name);
            }
            composer.copy(tag, body);
            composer.flow.sent(step);
            return;
        }
        let own = here.iter().rev().find(|(n, _)| *n == name).map(|(_, s)| Arc::clone(s));
        let is_here = own.is_some();
        let statement = own.or_else(|| self.statements.get(name).cloned());
        if tag == b'C' {
            // The name is the session's; what connections have prepared stays for others.
            here.retain(|(n, _)| *n != name);
            self.statements.close(name);
            frontend::put_subject(&mut composer.out, b'C', Subject::Statement, b"sc_none");
            composer.flow.sent(step);
            return;
        }
        let Some(statement) = statement else {
            composer.fail(unknown_statement(name), round);
            return;
        };
        if !is_here {
            composer.inject(&statement);
        }
        let server = if statement.is_named { server_name(statement.number) } else { SmallVec::new() };
        frontend::put_subject(&mut composer.out, b'D', Subject::Statement, &server);
        composer.flow.sent(step);
    }
}
