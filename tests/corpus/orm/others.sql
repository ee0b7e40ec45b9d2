-- gorm_first
SELECT * FROM "users" WHERE "users"."deleted_at" IS NULL ORDER BY "users"."id" LIMIT 1

-- gorm_first_by_key
SELECT * FROM "users" WHERE "users"."id" = $1 AND "users"."deleted_at" IS NULL ORDER BY "users"."id" LIMIT $2

-- gorm_where
SELECT * FROM "users" WHERE (name = $1 AND age >= $2) AND "users"."deleted_at" IS NULL

-- gorm_in
SELECT "id","email" FROM "users" WHERE name IN ($1,$2) AND "users"."deleted_at" IS NULL

-- gorm_not_or
SELECT * FROM "users" WHERE (NOT name = $1 OR age > $2) AND "users"."deleted_at" IS NULL LIMIT 10 OFFSET 5

-- gorm_preload
SELECT * FROM "posts" WHERE "posts"."author_id" IN ($1,$2,$3) AND "posts"."deleted_at" IS NULL

-- gorm_joins
SELECT "orders"."id","orders"."total","User"."id" AS "User__id","User"."email" AS "User__email" FROM "orders" LEFT JOIN "users" "User" ON "orders"."user_id" = "User"."id" AND "User"."deleted_at" IS NULL WHERE "orders"."id" = $1

-- gorm_count
SELECT count(*) FROM "users" WHERE is_active = $1 AND "users"."deleted_at" IS NULL

-- gorm_create
INSERT INTO "users" ("email","name","deleted_at") VALUES ($1,$2,$3) RETURNING "id"

-- gorm_upsert
INSERT INTO "users" ("email","name") VALUES ($1,$2) ON CONFLICT ("email") DO UPDATE SET "name"="excluded"."name" RETURNING "id"

-- gorm_updates
UPDATE "users" SET "name"=$1,"updated_at"=$2 WHERE "users"."deleted_at" IS NULL AND "id" = $3

-- gorm_expression
UPDATE "products" SET "price"=price * $1 + $2 WHERE stock > $3

-- gorm_soft_delete
UPDATE "users" SET "deleted_at"=$1 WHERE "users"."id" = $2 AND "users"."deleted_at" IS NULL

-- gorm_locking
SELECT * FROM "orders" WHERE id = $1 FOR UPDATE OF "orders"

-- gorm_group
SELECT state, sum(total) as total FROM "orders" WHERE created_at > $1 GROUP BY "state" HAVING sum(total) > $2

-- gorm_has_table
SELECT count(*) FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA() AND table_name = $1 AND table_type = $2

-- ecto_get
SELECT u0."id", u0."email", u0."name", u0."created_at" FROM "users" AS u0 WHERE (u0."id" = $1)

-- ecto_where
SELECT u0."id" FROM "users" AS u0 WHERE ((u0."age" > 17) OR u0."name" IS NULL) AND (NOT (u0."is_active"))

-- ecto_in
SELECT u0."id", u0."email" FROM "users" AS u0 WHERE (u0."id" = ANY($1))

-- ecto_preload
SELECT p0."id", p0."title", p0."author_id", p0."author_id" FROM "posts" AS p0 WHERE (p0."author_id" = ANY($1)) ORDER BY p0."author_id"

-- ecto_join
SELECT u0."id", p1."title" FROM "users" AS u0 INNER JOIN "posts" AS p1 ON p1."author_id" = u0."id" WHERE (p1."published" = TRUE)

-- ecto_aggregate
SELECT count(*) FROM "posts" AS p0

-- ecto_exists
SELECT 1 FROM "users" AS u0 WHERE (u0."email" = $1) LIMIT 1

-- ecto_subquery
SELECT s0."author_id", s0."n" FROM (SELECT sp0."author_id" AS "author_id", count(sp0."id") AS "n" FROM "posts" AS sp0 GROUP BY sp0."author_id") AS s0 WHERE (s0."n" > $1)

-- ecto_fragment
SELECT u0."id" FROM "users" AS u0 WHERE (lower(u0."email") = $1) AND (u0."settings"->>'theme' = 'dark')

-- ecto_type
SELECT u0."id" FROM "users" AS u0 WHERE (u0."balance" > $1::decimal) AND (u0."created_at" > $2::timestamp)

-- ecto_ago
SELECT e0."id" FROM "events" AS e0 WHERE (e0."occurred_at" > $1::timestamp + (-7::numeric * interval '1 day'))

-- ecto_window
SELECT p0."id", row_number() OVER "w" FROM "posts" AS p0 WINDOW "w" AS (PARTITION BY p0."author_id" ORDER BY p0."views" DESC)

-- ecto_cte
WITH RECURSIVE "tree" AS (SELECT sc0."id" AS "id", sc0."parent_id" AS "parent_id" FROM "categories" AS sc0 WHERE (sc0."parent_id" IS NULL) UNION ALL (SELECT sc0."id", sc0."parent_id" FROM "categories" AS sc0 INNER JOIN "tree" AS st1 ON sc0."parent_id" = st1."id")) SELECT t0."id" FROM "tree" AS t0

-- ecto_lateral
SELECT u0."id", s1."title" FROM "users" AS u0 LEFT OUTER JOIN LATERAL (SELECT sp0."title" AS "title" FROM "posts" AS sp0 WHERE (sp0."author_id" = u0."id") LIMIT 1) AS s1 ON TRUE

-- ecto_filter
SELECT count(o0."id") FILTER (WHERE o0."state" = 'paid') FROM "orders" AS o0

-- ecto_insert
INSERT INTO "users" ("email","name","created_at","updated_at") VALUES ($1,$2,$3,$4) RETURNING "id"

-- ecto_insert_all
INSERT INTO "tags" ("name") VALUES ($1),($2),($3) ON CONFLICT ("name") DO NOTHING

-- ecto_update
UPDATE "users" SET "name" = $1, "updated_at" = $2 WHERE "id" = $3

-- ecto_update_all
UPDATE "posts" AS p0 SET "views" = p0."views" + $1 WHERE (p0."author_id" = $2)

-- ecto_delete
DELETE FROM "users" WHERE "id" = $1

-- ecto_delete_all
DELETE FROM "comments" AS c0 USING "posts" AS p1 WHERE (p1."id" = c0."post_id") AND (p1."published" = FALSE)

-- ecto_lock
SELECT o0."id" FROM "orders" AS o0 WHERE (o0."id" = $1) FOR UPDATE

-- ecto_oban
UPDATE "jobs" AS j0 SET "state" = $1, "attempts" = j0."attempts" + $2 FROM (SELECT sj0."id" AS "id" FROM "jobs" AS sj0 WHERE (sj0."state" = 'available') AND (sj0."queue" = $3) ORDER BY sj0."priority", sj0."run_at", sj0."id" LIMIT $4 FOR UPDATE SKIP LOCKED) AS s1 WHERE (j0."id" = s1."id") RETURNING j0."id", j0."payload"

-- typeorm_find
SELECT "User"."id" AS "User_id", "User"."email" AS "User_email", "User"."created_at" AS "User_created_at" FROM "users" "User" WHERE (("User"."email" = $1)) LIMIT 1

-- typeorm_relations
SELECT "Post"."id" AS "Post_id", "Post"."title" AS "Post_title", "Post__Post_author"."id" AS "Post__Post_author_id" FROM "posts" "Post" LEFT JOIN "users" "Post__Post_author" ON "Post__Post_author"."id"="Post"."author_id" AND ("Post__Post_author"."deleted_at" IS NULL) WHERE ( ("Post"."published" = $1) ) AND ( "Post"."deleted_at" IS NULL )

-- typeorm_page
SELECT DISTINCT "distinctAlias"."Post_id" AS "ids_Post_id", "distinctAlias"."Post_created_at" FROM (SELECT "Post"."id" AS "Post_id", "Post"."created_at" AS "Post_created_at", "comments"."id" AS "comments_id" FROM "posts" "Post" LEFT JOIN "comments" "comments" ON "comments"."post_id"="Post"."id") "distinctAlias" ORDER BY "distinctAlias"."Post_created_at" DESC, "Post_id" ASC LIMIT 10 OFFSET 20

-- typeorm_count
SELECT COUNT(1) AS "cnt" FROM "users" "User" WHERE ( "User"."deleted_at" IS NULL )

-- typeorm_count_distinct
SELECT COUNT(DISTINCT("Post"."id")) AS "cnt" FROM "posts" "Post" LEFT JOIN "comments" "c" ON "c"."post_id"="Post"."id"

-- typeorm_insert
INSERT INTO "users"("email", "name", "created_at") VALUES ($1, $2, DEFAULT) RETURNING "id", "created_at"

-- typeorm_update
UPDATE "users" SET "name" = $1, "updated_at" = CURRENT_TIMESTAMP WHERE "id" IN ($2)

-- sequelize_find
SELECT "id", "email", "name" FROM "users" AS "User" WHERE "User"."email" = 'a@x.org' LIMIT 1;

-- sequelize_include
SELECT "User".*, "Posts"."id" AS "Posts.id", "Posts"."title" AS "Posts.title" FROM (SELECT "User"."id", "User"."email" FROM "users" AS "User" WHERE ("User"."age" > 5 AND "User"."is_active" = true) ORDER BY "User"."id" DESC LIMIT 10) AS "User" LEFT OUTER JOIN "posts" AS "Posts" ON "User"."id" = "Posts"."author_id" ORDER BY "User"."id" DESC;

-- sequelize_count
SELECT count("User"."id") AS "count" FROM "users" AS "User" WHERE ("User"."name" ILIKE '%x%' OR "User"."name" IS NULL);

-- sequelize_json
SELECT "id" FROM "users" AS "User" WHERE ("User"."settings"#>>'{a,b}') = 'x';

-- sequelize_start
START TRANSACTION;

-- sequelize_isolation
START TRANSACTION ISOLATION LEVEL READ COMMITTED;

-- npgsql_types
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid FROM (SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind, elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind, CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype, typ.typcategory FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid, CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype, CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid, typ.typcategory FROM pg_type AS typ LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid) LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)) AS typ LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid) LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive) AS t JOIN pg_namespace AS ns ON (ns.oid = typnamespace) WHERE typtype IN ('b', 'r', 'm', 'e', 'd')

-- efcore_include
SELECT t."Id", t."Title", u."Id" FROM (SELECT p.id AS "Id", p.title AS "Title", p.author_id AS "AuthorId" FROM posts AS p WHERE p.published ORDER BY p.id LIMIT $1) AS t LEFT JOIN (SELECT u0.id AS "Id" FROM users AS u0) AS u ON t."AuthorId" = u."Id" ORDER BY t."Id"

-- efcore_any
SELECT EXISTS (SELECT 1 FROM users AS u WHERE u.email = $1)

-- efcore_contains
SELECT u.id FROM users AS u WHERE u.name LIKE $1 ESCAPE '\' OR strpos(u.name, $2) > 0

-- efcore_concurrency
UPDATE orders SET note = $1 WHERE id = $2 AND xmin = $3 RETURNING xmin
