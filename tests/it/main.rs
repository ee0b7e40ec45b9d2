//! The tests that need real servers, in one program, so that linking and the shared cluster are paid for once.
//!
//! To add some: make `tests/it/yours.rs`, add `mod yours;` below, and begin a test with
//!
//! ```ignore
//! let cluster = Cluster::shared();                  // a primary and two replicas, shared by all ordinary tests
//! let database = cluster.database("r6_multi");      // an empty one of your own
//! let sidecache = Sidecache::start(cluster, &database);
//! let mut client = sidecache.connect("app");
//! assert_eq!(client.value("SELECT 1"), "1");
//! ```
//!
//! A test that stops, pauses, crashes or holds anything makes its own `Cluster::build().replicas(1).start()`: while a
//! commit is held, no other test on that cluster could begin to stream. `crate::harness` says what else there is:
//! faults (`harness::faults`), a raw protocol client (`harness::wire`), Redis, a bad network (`harness::proxy`).
//! Run a part with `cargo test --test it -- yours`.

#[path = "../harness/mod.rs"]
mod harness;

mod alike;
mod authentication;
mod balanced;
mod branches;
mod cacheable;
mod canaries;
mod cancels;
mod certificates;
mod client_death;
mod coherent;
#[path = "../consistency/mod.rs"]
mod consistency;
mod console;
#[path = "../corpus/mod.rs"]
mod corpus;
mod delivery;
mod differential;
#[path = "../drivers/mod.rs"]
mod drivers;
mod endpoints;
mod explained;
mod failover;
mod feed;
mod flushed;
#[path = "../fuzz/mod.rs"]
mod fuzz;
mod generated;
#[path = "../grammar/mod.rs"]
mod grammar;
mod guessing;
mod harness_smoke;
mod inputs;
mod left_behind;
mod left_settings;
mod limits;
mod listening;
mod methods;
mod mislabelled;
mod named;
mod odd;
mod operating;
mod parsed;
mod portals;
mod protocol;
mod query_cache;
mod races;
mod refused;
#[path = "../regress/mod.rs"]
mod regress;
mod reload;
mod replication;
mod rights;
mod routing;
mod ruled;
mod scripts;
mod sessions;
mod setup;
mod shapes;
mod shared_fleet;
mod stamping;
mod startup;
mod stream_faults;
mod tenants;
mod texts;
mod told;
mod transactions;
mod ttl;
mod twins;
mod upgrade;
mod watched;
