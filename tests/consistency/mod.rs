//! Many sessions, faults, and what must hold of all that they saw.

mod invariants;
