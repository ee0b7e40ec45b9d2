//! Statements that no server is asked: settings of our own (`sidecache.*`) and the names of prepared statements, which live
//! here. Where an error of ours must fail a transaction block of the server's, the server is made to fail it.

use super::Session;
use super::request::Request;
use crate::route::plan::{ExplainForm, Kind, Plan, SettingChange};
use crate::types::{Level, Lsn};
use crate::wire::backend::{
    BIND_COMPLETE, CLOSE_COMPLETE, Failure, PARSE_COMPLETE, put_column, put_complete, put_frame, put_value,
};
use bytes::BufMut;
use std::sync::Arc;

/// What our own settings' names begin with.
const PREFIX: &str = "sidecache.";
const CONSISTENCY: &str = "sidecache.consistency";
const MIN_POSITION: &str = "sidecache.min_position";
const POSITION: &str = "sidecache.position";

/// Rows of one column, if there are any, and the command tag.
type LocalAnswer = (Option<Column>, &'static str);

/// A column's name, its type's oid, and its values.
type Column = (&'static str, u32, Vec<String>);

/// PostgreSQL's oids of json and text.
const JSON: u32 = 114;
const TEXT: u32 = 25;

/// The consistency level of a session: set, reset, and taken back by a rollback as any setting is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    /// What RESET returns to.
    start: Level,
    session: Level,
    /// By SET LOCAL, until the transaction ends.
    local: Option<Level>,
    /// `session` as it was when the transaction began, if it changed since.
    before: Option<Level>,
    /// Of all that held in this transaction since something changed.
    strictest: Option<Level>,
}

fn stricter(one: Level, other: Level) -> Level {
    match (one, other) {
        (Level::Strong, _) | (_, Level::Strong) => Level::Strong,
        (Level::Session, _) | (_, Level::Session) => Level::Session,
        (Level::Bounded, Level::Bounded) => Level::Bounded,
    }
}

impl Levels {
    pub fn new(start: Level) -> Self {
        Levels { start, session: start, local: None, before: None, strictest: None }
    }

    pub fn now(&self) -> Level {
        self.local.unwrap_or(self.session)
    }

    fn set(&mut self, level: Level, local: bool, in_transaction: bool) {
        if in_transaction {
            self.strictest = Some(stricter(self.strictest.unwrap_or_else(|| self.now()), level));
        }
        if local {
            // Outside a transaction SET LOCAL has no effect.
            self.local = in_transaction.then_some(level);
            return;
        }
        if in_transaction {
            self.before.get_or_insert(self.session);
        }
        self.local = None;
        self.session = level;
    }

    /// The transaction in which levels were set has ended.
    pub fn ended(&mut self, committed: bool) {
        self.local = None;
        self.strictest = None;
        if let Some(before) = self.before.take()
            && !committed
        {
            self.session = before;
        }
    }

    /// Whether some were set in this transaction.
    pub fn changed_in_transaction(&self) -> bool {
        self.strictest.is_some()
    }

    /// It may have ended, and another begun: which of them hold is not known, and the strictest stays.
    pub fn ended_unseen(&mut self) {
        if let Some(strictest) = self.strictest {
            (self.session, self.local, self.before) = (strictest, None, None);
        }
    }

    /// Which of the levels that were set in this transaction hold again is not known: the strictest does.
    pub fn rolled_back_to_savepoint(&mut self) {
        self.local = self.strictest.or(self.local);
    }
}

/// What a SET of our own asks for.
enum Wanted {
    Level(Level),
    /// A position in an epoch, by that epoch's text.
    Position(String, Lsn),
}

/// # Errors
/// What PostgreSQL would say of such a name or value.
fn wanted(name: &str, values: &[String]) -> Result<Wanted, Failure> {
    let value = values.first().map_or("", String::as_str);
    let invalid = || Failure::error("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
    match name {
        CONSISTENCY => value.parse().map(Wanted::Level).map_err(|()| invalid()),
        MIN_POSITION => {
            let (epoch, position) = value.split_once(':').ok_or_else(invalid)?;
            Ok(Wanted::Position(epoch.to_owned(), position.parse().map_err(|_| invalid())?))
        }
        _ => Err(Failure::error("42704", format!("unrecognized configuration parameter \"{name}\""))),
    }
}

/// The error of a change of our own settings.
fn refused(change: &SettingChange) -> Option<Failure> {
    match change {
        SettingChange::Set { name, values, .. } if name.starts_with(PREFIX) => wanted(name, values).err(),
        _ => None,
    }
}

/// The error that a statement about our own settings ends with, wherever it is run.
pub(super) fn failure(plan: &Plan) -> Option<Failure> {
    match &plan.kind {
        Kind::Setting(change) => refused(change),
        Kind::Settings { changes, .. } => changes.iter().find_map(|(_, change)| refused(change)),
        // No server could answer it, and its answer is made of what is so when it is asked.
        Kind::Explain { .. } => {
            let text = "EXPLAIN (SIDECACHE) is answered only alone, as one query or one batch of one execution";
            Some(Failure::error("0A000", text))
        }
        _ => None,
    }
}

/// Takes our own settings out of those that a startup message gave; gives the level that the session starts with.
///
/// # Errors
/// An unknown name, or a value that is not one of its.
pub(super) fn start(parameters: &mut Vec<(String, String)>, default: Level) -> Result<Levels, Failure> {
    let mut level = default;
    for (name, value) in parameters.extract_if(.., |(name, _)| name.to_ascii_lowercase().starts_with(PREFIX)) {
        match wanted(&name.to_ascii_lowercase(), &[value]) {
            Ok(Wanted::Level(asked)) => level = asked,
            Ok(Wanted::Position(..)) => {
                let text = format!("parameter \"{name}\" cannot be set at the start of a session");
                return Err(Failure::fatal("55P02", text));
            }
            Err(failure) => return Err(Failure::fatal(failure.sqlstate, failure.message)),
        }
    }
    Ok(Levels::new(level))
}

impl Session {
    pub(super) fn level(&self) -> Level {
        self.levels.now()
    }

    /// Makes a change of settings that are ours; `false` if the server's are changed too, or alone.
    pub(super) fn set_own(&mut self, change: &SettingChange, in_transaction: bool) -> bool {
        match change {
            SettingChange::Set { name, values, local, .. } if name.starts_with(PREFIX) => {
                match wanted(name, values) {
                    Ok(Wanted::Level(level)) => self.levels.set(level, *local, in_transaction),
                    Ok(Wanted::Position(epoch, position)) if epoch == self.shared.coherence.epoch().to_string() => {
                        self.raise_floor(position);
                        // Who gave it may have read a replica.
                        self.seen.lead(self.shared.coherence.epoch(), position);
                    }
                    // A position of another incarnation, or one that this instance has not met yet: only the primary is sure.
                    Ok(Wanted::Position(..)) => self.seen.unknown = true,
                    Err(_) => return false,
                }
                true
            }
            SettingChange::Reset { name, local } if name == CONSISTENCY => {
                self.levels.set(self.levels.start, *local, in_transaction);
                true
            }
            SettingChange::ResetAll | SettingChange::DiscardAll => {
                self.levels.set(self.levels.start, false, in_transaction);
                false
            }
            _ => false,
        }
    }

    /// Answers a statement that no server is asked.
    pub(super) fn local(&mut self, request: &Request<'_>) -> bool {
        let (column, tag): LocalAnswer = match &request.plan.kind {
            // What only we know has its own parameters, and a server finds what is wrong with those of all else.
            kind if !request.is_bare() && !matches!(kind, Kind::Explain { .. }) => return false,
            Kind::Transaction(control) => match self.control_locally(control, &request.plan) {
                Some(tag) => (None, tag),
                None => return false,
            },
            _ if self.status == b'E' => return false,
            // The server warns of what has no effect outside a transaction, and fails for what is wrong.
            Kind::Setting(SettingChange::Set { local: true, .. }) if self.status == b'I' => return false,
            Kind::Setting(change) if failure(&request.plan).is_none() && self.set_own(change, self.status != b'I') => {
                (None, if matches!(change, SettingChange::Set { .. }) { "SET" } else { "RESET" })
            }
            Kind::Show(name) if name == POSITION => {
                let position = self.seen.floor().position.max(self.shared.coherence.position());
                let token = format!("{}:{position}", self.shared.coherence.epoch());
                (Some((POSITION, TEXT, vec![token])), "SHOW")
            }
            Kind::Show(name) if name == CONSISTENCY => {
                (Some((CONSISTENCY, TEXT, vec![self.level().label().to_owned()])), "SHOW")
            }
            Kind::Explain { form, text } => {
                let oid = if *form == ExplainForm::Json { JSON } else { TEXT };
                (Some(("QUERY PLAN", oid, self.explain(*form, text, request))), "EXPLAIN")
            }
            // It takes the unnamed portal's place on the server.
            Kind::Deallocate { .. } if self.has_open_portal() => return false,
            Kind::Deallocate { name: Some(name) }
                if self.made(name.as_bytes())
                    || self.statements.get(name.as_bytes()).is_some()
                    || request.parsed.as_ref().is_some_and(|(parsed, _)| *parsed == name.as_bytes()) =>
            {
                (None, "DEALLOCATE")
            }
            Kind::Deallocate { name: None } if !self.may_hide_statements() => (None, "DEALLOCATE ALL"),
            _ => return false,
        };
        self.put_local(request, column, tag);
        // Its own name among them.
        match &request.plan.kind {
            Kind::Deallocate { name: Some(name) } => {
                self.statements.close(name.as_bytes());
                self.by_name.remove(name.as_bytes());
            }
            Kind::Deallocate { name: None } => {
                self.statements.close_all();
                self.by_name.clear();
            }
            _ => {}
        }
        true
    }

    /// Writes the answer to a statement that no server was asked.
    pub(super) fn put_local(&mut self, request: &Request<'_>, column: Option<Column>, tag: &str) {
        if let Some((name, statement)) = &request.parsed {
            self.statements.insert(name, Arc::clone(statement));
        }
        let out = &mut self.client.output;
        if request.form.parse {
            out.put_slice(PARSE_COMPLETE);
        }
        if request.form.bind {
            out.put_slice(BIND_COMPLETE);
        }
        match column {
            Some((name, oid, values)) => {
                if request.form.describe {
                    put_column(out, name, oid);
                }
                values.iter().for_each(|value| put_value(out, value));
            }
            None if request.form.bind && request.form.describe => put_frame(out, b'n', b""),
            None => {}
        }
        put_complete(out, tag);
        if request.form.close {
            out.put_slice(CLOSE_COMPLETE);
        }
        self.ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_levels_follow_their_transaction() {
        let mut levels = Levels::new(Level::Session);
        levels.set(Level::Bounded, true, false);
        assert_eq!(levels.now(), Level::Session, "SET LOCAL outside a transaction");
        levels.set(Level::Bounded, false, true);
        levels.set(Level::Strong, true, true);
        assert_eq!(levels.now(), Level::Strong);
        levels.ended(true);
        assert_eq!(levels.now(), Level::Bounded);
        levels.set(Level::Strong, false, true);
        levels.ended(false);
        assert_eq!(levels.now(), Level::Bounded);
        levels.rolled_back_to_savepoint();
        assert_eq!(levels.now(), Level::Bounded, "nothing was set");
        levels.set(Level::Session, false, true);
        levels.set(Level::Bounded, false, true);
        levels.rolled_back_to_savepoint();
        assert_eq!(levels.now(), Level::Session, "the strictest that it can be");
        levels.ended(true);
        assert_eq!(levels.now(), Level::Bounded);
        levels.set(Level::Session, false, true);
        levels.set(Level::Bounded, false, true);
        levels.ended_unseen();
        levels.ended(false);
        assert_eq!(levels.now(), Level::Session, "whichever of them it has kept");
    }

    #[test]
    fn our_own_settings_in_a_startup_message() {
        let all = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut parameters: Vec<_> = all(&[("DateStyle", "ISO"), ("Sidecache.Consistency", "strong")]);
        assert_eq!(start(&mut parameters, Level::Session).unwrap().now(), Level::Strong);
        assert_eq!(parameters, all(&[("DateStyle", "ISO")]));
        for (name, value, sqlstate) in [
            ("sidecache.consistency", "weak", "22023"),
            ("sidecache.typo", "1", "42704"),
            ("sidecache.min_position", "ab:0/0", "55P02"),
        ] {
            let failure = start(&mut all(&[(name, value)]), Level::Session).unwrap_err();
            assert_eq!((failure.sqlstate, failure.severity), (sqlstate, crate::wire::backend::Severity::Fatal));
        }
    }
}
