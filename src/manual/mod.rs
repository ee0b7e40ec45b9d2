//! Why Sidecache is as it is, with what was rejected. Pages to read, no code.
//!
//! 1. [`_1_architecture`]: the shape of the whole.
//! 2. [`_2_coherence`]: why a hit is right.
//! 3. [`_3_what_is_cached`]: what a statement must prove.
//! 4. [`_4_operating`]: running it, and what to look at when something is odd.

pub mod _1_architecture;
pub mod _2_coherence;
pub mod _3_what_is_cached;
pub mod _4_operating;
