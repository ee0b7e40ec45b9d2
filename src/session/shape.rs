//! Rows never have another shape than the client was told. PostgreSQL refuses to run a prepared statement whose result has changed since it
//! was parsed; here a connection may have parsed it later than the client was told, or must parse it now. A client that asks
//! for the description each time hears of it; one that does not would misread the rows, so the connection is asked first. Nor do a
//! statement's parameters ever have other types: a client binds by what it was told, be it years ago.

use super::client::UnitEnd;
use super::composer::{Ask, Composer};
use super::exchange::Held;
use super::portal::Prepared;
use super::round::Round;
use super::survey::Survey;
use super::{End, Session};
use crate::types::Moment;
use crate::upstream::Shape;
use crate::wire::backend::{Failure, sqlstate};
use crate::wire::frame::HEADER;
use bytes::Bytes;
use std::sync::Arc;

/// In PostgreSQL's words (plancache.c). asyncpg and pgjdbc know by the routine that they may prepare again.
pub(super) fn reshaped() -> Failure {
    let routine = Some("RevalidateCachedQuery");
    Failure { routine, ..Failure::error("0A000", "cached plan must not change result type") }
}

/// Of the types of parameters: never zero, but of none.
pub(super) fn hash_of(parameters: &[u8]) -> u64 {
    use std::hash::BuildHasher;
    if parameters.is_empty() { 0 } else { foldhash::quality::FixedState::default().hash_one(parameters).max(1) }
}

/// Whether the same may succeed a moment later, as a limit of time or a deadlock ended it.
fn is_of_the_moment(error: &[u8]) -> bool {
    matches!(sqlstate(error.get(HEADER..).unwrap_or_default()), b"55P03" | b"57014" | b"40P01")
}

impl Session {
    /// Whether the held connection is known to give what the client was told, or to refuse.
    pub(super) fn knows_shapes(&self, survey: &Survey) -> bool {
        // In a failed transaction nothing runs.
        survey.blind.iter().all(|statement| self.knows_shape(statement)) || self.status == b'E'
    }

    fn knows_shape(&self, statement: &Prepared) -> bool {
        let Some(held) = &self.held else { return true };
        let carried = &held.lease.carried;
        match statement.is_named {
            true => carried.shapes.get(&statement.number).is_some_and(|known| {
                let parameters = hash_of(&statement.told.parameters());
                Some(known.result) == statement.told.shape() && (parameters == 0 || parameters == known.parameters)
            }),
            false => carried.unnamed == Some(statement.number),
        }
    }

    /// Has the held connection parse and describe what it is not known to have parsed as the client was told, which may wait for locks.
    /// `false`: the client has cancelled it, or it failed the transaction that the connection is in, and the client was told.
    pub(super) async fn ask_shapes(&mut self, survey: &mut Survey, end: UnitEnd) -> Result<bool, End> {
        if self.held.is_none() {
            return Ok(true);
        }
        let is_within = self.is_mid_batch();
        let failed = self.as_the_client(async |session| session.compare_shapes(survey).await).await?;
        if is_within {
            return Ok(true);
        }
        let in_block = self.held.is_some() && self.status == b'T' && self.deferred.is_none();
        if self.registration.running.was_cancelled() {
            if !in_block {
                self.settle(b'I', None).await?;
            }
            return self.give_up("canceling statement due to user request", end).await.map(|()| false);
        }
        match failed {
            // Outside, its Bind will tell of it, unless it was of the moment.
            Some(error) if in_block || is_of_the_moment(&error) => {
                self.client.output.extend_from_slice(&error);
                self.failed(end);
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Gives the first error of those that could not be parsed.
    async fn compare_shapes(&mut self, survey: &mut Survey) -> Result<Option<Bytes>, End> {
        survey.reshaped.clear();
        let mut failed = None;
        for statement in &survey.blind {
            if self.knows_shape(statement) || !self.lexes_as_before(statement) {
                continue;
            }
            let mut statement = Arc::clone(statement);
            let mut shape = match self.ask_shape(&statement).await? {
                Ok(shape) => shape,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let told = statement.told.parameters();
            if !told.is_empty()
                && self.lexes_as_before(&statement)
                && shape.is_some_and(|shape| shape.parameters != hash_of(&told))
            {
                // Other types would be inferred now, of columns that have other types.
                let typed = self.typed(&statement, told);
                self.statements.replace(&statement, &typed);
                statement = typed;
                shape = match self.ask_shape(&statement).await? {
                    Ok(shape) => shape,
                    Err(error) => {
                        failed.get_or_insert(error);
                        continue;
                    }
                };
            }
            if shape.is_some_and(|shape| Some(shape.result) != statement.told.shape()) {
                survey.reshaped.push(statement.number);
            }
        }
        Ok(failed)
    }

    /// `None`: the connection is lost. The error: the ErrorResponse of what can no longer be parsed.
    async fn ask_shape(&mut self, statement: &Arc<Prepared>) -> Result<Result<Option<Shape>, Bytes>, End> {
        let limit = self.shared.config.max_prepared_statements;
        // An error in an open batch is the client's, which its Bind would have met.
        let end = if self.is_mid_batch() { Ask::Within } else { Ask::Apart };
        let Some(held) = &mut self.held else { return Ok(Ok(None)) };
        let mut round = Round { tick: Moment::now().micros(), ..Round::default() };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, round.tick);
        composer.limit = limit;
        composer.inspect(statement, end);
        let mut out = composer.out;
        if !self.pump_own(&mut out, &mut round).await? {
            return Ok(Ok(None));
        }
        if round.failed {
            // The client has been told, and all that is left of its batch is skipped.
            self.failed_in_batch();
        }
        if let Some(error) = round.own_error {
            return Ok(Err(*error));
        }
        let told = round.own_shapes.first().filter(|told| told.result != 0);
        let shape = told.map(|told| Shape { parameters: hash_of(&told.parameters), result: told.result });
        if let (Some(shape), Some(held)) = (shape, &mut self.held)
            && statement.is_named
        {
            held.lease.carried.shapes.insert(statement.number, shape);
        }
        Ok(Ok(shape))
    }
}
