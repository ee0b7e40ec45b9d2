//! What is sent for a unit: the client's messages with statements under the names that connections know them by,
//! and our own beside them. Decides nothing; does no I/O.

use super::Session;
use super::client::{UnitEnd, frames};
use super::composer::{Composer, Look, server_name};
use super::flow::{Owner, Step};
use super::namings::Naming;
use super::portal::Prepared;
use super::round::{Gives, Round};
use super::shape;
use super::survey::Survey;
use crate::route::plan::{Kind, PinReason, Plan};
use crate::wire::backend::{Failure, failure_frame};
use crate::wire::frontend::{self, Bind, Subject};
use bytes::Bytes;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::HashSet;
use std::sync::Arc;

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
        state: Option<Look>,
    },
}

/// Whether the server in question is a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Primary,
    Replica,
}

/// Names that a unit's executions give statements, and those that it needs, in SQL.
struct BySql<'s> {
    made: HashSet<&'s [u8], RandomState>,
    needed: HashSet<&'s [u8], RandomState>,
}

impl<'s> BySql<'s> {
    fn of(survey: &'s Survey) -> Self {
        let made = survey.runs.iter().flatten().filter_map(|plan| match &plan.kind {
            Kind::Prepare { name, .. } => Some(name.as_bytes()),
            _ => None,
        });
        BySql { made: made.collect(), needed: survey.by_name.needs.iter().map(|(name, _)| name.as_bytes()).collect() }
    }
}

fn unknown_statement(name: &[u8]) -> Bytes {
    let text = match name {
        b"" => "unnamed prepared statement does not exist".to_owned(),
        name => format!("prepared statement \"{}\" does not exist", String::from_utf8_lossy(name)),
    };
    failure_frame(&Failure::error("26000", text))
}

impl Session {
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
            if beside == Beside::Proof || round.least.is_some() {
                composer.before(side);
                composer.sync_own();
            }
            // What is skipped is not answered at all.
            if let Some(failure) = survey.own_failure(0).filter(|_| !composer.flow.is_skipping()) {
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
                Beside::Proof | Beside::High => composer.behind(side, true, None),
                Beside::Behind { position, state } => composer.behind(side, position, state),
            }
            return;
        }
        if end == UnitEnd::Call {
            composer.out.extend_from_slice(unit);
            composer.flow.sent(Step::Call);
            return;
        }
        if beside == Beside::Proof || round.least.is_some() {
            composer.before(side);
        }
        // How much of what the unit does to names has been done.
        let mut here = 0;
        let mut runs = 0;
        let by_sql = BySql::of(survey);
        for (at, (header, body)) in frames(unit).enumerate() {
            match header.tag {
                // It is refused as it is.
                b'S' if at == survey.sound => {
                    composer.copy(b'S', body);
                    composer.flow.sent(Step::Sync(Owner::Client));
                }
                tag if at == survey.sound => {
                    composer.copy(tag, body);
                    composer.flow.sent(Step::Execute(Owner::Client));
                }
                tag if at > survey.sound && tag != b'S' => {}
                b'P' => {
                    let Some(Naming::Prepared(name, statement)) = survey.namings.all().get(here) else {
                        unreachable!("the survey saw the same messages")
                    };
                    let own = survey.namings.named_before(here, name);
                    match own.unwrap_or_else(|| self.statements.get(name)) {
                        Some(known) if !name.is_empty() => {
                            let taken = composer.parse_twice(known, statement);
                            round.names.push((taken, name.clone(), Gives::Name));
                        }
                        None if own.is_none() && self.made(name) => {
                            composer.parse_by_name(Owner::Client, name, statement)
                        }
                        _ => {
                            composer.parse(statement);
                            if statement.is_named {
                                round.names.push((statement.number, name.clone(), Gives::Name));
                            }
                        }
                    }
                    here += 1;
                }
                b'B' => {
                    let [portal, name, rest] = Bind::names(body).expect("the survey has read it");
                    let own = survey.namings.named_before(here, name);
                    let Some(statement) = own.unwrap_or_else(|| self.statements.get(name)).cloned() else {
                        match self.lacks(name, survey, &by_sql) {
                            Some(failure) => composer.fail(failure, round),
                            None => {
                                composer.copy(b'B', body);
                                composer.flow.sent(Step::Bind(Owner::Client));
                                // Whatever had its name: of what it is now, nobody knows.
                                self.statements.close_portal(portal);
                            }
                        }
                        continue;
                    };
                    if survey.reshaped.contains(&statement.number) || self.lacks_words(&statement, own, composer) {
                        composer.fail(failure_frame(&shape::reshaped()), round);
                        continue;
                    }
                    if own.is_none() || statement.is_named {
                        composer.inject(&statement);
                    }
                    if statement.is_named {
                        round.names.push((statement.number, unit.slice_ref(name), Gives::Nothing));
                        frontend::put_bind(&mut composer.out, portal, &server_name(statement.number), rest);
                    } else {
                        composer.copy(b'B', body);
                    }
                    composer.flow.sent(Step::Bind(Owner::Client));
                    self.statements.open_portal(portal, statement);
                }
                b'D' => self.compose_describe(body, (survey, &by_sql), here, composer, round),
                b'C' => {
                    self.compose_close(body, &by_sql, composer);
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
                    here += usize::from(
                        matches!(survey.namings.all().get(here), Some(Naming::Ran(run, _)) if *run == runs),
                    );
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

    /// Whether the connection lacks a statement that it would read in other words now than the client's Parse was read.
    fn lacks_words(&self, statement: &Prepared, own: Option<Option<&Arc<Prepared>>>, composer: &Composer<'_>) -> bool {
        let has = match statement.is_named {
            true => composer.has(statement.number) && !composer.carried.outdated.contains(&statement.number),
            false => composer.carried.unnamed == Some(statement.number),
        };
        own.is_none() && !has && !self.lexes_as_before(statement)
    }

    /// The error of a statement that the protocol does not know by this name. `None`: SQL's PREPARE made it, or may have.
    fn lacks(&self, name: &[u8], survey: &Survey, by_sql: &BySql<'_>) -> Option<Bytes> {
        if let Some((_, failure)) = survey.by_name.spoiled.iter().find(|(spoiled, _)| spoiled.as_bytes() == name) {
            return Some(failure.clone());
        }
        let may_be_made = self.made(name) || by_sql.made.contains(name) || self.may_be_prepared_unseen(name);
        (!may_be_made).then(|| unknown_statement(name))
    }

    /// Whether the connection may know statements by names that nobody else does.
    pub(super) fn may_hide_statements(&self) -> bool {
        use PinReason::{Lasting, Opaque, SqlPrepare};
        self.pins.iter().any(|reason| matches!(reason, SqlPrepare | Opaque | Lasting))
    }

    /// Whether the connection alone may know a statement by this name.
    pub(super) fn may_be_prepared_unseen(&self, name: &[u8]) -> bool {
        self.may_hide_statements()
            && !name.is_empty()
            && !name.starts_with(b"sc_")
            && self.statements.get(name).is_none()
    }

    fn compose_describe(
        &self,
        body: &[u8],
        (survey, by_sql): (&Survey, &BySql<'_>),
        here: usize,
        composer: &mut Composer<'_>,
        round: &mut Round,
    ) {
        let (subject, name) = frontend::subject(body).expect("the survey has read it");
        if subject == Subject::Portal {
            let plan = self.statements.portal(name).map(|statement| &statement.plan);
            // That it gives no rows is known without looking at it.
            let gives_rows =
                |plan: &&Arc<Plan>| !matches!(&plan.kind, Kind::Execute { name, .. } if self.gives_none(name));
            if let Some(failure) = plan.filter(gives_rows).and_then(|plan| survey.spoiled(plan)) {
                return composer.fail(failure, round);
            }
            composer.copy(b'D', body);
            composer.flow.sent(Step::Describe(Owner::Client));
            return;
        }
        let own = survey.namings.named_before(here, name);
        if let Some(statement) = own.unwrap_or_else(|| self.statements.get(name))
            && self.lacks_words(statement, own, composer)
        {
            return composer.fail(failure_frame(&shape::reshaped()), round);
        }
        let Some(statement) = own.unwrap_or_else(|| self.statements.get(name)) else {
            match self.lacks(name, survey, by_sql) {
                Some(failure) => composer.fail(failure, round),
                None => {
                    composer.copy(b'D', body);
                    composer.flow.sent(Step::Describe(Owner::Client));
                }
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

    fn compose_close(&self, body: &[u8], by_sql: &BySql<'_>, composer: &mut Composer<'_>) {
        // The unit itself may have made it.
        let may_be_there = |name: &str| {
            composer.carried.by_name.contains_key(name)
                || by_sql.needed.contains(name.as_bytes())
                || self.may_be_prepared_unseen(name.as_bytes())
        };
        match frontend::subject(body).expect("the survey has read it") {
            (Subject::Portal, _) => composer.copy(b'C', body),
            (Subject::Statement, name) if str::from_utf8(name).is_ok_and(may_be_there) => {
                return composer.close_by_name(Owner::Client, name);
            }
            // The name is the session's; what connections have prepared stays for others.
            (Subject::Statement, _) => {
                frontend::put_subject(&mut composer.out, b'C', Subject::Statement, b"sc_none");
            }
        }
        composer.flow.sent(Step::Close(Owner::Client, None));
    }
}
