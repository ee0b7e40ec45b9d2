//! What became of statements that needed a server: where they went and why, by shape, so that an operator can ask. Bounded in
//! every direction; hits write nothing here. Knows no session.

use super::destination::{Passed, Reason};
use crate::sql::fingerprint::Fingerprint;
use crate::types::Moment;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::time::Duration;

/// Sessions that end statements at the same time seldom meet in one of these.
const SHARDS: usize = 16;

/// Routes that a shard keeps; for one more the one that was used longest ago goes.
const SHARD_LIMIT: usize = 128;

/// One way that statements of one shape have taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub fingerprint: Fingerprint,
    /// The statement without its literals.
    pub shape: String,
    /// The server's name.
    pub server: String,
    pub reason: Reason,
    /// Of the last one.
    pub passed: Passed,
    /// What kept it from being a hit: a label.
    pub outcome: &'static str,
    pub count: u64,
    /// How long the server took, all together.
    pub took: Duration,
    pub last: Moment,
}

/// One statement that a server has answered.
#[derive(Debug, Clone, Copy)]
pub struct Trip<'a> {
    pub fingerprint: Fingerprint,
    /// The statement without its literals.
    pub shape: &'a str,
    pub server: &'a str,
    pub reason: Reason,
    pub passed: &'a Passed,
    pub outcome: &'static str,
    pub took: Duration,
    pub ended: Moment,
}

type Shard = HashMap<u64, Route, RandomState>;

/// All of them.
#[derive(Debug, Default)]
pub struct Book {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl Book {
    /// Notes one.
    pub fn note(&self, trip: &Trip<'_>) {
        let key = self.hasher.hash_one((trip.fingerprint, trip.server, trip.reason, trip.outcome));
        // The map uses the low bits.
        let mut shard = self.shards[(key >> 57) as usize % SHARDS].lock();
        if let Some(route) = shard.get_mut(&key) {
            route.count += 1;
            route.took += trip.took;
            route.last = trip.ended;
            route.passed = *trip.passed;
            return;
        }
        if shard.len() >= SHARD_LIMIT
            && let Some(oldest) = shard.iter().min_by_key(|(_, route)| route.last).map(|(key, _)| *key)
        {
            shard.remove(&oldest);
        }
        let route = Route {
            fingerprint: trip.fingerprint,
            shape: trip.shape.to_owned(),
            server: trip.server.to_owned(),
            reason: trip.reason,
            passed: *trip.passed,
            outcome: trip.outcome,
            count: 1,
            took: trip.took,
            last: trip.ended,
        };
        shard.insert(key, route);
    }

    /// All that are kept, the latest first.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<Route> =
            self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.last));
        routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::fingerprint::Shape;

    fn trip(shape: &Shape, ended: u64) -> Trip<'_> {
        static NONE: std::sync::LazyLock<Passed> = std::sync::LazyLock::new(Passed::default);
        let (fingerprint, shape) = shape.of("", true);
        Trip {
            fingerprint,
            shape,
            server: "replica-1",
            reason: Reason::LeastOutstanding,
            passed: &NONE,
            outcome: "miss",
            took: Duration::from_millis(1),
            ended: Moment::from_micros(ended),
        }
    }

    fn of(text: &str) -> Shape {
        let shape = Shape::default();
        shape.of(text, true);
        shape
    }

    #[test]
    fn statements_of_one_shape_are_counted_together_and_shown_without_literals() {
        let book = Book::default();
        for n in 0..3 {
            book.note(&trip(&of(&format!("SELECT v FROM t WHERE name = 'secret {n}'")), n));
        }
        book.note(&Trip { reason: Reason::Held, ..trip(&of("SELECT v FROM t WHERE name = 'secret'"), 9) });
        let routes = book.routes();
        let counts: Vec<_> = routes.iter().map(|route| (route.shape.as_str(), route.reason, route.count)).collect();
        let shape = "select v from t where name = ?";
        assert_eq!(counts, [(shape, Reason::Held, 1), (shape, Reason::LeastOutstanding, 3)]);
        assert_eq!(routes[1].took, Duration::from_millis(3));
    }

    #[test]
    fn what_is_kept_has_a_limit_and_the_oldest_goes() {
        let book = Book::default();
        for n in 0..10_000u64 {
            book.note(&trip(&of(&format!("SELECT c{n} FROM t")), n));
        }
        let routes = book.routes();
        assert!(routes.len() <= SHARDS * SHARD_LIMIT, "{}", routes.len());
        assert_eq!(routes[0].shape, "select c9999 from t");
        assert!(routes.iter().all(|route| route.last > Moment::from_micros(4_000)));
    }
}
