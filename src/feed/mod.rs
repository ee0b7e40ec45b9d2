//! Hears changes: the WAL stream, pings, catalog verification. Moves `coherence` forward. Knows no entries and no clients.

pub mod decode;
