//! Keeps opaque entries by key: memory (moka), then the shared tier (Redis). Does not know what the bytes mean.
//! The only module that names `moka` and `redis`.
