-- by_key
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at 
FROM users 
WHERE users.id = $1::BIGINT

-- by_key_legacy
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at 
FROM users 
WHERE users.id = $1::BIGINT 
 LIMIT $2::INTEGER

-- columns
SELECT users.id, users.email 
FROM users 
WHERE users.email = $1::VARCHAR

-- first
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at 
FROM users 
WHERE users.email = $1::VARCHAR ORDER BY users.id 
 LIMIT $2::INTEGER

-- null
SELECT users.id 
FROM users 
WHERE users.deleted_at IS NULL AND users.name IS NOT NULL

-- booleans
SELECT users.id 
FROM users 
WHERE users.is_active IS true AND NOT users.is_active

-- in_list
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at 
FROM users 
WHERE users.id IN ($1::BIGINT, $2::BIGINT, $3::BIGINT)

-- in_list_strings
SELECT users.id 
FROM users 
WHERE users.email IN ($1::VARCHAR, $2::VARCHAR)

-- not_in_list
SELECT users.id 
FROM users 
WHERE (users.id NOT IN ($1::BIGINT, $2::BIGINT))

-- in_empty
SELECT users.id 
FROM users 
WHERE users.id IN (NULL) AND (1 != 1)

-- any_array
SELECT users.id 
FROM users 
WHERE users.id = any(CAST($1::BIGINT[] AS BIGINT[]))

-- like
SELECT users.id 
FROM users 
WHERE users.name LIKE $1::VARCHAR AND users.name ILIKE $2::VARCHAR

-- starts
SELECT users.id 
FROM users 
WHERE (users.name LIKE $1::VARCHAR || '%') AND (users.name LIKE '%' || $2::VARCHAR) AND (users.name LIKE '%' || $3::VARCHAR || '%')

-- autoescape
SELECT users.id 
FROM users 
WHERE (users.name LIKE '%' || $1::VARCHAR || '%' ESCAPE '/')

-- icontains
SELECT users.id 
FROM users 
WHERE (users.name ILIKE '%' || $1::VARCHAR || '%')

-- regexp
SELECT users.id 
FROM users 
WHERE users.name ~ $1::VARCHAR AND users.email ~* $2::VARCHAR

-- regexp_replace
SELECT REGEXP_REPLACE(users.name, $1::VARCHAR, $2::VARCHAR, 'g') AS anon_1 
FROM users

-- between
SELECT users.id 
FROM users 
WHERE users.age BETWEEN $1::INTEGER AND $2::INTEGER

-- or_and
SELECT users.id 
FROM users 
WHERE users.age > $1::INTEGER OR users.age < $2::INTEGER AND users.name != $3::VARCHAR OR users.name IS NULL

-- distinct_from
SELECT users.id 
FROM users 
WHERE users.name IS DISTINCT FROM $1::VARCHAR AND users.age IS NOT DISTINCT FROM $2::INTEGER

-- row_in
SELECT order_items.order_id, order_items.line, order_items.product_id, order_items.quantity, order_items.price 
FROM order_items 
WHERE (order_items.order_id, order_items.line) IN (($1, $2), ($3, $4))

-- row_compare
SELECT posts.id 
FROM posts 
WHERE (posts.published_at, posts.id) < ($1::TIMESTAMP WITH TIME ZONE, $2::BIGINT) ORDER BY posts.published_at DESC, posts.id DESC 
 LIMIT $3::INTEGER

-- collate
SELECT users.id 
FROM users ORDER BY users.name COLLATE "C"

-- arithmetic
SELECT users.balance * $1::INTEGER + $2::INTEGER AS x, users.age % $3::INTEGER AS anon_1, -users.age, users.age / CAST($4::INTEGER AS NUMERIC) AS anon_2, users.age / $5::INTEGER AS anon_3 
FROM users

-- concat
SELECT users.name || $1::VARCHAR || users.email || $2::VARCHAR AS anon_1 
FROM users

-- bits
SELECT users.id 
FROM users 
WHERE (users.age & $1::INTEGER) = $2::INTEGER AND users.age & $3::INTEGER = $4::INTEGER

-- between_dates
SELECT orders.id 
FROM orders 
WHERE orders.placed_on BETWEEN $1::DATE AND $2::DATE

-- enum
SELECT orders.id 
FROM orders 
WHERE orders.status = $1::order_status

-- enum_in
SELECT orders.id 
FROM orders 
WHERE orders.status IN ($1::order_status, $2::order_status)

-- uuid
SELECT products.id 
FROM products 
WHERE products.sku = $1::UUID

-- numeric
SELECT products.id 
FROM products 
WHERE products.price >= $1::NUMERIC(10, 2) AND products.price < $2::INTEGER

-- literals
SELECT $1::INTEGER AS anon_1, $2::VARCHAR AS anon_2, $3::BOOLEAN AS anon_3, $4 AS anon_4, $5::FLOAT AS anon_5

-- text
SELECT id, name FROM users WHERE id = $1 AND name <> $2

-- text_columns
SELECT count(*) AS n FROM posts

-- literal_column
SELECT 'x', now()

-- page
SELECT posts.id, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search 
FROM posts ORDER BY posts.id 
 LIMIT $1::INTEGER OFFSET $2::INTEGER

-- nulls
SELECT posts.id 
FROM posts ORDER BY posts.published_at DESC NULLS LAST, posts.rating ASC NULLS FIRST

-- fetch
SELECT posts.id 
FROM posts ORDER BY posts.views DESC
 FETCH FIRST ($1::INTEGER) ROWS ONLY

-- fetch_ties
SELECT posts.id 
FROM posts ORDER BY posts.views DESC
 FETCH FIRST ($1::INTEGER) ROWS WITH TIES

-- distinct
SELECT DISTINCT posts.author_id 
FROM posts

-- distinct_on
SELECT DISTINCT ON (posts.author_id) posts.id, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search 
FROM posts ORDER BY posts.author_id, posts.views DESC

-- order_case
SELECT orders.id 
FROM orders ORDER BY CASE WHEN (orders.state = $1::VARCHAR) THEN $2::INTEGER WHEN (orders.state = $3::VARCHAR) THEN $4::INTEGER ELSE $5::INTEGER END, orders.id

-- order_label
SELECT users.id, lower(users.name) AS low 
FROM users ORDER BY low

-- random
SELECT users.id 
FROM users ORDER BY random() 
 LIMIT $1::INTEGER

-- join
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at, posts.id AS id_1, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search 
FROM users JOIN posts ON users.id = posts.author_id

-- join_on
SELECT users.id, orders.total 
FROM users JOIN orders ON orders.user_id = users.id 
WHERE orders.total > $1::INTEGER

-- outer
SELECT users.id, posts.title 
FROM users LEFT OUTER JOIN posts ON users.id = posts.author_id 
WHERE posts.id IS NULL

-- full
SELECT users.id, orders.id AS id_1 
FROM users FULL OUTER JOIN orders ON users.id = orders.user_id

-- self
SELECT users.name, manager.name AS name_1 
FROM users JOIN users AS manager ON manager.id = users.manager_id

-- self_outer
SELECT users.id, users_1.id AS id_1 
FROM users LEFT OUTER JOIN users AS users_1 ON users.manager_id = users_1.id

-- many_to_many
SELECT posts.id, tags.name 
FROM posts JOIN posts_tags AS posts_tags_1 ON posts.id = posts_tags_1.post_id JOIN tags ON tags.id = posts_tags_1.tag_id

-- three
SELECT users.name, posts.title, comments.body 
FROM users JOIN posts ON users.id = posts.author_id JOIN comments ON posts.id = comments.post_id 
WHERE comments.body LIKE $1::VARCHAR

-- cross
SELECT tags.name, categories.name AS name_1 
FROM tags JOIN categories ON true

-- comma
SELECT users.id, orders.id AS id_1 
FROM users, orders 
WHERE users.id = orders.user_id

-- lateral
SELECT users.id, recent.title 
FROM users JOIN LATERAL (SELECT posts.id AS id, posts.title AS title 
FROM posts 
WHERE posts.author_id = users.id ORDER BY posts.id DESC 
 LIMIT $1::INTEGER) AS recent ON true

-- lateral_outer
SELECT users.id, recent.id AS id_1 
FROM users LEFT OUTER JOIN LATERAL (SELECT posts.id AS id, posts.title AS title 
FROM posts 
WHERE posts.author_id = users.id ORDER BY posts.id DESC 
 LIMIT $1::INTEGER) AS recent ON true

-- joinedload
SELECT posts.id, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search, users_1.id AS id_1, users_1.email, users_1.name, users_1.is_active, users_1.age, users_1.balance, users_1.roles, users_1.settings, users_1.manager_id, users_1.last_login, users_1.created_at, users_1.deleted_at 
FROM posts LEFT OUTER JOIN users AS users_1 ON users_1.id = posts.author_id

-- joinedload_inner
SELECT posts.id, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search, users_1.id AS id_1, users_1.email, users_1.name, users_1.is_active, users_1.age, users_1.balance, users_1.roles, users_1.settings, users_1.manager_id, users_1.last_login, users_1.created_at, users_1.deleted_at 
FROM posts JOIN users AS users_1 ON users_1.id = posts.author_id

-- joinedload_collection_limited
SELECT anon_1.id, anon_1.author_id, anon_1.title, anon_1.body, anon_1.published, anon_1.published_at, anon_1.views, anon_1.rating, anon_1.metadata, anon_1.labels, anon_1.search, comments_1.id AS id_1, comments_1.post_id, comments_1.author_id AS author_id_1, comments_1.parent_id, comments_1.body AS body_1 
FROM (SELECT posts.id AS id, posts.author_id AS author_id, posts.title AS title, posts.body AS body, posts.published AS published, posts.published_at AS published_at, posts.views AS views, posts.rating AS rating, posts.metadata AS metadata, posts.labels AS labels, posts.search AS search 
FROM posts 
 LIMIT $1::INTEGER) AS anon_1 LEFT OUTER JOIN comments AS comments_1 ON anon_1.id = comments_1.post_id

-- joinedload_many
SELECT posts.id, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search, users_1.id AS id_1, users_1.email, users_1.name, users_1.is_active, users_1.age, users_1.balance, users_1.roles, users_1.settings, users_1.manager_id, users_1.last_login, users_1.created_at, users_1.deleted_at, users_2.id AS id_2, users_2.email AS email_1, users_2.name AS name_1, users_2.is_active AS is_active_1, users_2.age AS age_1, users_2.balance AS balance_1, users_2.roles AS roles_1, users_2.settings AS settings_1, users_2.manager_id AS manager_id_1, users_2.last_login AS last_login_1, users_2.created_at AS created_at_1, users_2.deleted_at AS deleted_at_1, tags_1.id AS id_3, tags_1.name AS name_2 
FROM posts LEFT OUTER JOIN users AS users_2 ON users_2.id = posts.author_id LEFT OUTER JOIN users AS users_1 ON users_1.id = users_2.manager_id LEFT OUTER JOIN (posts_tags AS posts_tags_1 JOIN tags AS tags_1 ON tags_1.id = posts_tags_1.tag_id) ON posts.id = posts_tags_1.post_id

-- contains_eager
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at, orders.id AS id_1, orders.user_id, orders.status, orders.state, orders.total, orders.placed_at, orders.placed_on, orders.note, orders.version 
FROM orders JOIN users ON users.id = orders.user_id 
WHERE users.is_active

-- selectin_loader
SELECT comments.post_id, comments.id, comments.body 
FROM comments 
WHERE comments.post_id IN ($1::BIGINT, $2::BIGINT, $3::BIGINT, $4::BIGINT)

-- subquery_loader
SELECT posts.id, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search, anon_1.users_id 
FROM posts JOIN (SELECT users.id AS users_id 
FROM users 
WHERE users.age > $1::INTEGER) AS anon_1 ON posts.author_id = anon_1.users_id

-- criteria
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at 
FROM users 
WHERE users.deleted_at IS NULL

-- lazy_parent
SELECT posts.id, posts.author_id, posts.title, posts.body, posts.published, posts.published_at, posts.views, posts.rating, posts.metadata, posts.labels, posts.search 
FROM posts 
WHERE $1::BIGINT = posts.author_id

-- in_subquery
SELECT users.id 
FROM users 
WHERE users.id IN (SELECT posts.author_id 
FROM posts 
WHERE posts.published)

-- not_in_subquery
SELECT users.id 
FROM users 
WHERE (users.id NOT IN (SELECT posts.author_id 
FROM posts))

-- exists
SELECT users.id 
FROM users 
WHERE EXISTS (SELECT * 
FROM posts 
WHERE posts.author_id = users.id)

-- not_exists
SELECT users.id 
FROM users 
WHERE NOT (EXISTS (SELECT posts.id 
FROM posts 
WHERE posts.author_id = users.id))

-- any_relationship
SELECT users.id 
FROM users 
WHERE EXISTS (SELECT 1 
FROM posts 
WHERE users.id = posts.author_id AND posts.title = $1::VARCHAR)

-- has_relationship
SELECT posts.id 
FROM posts 
WHERE EXISTS (SELECT 1 
FROM users 
WHERE users.id = posts.author_id AND users.name = $1::VARCHAR)

-- has_many_to_many
SELECT posts.id 
FROM posts 
WHERE EXISTS (SELECT 1 
FROM tags, posts_tags 
WHERE posts.id = posts_tags.post_id AND tags.id = posts_tags.tag_id AND tags.name IN ($1::VARCHAR, $2::VARCHAR))

-- scalar
SELECT users.id, (SELECT count(posts.id) AS count_1 
FROM posts 
WHERE posts.author_id = users.id) AS posts 
FROM users

-- scalar_compare
SELECT products.id 
FROM products 
WHERE products.price > (SELECT avg(products.price) AS avg_1 
FROM products)

-- any_subquery
SELECT products.id 
FROM products 
WHERE products.price > ANY (SELECT products.price 
FROM products 
WHERE products.stock = $1::INTEGER)

-- all_subquery
SELECT products.id 
FROM products 
WHERE products.price >= ALL (SELECT products.price 
FROM products)

-- from_subquery
SELECT anon_1.user_id 
FROM (SELECT orders.user_id AS user_id, sum(orders.total) AS total 
FROM orders GROUP BY orders.user_id) AS anon_1 
WHERE anon_1.total > $1::INTEGER

-- join_subquery
SELECT users.name, anon_1.total 
FROM users JOIN (SELECT orders.user_id AS user_id, sum(orders.total) AS total 
FROM orders GROUP BY orders.user_id) AS anon_1 ON anon_1.user_id = users.id

-- exists_column
SELECT EXISTS (SELECT * 
FROM users 
WHERE users.email = $1::VARCHAR) AS anon_1

-- aliased_subquery
SELECT grown.id, grown.email, grown.name, grown.is_active, grown.age, grown.balance, grown.roles, grown.settings, grown.manager_id, grown.last_login, grown.created_at, grown.deleted_at 
FROM (SELECT users.id AS id, users.email AS email, users.name AS name, users.is_active AS is_active, users.age AS age, users.balance AS balance, users.roles AS roles, users.settings AS settings, users.manager_id AS manager_id, users.last_login AS last_login, users.created_at AS created_at, users.deleted_at AS deleted_at 
FROM users 
WHERE users.age > $1::INTEGER) AS grown 
 LIMIT $2::INTEGER

-- values
SELECT v.name 
FROM (VALUES ($1::INTEGER, $2::VARCHAR), ($3::INTEGER, $4::VARCHAR)) AS v (id, name) JOIN users ON users.id = v.id

-- table_valued
SELECT anon_1.n 
FROM generate_series($1::INTEGER, $2::INTEGER) AS anon_1(n)

-- table_valued_named
SELECT users.id, pair.key 
FROM users, jsonb_each_text(users.settings) AS pair

-- unnest
SELECT posts.id, label 
FROM posts, unnest(posts.labels) AS label

-- with_ordinality
SELECT anon_1.x, anon_1.n 
FROM unnest(CAST($1::TEXT[] AS TEXT[])) WITH ORDINALITY AS anon_1(x, n)

-- count
SELECT count(*) AS count_1 
FROM users

-- count_column
SELECT count(users.id) AS count_1, count(DISTINCT users.name) AS count_2 
FROM users

-- count_subquery
SELECT count(*) AS count_1 
FROM (SELECT DISTINCT posts.author_id AS author_id 
FROM posts) AS anon_1

-- sums
SELECT sum(orders.total) AS sum_1, avg(orders.total) AS avg_1, min(orders.placed_at) AS min_1, max(orders.placed_on) AS max_1 
FROM orders

-- coalesce
SELECT coalesce(sum(orders.total), $1::INTEGER) AS coalesce_1 
FROM orders

-- group
SELECT orders.state, count(*) AS count_1 
FROM orders GROUP BY orders.state

-- having
SELECT posts.author_id, count(posts.id) AS n 
FROM posts GROUP BY posts.author_id 
HAVING count(posts.id) > $1::INTEGER ORDER BY n DESC

-- filter
SELECT count(*) FILTER (WHERE orders.state = $1::VARCHAR) AS anon_1, sum(orders.total) FILTER (WHERE orders.total > $2::INTEGER) AS anon_2 
FROM orders

-- case_sum
SELECT sum(CASE WHEN (orders.state = $1::VARCHAR) THEN orders.total ELSE $2::INTEGER END) AS sum_1 
FROM orders

-- case_simple
SELECT CASE orders.state WHEN $1::VARCHAR THEN $2::VARCHAR WHEN $3::VARCHAR THEN $4::VARCHAR ELSE $5::VARCHAR END AS anon_1 
FROM orders

-- array_agg
SELECT array_agg(tags.name) AS array_agg_1 
FROM tags

-- aggregate_order
SELECT string_agg(tags.name, ', ' ORDER BY tags.name) AS string_agg_1 
FROM tags

-- json_agg
SELECT json_agg(json_build_object($1::VARCHAR, posts.id, $2::VARCHAR, posts.title)) AS json_agg_1 
FROM posts

-- within_group
SELECT percentile_cont($1::FLOAT) WITHIN GROUP (ORDER BY products.price) AS anon_1, mode() WITHIN GROUP (ORDER BY products.stock) AS anon_2 
FROM products

-- cube
SELECT orders.state, orders.placed_on, sum(orders.total) AS sum_1 
FROM orders GROUP BY CUBE(orders.state, orders.placed_on)

-- rollup
SELECT orders.state, sum(orders.total) AS sum_1 
FROM orders GROUP BY ROLLUP(orders.state)

-- grouping_sets
SELECT orders.state, orders.user_id, count(*) AS count_1 
FROM orders GROUP BY GROUPING SETS((orders.state), (orders.user_id))

-- row_number
SELECT posts.id, row_number() OVER (PARTITION BY posts.author_id ORDER BY posts.views DESC) AS n 
FROM posts

-- rank
SELECT posts.id, rank() OVER (ORDER BY posts.views DESC) AS anon_1, dense_rank() OVER (ORDER BY posts.views) AS anon_2 
FROM posts

-- running
SELECT orders.id, sum(orders.total) OVER (PARTITION BY orders.user_id ORDER BY orders.id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS anon_1 
FROM orders

-- range_frame
SELECT avg(orders.total) OVER (ORDER BY orders.id RANGE BETWEEN $1::INTEGER PRECEDING AND $2::INTEGER FOLLOWING) AS anon_1 
FROM orders

-- groups_frame
SELECT count(*) OVER (ORDER BY orders.state) AS anon_1 
FROM orders

-- lag
SELECT events.id, lag(events.occurred_at, $1::INTEGER) OVER (PARTITION BY events.kind ORDER BY events.occurred_at) AS anon_1 
FROM events

-- first_value
SELECT first_value(posts.title) OVER (PARTITION BY posts.author_id ORDER BY posts.id) AS anon_1 
FROM posts

-- window_filter
SELECT count(*) FILTER (WHERE posts.published) OVER (PARTITION BY posts.author_id) AS anon_1 
FROM posts

-- top_n
SELECT anon_1.id 
FROM (SELECT posts.id AS id, posts.author_id AS author_id, row_number() OVER (PARTITION BY posts.author_id ORDER BY posts.id) AS n 
FROM posts) AS anon_1 
WHERE anon_1.n <= $1::INTEGER

-- cte
WITH totals AS 
(SELECT orders.user_id AS user_id, sum(orders.total) AS total 
FROM orders GROUP BY orders.user_id)
 SELECT users.name, totals.total 
FROM users JOIN totals ON totals.user_id = users.id

-- cte_twice
WITH totals AS 
(SELECT orders.user_id AS user_id, sum(orders.total) AS total 
FROM orders GROUP BY orders.user_id)
 SELECT totals.user_id 
FROM totals 
WHERE totals.total > (SELECT avg(totals.total) AS avg_1 
FROM totals)

-- cte_chain
WITH totals AS 
(SELECT orders.user_id AS user_id, sum(orders.total) AS total 
FROM orders GROUP BY orders.user_id), 
rich AS 
(SELECT totals.user_id AS user_id 
FROM totals 
WHERE totals.total > $1::INTEGER)
 SELECT rich.user_id 
FROM rich

-- cte_materialized
WITH "old" AS MATERIALIZED 
(SELECT users.id AS id 
FROM users 
WHERE users.age > $1::INTEGER)
 SELECT "old".id 
FROM "old"

-- recursive
WITH RECURSIVE tree(id, name, parent_id) AS 
(SELECT categories.id AS id, categories.name AS name, categories.parent_id AS parent_id 
FROM categories 
WHERE categories.parent_id IS NULL UNION ALL SELECT categories_1.id AS id, categories_1.name AS name, categories_1.parent_id AS parent_id 
FROM categories AS categories_1 JOIN tree ON categories_1.parent_id = tree.id)
 SELECT tree.id, tree.name 
FROM tree

-- recursive_union
WITH RECURSIVE numbers(n) AS 
(SELECT $1::INTEGER AS n UNION SELECT numbers.n + $2::INTEGER AS anon_1 
FROM numbers 
WHERE numbers.n < $3::INTEGER)
 SELECT sum(numbers.n) AS sum_1 
FROM numbers

-- union
SELECT users.id 
FROM users 
WHERE users.age > $1::INTEGER UNION SELECT posts.author_id 
FROM posts

-- union_all
SELECT users.name 
FROM users UNION ALL SELECT tags.name 
FROM tags ORDER BY name 
 LIMIT $1::INTEGER

-- intersect
SELECT users.id 
FROM users INTERSECT SELECT posts.author_id 
FROM posts

-- except
SELECT users.id 
FROM users EXCEPT SELECT posts.author_id 
FROM posts EXCEPT SELECT orders.user_id 
FROM orders

-- union_of_limited
(SELECT posts.id 
FROM posts ORDER BY posts.views 
 LIMIT $1::INTEGER) UNION ALL (SELECT posts.id 
FROM posts ORDER BY posts.rating 
 LIMIT $2::INTEGER)

-- union_subquery
SELECT anon_1.id 
FROM (SELECT users.id AS id 
FROM users UNION SELECT orders.user_id AS user_id 
FROM orders) AS anon_1

-- cast
SELECT CAST(users.id AS VARCHAR) AS id, CAST(users.balance AS INTEGER) AS balance, CAST($1::DATE AS DATE) AS anon_1 
FROM users

-- type_coerce
SELECT users.id 
FROM users 
WHERE CAST((users.settings ->> $1::TEXT) AS INTEGER) > $2::INTEGER

-- json_get
SELECT (users.settings[$1::TEXT]) ->> $2::TEXT AS anon_1, users.settings #>> $3 AS anon_2 
FROM users

-- json_path
SELECT users.settings #> $1 AS anon_1 
FROM users

-- json_contains
SELECT users.id 
FROM users 
WHERE users.settings @> $1::JSONB AND users.settings ? $2::VARCHAR

-- json_any
SELECT users.id 
FROM users 
WHERE users.settings ?| ARRAY[$1::VARCHAR, $2::VARCHAR] AND users.settings ?& ARRAY[$3::VARCHAR]

-- json_path_match
SELECT events.id 
FROM events 
WHERE events.payload @? $1 AND events.payload @@ $2

-- json_build
SELECT jsonb_build_object($1::VARCHAR, users.id) AS jsonb_build_object_1, to_jsonb(users.roles) AS to_jsonb_1 
FROM users

-- json_delete_path
SELECT users.settings #- CAST(ARRAY[$1::VARCHAR, $2::VARCHAR] AS TEXT[]) AS anon_1 
FROM users

-- json_concat
SELECT users.settings || $1::JSONB AS anon_1 
FROM users

-- array_contains
SELECT posts.id 
FROM posts 
WHERE posts.labels @> $1::TEXT[] AND posts.labels && $2::TEXT[]

-- array_any
SELECT posts.id 
FROM posts 
WHERE $1::VARCHAR = ANY (posts.labels)

-- array_index
SELECT posts.labels[$1::INTEGER] AS anon_1, posts.labels[$2::INTEGER:$3::INTEGER] AS anon_2, array_length(posts.labels, $4::INTEGER) AS array_length_1, cardinality(posts.labels) AS cardinality_1 
FROM posts

-- array_literal
SELECT ARRAY[$1::INTEGER, $2::INTEGER] || ARRAY[$3::INTEGER] AS anon_1

-- array_subquery
SELECT users.id, array((SELECT posts.id 
FROM posts 
WHERE posts.author_id = users.id)) AS array_1 
FROM users

-- tsvector
SELECT posts.id 
FROM posts 
WHERE posts.search @@ plainto_tsquery('english', $1::VARCHAR)

-- tsquery
SELECT posts.id, ts_rank(posts.search, plainto_tsquery($1::REGCONFIG, $2::VARCHAR)) AS rank 
FROM posts 
WHERE posts.search @@ websearch_to_tsquery($3::REGCONFIG, $4::VARCHAR) ORDER BY rank DESC

-- headline
SELECT ts_headline($1::REGCONFIG, posts.body, to_tsquery($2::REGCONFIG, $3::VARCHAR)) AS ts_headline_1 
FROM posts

-- range_contains
SELECT products.id 
FROM products 
WHERE products.available_during @> $1::TIMESTAMP WITH TIME ZONE

-- range_overlaps
SELECT products.id 
FROM products 
WHERE products.available_during && tstzrange($1::TIMESTAMP WITH TIME ZONE, NULL)

-- inet
SELECT events.id 
FROM events 
WHERE events.ip <<= CAST($1 AS INET)

-- interval
SELECT events.id 
FROM events 
WHERE events.took > $1::INTERVAL

-- now
SELECT users.id 
FROM users 
WHERE users.last_login > now() - $1::INTERVAL

-- current
SELECT CURRENT_TIMESTAMP AS current_timestamp_1, CURRENT_DATE AS current_date_1, CURRENT_USER AS current_user_1

-- date_trunc
SELECT date_trunc($1::VARCHAR, events.occurred_at) AS day, count(*) AS count_1 
FROM events GROUP BY day

-- extract
SELECT EXTRACT(year FROM orders.placed_on) AS anon_1, EXTRACT(dow FROM events.occurred_at) AS anon_2 
FROM orders, events

-- timezone
SELECT timezone($1::VARCHAR, events.occurred_at) AS timezone_1 
FROM events

-- at_time_zone
SELECT events.occurred_at AT TIME ZONE $1::VARCHAR AS anon_1 
FROM events

-- to_char
SELECT to_char(orders.placed_at, $1::VARCHAR) AS to_char_1 
FROM orders

-- strings
SELECT lower(users.name) AS lower_1, upper(users.name) AS upper_1, length(users.name) AS length_1, trim(users.name) AS trim_1, substr(users.name, $1::INTEGER, $2::INTEGER) AS substr_1, split_part(users.email, $3::VARCHAR, $4::INTEGER) AS split_part_1 
FROM users

-- nullif_greatest
SELECT nullif(users.name, $1::VARCHAR) AS nullif_1, greatest(users.age, $2::INTEGER) AS greatest_1, least(users.age, $3::INTEGER) AS least_1 
FROM users

-- round
SELECT round(products.price, $1::INTEGER) AS round_1, ceil(products.price) AS ceil_1, floor(products.price) AS floor_1, abs(users.age) AS abs_1 
FROM products, users

-- md5
SELECT md5(users.email) AS md5_1, encode(sha256(CAST(users.email AS BYTEA)), $1::VARCHAR) AS encode_1 
FROM users

-- uuid_function
SELECT gen_random_uuid() AS gen_random_uuid_1

-- insert
INSERT INTO users (email, name, is_active) VALUES ($1::VARCHAR, $2::VARCHAR, $3::BOOLEAN) RETURNING users.id, users.created_at

-- insert_many
INSERT INTO tags (name) VALUES ($1::VARCHAR), ($2::VARCHAR), ($3::VARCHAR) RETURNING tags.id

-- insert_defaults
INSERT INTO jobs (id, queue, payload, state, attempts, priority, run_at) VALUES ($1::BIGINT, $2::VARCHAR, $3::JSONB, $4::VARCHAR, $5::INTEGER, $6::SMALLINT, $7::TIMESTAMP WITH TIME ZONE) RETURNING jobs.id

-- insert_select
INSERT INTO tags (name) SELECT lower(categories.name) AS lower_1 
FROM categories 
WHERE categories.parent_id IS NULL

-- insert_expression
INSERT INTO events (kind, payload, occurred_at) VALUES ($1::VARCHAR, $2::JSONB, now()) RETURNING events.id

-- upsert_nothing
INSERT INTO tags (name) VALUES ($1::VARCHAR) ON CONFLICT DO NOTHING RETURNING tags.id

-- upsert_nothing_target
INSERT INTO tags (name) VALUES ($1::VARCHAR) ON CONFLICT (name) DO NOTHING RETURNING tags.id

-- upsert_update
INSERT INTO users (email, name) VALUES ($1::VARCHAR, $2::VARCHAR) ON CONFLICT (email) DO UPDATE SET name = excluded.name, age = (users.age + $3::INTEGER) WHERE users.is_active RETURNING users.id

-- upsert_constraint
INSERT INTO users (email, name) VALUES ($1::VARCHAR, $2::VARCHAR) ON CONFLICT ON CONSTRAINT users_email_key DO UPDATE SET name = excluded.name RETURNING users.id

-- update
UPDATE users SET name=$1::VARCHAR, age=(users.age + $2::INTEGER) WHERE users.id = $3::BIGINT

-- update_returning
UPDATE orders SET state=$1::VARCHAR, version=$2::INTEGER WHERE orders.id = $3::BIGINT AND orders.version = $4::INTEGER RETURNING orders.total

-- update_from
UPDATE order_items SET price=products.price FROM products WHERE order_items.product_id = products.id AND products.stock = $1::INTEGER

-- update_subquery
UPDATE users SET balance=(SELECT coalesce(sum(orders.total), $1::INTEGER) AS coalesce_1 
FROM orders 
WHERE orders.user_id = users.id)

-- update_values
UPDATE products SET stock=w.stock FROM (VALUES ($1::BIGINT, $2::INTEGER), ($3::BIGINT, $4::INTEGER)) AS w (id, stock) WHERE products.id = w.id

-- update_in
UPDATE jobs SET state=$1::VARCHAR WHERE jobs.id IN (SELECT jobs.id 
FROM jobs 
WHERE jobs.state = $2::VARCHAR ORDER BY jobs.id 
 LIMIT $3::INTEGER FOR UPDATE SKIP LOCKED) RETURNING jobs.id, jobs.queue, jobs.payload, jobs.state, jobs.attempts, jobs.priority, jobs.run_at

-- update_cte
WITH totals AS 
(SELECT orders.user_id AS user_id, sum(orders.total) AS total 
FROM orders GROUP BY orders.user_id)
 UPDATE users SET is_active=$1::BOOLEAN WHERE users.id IN (SELECT totals.user_id 
FROM totals)

-- update_json
UPDATE users SET settings=jsonb_set(users.settings, ARRAY[$1::VARCHAR], CAST($2::JSONB AS JSONB)) WHERE users.id = $3::BIGINT

-- update_array
UPDATE users SET roles=array_append(users.roles, $1::VARCHAR) WHERE users.id = $2::BIGINT

-- delete
DELETE FROM users WHERE users.id = $1::BIGINT

-- delete_returning
DELETE FROM jobs WHERE jobs.state = $1::VARCHAR RETURNING jobs.id

-- delete_using
DELETE FROM comments USING posts WHERE comments.post_id = posts.id AND posts.published IS false

-- delete_exists
DELETE FROM tags WHERE NOT (EXISTS (SELECT * 
FROM posts_tags 
WHERE posts_tags.tag_id = tags.id))

-- modifying_cte
WITH gone AS 
(DELETE FROM jobs WHERE jobs.state = $1::VARCHAR RETURNING jobs.id, jobs.payload)
 SELECT count(*) AS count_1 
FROM gone

-- archive
WITH gone AS 
(DELETE FROM jobs WHERE jobs.state = $2::VARCHAR RETURNING jobs.id, jobs.payload)
 INSERT INTO events (kind, payload, occurred_at) SELECT $1::VARCHAR AS anon_1, gone.payload, now() AS now_1 
FROM gone

-- for_update
SELECT orders.id, orders.user_id, orders.status, orders.state, orders.total, orders.placed_at, orders.placed_on, orders.note, orders.version 
FROM orders 
WHERE orders.id = $1::BIGINT FOR UPDATE

-- for_update_nowait
SELECT orders.id 
FROM orders 
WHERE orders.id = $1::BIGINT FOR UPDATE NOWAIT

-- skip_locked
SELECT jobs.id, jobs.queue, jobs.payload, jobs.state, jobs.attempts, jobs.priority, jobs.run_at 
FROM jobs 
WHERE jobs.state = $1::VARCHAR ORDER BY jobs.priority DESC, jobs.id 
 LIMIT $2::INTEGER FOR UPDATE SKIP LOCKED

-- for_share_of
SELECT orders.id 
FROM orders JOIN users ON users.id = orders.user_id FOR SHARE OF users

-- for_key_share
SELECT users.id 
FROM users FOR KEY SHARE

-- for_no_key_update
SELECT users.id 
FROM users FOR NO KEY UPDATE

-- psycopg2_key
SELECT users.id, users.email, users.name, users.is_active, users.age, users.balance, users.roles, users.settings, users.manager_id, users.last_login, users.created_at, users.deleted_at 
FROM users 
WHERE users.id = 7

-- psycopg2_strings
SELECT users.id 
FROM users 
WHERE users.email = 'o''hara' AND users.name LIKE '100%'

-- psycopg2_in
SELECT posts.id, posts.title 
FROM posts 
WHERE posts.id IN (1, 2, 3, 4, 5) ORDER BY posts.id DESC 
 LIMIT 10 OFFSET 20

-- psycopg2_json
SELECT users.settings ->> 'a' AS anon_1 
FROM users 
WHERE CAST((users.settings ->> 'n') AS INTEGER) > 3

-- psycopg2_insert
INSERT INTO tags (name) VALUES ('it''s') RETURNING tags.id

-- psycopg2_update
UPDATE orders SET state='x', note=NULL WHERE orders.id = 1

-- psycopg2_date
SELECT orders.id 
FROM orders 
WHERE orders.placed_on >= '2024-01-01'

-- psycopg2_bool
SELECT posts.id 
FROM posts 
WHERE posts.published = true AND posts.rating > 4.5

