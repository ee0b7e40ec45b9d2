//! A session that listens with others comes to listen on its own connection, where what it does can no longer be followed: a text of several
//! statements, a function or DO that may LISTEN, a savepoint, `pg_listening_channels()`. Neither a notification is lost nor one told twice: both
//! connections hear all notifications in one order, so that one of our own, sent when both listen, cuts it in two. What comes before it is told
//! from the shared connection, what comes after it from the session's own.

use super::client::UnitEnd;
use super::composer::Composer;
use super::deferred::Standing;
use super::exchange::Held;
use super::flow::Probe;
use super::listen::put_notification;
use super::round::Round;
use super::survey::Survey;
use super::{End, Session, cancel};
use crate::route::destination::Reason;
use crate::route::plan::{Kind, PinReason, Plan, Refusal, TransactionControl};
use crate::wire::backend::{Failure, column, put_raised};
use crate::wire::frame::HEADER;
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a connection listens to, as hexadecimal UTF-8 between commas.
const CHANNELS: &str = "SELECT pg_catalog.string_agg(pg_catalog.encode(pg_catalog.convert_to(c, 'UTF8'), 'hex'), ',') \
    FROM pg_catalog.pg_listening_channels() AS c";

/// A transaction whose own connection was asked to listen to everything, and to a channel by which that is known to be committed.
#[derive(Debug)]
pub(super) struct Moved {
    pub marker: Arc<str>,
    /// No savepoint may have taken it back.
    pub holds: bool,
}

/// Where the session's own connection takes over from the shared one.
#[derive(Debug)]
pub struct Cut {
    marker: Arc<str>,
    /// What the shared connection tells up to the cut.
    covered: BTreeSet<Arc<str>>,
    passed: bool,
    /// What is the client's of what came, to be told after that.
    pub behind: BytesMut,
}

impl Cut {
    pub(super) fn new(marker: &Arc<str>, covered: BTreeSet<Arc<str>>) -> Self {
        Cut { marker: Arc::clone(marker), covered, passed: false, behind: BytesMut::new() }
    }

    /// Long since passed.
    pub(super) fn behind() -> Self {
        Cut { marker: "".into(), covered: BTreeSet::new(), passed: true, behind: BytesMut::new() }
    }

    /// The session's own connection says this.
    pub fn notified(&mut self, frame: &[u8], own: bool, known_as: u32) {
        let name = frame.get(HEADER + 4..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        if name == self.marker.as_bytes() {
            self.passed = true;
        } else if self.passed || !self.covered.iter().any(|covered| covered.as_bytes() == name) {
            put_notification(&mut self.behind, frame, own, known_as);
        }
    }
}

fn quoted(channel: &str) -> String {
    format!("\"{}\"", channel.replace('"', "\"\""))
}

fn listens<'a>(channels: impl IntoIterator<Item = &'a Arc<str>>) -> String {
    channels.into_iter().map(|channel| format!("LISTEN {};", quoted(channel))).collect()
}

/// A channel that nobody else knows.
fn marker() -> Arc<str> {
    let mut random = [0; 16];
    cancel::random(&mut random);
    format!("sidecache_{:032x}", u128::from_be_bytes(random)).into()
}

/// The answer to [`CHANNELS`].
fn channels(row: &[u8]) -> BTreeSet<Arc<str>> {
    let decode = |hex: &[u8]| {
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = hex.chunks(2).map(pair).collect();
        String::from_utf8(bytes?).ok().map(Arc::from)
    };
    column(row, 0)
        .unwrap_or_default()
        .split(|byte| *byte == b',')
        .filter(|hex| !hex.is_empty())
        .filter_map(decode)
        .collect()
}

/// Whether a statement, run on a connection, may change what it listens to, or asks for that.
fn concerns_channels(plan: &Plan, has_pending: bool) -> bool {
    let mentions = |word: &str| {
        plan.identity.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    match &plan.kind {
        Kind::Listen(_) | Kind::Unlisten { .. } => true,
        // PostgreSQL refuses it after a LISTEN.
        Kind::Transaction(TransactionControl::TwoPhase) => has_pending,
        Kind::Settings { unlistens, .. } => *unlistens,
        kind if kind.is_control() => false,
        // It may end the transaction, in either way.
        _ if has_pending && plan.cache == Err(Refusal::SeveralStatements) => true,
        _ if matches!(plan.pin, Some(PinReason::Opaque | PinReason::Lasting | PinReason::Listen)) => true,
        Kind::Read | Kind::Write | Kind::Copy => mentions("pg_listening_channels"),
        _ => mentions("listen"),
    }
}

impl Session {
    /// Of a session that listens with others: what has to be done before a unit is sent. `false`: the client was told why it cannot be.
    pub(super) async fn before_sending(
        &mut self,
        survey: &Survey,
        standing: &mut Standing,
        end: UnitEnd,
    ) -> Result<bool, End> {
        let Some(listening) = &self.listening else { return Ok(true) };
        // What a failed transaction does is taken back; in the midst of a batch nothing can be asked.
        if self.status == b'E' || self.is_mid_batch() {
            return Ok(true);
        }
        if listening.channels.is_empty() && !listening.has_pending() {
            return Ok(true);
        }
        let (has_pending, holds) = (listening.has_pending(), listening.moved.as_ref().is_some_and(|moved| moved.holds));
        let plans = || survey.runs.iter().flatten();
        if let Some(first) = plans().find(|plan| concerns_channels(plan, has_pending)) {
            if self.hold(Some(Reason::NotARead), end).await?.is_none() {
                return Ok(false);
            }
            // A question is answered by a connection that listens already; what changes channels has to be taken back with its transaction.
            let is_outside = self.status == b'I' || (self.deferred.is_some() && first.kind == Kind::Read);
            if is_outside && !has_pending {
                self.move_to_own().await?;
                return Ok(true);
            }
            if let Some(deferred) = self.deferred.take() {
                self.run_own(&[deferred.begin()], None).await?;
                *standing = Standing::Within;
            }
            if !holds {
                self.move_within().await?;
            }
            return Ok(true);
        }
        let commits = |plan: &Arc<Plan>| matches!(plan.kind, Kind::Transaction(TransactionControl::Commit { .. }));
        if has_pending && plans().any(commits) {
            self.before_commit().await?;
        }
        Ok(true)
    }

    /// Outside a transaction that the server knows of: from here on the session listens on the held connection.
    pub(super) async fn move_to_own(&mut self) -> Result<(), End> {
        if self.hold(Some(Reason::NotARead), UnitEnd::Stray).await?.is_none() {
            let failure = Failure::fatal("53300", "no server connection became free to listen on");
            return Err(failure.into());
        }
        let Some(listening) = &mut self.listening else { return Ok(()) };
        let marker = marker();
        let text = listens(listening.channels.iter().chain([&marker]));
        if let Err(deaf) = listening.subscription.hear([Arc::clone(&marker)]).await {
            return Err(self.deafened(deaf).await);
        }
        self.cut_over(&marker, Some(&text), None).await
    }

    /// In a transaction that the server knows of: its connection will listen to everything once it is committed.
    async fn move_within(&mut self) -> Result<(), End> {
        let Some(listening) = &mut self.listening else { return Ok(()) };
        let marker = match &listening.moved {
            Some(moved) => Arc::clone(&moved.marker),
            None => marker(),
        };
        if let Err(deaf) = listening.subscription.hear([Arc::clone(&marker)]).await {
            return Err(self.deafened(deaf).await);
        }
        let text = listens(listening.committed().iter().chain([&marker]));
        listening.moved = Some(Moved { marker, holds: true });
        self.run_own(&[&text], None).await.map(|_| ())
    }

    /// A savepoint may have taken that back.
    pub(super) fn listened_before_savepoint(&mut self) {
        if let Some(moved) = self.listening.as_mut().and_then(|listening| listening.moved.as_mut()) {
            moved.holds = false;
        }
    }

    /// The transaction has ended in which that was done.
    pub(super) async fn finish_move(&mut self) -> Result<(), End> {
        let Some(listening) = &mut self.listening else { return Ok(()) };
        let cut = listening.moved.as_ref().map(|moved| Cut::new(&moved.marker, listening.channels.clone()));
        let Some(Moved { marker, .. }) = listening.moved.take() else { return Ok(()) };
        let round = self.run_own(&[CHANNELS], cut).await?;
        let there = channels(round.row.as_ref().map_or(&[], |row| row));
        let Some(listening) = &mut self.listening else { return Ok(()) };
        if let Some(cut) = round.cut {
            listening.backlog.unsplit(cut.behind);
        }
        if there.contains(&marker) {
            return self.cut_over(&marker, None, Some(&there)).await;
        }
        if there.is_empty() {
            listening.take_back();
            return Ok(());
        }
        // What the block did after its savepoint was rolled back to.
        let text = listens(listening.channels.iter().chain([&marker]));
        self.cut_over(&marker, Some(&text), None).await
    }

    /// The held connection listens to everything, once it has run `listen`: what it says counts from here on. `there`: what the session
    /// listens to in truth.
    async fn cut_over(
        &mut self,
        marker: &Arc<str>,
        listen: Option<&str>,
        there: Option<&BTreeSet<Arc<str>>>,
    ) -> Result<(), End> {
        let Some(listening) = &self.listening else { return Ok(()) };
        let cut = Cut::new(marker, listening.channels.clone());
        let (notify, unlisten) = (format!("NOTIFY {}", quoted(marker)), format!("UNLISTEN {}", quoted(marker)));
        let statements: Vec<&str> = listen.into_iter().chain([notify.as_str(), unlisten.as_str()]).collect();
        let round = self.run_own(&statements, Some(cut)).await?;
        let Some(listening) = &mut self.listening else { return Ok(()) };
        if let Err(deaf) = listening.subscription.catch_up().await {
            return Err(self.deafened(deaf).await);
        }
        let known_as = self.registration.process;
        let (news, deaf) = listening.subscription.take();
        let is_cut = news.iter().any(|one| one.channel == *marker) && round.cut.as_ref().is_some_and(|cut| cut.passed);
        if deaf.is_some() || !is_cut {
            let failure = Failure::fatal("08006", "the connection that listens was lost: a notification is missing");
            return Err(failure.into());
        }
        // What the own connection alone has told so far came after the block, and before this.
        let said = listening.backlog.split();
        for one in news.iter().take_while(|one| one.channel != *marker) {
            if there.is_none_or(|there| there.contains(&one.channel)) {
                let own = listening.is_own(one.process, one.number);
                put_notification(&mut listening.backlog, &one.frame, own, known_as);
            }
        }
        listening.backlog.unsplit(said);
        if let Some(cut) = round.cut {
            listening.backlog.unsplit(cut.behind);
        }
        listening.channels.clear();
        listening.take_back();
        if there.is_none_or(|there| there.len() > 1) {
            self.pin(PinReason::Listen);
        }
        Ok(())
    }

    /// Runs statements of our own on the held connection, each by itself; the round has the last row. What it says of notifications
    /// besides is kept.
    pub(super) async fn run_own(&mut self, statements: &[&str], cut: Option<Cut>) -> Result<Round, End> {
        let mut round = Round { cut: cut.map(Box::new), ..Round::default() };
        let Some(held) = &mut self.held else { return Ok(round) };
        let Held { lease, flow, .. } = held;
        let mut composer = Composer::new(flow, &mut lease.carried, 0);
        for statement in statements {
            composer.query_own(statement, Probe::Row);
        }
        let mut out = composer.out;
        if let Err(broken) = held.pump(&mut out, &mut self.client, &mut round).await {
            return Err(self.lost(broken).await);
        }
        let Some(error) = round.own_error else { return Ok(round) };
        self.held = None;
        put_raised(&mut self.client.output, error.get(HEADER..).unwrap_or_default());
        self.client.flush().await?;
        Err(End::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(process: u32, channel: &str) -> Vec<u8> {
        let mut out = BytesMut::new();
        let body = [&process.to_be_bytes()[..], channel.as_bytes(), b"\0payload\0"].concat();
        crate::wire::backend::put_frame(&mut out, b'A', &body);
        out.to_vec()
    }

    #[test]
    fn r20_a_cut_takes_from_each_connection_what_the_other_does_not_tell() {
        let mut cut = Cut::new(&"marker".into(), BTreeSet::from(["both".into()]));
        for channel in ["both", "alone", "marker", "both"] {
            cut.notified(&notification(7, channel), false, 9);
        }
        assert_eq!(cut.behind, [notification(7, "alone"), notification(7, "both")].concat()[..]);
    }

    #[test]
    fn r20_a_notification_is_the_clients_own_or_surely_not() {
        for (process, own, told) in [(7, true, 9), (7, false, 7), (9, false, 0)] {
            let mut out = BytesMut::new();
            put_notification(&mut out, &notification(process, "a"), own, 9);
            assert_eq!(out, notification(told, "a")[..]);
        }
    }

    #[test]
    fn what_a_connection_listens_to_is_read_without_trust() {
        let row = |text: &str| [b"\0\x01\0\0\0", &[text.len() as u8][..], text.as_bytes()].concat();
        assert_eq!(channels(&row("61,c3a9")), BTreeSet::from(["a".into(), "é".into()]));
        assert_eq!(channels(b"\0\x01\xff\xff\xff\xff").len(), 0);
        for wrong in ["zz", "6", "ff,", ""] {
            assert!(channels(&row(wrong)).iter().all(|channel| channel.len() <= 1), "{wrong}");
        }
    }
}
