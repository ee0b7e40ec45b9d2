//! Keeps opaque entries by key: memory (moka) first, then a tier that instances share (Redis). Does not know what the
//! bytes mean nor whether they are still true: whoever reads must judge what it gets. The only module that names
//! `moka` and `redis`.

pub mod memory;
pub mod shared;
