-- find_unique
SELECT "public"."User"."id", "public"."User"."email", "public"."User"."name", "public"."User"."role"::text, "public"."User"."createdAt" FROM "public"."User" WHERE ("public"."User"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3

-- find_unique_compacted
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE "public"."User"."id" IN ($1,$2,$3) OFFSET $4

-- find_first
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."authorId" FROM "public"."Post" WHERE ("public"."Post"."published" = $1 AND "public"."Post"."title"::text LIKE $2) ORDER BY "public"."Post"."createdAt" DESC LIMIT $3 OFFSET $4

-- find_many_all
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."content", "public"."Post"."published", "public"."Post"."viewCount", "public"."Post"."authorId", "public"."Post"."createdAt", "public"."Post"."updatedAt" FROM "public"."Post" WHERE 1=1 OFFSET $1

-- find_many_insensitive
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE ("public"."User"."name"::text ILIKE $1 OR "public"."User"."email"::text ILIKE $2) OFFSET $3

-- find_many_not
SELECT "public"."User"."id" FROM "public"."User" WHERE ("public"."User"."name" IS NOT NULL AND "public"."User"."email" <> $1 AND "public"."User"."email" NOT IN ($2,$3)) OFFSET $4

-- find_many_nothing
SELECT "public"."User"."id", "public"."User"."name" FROM "public"."User" WHERE 1=0 OFFSET $1

-- find_many_ranges
SELECT "public"."Post"."id" FROM "public"."Post" WHERE ("public"."Post"."createdAt" >= $1 AND "public"."Post"."createdAt" < $2 AND (NOT "public"."Post"."viewCount" > $3)) ORDER BY "public"."Post"."viewCount" ASC, "public"."Post"."id" DESC LIMIT $4 OFFSET $5

-- find_many_nulls_last
SELECT "public"."Post"."id", "public"."Post"."updatedAt" FROM "public"."Post" WHERE 1=1 ORDER BY "public"."Post"."updatedAt" DESC NULLS LAST LIMIT $1 OFFSET $2

-- find_many_enum
SELECT "public"."User"."id" FROM "public"."User" WHERE "public"."User"."role" = CAST($1::text AS "public"."Role") OFFSET $2

-- find_many_enum_in
SELECT "public"."User"."id", "public"."User"."role"::text FROM "public"."User" WHERE "public"."User"."role" IN (CAST($1::text AS "public"."Role"),CAST($2::text AS "public"."Role")) OFFSET $3

-- find_many_list_has
SELECT "public"."User"."id", "public"."User"."tags" FROM "public"."User" WHERE ("public"."User"."tags" @> $1 AND "public"."User"."tags" && $2 AND "public"."User"."tags" <> $3) OFFSET $4

-- find_many_json_path
SELECT "public"."User"."id", "public"."User"."data" FROM "public"."User" WHERE ("public"."User"."data"#>ARRAY[$1]::text[])::jsonb = $2::jsonb OFFSET $3

-- find_many_json_string_contains
SELECT "public"."User"."id" FROM "public"."User" WHERE (("public"."User"."data"#>>ARRAY[$1]::text[])::text LIKE $2 AND (JSONB_TYPEOF(("public"."User"."data"#>ARRAY[$3]::text[])::jsonb) = $4)) OFFSET $5

-- find_many_some
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE ("public"."User"."id") IN (SELECT "t1"."authorId" FROM "public"."Post" AS "t1" WHERE ("t1"."published" = $1 AND "t1"."authorId" IS NOT NULL)) OFFSET $2

-- find_many_every
SELECT "public"."User"."id" FROM "public"."User" WHERE ("public"."User"."id") NOT IN (SELECT "t1"."authorId" FROM "public"."Post" AS "t1" WHERE ((NOT "t1"."published" = $1) AND "t1"."authorId" IS NOT NULL)) OFFSET $2

-- find_many_none_many_to_many
SELECT "public"."Post"."id" FROM "public"."Post" WHERE ("public"."Post"."id") NOT IN (SELECT "t1"."B" FROM "public"."_CategoryToPost" AS "t1" INNER JOIN "public"."Category" AS "j1" ON ("j1"."id") = ("t1"."A") WHERE ("j1"."name" = $1 AND "t1"."B" IS NOT NULL)) OFFSET $2

-- find_many_is
SELECT "public"."Post"."id", "public"."Post"."title" FROM "public"."Post" LEFT JOIN "public"."User" AS "j1" ON ("j1"."id") = ("public"."Post"."authorId") WHERE ("j1"."email" = $1 AND ("j1"."id" IS NOT NULL)) OFFSET $2

-- find_many_exists
SELECT "public"."User"."id" FROM "public"."User" WHERE EXISTS(SELECT "t0"."authorId" FROM "public"."Post" AS "t0" WHERE ("t0"."title"::text LIKE $1 AND ("public"."User"."id") = ("t0"."authorId") AND "t0"."authorId" IS NOT NULL)) OFFSET $2

-- find_many_order_by_relation
SELECT "public"."Post"."id" FROM "public"."Post" LEFT JOIN "public"."User" AS "orderby_1" ON ("public"."Post"."authorId") = ("orderby_1"."id") WHERE 1=1 ORDER BY "orderby_1"."name" ASC OFFSET $1

-- find_many_order_by_count
SELECT "public"."User"."id" FROM "public"."User" LEFT JOIN (SELECT "public"."Post"."authorId", COUNT(*) AS "orderby_aggregator" FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId") AS "orderby_1" ON ("public"."User"."id" = "orderby_1"."authorId") WHERE 1=1 ORDER BY COALESCE("orderby_1"."orderby_aggregator", $1) DESC OFFSET $2

-- find_many_count_relation
SELECT "public"."User"."id", "public"."User"."email", COALESCE("aggr_selection_0_Post"."_aggr_count_posts", 0) AS "_aggr_count_posts" FROM "public"."User" LEFT JOIN (SELECT "public"."Post"."authorId", COUNT(*) AS "_aggr_count_posts" FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId") AS "aggr_selection_0_Post" ON ("public"."User"."id" = "aggr_selection_0_Post"."authorId") WHERE 1=1 ORDER BY "public"."User"."id" ASC OFFSET $1

-- find_many_cursor
SELECT "public"."Post"."id", "public"."Post"."title" FROM "public"."Post" WHERE "public"."Post"."id" >= (SELECT "public"."Post"."id" FROM "public"."Post" WHERE ("public"."Post"."id") = ($1)) ORDER BY "public"."Post"."id" ASC LIMIT $2 OFFSET $3

-- find_many_cursor_two
SELECT "public"."Post"."id", "public"."Post"."createdAt" FROM "public"."Post", (SELECT "public"."Post"."createdAt" AS "Post_createdAt_0", "public"."Post"."id" AS "Post_id_1" FROM "public"."Post" WHERE ("public"."Post"."id") = ($1)) AS "order_cmp" WHERE (("public"."Post"."createdAt" = "order_cmp"."Post_createdAt_0" AND "public"."Post"."id" >= "order_cmp"."Post_id_1") OR "public"."Post"."createdAt" < "order_cmp"."Post_createdAt_0") ORDER BY "public"."Post"."createdAt" DESC, "public"."Post"."id" ASC LIMIT $2 OFFSET $3

-- find_many_distinct_on
SELECT DISTINCT ON ("public"."Post"."authorId") "public"."Post"."id", "public"."Post"."authorId" FROM "public"."Post" WHERE 1=1 ORDER BY "public"."Post"."authorId" ASC OFFSET $1

-- find_many_field_reference
SELECT "public"."Post"."id" FROM "public"."Post" WHERE "public"."Post"."title"::text = "public"."Post"."content" OFFSET $1

-- include_many
SELECT "public"."Post"."id", "public"."Post"."title", "public"."Post"."authorId" FROM "public"."Post" WHERE "public"."Post"."authorId" IN ($1,$2,$3,$4,$5) OFFSET $6

-- include_many_to_many
SELECT "public"."_CategoryToPost"."A", "public"."_CategoryToPost"."B" FROM "public"."_CategoryToPost" WHERE "public"."_CategoryToPost"."B" IN ($1,$2)

-- join_strategy_to_many
SELECT "t0"."id", "t0"."email", "t0"."name", "User_posts"."__prisma_data__" AS "posts" FROM "public"."User" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t3"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t2"."id", 'title', "t2"."title") AS "__prisma_data__" FROM (SELECT "t1".* FROM "public"."Post" AS "t1" WHERE "t0"."id" = "t1"."authorId" /* root select */) AS "t2" /* inner select */) AS "t3" /* middle select */) AS "t4" /* outer select */) AS "User_posts" ON TRUE WHERE "t0"."email" = $1 LIMIT $2

-- join_strategy_to_one
SELECT "t0"."id", "t0"."title", "Post_author"."__prisma_data__" AS "author" FROM "public"."Post" AS "t0" LEFT JOIN LATERAL (SELECT JSONB_BUILD_OBJECT('id', "t1"."id", 'email', "t1"."email") AS "__prisma_data__" FROM (SELECT "t2".* FROM "public"."User" AS "t2" WHERE "t0"."authorId" = "t2"."id" LIMIT $1 /* root select */) AS "t1") AS "Post_author" ON TRUE

-- join_strategy_many_to_many
SELECT "t1"."id", "Post_categories_m2m"."__prisma_data__" AS "categories" FROM "public"."Post" AS "t1" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "Post_categories"."__prisma_data__" FROM "public"."_CategoryToPost" AS "t2" LEFT JOIN LATERAL (SELECT JSONB_BUILD_OBJECT('id', "t3"."id", 'name', "t3"."name") AS "__prisma_data__", "t3"."id" FROM (SELECT "t4".* FROM "public"."Category" AS "t4" WHERE "t2"."A" = "t4"."id" /* root select */) AS "t3") AS "Post_categories" ON TRUE WHERE "t2"."B" = "t1"."id") AS "Post_categories_m2m_1") AS "Post_categories_m2m" ON TRUE

-- count
SELECT COUNT(*) FROM (SELECT "public"."User"."id" FROM "public"."User" WHERE 1=1 OFFSET $1) AS "sub"

-- count_selected
SELECT COUNT(*), COUNT("name") FROM (SELECT "public"."User"."id", "public"."User"."name" FROM "public"."User" WHERE "public"."User"."name" IS NOT NULL OFFSET $1) AS "sub"

-- aggregate
SELECT COUNT(*), SUM("viewCount"), AVG("viewCount"), MIN("viewCount"), MAX("createdAt") FROM (SELECT "public"."Post"."id", "public"."Post"."viewCount", "public"."Post"."createdAt" FROM "public"."Post" WHERE "public"."Post"."published" = $1 LIMIT $2 OFFSET $3) AS "sub"

-- aggregate_flat
SELECT COUNT(*) AS "_count._all", SUM("t0"."viewCount") AS "_sum.viewCount" FROM "public"."Post" AS "t0" WHERE "t0"."authorId" = $1

-- group_by
SELECT "public"."Post"."authorId", COUNT(*), SUM("public"."Post"."viewCount") FROM "public"."Post" WHERE 1=1 GROUP BY "public"."Post"."authorId" HAVING AVG("public"."Post"."viewCount") > $1 ORDER BY COUNT("public"."Post"."id") DESC OFFSET $2

-- create
INSERT INTO "public"."User" ("email","name","role","createdAt") VALUES ($1,$2,CAST($3::text AS "public"."Role"),$4) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."role"::text

-- create_nested
INSERT INTO "public"."Post" ("title","published","authorId","viewCount","createdAt") VALUES ($1,$2,$3,$4,$5) RETURNING "public"."Post"."id"

-- create_defaults
INSERT INTO "public"."Profile" ("bio","userId") VALUES (DEFAULT,$1) RETURNING "public"."Profile"."id", "public"."Profile"."bio", "public"."Profile"."userId"

-- create_many
INSERT INTO "public"."Category" ("name") VALUES ($1), ($2), ($3)

-- create_many_skip_duplicates
INSERT INTO "public"."User" ("email","name") VALUES ($1,$2), ($3,$4) ON CONFLICT DO NOTHING

-- connect_many_to_many
INSERT INTO "public"."_CategoryToPost" ("B", "A") VALUES ($1,$2), ($3,$4) ON CONFLICT DO NOTHING

-- disconnect_many_to_many
DELETE FROM "public"."_CategoryToPost" WHERE ("public"."_CategoryToPost"."B" = ($1) AND "public"."_CategoryToPost"."A" IN ($2,$3))

-- upsert_native
INSERT INTO "public"."User" ("email","name") VALUES ($1,$2) ON CONFLICT ("email") DO UPDATE SET "name" = $3 WHERE ("public"."User"."email" = $4 AND 1=1) RETURNING "public"."User"."id", "public"."User"."email", "public"."User"."name"

-- update
UPDATE "public"."User" SET "name" = $1 WHERE ("public"."User"."id" = $2 AND 1=1) RETURNING "public"."User"."id", "public"."User"."name"

-- update_increment
UPDATE "public"."Post" SET "viewCount" = ("public"."Post"."viewCount" + $1), "updatedAt" = $2 WHERE ("public"."Post"."id" IN ($3) AND 1=1)

-- update_list_push
UPDATE "public"."User" SET "tags" = array_cat("public"."User"."tags", $1) WHERE ("public"."User"."id" = $2 AND 1=1)

-- update_many
UPDATE "public"."Post" SET "published" = $1 WHERE "public"."Post"."authorId" = $2

-- delete
DELETE FROM "public"."Post" WHERE ("public"."Post"."id" = $1 AND 1=1) RETURNING "public"."Post"."id", "public"."Post"."title"

-- delete_many
DELETE FROM "public"."Post" WHERE ("public"."Post"."id" IN ($1,$2,$3,$4) AND "public"."Post"."published" = $5)

-- delete_many_all
DELETE FROM "public"."Category" WHERE 1=1

-- begin_isolation
BEGIN ISOLATION LEVEL SERIALIZABLE

-- set_isolation
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- deallocate
DEALLOCATE ALL

-- search_path
SET search_path = "public"

-- raw_select_one
SELECT 1

-- raw_unique
SELECT "id", "email" FROM "User" WHERE "id" = ANY($1::int[]) AND "createdAt" > NOW() - INTERVAL '7 days'

-- migrate_lock
SELECT pg_advisory_lock(72707369)

-- migrate_table_exists
SELECT "id", "checksum", "finished_at", "migration_name", "logs", "rolled_back_at", "started_at", "applied_steps_count" FROM "_prisma_migrations" ORDER BY "started_at" ASC

-- migrate_schema
SELECT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = $1), version(), current_setting('server_version_num')::integer as numeric_version

-- introspect_tables
SELECT tbl.relname AS table_name, namespace.nspname as namespace, (tbl.relhassubclass and tbl.relkind = 'p') as is_partition, (tbl.relhassubclass and tbl.relkind = 'r') as has_subclass, tbl.relrowsecurity as has_row_level_security, reloptions, obj_description(tbl.oid, 'pg_class') as description FROM pg_class AS tbl INNER JOIN pg_namespace AS namespace ON namespace.oid = tbl.relnamespace WHERE (tbl.relkind = 'r' AND tbl.relispartition = 'f' OR tbl.relkind = 'p') AND namespace.nspname = ANY ( $1 ) ORDER BY namespace, table_name

-- introspect_enums
SELECT t.typname as name, e.enumlabel as value, n.nspname as namespace FROM pg_type t JOIN pg_enum e ON t.oid = e.enumtypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY ( $1 ) ORDER BY e.enumsortorder
