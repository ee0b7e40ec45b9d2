//! What the shop's visitors do: seeded, so that each phase does the same, and recorded, so that every read can be
//! judged afterwards.

use crate::invariants::{Micros, Read, Register, SessionId, Write};
use crate::meter::Meter;
use crate::shop::{CATEGORIES, CUSTOMERS, PRODUCTS, Pages};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Error, NoTls, Row};

/// A small generator (SplitMix64): the same seed gives the same visit.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly between 0 and 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of 1 to `n`, the first ones much more often: as popularity is.
    pub fn popular(&mut self, n: i32) -> i32 {
        (f64::from(n).powf(self.share()) as i32).clamp(1, n)
    }
}

/// What has versions in the shop.
#[derive(Clone, Copy)]
pub enum Thing {
    /// A product's row, by its version column.
    Product(i32),
    /// A customer's orders, by the newest one's id.
    Orders(i32),
    /// A product's reviews, by the newest one's id.
    Reviews(i32),
}

impl Thing {
    pub fn register(self) -> Register {
        let (kind, id) = match self {
            Thing::Product(id) => (1_u64, id),
            Thing::Orders(id) => (2, id),
            Thing::Reviews(id) => (3, id),
        };
        Register(kind << 32 | u64::from(id.unsigned_abs()))
    }
}

/// A connection with the shop's statements prepared, and what was seen and done on it.
pub struct Session {
    id: SessionId,
    client: Client,
    pages: Pages,
    start: Instant,
    pub reads: Vec<Read>,
    pub writes: Vec<Write>,
}

impl Session {
    /// Connects; instants are counted from `start`.
    pub async fn connect(url: &str, id: u32, start: Instant) -> Result<Session, Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let pages = Pages::prepare(&client).await?;
        Ok(Session { id: SessionId(id), client, pages, start, reads: Vec::new(), writes: Vec::new() })
    }

    fn now(&self) -> Micros {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn saw(&mut self, thing: Thing, version: i64, began: Micros) {
        let (session, register, version) = (self.id, thing.register(), version.unsigned_abs());
        self.reads.push(Read { session, register, version, began, ended: self.now(), how: "page" });
    }

    fn did(&mut self, thing: Thing, version: i64, began: Micros) {
        let (session, register, version) = (self.id, thing.register(), version.unsigned_abs());
        self.writes.push(Write { session, register, version, began, acked: Some(self.now()) });
    }

    /// A product's page; returns its version.
    pub async fn product(&mut self, id: i32) -> Result<i64, Error> {
        let began = self.now();
        let row = self.client.query_one(&self.pages.product, &[&id]).await?;
        let version = row.get(4);
        self.saw(Thing::Product(id), version, began);
        Ok(version)
    }

    async fn reviews(&mut self, product: i32) -> Result<(), Error> {
        let began = self.now();
        let rows = self.client.query(&self.pages.reviews, &[&product]).await?;
        self.saw(Thing::Reviews(product), newest(&rows), began);
        Ok(())
    }

    async fn history(&mut self, customer: i32) -> Result<(), Error> {
        let began = self.now();
        let rows = self.client.query(&self.pages.history, &[&customer]).await?;
        self.saw(Thing::Orders(customer), newest(&rows), began);
        Ok(())
    }

    /// Changes a product's price; returns its new version.
    pub async fn new_price(&mut self, product: i32, price: i32) -> Result<i64, Error> {
        let began = self.now();
        let row = self.client.query_one(&self.pages.new_price, &[&product, &price]).await?;
        let version = row.get(0);
        self.did(Thing::Product(product), version, began);
        Ok(version)
    }

    async fn new_review(&mut self, product: i32, customer: i32) -> Result<(), Error> {
        let began = self.now();
        let row = self.client.query_one(&self.pages.new_review, &[&product, &customer]).await?;
        self.did(Thing::Reviews(product), row.get(0), began);
        Ok(())
    }

    async fn new_order(&mut self, customer: i32, products: [i32; 2]) -> Result<(), Error> {
        let began = self.now();
        let transaction = self.client.transaction().await?;
        let order: i64 = transaction.query_one(&self.pages.new_order, &[&customer]).await?.get(0);
        for product in products {
            transaction.execute(&self.pages.new_item, &[&order, &product]).await?;
        }
        transaction.commit().await?;
        self.did(Thing::Orders(customer), order, began);
        Ok(())
    }

    /// One page, as often visited as shops' pages are.
    pub async fn visit(&mut self, dice: &mut Dice) -> Result<(), Error> {
        let page = dice.share();
        match page {
            ..0.30 => self.product(dice.popular(PRODUCTS)).await.map(drop),
            ..0.50 => self.reviews(dice.popular(PRODUCTS)).await,
            ..0.65 => self.client.query_one(&self.pages.card, &[&dice.popular(PRODUCTS)]).await.map(drop),
            ..0.80 => self.history(dice.popular(CUSTOMERS)).await,
            ..0.95 => self.client.query(&self.pages.category, &[&dice.popular(CATEGORIES)]).await.map(drop),
            _ => self.client.query(&self.pages.best_sellers, &[&dice.popular(CATEGORIES)]).await.map(drop),
        }
    }

    /// One change, followed by a look at what it changed.
    pub async fn change(&mut self, dice: &mut Dice) -> Result<(), Error> {
        let (product, customer) = (dice.popular(PRODUCTS), dice.popular(CUSTOMERS));
        match dice.share() {
            ..0.3 => {
                self.new_price(product, dice.popular(900)).await?;
                self.product(product).await.map(drop)
            }
            ..0.6 => {
                self.new_review(product, customer).await?;
                self.reviews(product).await
            }
            _ => {
                self.new_order(customer, [product, product % PRODUCTS + 1]).await?;
                self.history(customer).await
            }
        }
    }
}

fn newest(rows: &[Row]) -> i64 {
    rows.first().map_or(0, |row| row.get(0))
}

/// Visits pages until the end, and changes something every few seconds.
pub async fn browse(mut session: Session, seed: u64, meter: Arc<Meter>, end: Instant) -> Session {
    let mut dice = Dice::new(seed);
    let pause = |dice: &mut Dice| Duration::from_secs_f64(4.0 + 8.0 * dice.share());
    let mut next_change = Instant::now() + pause(&mut dice);
    loop {
        let began = Instant::now();
        if began >= end {
            return session;
        }
        let done = if began >= next_change {
            next_change = began + pause(&mut dice);
            meter.writes.fetch_add(1, Ordering::Relaxed);
            session.change(&mut dice).await
        } else {
            let done = session.visit(&mut dice).await;
            meter.latency.record(began.elapsed());
            done
        };
        if let Err(error) = done {
            eprintln!("a statement failed: {error:?}");
            meter.errors.fetch_add(1, Ordering::Relaxed);
            if session.client.is_closed() {
                return session;
            }
        }
    }
}

/// Changes popular products beside Sidecache, and measures how long each way to read them goes on without showing it.
pub async fn beside(
    mut writer: Session,
    mut probes: Vec<Session>,
    seed: u64,
    meter: Arc<Meter>,
    end: Instant,
) -> Vec<Session> {
    let mut dice = Dice::new(seed);
    while Instant::now() < end {
        let product = dice.popular(50);
        // Twice, so that a cache holds the page.
        for _ in 0..2 {
            for probe in &mut probes {
                count(&meter, probe.product(product).await);
            }
        }
        let Some(version) = count(&meter, writer.new_price(product, dice.popular(900)).await) else { break };
        let acked = Instant::now();
        meter.writes.fetch_add(1, Ordering::Relaxed);
        let looking = probes.iter_mut().map(|probe| async {
            while Instant::now() < end + Duration::from_secs(5) {
                if count(&meter, probe.product(product).await)? >= version {
                    meter.staleness.record(acked.elapsed());
                    return Some(());
                }
            }
            None
        });
        if futures_util::future::join_all(looking).await.contains(&None) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    probes.push(writer);
    probes
}

fn count<T>(meter: &Meter, result: Result<T, Error>) -> Option<T> {
    result
        .inspect_err(|error| {
            eprintln!("a statement failed: {error:?}");
            meter.errors.fetch_add(1, Ordering::Relaxed);
        })
        .ok()
}
