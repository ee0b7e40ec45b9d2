DROP SCHEMA IF EXISTS corpus CASCADE;
CREATE SCHEMA corpus;
CREATE TYPE corpus.mood AS ENUM ('sad', 'ok', 'Very "happy"');
CREATE DOMAIN corpus.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN corpus.small AS corpus.positive CHECK (VALUE < 100);
CREATE DOMAIN corpus.numbers AS int[];
CREATE TYPE corpus.pair AS (a int, b text);
CREATE TYPE corpus.nested AS (one corpus.pair, many corpus.pair[], mood corpus.mood);
CREATE TYPE corpus.float_range AS RANGE (SUBTYPE = float8);

CREATE TABLE corpus.customers (
    id int PRIMARY KEY,
    name text NOT NULL,
    email text UNIQUE,
    vip boolean NOT NULL DEFAULT false,
    joined date NOT NULL,
    balance numeric(12, 2),
    tags text[] NOT NULL DEFAULT '{}'
);
INSERT INTO corpus.customers
SELECT g, 'customer ' || g, CASE WHEN g % 7 <> 0 THEN 'c' || g || '@example.com' END, g % 5 = 0,
    date '2020-01-01' + g, CASE WHEN g % 11 <> 0 THEN g * 1.25 - 50 END, ARRAY['t' || g % 3, 'u' || g % 4]
FROM generate_series(1, 100) g;

CREATE TABLE corpus.products (sku text PRIMARY KEY, title text NOT NULL, price numeric(10, 2) NOT NULL, attributes jsonb);
INSERT INTO corpus.products
SELECT 'sku-' || g, 'Product № ' || g, g * 0.99, jsonb_build_object('colour', (ARRAY['red', 'green', 'blue'])[g % 3 + 1], 'size', g)
FROM generate_series(1, 30) g;

CREATE TABLE corpus.orders (
    id bigint PRIMARY KEY,
    customer_id int NOT NULL REFERENCES corpus.customers,
    placed timestamptz NOT NULL,
    state corpus.mood
);
INSERT INTO corpus.orders
SELECT g, g % 90 + 1, timestamptz '2024-01-01 00:00+00' + g * interval '1 hour',
    CASE WHEN g % 4 <> 0 THEN (ARRAY['sad', 'ok', 'Very "happy"'])[g % 3 + 1]::corpus.mood END
FROM generate_series(1, 500) g;

CREATE TABLE corpus.lines (
    order_id bigint NOT NULL REFERENCES corpus.orders ON DELETE CASCADE,
    number int NOT NULL,
    sku text NOT NULL REFERENCES corpus.products,
    quantity int NOT NULL,
    PRIMARY KEY (order_id, number)
);
INSERT INTO corpus.lines
SELECT o, n, 'sku-' || (o * 7 + n) % 30 + 1, (o + n) % 9 + 1 FROM generate_series(1, 500) o, generate_series(1, 3) n;

CREATE TABLE corpus.tree (id int PRIMARY KEY, parent int REFERENCES corpus.tree, label text NOT NULL);
INSERT INTO corpus.tree SELECT g, nullif(g / 2, 0), 'node ' || g FROM generate_series(1, 31) g;

CREATE TABLE corpus.empty (id int PRIMARY KEY, note text);
CREATE TABLE corpus.no_columns ();
INSERT INTO corpus.no_columns DEFAULT VALUES;
INSERT INTO corpus.no_columns DEFAULT VALUES;
CREATE TABLE corpus."Odd ""Table" ("A Column" int, "select" text, "ÄÖ" text);
INSERT INTO corpus."Odd ""Table" VALUES (1, 'x', 'y'), (2, NULL, '');
CREATE TABLE corpus."only" (id int);
INSERT INTO corpus."only" VALUES (1), (2);
CREATE TABLE corpus.large (id int PRIMARY KEY, body text NOT NULL);
INSERT INTO corpus.large SELECT g, repeat(md5(g::text), 32) FROM generate_series(1, 2000) g;
CREATE TABLE corpus.huge_value (id int PRIMARY KEY, body text NOT NULL);
INSERT INTO corpus.huge_value VALUES (1, repeat('0123456789abcdef', 20000)), (2, 'small');
CREATE TABLE corpus.generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO corpus.generated VALUES (1), (NULL);
CREATE TABLE corpus.dropped_column (a int, gone text, b text);
INSERT INTO corpus.dropped_column VALUES (1, 'gone', 'kept');
ALTER TABLE corpus.dropped_column DROP COLUMN gone;
ALTER TABLE corpus.dropped_column ADD COLUMN late int DEFAULT 42;

DO $$ BEGIN
    EXECUTE (SELECT 'CREATE TABLE corpus.wide (' || string_agg(format('column_%s %s', g, (ARRAY['int', 'text', 'float8', 'boolean'])[g % 4 + 1]), ', ') || ')'
        FROM generate_series(1, 200) g);
    EXECUTE (SELECT 'INSERT INTO corpus.wide VALUES (' || string_agg((ARRAY[g::text, quote_literal('text ' || g), g || '.5', 'true'])[g % 4 + 1], ', ') || ')'
        FROM generate_series(1, 200) g);
    INSERT INTO corpus.wide DEFAULT VALUES;
END $$;

-- Without libxml the table stays empty.
CREATE TABLE corpus.xml_values (id int PRIMARY KEY, v xml);
DO $$ BEGIN
    INSERT INTO corpus.xml_values VALUES (1, '<a x="1">é<b/></a>'), (2, 'content only'), (3, NULL);
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;

CREATE TABLE corpus.events (id int, region text, at date, amount int) PARTITION BY LIST (region);
CREATE TABLE corpus.events_eu PARTITION OF corpus.events FOR VALUES IN ('eu');
CREATE TABLE corpus.events_us PARTITION OF corpus.events FOR VALUES IN ('us') PARTITION BY RANGE (at);
CREATE TABLE corpus.events_us_2024 PARTITION OF corpus.events_us FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE corpus.events_us_later PARTITION OF corpus.events_us DEFAULT;
CREATE TABLE corpus.events_other PARTITION OF corpus.events DEFAULT;
INSERT INTO corpus.events SELECT g, (ARRAY['eu', 'us', 'asia'])[g % 3 + 1], date '2024-06-01' + g * 7, g * 10 FROM generate_series(1, 90) g;

CREATE TABLE corpus.animal (name text, legs int);
CREATE TABLE corpus.bird (wings int) INHERITS (corpus.animal);
INSERT INTO corpus.animal VALUES ('cat', 4);
INSERT INTO corpus.bird VALUES ('duck', 2, 2);

CREATE VIEW corpus.order_totals AS
    SELECT o.id, o.customer_id, sum(l.quantity * p.price) AS total
    FROM corpus.orders o JOIN corpus.lines l ON l.order_id = o.id JOIN corpus.products p USING (sku) GROUP BY o.id;
CREATE VIEW corpus.customer_totals AS
    SELECT c.id, c.name, coalesce(sum(t.total), 0) AS total
    FROM corpus.customers c LEFT JOIN corpus.order_totals t ON t.customer_id = c.id GROUP BY c.id;
CREATE VIEW corpus.best_customers AS SELECT * FROM corpus.customer_totals WHERE total > 100;
CREATE VIEW corpus.barrier WITH (security_barrier) AS SELECT id, name FROM corpus.customers WHERE vip;
CREATE VIEW corpus.recursive_tree AS
    WITH RECURSIVE down(id, depth) AS (SELECT id, 0 FROM corpus.tree WHERE parent IS NULL
        UNION ALL SELECT t.id, d.depth + 1 FROM corpus.tree t JOIN down d ON t.parent = d.id)
    SELECT * FROM down;
CREATE VIEW corpus.events_view AS SELECT region, sum(amount) AS amount FROM corpus.events GROUP BY region;
CREATE VIEW corpus.recent AS SELECT * FROM corpus.orders WHERE placed < now();
CREATE VIEW corpus.catalog_view AS SELECT relname FROM pg_catalog.pg_class WHERE relname = 'pg_class';

CREATE TABLE corpus.secrets (owner name, note text);
INSERT INTO corpus.secrets VALUES ('alice', 'a'), ('bob', 'b');
ALTER TABLE corpus.secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON corpus.secrets USING (owner = current_user);
CREATE VIEW corpus.secrets_view AS SELECT note FROM corpus.secrets;

CREATE UNLOGGED TABLE corpus.unlogged (id int);
INSERT INTO corpus.unlogged VALUES (1);
CREATE MATERIALIZED VIEW corpus.materialized AS SELECT count(*) AS n FROM corpus.customers;
CREATE VIEW corpus.over_materialized AS SELECT n FROM corpus.materialized;
CREATE VIEW corpus.over_unlogged AS SELECT id FROM corpus.unlogged;
CREATE SEQUENCE corpus.counter;

CREATE FUNCTION corpus.add(a int, b int DEFAULT 1) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a + b';
CREATE FUNCTION corpus.count_customers() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM corpus.customers';
CREATE FUNCTION corpus.one() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION corpus.since(at timestamptz DEFAULT now()) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION corpus.definer() RETURNS int IMMUTABLE SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION corpus.noisy(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'noise %', a; RETURN a; END $$;
CREATE FUNCTION corpus.rows_of(n int) RETURNS SETOF corpus.pair IMMUTABLE LANGUAGE sql AS 'SELECT g, ''x'' || g FROM generate_series(1, n) g';
CREATE FUNCTION corpus.volatile_step(int, int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT coalesce($1, 0) + $2';
CREATE AGGREGATE corpus.volatile_total(int) (SFUNC = corpus.volatile_step, STYPE = int);
CREATE FUNCTION corpus.same(corpus.pair, corpus.pair) RETURNS boolean STABLE LANGUAGE sql AS 'SELECT ($1).a = ($2).a';
CREATE OPERATOR corpus.=== (LEFTARG = corpus.pair, RIGHTARG = corpus.pair, FUNCTION = corpus.same);
CREATE PROCEDURE corpus.nothing() LANGUAGE sql AS 'SELECT 1';
CREATE COLLATION corpus.plain (LOCALE = 'C');
