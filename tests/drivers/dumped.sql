-- Of every kind of object that a dump holds, one, with rows.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS du CASCADE;
CREATE SCHEMA du;
SET search_path = du;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE counter START 7;
CREATE TABLE item (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text UNIQUE, m mood, n positive, by bytea, tags text[]);
CREATE TABLE sale (id bigserial PRIMARY KEY, item int REFERENCES item, at timestamptz) PARTITION BY HASH (id);
CREATE TABLE sale_0 PARTITION OF sale FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE sale_1 PARTITION OF sale FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE VIEW sold AS SELECT i.name, count(*) FROM item i JOIN sale s ON s.item = i.id GROUP BY 1;
CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM item;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
COMMENT ON TABLE item IS 'what is sold';
GRANT SELECT ON item TO public;
INSERT INTO item (name, m, n, by, tags)
  SELECT 'item ' || g, CASE WHEN g % 3 > 0 THEN 'sad'::mood END, g, decode(lpad(to_hex(g), 8, '0'), 'hex'), ARRAY['a', NULL, E'tab\t\\'] FROM generate_series(1, 3000) g;
INSERT INTO sale (item, at) SELECT 1 + g % 3000, timestamptz '2024-02-29 12:00+00' + g * interval '1 h' FROM generate_series(1, 5000) g;
SELECT setval('counter', 42) \g /dev/null
REFRESH MATERIALIZED VIEW total;
