//! Sidecache: a PostgreSQL proxy whose cache is never wrong.
//!
//! # From above
//!
//! Clients connect to Sidecache as to PostgreSQL. Writes, and all that is not proven to be a read, go to the primary; proven reads
//! go to replicas that are fresh enough; reads whose answer provably depends on nothing but tables and known inputs are
//! kept, and given again as long as nothing they depend on has changed. What has changed is heard from the WAL, by logical decoding of the
//! primary, so that it does not matter who wrote.
//!
//! ```text
//!   clients ──> server ──> session ──┬─> route      what is it, where may it go, and why
//!                                    ├─> cache ───> store       memory, then Redis
//!                                    │     └──────> coherence   may this be served, may this be stored
//!                                    └─> upstream ─> primary, replicas
//!   WAL ─────> upstream ──> feed ──────> coherence, catalog
//! ```
//!
//! # Modules, in one direction
//!
//! A module uses only those below it, and an outside crate has one owner; `tests/tidy.rs` holds both.
//!
//! | module | in a line | does not know |
//! |---|---|---|
//! | [`server`] | listens, limits, answers operators by HTTP and on the console, reloads, drains; wires everything together | what a request is |
//! | [`session`] | one client's connection: startup, authentication, batches into requests, transactions, settings, pins, relay | Redis, SQL text |
//! | [`route`] | pure: a statement and the catalog make a plan; plan, session and servers make a destination | I/O |
//! | [`cache`] | key to entry: a hit, a permit to fill, or a wait | sockets, SQL |
//! | [`feed`] | hears changes and keeps the catalog; moves `coherence` forward | entries, clients |
//! | [`coherence`] | a state machine of positions, stamps and floors | everything else; it has no I/O and no clock |
//! | [`store`] | keeps opaque entries by key, in memory and in Redis | what the bytes mean |
//! | [`upstream`] | PostgreSQL's side: connect, pool, watch, cancel, replication protocol | clients, the cache |
//! | [`catalog`] | what names mean, one immutable snapshot a version | sessions, I/O |
//! | [`sql`] | text to statement: kind, names, functions | connections, the catalog |
//! | [`wire`] | frames both ways, lengths checked, TLS | what a query is |
//! | [`telemetry`] | every metric, label and log format | what is measured |
//! | [`config`], [`types`] | what was configured, validated; positions, relations, instants | – |
//!
//! # One request's way
//!
//! `server::listen` accepts a connection and hands it to `session` unread. The session lets the client prove itself and reads frames up to a
//! `Sync`, a `Flush` or a simple query; from there nobody asks which protocol it was. The statement's *plan* is made once and kept: its kind, and
//! either a *recipe* (the relations it depends on) or the one reason why it is not cached.
//!
//! **A hit.** The key is made of plan, session inputs, parameters and formats. `cache` finds the entry and `coherence` judges it: same epoch,
//! and for each relation the position of its last change is at or before the entry's *stamp*; then the level's own condition. A few
//! atomic loads. The stored frames are written, with the session's own `ReadyForQuery`.
//!
//! **A miss.** The lookup returns the one permit to fill this key; whoever else asks for it waits, for a bounded time. The query goes upstream in one
//! batch with a question to PostgreSQL about what the query could see. The answer is relayed at once and copied
//! aside. At its clean end the permit stores it, if `coherence` finds that every change heard so far was visible to it.
//!
//! **A write** is relayed to the primary. When it ends, the session learns a position at or past its commit, its *floor*: until
//! this instance has heard the WAL up to there, the session's reads go to the primary.
//!
//! # What always holds
//!
//! 1. **Fail towards the primary.** What does not parse, what the catalog does not know, a stream that is late, a store that errs:
//!    the statement runs on the primary, uncached, with its reason counted. No failure of the cache is an error for a client.
//! 2. **Judged at every hit.** An entry is served because its stamp proves it now, whatever tier it came from (or, without a stream, because
//!    a rule allows its age). Nothing is deleted in order to
//!    be right, so no late fill, lost message or reverted Redis can make a wrong hit.
//! 3. **Nothing crosses epochs.** Another incarnation of the primary shares no entry, floor or connection with the one before.
//! 4. **Every refusal has one variant and one label**, which metrics, `explain` and logs read alike.
//! 5. **Bytes from outside never panic**, whichever side they come from; a broken invariant always does.
//! 6. **A client proves who it is**, however warm the pool is, and upstream it is itself: keys, not clients, separate roles.
//! 7. **Everything has a limit**: clients, connections, frames, entries, labels, waits.
//!
//! # Without a stream
//!
//! Where changes cannot be heard, and only there, an entry may be kept by the clock instead: its statement's tables are all named by rules of
//! the configuration (`route::ttl`), it was filled on the primary (`cache::timed`), it is younger than the shortest of
//! their times, and nothing was written through this instance since. An entry is of one kind or the other, and no reader is given the kind
//! that it did not ask for.
//!
//! Why things are as they are is told in [`manual`].

pub mod cache;
pub mod catalog;
pub mod coherence;
pub mod config;
pub mod feed;
pub mod manual;
pub mod route;
pub mod server;
pub mod session;
pub mod sql;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod upstream;
pub mod wire;
