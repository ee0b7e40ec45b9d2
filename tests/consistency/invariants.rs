//! What must hold of any observed history, as pure functions over it. They know nothing of servers, clocks or SQL, so
//! each can be shown to catch a hand-made bad history.
//!
//! A history is of registers whose versions only grow: a row's counter, the newest id of a list. Instants are
//! microseconds of one clock, taken by the client: `began` before it sends, `ended` or `acked` after it has the answer.

use std::collections::HashMap;
use std::fmt;

/// Microseconds since the history began.
pub type Micros = u64;

/// One thing that has versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Register(pub u64);

/// One client connection, which does one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

/// What a session saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    pub session: SessionId,
    pub register: Register,
    pub version: u64,
    pub began: Micros,
    pub ended: Micros,
    /// How it was read, for whoever looks into a violation.
    pub how: &'static str,
}

/// What a session wrote, through the proxy or beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    pub session: SessionId,
    pub register: Register,
    pub version: u64,
    pub began: Micros,
    /// `None` if nobody learned how it ended: then it may be seen but need not be.
    pub acked: Option<Micros>,
}

/// All that was seen and done. Versions not in `writes` were there at the start.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub reads: Vec<Read>,
    pub writes: Vec<Write>,
}

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Promise {
    /// A session sees its own acknowledged writes, and whatever was acknowledged before it made them.
    ReadYourWrites,
    /// A session never sees a state before one that it has seen, of this or another register.
    MonotonicReads,
    /// A read shows all that was acknowledged longer ago than the bound when it began.
    BoundedStaleness,
    /// A read shows all that was acknowledged when it began.
    Linearizable,
    /// A read shows only what somebody had at least begun to write when it ended.
    NothingInvented,
    /// When all is quiet, every read shows the last version.
    Convergence,
}

/// One read that broke a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    pub promise: Promise,
    pub read: Read,
    /// The version that had to be there: at least this one, or, of what was invented, at most.
    pub expected: u64,
    /// The session's own earlier step that made it so, if one did: when it began and how it was made.
    pub because: Option<Because>,
}

/// A step that raised a session's floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Because {
    pub began: Micros,
    pub how: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { promise, read, expected, because } = self;
        let Read { session, register, version, began, ended, how } = read;
        write!(
            f,
            "{promise:?}: session {} read ({how}) version {version} of register {:#x} between {began} and {ended} µs, and \
             had to read {expected}",
            session.0, register.0
        )?;
        match because {
            Some(Because { began, how }) => write!(f, ", since its {how} at {began} µs"),
            None => Ok(()),
        }
    }
}

/// For each register, what had been acknowledged by when.
struct Acknowledged(HashMap<Register, Vec<(Micros, u64)>>);

impl Acknowledged {
    fn of(writes: &[Write]) -> Acknowledged {
        let mut all: HashMap<Register, Vec<(Micros, u64)>> = HashMap::new();
        for write in writes {
            if let Some(acked) = write.acked {
                all.entry(write.register).or_default().push((acked, write.version));
            }
        }
        for list in all.values_mut() {
            list.sort_unstable();
            // The highest version acknowledged by then, not the last one: acknowledgements overtake each other.
            let mut highest = 0;
            for (_, version) in list.iter_mut() {
                highest = highest.max(*version);
                *version = highest;
            }
        }
        Acknowledged(all)
    }

    /// The version that every state from this instant on includes; 0 if none is known.
    fn by(&self, register: Register, instant: Micros) -> u64 {
        let list = self.0.get(&register).map_or(&[][..], Vec::as_slice);
        let known = list.partition_point(|&(acked, _)| acked <= instant);
        known.checked_sub(1).map_or(0, |last| list[last].1)
    }
}

/// When each version was begun.
fn beginnings(writes: &[Write]) -> HashMap<(Register, u64), Micros> {
    writes.iter().map(|w| ((w.register, w.version), w.began)).collect()
}

/// One step of a session.
enum Step<'a> {
    Read(&'a Read),
    Write(&'a Write),
}

fn sessions(history: &History) -> Vec<Vec<Step<'_>>> {
    let mut steps: HashMap<SessionId, Vec<(Micros, Step<'_>)>> = HashMap::new();
    for read in &history.reads {
        steps.entry(read.session).or_default().push((read.began, Step::Read(read)));
    }
    for write in &history.writes {
        steps.entry(write.session).or_default().push((write.began, Step::Write(write)));
    }
    let sorted = steps.into_values().map(|mut list| {
        list.sort_by_key(|(began, _)| *began);
        list.into_iter().map(|(_, step)| step).collect()
    });
    sorted.collect()
}

/// Checks each session against a floor that `raise` moves with each step: an instant of the history (all acknowledged
/// before it must be seen) and versions of single registers.
fn above_floor(history: &History, promise: Promise, raise: impl Fn(&Step<'_>, &mut Floor)) -> Vec<Violation> {
    let acknowledged = Acknowledged::of(&history.writes);
    let mut violations = Vec::new();
    for session in sessions(history) {
        let mut floor = Floor::default();
        for step in session {
            if let Step::Read(read) = step {
                let (own, because_own) = floor.versions.get(&read.register).copied().unwrap_or_default();
                let (others, because_others) = (acknowledged.by(read.register, floor.instant.0), floor.instant.1);
                let (expected, because) = if own >= others { (own, because_own) } else { (others, because_others) };
                if read.version < expected {
                    violations.push(Violation { promise, read: *read, expected, because: Some(because) });
                }
            }
            raise(&step, &mut floor);
        }
    }
    violations
}

/// What a session must see from now on, and since which of its steps.
#[derive(Default)]
struct Floor {
    instant: (Micros, Because),
    versions: HashMap<Register, (u64, Because)>,
}

impl Floor {
    fn version(&mut self, register: Register, version: u64, because: Because) {
        let known = self.versions.entry(register).or_default();
        if version > known.0 {
            *known = (version, because);
        }
    }

    fn instant(&mut self, instant: Micros, because: Because) {
        if instant > self.instant.0 {
            self.instant = (instant, because);
        }
    }
}

/// A session's reads show its own writes, and what was acknowledged before it began them.
pub fn read_your_writes(history: &History) -> Vec<Violation> {
    above_floor(history, Promise::ReadYourWrites, |step, floor| {
        if let Step::Write(Write { register, version, began, acked: Some(_), .. }) = step {
            let because = Because { began: *began, how: "write" };
            floor.version(*register, *version, because);
            floor.instant(*began, because);
        }
    })
}

/// A session's reads never go back: neither of the register itself, nor of another behind a write that was begun only
/// after the other had been acknowledged.
pub fn monotonic_reads(history: &History) -> Vec<Violation> {
    let beginnings = beginnings(&history.writes);
    above_floor(history, Promise::MonotonicReads, |step, floor| {
        if let Step::Read(read) = step {
            let because = Because { began: read.began, how: read.how };
            floor.version(read.register, read.version, because);
            if let Some(began) = beginnings.get(&(read.register, read.version)) {
                floor.instant(*began, because);
            }
        }
    })
}

/// No read is older than the bound.
pub fn bounded_staleness(history: &History, bound: Micros) -> Vec<Violation> {
    no_older(history, bound, Promise::BoundedStaleness)
}

/// No read is older than its own beginning.
pub fn linearizable(history: &History) -> Vec<Violation> {
    no_older(history, 0, Promise::Linearizable)
}

fn no_older(history: &History, bound: Micros, promise: Promise) -> Vec<Violation> {
    let acknowledged = Acknowledged::of(&history.writes);
    let late = |read: &Read| {
        let expected = acknowledged.by(read.register, read.began.checked_sub(bound)?);
        (read.version < expected).then_some(Violation { promise, read: *read, expected, because: None })
    };
    history.reads.iter().filter_map(late).collect()
}

/// No read shows a version that was not begun when it ended. `initial` gives each register's version at the start.
pub fn nothing_invented(history: &History, initial: impl Fn(Register) -> u64) -> Vec<Violation> {
    let beginnings = beginnings(&history.writes);
    let wrong = |read: &Read| {
        let first = initial(read.register);
        let known = read.version == first
            || beginnings.get(&(read.register, read.version)).is_some_and(|began| *began <= read.ended);
        let violation = Violation { promise: Promise::NothingInvented, read: *read, expected: first, because: None };
        (!known).then_some(violation)
    };
    history.reads.iter().filter_map(wrong).collect()
}

/// Reads made when all was quiet show the truth, which is given for each register.
pub fn convergence(reads: &[Read], truth: impl Fn(Register) -> u64) -> Vec<Violation> {
    let wrong = |read: &Read| {
        let expected = truth(read.register);
        let violation = Violation { promise: Promise::Convergence, read: *read, expected, because: None };
        (read.version != expected).then_some(violation)
    };
    reads.iter().filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Register = Register(1);
    const B: Register = Register(2);
    const ME: SessionId = SessionId(1);
    const YOU: SessionId = SessionId(2);

    fn read(session: SessionId, register: Register, version: u64, began: Micros) -> Read {
        Read { session, register, version, began, ended: began + 5, how: "read" }
    }

    fn write(session: SessionId, register: Register, version: u64, began: Micros) -> Write {
        Write { session, register, version, began, acked: Some(began + 5) }
    }

    fn history(writes: &[Write], reads: &[Read]) -> History {
        History { reads: reads.to_vec(), writes: writes.to_vec() }
    }

    /// The versions that the offending reads showed, and what they had to show.
    fn found(violations: &[Violation]) -> Vec<(u64, u64)> {
        violations.iter().map(|v| (v.read.version, v.expected)).collect()
    }

    #[test]
    fn a_good_history_breaks_nothing() {
        let h = history(
            &[write(ME, A, 1, 10), write(YOU, A, 2, 30)],
            &[read(ME, A, 1, 20), read(ME, A, 2, 40), read(YOU, A, 0, 5), read(YOU, A, 2, 50)],
        );
        assert!(read_your_writes(&h).is_empty());
        assert!(monotonic_reads(&h).is_empty());
        assert!(bounded_staleness(&h, 10).is_empty());
        assert!(linearizable(&h).is_empty());
        assert!(nothing_invented(&h, |_| 0).is_empty());
        assert!(convergence(&h.reads[3..], |_| 2).is_empty());
    }

    #[test]
    fn own_write_not_seen() {
        let h = history(&[write(ME, A, 7, 10)], &[read(ME, A, 6, 20), read(YOU, A, 6, 20), read(ME, A, 7, 30)]);
        assert_eq!(found(&read_your_writes(&h)), [(6, 7)]);
    }

    #[test]
    fn what_was_acknowledged_before_the_own_write_not_seen() {
        let h = history(&[write(YOU, B, 3, 10), write(ME, A, 1, 20)], &[read(ME, B, 2, 30)]);
        assert_eq!(found(&read_your_writes(&h)), [(2, 3)]);
        // Begun beside each other, their order is not known: nothing is owed.
        let h = history(&[write(YOU, B, 3, 18), write(ME, A, 1, 20)], &[read(ME, B, 2, 30)]);
        assert!(read_your_writes(&h).is_empty());
    }

    #[test]
    fn a_write_of_unknown_outcome_owes_nothing() {
        let unknown = Write { acked: None, ..write(ME, A, 1, 10) };
        let h = history(&[unknown], &[read(ME, A, 0, 20), read(ME, A, 1, 30)]);
        assert!(read_your_writes(&h).is_empty());
        assert!(bounded_staleness(&h, 0).is_empty());
        assert!(nothing_invented(&h, |_| 0).is_empty());
    }

    #[test]
    fn a_read_goes_back_in_time() {
        let h = history(&[write(YOU, A, 1, 10)], &[read(ME, A, 1, 12), read(ME, A, 0, 20)]);
        assert_eq!(found(&monotonic_reads(&h)), [(0, 1)]);
        assert!(read_your_writes(&h).is_empty());
        assert!(bounded_staleness(&h, 100).is_empty());
    }

    #[test]
    fn a_read_goes_back_across_registers() {
        let writes = [write(YOU, A, 1, 10), write(YOU, B, 1, 20)];
        let h = history(&writes, &[read(ME, B, 1, 30), read(ME, A, 0, 40)]);
        assert_eq!(found(&monotonic_reads(&h)), [(0, 1)]);
        let h = history(&writes, &[read(ME, A, 0, 40), read(ME, B, 1, 50)]);
        assert!(monotonic_reads(&h).is_empty());
    }

    #[test]
    fn a_read_is_older_than_the_bound() {
        let h = history(&[write(YOU, A, 1, 0)], &[read(ME, A, 0, 104), read(ME, A, 0, 105)]);
        assert_eq!(found(&bounded_staleness(&h, 100)), [(0, 1)]);
        assert_eq!(bounded_staleness(&h, 100)[0].read.began, 105);
        assert_eq!(linearizable(&h).len(), 2);
        assert!(bounded_staleness(&h, 101).is_empty());
    }

    #[test]
    fn acknowledgements_that_overtake_each_other_count_by_version() {
        let slow = Write { acked: Some(50), ..write(ME, A, 1, 0) };
        let h = history(&[slow, write(YOU, A, 2, 10)], &[read(YOU, A, 1, 60)]);
        assert_eq!(found(&linearizable(&h)), [(1, 2)]);
    }

    #[test]
    fn a_version_that_nobody_wrote_yet() {
        let h = history(&[write(YOU, A, 1, 100)], &[read(ME, A, 1, 10), read(ME, A, 9, 110), read(ME, A, 1, 96)]);
        assert_eq!(found(&nothing_invented(&h, |_| 0)), [(1, 0), (9, 0)]);
    }

    #[test]
    fn an_entry_that_stays_wrong() {
        let last = [read(ME, A, 1, 1000), read(ME, B, 5, 1000)];
        let wrong = convergence(&last, |register| if register == A { 2 } else { 5 });
        assert_eq!(found(&wrong), [(1, 2)]);
    }
}
