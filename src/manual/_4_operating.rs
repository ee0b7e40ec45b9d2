//! # Running it
//!
//! ## Before the start
//!
//! `sidecache check` reads the same settings as `serve` and asks every server. Each line is `ok`, `warn` or `FAIL`, and what follows `>` is what
//! to run. It exits with 1 if anything failed.
//!
//! ## Health
//!
//! * `/livez`: the process answers.
//! * `/readyz`: 503 until the primary has been reached once and, if the stream is needed, it is live or its absence has an
//!   explanation (`off`: the primary is not set up for it; `cold`: a transaction on the primary that is still open holds it up). From then
//!   on 200: when the primary is lost later, an instance that still answers some reads and says clearly what it cannot do is better than none. 503
//!   again while draining.
//!
//! ## What to look at
//!
//! | question | where |
//! |---|---|
//! | does it help? | `sidecache_saved_upstream_seconds`; `sidecache_requests_total` by `outcome` |
//! | why is so little cached? | `sidecache_bypasses_total` and `sidecache_fills_refused_total` by `reason`; `sidecache explain` for one statement |
//! | how stale can a hit be? | `sidecache_staleness_seconds`, NaN while nothing is served |
//! | are changes heard? | `sidecache_stream_state`; `stream.reason` in `/status` |
//! | why do replicas get no reads? | `sidecache_replicas_passed_over_total`; `servers` in `/status` |
//! | why are connections not shared? | `sidecache_pins_total` by `reason` |
//! | what are hits held against? | `cache.basis` in `/status`: `stream`, `ttl` (rules alone), `none`; requests of kind `ttl` |
//! | is Redis asked? | `sidecache_redis_state`, `sidecache_shared_misses_total`; `redis` in `/status` |
//! | who is turned away? | `sidecache_clients_refused_total` by `reason` |
//! | do clients wait for connections? | `sidecache_pool_wait_seconds` |
//!
//! ## States of the stream
//!
//! `connecting`, `proving` (it runs, and what could hide before its start is being found out), `live`, `lost` (it broke and is made
//! again), `cold`, `off`. Hits are served only in `live`; in `off`, those that `[[ttl]]` rules allow.
//!
//! ## Ending
//!
//! SIGTERM or SIGINT: not ready, no new clients, idle sessions are closed with 57P01, others when their transaction ends. After `drain_timeout`, or on
//! a second signal, the rest is cut off; their transactions are rolled back by PostgreSQL. Replication connections are cut at once: what they
//! say is not understood, so nobody knows when they rest.
//!
//! ## Who may log in
//!
//! A client proves itself by SCRAM, however warm the pool is, against the users file, else against what `auth_query` gives. Its proof
//! yields the key that logs in upstream, so the secret of `pg_authid` is enough and no password is kept. Then the primary itself must
//! let that user in: a login there, no older than `auth_refresh`, so that `VALID UNTIL`, `NOLOGIN`, changed passwords and
//! `pg_hba.conf` count within that time. Who is in stays in, as with PostgreSQL. `CONNECTION LIMIT` binds the pool's connections, which clients
//! share. A changed password works from the first attempt after one that failed.
//!
//! `auth_query` is run by Sidecache's own user with `search_path = pg_catalog`, the name as parameter. That user needs no superuser: let a
//! function look up, and nobody else call it.
//!
//! ```sql
//! CREATE SCHEMA sidecache_auth;
//! CREATE FUNCTION sidecache_auth.secret_of(who name, OUT usename name, OUT passwd text) RETURNS SETOF record
//!     LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
//!     AS 'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = who AND rolcanlogin';
//! REVOKE ALL ON FUNCTION sidecache_auth.secret_of(name) FROM PUBLIC;
//! GRANT USAGE ON SCHEMA sidecache_auth TO sidecache;
//! GRANT EXECUTE ON FUNCTION sidecache_auth.secret_of(name) TO sidecache;
//! ```
//!
//! ## Secrets
//!
//! Passwords come in URLs, the users file and `SIDECACHE_REDIS_SECRET`; they are not in logs, metrics, `/status` or errors. Prefer the
//! environment or the file to flags, which other users of the machine can read. HTTP has no authentication: it listens on
//! 127.0.0.1 unless told otherwise.
