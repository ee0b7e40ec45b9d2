//! Statements that SQL's PREPARE made: a session keeps their texts by name, and a connection is given by difference what it lacks, as
//! settings are. SQL and the protocol share one space of names, so that EXECUTE also finds what a Parse made.

use super::client::UnitEnd;
use super::composer::Composer;
use super::exchange::Held;
use super::flow::{Owner, Probe};
use super::portal::Prepared;
use super::round::Round;
use super::settings::Settings;
use super::shape::reshaped;
use super::survey::{Need, Survey, names_last_of_sequence};
use super::{End, Session};
use crate::route::plan::{Effect, Kind, PinReason, Plan, SettingChange};
use crate::upstream::Made;
use crate::wire::backend::{failure_frame, shape};
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Statements of one session, and bytes of their texts: who makes more keeps its connection.
const COUNT_LIMIT: usize = 100;
const BYTES_LIMIT: usize = 64 * 1024;

/// What one session has made.
#[derive(Debug, Default)]
pub(super) struct ByName {
    made: BTreeMap<String, Made>,
    bytes: usize,
    /// Those that could not be made again: not tried anew before they are asked for.
    lost: Vec<String>,
}

impl ByName {
    fn get(&self, name: &[u8]) -> Option<&Made> {
        if self.made.is_empty() { None } else { self.made.get(str::from_utf8(name).ok()?) }
    }

    /// `false`: there is no room.
    fn insert(&mut self, name: &str, made: &Made) -> bool {
        if self.made.len() >= COUNT_LIMIT || self.bytes + made.text.len() > BYTES_LIMIT {
            return false;
        }
        self.bytes += made.text.len();
        self.made.insert(name.to_owned(), made.clone());
        true
    }

    pub fn remove(&mut self, name: &[u8]) {
        let Ok(name) = str::from_utf8(name) else { return };
        if let Some(made) = self.made.remove(name) {
            self.bytes -= made.text.len();
            self.lost.retain(|lost| lost != name);
        }
    }

    pub fn clear(&mut self) {
        *self = ByName::default();
    }

    /// Whether a statement's shape is not known yet.
    pub fn is_to_be_learned(&self) -> bool {
        self.made.values().any(|made| made.shape.is_none())
    }

    /// What a connection should have.
    fn wanted(&self) -> impl Iterator<Item = (&String, &Made)> {
        self.made.iter().filter(|(name, _)| !self.lost.contains(name))
    }
}

/// What executing a statement amounts to that SQL knows by its name.
struct Runs {
    /// It does no more than read or write rows.
    rows: bool,
    /// What pins who executes it.
    pin: Option<PinReason>,
    asks_sequence: bool,
}

/// What a name stands for in a session.
enum Means {
    Made(Made),
    Parsed(Arc<Prepared>),
}

impl Session {
    /// Whether SQL's PREPARE made a statement of this name.
    pub(super) fn made(&self, name: &[u8]) -> bool {
        self.by_name.get(name).is_some()
    }

    /// Whether a statement that SQL's PREPARE made has no result.
    pub(super) fn gives_none(&self, name: &str) -> bool {
        self.by_name.get(name.as_bytes()).is_some_and(|made| made.shape == Some(shape(b"")))
    }

    /// Notes what an execution needs or makes by name; gives its plan, with what the statement may do that it runs.
    pub(super) fn plan_by_name(&mut self, plan: Arc<Plan>, text: &[u8], survey: &mut Survey) -> Arc<Plan> {
        match &plan.kind {
            Kind::Prepare { name, .. } => {
                if let Ok(text) = str::from_utf8(text) {
                    survey.by_name.makes.push((survey.runs.len(), text.into()));
                }
                survey.by_name.needs.push((name.clone(), Need::Any));
            }
            Kind::Deallocate { name: Some(name) } => {
                let is_parsed = survey.named(name.as_bytes()).flatten().is_some();
                survey.by_name.needs.push((name.clone(), if is_parsed { Need::Parsed } else { Need::Any }));
            }
            Kind::Execute { name, effect } => {
                survey.by_name.needs.push((name.clone(), Need::Itself));
                let runs = self.runs_by_name(name, survey);
                if runs.asks_sequence {
                    survey.by_name.asks.push(survey.runs.len());
                }
                let may_change_catalog = *effect == Effect::Anything || !runs.rows;
                let pin = plan.pin.or(runs.pin);
                return Arc::new(Plan { may_change_catalog, pin, ..Plan::clone(&plan) });
            }
            _ => {}
        }
        plan
    }

    /// What executing a statement by its name amounts to.
    fn runs_by_name(&mut self, name: &str, survey: &Survey) -> Runs {
        // What the unit itself makes, as far as it is read: an earlier one of this name is gone by then.
        let own = survey.by_name.makes.iter().rev().map(|(_, text)| Arc::clone(text));
        let earlier = self.by_name.made.get(name).map(|made| Arc::clone(&made.text));
        for text in own.chain(earlier).collect::<SmallVec<[_; 2]>>() {
            if let Kind::Prepare { name: made, effect, pin } = &self.plan(text.as_bytes()).kind
                && made == name
            {
                let (rows, asks_sequence) = (*effect == Effect::Rows, names_last_of_sequence(&text));
                return Runs { rows, pin: *pin, asks_sequence };
            }
        }
        if let Some(parsed) = self.statements.get(name.as_bytes()).cloned() {
            let plan = self.plan_of(&parsed);
            let is_rows = matches!(plan.kind, Kind::Read | Kind::Write);
            let pin = plan.pin.or((!is_rows).then_some(PinReason::Opaque));
            let rows = is_rows && plan.pin.is_none() && !plan.may_change_catalog;
            return Runs { rows, pin, asks_sequence: names_last_of_sequence(&plan.identity) };
        }
        // One that was made without being kept in mind.
        let is_hidden = self.made(name.as_bytes()) || self.pins.contains(&PinReason::SqlPrepare);
        Runs { rows: false, pin: is_hidden.then_some(PinReason::Opaque), asks_sequence: false }
    }

    /// What running a statement of SQL's by the protocol amounts to; `None` if there is none of this name.
    pub(super) fn made_plan(&mut self, name: &[u8], survey: &Survey) -> Option<Arc<Plan>> {
        let text = str::from_utf8(name).ok()?;
        let mut own = survey.by_name.makes.iter().map(|(_, text)| Arc::clone(text)).collect::<SmallVec<[_; 2]>>();
        own.retain(|making| matches!(&self.plan(making.as_bytes()).kind, Kind::Prepare { name, .. } if name == text));
        let making = own.pop().or_else(|| self.by_name.get(name).map(|made| Arc::clone(&made.text)))?;
        let Runs { rows, pin, .. } = self.runs_by_name(text, survey);
        let kind = if rows { Kind::Write } else { Kind::Unproven };
        let making = self.plan(making.as_bytes());
        Some(Arc::new(Plan { kind, pin, may_change_catalog: !rows, ..Plan::clone(&making) }))
    }

    /// A message of the protocol names a statement, which SQL may have made.
    pub(super) fn need(&self, name: &[u8], need: Need, survey: &mut Survey) {
        if self.made(name)
            && let Ok(name) = str::from_utf8(name)
        {
            survey.by_name.needs.push((name.to_owned(), need));
        }
    }

    /// Whether the held connection has the session's names as far as the unit needs them.
    pub(super) fn carries_by_name(&self, survey: &Survey) -> bool {
        let Some(held) = &self.held else { return true };
        let carried = &held.lease.carried.by_name;
        if (carried.is_empty() && self.by_name.made.is_empty() && survey.by_name.needs.is_empty()) || self.cannot_put()
        {
            return true;
        }
        let needs = |(name, need): &(String, Need)| {
            (*need != Need::Parsed && self.means(name).is_none()) || carried.contains_key(name)
        };
        carried.iter().eq(self.by_name.wanted()) && survey.by_name.needs.iter().all(needs)
    }

    /// What goes on in an open batch cannot be interrupted, and in a failed transaction nothing runs.
    fn cannot_put(&self) -> bool {
        self.is_mid_batch() || (self.status == b'E' && self.deferred.is_none())
    }

    fn means(&self, name: &str) -> Option<Means> {
        match self.by_name.made.get(name) {
            Some(made) => Some(Means::Made(made.clone())),
            None => self.statements.get(name.as_bytes()).filter(|_| !name.is_empty()).cloned().map(Means::Parsed),
        }
    }

    /// Gives the held connection the session's names, unless the client cancels meanwhile: what is made may wait for locks. `false`: it
    /// did, and was told.
    pub(super) async fn put_by_name(&mut self, survey: &mut Survey, end: UnitEnd) -> Result<bool, End> {
        if self.held.is_none() {
            return Ok(true);
        }
        self.as_the_client(async |session| session.put_names(survey).await).await?;
        if !self.registration.running.was_cancelled() {
            return Ok(true);
        }
        if self.status == b'I' || self.deferred.is_some() {
            self.settle(b'I', None).await?;
        }
        self.give_up("canceling statement due to user request", end).await.map(|()| false)
    }

    /// Gives the held connection the session's names, and takes away others'.
    async fn put_names(&mut self, survey: &mut Survey) -> Result<(), End> {
        survey.by_name.spoiled.clear();
        let Some(held) = &mut self.held else { return Ok(()) };
        let carried = held.lease.carried.by_name.clone();
        let is_outside = self.status == b'I' || self.deferred.is_some();
        let wanted: BTreeMap<&String, &Made> = self.by_name.wanted().collect();
        let stale = carried.iter().filter(|(name, made)| wanted.get(name) != Some(made)).map(|(name, _)| name);
        let stale: Vec<String> = stale.cloned().collect();
        // In a transaction one that cannot be made would end it, whether it is asked for or not.
        let lacking = wanted.iter().filter(|(name, made)| is_outside && carried.get(**name) != Some(**made));
        let lacking: Vec<(String, Made)> = lacking.map(|(name, made)| ((*name).clone(), (*made).clone())).collect();
        if !self.make_all(&stale, &lacking).await? {
            if self.registration.running.was_cancelled() {
                // Which of them were made is not known.
                let names: Vec<String> = lacking.into_iter().map(|(name, _)| name).collect();
                return self.make_all(&names, &[]).await.map(drop);
            }
            for (name, made) in lacking {
                if self.make(&name, &Means::Made(made)).await?.is_err() {
                    self.by_name.lost.push(name);
                }
            }
        }
        for (name, need) in survey.by_name.needs.clone() {
            if self.registration.running.was_cancelled() {
                return Ok(());
            }
            if self.held.as_ref().is_some_and(|held| held.lease.carried.by_name.contains_key(&name)) {
                continue;
            }
            match (need, self.means(&name)) {
                (Need::Itself, Some(means)) => match self.make(&name, &means).await? {
                    Ok(()) => self.by_name.lost.retain(|lost| *lost != name),
                    Err(failure) => survey.by_name.spoiled.push((name, failure)),
                },
                (Need::Itself | Need::Any, None) => {}
                (Need::Any | Need::Parsed, _) => {
                    let text = format!("PREPARE \"{}\" AS SELECT", name.replace('"', "\"\""));
                    let made = Made { text: text.into(), read_by: self.names.words(), shape: None };
                    // Whether it fails is seen by the statement that needs it.
                    let _ = self.make(&name, &Means::Made(made)).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes away and makes all in one round; `false` if one could not be made as it was.
    async fn make_all(&mut self, stale: &[String], lacking: &[(String, Made)]) -> Result<bool, End> {
        let Some(held) = &mut self.held else { return Ok(true) };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, 0);
        for name in stale {
            composer.close_by_name(Owner::Own(Probe::Effect), name.as_bytes());
        }
        if !stale.is_empty() {
            composer.sync_own();
        }
        for (name, made) in lacking {
            composer.query_own(&made.text, Probe::Effect);
            composer.inspect_by_name(name);
            composer.sync_own();
        }
        let mut out = composer.out;
        let mut round = Round::default();
        if let Err(broken) = held.pump(&mut out, &mut self.client, &mut round).await {
            return Err(self.lost(broken).await);
        }
        let by_name = &mut held.lease.carried.by_name;
        stale.iter().for_each(|name| drop(by_name.remove(name)));
        let shapes = lacking.iter().map(|(_, made)| made.shape);
        if round.own_error.is_some() || !shapes.eq(round.own_shapes.iter().map(|told| Some(told.result))) {
            return Ok(false);
        }
        by_name.extend(lacking.iter().cloned());
        Ok(true)
    }

    /// Makes one, in the place of what has its name. The error: the ErrorResponse that PostgreSQL would run it into.
    async fn make(&mut self, name: &str, means: &Means) -> Result<Result<(), Bytes>, End> {
        let read_by = self.names.words();
        let Some(held) = &mut self.held else { return Ok(Ok(())) };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, 0);
        composer.close_by_name(Owner::Own(Probe::Effect), name.as_bytes());
        composer.sync_own();
        let made = match means {
            Means::Made(made) => {
                composer.query_own(&made.text, Probe::Effect);
                made.clone()
            }
            Means::Parsed(statement) => {
                composer.parse_by_name(Owner::Own(Probe::Effect), name.as_bytes(), statement);
                let text = String::from_utf8_lossy(&statement.sql).into();
                Made { text, read_by, shape: statement.told.shape() }
            }
        };
        composer.inspect_by_name(name);
        composer.sync_own();
        let mut out = composer.out;
        let mut round = Round::default();
        if let Err(broken) = held.pump(&mut out, &mut self.client, &mut round).await {
            return Err(self.lost(broken).await);
        }
        held.lease.carried.by_name.remove(name);
        let told = round.own_shapes.first().map(|told| told.result);
        let failure = match round.own_error {
            Some(error) => *error,
            None if made.shape.is_some() && told != made.shape => {
                self.make_all(&[name.to_owned()], &[]).await?;
                failure_frame(&reshaped())
            }
            None => {
                held.lease.carried.by_name.insert(name.to_owned(), Made { shape: told, ..made });
                return Ok(Ok(()));
            }
        };
        Ok(Err(failure))
    }

    /// One execution of a PREPARE, which no rollback takes back.
    pub(super) fn ran_prepare(&mut self, plan: &Plan, survey: &Survey, at: usize, round: &Round) {
        let Kind::Prepare { name, .. } = &plan.kind else { return };
        if round.done.get(at).is_none() {
            return;
        }
        let makes = &survey.by_name.makes;
        let text = makes.binary_search_by_key(&at, |(run, _)| *run).ok().map(|place| &makes[place].1);
        let made = text.map(|text| Made { text: Arc::clone(text), read_by: self.names.words(), shape: None });
        let Some(made) = made.filter(|made| self.by_name.insert(name, made)) else {
            return self.pin(PinReason::SqlPrepare);
        };
        if let Some(held) = &mut self.held {
            held.lease.carried.by_name.insert(name.clone(), made);
        }
        if self.settings.changed_in_transaction() {
            // They may be others when the statement is to be made again.
            self.pin(PinReason::SqlPrepare);
        }
    }

    /// A statement of this name is no more, here nor on the connection.
    pub(super) fn closed_by_name(&mut self, name: &[u8]) {
        self.by_name.remove(name);
        if let (Some(held), Ok(name)) = (&mut self.held, str::from_utf8(name)) {
            held.lease.carried.by_name.remove(name);
        }
    }

    /// A setting changes by which the texts of what was made may be read otherwise: what the connection has made of them stays.
    pub(super) fn reread(&mut self, change: &SettingChange) {
        let decides = match change {
            SettingChange::Set { name, local, .. } | SettingChange::Reset { name, local } => {
                !local && Settings::decides_texts(name)
            }
            SettingChange::ResetAll => self.settings.current().keys().any(|name| Settings::decides_texts(name)),
            SettingChange::DiscardAll => false,
        };
        if decides && !self.by_name.made.is_empty() {
            self.pin(PinReason::SqlPrepare);
        }
    }

    /// Learns the shapes of what was made just now. Where that cannot be, it is not made again elsewhere.
    pub(super) async fn learn_by_name(&mut self) -> Result<(), End> {
        let unknown = self.by_name.made.iter().filter(|(_, made)| made.shape.is_none());
        let names: Vec<String> = unknown.map(|(name, _)| name.clone()).collect();
        let mut shapes: Vec<u64> = Vec::new();
        if let Some(held) = &mut self.held {
            let Held { lease, flow, .. } = held;
            let mut composer = Composer::new(flow, &mut lease.carried, 0);
            for name in &names {
                composer.inspect_by_name(name);
            }
            composer.sync_own();
            let mut out = composer.out;
            let mut round = Round::default();
            if let Err(broken) = held.pump(&mut out, &mut self.client, &mut round).await {
                return Err(self.lost(broken).await);
            }
            shapes = round.own_shapes.iter().map(|told| told.result).collect();
        }
        if shapes.len() != names.len() {
            self.pin(PinReason::SqlPrepare);
        }
        // None that is left without counts as unlearned for ever: a pinned session's are not made again.
        let shapes = shapes.into_iter().chain(std::iter::repeat(0));
        for (name, shape) in names.iter().zip(shapes) {
            let carried = self.held.as_mut().and_then(|held| held.lease.carried.by_name.get_mut(name));
            for made in self.by_name.made.get_mut(name).into_iter().chain(carried) {
                made.shape = Some(shape);
            }
        }
        Ok(())
    }
}
