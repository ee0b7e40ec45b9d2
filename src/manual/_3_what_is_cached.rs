//! # What a statement must prove
//!
//! Refused unless proven: a new syntax, function or object is not cached until somebody has shown that it may be. Each reason is one variant of
//! [`Refusal`](crate::route::plan::Refusal) with one label, which `sidecache explain`, `/status` and metrics show.
//!
//! * **One statement that reads**: `SELECT`, `VALUES`, `TABLE`, `WITH … SELECT`, without locking clause, `INTO` or a CTE that writes.
//! * **Every name resolves**, by the session's own `search_path`, to a table or view whose changes are heard. A view depends on its tables and on
//!   itself, a partitioned table on its partitions, a table on what inherits from it.
//! * **Every function, operator and cast is immutable**, in the text and behind views, or one of PostgreSQL's own stable ones that are known to
//!   depend on nothing but their arguments and settings that are in the key; all others are refused, and so are
//!   `now()`, `current_date`, and strings such as `'today'` where they could become dates.
//! * **The session is clean**: its settings are known, it has no temporary objects, and its transaction has written nothing and is READ COMMITTED.
//! * **The execution is whole**: all rows, no error, no notice, no larger than `entry_limit`.
//!
//! ## Why the parser may be wrong
//!
//! The parser is not PostgreSQL's. Over PostgreSQL's own 19,942 regression statements it never took a write or a lock for a read, but it
//! reads `FROM ONLY t` as a table called `only`, and two adjacent strings as an alias. What is not certain is refused: the text is
//! scanned for such forms before its parse is believed, and long or deep texts are not parsed at all.
//!
//! ## The key
//!
//! Database, role, every setting of the session that differs from its start (but for those that cannot change a result), the text without
//! comments, the parameters' types, the raw parameters, the formats. Whole keys are compared, not hashes.
//!
//! Rejected: keys by *fingerprint*, the statement's shape without its literals. They are alike for different tables, schemas and limits.
