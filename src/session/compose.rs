//! What is sent for a unit: the client's messages with statements under the names that connections know them by,
//! and our own beside them. Decides nothing; does no I/O.

use super::Session;
use super::client::{UnitEnd, frames};
use super::exchange::Round;
use super::flow::{Flow, Owner, Probe, Slot, Step};
use super::own;
use super::portal::Prepared;
use super::serve::Understood;
use super::shape;
use crate::catalog::CatalogVersion;
use crate::route::plan::{Kind, PinReason, Plan, Refusal, SetConfig, SettingChange, TransactionControl};
use crate::upstream::Carried;
use crate::wire::backend::Failure;
use crate::wire::frontend::{self, Bind, Malformed, Parse, Subject};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::sync::Arc;

/// Our own statements, prepared on a connection when first needed. Numbers below `plans::FIRST_NUMBER`.
const SNAPSHOT: (u64, &str) = (1, "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text");
const INSERTED: (u64, &str) = (2, "SELECT pg_catalog.pg_current_wal_insert_lsn()");
const REPLAYED: (u64, &str) = (3, "SELECT pg_catalog.pg_last_wal_replay_lsn(), pg_catalog.pg_is_in_recovery()");
const RECEIVED: (u64, &str) =
    (4, "SELECT GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())");

/// What PostgreSQL's own functions and types read of a session, so that answers depend on it.
const STATE: (u64, &str) = (
    5,
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
     pg_catalog.current_setting('default_transaction_read_only'))",
);

/// What is learned beside the client's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    /// Before the query what proves a fill, after it how far it may have read.
    Proof,
    /// After it, how far it may have read.
    High,
    /// In a group of our own, behind the end of a write that is a transaction by itself: where it lies, and what it left on the
    /// connection.
    Behind {
        position: bool,
        state: bool,
    },
}

/// Whether the server in question is a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Primary,
    Replica,
}

/// A message that gives a name or takes one away, once the server has answered it.
#[derive(Debug)]
pub enum Naming {
    Prepared(Bytes, Arc<Prepared>),
    Closed(Bytes),
    ClosedPortal(Bytes),
}

/// What the messages of a unit do, as far as their plans tell.
#[derive(Debug, Default)]
pub struct Survey {
    /// The plan of each execution, in order; `None` for a portal that is not known.
    pub runs: SmallVec<[Option<Arc<Plan>>; 4]>,
    /// What the unit does to names, in order.
    pub namings: Vec<Naming>,
    /// Plans that are prepared, described or bound without being run here.
    pub touches: SmallVec<[Arc<Plan>; 4]>,
    /// Every execution is a proven read that may run anywhere.
    pub reads: bool,
    /// It has the form of one request, which leaves nothing behind.
    pub is_request: bool,
    /// An Execute asked for a part of the rows.
    pub partial: bool,
    /// What its executions set by `set_config`, by their number; `None` where that is not certain.
    pub set: Vec<(usize, Option<Vec<SettingChange>>)>,
    /// The statements that it describes, by themselves or by a portal, in order; `None` for what is not known.
    pub described: SmallVec<[Option<Arc<Prepared>>; 2]>,
    /// The statements that it runs without asking again what the client was told of their results before.
    pub blind: SmallVec<[Arc<Prepared>; 2]>,
    /// Those of them whose results have another shape now.
    pub reshaped: SmallVec<[u64; 1]>,
    /// The catalog's version when the unit was read.
    pub catalog: CatalogVersion,
    /// Named statements that it binds and that were prepared before.
    pub earlier: SmallVec<[Arc<Prepared>; 4]>,
}

impl Survey {
    /// What the unit's own messages so far have made of a statement's name; `None` if nothing.
    pub fn named(&self, name: &[u8]) -> Option<Option<&Arc<Prepared>>> {
        named(&self.namings, name)
    }

    /// The error of ours that an execution ends with: of a setting that no server knows.
    fn own_failure(&self, run: usize) -> Option<Failure> {
        self.runs.get(run).and_then(Option::as_ref).and_then(|plan| own::failure(plan))
    }

    /// Whether it touches no row, but the session and its transaction alone.
    pub fn is_control(&self) -> bool {
        self.runs.iter().all(|plan| plan.as_ref().is_some_and(|plan| plan.kind.is_control()))
    }

    /// Whether it sets the modes of the transaction that it is in.
    pub fn sets_modes(&self) -> bool {
        let modes = Kind::Transaction(TransactionControl::Modes);
        self.runs.iter().flatten().any(|plan| plan.kind == modes)
    }

    /// Whether it may have seen rows that others write.
    pub fn reads_rows(&self) -> bool {
        let blind = [Refusal::NoRelation, Refusal::SystemCatalog, Refusal::NotARead];
        let sees = |plan: &Arc<Plan>| !matches!(&plan.cache, Err(refusal) if blind.contains(refusal));
        self.runs.iter().any(|plan| plan.as_ref().is_none_or(sees))
    }
}

/// Bytes that a unit usually grows by on its way to a server: names, and questions of our own.
const OUT_MARGIN: usize = 192;

/// Bytes to send and the answers they are owed.
pub struct Composer<'a> {
    pub out: BytesMut,
    pub flow: &'a mut Flow,
    /// What the connection is known to have: changed by answers alone, since an error skips what stands behind it.
    carried: &'a mut Carried,
    /// Statements that these bytes prepare (`true`) or close, the latest last.
    changed: Vec<(u64, bool)>,
    /// Statements of clients that the connection may keep.
    pub limit: usize,
    tick: u64,
}

fn named<'n>(namings: &'n [Naming], name: &[u8]) -> Option<Option<&'n Arc<Prepared>>> {
    namings.iter().rev().find_map(|naming| match naming {
        Naming::Prepared(prepared, statement) if prepared == name => Some(Some(statement)),
        Naming::Closed(closed) if closed == name => Some(None),
        _ => None,
    })
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

impl<'a> Composer<'a> {
    pub fn new(flow: &'a mut Flow, carried: &'a mut Carried, tick: u64) -> Self {
        let out = BytesMut::with_capacity(OUT_MARGIN);
        Composer { out, flow, carried, changed: Vec::new(), limit: usize::MAX, tick }
    }

    /// Whether the connection has this statement when it comes to what is written next.
    fn has(&self, number: u64) -> bool {
        let changed = self.changed.iter().rev().find(|(changed, _)| *changed == number);
        changed.map_or_else(|| self.carried.prepared.contains_key(&number), |(_, exists)| *exists)
    }

    fn put_named(&mut self, owner: Owner, number: u64, sql: &[u8], types: &[u8]) {
        frontend::put_parse(&mut self.out, &server_name(number), sql, types);
        self.flow.sent(Step::Parse(owner, Slot::Named(number)));
        self.changed.push((number, true));
    }

    fn own(&mut self, (number, sql): (u64, &str), probe: Probe) {
        let name = server_name(number);
        if !self.has(number) {
            self.put_named(Owner::Own(Probe::Effect), number, sql.as_bytes(), b"");
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

    /// What [`Beside::Behind`] asks.
    fn behind(&mut self, side: Side, position: bool, state: bool) {
        if position {
            self.after(side);
        }
        if state {
            self.state();
        }
        self.sync_own();
    }

    /// Asks for what decides answers there.
    pub fn state(&mut self) {
        self.own(STATE, Probe::State);
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
            self.put_failing();
            self.sync_own();
        }
    }

    /// A message that the server answers with an error.
    fn put_failing(&mut self) {
        frontend::put_subject(&mut self.out, b'D', Subject::Statement, b"sc_none");
        self.flow.sent(Step::Fail);
    }

    /// Makes room for, then prepares, a statement of the client's that this connection lacks.
    fn inject(&mut self, statement: &Prepared) {
        if statement.is_named {
            if let Some(used) = self.carried.prepared.get_mut(&statement.number) {
                *used = self.tick;
            }
            if !self.has(statement.number) {
                self.evict();
                self.put_named(Owner::Own(Probe::Effect), statement.number, &statement.sql, &statement.types);
            }
        } else if self.carried.unnamed != Some(statement.number) {
            frontend::put_parse(&mut self.out, b"", &statement.sql, &statement.types);
            self.flow.sent(Step::Parse(Owner::Own(Probe::Effect), Slot::Unnamed(statement.number)));
        }
    }

    /// Parses a statement anew and asks for its description, in a group of our own.
    pub fn inspect(&mut self, statement: &Prepared) {
        if statement.is_named && self.has(statement.number) {
            self.close_own(statement.number);
        }
        self.inject(statement);
        let name = if statement.is_named { server_name(statement.number) } else { SmallVec::new() };
        frontend::put_subject(&mut self.out, b'D', Subject::Statement, &name);
        self.flow.sent(Step::Describe(Owner::Own(Probe::Shape)));
        self.sync_own();
    }

    /// Makes room for one more. A portal outlives the statement that it was made of.
    fn evict(&mut self) {
        let mut kept: Vec<(u64, u64)> = self.carried.prepared.iter().map(|(number, tick)| (*tick, *number)).collect();
        for (changed, exists) in &self.changed {
            kept.retain(|(_, number)| number != changed);
            if *exists {
                kept.push((self.tick, *changed));
            }
        }
        kept.retain(|(_, number)| *number >= super::plans::FIRST_NUMBER);
        let Some(many) = (kept.len() + 1).checked_sub(self.limit) else { return };
        kept.sort_by_key(|(tick, _)| *tick);
        for (_, number) in kept.into_iter().take(many) {
            self.close_own(number);
        }
    }

    /// Drops a statement from the connection.
    pub fn close_own(&mut self, number: u64) {
        frontend::put_subject(&mut self.out, b'C', Subject::Statement, &server_name(number));
        self.flow.sent(Step::Close(Owner::Own(Probe::Effect), Some(number)));
        self.changed.push((number, false));
    }

    /// The client's Parse.
    fn parse(&mut self, statement: &Prepared) {
        if !statement.is_named {
            frontend::put_parse(&mut self.out, b"", &statement.sql, &statement.types);
            self.flow.sent(Step::Parse(Owner::Client, Slot::Unnamed(statement.number)));
            return;
        }
        if self.has(statement.number) {
            // Parsed anew, since the client is owed the errors that parsing finds today.
            self.close_own(statement.number);
        } else {
            self.evict();
        }
        self.put_named(Owner::Client, statement.number, &statement.sql, &statement.types);
    }

    /// The client's Parse of a name that it has given already. PostgreSQL finds that out last: so it is asked to parse the text
    /// under a name that is taken on the connection, which is returned.
    fn parse_twice(&mut self, known: &Prepared, statement: &Prepared) -> u64 {
        let there = if self.has(known.number) { None } else { self.carried.prepared.keys().find(|n| self.has(**n)) };
        let taken = there.copied().unwrap_or(known.number);
        if there.is_none() {
            self.inject(known);
        }
        frontend::put_parse(&mut self.out, &server_name(taken), &statement.sql, &statement.types);
        self.flow.sent(Step::Parse(Owner::Client, Slot::Named(taken)));
        taken
    }

    /// A message that fails, in whose place the client gets `failure`.
    fn fail(&mut self, failure: Failure, round: &mut Round) {
        self.put_failing();
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

fn bound_here(portals: &[(&[u8], Arc<Prepared>)], name: &[u8]) -> Option<Arc<Prepared>> {
    portals.iter().rev().find(|(portal, _)| *portal == name).map(|(_, statement)| Arc::clone(statement))
}

/// What calls of `set_config` set with these parameters, if all of them are texts.
fn changes(calls: &[SetConfig], bind: &Bind<'_>, statement: &Prepared) -> Option<Vec<SettingChange>> {
    /// unspecified, text, unknown, varchar: sent alike as text and binary.
    const TEXTS: [u32; 4] = [0, 25, 705, 1043];
    if !statement.oids.iter().all(|oid| TEXTS.contains(oid)) {
        return None;
    }
    let values = bind.values().map(|(_, value)| value.map(std::str::from_utf8).transpose());
    let values: Vec<Option<&str>> = values.collect::<Result<_, _>>().ok()?;
    calls.iter().map(|call| call.change(&values)).collect()
}

impl Session {
    /// Reads a unit's messages: what they run and prepare.
    ///
    /// # Errors
    /// A message whose fields do not fill its frame.
    pub(super) fn survey(&mut self, unit: &Bytes, end: UnitEnd, mut known: Understood) -> Result<Survey, Malformed> {
        let mut survey = Survey { catalog: self.shared.catalog.load().version, ..Survey::default() };
        let mut portals: SmallVec<[(&[u8], Arc<Prepared>); 4]> = SmallVec::new();
        let mut bound: Vec<(&[u8], Option<Vec<SettingChange>>)> = Vec::new();
        for (header, body) in frames(unit) {
            match header.tag {
                b'Q' => {
                    let text = frontend::query(body)?;
                    let known = known.plan.take().filter(|plan| self.is_current(plan));
                    let plan = known.unwrap_or_else(|| self.plan(text));
                    if let Kind::SetConfig(calls) = &plan.kind {
                        survey.set.push((0, calls.iter().map(|call| call.change(&[])).collect()));
                    }
                    survey.runs.push(Some(plan));
                }
                b'P' => {
                    let parse = Parse::read(body)?;
                    let statement = known.parsed.take().unwrap_or_else(|| self.prepare(&parse));
                    survey.touches.push(Arc::clone(&statement.plan));
                    survey.namings.push(Naming::Prepared(unit.slice_ref(parse.name), statement));
                }
                b'B' => {
                    let bind = Bind::read(body)?;
                    if let Some(statement) = self.statement(&survey, bind.statement) {
                        if statement.is_named && survey.named(bind.statement).is_none() {
                            survey.earlier.push(Arc::clone(&statement));
                        }
                        let plan = self.plan_of(&statement);
                        if let Kind::SetConfig(calls) = &plan.kind {
                            bound.push((bind.portal, changes(calls, &bind, &statement)));
                        }
                        survey.touches.push(plan);
                        portals.push((bind.portal, statement));
                    }
                }
                b'D' | b'C' => {
                    let (subject, name) = frontend::subject(body)?;
                    if header.tag == b'D' {
                        let statement = match subject {
                            Subject::Statement => self.statement(&survey, name),
                            Subject::Portal => {
                                bound_here(&portals, name).or_else(|| self.statements.portal(name).cloned())
                            }
                        };
                        if let Some(statement) = statement.as_ref().filter(|_| subject == Subject::Statement) {
                            survey.touches.push(self.plan_of(statement));
                        }
                        survey.described.push(statement);
                    }
                    if header.tag == b'C' {
                        let name = unit.slice_ref(name);
                        survey.namings.push(match subject {
                            Subject::Statement => Naming::Closed(name),
                            Subject::Portal => Naming::ClosedPortal(name),
                        });
                    }
                }
                b'E' => {
                    let (name, rows) = frontend::execute(body)?;
                    survey.partial |= rows != 0;
                    let here = bound_here(&portals, name);
                    if let Some(here) = here.as_ref().filter(|here| here.told.shape().is_some())
                        && !survey.described.iter().flatten().any(|described| Arc::ptr_eq(described, here))
                    {
                        survey.blind.push(Arc::clone(here));
                    }
                    let statement = here.or_else(|| self.statements.portal(name).cloned());
                    // Taken away: a portal runs once.
                    if let Some(at) = bound.iter().rposition(|(portal, _)| *portal == name) {
                        survey.set.push((survey.runs.len(), bound.remove(at).1));
                    }
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
        survey.named(name).unwrap_or_else(|| self.statements.get(name)).cloned()
    }

    /// Writes the unit's messages for the connection, with `beside` around or behind them.
    pub(super) fn compose(
        &mut self,
        unit: &Bytes,
        end: UnitEnd,
        survey: &Survey,
        (beside, side): (Beside, Side),
        composer: &mut Composer<'_>,
        round: &mut Round,
    ) {
        composer.limit = self.shared.config.max_prepared_statements;
        if end == UnitEnd::Query {
            if beside == Beside::Proof {
                composer.before(side);
                composer.sync_own();
            }
            if let Some(failure) = survey.own_failure(0) {
                composer.fail(failure, round);
                frontend::put_sync(&mut composer.out);
                composer.flow.sent(Step::Sync(Owner::Client));
                return;
            }
            composer.out.extend_from_slice(unit);
            composer.flow.sent(Step::Query(Owner::Client));
            composer.carried.unnamed = None;
            match beside {
                Beside::Nothing => {}
                Beside::Proof | Beside::High => composer.behind(side, true, false),
                Beside::Behind { position, state } => composer.behind(side, position, state),
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
        // How much of what the unit does to names has been done.
        let mut here = 0;
        let mut runs = 0;
        for (header, body) in frames(unit) {
            match header.tag {
                b'P' => {
                    let Some(Naming::Prepared(name, statement)) = survey.namings.get(here) else {
                        unreachable!("the survey saw the same messages")
                    };
                    let known = named(&survey.namings[..here], name).unwrap_or_else(|| self.statements.get(name));
                    match known {
                        Some(known) if !name.is_empty() => {
                            let taken = composer.parse_twice(known, statement);
                            round.names.push((taken, name.clone()));
                        }
                        _ => composer.parse(statement),
                    }
                    here += 1;
                }
                b'B' => {
                    let bind = Bind::read(body).expect("the survey has read it");
                    let own = named(&survey.namings[..here], bind.statement);
                    let Some(statement) = own.unwrap_or_else(|| self.statements.get(bind.statement)).cloned() else {
                        if self.may_be_sql(bind.statement) {
                            composer.copy(b'B', body);
                            composer.flow.sent(Step::Bind(Owner::Client));
                        } else {
                            composer.fail(unknown_statement(bind.statement), round);
                        }
                        continue;
                    };
                    if survey.reshaped.contains(&statement.number) {
                        composer.fail(shape::reshaped(), round);
                        continue;
                    }
                    if own.is_none() || statement.is_named {
                        composer.inject(&statement);
                    }
                    if statement.is_named {
                        round.names.push((statement.number, unit.slice_ref(bind.statement)));
                        frontend::put_bind(&mut composer.out, &bind, &server_name(statement.number));
                    } else {
                        composer.copy(b'B', body);
                    }
                    composer.flow.sent(Step::Bind(Owner::Client));
                    self.statements.open_portal(bind.portal, statement);
                }
                b'D' => self.compose_describe(body, &survey.namings[..here], composer, round),
                b'C' => {
                    compose_close(body, composer);
                    here += 1;
                }
                b'E' => {
                    match survey.own_failure(runs) {
                        Some(failure) => composer.fail(failure, round),
                        None => {
                            composer.copy(b'E', body);
                            composer.flow.sent(Step::Execute(Owner::Client));
                        }
                    }
                    runs += 1;
                }
                b'S' => {
                    if matches!(beside, Beside::Proof | Beside::High) {
                        composer.after(side);
                    }
                    frontend::put_sync(&mut composer.out);
                    composer.flow.sent(Step::Sync(Owner::Client));
                    if let Beside::Behind { position, state } = beside {
                        composer.behind(side, position, state);
                    }
                }
                // A Flush right before the Sync has nothing left to do.
                b'H' if end == UnitEnd::Sync => {}
                tag => composer.copy(tag, body),
            }
        }
        if end == UnitEnd::Open {
            // Answered before the next unit is looked at, which may be a copy's data.
            frontend::put_flush(&mut composer.out);
        }
    }

    /// Whether a statement of this name may be on the connection because PREPARE made it: the two share their names.
    fn may_be_sql(&self, name: &[u8]) -> bool {
        self.pins.contains(&PinReason::SqlPrepare) && !name.is_empty() && !name.starts_with(b"sc_")
    }

    fn compose_describe(&self, body: &[u8], here: &[Naming], composer: &mut Composer<'_>, round: &mut Round) {
        let (subject, name) = frontend::subject(body).expect("the survey has read it");
        if subject == Subject::Portal {
            composer.copy(b'D', body);
            composer.flow.sent(Step::Describe(Owner::Client));
            return;
        }
        let own = named(here, name);
        let Some(statement) = own.unwrap_or_else(|| self.statements.get(name)) else {
            if self.may_be_sql(name) {
                composer.copy(b'D', body);
                composer.flow.sent(Step::Describe(Owner::Client));
            } else {
                composer.fail(unknown_statement(name), round);
            }
            return;
        };
        if own.is_none() || statement.is_named {
            composer.inject(statement);
        }
        let server = if statement.is_named { server_name(statement.number) } else { SmallVec::new() };
        frontend::put_subject(&mut composer.out, b'D', Subject::Statement, &server);
        composer.flow.sent(Step::Describe(Owner::Client));
    }
}

fn compose_close(body: &[u8], composer: &mut Composer<'_>) {
    match frontend::subject(body).expect("the survey has read it") {
        (Subject::Portal, _) => composer.copy(b'C', body),
        // The name is the session's; what connections have prepared stays for others.
        (Subject::Statement, _) => {
            frontend::put_subject(&mut composer.out, b'C', Subject::Statement, b"sc_none");
        }
    }
    composer.flow.sent(Step::Close(Owner::Client, None));
}
