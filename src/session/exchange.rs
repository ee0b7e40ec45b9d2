//! The way there and back: bytes out, answers in, relayed to the client as they come. Frames are scanned, not decoded. `round`
//! keeps what is learned of them.

use super::client::{BadFrame, Client};
use super::compose::Side;
use super::flow::{Flow, Owner, Probe, Slot, Step, Unexpected, Verdict};
use super::listen::put_notification;
use super::round::{Described, Done, Round, named_statement};
use crate::upstream::Lease;
use crate::wire::backend;
use crate::wire::frame::{BadLength, HEADER, backend_limit, header};
use crate::wire::stream::poll_send;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio_util::io::poll_read_buf;

/// Row and copy frames longer than this are relayed in pieces as they come.
const PIECE: usize = 64 * 1024;

/// Bytes asked of a server in one read.
const READ: usize = 16 * 1024;

/// A connection that this session holds, with what it still owes.
pub struct Held {
    pub lease: Lease,
    /// What the server was when the connection was taken.
    pub side: Side,
    pub flow: Flow,
    /// The process that the session's client takes for its server's.
    known_as: u32,
    /// Bytes of a long frame that are still to be relayed.
    pub passing: usize,
    /// The batch under way has not seen its Sync.
    pub batch_open: bool,
    /// A simple query ran in a batch whose transaction its Sync commits. PostgreSQL 18 then forgets that its transaction has begun, and
    /// what comes next fails with XX000: seen on 18.4, on a direct connection too.
    pub mixed: bool,
    /// It has told of notifications since somebody took note of that.
    pub has_told: bool,
    /// What has become of it is not known, or a cancel may reach it yet: nobody else is to have it.
    pub is_unsure: bool,
    /// `carried.settings` as they were when the transaction began, if they changed since.
    pub settings_before: Option<BTreeMap<String, Arc<str>>>,
}

/// The server's side broke.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("{0}")]
    Unexpected(#[from] Unexpected),
    #[error("{0}")]
    Length(#[from] BadLength),
    /// The client left for good, and nothing is lost if what it asked for does not end.
    #[error("the client left while it waited")]
    Deserted,
    /// It does not answer the watch either.
    #[error("the server has fallen silent")]
    Silent,
    /// Its replay stands still, which may be why it does not answer.
    #[error("the server's replay stands still")]
    Still,
    /// It goes on with what nobody wants.
    #[error("the server is still at an answer that nobody waits for")]
    InVain,
    /// It was cancelled and did not end.
    #[error("a request that was cancelled did not end")]
    TooLate,
    /// The client's side broke while it was being written to.
    #[error("the client left: {0}")]
    Client(io::Error),
    /// The client sent what cannot be read on.
    #[error("{0}")]
    Frame(BadFrame),
    /// The server ended the connection with this ErrorResponse, which is the client's.
    #[error("the server ended the session")]
    Fatal(Bytes),
}

impl Broken {
    /// Whether it says something of the server's health.
    pub fn is_of_server(&self) -> bool {
        matches!(self, Broken::Io(_) | Broken::Closed | Broken::Silent | Broken::Fatal(_))
    }
}

#[derive(PartialEq, Eq)]
enum Sent {
    Some,
    All,
}

impl Held {
    /// `flow`: one that owes nothing.
    pub fn new(lease: Lease, side: Side, flow: Flow, known_as: u32) -> Self {
        Held {
            lease,
            side,
            flow,
            known_as,
            passing: 0,
            batch_open: false,
            mixed: false,
            is_unsure: false,
            has_told: false,
            settings_before: None,
        }
    }

    /// Writes what can be written of `out` and reads what is there.
    pub async fn progress(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        let connection = &mut *self.lease;
        if connection.input.capacity() - connection.input.len() < READ / 4 {
            connection.input.reserve(READ);
        }
        let read = poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = poll_send(&mut connection.stream, cx, out) {
                return Poll::Ready(Err(error));
            }
            poll_read_buf(Pin::new(&mut connection.stream), cx, &mut connection.input)
        })
        .await?;
        if read == 0 { Err(Broken::Closed) } else { Ok(()) }
    }

    /// Sends `out` and relays answers until everything sent is answered, the server wants copy data, or the batch must be sent again.
    pub async fn pump(&mut self, out: &mut BytesMut, client: &mut Client, round: &mut Round) -> Result<(), Broken> {
        loop {
            self.digest(&mut client.output, round)?;
            if let Some(mark) = round.disowned {
                client.output.truncate(mark);
                return Box::pin(self.read_off(out, round)).await;
            }
            if client.is_full() {
                // So much is not kept back to be taken back, but for what came before.
                let is_untouched = round.held_back == Some(client.output.len());
                client.flush().await.map_err(Broken::Client)?;
                round.held_back = is_untouched.then_some(client.output.len());
            }
            if self.flow.is_done() && self.passing == 0 && !out.is_empty() {
                // Nothing that is sent will be answered: a Flush, or what the server skips.
                return self.push(out, client, round).await;
            }
            if (self.flow.is_done() && self.passing == 0) || round.copy_in {
                return Ok(());
            }
            // The server is about to make the client wait: what is there goes out first.
            if round.held_back.is_none() && !client.output.is_empty() {
                client.flush().await.map_err(Broken::Client)?;
            }
            // Boxed, since every session would keep room for them.
            if round.abandonable {
                Box::pin(self.progress_unless_gone(out, client, round)).await?;
            } else if self.may_be_left(round) {
                Box::pin(self.progress_while_alive(out)).await?;
            } else {
                self.progress(out).await?;
            }
        }
    }

    /// Sends `out` without waiting for answers; what comes meanwhile is relayed.
    pub async fn push(&mut self, out: &mut BytesMut, client: &mut Client, round: &mut Round) -> Result<(), Broken> {
        while self.send(out).await? == Sent::Some {
            self.digest(&mut client.output, round)?;
            if client.is_full() {
                client.flush().await.map_err(Broken::Client)?;
            }
        }
        Ok(())
    }

    /// Sends all of `out`, or until something is read.
    async fn send(&mut self, out: &mut BytesMut) -> Result<Sent, Broken> {
        let connection = &mut *self.lease;
        connection.input.reserve(READ);
        poll_fn(|cx| match poll_send(&mut connection.stream, cx, out) {
            Poll::Ready(sent) => Poll::Ready(sent.map(|()| Sent::All).map_err(Broken::Io)),
            Poll::Pending => {
                poll_read_buf(Pin::new(&mut connection.stream), cx, &mut connection.input).map(|read| match read? {
                    0 => Err(Broken::Closed),
                    _ => Ok(Sent::Some),
                })
            }
        })
        .await
    }

    /// Reads once; gives what the client is to hear of it.
    pub async fn pull(&mut self, round: &mut Round) -> Result<BytesMut, Broken> {
        self.progress(&mut BytesMut::new()).await?;
        let mut output = BytesMut::new();
        match self.digest(&mut output, round) {
            Ok(()) => Ok(output),
            // What came before the server's last word is the client's too.
            Err(Broken::Fatal(last)) => {
                output.extend_from_slice(&last);
                Err(Broken::Fatal(output.freeze()))
            }
            Err(broken) => Err(broken),
        }
    }

    /// Whether another session may have the connection: nothing owed, nothing unread, no open transaction's settings.
    pub fn is_clean(&self) -> bool {
        !self.mixed
            && !self.is_unsure
            && self.flow.is_done()
            && !self.flow.is_uncertain()
            && self.passing == 0
            && self.lease.input.is_empty()
            && self.settings_before.is_none()
    }

    /// Whether a part of a frame was relayed, without its rest.
    pub fn is_mid_frame(&self) -> bool {
        self.passing > 0
    }

    /// Deals with all whole frames that were read.
    pub fn digest(&mut self, output: &mut BytesMut, round: &mut Round) -> Result<(), Broken> {
        if self.passing > 0 {
            let input = &mut self.lease.input;
            let piece = input.split_to(input.len().min(self.passing));
            self.passing -= piece.len();
            output.extend_from_slice(&piece);
        }
        let mut input = std::mem::take(&mut self.lease.input);
        let mut at = 0;
        let digested = loop {
            if round.copy_in {
                break Ok(());
            }
            let next = match header(&input[at..], backend_limit) {
                Ok(Some(next)) => next,
                Ok(None) => break Ok(()),
                Err(bad) => break Err(bad.into()),
            };
            let there = input.len() - at;
            if there >= next.len {
                let taken = self.take(next.tag, &input[at..at + next.len], output, round);
                at += next.len;
                if taken.is_err() {
                    break taken;
                }
                continue;
            }
            if matches!(next.tag, b'D' | b'd') && next.len > PIECE && !self.flow.runs_own() {
                if let Err(unexpected) = self.flow.on(next.tag, &[]) {
                    break Err(unexpected.into());
                }
                round.held_back = None;
                if let Some(capture) = &mut round.capture {
                    capture.spoil("too_large");
                }
                self.passing = next.len - there;
                output.extend_from_slice(&input[at..]);
                at = input.len();
            }
            break Ok(());
        };
        input.advance(at);
        self.lease.input = input;
        digested
    }

    /// Notes a parameter that the server reports. `true`: it tells of the server's role, which makes what was known of that doubtful.
    fn parameter(&mut self, body: &[u8]) -> bool {
        let Some((name, value)) = backend::parameter(body) else { return false };
        let is_role = name == "in_hot_standby";
        if is_role && self.lease.parameters.get(&name).is_some_and(|before| *before != value) {
            self.lease.server.doubt();
        }
        self.lease.parameters.insert(name, value);
        is_role
    }

    fn take(&mut self, tag: u8, frame: &[u8], output: &mut BytesMut, round: &mut Round) -> Result<(), Broken> {
        let body = &frame[HEADER..];
        let step = self.flow.current();
        if tag == b'E' && (self.flow.is_done() || backend::error_field(body, b'V').is_some_and(|v| v != b"ERROR")) {
            // FATAL: the session upstream is over, and so is the client's.
            return Err(Broken::Fatal(Bytes::copy_from_slice(frame)));
        }
        if tag == b'E'
            && let Some((_, number)) = named_statement(frame)
        {
            self.lease.carried.corrected(backend::sqlstate(body), number);
        }
        let is_unasked = tag == b'E' && backend::sqlstate(body) == b"42501" && self.flow.asks_position();
        let is_before = is_unasked && self.flow.owes_client();
        match self.flow.on(tag, body)? {
            Verdict::RelayError | Verdict::OwnError if is_unasked => round.may_not_ask(is_before),
            Verdict::Relay => {
                output.extend_from_slice(frame);
                if matches!(tag, b'1' | b'3') {
                    round.named += 1;
                }
            }
            Verdict::RelayRow => {
                if tag == b'D' {
                    round.held_back = None;
                }
                output.extend_from_slice(frame);
                if let Some(capture) = &mut round.capture {
                    if tag == b'T' {
                        capture.description = Some(Bytes::copy_from_slice(frame));
                    } else {
                        capture.keep(frame);
                    }
                }
            }
            Verdict::RelayDone => {
                round.held_back = None;
                output.extend_from_slice(frame);
                let done = Done::told(tag, body);
                if done == Done::Deallocated {
                    // Before the answers to what stands behind it.
                    self.lease.carried.deallocated_all();
                }
                round.done.push(done);
                if let Some(capture) = &mut round.capture {
                    if tag == b'C' { capture.keep(frame) } else { capture.spoil("not_whole") }
                }
            }
            Verdict::RelayError => {
                let is_limited = self.lease.carried.settings.contains_key("statement_timeout");
                round.fail(frame, is_limited, output);
            }
            Verdict::Substitute => {
                round.held_back = None;
                round.failed = true;
                let failure = round.substitutes.pop_front().expect("what is sent to fail has an error of its own");
                output.extend_from_slice(&failure);
            }
            Verdict::RelayCopyIn => {
                round.held_back = None;
                output.extend_from_slice(frame);
                round.copy_in = true;
            }
            Verdict::RelayReady(status) => {
                round.status = Some(status);
                if round.again.is_none() {
                    match round.told {
                        Some(told) => backend::put_ready(output, if round.failed { b'E' } else { told }),
                        None if round.keeps_ready && status == b'I' => round.kept_ready = true,
                        None => output.extend_from_slice(frame),
                    }
                }
            }
            Verdict::Probed(probe) => round.learn(probe, body),
            Verdict::Swallow | Verdict::OwnReady(_) => {}
            Verdict::OwnError if round.begins => return Err(Broken::Fatal(Bytes::copy_from_slice(frame))),
            Verdict::OwnError => round.own_failed(frame),
            Verdict::Parameter => {
                let is_role = self.parameter(body);
                // Which server answers is not the client's concern, and so is not what it becomes.
                let is_ours = is_role && self.side == Side::Replica;
                if !round.mute_parameters && !is_ours {
                    round.tell(output, |output| output.extend_from_slice(frame));
                }
                if let Some(capture) = &mut round.capture {
                    capture.spoil("parameter_changed");
                }
            }
            Verdict::Notice => {
                if !round.on_replica {
                    // It runs: the client hears of that when it is so.
                    round.held_back = None;
                }
                output.extend_from_slice(frame);
                if let Some(capture) = &mut round.capture {
                    capture.spoil("notice");
                }
            }
            Verdict::Notification => {
                self.has_told = true;
                let own = body.starts_with(&self.lease.key.process.to_be_bytes());
                match &mut round.cut {
                    Some(cut) => cut.notified(frame, own, self.known_as),
                    None => round.tell(output, |output| put_notification(output, frame, own, self.known_as)),
                }
            }
        }
        match (step, tag) {
            (Some(Step::Parse(owner, Slot::Unnamed(_))), b'E') => {
                self.lease.carried.unnamed = None;
                round.unnamed_lost = owner == Owner::Client;
            }
            (Some(Step::Parse(_, Slot::Named(number))), b'1') => {
                self.lease.carried.prepared.insert(number, round.tick);
                self.lease.carried.outdated.remove(&number);
                self.lease.carried.shapes.remove(&number);
            }
            (Some(Step::Parse(_, Slot::Unnamed(number))), b'1') => self.lease.carried.unnamed = Some(number),
            (Some(Step::Close(_, Some(number))), b'3') => {
                self.lease.carried.prepared.remove(&number);
                self.lease.carried.outdated.remove(&number);
                self.lease.carried.shapes.remove(&number);
            }
            (Some(Step::Describe(Owner::Client)), b't' | b'T' | b'n') => {
                Described::learn(&mut round.shapes, tag, body);
            }
            (Some(Step::Describe(Owner::Own(Probe::Shape))), b't' | b'T' | b'n') => {
                Described::learn(&mut round.own_shapes, tag, body);
            }
            _ => {}
        }
        Ok(())
    }
}
