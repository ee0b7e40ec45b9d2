//! # The shape of the whole
//!
//! ## One direction
//!
//! Proxies of this kind tend to end with most of their modules in one import cycle: the pool asks the session, the session the
//! parser, the parser the configuration, which is a global. Here a module uses only those below it, and a test
//! holds the order, so that the list in the test is the architecture. Each outside crate is named by one module, so that replacing
//! one is a folder's work.
//!
//! ## One request, not two protocols
//!
//! The simple and the extended query protocol meet in one request before any decision is taken. Rejected: a state machine for
//! each. Others have them side by side, and fix every bug twice.
//!
//! ## Frames are relayed, not decoded
//!
//! Frames are split by their header and copied as they came; a body is decoded only where its content decides something, and only inside
//! a frame whose length was checked. Decoding and encoding a reply of 23 messages took fifteen times the CPU of scanning it. Rejected: a
//! library's message loop on the way of a query, whose decoders trust lengths that come from outside.
//!
//! ## A transaction begins when it must
//!
//! Frameworks open a transaction around every request, and most of them only read. BEGIN is answered here and sent before the first
//! statement that needs it (`session/deferred.rs`). A read that could be a hit does not: each statement of a READ COMMITTED
//! transaction has a snapshot of its own, so the read runs alone and fills. What tells the time, locks or writes does need it.
//! Behind a read that a server has answered within it, a transaction is given no hit at level `session`: how new that read was is learned at its end.
//! Given up for this: the transaction's time is that of its first statement upstream. Rejected: BEGIN in the same batch as every
//! first read, which takes a connection for nothing and can fill nothing.
//!
//! ## Logic without I/O
//!
//! `coherence` and `route` do no I/O and read no clock: what is heard comes in, decisions go out. So the hard cases, an
//! order of commit, delivery and visibility that occurs once in a million, are tests that construct it.
//!
//! ## Configuration is a value
//!
//! Every setting is one row of a table from which flags, help, environment, file, `config.toml` and the README's table are made. It is read
//! once into a [`Config`](crate::config::Config) that holds what will be done; nothing reads a global. What contradicts itself is
//! refused at the start, with the setting's name, its source, its value (never a secret) and the reason.
//!
//! ## Observed at the edge
//!
//! Modules return outcomes; the session writes one record a request. Counts are plain atomics found by comparing addresses, and
//! Prometheus' view is made when it asks, since formatting labels for each query took 8 % of a hit's time.
