-- connect_0
SET client_min_messages TO 'warning'

-- connect_1
SET standard_conforming_strings = on

-- connect_2
SET intervalstyle = iso_8601

-- connect_3
SET SESSION timezone TO 'UTC'

-- connect_4
SELECT t.oid, t.typname
FROM pg_type as t
WHERE t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric', 'bool', 'timestamp', 'timestamptz')

-- connect_5
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype
FROM pg_type as t
LEFT JOIN pg_range as r ON oid = rngtypid
WHERE
  t.typname IN ('int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'text', 'varchar', 'char', 'name', 'bpchar', 'bool', 'bit', 'varbit', 'timestamptz', 'date', 'money', 'bytea', 'point', 'hstore', 'json', 'jsonb', 'cidr', 'inet', 'uuid', 'xml', 'tsvector', 'macaddr', 'citext', 'ltree', 'line', 'lseg', 'box', 'path', 'polygon', 'circle', 'time', 'timestamp', 'numeric', 'interval')
  OR t.typtype IN ('r', 'e', 'd')
  OR t.typinput = 'array_in(cstring,oid,integer)'::regprocedure
  OR t.typelem != 0

-- connect_6
SHOW TIME ZONE

-- find_7
BEGIN

-- find_8
SAVEPOINT active_record_1

-- find_9
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r','v','m','p','f')

-- find_10
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"users"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- find_11
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"users"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- find_12
SHOW max_identifier_length

-- find_13
SHOW search_path

-- find_14
SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2

-- find_15
ROLLBACK TO SAVEPOINT active_record_1

-- find_by_16
SELECT "users".* FROM "users" WHERE "users"."email" = $1 AND "users"."is_active" = $2 LIMIT $3

-- find_by_17
RELEASE SAVEPOINT active_record_1

-- find_many_18
SELECT "users".* FROM "users" WHERE "users"."id" IN ($1, $2, $3)

-- first_19
SELECT "users".* FROM "users" ORDER BY "users"."id" ASC LIMIT $1

-- last_20
SELECT "users".* FROM "users" ORDER BY "users"."id" DESC LIMIT $1

-- take_21
SELECT "users".* FROM "users" LIMIT $1

-- where_nil_22
SELECT "users".* FROM "users" WHERE "users"."deleted_at" IS NULL AND "users"."name" IS NOT NULL

-- where_array_23
SELECT "users".* FROM "users" WHERE "users"."email" IN ($1, $2)

-- where_array_nil_24
SELECT "users".* FROM "users" WHERE ("users"."name" = $1 OR "users"."name" IS NULL)

-- where_range_25
SELECT "users".* FROM "users" WHERE "users"."age" BETWEEN $1 AND $2 AND "users"."created_at" >= $3

-- where_exclusive_26
SELECT "users".* FROM "users" WHERE "users"."age" >= $1 AND "users"."age" < $2

-- where_not_27
SELECT "users".* FROM "users" WHERE NOT ("users"."age" IN ($1, $2) AND "users"."name" = $3)

-- where_sql_28
SELECT "users".* FROM "users" WHERE (lower(email) = 'a' AND age > 3)

-- where_named_29
SELECT "users".* FROM "users" WHERE (name LIKE '%x%' OR email ILIKE '%x%')

-- or_30
SELECT "users".* FROM "users" WHERE ("users"."age" = $1 OR "users"."name" = $2)

-- scopes_31
SELECT "users".* FROM "users" WHERE "users"."is_active" = $1 AND "users"."deleted_at" IS NULL AND (age >= 18) ORDER BY "users"."created_at" DESC

-- rewhere_32
SELECT "users".* FROM "users" WHERE "users"."age" = $1

-- select_33
SELECT "users"."id", "users"."email", upper(name) AS up FROM "users"

-- pluck_34
SELECT "users"."id", "users"."email" FROM "users" ORDER BY "users"."id" ASC

-- ids_35
SELECT "users"."id" FROM "users" WHERE "users"."age" = $1

-- distinct_36
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"posts"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- distinct_37
SELECT DISTINCT "posts"."author_id" FROM "posts"

-- page_38
SELECT "posts".* FROM "posts" ORDER BY "posts"."published_at" DESC, "posts"."id" ASC LIMIT $1 OFFSET $2

-- order_sql_39
SELECT "posts".* FROM "posts" ORDER BY published_at DESC NULLS LAST

-- reverse_40
SELECT "posts".* FROM "posts" ORDER BY "posts"."title" DESC

-- exists_41
SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2

-- any_42
SELECT 1 AS one FROM "users" WHERE "users"."age" = $1 LIMIT $2

-- many_43
SELECT COUNT(*) FROM "users" WHERE "users"."age" = $1

-- count_44
SELECT COUNT(*) FROM "users"

-- count_distinct_45
SELECT COUNT(DISTINCT "posts"."author_id") FROM "posts"

-- count_limit_46
SELECT COUNT(*) FROM (SELECT 1 AS one FROM "posts" LIMIT $1) subquery_for_count

-- group_count_47
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"orders"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- group_count_48
SELECT COUNT(*) AS count_all, "orders"."state" AS orders_state FROM "orders" GROUP BY "orders"."state"

-- group_sum_49
SELECT SUM("orders"."total") AS sum_total, "orders"."state" AS orders_state FROM "orders" GROUP BY "orders"."state" HAVING (sum(total) > 10)

-- group_date_50
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"events"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- group_date_51
SELECT COUNT(*) AS count_all, date_trunc('day', occurred_at) AS date_trunc_day_occurred_at FROM "events" GROUP BY date_trunc('day', occurred_at)

-- aggregates_52
SELECT SUM("orders"."total") FROM "orders"

-- aggregates_53
SELECT AVG("orders"."total") FROM "orders"

-- aggregates_54
SELECT MIN("orders"."placed_at") FROM "orders"

-- aggregates_55
SELECT MAX("orders"."placed_on") FROM "orders"

-- joins_56
SELECT "users".* FROM "users" INNER JOIN "posts" ON "posts"."author_id" = "users"."id" WHERE "posts"."published" = $1

-- joins_nested_57
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"posts"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- joins_nested_58
SELECT DISTINCT "users".* FROM "users" INNER JOIN "posts" ON "posts"."author_id" = "users"."id" INNER JOIN "comments" ON "comments"."post_id" = "posts"."id"

-- left_joins_59
SELECT "users".* FROM "users" LEFT OUTER JOIN "orders" ON "orders"."user_id" = "users"."id" WHERE "orders"."id" IS NULL

-- joins_through_60
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"teams"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- joins_through_61
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"teams"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- joins_through_62
SELECT "users".* FROM "users" INNER JOIN "memberships" ON "memberships"."user_id" = "users"."id" INNER JOIN "teams" ON "teams"."id" = "memberships"."team_id" WHERE "teams"."slug" = $1

-- joins_sql_63
SELECT users.*, count(posts.id) AS n FROM "users" LEFT JOIN posts ON posts.author_id = users.id AND posts.published GROUP BY "users"."id"

-- joins_self_64
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'managers_users' AND c.relkind IN ('r','v','m','p','f')

-- joins_self_65
SELECT "users".* FROM "users" INNER JOIN "users" "managers_users" ON "managers_users"."id" = "users"."manager_id" WHERE "managers_users"."name" = $1

-- habtm_66
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"tags"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- habtm_67
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"tags"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- habtm_68
SELECT "posts".* FROM "posts" INNER JOIN "posts_tags" ON "posts_tags"."post_id" = "posts"."id" INNER JOIN "tags" ON "tags"."id" = "posts_tags"."tag_id" WHERE "tags"."name" IN ($1, $2)

-- merge_69
SELECT "posts".* FROM "posts" INNER JOIN "users" ON "users"."id" = "posts"."author_id" WHERE "users"."is_active" = $1 AND "users"."deleted_at" IS NULL

-- eager_load_70
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"comments"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- eager_load_71
SELECT "posts"."id" AS t0_r0, "posts"."author_id" AS t0_r1, "posts"."title" AS t0_r2, "posts"."slug" AS t0_r3, "posts"."body" AS t0_r4, "posts"."published" AS t0_r5, "posts"."published_at" AS t0_r6, "posts"."views" AS t0_r7, "posts"."rating" AS t0_r8, "posts"."metadata" AS t0_r9, "posts"."labels" AS t0_r10, "posts"."search" AS t0_r11, "posts"."comments_count" AS t0_r12, "posts"."created_at" AS t0_r13, "posts"."updated_at" AS t0_r14, "posts"."deleted_at" AS t0_r15, "users"."id" AS t1_r0, "users"."email" AS t1_r1, "users"."name" AS t1_r2, "users"."encrypted_password" AS t1_r3, "users"."is_active" AS t1_r4, "users"."is_staff" AS t1_r5, "users"."age" AS t1_r6, "users"."balance" AS t1_r7, "users"."roles" AS t1_r8, "users"."settings" AS t1_r9, "users"."manager_id" AS t1_r10, "users"."last_login" AS t1_r11, "users"."reset_token" AS t1_r12, "users"."lock_version" AS t1_r13, "users"."created_at" AS t1_r14, "users"."updated_at" AS t1_r15, "users"."deleted_at" AS t1_r16, "comments"."id" AS t2_r0, "comments"."post_id" AS t2_r1, "comments"."author_id" AS t2_r2, "comments"."parent_id" AS t2_r3, "comments"."body" AS t2_r4, "comments"."created_at" AS t2_r5 FROM "posts" LEFT OUTER JOIN "users" ON "users"."id" = "posts"."author_id" LEFT OUTER JOIN "comments" ON "comments"."post_id" = "posts"."id" WHERE "comments"."body" = $1

-- eager_load_limit_72
SELECT DISTINCT posts.id AS alias_0, "posts"."id" FROM "posts" LEFT OUTER JOIN "comments" ON "comments"."post_id" = "posts"."id" ORDER BY posts.id LIMIT $1

-- where_associated_73
SELECT "users".* FROM "users" LEFT OUTER JOIN "posts" ON "posts"."author_id" = "users"."id" WHERE "posts"."id" IS NULL

-- subquery_74
SELECT "users".* FROM "users" WHERE "users"."id" IN (SELECT "posts"."author_id" FROM "posts" WHERE "posts"."published" = $1)

-- not_subquery_75
SELECT "users".* FROM "users" WHERE "users"."id" NOT IN (SELECT "posts"."author_id" FROM "posts")

-- from_76
SELECT "users".* FROM (SELECT "users".* FROM "users" WHERE "users"."age" = $1) users WHERE "users"."name" = $2

-- exists_sql_77
SELECT "users".* FROM "users" WHERE (EXISTS (SELECT 1 FROM posts WHERE posts.author_id = users.id))

-- arel_78
SELECT "users".* FROM "users" WHERE ("users"."age" > 3 AND "users"."name" ILIKE '%x%' OR "users"."email" = 'y')

-- arel_exists_79
SELECT "users".* FROM "users" WHERE EXISTS (SELECT "posts".* FROM "posts" WHERE "posts"."author_id" = "users"."id")

-- arel_case_80
SELECT CASE WHEN "orders"."state" = 'paid' THEN 1 ELSE 0 END AS paid FROM "orders"

-- arel_union_81
SELECT "id" FROM ( SELECT "users"."id" FROM "users" WHERE "users"."age" = $1 UNION SELECT "users"."id" FROM "users" WHERE "users"."age" = $2 ) AS users

-- window_82
SELECT id, row_number() OVER (PARTITION BY author_id ORDER BY views DESC) AS n FROM "posts"

-- cte_sql_83
WITH grown AS (SELECT * FROM users WHERE age > 17) SELECT * FROM grown ORDER BY id

-- find_by_sql_84
SELECT * FROM users WHERE id = 1

-- select_value_85
SELECT count(*) FROM users WHERE is_active

-- select_all_86
SELECT state, count(*) FILTER (WHERE total > 10) FROM orders GROUP BY state

-- json_87
SELECT "users".* FROM "users" WHERE (settings->>'theme' = 'dark') AND (settings @> '{"a":1}')

-- json_has_88
SELECT "users".* FROM "users" WHERE (jsonb_exists(settings, 'a'))

-- json_question_89
SELECT "users".* FROM "users" WHERE (settings ? 'a')

-- array_90
SELECT "users".* FROM "users" WHERE ('admin' = ANY(roles)) AND (roles @> ARRAY['x'])

-- array_overlap_91
SELECT "posts".* FROM "posts" WHERE (labels && ARRAY['a','b']::text[])

-- search_92
SELECT "posts".* FROM "posts" WHERE (to_tsvector('english', title || ' ' || coalesce(body, '')) @@ plainto_tsquery('english', 'cat'))

-- search_rank_93
SELECT posts.*, ts_rank(search, to_tsquery('cat')) AS rank FROM "posts" WHERE (search @@ to_tsquery('cat')) ORDER BY rank DESC

-- lateral_94
SELECT users.id, latest.title FROM "users" CROSS JOIN LATERAL (SELECT title FROM posts WHERE author_id = users.id ORDER BY id DESC LIMIT 1) latest

-- distinct_on_95
SELECT DISTINCT ON (author_id) posts.* FROM "posts" ORDER BY author_id, views DESC

-- interval_96
SELECT "events".* FROM "events" WHERE (occurred_at > now() - interval '1 week')

-- time_97
SELECT "events".* FROM "events" WHERE (occurred_at >= '2024-05-06 07:08:09')

-- timezone_98
SELECT date_trunc('day', occurred_at AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') AS day FROM "events"

-- annotate_99
SELECT "users".* FROM "users" WHERE "users"."age" = $1 /* controller:users,action:index */

-- hints_100
SELECT /*+ SeqScan(users) */ "users".* FROM "users" WHERE "users"."age" = $1

-- sti_type_101
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"products"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- sti_type_102
SELECT "products".* FROM "products" WHERE "products"."type" = $1

-- in_batches_from_103
SELECT "users"."id" FROM "users" WHERE "users"."id" >= $1 ORDER BY "users"."id" ASC LIMIT $2

-- lock_104
SELECT "orders".* FROM "orders" WHERE "orders"."id" = $1 LIMIT $2 FOR UPDATE

-- lock_string_105
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"jobs"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- lock_string_106
SELECT "jobs".* FROM "jobs" WHERE "jobs"."state" = $1 ORDER BY "jobs"."priority" ASC, "jobs"."id" ASC LIMIT $2 FOR UPDATE SKIP LOCKED

-- lock_share_107
SELECT "orders".* FROM "orders" WHERE "orders"."id" = $1 FOR SHARE

-- explain_108
EXPLAIN SELECT "users".* FROM "users" WHERE "users"."age" = $1

-- create_109
INSERT INTO "users" ("email", "name", "age", "roles", "settings", "created_at", "updated_at", "lock_version") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING "id"

-- create_110
INSERT INTO "posts" ("author_id", "title", "published", "labels", "created_at", "updated_at") VALUES ($1, $2, $3, $4, $5, $6) RETURNING "id"

-- preload_111
SELECT "posts".* FROM "posts"

-- preload_112
SELECT "users".* FROM "users" WHERE "users"."id" = $1

-- preload_113
SELECT "comments".* FROM "comments" WHERE "comments"."post_id" = $1

-- preload_114
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"posts_tags"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- preload_115
SELECT "posts_tags".* FROM "posts_tags" WHERE "posts_tags"."post_id" = $1

-- includes_116
SELECT "posts".* FROM "posts" WHERE "posts"."author_id" = $1

-- includes_117
SELECT "orders".* FROM "orders" WHERE "orders"."user_id" = $1

-- habtm_add_118
INSERT INTO "tags" ("name") VALUES ($1) RETURNING "id"

-- habtm_add_119
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"posts_tags"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- habtm_add_120
INSERT INTO "posts_tags" ("post_id", "tag_id") VALUES ($1, $2) RETURNING "id"

-- comment_121
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"comments"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- comment_122
INSERT INTO "comments" ("post_id", "body", "created_at") VALUES ($1, $2, $3) RETURNING "id"

-- comment_123
UPDATE "posts" SET "comments_count" = COALESCE("comments_count", 0) + $1 WHERE "posts"."id" = $2

-- association_124
SELECT "posts".* FROM "posts" WHERE "posts"."author_id" = $1 AND "posts"."published" = $2 ORDER BY "posts"."id" ASC

-- association_125
SELECT COUNT(*) FROM "posts" WHERE "posts"."author_id" = $1

-- association_126
SELECT "posts".* FROM "posts" WHERE "posts"."author_id" = $1 AND "posts"."id" = $2 LIMIT $3

-- association_127
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"memberships"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- association_128
SELECT "teams".* FROM "teams" INNER JOIN "memberships" ON "teams"."id" = "memberships"."team_id" WHERE "memberships"."user_id" = $1

-- association_129
SELECT "comments".* FROM "comments" INNER JOIN "posts" ON "comments"."post_id" = "posts"."id" WHERE "posts"."author_id" = $1

-- association_130
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"profiles"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- association_131
SELECT "profiles".* FROM "profiles" WHERE "profiles"."user_id" = $1 LIMIT $2

-- association_target_132
SELECT "posts".* FROM "posts" WHERE "posts"."id" = $1 LIMIT $2

-- association_target_133
SELECT "comments".* FROM "comments" ORDER BY "comments"."id" ASC LIMIT $1

-- polymorphic_134
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"likes"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- polymorphic_135
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"likes"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- polymorphic_136
INSERT INTO "likes" ("user_id", "likeable_type", "likeable_id", "created_at") VALUES ($1, $2, $3, $4) RETURNING "id"

-- polymorphic_137
SELECT "likes".* FROM "likes" WHERE "likes"."likeable_id" = $1 AND "likes"."likeable_type" = $2

-- polymorphic_138
SELECT "likes".* FROM "likes"

-- polymorphic_139
SELECT "posts".* FROM "posts" WHERE "posts"."id" = $1

-- update_140
SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 AND "users"."id" != $2 LIMIT $3

-- update_141
UPDATE "users" SET "name" = $1, "updated_at" = $2, "lock_version" = $3 WHERE "users"."id" = $4 AND "users"."lock_version" = $5

-- update_column_142
UPDATE "users" SET "age" = $1 WHERE "users"."id" = $2

-- touch_143
UPDATE "users" SET "updated_at" = $1, "lock_version" = $2 WHERE "users"."id" = $3 AND "users"."lock_version" = $4

-- increment_144
UPDATE "users" SET "age" = COALESCE("age", 0) + $1, "lock_version" = COALESCE("lock_version", 0) + $2 WHERE "users"."id" = $3

-- update_all_145
UPDATE "posts" SET "views" = $1 WHERE "posts"."published" = $2

-- update_all_sql_146
UPDATE "posts" SET views = views + 1 WHERE "posts"."author_id" = $1

-- update_join_147
UPDATE "posts" SET "published" = $1 WHERE "posts"."id" IN (SELECT "posts"."id" FROM "posts" INNER JOIN "users" ON "users"."id" = "posts"."author_id" WHERE "users"."age" = $2)

-- optimistic_148
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"orders"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- optimistic_149
INSERT INTO "orders" ("user_id", "total", "placed_on", "created_at", "version") VALUES ($1, $2, $3, $4, $5) RETURNING "id"

-- optimistic_150
UPDATE "orders" SET "state" = $1, "version" = $2 WHERE "orders"."id" = $3 AND "orders"."version" = $4

-- insert_all_151
SELECT distinct i.relname, d.indisunique, d.indkey, pg_get_indexdef(d.indexrelid), t.oid,
                pg_catalog.obj_description(i.oid, 'pg_class') AS comment
FROM pg_class t
INNER JOIN pg_index d ON t.oid = d.indrelid
INNER JOIN pg_class i ON d.indexrelid = i.oid
LEFT JOIN pg_namespace n ON n.oid = i.relnamespace
WHERE i.relkind IN ('i', 'I')
  AND d.indisprimary = 'f'
  AND t.relname = 'tags'
  AND n.nspname = ANY (current_schemas(false))
ORDER BY i.relname

-- insert_all_152
SELECT a.attnum, a.attname
FROM pg_attribute a
WHERE a.attrelid = 16912
AND a.attnum IN (2)

-- insert_all_153
INSERT INTO "tags" ("name") VALUES ('x1'), ('x2') ON CONFLICT  DO NOTHING RETURNING "id"

-- insert_all_returning_154
INSERT INTO "tags" ("name") VALUES ('x3') ON CONFLICT ("name") DO NOTHING RETURNING "id","name"

-- upsert_all_155
INSERT INTO "tags" ("id","name") VALUES (1, 'y'), (2, 'z') ON CONFLICT ("id") DO UPDATE SET "name"=excluded."name" RETURNING "id"

-- find_or_create_156
SELECT "tags".* FROM "tags" WHERE "tags"."name" = $1 LIMIT $2

-- with_lock_157
SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2 FOR UPDATE

-- with_lock_158
UPDATE "users" SET "age" = $1, "updated_at" = $2, "lock_version" = $3 WHERE "users"."id" = $4 AND "users"."lock_version" = $5

-- delete_159
SELECT "likes".* FROM "likes" ORDER BY "likes"."id" DESC LIMIT $1

-- delete_160
DELETE FROM "likes" WHERE "likes"."id" = $1

-- delete_all_161
DELETE FROM "comments" WHERE "comments"."post_id" = $1

-- delete_join_162
DELETE FROM "comments" WHERE "comments"."id" IN (SELECT "comments"."id" FROM "comments" INNER JOIN "posts" ON "posts"."id" = "comments"."post_id" WHERE "posts"."published" = $1)

-- destroy_163
SELECT "orders".* FROM "orders" ORDER BY "orders"."id" DESC LIMIT $1

-- destroy_164
DELETE FROM "orders" WHERE "orders"."id" = $1 AND "orders"."version" = $2

-- destroy_165
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"profiles"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- destroy_166
INSERT INTO "profiles" ("user_id") VALUES ($1) RETURNING "id"

-- destroy_167
DELETE FROM "profiles" WHERE "profiles"."id" = $1

-- destroy_all_168
SELECT "likes".* FROM "likes" WHERE "likes"."user_id" = $1

-- nullify_169
SELECT "tags".* FROM "tags" INNER JOIN "posts_tags" ON "tags"."id" = "posts_tags"."tag_id" WHERE "posts_tags"."post_id" = $1

-- nullify_170
DELETE FROM "posts_tags" WHERE "posts_tags"."post_id" = $1 AND "posts_tags"."tag_id" = $2

-- advisory_171
SELECT pg_try_advisory_lock(7)

-- advisory_172
SELECT pg_advisory_unlock(7)

-- schema_173
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r','p')

-- schema_174
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('v','m')

-- schema_175
SELECT distinct i.relname, d.indisunique, d.indkey, pg_get_indexdef(d.indexrelid), t.oid,
                pg_catalog.obj_description(i.oid, 'pg_class') AS comment
FROM pg_class t
INNER JOIN pg_index d ON t.oid = d.indrelid
INNER JOIN pg_class i ON d.indexrelid = i.oid
LEFT JOIN pg_namespace n ON n.oid = i.relnamespace
WHERE i.relkind IN ('i', 'I')
  AND d.indisprimary = 'f'
  AND t.relname = 'posts'
  AND n.nspname = ANY (current_schemas(false))
ORDER BY i.relname

-- schema_176
SELECT t2.oid::regclass::text AS to_table, a1.attname AS column, a2.attname AS primary_key, c.conname AS name, c.confupdtype AS on_update, c.confdeltype AS on_delete, c.convalidated AS valid
FROM pg_constraint c
JOIN pg_class t1 ON c.conrelid = t1.oid
JOIN pg_class t2 ON c.confrelid = t2.oid
JOIN pg_attribute a1 ON a1.attnum = c.conkey[1] AND a1.attrelid = t1.oid
JOIN pg_attribute a2 ON a2.attnum = c.confkey[1] AND a2.attrelid = t2.oid
JOIN pg_namespace t3 ON c.connamespace = t3.oid
WHERE c.contype = 'f'
  AND t1.relname = 'posts'
  AND t3.nspname = ANY (current_schemas(false))
ORDER BY c.conname

-- schema_177
SELECT a.attname
  FROM (
         SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx
           FROM pg_index
          WHERE indrelid = '"order_items"'::regclass
            AND indisprimary
       ) i
  JOIN pg_attribute a
    ON a.attrelid = i.indrelid
   AND a.attnum = i.indkey[i.idx]
 ORDER BY i.idx

-- schema_178
SELECT extname FROM pg_extension

-- schema_179
SELECT current_schema

-- schema_180
SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()

-- schema_181
SELECT datcollate FROM pg_database WHERE datname = current_database()

-- schema_182
SELECT datctype FROM pg_database WHERE datname = current_database()

-- schema_183
SELECT nspname
  FROM pg_namespace
 WHERE nspname !~ '^pg_.*'
   AND nspname NOT IN ('information_schema')
 ORDER by nspname;

-- schema_184
SHOW client_min_messages

-- schema_185
SELECT COUNT(*)
FROM pg_class t
INNER JOIN pg_index d ON t.oid = d.indrelid
INNER JOIN pg_class i ON d.indexrelid = i.oid
LEFT JOIN pg_namespace n ON n.oid = i.relnamespace
WHERE i.relkind IN ('i', 'I')
  AND i.relname = 'x'
  AND t.relname = 'posts'
  AND n.nspname = ANY (current_schemas(false))

-- schema_186
SELECT pg_catalog.obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'users'
  AND c.relkind IN ('r','p')
  AND n.nspname = ANY (current_schemas(false))

-- schema_187
SELECT conname, pg_get_constraintdef(c.oid) AS constraintdef, c.convalidated AS valid
            FROM pg_constraint c
            JOIN pg_class t ON c.conrelid = t.oid
            WHERE c.contype = 'c'
              AND t.relname = 'users'

-- schema_188
SELECT current_database()

-- schema_189
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'users' AND c.relkind IN ('r','p')

-- schema_190
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'active_users' AND c.relkind IN ('v','m')

-- schema_191
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'nothing' AND c.relkind IN ('r','v','m','p','f')

-- schema_192
SELECT pg_get_serial_sequence('users', 'id')

-- schema_193
SELECT attr.attname, nsp.nspname, seq.relname
FROM pg_class      seq,
     pg_attribute  attr,
     pg_depend     dep,
     pg_constraint cons,
     pg_namespace  nsp
WHERE seq.oid           = dep.objid
  AND seq.relkind       = 'S'
  AND attr.attrelid     = dep.refobjid
  AND attr.attnum       = dep.refobjsubid
  AND attr.attrelid     = cons.conrelid
  AND attr.attnum       = cons.conkey[1]
  AND seq.relnamespace  = nsp.oid
  AND cons.contype      = 'p'
  AND dep.classid       = 'pg_class'::regclass
  AND dep.refobjid      = '"users"'::regclass

-- schema_194
SET SESSION AUTHORIZATION postgres

-- schema_195
SET search_path TO public

-- migrations_196
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"schema_migrations"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- migrations_197
SELECT "schema_migrations"."version" FROM "schema_migrations" ORDER BY "schema_migrations"."version" ASC

-- migrations_198
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod,
       c.collname, col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  LEFT JOIN pg_type t ON a.atttypid = t.oid
  LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
 WHERE a.attrelid = '"ar_internal_metadata"'::regclass
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum

-- migrations_199
SELECT "ar_internal_metadata"."value" FROM "ar_internal_metadata" WHERE "ar_internal_metadata"."key" = $1

-- migrations_200
ROLLBACK

