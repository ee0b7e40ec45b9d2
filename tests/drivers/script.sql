-- psql: what people type, and what \d and its kin ask the catalog.
\set VERBOSITY verbose
\pset null '(null)'
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS ps CASCADE;
RESET client_min_messages;
CREATE SCHEMA ps;
CREATE TABLE ps.item (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2), tags text[]);
CREATE TABLE ps.sale (id serial PRIMARY KEY, item int REFERENCES ps.item ON DELETE CASCADE, at date);
CREATE VIEW ps.sold AS SELECT i.name, count(*) FROM ps.item i JOIN ps.sale s ON s.item = i.id GROUP BY 1;
INSERT INTO ps.item SELECT g, 'item ' || g, g * 1.5, ARRAY['a', NULL] FROM generate_series(1, 50) g;
INSERT INTO ps.sale (item, at) SELECT 1 + g % 50, date '2024-01-01' + g FROM generate_series(1, 200) g;
\d ps.item
\d+ ps.sold
\dn ps
SELECT * FROM ps.item WHERE id = 7;
SELECT * FROM ps.item WHERE id = 7;
SELECT * FROM ps.sold ORDER BY count DESC, name LIMIT 5;
SELECT * FROM ps.sold ORDER BY count DESC, name LIMIT 5;
SELECT name, price FROM ps.item WHERE id = 8 \gdesc
SELECT 1 AS a\; SELECT 2 AS b;
UPDATE ps.item SET price = 0 WHERE id = 7 RETURNING *;
SELECT * FROM ps.item WHERE id = 7;
DELETE FROM ps.item WHERE id = 7;
SELECT count(*) FROM ps.sale;
\set FETCH_COUNT 7
SELECT id, name FROM ps.item ORDER BY id;
\unset FETCH_COUNT
BEGIN;
TRUNCATE ps.sale;
SELECT count(*) FROM ps.sale;
ROLLBACK;
SELECT count(*) FROM ps.sale;
BEGIN;
SELECT 1/0;
SELECT * FROM ps.item WHERE id = 8;
COMMIT;
SELECT * FROM nowhere;
EXPLAIN (COSTS OFF) SELECT * FROM ps.item WHERE id = 8;
PREPARE byid (int) AS SELECT name FROM ps.item WHERE id = $1;
EXECUTE byid (8);
EXECUTE byid (9);
DEALLOCATE byid;
SET search_path = ps, public;
SELECT name FROM item WHERE id = 8;
SHOW search_path;
RESET search_path;
SELECT name FROM item WHERE id = 8;
CREATE TEMP TABLE item (id int, name text);
INSERT INTO item VALUES (8, 'temporary');
SELECT name FROM item WHERE id = 8;
DROP TABLE item;
COPY ps.item (id, name) FROM STDIN;
1001	copied
1002	also \N
\.
\copy (SELECT id, name FROM ps.item WHERE id > 48 ORDER BY id) TO STDOUT
COPY (SELECT id, name, price FROM ps.item WHERE id > 48 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);
CREATE MATERIALIZED VIEW ps.totals AS SELECT count(*) AS n FROM ps.item;
SELECT * FROM ps.totals;
DELETE FROM ps.item WHERE id > 1000;
SELECT * FROM ps.totals;
REFRESH MATERIALIZED VIEW ps.totals;
SELECT * FROM ps.totals;
MERGE INTO ps.item i USING (VALUES (8, 'merged'), (2000, 'new')) AS m (id, name) ON m.id = i.id
  WHEN MATCHED THEN UPDATE SET name = m.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (m.id, m.name);
SELECT name FROM ps.item WHERE id IN (8, 2000) ORDER BY 1;
ALTER TABLE ps.item ADD COLUMN extra int DEFAULT 5;
SELECT * FROM ps.item WHERE id = 8;
ALTER TABLE ps.item DROP COLUMN extra;
SELECT * FROM ps.item WHERE id = 8;
DO $$ BEGIN RAISE NOTICE 'from a block'; END $$;
SELECT current_user, current_setting('application_name');
