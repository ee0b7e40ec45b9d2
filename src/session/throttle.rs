//! How fast a password may be guessed: failed proofs are counted by where they came from and whom they were for, and after a few
//! each further attempt waits, longer each time, up to a bound. Who comes from elsewhere never waits for it. The counting is a
//! state machine that is told the time; waiting holds no lock.
//!
//! Behind one address there may be many clients (a balancer, a NAT, a sidecar's host) of which one has an old password or means ill.
//! So whoever knows a password waits for the bound at most; once it is proven the failures of that name and address are forgotten, and
//! what is tried there on other names slows this one no more. Waiting is free for all: what is refused is a proof, and only where
//! that name has had so many from there already in the time that one waits.

use super::generations::Generations;
use crate::types::Moment;
use crate::wire::stream::Stream;
use parking_lot::Mutex;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Failures that cost no wait, for one name from one origin.
const FREE: u32 = 5;

/// Failures that cost no wait, for all names from one origin together: who tries one password on many names is slowed as well. A name
/// counts for its first few alone, so that one client with an old password does not slow the others of its address.
const FREE_TOGETHER: u32 = 50;

/// The first wait; each failure doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Failures older than this are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Proofs of one name from one origin that are looked at in the time that one has to wait.
const LOOKED_AT: u32 = 32;

/// Half of the names and origins that are counted at a time.
const KEPT_HALF: usize = 8_192;

/// Where a client comes from: what one who guesses cannot change at will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Unix,
    V4(Ipv4Addr),
    /// The first 64 bits: a network's, in which each host may have any address.
    V6(u64),
}

impl Origin {
    pub fn of(stream: &Stream) -> Self {
        stream.peer().map_or(Origin::Unix, |peer| Origin::at(peer.ip()))
    }

    fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Origin::V4(address),
            IpAddr::V6(address) => Origin::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// So many proofs of this name have come from there that another is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// An origin and the digest of a name; none: of all names together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(Origin, Option<u64>);

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Moment,
    /// Proofs looked at while there was a wait, since then.
    looked_at: u32,
    since: Moment,
}

impl Record {
    fn new(now: Moment) -> Self {
        Record { failures: 0, last: now, looked_at: 0, since: now }
    }
}

/// The counts.
#[derive(Debug, Default)]
struct Failures {
    records: Generations<Key, Record, KEPT_HALF>,
    /// Names whose password was shown, by where: nobody without one can crowd these out.
    proven: Generations<Key, (), KEPT_HALF>,
}

impl Failures {
    fn delay_of(&mut self, key: Key, now: Moment, bound: Duration) -> Duration {
        let free = if key.1.is_some() { FREE } else { FREE_TOGETHER };
        let failures = match self.records.touch(&key) {
            Some(record) if now.since(record.last) < FORGOTTEN_AFTER => record.failures,
            _ => 0,
        };
        match failures.checked_sub(free) {
            Some(beyond) => FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(bound),
            None => Duration::ZERO,
        }
    }

    /// How long an attempt has to wait in all.
    fn delay(&mut self, key: Key, now: Moment, bound: Duration) -> Duration {
        let own = self.delay_of(key, now, bound);
        match self.proven.touch(&key) {
            Some(()) => own,
            None => own.max(self.delay_of(Key(key.0, None), now, bound)),
        }
    }

    /// Counts a proof that has waited.
    fn look(&mut self, key: Key, now: Moment, bound: Duration) -> Result<(), TooMany> {
        let delay = self.delay(key, now, bound);
        if delay.is_zero() {
            return Ok(());
        }
        let record = self.record(key, now);
        if now.since(record.since) >= delay {
            (record.looked_at, record.since) = (0, now);
        }
        if record.looked_at >= LOOKED_AT {
            return Err(TooMany);
        }
        record.looked_at += 1;
        Ok(())
    }

    fn failed(&mut self, key: Key, now: Moment) {
        if self.count(key, now) <= FREE {
            self.count(Key(key.0, None), now);
        }
    }

    fn count(&mut self, key: Key, now: Moment) -> u32 {
        let record = self.record(key, now);
        let stale = now.since(record.last) >= FORGOTTEN_AFTER;
        record.failures = if stale { 1 } else { record.failures.saturating_add(1) };
        record.last = now;
        record.failures
    }

    fn record(&mut self, key: Key, now: Moment) -> &mut Record {
        self.records.touch_or(key, || Record::new(now))
    }

    fn proven(&mut self, key: Key) {
        self.records.remove(&key);
        self.proven.insert(key, ());
    }
}

/// Failed proofs of all sessions.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<Failures>,
    /// Names are kept as digests that nobody can foresee.
    names: RandomState,
}

/// One client's attempt to prove that it is this user.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    key: Key,
    bound: Duration,
    waited: Duration,
}

impl Throttle {
    /// An attempt, for which nothing is looked up before its turn. `bound`: the longest wait; zero for none at all.
    pub fn attempt(&self, origin: Origin, user: &str, bound: Duration) -> Attempt<'_> {
        let key = Key(origin, Some(self.names.hash_one(user)));
        Attempt { throttle: self, key, bound, waited: Duration::ZERO }
    }
}

impl Attempt<'_> {
    /// Returns when it may go on.
    pub async fn turn(&mut self) {
        let delay = self.throttle.failures.lock().delay(self.key, Moment::now(), self.bound);
        let left = delay.saturating_sub(self.waited);
        if !left.is_zero() {
            tokio::time::sleep(left).await;
            self.waited += left;
        }
    }

    /// Returns when the proof, which has come, may be looked at: of many who began together and had nothing to wait for, the
    /// first few have failed by then.
    ///
    /// # Errors
    /// It may not.
    pub async fn look(&mut self) -> Result<(), TooMany> {
        self.turn().await;
        self.throttle.failures.lock().look(self.key, Moment::now(), self.bound)
    }

    pub fn failed(&self) {
        self.throttle.failures.lock().failed(self.key, Moment::now());
    }

    pub fn proven(&self) {
        self.throttle.failures.lock().proven(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(5);
    const ZERO: Duration = Duration::ZERO;

    fn origin(text: &str) -> Origin {
        Origin::at(text.parse().unwrap())
    }

    fn key(origin_of: &str, name: u64) -> Key {
        Key(origin(origin_of), Some(name))
    }

    fn wait(failures: &mut Failures, key: Key, now: Moment) -> Duration {
        failures.delay(key, now, BOUND)
    }

    #[test]
    fn waits_grow_to_their_bound_for_one_name_from_one_origin() {
        let mut failures = Failures::default();
        let (guesser, now) = (key("192.0.2.1", 1), Moment::from_micros(1));
        let waits: Vec<u128> = (0..12)
            .map(|_| {
                let waited = wait(&mut failures, guesser, now);
                failures.failed(guesser, now);
                waited.as_millis()
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
        for other in [key("192.0.2.2", 1), key("192.0.2.1", 2)] {
            assert_eq!(wait(&mut failures, other, now), ZERO, "{other:?}");
        }
        assert_eq!(failures.delay(guesser, now, ZERO), ZERO, "it is switched off");
    }

    #[test]
    fn failures_are_forgotten_by_time_and_by_proof() {
        let mut failures = Failures::default();
        let guesser = key("192.0.2.1", 1);
        (0..9).for_each(|_| failures.failed(guesser, Moment::START));
        let later = Moment::from_micros(u64::try_from(FORGOTTEN_AFTER.as_micros()).unwrap());
        assert_eq!(wait(&mut failures, guesser, Moment::from_micros(later.micros() - 1)), Duration::from_secs(4));
        assert_eq!(wait(&mut failures, guesser, later), ZERO);
        failures.failed(guesser, later);
        assert_eq!(wait(&mut failures, guesser, later), ZERO, "it begins anew");
        (0..9).for_each(|_| failures.failed(guesser, later));
        assert_eq!(wait(&mut failures, guesser, later), BOUND);
        failures.proven(guesser);
        assert_eq!(wait(&mut failures, guesser, later), ZERO);
    }

    #[test]
    fn one_password_on_many_names_is_slowed_and_one_bad_client_slows_itself_alone() {
        let mut failures = Failures::default();
        let now = Moment::from_micros(1);
        (0..1_000).for_each(|_| failures.failed(key("192.0.2.1", 0), now));
        assert_eq!(wait(&mut failures, key("192.0.2.1", 1), now), ZERO);
        for name in 0..100 {
            failures.failed(key("192.0.2.9", name), now);
        }
        assert_eq!(wait(&mut failures, key("192.0.2.9", 500), now), BOUND);
        assert_eq!(wait(&mut failures, key("192.0.2.8", 500), now), ZERO);
    }

    #[test]
    fn names_that_others_try_slow_nobody_who_was_let_in_from_there() {
        let mut failures = Failures::default();
        let (app, now) = (key("192.0.2.1", 1), Moment::from_micros(1));
        failures.proven(app);
        for name in 0..100_000 {
            failures.failed(key("192.0.2.1", 100 + name), now);
        }
        assert_eq!(wait(&mut failures, app, now), ZERO);
        assert_eq!(wait(&mut failures, key("192.0.2.1", 2), now), BOUND);
        (0..9).for_each(|_| failures.failed(app, now));
        assert_eq!(wait(&mut failures, app, now), Duration::from_secs(4), "its own failures count");
    }

    #[test]
    fn only_so_many_proofs_of_a_name_are_looked_at_in_the_time_of_a_wait() {
        let mut failures = Failures::default();
        let (guesser, now) = (key("192.0.2.1", 1), Moment::from_micros(1));
        (0..100).for_each(|_| assert_eq!(failures.look(guesser, now, BOUND), Ok(()), "nothing has failed"));
        (0..100).for_each(|name| failures.failed(key("192.0.2.1", name), now));
        for name in [1, 500] {
            let guesser = key("192.0.2.1", name);
            (0..LOOKED_AT).for_each(|_| assert_eq!(failures.look(guesser, now, BOUND), Ok(())));
            assert_eq!(failures.look(guesser, now, BOUND), Err(TooMany), "{name}");
            assert_eq!(failures.look(guesser, now, ZERO), Ok(()), "it is switched off");
            let later = Moment::from_micros(1 + u64::try_from(BOUND.as_micros()).unwrap());
            assert_eq!(failures.look(guesser, later, BOUND), Ok(()));
        }
        failures.proven(guesser);
        (0..100).for_each(|_| assert_eq!(failures.look(guesser, now, BOUND), Ok(()), "it was proven"));
    }

    #[test]
    fn an_origin_is_what_cannot_be_changed_at_will() {
        assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
        assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
    }

    #[test]
    fn origins_and_names_are_counted_in_bounds() {
        let mut failures = Failures::default();
        for number in 0..100_000 {
            failures.failed(Key(Origin::V6(number), Some(number)), Moment::START);
        }
        assert!(failures.records.len() <= 2 * KEPT_HALF);
    }

    #[tokio::test]
    async fn attempts_that_are_given_up_keep_nobody_out() {
        let throttle = Throttle::default();
        let attempt = |bound| throttle.attempt(origin("192.0.2.1"), "ann", bound);
        for _ in 0..2 * FREE {
            attempt(BOUND).failed();
        }
        for _ in 0..2 * LOOKED_AT {
            let mut given_up = attempt(BOUND);
            assert!(tokio::time::timeout(Duration::from_millis(1), given_up.look()).await.is_err());
        }
        let bound = Duration::from_millis(1);
        let mut patient = attempt(bound);
        patient.turn().await;
        patient.look().await.unwrap();
        assert_eq!(patient.waited, bound, "the same failures are waited for once");
    }
}
