-- migrations_list
SELECT version, checksum FROM _sqlx_migrations ORDER BY version

-- migrations_dirty
SELECT version FROM _sqlx_migrations WHERE success = false ORDER BY version LIMIT 1

-- migrations_done
INSERT INTO _sqlx_migrations ( version, description, success, checksum, execution_time ) VALUES ( $1, $2, TRUE, $3, -1 )

-- migrations_time
UPDATE _sqlx_migrations SET execution_time = $1 WHERE version = $2

-- migrations_lock
SELECT pg_advisory_lock($1)

-- migrations_unlock
SELECT pg_advisory_unlock($1)

-- type_by_name
SELECT $1::text::regtype::oid

-- type_info
SELECT oid, typname, typtype, typcategory, typrelid, typelem, typbasetype FROM pg_catalog.pg_type WHERE oid = $1

-- type_enum
SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = $1 ORDER BY enumsortorder

-- type_attributes
SELECT attname, atttypid FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND NOT attisdropped AND attnum > 0 ORDER BY attnum

-- nullability
SELECT NOT attnotnull FROM pg_attribute, UNNEST($1::int4[], $2::int2[]) AS c(relid, num) WHERE attrelid = relid AND attnum = num

-- ping
/* SQLx ping */

-- one
SELECT id, email, name FROM users WHERE id = $1

-- override
SELECT id AS "id!", name AS "name?", settings AS "settings: serde_json::Value" FROM users WHERE email = $1

-- multiline
SELECT p.id, p.title, u.name AS author
            FROM posts p
            INNER JOIN users u ON u.id = p.author_id
            WHERE p.published
              AND p.published_at <= $1
            ORDER BY p.published_at DESC
            LIMIT $2 OFFSET $3

-- any
SELECT id, name FROM users WHERE id = ANY($1)

-- any_cast
SELECT * FROM users WHERE email = ANY($1::text[])

-- all
SELECT id FROM users WHERE id <> ALL($1::bigint[])

-- optional_filter
SELECT id FROM posts WHERE ($1::bigint IS NULL OR author_id = $1) AND ($2::text IS NULL OR title ILIKE '%' || $2 || '%')

-- coalesce_count
SELECT COALESCE(COUNT(*), 0) AS "count!" FROM posts WHERE author_id = $1

-- exists
SELECT EXISTS(SELECT 1 FROM users WHERE email = $1) AS "exists!"

-- unnest_insert
INSERT INTO tags (name) SELECT * FROM UNNEST($1::text[]) ON CONFLICT (name) DO NOTHING RETURNING id, name

-- unnest_update
UPDATE products SET stock = u.stock FROM UNNEST($1::bigint[], $2::int[]) AS u(id, stock) WHERE products.id = u.id

-- unnest_join
SELECT u.id, v.n FROM users u JOIN UNNEST($1::bigint[]) WITH ORDINALITY AS v(id, n) ON v.id = u.id ORDER BY v.n

-- array_agg
SELECT p.id, ARRAY_AGG(t.name ORDER BY t.name) FILTER (WHERE t.name IS NOT NULL) AS "tags!: Vec<String>" FROM posts p LEFT JOIN posts_tags pt ON pt.post_id = p.id LEFT JOIN tags t ON t.id = pt.tag_id GROUP BY p.id

-- json_agg
SELECT u.id, COALESCE(JSON_AGG(JSON_BUILD_OBJECT('id', p.id, 'title', p.title)) FILTER (WHERE p.id IS NOT NULL), '[]') AS posts FROM users u LEFT JOIN posts p ON p.author_id = u.id GROUP BY u.id

-- row_to_json
SELECT row_to_json(u) FROM (SELECT id, email FROM users WHERE id = $1) u

-- composite
SELECT (u.id, u.email) AS "pair!: (i64, String)" FROM users u

-- array_select
SELECT u.id, ARRAY(SELECT t.name FROM memberships m JOIN teams t ON t.id = m.team_id WHERE m.user_id = u.id ORDER BY 1) AS teams FROM users u

-- queue_pop
WITH next AS (SELECT id FROM jobs WHERE state = 'queued' AND run_at <= now() ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE jobs SET state = 'running', locked_at = now(), attempts = attempts + 1 FROM next WHERE jobs.id = next.id RETURNING jobs.id, jobs.payload

-- queue_pop_in
UPDATE jobs SET state = 'running' WHERE id = (SELECT id FROM jobs WHERE queue = $1 AND state = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, payload AS "payload: Json<Job>"

-- queue_depth
SELECT queue, COUNT(*) FILTER (WHERE state = 'queued') AS waiting, COUNT(*) FILTER (WHERE state = 'running' AND locked_at < NOW() - INTERVAL '5 minutes') AS stuck FROM jobs GROUP BY queue

-- move_rows
WITH moved AS (DELETE FROM events WHERE occurred_at < $1 RETURNING *) SELECT COUNT(*) FROM moved

-- insert_two
WITH u AS (INSERT INTO users (email) VALUES ($1) RETURNING id) INSERT INTO profiles (user_id, bio) SELECT id, $2 FROM u RETURNING id

-- upsert
INSERT INTO users (email, name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name, updated_at = NOW() RETURNING id, (xmax = 0) AS inserted

-- upsert_partial
INSERT INTO memberships (team_id, user_id, role) VALUES ($1, $2, $3) ON CONFLICT ON CONSTRAINT memberships_team_id_user_id_key DO UPDATE SET role = excluded.role WHERE memberships.role IS DISTINCT FROM excluded.role

-- update_returning
UPDATE orders SET status = $1, version = version + 1 WHERE id = $2 AND version = $3 RETURNING version

-- update_enum_cast
UPDATE orders SET status = $1::order_status WHERE id = $2

-- enum_compare
SELECT id, status AS "status: Status" FROM orders WHERE status = 'paid'::order_status

-- update_coalesce
UPDATE users SET name = COALESCE($2, name), age = COALESCE($3, age) WHERE id = $1 RETURNING *

-- update_row
UPDATE products SET (name, price) = ($2, $3) WHERE id = $1

-- update_row_subquery
UPDATE users SET (age, balance) = (SELECT count(*)::int, sum(total) FROM orders WHERE orders.user_id = users.id) WHERE id = $1

-- delete_returning
DELETE FROM sessions WHERE expire_date < NOW() RETURNING session_key

-- delete_limit
DELETE FROM events WHERE ctid IN (SELECT ctid FROM events WHERE occurred_at < $1 LIMIT 1000)

-- keyset
SELECT id, published_at FROM posts WHERE (published_at, id) < ($1, $2) ORDER BY published_at DESC, id DESC LIMIT $3

-- window_count
SELECT *, COUNT(*) OVER () AS total FROM posts WHERE author_id = $1 ORDER BY id LIMIT $2

-- window_named
SELECT id, SUM(total) OVER w AS running, LAG(total) OVER w AS before FROM orders WINDOW w AS (PARTITION BY user_id ORDER BY id)

-- lateral
SELECT u.id, latest.title FROM users u LEFT JOIN LATERAL (SELECT title FROM posts p WHERE p.author_id = u.id ORDER BY p.id DESC LIMIT 1) latest ON TRUE

-- lateral_comma
SELECT u.id, r.role FROM users u, LATERAL unnest(u.roles) AS r(role)

-- function_in_from
SELECT u.id, e.key, e.value FROM users u CROSS JOIN jsonb_each(u.settings) AS e(key, value)

-- record_definition
SELECT x.a, x.b FROM jsonb_to_recordset($1::jsonb) AS x(a int, b text)

-- record_insert
INSERT INTO tags (name) SELECT x.name FROM jsonb_to_recordset($1) AS x(name text)

-- series
SELECT d::date AS day, COUNT(o.id) FROM generate_series($1::date, $2::date, '1 day'::interval) AS d LEFT JOIN orders o ON o.placed_on = d::date GROUP BY d ORDER BY d

-- recursive
WITH RECURSIVE tree AS (SELECT id, parent_id, name, 1 AS depth, ARRAY[id] AS path FROM categories WHERE parent_id IS NULL UNION ALL SELECT c.id, c.parent_id, c.name, t.depth + 1, t.path || c.id FROM categories c JOIN tree t ON t.id = c.parent_id WHERE NOT c.id = ANY(t.path)) SELECT * FROM tree ORDER BY path

-- recursive_search
WITH RECURSIVE tree(id, parent_id) AS (SELECT id, parent_id FROM categories WHERE parent_id IS NULL UNION ALL SELECT c.id, c.parent_id FROM categories c JOIN tree t ON t.id = c.parent_id) SEARCH DEPTH FIRST BY id SET ordercol SELECT id FROM tree ORDER BY ordercol

-- not_materialized
WITH a AS NOT MATERIALIZED (SELECT * FROM users WHERE is_active) SELECT a.id FROM a JOIN orders o ON o.user_id = a.id

-- json_operators
SELECT settings->'a'->>'b', settings#>>'{a,b}', settings ? 'a', settings ?| array['a','b'], settings ?& array['a'], settings @? '$.a[*]', settings @@ '$.a == 1', settings - 'a', settings #- '{a,b}', settings || '{"x":1}'::jsonb FROM users

-- json_subscript
SELECT settings['theme'], settings['a']['b'] FROM users WHERE settings['on'] = 'true'::jsonb

-- search
SELECT id, ts_rank_cd(search, query) AS rank FROM posts, websearch_to_tsquery('english', $1) query WHERE search @@ query ORDER BY rank DESC LIMIT 10

-- search_set
UPDATE posts SET search = setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', COALESCE(body, '')), 'B') WHERE id = $1

-- similar
SELECT id FROM users WHERE name SIMILAR TO '(a|b)%' AND email ~* '^x' AND email !~ 'y$'

-- bytea
SELECT encode(avatar, 'base64'), octet_length(avatar) FROM profiles WHERE avatar = $1 OR avatar = '\x00'::bytea

-- dates
SELECT date_trunc('month', created_at)::date AS month, EXTRACT(EPOCH FROM max(created_at) - min(created_at))::bigint FROM orders GROUP BY 1 ORDER BY 1

-- date_text
SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') FROM orders

-- overlaps
SELECT id FROM orders WHERE (placed_at, placed_at + interval '1 hour') OVERLAPS ($1, $2)

-- range
SELECT id FROM products WHERE available_during && tstzrange($1, $2, '[)') AND NOT isempty(available_during)

-- range_now
SELECT id FROM products WHERE available_during @> now()

-- interval_parameter
SELECT id FROM sessions s JOIN users u ON u.email = s.session_key WHERE expire_date > NOW() + $1::interval

-- age
SELECT name, age(created_at) FROM users

-- make_interval
SELECT id FROM events WHERE occurred_at > now() - make_interval(mins => $1)

-- random_sample
SELECT id FROM products TABLESAMPLE BERNOULLI (10) WHERE stock > 0

-- values_join
SELECT v.id, u.name FROM (VALUES (1, 'a'), (2, 'b')) AS v(id, label) LEFT JOIN users u ON u.id = v.id

-- values_update
UPDATE products AS p SET price = v.price FROM (VALUES ($1::bigint, $2::numeric), ($3, $4)) AS v(id, price) WHERE v.id = p.id

-- distinct_on
SELECT DISTINCT ON (user_id) user_id, id, total FROM orders ORDER BY user_id, created_at DESC

-- grouping_sets
SELECT state, placed_on, GROUPING(state, placed_on), SUM(total) FROM orders GROUP BY GROUPING SETS ((state, placed_on), (state), ())

-- between_symmetric
SELECT id FROM users WHERE age BETWEEN SYMMETRIC $1 AND $2

-- is_tests
SELECT is_active IS TRUE, is_staff IS NOT FALSE, name IS NOT DISTINCT FROM email, age ISNULL, deleted_at NOTNULL, is_active IS UNKNOWN FROM users

-- collate
SELECT name FROM users WHERE name COLLATE "C" > $1 ORDER BY name COLLATE "C"

-- quoted
SELECT "Id", "orderId", "unitPrice" * 2 AS "double", "select" FROM "Order Details" WHERE "orderId" = $1 ORDER BY "Id"

-- schema_qualified
SELECT public.users.id, pg_catalog.lower(public.users.name) FROM public.users

-- operator_qualified
SELECT id FROM users WHERE name OPERATOR(pg_catalog.~) '^a'

-- whole_row
SELECT u FROM users u WHERE u.id = $1

-- whole_row_star
SELECT u.*, p.* FROM users u NATURAL JOIN profiles p

-- count_column_null
SELECT count(*) - count(name) AS missing, sum(CASE WHEN is_active THEN 1 ELSE 0 END), bool_and(is_active), every(is_staff) FROM users

-- regexp
SELECT regexp_replace(name, '\s+', ' ', 'g'), (regexp_match(email, '@(.*)$'))[1] FROM users

-- array_slice
SELECT labels[1:2], labels[array_upper(labels, 1)], array_remove(labels, 'x'), array_to_string(labels, ',') FROM posts

-- format
SELECT format('%s <%s>', name, email), concat_ws(' ', name, email), left(name, 3), lpad(id::text, 8, '0') FROM users

-- view
SELECT id, email FROM active_users WHERE name = $1

-- only
SELECT id FROM ONLY users WHERE id = $1

-- dollar_quotes
SELECT id FROM users WHERE name = $q$it's$q$

-- escape_string
SELECT id FROM users WHERE name = E'a\'b\\c\n'

-- unicode
SELECT id FROM users WHERE name = 'größe — ✓'

-- table
TABLE tags

-- values
VALUES (1, 'a'), (2, 'b')

-- in_values
SELECT id FROM users WHERE (id, email) IN (VALUES (1::bigint, 'a'), (2, 'b'))

-- fetch
SELECT id FROM users ORDER BY id OFFSET 5 ROWS FETCH NEXT 10 ROWS ONLY

-- notify
SELECT pg_notify($1, $2)

-- listen
LISTEN "jobs"

-- unlisten
UNLISTEN *

-- begin
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY DEFERRABLE

-- savepoint
SAVEPOINT _sqlx_savepoint_1

-- release
RELEASE SAVEPOINT _sqlx_savepoint_1

-- rollback_to
ROLLBACK TO SAVEPOINT _sqlx_savepoint_1

-- set_role
SET LOCAL ROLE postgres

-- set_config
SELECT set_config('app.user_id', $1, true)

-- current_setting
SELECT id FROM users WHERE id = current_setting('app.user_id', true)::bigint

-- copy_in
COPY tags (name) FROM STDIN WITH (FORMAT csv)

-- copy_out
COPY (SELECT id, name FROM tags ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)

-- lock_table
LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE

-- truncate
TRUNCATE events RESTART IDENTITY CASCADE

-- cursor
DECLARE c NO SCROLL CURSOR FOR SELECT id FROM users ORDER BY id

-- merge
MERGE INTO products p USING (SELECT $1::bigint AS id, $2::int AS stock) s ON p.id = s.id WHEN MATCHED AND s.stock = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET stock = s.stock WHEN NOT MATCHED THEN DO NOTHING
