//! A look into memory that changes nothing: for explanations. Counts nothing, boards no flight, gives no entry away.

use super::{Basis, Cache};
use crate::coherence::{Demand, Unservable};
use crate::types::Moment;
use std::sync::atomic::Ordering;

/// What a lookup would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    Hit,
    Absent,
    /// It is there and may not be served.
    Refused(Unservable),
}

impl Cache {
    /// What [`Cache::lookup`] would find.
    pub fn peek(&self, key: &[u8], description: bool, demand: &Demand) -> Peek {
        let Some(entry) = self.memory.lookup(key) else { return Peek::Absent };
        match &entry.basis {
            Basis::Proven(proof) if !description || entry.row_description.is_some() => {
                self.coherence.judge(proof, demand).map_or_else(Peek::Refused, |()| Peek::Hit)
            }
            _ => Peek::Absent,
        }
    }

    /// What [`Cache::lookup_timed`] would find.
    pub fn peek_timed(&self, key: &[u8], description: bool, now: Moment) -> Peek {
        let Some(entry) = self.memory.lookup(key) else { return Peek::Absent };
        match &entry.basis {
            Basis::Timed(timed)
                if (!description || entry.row_description.is_some())
                    && now < timed.expires
                    && timed.writes == self.writes.load(Ordering::SeqCst) =>
            {
                Peek::Hit
            }
            _ => Peek::Absent,
        }
    }
}
