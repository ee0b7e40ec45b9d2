-- psql: every kind of \d, and the commands that send a statement more than once or in another protocol.
\pset null '(null)'
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SELECT * FROM warm.kept WHERE id = 1;
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS pm CASCADE;
RESET client_min_messages;
CREATE SCHEMA pm;
SET search_path = pm, public;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE item (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text NOT NULL UNIQUE, m mood, price numeric CHECK (price > 0), twice numeric GENERATED ALWAYS AS (price * 2) STORED);
COMMENT ON TABLE item IS 'what is sold';
COMMENT ON COLUMN item.m IS 'how it feels';
CREATE INDEX ON item (lower(name)) WHERE price > 3;
CREATE TABLE part (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE part_2024 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE child (LIKE item INCLUDING ALL) INHERITS (part_2024);
CREATE TABLE child (extra int, item int REFERENCES item ON DELETE CASCADE) WITH (fillfactor = 70);
CREATE VIEW cheap AS SELECT name, price FROM item WHERE price < 5 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW total AS SELECT m, count(*) FROM item GROUP BY m;
CREATE SEQUENCE counter START 7;
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE quiet AS ON DELETE TO cheap DO INSTEAD NOTHING;
ALTER TABLE child ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON child USING (extra > 0);
INSERT INTO item (name, m, price) SELECT 'item ' || g, (ARRAY['sad', 'happy'])[1 + g % 2]::mood, g FROM generate_series(1, 12) g;
REFRESH MATERIALIZED VIEW total;
\d
\d+
\dt+ pm.*
\d item
\d+ item
\d+ part
\d+ part_2024
\d+ child
\d+ cheap
\d+ total
\d counter
\dv
\dm
\ds
\di
\dT+ pm.*
\dD pm.*
\df+ twice
\df pm.*
\sf twice
\sv cheap
\dn+ pm
\dp pm.*
\do pg_catalog.=
\da pg_catalog.sum
\dc pg_catalog.utf8_to_iso*
\dC integer
\dO pg_catalog."C"
\dx
\du app
\drds app
\l template0
\encoding
SELECT name, price, m, twice FROM item \gdesc
SELECT :VERSION_NUM >= 160000 AS newer \gset
\if :newer
SELECT name FROM item WHERE id = $1 \bind 3 \g
SELECT name FROM item WHERE id = 3 \watch c=2
\endif
SELECT m, price > 6 AS dear, count(*) FROM item GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview m dear count
SELECT id, name FROM item WHERE id < 3 \gx
SELECT max(id) AS biggest FROM item \gset
\echo :biggest
SELECT 'SELECT ' || n || ' AS n' FROM generate_series(1, 3) n \gexec
SELECT name AS "column" FROM item WHERE id = 1 \g (format=csv)
\copy item (name, m, price) FROM PROGRAM 'printf "copied,sad,3\\ncopied too,happy,4\\n"' WITH (FORMAT csv)
\copy (SELECT name, price FROM item WHERE id > 10 ORDER BY id) TO PROGRAM 'cat' WITH (FORMAT csv, HEADER)
\copy item (name, price) FROM PROGRAM 'printf "copied,3\\n"' WITH (FORMAT csv)
\copy nowhere FROM /dev/null
SELECT count(*) FROM item;
\set AUTOCOMMIT off
UPDATE item SET price = price + 1 WHERE id = 1;
SELECT price FROM item WHERE id = 1;
ROLLBACK;
SELECT price FROM item WHERE id = 1;
COMMIT;
\set AUTOCOMMIT on
\set ON_ERROR_ROLLBACK on
BEGIN;
UPDATE item SET price = 100 WHERE id = 2;
SELECT 1/0;
SELECT price FROM item WHERE id = 2;
COMMIT;
\set ON_ERROR_ROLLBACK off
\set SHOW_ALL_RESULTS off
SELECT 1 \; SELECT 2;
\set SHOW_ALL_RESULTS on
\set ECHO_HIDDEN on
\dt item
\set ECHO_HIDDEN off
\set VERBOSITY sqlstate
SELECT 1/0;
\errverbose
\timing off
\lo_list
PREPARE many AS SELECT name FROM item WHERE id < $1 ORDER BY id;
EXECUTE many (4);
EXPLAIN (COSTS OFF) EXECUTE many (4);
DEALLOCATE ALL;
DECLARE walk CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id;
FETCH 3 FROM walk;
MOVE 2 FROM walk;
FETCH BACKWARD 2 FROM walk;
CLOSE walk;
VACUUM item;
ANALYZE item;
CREATE INDEX CONCURRENTLY later ON item (price);
REINDEX TABLE item;
DROP INDEX CONCURRENTLY later;
SELECT name FROM item WHERE id = 3;
\c
SELECT name FROM pm.item WHERE id = 3;
SHOW search_path;
