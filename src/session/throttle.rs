//! How fast a password may be guessed: failed proofs are counted by where they came from and whom they were for, and after a few
//! each further attempt waits, longer each time, up to a bound. Who comes from elsewhere never waits for it. The counting is a
//! state machine that is told the time; waiting holds no lock.
//!
//! Behind one address there may be many clients (a balancer, a NAT) of which one has an old password, so nobody is locked out:
//! whoever knows the password waits for the bound at most, and once it is proven the failures of that name and address are forgotten.
//! Of attempts that would wait together only so many may, since each is a guess.

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

/// Attempts that may wait at a time, for one name from one origin (or for all its names, where they are slowed together).
const WAITING: u32 = 32;

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

/// Too many attempts wait already: another is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// An origin and the digest of a name; none: of all names together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(Origin, Option<u64>);

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    last: Moment,
    waiting: u32,
}

/// The counts.
#[derive(Debug, Default)]
struct Failures(Generations<Key, Record, KEPT_HALF>);

impl Failures {
    fn delay(&mut self, key: Key, now: Moment, bound: Duration) -> Duration {
        let free = if key.1.is_some() { FREE } else { FREE_TOGETHER };
        let failures = match self.0.touch(&key) {
            Some(record) if now.since(record.last) < FORGOTTEN_AFTER => record.failures,
            _ => 0,
        };
        match failures.checked_sub(free) {
            Some(beyond) => FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(bound),
            None => Duration::ZERO,
        }
    }

    /// How long an attempt has to wait that has waited for `waited` already, and under which key it then counts as waiting.
    fn begin(
        &mut self,
        key: Key,
        waited: Duration,
        now: Moment,
        bound: Duration,
    ) -> Result<Option<(Key, Duration)>, TooMany> {
        let together = Key(key.0, None);
        let (own, all) = (self.delay(key, now, bound), self.delay(together, now, bound));
        let (key, delay) = if own >= all { (key, own) } else { (together, all) };
        let left = delay.saturating_sub(waited);
        if left.is_zero() {
            return Ok(None);
        }
        match self.0.touch(&key) {
            Some(record) if record.waiting >= WAITING => return Err(TooMany),
            Some(record) => record.waiting += 1,
            None => {}
        }
        Ok(Some((key, left)))
    }

    fn end(&mut self, key: Key) {
        if let Some(record) = self.0.touch(&key) {
            record.waiting = record.waiting.saturating_sub(1);
        }
    }

    fn failed(&mut self, key: Key, now: Moment) {
        if self.count(key, now) <= FREE {
            self.count(Key(key.0, None), now);
        }
    }

    fn count(&mut self, key: Key, now: Moment) -> u32 {
        match self.0.touch(&key) {
            Some(record) => {
                let stale = now.since(record.last) >= FORGOTTEN_AFTER;
                record.failures = if stale { 1 } else { record.failures.saturating_add(1) };
                record.last = now;
                record.failures
            }
            None => {
                self.0.insert(key, Record { failures: 1, last: now, waiting: 0 });
                1
            }
        }
    }

    fn proven(&mut self, key: Key) {
        self.0.remove(&key);
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

/// Counts a waiting attempt until it waits no more, or is given up.
struct Waiting<'a>(&'a Throttle, Key);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.failures.lock().end(self.1);
    }
}

impl Throttle {
    /// An attempt, which may look at nothing before its turn. `bound`: the longest wait; zero for none at all.
    pub fn attempt(&self, origin: Origin, user: &str, bound: Duration) -> Attempt<'_> {
        let key = Key(origin, Some(self.names.hash_one(user)));
        Attempt { throttle: self, key, bound, waited: Duration::ZERO }
    }
}

impl Attempt<'_> {
    /// Returns when it may go on. To be awaited once more right before the proof is looked at: of many who began together and
    /// had nothing to wait for, the first few have failed by then.
    ///
    /// # Errors
    /// It may not.
    pub async fn turn(&mut self) -> Result<(), TooMany> {
        let begun = self.throttle.failures.lock().begin(self.key, self.waited, Moment::now(), self.bound)?;
        if let Some((key, left)) = begun {
            let _waiting = Waiting(self.throttle, key);
            tokio::time::sleep(left).await;
            self.waited += left;
        }
        Ok(())
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

    /// The wait of an attempt that is given up at once.
    fn wait(failures: &mut Failures, key: Key, now: Moment) -> Duration {
        let begun = failures.begin(key, ZERO, now, BOUND).unwrap();
        begun.map_or(ZERO, |(key, left)| {
            failures.end(key);
            left
        })
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
        assert_eq!(failures.begin(guesser, ZERO, now, ZERO), Ok(None), "it is switched off");
        assert_eq!(failures.begin(guesser, BOUND, now, BOUND), Ok(None), "it has waited already");
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
    fn only_so_many_wait_together() {
        let mut failures = Failures::default();
        let (guesser, now) = (key("192.0.2.1", 1), Moment::from_micros(1));
        (0..9).for_each(|_| failures.failed(guesser, now));
        for _ in 0..WAITING {
            assert!(matches!(failures.begin(guesser, ZERO, now, BOUND), Ok(Some(_))));
        }
        assert_eq!(failures.begin(guesser, ZERO, now, BOUND), Err(TooMany));
        failures.end(guesser);
        assert!(failures.begin(guesser, ZERO, now, BOUND).is_ok());
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
        assert!(failures.0.len() <= 2 * KEPT_HALF);
    }

    #[tokio::test]
    async fn an_attempt_that_is_given_up_waits_no_more() {
        let throttle = Throttle::default();
        let attempt = |bound| throttle.attempt(origin("192.0.2.1"), "ann", bound);
        for _ in 0..2 * FREE {
            attempt(BOUND).failed();
        }
        for _ in 0..2 * WAITING {
            let mut given_up = attempt(BOUND);
            assert!(tokio::time::timeout(Duration::from_millis(1), given_up.turn()).await.is_err());
        }
        let bound = Duration::from_millis(1);
        let mut patient = attempt(bound);
        for _ in 0..2 {
            patient.turn().await.unwrap();
            assert_eq!(patient.waited, bound, "the same failures are waited for once");
        }
    }
}
