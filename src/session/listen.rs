//! LISTEN without a server connection of the session's own: what it hears, it hears on one connection that listens for everybody
//! of its account and database (`upstream::listening`). What cannot be told exactly this way is left to `relisten`.
//!
//! As in PostgreSQL, LISTEN and UNLISTEN count from their COMMIT (`AtCommit_Notify` in async.c), nothing is told inside a transaction
//! block, and before a client is told that it may go on it is told of all that was sent before: the connection that listens is
//! asked, and answers behind it (`ProcessNotifyInterrupt` in postgres.c). Sessions that do not listen pay nothing.

use super::client::Unit;
use super::exchange::Held;
use super::relisten::{Cut, Moved};
use super::request::Request;
use super::{End, Session, shutting_down};
use crate::config::PoolMode;
use crate::route::plan::{Encoding, Kind, PinReason, TransactionControl};
use crate::upstream::{Deaf, Subscription};
use crate::wire::backend::{Failure, put_frame, put_ready};
use crate::wire::frame::HEADER;
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A LISTEN or UNLISTEN in a transaction block.
#[derive(Debug)]
enum Change {
    Listen(Arc<str>),
    Unlisten(Arc<str>),
    UnlistenAll,
}

/// Notifications of this process are the session's own from here on.
#[derive(Debug)]
struct Own {
    process: u32,
    since: u64,
}

/// What one session listens to.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) subscription: Subscription,
    /// What it listens to outside the transaction under way.
    pub(super) channels: BTreeSet<Arc<str>>,
    /// What comes with its COMMIT.
    pending: Vec<Change>,
    /// Notifications to be told before those that have arrived.
    pub(super) backlog: BytesMut,
    /// The transaction's own connection was asked to listen.
    pub(super) moved: Option<Moved>,
    own: Option<Own>,
}

/// Writes a NotificationResponse. A client knows its own by the process that it was told at the start, of which no server knows:
/// a session's own is told so; another's is told as the server said it.
pub(super) fn put_notification(out: &mut BytesMut, frame: &[u8], own: bool, known_as: u32) {
    let Some((process, rest)) = frame.get(HEADER..).and_then(|body| body.split_first_chunk::<4>()) else { return };
    let known_as = known_as.to_be_bytes();
    let process = match own {
        true => known_as,
        // By chance the same number: another's must not seem the client's own.
        false if *process == known_as => [0; 4],
        false => *process,
    };
    put_frame(out, b'A', &[&process, rest].concat());
}

/// Returns once there is something to tell; never to who does not listen.
pub(super) async fn arrived(listening: Option<&Listening>, wants_news: bool) {
    match listening {
        // Boxed, since who does not listen would keep room for it.
        Some(listening) => Box::pin(listening.subscription.arrived(wants_news)).await,
        None => std::future::pending().await,
    }
}

impl Listening {
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What it listens to if the transaction under way is committed.
    pub(super) fn committed(&self) -> BTreeSet<Arc<str>> {
        let mut channels = self.channels.clone();
        for change in &self.pending {
            match change {
                Change::Listen(channel) => drop(channels.insert(Arc::clone(channel))),
                Change::Unlisten(channel) => drop(channels.remove(channel)),
                Change::UnlistenAll => channels.clear(),
            }
        }
        channels
    }

    /// From now on it listens to these alone.
    fn settle_on(&mut self, channels: BTreeSet<Arc<str>>) {
        let marker = self.moved.as_ref().map(|moved| &moved.marker);
        let is_left = |channel: &&Arc<str>| !channels.contains(*channel) && Some(*channel) != marker;
        let left: Vec<Arc<str>> = self.subscription.channels().iter().filter(is_left).cloned().collect();
        self.subscription.leave(&left);
        self.channels = channels;
    }

    /// The transaction was rolled back.
    pub(super) fn take_back(&mut self) {
        self.pending.clear();
        self.settle_on(self.channels.clone());
    }

    /// Nothing more is to be heard or told.
    fn is_over(&self) -> bool {
        self.channels.is_empty() && self.pending.is_empty() && self.moved.is_none() && self.backlog.is_empty()
    }

    /// Whether a notification is the session's own.
    pub(super) fn is_own(&self, process: u32, number: u64) -> bool {
        self.own.as_ref().is_some_and(|own| own.process == process && number >= own.since)
    }
}

impl Session {
    /// Whether a statement is one for the connection that listens for many.
    pub(super) fn changes_channels(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Listen(_) => self.shares_channels(),
            Kind::Unlisten { .. } => self.listening.is_some() && self.shares_channels(),
            // It is answered here.
            Kind::Transaction(TransactionControl::Commit { chain: false }) => {
                self.deferred.is_some() && self.status == b'T' && self.has_pending_channels()
            }
            _ => false,
        }
    }

    /// Whether what a session listens to can be told exactly as things stand.
    fn shares_channels(&self) -> bool {
        let hides = |reason: &PinReason| matches!(reason, PinReason::Listen | PinReason::Opaque | PinReason::Lasting);
        let may_begin = !self.pins.iter().any(hides);
        self.shared.config.pool == PoolMode::Transaction
            // Texts come in one encoding.
            && self.settings.encoding() == Encoding::Utf8
            // Which of a transaction's statements are taken back is not known by their savepoints' names.
            && (self.status == b'I' || (self.status == b'T' && !self.has_savepoints))
            && match &self.listening {
                Some(listening) => listening.moved.is_none() && !self.pins.contains(&PinReason::Listen),
                None => may_begin,
            }
    }

    fn has_pending_channels(&self) -> bool {
        self.listening.as_ref().is_some_and(|listening| listening.has_pending())
    }

    /// Answers a LISTEN, an UNLISTEN, or a COMMIT of some that no server knows of. `false`: the session needs a connection of its own.
    pub(super) async fn change_channels(&mut self, unit: Unit) -> Result<bool, End> {
        let input = std::mem::take(&mut self.client.input);
        let answered = match self.request(&input[..unit.len], unit.end) {
            Some(request) => self.change_by(&request, unit).await?,
            None => false,
        };
        self.client.input = input;
        Ok(answered)
    }

    async fn change_by(&mut self, request: &Request<'_>, unit: Unit) -> Result<bool, End> {
        let (change, tag) = match &request.plan.kind {
            Kind::Listen(channel) => (Change::Listen(Arc::clone(channel)), "LISTEN"),
            Kind::Unlisten { channel: Some(channel) } => (Change::Unlisten(Arc::clone(channel)), "UNLISTEN"),
            Kind::Unlisten { channel: None } => (Change::UnlistenAll, "UNLISTEN"),
            _ => {
                self.before_commit().await?;
                return Ok(self.local(request));
            }
        };
        let is_first = self.listening.is_none();
        if is_first {
            let subscription = self.shared.upstream.subscribe(&self.account, &self.database);
            self.listening = Some(Box::new(Listening {
                subscription,
                channels: BTreeSet::new(),
                pending: Vec::new(),
                backlog: BytesMut::new(),
                moved: None,
                own: None,
            }));
        } else if !matches!(change, Change::Listen(_)) && self.status == b'I' {
            // What was sent before is told, as it was when it came.
            self.hear().await?;
        }
        let Some(listening) = &mut self.listening else { return Ok(false) };
        match &change {
            _ if self.status == b'T' => listening.pending.push(change),
            Change::Listen(channel) => {
                let cancelled = self.registration.running.wait();
                let heard = tokio::select! {
                    biased;
                    heard = listening.subscription.hear([Arc::clone(channel)]) => heard,
                    Ok(()) = cancelled => {
                        let channels = std::mem::take(&mut listening.channels);
                        listening.settle_on(channels);
                        self.end_listening();
                        let failure = Failure::error("57014", "canceling statement due to user request");
                        return self.fail(failure, unit.end).map(|()| true);
                    }
                };
                match heard {
                    Ok(()) => drop(listening.channels.insert(Arc::clone(channel))),
                    Err(_) if is_first => {
                        self.listening = None;
                        return Ok(false);
                    }
                    Err(deaf) => return Err(self.deafened(deaf).await),
                }
            }
            Change::Unlisten(_) | Change::UnlistenAll => {
                listening.pending.push(change);
                let channels = listening.committed();
                listening.pending.clear();
                listening.settle_on(channels);
                self.end_listening();
            }
        }
        self.put_local(request, None, tag);
        Ok(true)
    }

    /// A COMMIT is about to be sent: what it begins to listen to is heard from here on, and told if it succeeds.
    pub(super) async fn before_commit(&mut self) -> Result<(), End> {
        let Some(listening) = &mut self.listening else { return Ok(()) };
        let new: Vec<Arc<str>> = listening.committed().difference(&listening.channels).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        if let Err(deaf) = listening.subscription.hear(new.iter().cloned()).await {
            return Err(self.deafened(deaf).await);
        }
        // It may have been heard since a COMMIT that ended nothing.
        new.iter().for_each(|channel| listening.subscription.forget(channel));
        Ok(())
    }

    /// The transaction has ended in which channels were changed.
    pub(super) fn channels_ended(&mut self, committed: bool) {
        let Some(listening) = &mut self.listening else { return };
        // How a text of several statements ended is told by the connection that was asked to listen.
        if listening.has_pending() && !listening.moved.as_ref().is_some_and(|moved| moved.holds) {
            let channels = if committed { listening.committed() } else { listening.channels.clone() };
            listening.pending.clear();
            listening.settle_on(channels);
        }
        self.end_listening();
    }

    /// DISCARD ALL.
    pub(super) fn hear_nothing(&mut self) {
        self.listening = None;
    }

    fn end_listening(&mut self) {
        if self.listening.as_ref().is_some_and(|listening| listening.is_over()) {
            self.listening = None;
        }
    }

    /// Whether the client may be told of notifications now.
    pub(super) fn wants_news(&self) -> bool {
        self.status == b'I' && !self.skipping && !self.is_mid_batch()
    }

    /// The client is about to be told that it may go on: everything that was sent before is told first.
    pub(super) async fn hear_before_ready(&mut self) -> Result<(), End> {
        let mut ready = BytesMut::new();
        put_ready(&mut ready, b'I');
        if self.wants_news() && self.client.output.ends_with(&ready) {
            self.client.output.truncate(self.client.output.len() - ready.len());
            self.hear().await?;
            if self.pins.contains(&PinReason::Listen) {
                // Its own connection tells what it has heard before it answers.
                self.run_own(&[""], None).await?;
            }
            self.ready();
        }
        Ok(())
    }

    /// Tells of everything that was sent before the call.
    pub(super) async fn hear(&mut self) -> Result<(), End> {
        self.finish_move().await?;
        self.catch_up_with_news().await?;
        self.put_news().await?;
        let leaves = self.settings.encoding() != Encoding::Utf8 || self.pins.contains(&PinReason::Listen);
        if leaves && self.listening.as_ref().is_some_and(|listening| !listening.channels.is_empty()) {
            self.move_to_own().await?;
            self.put_news().await?;
        }
        self.end_listening();
        Ok(())
    }

    async fn catch_up_with_news(&mut self) -> Result<(), End> {
        let Some(listening) = &self.listening else { return Ok(()) };
        match listening.subscription.catch_up().await {
            Ok(()) => Ok(()),
            Err(deaf) => Err(self.deafened(deaf).await),
        }
    }

    /// Writes what has arrived.
    async fn put_news(&mut self) -> Result<(), End> {
        let Some(listening) = &mut self.listening else { return Ok(()) };
        let (news, deaf) = listening.subscription.take();
        self.seen.unknown |= !news.is_empty() || !listening.backlog.is_empty();
        let out = &mut self.client.output;
        out.unsplit(listening.backlog.split());
        for one in &news {
            put_notification(out, &one.frame, listening.is_own(one.process, one.number), self.registration.process);
        }
        if self.pins.is_empty() {
            // The connection goes on to others.
            listening.own = None;
        }
        match deaf {
            Some(deaf) => Err(self.deafened(deaf).await),
            None => Ok(()),
        }
    }

    /// What notifications tell of is committed: whoever was told sees it in what he reads next.
    pub(super) fn heed_news(&mut self) {
        let has_told = |held: &mut Held| std::mem::take(&mut held.has_told);
        self.seen.unknown |= self.held.as_mut().is_some_and(has_told);
    }

    /// Something has arrived while the client says nothing.
    pub(super) async fn tell_news(&mut self) -> Result<(), End> {
        if self.wants_news() {
            self.put_news().await?;
            return Ok(self.client.flush().await?);
        }
        // In a transaction block nothing but the end counts.
        match self.listening.as_ref().and_then(|listening| listening.subscription.deaf()) {
            Some(deaf) => Err(self.deafened(deaf).await),
            None => Ok(()),
        }
    }

    /// Notifications were lost: the client is told as if its own server connection had ended.
    pub(super) async fn deafened(&mut self, deaf: Deaf) -> End {
        self.held = None;
        match deaf {
            Deaf::Fatal(frame) => {
                self.client.output.extend_from_slice(&frame);
                self.client.flush().await.map_or_else(End::Client, |()| End::Closed)
            }
            Deaf::Stopped => shutting_down(),
            Deaf::Full => Failure::fatal("54000", format!("terminating connection: {deaf}")).into(),
            Deaf::Lost(_) => Failure::fatal("08006", deaf.to_string()).into(),
        }
    }

    /// Notifications that the held connection is about to send are the session's own; those that it has sent before are not.
    pub(super) async fn tell_own_apart(&mut self) -> Result<(), End> {
        let Some(process) = self.held.as_ref().map(|held| held.lease.key.process) else { return Ok(()) };
        if self.is_mid_batch() || self.listening.as_ref().is_some_and(|listening| listening.is_own(process, u64::MAX)) {
            return Ok(());
        }
        self.catch_up_with_news().await?;
        if let Some(listening) = &mut self.listening {
            listening.own = Some(Own { process, since: listening.subscription.received() });
        }
        Ok(())
    }

    /// What the held connection says too while the transaction's channels move to it.
    pub(super) fn cut(&self) -> Option<Cut> {
        let listening = self.listening.as_ref()?;
        match &listening.moved {
            Some(moved) => Some(Cut::new(&moved.marker, listening.channels.clone())),
            None if listening.backlog.is_empty() => None,
            // What comes now is told after it.
            None => Some(Cut::behind()),
        }
    }
}
