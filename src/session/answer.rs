//! One unit's way through the session: what can be done at once, what others may answer yet, and what needs a server.
//! Knows neither how entries are looked up nor how servers are reached.

use super::client::{Unit, UnitEnd};
use super::request::Form;
use super::serve::{COPY_LIMIT, Intent, Served, Understood, tell_shape};
use super::{End, Session};
use crate::cache::{Entry, Tier, Waited};
use crate::config::CacheMode;
use crate::types::Moment;
use crate::wire::backend::CLOSE_COMPLETE;
use bytes::BufMut;
use std::sync::Arc;
use std::time::Duration;

/// How long a request waits for another's fill of the same key.
const FLIGHT_WAIT: Duration = Duration::from_millis(500);

/// What a unit needs after the first look at it.
enum Look {
    Answered,
    /// To be written apart.
    Large(Arc<Entry>, Form),
    /// Others may answer it yet.
    Wait(Intent),
    /// The connection that listens for many.
    Listen,
    /// A server.
    Forward(Intent, Understood),
}

impl Session {
    /// Answers one unit, from the cache or from a server.
    pub(super) async fn answer(&mut self, unit: Unit) -> Result<(), End> {
        let began = Moment::now();
        self.heed_news();
        if self.greeted.1 != self.shared.upstream.defaults() && self.held.is_none() {
            Box::pin(self.take_over_defaults()).await?;
        }
        if self.rules.rules.version != self.shared.rules.version() {
            self.take_over_rules();
        }
        if unit.end == UnitEnd::Query && !self.is_mid_batch() {
            // `exec_simple_query` in postgres.c drops it before anything else.
            self.statements.close(b"");
        }
        // What waits for others alone is boxed: every session keeps room for the way to a server, and no more.
        // A look takes no room beyond this block.
        let understood = {
            let look = match self.first_look(unit, began) {
                look @ (Look::Wait(_) | Look::Listen) => Box::pin(self.look_further(unit, look, began)).await?,
                look => look,
            };
            match look {
                Look::Answered => {
                    self.client.discard(unit);
                    return Ok(());
                }
                Look::Large(entry, form) => {
                    self.client.discard(unit);
                    return Box::pin(self.write_large(&entry, form)).await;
                }
                Look::Listen => (Intent::Pass("not_a_read"), Understood::default()),
                Look::Wait(intent) => (intent, Understood::default()),
                Look::Forward(intent, understood) => (intent, understood),
            }
        };
        let mut errand = self.errand(unit, understood, began);
        self.forward(&mut errand).await
    }

    /// All that can be done for a unit without waiting.
    fn first_look(&mut self, unit: Unit, now: Moment) -> Look {
        if self.is_mid_batch() {
            return Look::Forward(Intent::Pass("batch_open"), Understood::default());
        }
        if self.close_locally(unit) {
            return Look::Answered;
        }
        match self.serve(unit, now) {
            (Served::Yes, _) => Look::Answered,
            (Served::Listen, _) => Look::Listen,
            (Served::Large(entry, form), _) => Look::Large(entry, form),
            (Served::No(intent @ Intent::Wait(_)), _) => Look::Wait(intent),
            (Served::No(intent @ Intent::Fill { .. }), _) if self.asks_shared() => Look::Wait(intent),
            (Served::No(intent), understood) => Look::Forward(intent, understood),
        }
    }

    /// What cannot be done at once.
    async fn look_further(&mut self, unit: Unit, look: Look, began: Moment) -> Result<Look, End> {
        self.client.flush().await?;
        Ok(match look {
            Look::Wait(intent) => self.look_again(unit, intent, began).await?,
            Look::Listen if self.change_channels(unit).await? => Look::Answered,
            Look::Listen => Look::Forward(Intent::Pass("not_a_read"), Understood::default()),
            look => look,
        })
    }

    /// Waits for another's fill, unless the client cancels, and asks the shared tier.
    async fn look_again(&mut self, unit: Unit, mut intent: Intent, began: Moment) -> Result<Look, End> {
        if let Intent::Wait(waiter) = intent {
            let cancelled = self.registration.running.wait();
            let waited = tokio::select! {
                biased;
                waited = waiter.wait(FLIGHT_WAIT) => waited,
                Ok(()) = cancelled => {
                    self.give_up("canceling statement due to user request", unit.end).await?;
                    return Ok(Look::Answered);
                }
            };
            intent = match waited {
                Waited::Stored | Waited::Abandoned | Waited::Relieved => match self.first_look(unit, Moment::now()) {
                    Look::Wait(intent) => intent,
                    look => return Ok(look),
                },
                Waited::NotStored => Intent::Pass("not_storable"),
                Waited::TimedOut => Intent::Pass("flight_slow"),
            };
        }
        if self.asks_shared()
            && let Intent::Fill { permit, plan, demand, describe } = &mut intent
            && let Some(entry) = permit.ask_shared(*describe, demand).await
            && plan.catalog_version == self.shared.catalog.version()
        {
            drop(intent);
            let form = self.form(unit, &entry);
            self.hit(&entry, form, Tier::Shared, unit.end, began);
            return Ok(if entry.body.len() > COPY_LIMIT { Look::Large(entry, form) } else { Look::Answered });
        }
        // Who finds it in flight once more asks a server itself, and stores nothing.
        Ok(Look::Wait(intent))
    }

    /// Whether other instances may have filled what is not in memory.
    fn asks_shared(&self) -> bool {
        self.shared.config.cache == CacheMode::On && self.shared.cache.as_ref().is_some_and(|cache| cache.is_shared())
    }

    /// Of the request that this entry answers.
    fn form(&mut self, unit: Unit, entry: &Entry) -> Form {
        let input = std::mem::take(&mut self.client.input);
        let request = self.request(&input[..unit.len], unit.end);
        let form = request.as_ref().map(|request| request.form);
        if let Some(request) = &request {
            tell_shape(request, entry);
        }
        if let Some((name, statement)) = request.and_then(|request| request.parsed) {
            self.statements.insert(name, statement);
        }
        self.client.input = input;
        form.expect("the unit had the form of a request when its permit was given")
    }

    async fn write_large(&mut self, entry: &Entry, form: Form) -> Result<(), End> {
        use tokio::io::AsyncWriteExt;
        self.client.flush().await?;
        self.client.stream.write_all(&entry.body).await?;
        if form.close {
            self.client.output.put_slice(CLOSE_COMPLETE);
        }
        self.ready();
        Ok(())
    }
}
