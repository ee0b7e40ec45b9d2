//! # What a statement must prove
//!
//! Refused unless proven: a new syntax, function or object is not cached until somebody has shown that it may be. Each reason is one variant of
//! [`Refusal`](crate::route::plan::Refusal) with one label, which `sidecache explain`, `/status` and metrics show.
//!
//! * **One statement that reads**: `SELECT`, `VALUES`, `TABLE`, `WITH … SELECT`, without locking clause, `INTO` or a CTE that writes.
//! * **Every name resolves**, by the session's own `search_path`, to a table or view whose changes are heard. A view depends on its tables and on
//!   itself, a partitioned table on its partitions, a table on what inherits from it.
//!   Its rows are in its own heap, of which the stream tells: not where an access method of an extension's puts them, nor in other tables (Citus,
//!   TimescaleDB's compression).
//! * **Every function, operator and cast is immutable**, in the text and behind views, or one of PostgreSQL's own stable ones that are known to
//!   depend on nothing but their arguments and settings that are in the key, or a stable one in SQL whose body proves the same. One that is marked
//!   immutable though its source reads tables or settings counts as stable, and one that names a volatile one as volatile. All others are refused, and so are
//!   `now()`, `current_date`, and strings such as `'today'` where they could become dates.
//! * **Every policy of row-level security** that bears on reading is judged as a view's definition is: what it reads, the answer depends on.
//! * **Every setting that is asked for** (`current_setting`) is written out and one of the users' own, with a dot in its name.
//! * **The session is clean**: its settings are known, it has no temporary objects, and its transaction has written nothing and is READ COMMITTED.
//!   Nor has a server a portal of its open that a hit would take the place of.
//! * **The execution is whole**: all rows, no error, no notice, no larger than `entry_limit`.
//!
//! ## Why the parser may be wrong
//!
//! The parser is not PostgreSQL's. Over PostgreSQL's own 19,942 regression statements it never took a write or a lock for a read, but it
//! reads `FROM ONLY t` as a table called `only`, and two adjacent strings as an alias. What is not certain is refused: the text is
//! scanned for such forms before its parse is believed, and long or deep texts are not parsed at all.
//!
//! ## What is understood once
//!
//! A plan is kept by its text, without comments. A new text that differs from one before it in literals alone takes over what was understood of
//! that one, and is neither parsed nor judged; its key is its own, since the literals are in the text. They may differ where the
//! planner does not look at them, and nowhere else: numbers, and plain strings that hold no `now`, `today` and the like and are not the argument of
//! `current_setting` ([`template`](crate::sql::template)). All other tokens are the same, byte for byte; the fingerprint, by which rules and
//! metrics name a statement, folds far more and proves nothing.
//!
//! ## The key
//!
//! Database, role, every setting of the session that differs from its start (but for those that cannot change a result), the text without
//! comments, the parameters' types, the raw parameters, the formats. Whole keys are compared, not hashes.
//!
//! ## Tenants
//!
//! Policies are judged whatever the role: which of them apply to whom, and who is exempt, follows from the role in the key and from the
//! catalog, of which every change (of policies, owners, roles, memberships) is another version. Two rows of one table never
//! meet in an entry that both roles could be given.
//!
//! `current_setting('app.tenant', true)` is more than its name: never set it is NULL, set and taken back it is empty, a role or database may
//! give it a value to start with, and a trigger may set it unseen. So a session is asked first, which knows what it has set itself,
//! and what it is not certain of is not looked up. And an answer that depends on such settings is stored only if the connection, asked in the
//! same round, had just the values that the key stands for. Where a trigger, a default or a rule calls a function that sets things, a session is
//! certain after a write only of what it sets anew, and the connection is compared with what it was: the settings that sources name, and all that
//! PostgreSQL shows as set in the session. What differs is that session's own, which keeps the connection.
//!
//! Rejected: remembering for each connection what was ever set on it. It would have to see through every function; asking sees the
//! values themselves.
//!
//! Not cached: policies with `SECURITY DEFINER` functions or such in other languages than SQL, whose bodies are not read.
//!
//! Rejected: keys by *fingerprint*, the statement's shape without its literals. They are alike for different tables, schemas and limits.
//!
//! ## What puts the catalog in doubt
//!
//! While it may have changed nothing is served, so that a doubt has to be worth it: DDL, what is not understood, and a volatile function of the users'
//! unless its source proves that it changes none. What proves it is the absence of words: PL/pgSQL and SQL have no DDL without its verb and no text that
//! is run without EXECUTE, and what a function calls stands before a parenthesis. What is called without standing there (triggers, defaults,
//! operators, views) counts for all of them, if there is one such that may change the catalog.
