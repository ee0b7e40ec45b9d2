//! # Running it
//!
//! ## Before the start
//!
//! `sidecache check` reads the same settings as `serve` and asks every server. Each line is `ok`, `warn` or `FAIL`, and what follows `>` is what
//! to run. It exits with 1 if anything failed, `auth_query` included, which is asked once, for Sidecache's own user. `sidecache setup` prints the SQL for event triggers, which nothing needs and which make DDL known
//! sooner (see [`super::_2_coherence`]); it is for one database, and idempotent.
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
//! | how much WAL does the primary keep for it? | `sidecache_retained_wal_bytes`: past `max_retained_wal` the stream ends |
//! | are changes heard? | `sidecache_stream_state`; `stream.reason` in `/status` |
//! | why do replicas get no reads? | `sidecache_replicas_passed_over_total`; `servers` in `/status`; `SHOW REPLICAS` and `SHOW ROUTES` on the console |
//! | what becomes of this statement? | `EXPLAIN (SIDECACHE) …` in a session like the application's; `SHOW QUERIES` |
//! | why are connections not shared? | `sidecache_pins_total` by `reason` |
//! | who listens, and by how many connections? | `sidecache_listening_sessions`, `sidecache_listening_connections`; `listening` in `/status`; `SHOW SERVERS` |
//! | what are hits held against? | `cache.basis` in `/status`: `stream`, `ttl` (rules alone), `none`; requests of kind `ttl` |
//! | is Redis asked? | a line in the log at each change; `sidecache_redis_state`, `sidecache_shared_misses_total`; `redis` in `/status` |
//! | who is turned away? | `sidecache_clients_refused_total` by `reason`; a line in the log for each, with user, database and address |
//! | do clients wait for connections? | `sidecache_pool_wait_seconds`; `sidecache_server_waiting` |
//! | how full are the pools? | `sidecache_server_connections`, `sidecache_server_connections_idle` by `server`, beside `sidecache_pool_size` (for each user and database); `sidecache_sessions` beside `sidecache_max_clients`; `servers` and `limits` in `/status`; `SHOW POOLS` |
//! | what took too long? | `sidecache_query_timeouts_total`, `sidecache_pool_timeouts_total`; a line in the log for each |
//!
//! ## States of the stream
//!
//! `connecting`, `proving` (it runs, and what could hide before its start is being found out), `live`, `lost` (it broke and is made
//! again), `cold`, `off`. Hits are served only in `live`; in `off`, those that `[[ttl]]` rules allow.
//!
//! ## Failover
//!
//! Every server is asked who it is, replicas every 100 ms. A replica that says it takes writes, in the same cluster and on a later timeline,
//! is the primary from then on; nothing goes to the old one again, alive, back or restarted, until it follows the new one. Sessions that
//! hold a transaction on it are told 57P01, and so are replication connections to it (those that are in the middle of a message just end). At the start the same holds of a later timeline that was heard before the configured primary was;
//! if that one says nothing for 2 s, who takes writes on the latest timeline of one cluster leads. A primary that is heard at the start, or again after a
//! restart, while a replica of its cluster is on a later timeline is an old one: nobody leads, sessions are refused (08006) and `/readyz` says why, until
//! one that takes writes on that timeline is heard, or the replica follows the old one or has been gone for 10 s. Each new connection to the primary is asked
//! when its server started: if the address has come to lead elsewhere (a balancer), that connection is not used, and who is there now is asked at once. A connection that breaks, or reports another role (`in_hot_standby`), has its server asked at once, and a
//! replica is not used before it has answered. A pool that is full says nothing of a server's health.
//!
//! What the watch saw chooses a replica; what the replica says itself decides. Each batch that goes there begins with a question of ours: how
//! far it has replayed, whether it is in recovery, and when it started. If that is less than the session must see, or further behind than
//! `staleness`, nothing of the answer is relayed, the read goes to the primary (`not_as_seen`) and the watch asks again. So an address
//! may lead to several replicas (a balancer, a reader endpoint): none of them answers with less than it should.
//!
//! An error of a replica may be its own: what it lacks in recovery, its `statement_timeout` or `temp_file_limit`, its replay. As long as no row
//! was relayed, the read is sent to the primary (`failed_on_replica`, `replica_lost`), unless the client has cancelled it or it ran into a
//! timeout of the session's or of `query_timeout`. After that the client is told 40001 and keeps its session.
//! A read that has no row yet, on a replica that is too late and whose replay stands still, is looked up there (`pg_locks`): if it waits for
//! a lock, it is cancelled and the primary answers. Any other goes on.
//!
//! A replica that has replayed more than the primary, asked later, has written is of another history (the primary was restored from a backup, or two
//! replicas were promoted at once): it is passed over as `other_epoch`, and the log says so, until it is made anew or receives the primary's own
//! log beyond where its own ended. While two configured servers write on one timeline, no replica of that timeline is read. The primary itself by another name (an
//! endpoint of whoever takes writes, beside every server by its own) is not one of two. Of a server that is not
//! configured nothing is known: a replica of one that was promoted to the primary's timeline is found out only once it is ahead. A primary that has become a replica of another configured server hands the lead to that one, if that one takes
//! writes; as long as nobody is known to, `/readyz` says 503.
//!
//! On Aurora (known by its functions) the writer is who `aurora_replica_status()` says it is, and a reader succeeds it when it is gone. Readers tell
//! no position, only how late they are: they answer sessions at level `bounded`, while their lag and the age of its report are within
//! `staleness`, and nothing is cached from them. No function tells a server's zone: name it by `?zone=`.
//!
//! ## Settings of servers
//!
//! `postgresql.conf` and ALTER SYSTEM are not replicated. What the primary starts sessions with of the settings that decide answers is asked once for
//! each user and database, on a connection of its own, and again when the primary's configuration is reloaded or a role's settings change;
//! connections to replicas are opened with it, and compared once they are. A replica that differs all the same (`session_replication_role`, a
//! setting that its version lacks) is passed over for that user's reads as `unlike`, tried again after a second, and named in the log with what
//! differs. While the primary cannot be asked, no connection is opened to a replica for a user of whom nothing is known yet.
//!
//! ## Rules for routes
//!
//! `[[route]]` rules match by role, database, table and fingerprint; all conditions of a rule must hold, and the first rule that matches counts.
//! `destination = "primary"` and `cache = "off"` are strict; `replica` waits up to `staleness` for a replica that may answer, then goes to the primary;
//! `any` and `cache = "on"` keep later rules away. Where it cannot be told which tables a statement reads, strict rules for tables hold. A hint in a
//! comment (`route=primary`, `route=replica`) counts beside them and is never laxer than a rule. Hits are no matter of destination: they ask no server.
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
//! share; where they fill it, Sidecache's own user is asked whether the database still lets the role in (`CONNECT`, `ALLOW_CONNECTIONS`), and a client
//! is refused as by the server if that user cannot ask. A changed password works from the first attempt after one that failed.
//!
//! **Who guesses waits.** Failed proofs are counted for each user and address (IPv6: each /64; all of a Unix socket are one). The first five
//! cost nothing; then each further attempt of that user from there waits, doubling from 250ms up to `auth_failure_delay`, within
//! `auth_timeout`, before anything is looked up. An address that fails for many users is slowed for all that it tries, but not for a user whose
//! right password was shown from there before. A right password waits for the bound at most, and forgets that user's failures. Of one user's
//! proofs from one address 32 are looked at in the time that one waits; more are refused with 53400. So who shares the address of an application (a
//! sidecar's host, a balancer) and knows its user's name can make it wait, and keep it out for as long as it tries wrong passwords on that name
//! that fast; with other names it cannot.
//! A failure makes `auth_query` be asked again three times in ten seconds at most. `sidecache_authentication_failures_total` counts
//! by reason, and each is a line in the log. Checking proofs and deriving keys takes half of the processors at most.
//!
//! **Certificates** (`tls_client_ca`, `tls_client_auth`) count on TCP connections as in `pg_hba.conf`: `verify-ca` and `verify-full` beside
//! the password, `cert` in its place. Where no password is asked for none is learned, so the users file must hold the one that logs in upstream; a
//! SCRAM secret does not (28000), unless the primary asks for nothing.
//!
//! **`auth_method`** is `scram` unless told otherwise. `md5` is PostgreSQL's: a challenge for who has a password or an `md5…` hash in the users
//! file (or in what `auth_query` gives), SCRAM for who has a SCRAM secret. A hash logs in upstream only where `pg_hba.conf` says `md5`.
//! `trust` asks for nothing: users must still be among those who may connect, and need a password in the file if the primary
//! asks for one. Unless `auth_trust_any_address` is set, it is refused with a listener that other machines reach.
//!
//! **Towards servers** the login is bound to the server's certificate where TLS allows it, our own connections included.
//! `channel_binding=require` in a server's URL refuses any other, `disable` forgoes it, as with libpq.
//! A server whose certificate is signed by Ed25519 or RSA-PSS needs `disable`: nothing can be bound to it.
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
//! ## Changing settings
//!
//! SIGHUP, or `RELOAD` on the console, reads flags, environment, file, users and certificates anew. All of it counts, or nothing: what cannot be
//! used is said in the log and in `reload.error` of `/status`. Settings that are read at the start only (`SHOW CONFIG` says which) are named
//! in the log, in `reload.restart_needed` and to the operator. Until a restart the users file has to fit them as they are in force: one with md5
//! hashes beside a new `auth_method` is refused. Sessions that are in stay in, whatever became of their users.
//!
//! ## The console
//!
//! `psql -d sidecache`, for those whom `admin_users` names, with their password of the users file; without `admin_users`, for the user of the
//! primary's URL alone and on a Unix socket alone, unless that user's own database is called `sidecache`. Where it is not open, the name means a
//! database of the server's. `SHOW HELP` lists the commands; tables have PgBouncer's names, and NULL where PgBouncer measures what is not measured
//! here. Operators get in when `max_clients` are there already.
//!
//! `PAUSE` closes idle connections to servers, lets transactions end, and returns when no session has a connection. From its beginning on, sessions
//! wait for connections without a limit, and so do clients whose login has to be asked for anew; hits go on. `RESUME` lets them through, and ends a
//! `PAUSE` that has not returned (57014); so does an operator who cancels or leaves before `PAUSE` has
//! returned, and SIGTERM. A session that is pinned keeps its connection until what pins it is gone, and any in pool mode `session` until it ends;
//! `PAUSE` waits for them.
//! SIGUSR1 is `PAUSE` and SIGUSR2 is `RESUME`, as with PgBouncer.
//! Sessions that listen on a shared connection (below) are ended by it, with 57P01: they would lose notifications. Sidecache's own connections (the watch, the
//! stream) are not paused.
//!
//! ## A new version without refusing anyone
//!
//! With `reuse_port = true` (of the old process, too), on Linux:
//!
//! 1. Start the new process with the same `listen`, as the same system user. From here on the kernel gives clients to both; a Unix socket is the new
//!    one's once it can serve: one that fails at its start leaves it alone. One that has served takes the path along when it ends: to go back, start
//!    the old version anew in the same way before that. `http` is shared as well, until the old process has ended, and either answers: give the new
//!    process another address where probes are to reach it alone.
//! 2. When its `/readyz` says 200, send the old one SIGTERM. It drops the first packet of whoever begins to connect to it, so that the client's
//!    system sends it again, a second later, to the new one; takes those who had begun; and lets who has just come ask once (5 s).
//! 3. It ends sessions between transactions with 57P01, as ever, and itself with 0 when none is left or `drain_timeout` is over.
//!
//! What is not carried over: a CancelRequest for a session of the old process that reaches the new one does nothing, and the cache of the new one fills
//! from Redis or anew. While both run each may open `pool_size` connections, and each has a replication slot of its own.
//!
//! ## Limits on connections and on time
//!
//! Past `pool_size` sessions wait in the order in which they came; past `pool_reserve_after` one of `pool_reserve` may be had; past
//! `pool_timeout` they are told 53300 and the session goes on. What takes longer than `query_timeout` is cancelled on its server (57014, "due to query timeout");
//! if that does not end it within five seconds, connection and session end. `transaction_idle_timeout` (25P03) counts as well for an
//! extended batch without its Sync; `client_idle_timeout` (57P05) for all other silence.
//!
//! ## LISTEN
//!
//! With transaction pooling, one connection for each account and database listens on the primary for every session that does, beside `pool_size`; the first
//! LISTEN opens it and the last UNLISTEN closes it. Before such a session is told that it may go on, that connection is asked once, so that nothing
//! comes later than it would directly: each of its requests takes one round trip more, those that may NOTIFY two, and who does not listen pays nothing.
//!
//! If that connection ends, its sessions have lost notifications and are ended as a connection of their own would have ended: with the server's last word, with
//! 08006, or with 57P01 where it was given up (`PAUSE`, another primary). Where more than 16 MB wait for a session that does not read, or stays in a
//! transaction block, it is ended with 54000 (PostgreSQL would fill its queue, and then refuse everybody's NOTIFY). A session that is not to be followed any more
//! (a text of several statements with LISTEN, a function or `DO` that may, a savepoint before LISTEN, another client encoding, `pg_listening_channels()`)
//! comes to listen on a connection of its own and is pinned to it, `sidecache_pins_total{reason="listen"}`; nothing is lost or told twice on the way.
//! In a transaction block that has reached a server before, that is at its end: `pg_listening_channels()` says nothing of it until then.
//!
//! The process id in a notification: a session's own have the number that its client was told in BackendKeyData, so that a client that skips its own does.
//! Those of other clients have their server connection's, which other sessions may have had before and after; it never equals a client's own.
//!
//! ## Secrets
//!
//! Passwords come in URLs, the users file and `SIDECACHE_REDIS_SECRET`; they are not in logs, metrics, `/status` or errors. Prefer the
//! environment or the file to flags, which other users of the machine can read. HTTP has no authentication: it listens on
//! 127.0.0.1 unless told otherwise.
