//! Depth first through every schedule, each state once. Knows states only by what [`World`] says of them.

use super::world::{Step, World};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// What was gone through without finding anything wrong.
#[derive(Debug, Default)]
pub(super) struct Explored {
    pub(super) states: usize,
    /// Whole schedules, from the beginning to where nothing more can happen.
    pub(super) schedules: u128,
    /// How often an entry was judged servable: in states where none ever is, nothing is shown.
    pub(super) served: u64,
}

/// A schedule after which an entry was served that must not be.
#[derive(Debug)]
pub(super) struct Found {
    what: String,
    schedule: Vec<Step>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:?}", self.what, self.schedule)
    }
}

/// States are known by 128 bits of hash.
struct Search {
    hashers: [RandomState; 2],
    /// How many schedules lead on from a state.
    known: HashMap<[u64; 2], u128>,
    served: u64,
    schedule: Vec<Step>,
}

pub(super) fn explore(world: World) -> Result<Explored, Found> {
    let hashers = [RandomState::new(), RandomState::new()];
    let mut search = Search { hashers, known: HashMap::new(), served: 0, schedule: Vec::new() };
    let schedules = search.visit(&world)?;
    Ok(Explored { states: search.known.len(), schedules, served: search.served })
}

impl Search {
    fn visit(&mut self, world: &World) -> Result<u128, Found> {
        let id = [self.hashers[0].hash_one(world), self.hashers[1].hash_one(world)];
        if let Some(schedules) = self.known.get(&id) {
            return Ok(*schedules);
        }
        match world.check() {
            Ok(served) => self.served += served,
            Err(what) => return Err(Found { what, schedule: self.schedule.clone() }),
        }
        let mut schedules = 0;
        for step in world.steps() {
            self.schedule.push(step);
            let mut next = world.clone();
            next.take(step);
            schedules += self.visit(&next)?;
            self.schedule.pop();
        }
        // Every step brings something forward, so there are no cycles, and a state without steps ends one schedule.
        let schedules = schedules.max(1);
        self.known.insert(id, schedules);
        Ok(schedules)
    }
}
