//! # Why a hit is right
//!
//! ## The promise
//!
//! A hit equals the answer the primary would have given at some instant no older than S and, at level `session`, never before
//! the session's own last acknowledged write nor its last read.
//!
//! ## Stamps
//!
//! The WAL orders all changes. An entry carries a *stamp*: a position up to which it is known to include every commit that touches what
//! it depends on. For each relation this instance keeps the position of the last change heard. **An entry is servable iff for each
//! dependency the last change lies at or before the stamp**, in the same epoch. A commit that is heard moves one number for each relation it
//! touched, however many entries there are. Rejected: deleting entries on a change. A fill that was on its way when the
//! deletion ran is stored after it, and stays wrong for ever.
//!
//! ## WAL order is not visibility order
//!
//! On the primary a commit is written, flushed and streamed *before* new snapshots see it; with synchronous replication the gap lasts as long as the
//! replica takes. Between 7 and 10 % of commits were not yet visible to a read begun on hearing of them. So no position read on the
//! primary is a valid stamp by itself. A fill there asks for `pg_current_snapshot()` just before its query, in the same
//! batch, and is stored only if every commit heard that touches what it read is visible in that snapshot.
//!
//! On a replica it is the other way round: its snapshot function does not tell what is in progress, but what has been replayed is visible. A fill there
//! asks for the replay position in an earlier statement of the same batch, as every read there does.
//!
//! ## Where the stream begins
//!
//! A transaction may have written its commit record just before the stream's first position and become visible after. The stream will never
//! mention it. So after a start a transaction of our own is committed, and whatever was in progress in a snapshot that shows it is
//! suspect until a later snapshot shows its end.
//!
//! ## How late
//!
//! An instant and the primary's insert position are noted together; once the stream has passed that position, everything committed before
//! that instant is known. The staleness shown in metrics is the age of the newest such instant, by this process's monotonic clock alone.
//! Past S, hits stop. Rejected: comparing clocks of hosts, and the replica's own idea of its lag, which an idle primary makes wrong.
//!
//! ## What the WAL does not say
//!
//! Definitions change without row changes that logical decoding shows. A transaction that decodes to nothing may have been one: fills
//! and hits wait until a fingerprint of the catalog has been compared. DDL that passes through is seen at once. What is never in the
//! stream (unlogged and foreign tables, sequences, plain refreshes of materialized views) is not cached.
//!
//! A catalog that was changed is another catalog, and whatever was stored under the one before is void: a grant, a column, a function may bear
//! on anything. But tables are truncated, rewritten, indexed, made and dropped all day, and materialized views refreshed. Where the two
//! catalogs differ in nothing else, an entry stands if it depends on none of those relations. That what a name means depends on what does *not* exist
//! (a table in an earlier schema) does no harm: the key says what the names mean now. It must only be certain that they meant it when
//! the entry was filled, even where something was changed and changed back in between: that shows a comparison which was sent after the fill had
//! ended, had seen all that the fill may have seen, and found the catalog the same, with nothing heard since the fill began that may have been DDL. (What
//! was made and dropped leaves no trace to compare.) Entries in the shared tier are not known so well, and are void. Not done: the same
//! for definitions, whose dependents are more than relations. Functions of `regclass` and `regtype`, and what may be a cast to a table's row,
//! are not cached: what they give hangs on tables that they do not read.
//!
//! A transaction that changes both rows and definitions beside Sidecache looks like any that changes rows, and is found by the next comparison, half of S
//! after the last; until then hits are as old as that last one, which counts towards S. The event triggers of `sidecache setup` end this: they
//! write a message into the transaction, which then counts as one that changed the catalog as well. What is not known to have been read
//! before it is void, and so is what was filled between a change and its being taken back. The comparison stays: roles have no event triggers, and triggers can be dropped.
//!
//! ## Epochs
//!
//! System identifier, timeline, start time and the reset of statistics make an *epoch*. After a failover, a restore or a restart positions may
//! mean something else, so nothing is compared across epochs. A stream that breaks and comes back raises a floor below which no stamp is served.
//!
//! ## The shared tier
//!
//! Entries in Redis carry epoch, stamp and dependencies, sealed with a secret and the whole key. A reader holds them against positions that it
//! has heard itself. So a stale, swapped, forged or restored entry is a miss.
//!
//! ## Where nothing is heard
//!
//! Without a stream nothing can be proven, so nothing is cached, unless a rule of the owner's says how late answers from which tables may be. That is
//! another promise than the one above, so it is kept apart: in entries of another kind, in memory only, while no stream can be had as the
//! primary is set up, and not while one is merely broken, which would turn a moment's loss into stale answers. They are filled on the
//! primary, since nothing tells how late a replica is. Any request that is not a proven read drops them all before its client hears of its end: which
//! tables a statement writes, by triggers and foreign keys, is what only the stream would tell. Rejected: a time to
//! live beside the stream, as the ordinary way. It is wrong for most of its time and nobody can say when.
//!
//! ## The stream must not harm the database
//!
//! The slot is temporary: it ends with its connection and cannot keep WAL from being removed when Sidecache is gone. Heard is confirmed at
//! once, and if changes come faster than they can be taken in, the stream is dropped and made again. Rejected:
//! publications, which can make an UPDATE fail on a table without replica identity.
