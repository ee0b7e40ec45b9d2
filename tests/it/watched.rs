//! A Sidecache before a database of its own, with the three looks that tests of coherence take: a read that is
//! really served from the cache, a write beside it, and the counts that prove which of the two it was.

use crate::harness::cluster::Cluster;
use crate::harness::sidecache::{Sidecache, SidecacheBuilder};
use crate::harness::wire::Wire;

/// Sidecache before one database.
pub struct Watched<'a> {
    pub cluster: &'a Cluster,
    pub database: String,
    pub sidecache: Sidecache,
}

impl Watched<'static> {
    /// On the shared cluster, with this set up by `app`.
    pub fn shared(label: &str, setup: &str) -> Self {
        Watched::on(Cluster::shared(), label, setup)
    }
}

impl<'a> Watched<'a> {
    /// On this cluster, with this set up by `app`.
    pub fn on(cluster: &'a Cluster, label: &str, setup: &str) -> Self {
        Watched::with(cluster, label, setup, |builder| builder)
    }

    /// With other than the usual settings.
    pub fn with(
        cluster: &'a Cluster,
        label: &str,
        setup: &str,
        change: impl FnOnce(SidecacheBuilder) -> SidecacheBuilder,
    ) -> Self {
        let database = cluster.database(label);
        cluster.connect("app", &database).rows(setup);
        cluster.catch_up();
        let sidecache = change(Sidecache::build(cluster, &database)).start();
        Watched { cluster, database, sidecache }
    }

    /// On a [`Cluster::quiet`] one, where hits go on while nothing is heard: see [`Watched::unheard`].
    pub fn quiet(cluster: &'a Cluster, label: &str, setup: &str) -> Self {
        Watched::with(cluster, label, setup, |builder| builder.flag("--staleness", "60s"))
    }

    /// While this goes on, Sidecache hears of no change: what it knows of writes it knows by itself.
    pub fn unheard<T>(&self, what: impl FnOnce() -> T) -> T {
        let _stalled = self.cluster.stall_streams(&self.database);
        what()
    }

    /// A client through Sidecache.
    pub fn client(&self) -> Wire {
        self.sidecache.connect("app")
    }

    /// A client of the primary itself: beside Sidecache.
    pub fn beside(&self) -> Wire {
        self.cluster.connect("app", &self.database)
    }

    /// Hits so far.
    pub fn hits(&self) -> u64 {
        self.sidecache.count("/cache/hits")
    }

    /// Fills that were stored so far.
    pub fn stored(&self) -> u64 {
        self.sidecache.count("/cache/fills_stored")
    }

    /// Waits until everything committed by now has been heard, by Sidecache and by the replicas.
    pub fn hear(&self) {
        self.sidecache.await_stream(self.cluster);
        self.cluster.catch_up();
    }

    /// Whether this reading is served from the cache, and what it gives.
    pub fn look<T>(&self, read: impl FnOnce() -> T) -> (bool, T) {
        let before = self.hits();
        let value = read();
        (self.hits() > before, value)
    }

    /// Reads until the answer is served from the cache, and gives it.
    pub fn warm(&self, client: &mut Wire, read: &str) -> String {
        let mut last = String::new();
        let warm = crate::harness::within(crate::harness::PATIENCE, || {
            let (hit, rows) = self.look(|| text(&client.rows(read)));
            last.clone_from(&rows);
            hit.then_some(rows)
        });
        warm.unwrap_or_else(|| panic!("{read}: never a hit; the last answer was {last}; {:#}", self.sidecache.status()))
    }

    /// That the statement is answered right, and never from the cache: twice, since the first time would fill it.
    pub fn never_cached(&self, client: &mut Wire, read: &str) {
        // What was filled for a client is stored before its next statement is looked at.
        client.rows("SELECT 1");
        let (hits, stored) = (self.hits(), self.stored());
        for _ in 0..2 {
            client.query(read).unwrap_or_else(|e| panic!("{read}: {e}"));
        }
        assert_eq!((self.hits(), self.stored()), (hits, stored), "{read} was cached");
    }
}

/// Rows as one comparable text, such as `1,a;2,-`.
pub fn text(rows: &[Vec<Option<String>>]) -> String {
    let row = |row: &Vec<Option<String>>| row.iter().map(|c| c.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(",");
    rows.iter().map(row).collect::<Vec<_>>().join(";")
}
