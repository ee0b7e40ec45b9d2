//! Getting the connection that a unit needs: which server, with this session's settings on it, and late enough for what
//! the session has seen.

use super::catch_up::CatchUp;
use super::client::UnitEnd;
use super::compose::Side;
use super::composer::Composer;
use super::exchange::Held;
use super::flow::Probe;
use super::round::Round;
use super::settings::Setting;
use super::survey::Survey;
use super::way::Way;
use super::{End, Session};
use crate::route::destination::{Choice, Passed, Reason};
use crate::route::plan::{Kind, Plan, SettingChange};
use crate::types::Moment;
use crate::upstream::{Carried, Lease, LeaseError, Server};
use crate::wire::backend::{Failure, put_parameter, put_raised, put_ready};
use crate::wire::frame::HEADER;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::Receiver;

/// Leaves the search path what it is, whatever that be, and assigns it once more as the transaction ends (`AtEOXact_GUC` in guc.c), whereupon
/// the server looks anew at which of its schemas the role may use (`assign_search_path` in namespace.c). It takes no right.
const LOOK_AGAIN: &str = "BEGIN; SET LOCAL search_path = ''; COMMIT";

const ROLE: &str = "role";
const RESET_ROLE: &str = "RESET ROLE";

impl Session {
    /// Gets a connection for the unit, or keeps the one that is held. `tied`: why it goes to the primary, if it has to. `None`: the
    /// client was told why it gets none.
    pub(super) async fn hold(&mut self, tied: Option<Reason>, end: UnitEnd) -> Result<Option<Way>, End> {
        if let Some(held) = &mut self.held {
            let side = held.side;
            // Replicas are held for one unit at a time: what is held longer is the primary's, as long as it is that.
            let is_primary = Arc::ptr_eq(&held.lease.server, self.shared.upstream.primary());
            if side == Side::Primary && (held.lease.is_outlived() || !is_primary) {
                return Err(succeeded());
            }
            let is_mid_batch = held.batch_open;
            if !is_mid_batch && self.status != b'E' {
                held.lease.carried.rename(self.shared.catalog.named().0);
            }
            if !is_mid_batch && self.status == b'I' {
                held.lease.renew_path();
                if !self.carries_settings() {
                    Box::pin(self.put_settings()).await?;
                }
            }
            // Hits are served in a transaction too, and while a connection is pinned.
            if !is_mid_batch
                && self.status != b'E'
                && side == Side::Primary
                && self.is_ahead()
                && !Box::pin(self.catch_up(end)).await?
            {
                return Ok(None);
            }
            return Ok(Some(Way { side, reason: Reason::Held, passed: Passed::default() }));
        }
        if !self.shared.upstream.is_settled() {
            Box::pin(self.shared.upstream.settled()).await;
        }
        let Choice { mut server, reason, passed } = match tied {
            Some(reason) => self.primary(reason),
            None => self.choose(),
        };
        if let Reason::NoneFit(passed_over) = reason {
            self.shared.telemetry.passed_over(passed_over.label());
        }
        let mut catching: Option<CatchUp> = None;
        let mut is_elsewhere = false;
        let side = loop {
            let mut lease = match self.idle(&server) {
                Some(lease) => {
                    self.shared.telemetry.pool_wait(Duration::ZERO);
                    lease
                }
                None => {
                    let mut waiting = None;
                    let cancelled = match &mut catching {
                        Some(catching) => &mut catching.cancelled,
                        None => waiting.insert(self.registration.running.wait()),
                    };
                    match Box::pin(self.wait_for_lease(&server, cancelled, end)).await? {
                        Some(lease) => lease,
                        None => return Ok(None),
                    }
                }
            };
            // Before anyone asks what the connection has prepared.
            lease.carried.rename(self.shared.catalog.named().0);
            let side = self.side(&lease.server);
            is_elsewhere |= tied.is_none() && !Arc::ptr_eq(&lease.server, &server);
            self.held = Some(Held::new(lease, side, std::mem::take(&mut self.spare), self.registration.process));
            if !self.carries_settings() && !Box::pin(self.take_over()).await? {
                if side == Side::Replica {
                    // It may be lost, and others of its connections with it.
                    is_elsewhere = true;
                    server = Arc::clone(self.shared.upstream.primary());
                }
                continue;
            }
            if side == Side::Replica || !self.is_ahead() {
                break side;
            }
            let catching = catching.get_or_insert_with(|| CatchUp::begin(&self.registration.running));
            if Box::pin(self.has_caught_up(catching)).await? {
                break side;
            }
            // Others may have the connection meanwhile: what is waited for may take long.
            self.give_back();
            server = Arc::clone(self.shared.upstream.primary());
            if !Box::pin(self.rest(catching, end)).await? {
                return Ok(None);
            }
        };
        let reason = if is_elsewhere { Reason::NoConnection } else { reason };
        Ok(Some(Way { side, reason, passed }))
    }

    /// A connection that is idle there. The pool is looked for by name once, as long as the session stays with one server.
    fn idle(&mut self, server: &Arc<Server>) -> Option<Lease> {
        if !self.door.as_ref().is_some_and(|door| door.leads_to(server)) {
            self.door = server.door(&self.account, &self.database);
        }
        self.door.as_ref()?.try_lease()
    }

    /// No connection is idle: waits for one, or for a new one, unless the client cancels. `None`: the client was told why there is none.
    async fn wait_for_lease(
        &mut self,
        server: &Arc<Server>,
        cancelled: &mut Receiver<()>,
        end: UnitEnd,
    ) -> Result<Option<Lease>, End> {
        let upstream = &self.shared.upstream;
        let leased = async {
            let mut to = Arc::clone(server);
            loop {
                let was_primary = Arc::ptr_eq(&to, upstream.primary());
                let leased = self.lease(&to).await;
                let primary = Arc::clone(upstream.primary());
                match leased {
                    // Another has succeeded it in the meantime.
                    _ if was_primary && !Arc::ptr_eq(&to, &primary) => to = primary,
                    // Whatever keeps a replica from serving, the primary can.
                    Err(_) if !Arc::ptr_eq(&to, &primary) => to = primary,
                    leased => return leased,
                }
            }
        };
        let leased = tokio::select! {
            biased;
            leased = leased => leased,
            Ok(()) = cancelled => {
                let failure = Failure::error("57014", "canceling statement due to user request");
                return self.fail(failure, end).map(|()| None);
            }
        };
        match leased {
            Ok(lease) => Ok(Some(lease)),
            Err(LeaseError::Saturated(waited)) => {
                let text = format!("no server connection became free within {waited:?}: the pool is saturated");
                self.fail(Failure::error("53300", text), end).map(|()| None)
            }
            Err(error @ (LeaseError::Unreachable { .. } | LeaseError::Unlike { .. })) => {
                Err(Failure::fatal("08006", error.to_string()).into())
            }
            Err(LeaseError::Refused { frame, .. }) => {
                self.client.output.extend_from_slice(&frame);
                self.client.flush().await?;
                Err(End::Closed)
            }
        }
    }

    /// Gives the held connection to others, if it is clean.
    fn give_back(&mut self) {
        if let Some(held) = self.held.take().filter(Held::is_clean) {
            self.spare = held.flow.emptied();
            held.lease.release();
        }
    }

    pub(super) fn is_ahead(&self) -> bool {
        self.seen.ahead(self.shared.coherence.epoch()).is_some()
    }

    /// Whether the held connection is one to the primary whose changes are heard.
    pub(super) fn is_of_this_history(&self) -> bool {
        self.held.as_ref().is_some_and(|held| {
            !held.lease.is_outlived() && Arc::ptr_eq(&held.lease.server, self.shared.upstream.primary())
        })
    }

    pub(super) fn side(&self, server: &Arc<Server>) -> Side {
        if Arc::ptr_eq(server, self.shared.upstream.primary()) { Side::Primary } else { Side::Replica }
    }

    async fn lease(&self, server: &Arc<Server>) -> Result<Lease, LeaseError> {
        let asked = Moment::now();
        let leased = server.lease(&self.account, &self.database).await;
        self.shared.telemetry.pool_wait(Moment::now().since(asked));
        leased
    }

    fn carries_settings(&self) -> bool {
        let carries = |carried: &Carried| !carried.is_path_old && carries(&carried.settings, self.settings.current());
        self.held.as_ref().is_none_or(|held| carries(&held.lease.carried))
    }

    /// Puts this session's settings on a connection that another has left. `false`: what that one had set cannot be taken back by this one
    /// (it had another role), or it is a replica's, which is lost or does not have yet what a setting stands on; it is closed.
    pub(super) async fn take_over(&mut self) -> Result<bool, End> {
        let decides = |held: &Held| held.side == Side::Primary && held.lease.carried.settings.is_empty();
        let decides = self.held.as_ref().is_none_or(decides);
        match self.try_settings().await? {
            None => Ok(self.held.is_some()),
            Some(error) if decides => self.refused(&error).await.map(|()| true),
            Some(_) => {
                self.held = None;
                Ok(false)
            }
        }
    }

    /// Puts this session's settings on the held connection, where they differ from what it carries.
    pub(super) async fn put_settings(&mut self) -> Result<(), End> {
        let was_held = self.held.is_some();
        match self.try_settings().await? {
            // A replica's that a session keeps, and with it what keeps the session there.
            None if was_held && self.held.is_none() => {
                Err(Failure::fatal("08006", "the connection to the server was lost").into())
            }
            None => Ok(()),
            Some(error) => self.refused(&error).await,
        }
    }

    /// Direct, the setting would have been refused when it was made; here what it stands on may have gone since.
    async fn refused(&mut self, error: &[u8]) -> Result<(), End> {
        self.held = None;
        put_raised(&mut self.client.output, error.get(HEADER..).unwrap_or_default());
        self.client.flush().await?;
        Err(End::Closed)
    }

    /// Gives the ErrorResponse if a setting is refused.
    async fn try_settings(&mut self) -> Result<Option<Bytes>, End> {
        let Some(held) = &self.held else { return Ok(None) };
        let statements = differences(&held.lease.carried, self.settings.current());
        if statements.is_empty() {
            return Ok(None);
        }
        let Some(error) = self.run_settings(&statements).await? else { return Ok(None) };
        match in_their_roles(&statements, self.settings.current()) {
            Some(statements) => self.run_settings(&statements).await,
            None => Ok(Some(error)),
        }
    }

    async fn run_settings(&mut self, statements: &[String]) -> Result<Option<Bytes>, End> {
        let Some(held) = &mut self.held else { return Ok(None) };
        let mut round = Round { mute_parameters: true, ..Round::default() };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, 0);
        for statement in statements {
            composer.query_own(statement, Probe::Effect);
        }
        let mut out = composer.out;
        if !self.pump_own(&mut out, &mut round).await? {
            return Ok(None);
        }
        if round.own_error.is_some() {
            return Ok(round.own_error.map(|error| *error));
        }
        let Some(held) = &mut self.held else { return Ok(None) };
        held.lease.carried.is_path_old = false;
        let wanted = self.settings.current().iter();
        held.lease.carried.settings =
            wanted.map(|(name, setting)| (name.clone(), Arc::clone(&setting.replay))).collect();
        tracing::trace!(changed = statements.len(), "settings put on a connection");
        Ok(None)
    }

    /// What the connection has reported, if the unit resets settings that the client's startup message gave: the server
    /// resets them to what it knows, and the client is to hear only of what is so in the end.
    pub(super) fn reported_before_reset(&self, survey: &Survey, end: UnitEnd) -> Option<BTreeMap<String, String>> {
        let is_reset = |change: &SettingChange| match change {
            SettingChange::Reset { name, .. } => self.settings.starts_with(|start| start == name),
            SettingChange::ResetAll | SettingChange::DiscardAll => self.settings.starts_with(|_| true),
            SettingChange::Set { .. } => false,
        };
        let resets = |plan: &Arc<Plan>| match &plan.kind {
            Kind::Setting(change) => is_reset(change),
            Kind::Settings { changes, .. } => changes.iter().any(|(_, change)| is_reset(change)),
            _ => false,
        };
        let ends = matches!(end, UnitEnd::Query | UnitEnd::Sync);
        let held = self.held.as_ref().filter(|_| ends && survey.runs.iter().flatten().any(resets))?;
        Some(held.lease.parameters.clone())
    }

    /// After a RESET: puts the settings of the startup message back, and tells the client what differs from before.
    pub(super) async fn restart_settings(&mut self, reported: &BTreeMap<String, String>) -> Result<(), End> {
        let mut ready = BytesMut::new();
        put_ready(&mut ready, self.status);
        let said = self.client.output.len().checked_sub(ready.len());
        if let Some(said) = said.filter(|said| self.client.output[*said..] == ready) {
            self.client.output.truncate(said);
        } else {
            ready.clear();
        }
        if self.status != b'E' {
            self.put_settings().await?;
        }
        for (name, value) in self.held.iter().flat_map(|held| &held.lease.parameters) {
            if reported.get(name) != Some(value) {
                put_parameter(&mut self.client.output, name, value);
            }
        }
        self.client.output.unsplit(ready);
        Ok(())
    }

    /// Asks the held connection one question of our own; gives the body of the row that answers it.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Option<Bytes>, End> {
        let Some(held) = &mut self.held else { return Ok(None) };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, 0);
        composer.query_own(sql, Probe::Row);
        let mut out = composer.out;
        let mut round = Round::default();
        Ok(if self.pump_own(&mut out, &mut round).await? { round.row.map(|row| *row) } else { None })
    }
}

/// What a session is told that holds a connection to a server which is the primary no longer: nothing that it did there counts.
pub(super) fn succeeded() -> End {
    Failure::fatal("57P01", "terminating connection because another server has become the primary").into()
}

/// Whether a connection carries just what is wanted.
fn carries(carried: &BTreeMap<String, Arc<str>>, wanted: &BTreeMap<String, Setting>) -> bool {
    carried.len() == wanted.len() && carried.iter().zip(wanted).all(|(c, w)| c.0 == w.0 && *c.1 == w.1.replay)
}

/// The statements that make a connection carry what is wanted. Another role may not be permitted to set what the user set:
/// the role goes first and comes back last. So does the encoding, where a statement has to be read as the UTF-8 that it is.
fn differences(carried: &Carried, wanted: &BTreeMap<String, Setting>) -> Vec<String> {
    let mut statements = changes(&carried.settings, wanted);
    if carried.is_path_old {
        // Under whatever role it has, which it might not be given again, and to whatever it is: a function may have set it unseen.
        statements.push(LOOK_AGAIN.to_owned());
    }
    if statements.iter().any(|statement| !statement.is_ascii()) {
        let last = wanted.get("client_encoding").map_or("RESET \"client_encoding\"", |own| &own.replay).to_owned();
        statements.retain(|statement| *statement != last);
        statements.insert(0, "SET client_encoding = 'UTF8'".to_owned());
        statements.push(last);
    }
    statements
}

/// The same, each setting in the role in which it was made, which may have had rights that the user has not. `None`: there was none.
fn in_their_roles(statements: &[String], wanted: &BTreeMap<String, Setting>) -> Option<Vec<String>> {
    let role = |statement: &String| {
        wanted.values().find(|setting| *setting.replay == **statement).and_then(|setting| setting.role.as_ref())
    };
    let each = |statement: &String| match role(statement) {
        Some(role) => vec![role.to_string(), statement.clone(), RESET_ROLE.to_owned()],
        None => vec![statement.clone()],
    };
    statements.iter().any(|statement| role(statement).is_some()).then(|| statements.iter().flat_map(each).collect())
}

fn changes(carried: &BTreeMap<String, Arc<str>>, wanted: &BTreeMap<String, Setting>) -> Vec<String> {
    let mut statements = Vec::new();
    for name in carried.keys().filter(|name| !wanted.contains_key(*name) && *name != ROLE) {
        statements.push(format!("RESET \"{}\"", name.replace('"', "\"\"")));
    }
    for (name, setting) in wanted.iter().filter(|(name, _)| *name != ROLE) {
        if carried.get(name) != Some(&setting.replay) {
            statements.push(setting.replay.to_string());
        }
    }
    let (had, wants) = (carried.get(ROLE), wanted.get(ROLE).map(|role| &role.replay));
    if had.is_some() && (had != wants || !statements.is_empty()) {
        statements.insert(0, RESET_ROLE.to_owned());
    }
    if let Some(role) = wants
        && (had != wants || !statements.is_empty())
    {
        statements.push(role.to_string());
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r19_the_role_goes_first_and_comes_back_last() {
        let settings = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, r)| ((*n).to_owned(), (*r).into())).collect();
        let carried = |pairs: &[(&str, &str)]| Carried { settings: settings(pairs), ..Carried::default() };
        let wanted = |pairs: &[(&str, &str)]| -> BTreeMap<String, Setting> {
            let setting = |replay: &str| Setting { replay: replay.into(), values: Vec::new(), role: None };
            pairs.iter().map(|(n, r)| ((*n).to_owned(), setting(r))).collect()
        };
        let role = ("role", "SET ROLE bob");
        let zone = ("timezone", "SET timezone = x");
        assert_eq!(differences(&carried(&[role, zone]), &wanted(&[role, zone])), [""; 0]);
        assert!(carries(&settings(&[role, zone]), &wanted(&[role, zone])));
        assert!(!carries(&settings(&[role]), &wanted(&[role, zone])) && !carries(&settings(&[role]), &wanted(&[zone])));
        assert!(!carries(&settings(&[zone]), &wanted(&[("timezone", "SET timezone = y")])));
        assert_eq!(differences(&carried(&[role]), &wanted(&[])), ["RESET ROLE"]);
        assert_eq!(differences(&carried(&[]), &wanted(&[role, zone])), [zone.1, role.1]);
        assert_eq!(
            differences(&carried(&[role, zone]), &wanted(&[role])),
            ["RESET ROLE", "RESET \"timezone\"", role.1]
        );
        let (name, latin) =
            (("app.name", "SET app.name = '\u{e9}'"), ("client_encoding", "SET client_encoding = latin1"));
        let utf8 = "SET client_encoding = 'UTF8'";
        assert_eq!(differences(&carried(&[latin]), &wanted(&[name, latin])), [utf8, name.1, latin.1]);
        assert_eq!(differences(&carried(&[]), &wanted(&[name, latin])), [utf8, name.1, latin.1]);
        let reset = "RESET \"client_encoding\"";
        assert_eq!(differences(&carried(&[latin]), &wanted(&[name, role])), [utf8, name.1, role.1, reset]);
        let (path, mut old) = (("search_path", "SET search_path = '\u{e9}'"), carried(&[role, latin]));
        old.is_path_old = true;
        assert_eq!(differences(&old, &wanted(&[role, latin])), [LOOK_AGAIN], "the role may not be given again");
        let all = [utf8, "RESET ROLE", path.1, role.1, LOOK_AGAIN, latin.1];
        assert_eq!(differences(&old, &wanted(&[role, latin, path])), all);
    }
}
