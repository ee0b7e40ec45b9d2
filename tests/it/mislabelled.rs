//! Functions that users made and whose label, or whose result, says less than the truth (C12, C22): marked immutable though they read tables or
//! settings, and giving what hangs on the catalog or on the day.

use crate::watched::Watched;

/// What is marked immutable and reads a table changes with it; what cannot be looked into is not stored.
#[test]
fn c12_functions_that_are_wrongly_marked_immutable_are_never_older() {
    let watched = Watched::shared(
        "c12_marked",
        "CREATE TABLE prices(id int PRIMARY KEY, p int); CREATE TABLE items(id int, made date); INSERT INTO prices VALUES (1, 10);\
         INSERT INTO items VALUES (1, '2026-01-02');\
         CREATE FUNCTION price_of(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT p FROM prices WHERE id = i';\
         CREATE FUNCTION price_in(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT p FROM prices WHERE id = i); END';\
         CREATE FUNCTION price_by(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT price_in(i)';\
         CREATE FUNCTION whose() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN current_setting(''app.who'', true); END';\
         CREATE FUNCTION year_of(d date) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
             'BEGIN IF d IS DISTINCT FROM NULL THEN RETURN extract(year FROM d); END IF; RETURN 0; END';\
         CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * i';\
         CREATE VIEW priced AS SELECT id, price_of(id) AS price FROM items",
    );
    let mut client = watched.client();
    let reads = ["SELECT price_of(id) FROM items", "SELECT price FROM priced"];
    for read in reads {
        assert_eq!(watched.warm(&mut client, read), "10", "{read}");
    }
    client.rows("UPDATE prices SET p = 20");
    for read in reads {
        assert_eq!(client.value(read), "20", "{read}, behind a write of its own");
    }
    watched.beside().rows("UPDATE prices SET p = 30");
    watched.hear();
    for read in reads {
        assert_eq!(client.value(read), "30", "{read}, behind a write beside");
    }
    for read in
        ["SELECT id, price_in(id) FROM items", "SELECT id, price_by(id) FROM items", "SELECT id, whose() FROM items"]
    {
        watched.never_cached(&mut client, read);
    }
    for read in ["SELECT twice(id) FROM items", "SELECT year_of(made) FROM items"] {
        watched.warm(&mut client, read);
    }
}
