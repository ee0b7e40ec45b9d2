//! What one round with a server is to learn and what it learned, the copy for a fill, and what its errors lead to. Does no I/O.

use super::cancel::Running;
use super::flow::Probe;
use super::relisten::Cut;
use crate::route::destination::Least;
use crate::types::{Lsn, Snapshot};
use crate::wire::backend::{self, column};
use crate::wire::frame::HEADER;
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a fill copies aside.
#[derive(Debug)]
pub struct Capture {
    pub description: Option<Bytes>,
    pub body: BytesMut,
    pub limit: usize,
    /// Set once the answer cannot be kept, with the reason.
    pub spoiled: Option<&'static str>,
}

impl Capture {
    pub fn new(limit: usize) -> Self {
        Capture { description: None, body: BytesMut::new(), limit, spoiled: None }
    }

    pub fn keep(&mut self, frame: &[u8]) {
        if self.spoiled.is_some() {
        } else if self.body.len() + frame.len() > self.limit {
            self.spoil("too_large");
        } else {
            self.body.extend_from_slice(frame);
        }
    }

    pub fn spoil(&mut self, reason: &'static str) {
        self.spoiled.get_or_insert(reason);
        self.body = BytesMut::new();
    }
}

/// Why an answer was held back and its batch is to be sent again, elsewhere or anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// A replica refused a write (25006): nothing happened.
    OnPrimary,
    /// A replica was lost, stopped a read that was in the way of what it replays, or had it wait for that: the primary does none of it.
    Lost,
    /// A replica answered with another error, which may be its own: its settings, its memory, what it lacks.
    Failed,
    /// A prepared statement's result type had changed (0A000): it must be parsed again.
    Reprepared,
    /// A question of our own before it was refused (42501): it must be sent without.
    Unasked,
    /// The replica said before it that it lacks what the read must see, or did not say that it has it.
    Behind,
}

/// Whether a message gives the name that it says, or needs the statement that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    Name,
    Nothing,
}

/// How an execution ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It ended a transaction, which is kept.
    Committed,
    /// It dropped every statement that has a name.
    Deallocated,
    /// A part of the rows was asked for, and there may be more.
    Suspended,
    /// Anything else; also where there was nothing to run.
    Ended,
}

impl Done {
    /// By a CommandComplete, EmptyQueryResponse or PortalSuspended.
    pub fn told(tag: u8, body: &[u8]) -> Done {
        match (tag, backend::tag(body)) {
            (b'C', b"COMMIT" | b"PREPARE TRANSACTION") => Done::Committed,
            (b'C', b"DEALLOCATE ALL" | b"DISCARD ALL") => Done::Deallocated,
            (b's', _) => Done::Suspended,
            _ => Done::Ended,
        }
    }
}

/// What a connection said of itself.
#[derive(Debug)]
pub struct Left {
    /// Those that decide answers, as one text.
    pub settings: Bytes,
    /// Whether there are temporary objects.
    pub temporary: bool,
    /// Whether advisory locks are held, if that was asked.
    pub locks: bool,
    /// All that is set, if that was asked.
    pub whole: Option<Bytes>,
    /// Whether it listens, if that was asked.
    pub listens: bool,
}

/// What a Describe was answered.
#[derive(Debug)]
pub struct Described {
    /// The types of a statement's parameters, four bytes each; of a portal nothing.
    pub parameters: Bytes,
    /// The shape of the result. Zero until it is told.
    pub result: u64,
}

impl Described {
    /// A ParameterDescription, or what comes behind it: RowDescription or NoData.
    pub fn learn(all: &mut Vec<Described>, tag: u8, body: &[u8]) {
        if tag == b't' {
            let parameters = Bytes::copy_from_slice(body.get(2..).unwrap_or_default());
            return all.push(Described { parameters, result: 0 });
        }
        let result = backend::shape(body);
        match all.last_mut() {
            Some(begun) if begun.result == 0 => begun.result = result,
            _ => all.push(Described { parameters: Bytes::new(), result }),
        }
    }
}

/// What one round is to learn, and what it learned.
#[derive(Debug, Default)]
pub struct Round {
    pub capture: Option<Capture>,
    /// Output before this is the client's already; until the first row, what lies behind it may be taken back.
    pub held_back: Option<usize>,
    /// An error of a replica may send the batch to the primary.
    pub on_replica: bool,
    /// What the replica has to say of itself before anything of its answer counts.
    pub least: Option<Least>,
    /// Nothing behind here in the output is the client's: the answer does not count, and what is left of it is for nobody.
    pub disowned: Option<usize>,
    /// Statements by the numbers that connections know them by, and by the client's names: for the texts of errors. Several may have one
    /// number.
    pub names: SmallVec<[(u64, Bytes, Gives); 1]>,
    /// The ErrorResponses for the messages that were sent to fail, in order.
    pub substitutes: VecDeque<Bytes>,
    pub again: Option<Again>,
    pub snapshot: Option<Snapshot>,
    pub replayed: Option<Lsn>,
    /// When the replica started, in microseconds.
    pub started: Option<u64>,
    pub high: Option<Lsn>,
    /// `high` and `state` were asked behind the unit's end: they tell of its writes too.
    pub behind: bool,
    /// What decides answers on the connection, and what else is left there.
    pub state: Option<Box<Left>>,
    /// Whether there are temporary objects, advisory locks, held cursors, and channels that are listened to.
    pub holds: Option<[bool; 4]>,
    /// Settings that decide the answer have the values that the session's key says.
    pub settings_hold: bool,
    /// What the client was told by its Describes, in order, and what we were told by ours.
    pub shapes: Vec<Described>,
    pub own_shapes: Vec<Described>,
    /// How many of the client's Parses and Closes succeeded.
    pub named: usize,
    /// A Parse of the unnamed statement failed: PostgreSQL has dropped the one before it (`exec_parse_message` in postgres.c).
    pub unnamed_lost: bool,
    /// When this round was, for the least recently used statement.
    pub tick: u64,
    /// How the client's executions ended, in order.
    pub done: SmallVec<[Done; 4]>,
    /// The client got an error.
    pub failed: bool,
    /// A statement of our own failed: the first one's ErrorResponse.
    pub own_error: Option<Box<Bytes>>,
    /// The role may not ask for positions.
    pub may_not_ask: bool,
    /// The last row that answered [`Probe::Row`].
    pub row: Option<Box<Bytes>>,
    /// The transaction status that the client was told last.
    pub status: Option<u8>,
    /// What the client is told of its transaction where the server's says something else, unless something fails.
    pub told: Option<u8>,
    /// A ReadyForQuery that tells of no transaction is kept back, since notifications may have to come before it; and whether one was.
    pub keeps_ready: bool,
    pub kept_ready: bool,
    /// What this connection and another hear alike: which of it the client is told.
    pub cut: Option<Box<Cut>>,
    /// It begins with a BEGIN of ours, without which nothing behind it may be relayed.
    pub begins: bool,
    /// The server waits for the client's copy data.
    pub copy_in: bool,
    /// A proven read, behind which the client has asked for nothing: it need not end if the client has gone.
    pub abandonable: bool,
    /// Where replay stood when a read was last looked after that waited for it, perhaps.
    pub stood: Lsn,
    /// Of a read on a replica: whether the client has cancelled it.
    pub running: Option<Arc<Running>>,
    /// True once it has taken longer than it may and is being cancelled; nothing where it may take any time.
    pub overdue: Option<Arc<AtomicBool>>,
    /// ParameterStatus is not the client's: its settings are being put back.
    pub mute_parameters: bool,
}

impl Round {
    /// Notes the answer to a question of our own.
    pub fn learn(&mut self, probe: Probe, body: &[u8]) {
        let text = |index| column(body, index).and_then(|value| std::str::from_utf8(value).ok());
        let lsn = |index| text(index).and_then(|value| value.parse::<Lsn>().ok());
        match probe {
            // What a Describe is answered is noted as it comes.
            Probe::Effect | Probe::Shape => {}
            Probe::Row => self.row = Some(Box::new(Bytes::copy_from_slice(body))),
            Probe::Snapshot => self.snapshot = text(0).and_then(|value| value.parse().ok()),
            // A server that left recovery answers NULL or `f`: nothing is proven then.
            Probe::Replayed => {
                self.replayed = if text(1) == Some("t") { lsn(0) } else { None };
                self.started = text(2).and_then(|value| value.parse().ok());
                if self.least.is_some_and(|least| !least.is_reached_by(self.replayed, self.started)) {
                    self.disown(Again::Behind);
                }
            }
            Probe::High => self.high = lsn(0),
            Probe::State => {
                self.state = column(body, 0).map(|settings| {
                    Box::new(Left {
                        settings: Bytes::copy_from_slice(settings),
                        temporary: text(1) == Some("t"),
                        locks: text(2) == Some("t"),
                        whole: column(body, 3).map(Bytes::copy_from_slice),
                        listens: text(4) == Some("t"),
                    })
                });
            }
            Probe::Holds => self.holds = Some([0, 1, 2, 3].map(|index| text(index) == Some("t"))),
            Probe::Settings => self.settings_hold = text(0) == Some("t"),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.was_cancelled())
    }

    /// The replica has still to say how far it has come.
    fn is_unproven(&self) -> bool {
        self.least.is_some() && self.replayed.is_none() && self.again.is_none()
    }

    /// Nothing of the answer counts.
    fn disown(&mut self, again: Again) {
        self.again = Some(again);
        self.disowned = self.held_back.take();
        if let Some(capture) = &mut self.capture {
            capture.spoil("not_whole");
        }
    }

    /// A question of our own failed.
    pub fn own_failed(&mut self, frame: &[u8]) {
        let body = &frame[HEADER..];
        tracing::warn!(
            sqlstate = %String::from_utf8_lossy(backend::sqlstate(body)),
            // It may hold what a client wrote, line ends too.
            message = ?String::from_utf8_lossy(backend::error_field(body, b'M').unwrap_or_default()),
            "a statement of Sidecache's own failed"
        );
        self.own_error.get_or_insert_with(|| Box::new(Bytes::copy_from_slice(frame)));
        if self.is_unproven() {
            self.disown(Again::Behind);
        }
    }

    /// The role may not execute a function that tells positions. `is_before`: the client's messages, which were skipped then, stood behind.
    pub fn may_not_ask(&mut self, is_before: bool) {
        self.may_not_ask = true;
        if self.is_unproven() {
            self.disown(Again::Unasked);
        } else if is_before {
            self.again = Some(Again::Unasked);
        }
    }

    /// Tells the client what is no part of an answer: nothing of that is taken back, unless a part of the answer stands before it.
    pub fn tell(&mut self, output: &mut BytesMut, put: impl FnOnce(&mut BytesMut)) {
        let is_untouched = self.held_back == Some(output.len());
        put(output);
        if is_untouched {
            self.held_back = Some(output.len());
        }
    }

    /// The client's statement failed: it is told, or what it has not been told yet is taken back, to be sent again. `is_limited`: by a
    /// timeout that the client has set, which ends it wherever it runs.
    pub fn fail(&mut self, frame: &[u8], is_limited: bool, output: &mut BytesMut) {
        let body = &frame[HEADER..];
        let is_overdue = self.overdue.as_ref().is_some_and(|overdue| overdue.load(Ordering::Relaxed));
        if let Some(capture) = &mut self.capture {
            capture.spoil("error");
        }
        if let Some(mark) = self.held_back.take() {
            let again = match backend::sqlstate(body) {
                b"25006" if self.on_replica => Some(Again::OnPrimary),
                // ProcessRecoveryConflictInterrupt in postgres.c
                b"40001" | b"40P01" if self.on_replica => Some(Again::Lost),
                // plancache.c, RevalidateCachedQuery
                b"0A000" if backend::error_field(body, b'M') == Some(b"cached plan must not change result type") => {
                    Some(Again::Reprepared)
                }
                b"26000" if named_statement(frame).is_some() => Some(Again::Reprepared),
                b"57014" if is_limited || is_overdue || self.is_cancelled() => None,
                _ if self.on_replica => Some(Again::Failed),
                _ => None,
            };
            if again.is_some() {
                output.truncate(mark);
                self.again = again;
                return;
            }
        }
        self.failed = true;
        if is_overdue && backend::sqlstate(body) == b"57014" {
            return put_overdue(body, output);
        }
        put_error(frame, &self.names, output);
    }
}

/// What is cancelled because it takes too long is not cancelled at the user's request.
fn put_overdue(body: &[u8], output: &mut BytesMut) {
    let mut told = Vec::with_capacity(body.len());
    for field in body.split(|byte| *byte == 0).take_while(|field| !field.is_empty()) {
        match field[0] {
            b'M' => told.extend_from_slice(b"Mcanceling statement due to query timeout"),
            _ => told.extend_from_slice(field),
        }
        told.push(0);
    }
    told.push(0);
    backend::put_frame(output, b'E', &told);
}

/// Where an error names a statement of a connection, and its number.
pub fn named_statement(frame: &[u8]) -> Option<(Range<usize>, u64)> {
    const QUOTED: &[u8] = b"prepared statement \"sc_";
    let digits = memchr::memmem::find(frame, QUOTED)? + QUOTED.len();
    let end = digits + memchr::memchr(b'"', &frame[digits..])?;
    let number = std::str::from_utf8(&frame[digits..end]).ok()?.parse().ok()?;
    Some((digits - b"sc_".len()..end, number))
}

/// An error that names a statement says the client's name for it.
fn put_error(frame: &[u8], names: &[(u64, Bytes, Gives)], output: &mut BytesMut) {
    let gives = if backend::sqlstate(&frame[HEADER..]) == b"42P05" { Gives::Name } else { Gives::Nothing };
    let named = named_statement(frame).and_then(|(place, number)| {
        let (_, name, _) = names.iter().find(|(n, _, gave)| *n == number && *gave == gives)?;
        Some((place, name))
    });
    let Some((place, name)) = named else { return output.extend_from_slice(frame) };
    let body = [&frame[HEADER..place.start], name, &frame[place.end..]].concat();
    backend::put_frame(output, b'E', &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r22_what_is_no_part_of_an_answer_is_not_taken_back_with_it() {
        let mut error = BytesMut::new();
        backend::put_frame(&mut error, b'E', b"SERROR\0C0A000\0Mcached plan must not change result type\0\0");
        let mut output = BytesMut::from(&b"before "[..]);
        let mut round = Round { held_back: Some(output.len()), ..Round::default() };
        round.tell(&mut output, |output| output.extend_from_slice(b"news "));
        output.extend_from_slice(b"a part ");
        round.tell(&mut output, |output| output.extend_from_slice(b"later news "));
        round.fail(&error, false, &mut output);
        assert_eq!((round.again, &output[..]), (Some(Again::Reprepared), &b"before news "[..]));
    }
}
