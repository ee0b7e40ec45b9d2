//! What is sent for a unit: the client's messages with statements under the names that connections know them by,
//! and our own beside them. Decides nothing; does no I/O.

use super::Session;
use super::client::{UnitEnd, frames};
use super::composer::{Composer, server_name};
use super::exchange::Round;
use super::flow::{Owner, Step};
use super::shape;
use super::survey::{Naming, Survey, named};
use crate::route::plan::PinReason;
use crate::wire::backend::Failure;
use crate::wire::frontend::{self, Bind, Subject};
use bytes::Bytes;
use smallvec::SmallVec;

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

fn unknown_statement(name: &[u8]) -> Failure {
    if name.is_empty() {
        return Failure::error("26000", "unnamed prepared statement does not exist");
    }
    Failure::error("26000", format!("prepared statement \"{}\" does not exist", String::from_utf8_lossy(name)))
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
                    let [portal, name, rest] = Bind::names(body).expect("the survey has read it");
                    let own = named(&survey.namings[..here], name);
                    let Some(statement) = own.unwrap_or_else(|| self.statements.get(name)).cloned() else {
                        if self.may_be_sql(name) {
                            composer.copy(b'B', body);
                            composer.flow.sent(Step::Bind(Owner::Client));
                        } else {
                            composer.fail(unknown_statement(name), round);
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
                        round.names.push((statement.number, unit.slice_ref(name)));
                        frontend::put_bind(&mut composer.out, portal, &server_name(statement.number), rest);
                    } else {
                        composer.copy(b'B', body);
                    }
                    composer.flow.sent(Step::Bind(Owner::Client));
                    self.statements.open_portal(portal, statement);
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
