//! Which backend message answers which of the messages that were sent: a state machine without I/O. Some of those
//! were the client's, some our own beside them; only the former's answers reach the client.

use std::collections::VecDeque;

/// What one of our own statements was sent to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Nothing: it was sent for its effect.
    Effect,
    /// A row, whatever it holds.
    Row,
    /// `pg_current_snapshot()`.
    Snapshot,
    /// A replica's replay position (column 0), whether it is in recovery (column 1), and when it started (column 2).
    Replayed,
    /// The position at or past everything that was just read or written.
    High,
    /// The settings that decide answers, as one text.
    State,
    /// What the session holds on the connection.
    Holds,
    /// Whether settings are as the session has them.
    Settings,
    /// A statement's description.
    Shape,
}

/// Whose message it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Client,
    Own(Probe),
}

/// Where a statement lives on a connection, with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Named(u64),
    Unnamed(u64),
    /// By a name that SQL knows too.
    ByName,
}

/// A message that will be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Parse(Owner, Slot),
    Bind(Owner),
    Describe(Owner),
    Execute(Owner),
    /// Close of a portal, or of the statement with this number.
    Close(Owner, Option<u64>),
    /// A message sent to fail, so that an error of ours takes its place among the answers.
    Fail,
    /// A simple query, up to and with its ReadyForQuery.
    Query(Owner),
    /// A FunctionCall, likewise.
    Call,
    Sync(Owner),
}

/// What to do with a backend message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the client's.
    Relay,
    /// A row, row description or command tag of the client's, which a fill keeps too.
    RelayRow,
    /// It ends one of the client's executions (CommandComplete, EmptyQueryResponse, PortalSuspended).
    RelayDone,
    /// An error that the client gets; the rest of its batch is skipped.
    RelayError,
    /// The error that was asked for: the client gets ours instead.
    Substitute,
    /// The client may send data now (CopyInResponse).
    RelayCopyIn,
    /// ReadyForQuery that the client gets, with the transaction status.
    RelayReady(u8),
    /// The answer to a probe: a DataRow.
    Probed(Probe),
    /// Ours and of no interest.
    Swallow,
    /// Our own statement failed.
    OwnError,
    /// ReadyForQuery of a group of our own.
    OwnReady(u8),
    /// ParameterStatus: to be recorded, and the client's.
    Parameter,
    /// NoticeResponse of the client's statement.
    Notice,
    /// NotificationResponse: always the client's.
    Notification,
}

/// A message that answers nothing that was sent: the connection cannot be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent an unexpected message {:?}", *.0 as char)]
pub struct Unexpected(pub u8);

/// Messages of a batch, with our own beside them, that an idle session keeps room for.
const USUAL: usize = 16;

/// The messages sent and not yet answered.
#[derive(Debug, Default)]
pub struct Flow {
    queue: VecDeque<Step>,
    /// An extended batch failed and its Sync has not been sent: the server ignores everything up to it, simple queries too
    /// (`ignore_till_sync` in postgres.c).
    skipping: bool,
    /// The Sync sent before a copy, which the server ignores, unless the copy fails before it has read that far.
    voided: Option<Owner>,
}

impl Flow {
    /// Nothing sent, in the same room if that is small.
    pub fn emptied(mut self) -> Self {
        self.queue.clear();
        self.queue.shrink_to(USUAL);
        Flow { queue: self.queue, ..Flow::default() }
    }

    /// Expects the answer to one more message.
    pub fn sent(&mut self, step: Step) {
        if self.skipping && !matches!(step, Step::Sync(_)) {
            return;
        }
        self.skipping = false;
        self.queue.push_back(step);
    }

    /// Whether the server ignores what is sent, up to a Sync.
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Whether it is not certain if the server owes another ReadyForQuery.
    pub fn is_uncertain(&self) -> bool {
        self.voided.is_some()
    }

    /// Whether everything was answered.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the client is owed more than a ReadyForQuery.
    pub fn owes_client(&self) -> bool {
        self.queue.iter().any(|step| match step {
            Step::Parse(owner, _)
            | Step::Bind(owner)
            | Step::Describe(owner)
            | Step::Execute(owner)
            | Step::Close(owner, _) => *owner == Owner::Client,
            Step::Fail | Step::Call => true,
            Step::Query(_) | Step::Sync(_) => false,
        })
    }

    /// Whether all that is still to be answered are messages of our own.
    pub fn is_ours(&self) -> bool {
        self.queue.iter().all(|step| match step {
            Step::Parse(owner, _)
            | Step::Bind(owner)
            | Step::Describe(owner)
            | Step::Execute(owner)
            | Step::Close(owner, _)
            | Step::Query(owner)
            | Step::Sync(owner) => *owner != Owner::Client,
            Step::Fail | Step::Call => false,
        })
    }

    /// Whether a question about positions is being answered.
    pub fn asks_position(&self) -> bool {
        matches!(
            self.current(),
            Some(Step::Bind(owner) | Step::Execute(owner))
                if matches!(owner, Owner::Own(Probe::Snapshot | Probe::Replayed | Probe::High))
        )
    }

    /// What is being answered now.
    pub fn current(&self) -> Option<Step> {
        self.queue.front().copied()
    }

    /// Whether rows that come now answer a statement of our own.
    pub fn runs_own(&self) -> bool {
        matches!(self.current(), Some(Step::Execute(owner) | Step::Query(owner)) if owner != Owner::Client)
    }

    /// In an extended batch's copy, PostgreSQL ignores the `Sync` that was sent with the batch; the one after the
    /// copy's end counts.
    pub fn copy_began(&mut self) -> bool {
        let extended = !matches!(self.current(), Some(Step::Query(_)));
        let sync = self.queue.iter().position(|step| matches!(step, Step::Sync(_)));
        if extended && let Some(Step::Sync(owner)) = sync.and_then(|at| self.queue.remove(at)) {
            self.voided = Some(owner);
        }
        extended
    }

    /// Judges one backend message by its tag (and, for ReadyForQuery, its status).
    ///
    /// # Errors
    /// It answers nothing that was sent.
    pub fn on(&mut self, tag: u8, body: &[u8]) -> Result<Verdict, Unexpected> {
        match tag {
            b'S' => return Ok(Verdict::Parameter),
            b'A' => return Ok(Verdict::Notification),
            b'N' => return Ok(if self.is_own() { Verdict::Swallow } else { Verdict::Notice }),
            b'E' => return Ok(self.failed()),
            _ => {}
        }
        let voided = match tag {
            b'Z' if self.is_done() => self.voided.take(),
            // The copy has ended well: it was ignored.
            b'C' => self.voided.take().and(None),
            _ => None,
        };
        self.skipping &= voided.is_none();
        let step = self.current().or(voided.map(Step::Sync)).ok_or(Unexpected(tag))?;
        let (owner, done, verdict) = match (step, tag) {
            (Step::Parse(owner, _), b'1') | (Step::Bind(owner), b'2') | (Step::Close(owner, _), b'3') => {
                (owner, true, Verdict::Relay)
            }
            (Step::Describe(owner), b't') => (owner, false, Verdict::Relay),
            (Step::Describe(owner), b'T') => (owner, true, Verdict::RelayRow),
            (Step::Describe(owner), b'n') => (owner, true, Verdict::Relay),
            (Step::Execute(owner), b'C' | b'I' | b's') => (owner, true, Verdict::RelayDone),
            (Step::Execute(owner) | Step::Query(owner), b'D') => (owner, false, Verdict::RelayRow),
            (Step::Query(owner), b'T') => (owner, false, Verdict::RelayRow),
            (Step::Query(owner), b'C' | b'I') => (owner, false, Verdict::RelayDone),
            (Step::Execute(owner) | Step::Query(owner), b'G') => (owner, false, Verdict::RelayCopyIn),
            (Step::Execute(owner) | Step::Query(owner), b'H' | b'd' | b'c') => (owner, false, Verdict::Relay),
            (Step::Call, b'V') => (Owner::Client, false, Verdict::Relay),
            (Step::Query(owner) | Step::Sync(owner), b'Z') => {
                let status = body.first().copied().unwrap_or(b'I');
                (owner, true, Verdict::RelayReady(status))
            }
            (Step::Call, b'Z') => (Owner::Client, true, Verdict::RelayReady(body.first().copied().unwrap_or(b'I'))),
            _ => return Err(Unexpected(tag)),
        };
        if done {
            self.queue.pop_front();
        }
        Ok(match (owner, verdict) {
            (Owner::Client, verdict) => verdict,
            (Owner::Own(_), Verdict::RelayReady(status)) => Verdict::OwnReady(status),
            (Owner::Own(probe), Verdict::RelayRow) if tag == b'D' => Verdict::Probed(probe),
            (Owner::Own(_), Verdict::RelayCopyIn) => return Err(Unexpected(tag)),
            (Owner::Own(_), _) => Verdict::Swallow,
        })
    }

    /// Whether what is being answered now stands in a group of our own: its `Sync` tells.
    fn is_own(&self) -> bool {
        self.queue
            .iter()
            .find_map(|step| match step {
                Step::Sync(owner) | Step::Query(owner) => Some(*owner != Owner::Client),
                Step::Call => Some(false),
                _ => None,
            })
            .unwrap_or(false)
    }

    fn failed(&mut self) -> Verdict {
        let own = self.is_own();
        let wanted = self.current() == Some(Step::Fail);
        // A simple query's ReadyForQuery still comes; an extended batch is skipped up to its Sync.
        if !matches!(self.current(), Some(Step::Query(_) | Step::Call)) {
            while !matches!(self.current(), None | Some(Step::Sync(_))) {
                self.queue.pop_front();
            }
            self.skipping = self.queue.is_empty();
        }
        match (own, wanted) {
            (true, true) => Verdict::Swallow,
            (true, false) => Verdict::OwnError,
            (false, true) => Verdict::Substitute,
            (false, false) => Verdict::RelayError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Owner = Owner::Own(Probe::Snapshot);

    fn flow(steps: &[Step]) -> Flow {
        Flow { queue: steps.iter().copied().collect(), ..Flow::default() }
    }

    fn run(flow: &mut Flow, tags: &[u8]) -> Vec<Verdict> {
        tags.iter().map(|tag| flow.on(*tag, b"I").unwrap()).collect()
    }

    #[test]
    fn answers_to_our_own_statements_never_reach_the_client() {
        let mut flow = flow(&[
            Step::Bind(OWN),
            Step::Execute(OWN),
            Step::Parse(Owner::Client, Slot::Unnamed(1)),
            Step::Bind(Owner::Client),
            Step::Describe(Owner::Client),
            Step::Execute(Owner::Client),
            Step::Sync(Owner::Client),
        ]);
        let verdicts = run(&mut flow, b"2DC12TDDCZ");
        use Verdict::{Probed, Relay, RelayDone, RelayReady, RelayRow, Swallow};
        let expected = [
            Swallow,
            Probed(Probe::Snapshot),
            Swallow,
            Relay,
            Relay,
            RelayRow,
            RelayRow,
            RelayRow,
            RelayDone,
            RelayReady(b'I'),
        ];
        assert_eq!(verdicts, expected);
        assert!(flow.is_done());
    }

    #[test]
    fn r16_an_error_skips_to_the_sync_and_no_further() {
        let mut flow = flow(&[
            Step::Parse(Owner::Client, Slot::Unnamed(1)),
            Step::Bind(Owner::Client),
            Step::Execute(Owner::Client),
            Step::Execute(Owner::Own(Probe::High)),
            Step::Sync(Owner::Client),
            Step::Query(Owner::Client),
        ]);
        assert_eq!(run(&mut flow, b"1EZ"), [Verdict::Relay, Verdict::RelayError, Verdict::RelayReady(b'I')]);
        assert_eq!(flow.current(), Some(Step::Query(Owner::Client)));
    }

    #[test]
    fn r16_after_an_error_everything_is_ignored_until_a_sync_is_sent() {
        let mut flow = flow(&[Step::Parse(Owner::Client, Slot::Unnamed(1)), Step::Query(Owner::Client)]);
        assert_eq!(run(&mut flow, b"E"), [Verdict::RelayError]);
        assert!(flow.is_done(), "the query behind it is ignored too");
        flow.sent(Step::Bind(Owner::Client));
        flow.sent(Step::Sync(Owner::Client));
        assert_eq!(run(&mut flow, b"Z"), [Verdict::RelayReady(b'I')]);
        assert!(flow.is_done());
    }

    #[test]
    fn an_error_of_our_own_group_stays_ours() {
        let mut flow = flow(&[Step::Bind(OWN), Step::Execute(OWN), Step::Sync(OWN), Step::Query(Owner::Client)]);
        assert_eq!(
            run(&mut flow, b"NEZTC"),
            [Verdict::Swallow, Verdict::OwnError, Verdict::OwnReady(b'I'), Verdict::RelayRow, Verdict::RelayDone]
        );
    }

    #[test]
    fn r7_the_sync_sent_before_an_extended_copy_is_void() {
        let mut flow = flow(&[Step::Execute(Owner::Client), Step::Sync(Owner::Client)]);
        assert_eq!(flow.on(b'G', b""), Ok(Verdict::RelayCopyIn));
        assert!(flow.copy_began());
        flow.sent(Step::Sync(Owner::Client));
        assert_eq!(run(&mut flow, b"CZ"), [Verdict::RelayDone, Verdict::RelayReady(b'I')]);
    }

    #[test]
    fn r7_a_copy_that_fails_before_it_reads_answers_the_sync_before_it() {
        let mut flow = flow(&[Step::Execute(Owner::Client), Step::Sync(Owner::Client)]);
        assert_eq!(flow.on(b'G', b""), Ok(Verdict::RelayCopyIn));
        flow.copy_began();
        assert_eq!(run(&mut flow, b"EZ"), [Verdict::RelayError, Verdict::RelayReady(b'I')]);
        assert_eq!(flow.on(b'Z', b"I"), Err(Unexpected(b'Z')));
    }

    #[test]
    fn only_the_message_sent_to_fail_gets_our_error() {
        let steps = [Step::Execute(Owner::Client), Step::Fail, Step::Sync(Owner::Client)];
        assert_eq!(run(&mut flow(&steps), b"EZ"), [Verdict::RelayError, Verdict::RelayReady(b'I')]);
        assert_eq!(run(&mut flow(&steps), b"CEZ")[1], Verdict::Substitute);
    }

    #[test]
    fn a_message_that_answers_nothing_is_unexpected() {
        assert_eq!(flow(&[]).on(b'Z', b"I"), Err(Unexpected(b'Z')));
        assert_eq!(flow(&[Step::Parse(Owner::Client, Slot::Unnamed(1))]).on(b'D', b""), Err(Unexpected(b'D')));
        assert_eq!(flow(&[Step::Execute(OWN)]).on(b'G', b""), Err(Unexpected(b'G')));
    }
}
