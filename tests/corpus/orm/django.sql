-- get
SAVEPOINT "s140463575206784_x1"

-- get_2
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."id" = 1 ORDER BY "users"."id" ASC LIMIT 1

-- get_by
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."email" = 'a@x.org' LIMIT 21

-- all
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users"

-- exact_null
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."deleted_at" IS NULL AND "users"."name" IS NOT NULL)

-- iexact
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE UPPER("users"."email"::text) = UPPER('A@x.org')

-- contains
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."name"::text LIKE  E'%50\\%%'

-- icontains
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE UPPER("users"."name"::text) LIKE UPPER( E'%x\\_%')

-- starts_ends
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE (UPPER("users"."email"::text) LIKE UPPER('%.org') AND "users"."name"::text LIKE 'a%')

-- regex
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."email"::text ~* 'b$' AND "users"."name"::text ~ '^a.*')

-- in
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."id" IN (1, 2, 3)

-- in_strings
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."name" IN ('a', 'b''c')

-- range
SELECT "orders"."id", "orders"."user_id", "orders"."state", "orders"."total", "orders"."placed_on", "orders"."note", "orders"."created_at" FROM "orders" WHERE "orders"."placed_on" BETWEEN '2024-01-01'::date AND '2024-02-01'::date

-- comparisons
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."age" > 1 AND "users"."age" <= 9 AND "users"."balance" >= 1.5 AND NOT ("users"."age" = 4 AND "users"."age" IS NOT NULL))

-- exclude_null
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE NOT ("users"."name" = 'x' AND "users"."name" IS NOT NULL)

-- exclude_related
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE NOT (EXISTS(SELECT 1 AS "a" FROM "posts" U1 WHERE (U1."title" = 'x' AND U1."author_id" = ("users"."id")) LIMIT 1))

-- q_or
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."age" = 1 OR ("users"."name" = 'x' AND NOT ("users"."email" = 'y')))

-- q_xor
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE (("users"."age" = 1 OR "users"."name" = 'x') AND 1 = (CASE WHEN "users"."age" = 1 THEN 1 ELSE 0 END + CASE WHEN "users"."name" = 'x' THEN 1 ELSE 0 END))

-- year
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took" FROM "events" WHERE "events"."occurred_at" BETWEEN '2024-01-01 00:00:00-06:00'::timestamptz AND '2024-12-31 23:59:59.999999-06:00'::timestamptz

-- date_parts
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took" FROM "events" WHERE (EXTRACT(DAY FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') = 6 AND EXTRACT(HOUR FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') >= 7 AND EXTRACT(MONTH FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') = 5)

-- week_day
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took" FROM "events" WHERE ("events"."occurred_at" BETWEEN '2024-01-01 00:00:00-06:00'::timestamptz AND '2024-12-29 23:59:59.999999-06:00'::timestamptz AND EXTRACT(QUARTER FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') = 1 AND EXTRACT(DOW FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') + 1 = 2)

-- date_lookup
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took" FROM "events" WHERE (("events"."occurred_at" AT TIME ZONE 'America/Chicago')::date = '2024-01-01'::date AND ("events"."occurred_at" AT TIME ZONE 'America/Chicago')::time > '08:00:00'::time)

-- duration
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took" FROM "events" WHERE "events"."took" > '0:05:00'::interval

-- inet
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took" FROM "events" WHERE "events"."ip" = '10.0.0.1'::inet

-- uuid
SELECT "products"."id", "products"."category_id", "products"."sku", "products"."name", "products"."price", "products"."stock", "products"."attributes", "products"."available_during" FROM "products" WHERE "products"."sku" = '0f8fad5bd9cb469fa16570867728950e'::uuid

-- values
SELECT "users"."id" AS "id", "users"."email" AS "email" FROM "users" ORDER BY 1 DESC

-- values_list_flat
SELECT DISTINCT "users"."email" AS "email" FROM "users"

-- only
SELECT "users"."id", "users"."name" FROM "users"

-- defer
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels" FROM "posts"

-- slice
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" ORDER BY "users"."id" ASC LIMIT 10 OFFSET 20

-- last
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" ORDER BY "users"."id" DESC LIMIT 1

-- latest
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE "posts"."published" ORDER BY "posts"."published_at" DESC LIMIT 1

-- reverse
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" ORDER BY "posts"."author_id" DESC, "posts"."views" ASC

-- order_nulls
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" ORDER BY "posts"."published_at" DESC NULLS LAST, "posts"."rating" ASC NULLS FIRST

-- order_random
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" ORDER BY RANDOM() ASC LIMIT 1

-- order_related
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" INNER JOIN "users" ON ("posts"."author_id" = "users"."id") ORDER BY "users"."name" ASC

-- order_collate
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" ORDER BY "users"."name" COLLATE "C" ASC

-- distinct_on
SELECT DISTINCT ON ("posts"."author_id") "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" ORDER BY "posts"."author_id" ASC, "posts"."views" DESC

-- exists
SELECT 1 AS "a" FROM "users" WHERE "users"."email" = 'x' LIMIT 1

-- count
SELECT COUNT(*) AS "__count" FROM "users"

-- count_distinct_slice
SELECT COUNT(*) FROM (SELECT DISTINCT "posts"."author_id" AS "author" FROM "posts" LIMIT 5) subquery

-- in_bulk
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."id" IN (1, 2)

-- iterator
DECLARE "_django_curs_140463575206784_sync_1" NO SCROLL CURSOR FOR SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."age" = 1

-- none_or
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."age" = 1

-- select_related
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "posts" INNER JOIN "users" ON ("posts"."author_id" = "users"."id")

-- select_related_deep
SELECT "comments"."id", "comments"."post_id", "comments"."author_id", "comments"."parent_id", "comments"."body", "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", T4."id", T4."email", T4."name", T4."is_active", T4."age", T4."balance", T4."roles", T4."settings", T4."manager_id", T4."last_login", T4."created_at", T4."updated_at", T4."deleted_at" FROM "comments" INNER JOIN "posts" ON ("comments"."post_id" = "posts"."id") INNER JOIN "users" ON ("posts"."author_id" = "users"."id") LEFT OUTER JOIN "users" T4 ON ("comments"."author_id" = T4."id")

-- one_to_one
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", "profiles"."id", "profiles"."user_id", "profiles"."bio", "profiles"."birthday" FROM "users" LEFT OUTER JOIN "profiles" ON ("users"."id" = "profiles"."user_id")

-- related_filter
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" INNER JOIN "users" ON ("posts"."author_id" = "users"."id") WHERE "users"."email" = 'x'

-- reverse_filter
SELECT DISTINCT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" INNER JOIN "posts" ON ("users"."id" = "posts"."author_id") WHERE "posts"."published"

-- two_joins_same
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" INNER JOIN "posts" ON ("users"."id" = "posts"."author_id") INNER JOIN "posts" T3 ON ("users"."id" = T3."author_id") WHERE ("posts"."title" = 'a' AND T3."views" = 3)

-- many_to_many
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" INNER JOIN "posts_tags" ON ("posts"."id" = "posts_tags"."post_id") INNER JOIN "tags" ON ("posts_tags"."tag_id" = "tags"."id") WHERE "tags"."name" IN ('a', 'b')

-- many_to_many_count
SELECT "tags"."id", "tags"."name", COUNT("posts_tags"."post_id") AS "n" FROM "tags" LEFT OUTER JOIN "posts_tags" ON ("tags"."id" = "posts_tags"."tag_id") GROUP BY "tags"."id" HAVING COUNT("posts_tags"."post_id") > 1

-- filtered_relation
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" INNER JOIN "posts" good ON ("users"."id" = good."author_id" AND (good."rating" > 4.0)) WHERE good."title" = 'x'

-- self_join
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" INNER JOIN "users" T2 ON ("users"."manager_id" = T2."id") WHERE (T2."manager_id" IS NULL AND T2."name" = 'x')

-- aggregate
SELECT COUNT("orders"."id") AS "n", SUM("orders"."total") AS "total__sum", AVG("orders"."total") AS "total__avg", MIN("orders"."placed_on") AS "placed_on__min", MAX("orders"."placed_on") AS "placed_on__max" FROM "orders"

-- aggregate_filter
SELECT SUM("orders"."total") FILTER (WHERE "orders"."state" = 'paid') AS "paid", COUNT("orders"."id") FILTER (WHERE NOT ("orders"."state" = 'new')) AS "n" FROM "orders"

-- aggregate_default
SELECT COALESCE(SUM("orders"."total"), 0) AS "s" FROM "orders"

-- annotate_count
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", COUNT("posts"."id") AS "n" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."author_id") GROUP BY "users"."id"

-- annotate_two
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", COUNT(DISTINCT "posts"."id") AS "n", COUNT(DISTINCT "orders"."id") AS "m" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."author_id") LEFT OUTER JOIN "orders" ON ("users"."id" = "orders"."user_id") GROUP BY "users"."id"

-- group_values
SELECT "orders"."state" AS "state", COUNT("orders"."id") AS "n", SUM("orders"."total") AS "s" FROM "orders" GROUP BY 1 ORDER BY 2 DESC

-- having
SELECT "users"."id" AS "id", COUNT("posts"."id") AS "n" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."author_id") GROUP BY 1 HAVING COUNT("posts"."id") >= 2

-- aggregate_over_subquery
SELECT AVG("n") FROM (SELECT COUNT("posts"."id") AS "n" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."author_id") GROUP BY "users"."id") subquery

-- array_agg
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", COALESCE(ARRAY_AGG(DISTINCT "tags"."name" ) FILTER (WHERE "posts_tags"."tag_id" IS NOT NULL), '{}'::varchar(50)[]) AS "names" FROM "posts" LEFT OUTER JOIN "posts_tags" ON ("posts"."id" = "posts_tags"."post_id") LEFT OUTER JOIN "tags" ON ("posts_tags"."tag_id" = "tags"."id") GROUP BY "posts"."id"

-- string_agg
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", STRING_AGG("tags"."name", ', ' ORDER BY "tags"."name") AS "names" FROM "posts" LEFT OUTER JOIN "posts_tags" ON ("posts"."id" = "posts_tags"."post_id") LEFT OUTER JOIN "tags" ON ("posts_tags"."tag_id" = "tags"."id") GROUP BY "posts"."id"

-- bool_or
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", BOOL_OR("posts"."published") AS "any" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."author_id") GROUP BY "users"."id"

-- json_agg
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", JSONB_AGG("posts"."title" ORDER BY "posts"."id" DESC) AS "j" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."author_id") GROUP BY "users"."id"

-- subquery
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", (SELECT U0."title" AS "title" FROM "posts" U0 WHERE U0."author_id" = ("users"."id") ORDER BY U0."id" DESC LIMIT 1) AS "latest" FROM "users"

-- array_subquery
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", ARRAY(SELECT U0."title" AS "title" FROM "posts" U0 WHERE U0."author_id" = ("users"."id")) AS "titles" FROM "users"

-- exists_subquery
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE EXISTS(SELECT 1 AS "a" FROM "posts" U0 WHERE (U0."author_id" = ("users"."id") AND U0."published") LIMIT 1)

-- exists_annotation
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", EXISTS(SELECT 1 AS "a" FROM "posts" U0 WHERE U0."author_id" = ("users"."id") LIMIT 1) AS "has" FROM "users" WHERE NOT EXISTS(SELECT 1 AS "a" FROM "orders" U0 WHERE U0."user_id" = ("users"."id") LIMIT 1)

-- in_subquery
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."id" IN (SELECT U0."author_id" AS "author" FROM "posts" U0 WHERE U0."published")

-- count_subquery
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", (SELECT COUNT(U0."id") AS "c" FROM "posts" U0 WHERE U0."author_id" = ("users"."id") GROUP BY U0."author_id") AS "n" FROM "users"

-- expression
SELECT "products"."id", "products"."category_id", "products"."sku", "products"."name", "products"."price", "products"."stock", "products"."attributes", "products"."available_during", ("products"."price" * "products"."stock") AS "worth" FROM "products" WHERE ("products"."price" * "products"."stock") > 100

-- compare_columns
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE "posts"."views" > ("posts"."rating" * 2)

-- case
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", CASE WHEN "users"."age" < 18 THEN 'young' WHEN "users"."age" < 65 THEN 'grown' ELSE 'old' END AS "kind" FROM "users"

-- case_aggregate
SELECT SUM(CASE WHEN "orders"."state" = 'paid' THEN 1 ELSE 0 END) AS "n" FROM "orders"

-- window
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", ROW_NUMBER() OVER (PARTITION BY "posts"."author_id" ORDER BY "posts"."views" DESC) AS "n" FROM "posts"

-- window_frame
SELECT "orders"."id", "orders"."user_id", "orders"."state", "orders"."total", "orders"."placed_on", "orders"."note", "orders"."created_at", SUM("orders"."total") OVER (PARTITION BY "orders"."user_id" ORDER BY "orders"."id" ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS "s" FROM "orders"

-- window_filter
SELECT * FROM ( SELECT "posts"."id" AS "col1", "posts"."author_id" AS "col2", "posts"."title" AS "col3", "posts"."body" AS "col4", "posts"."published" AS "col5", "posts"."published_at" AS "col6", "posts"."views" AS "col7", "posts"."rating" AS "col8", "posts"."metadata" AS "col9", "posts"."labels" AS "col10", "posts"."search" AS "col11", RANK() OVER (PARTITION BY "posts"."author_id" ORDER BY "posts"."views" DESC) AS "n" FROM "posts" ) "qualify" WHERE "n" <= 3

-- window_lag
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took", LAG("events"."occurred_at", 1) OVER (PARTITION BY "events"."kind" ORDER BY "events"."occurred_at") AS "before" FROM "events"

-- union
(SELECT "users"."id" AS "id" FROM "users") UNION (SELECT "posts"."author_id" AS "author" FROM "posts")

-- union_all
(SELECT "users"."name" AS "name" FROM "users") UNION ALL (SELECT "tags"."name" AS "name" FROM "tags") ORDER BY 1 ASC LIMIT 5

-- intersection
(SELECT "users"."id" AS "id" FROM "users") INTERSECT (SELECT "orders"."user_id" AS "user" FROM "orders")

-- difference
(SELECT "users"."id" AS "id" FROM "users") EXCEPT (SELECT "orders"."user_id" AS "user" FROM "orders")

-- text_functions
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", LOWER("users"."name") AS "a", UPPER("users"."email") AS "b", LENGTH("users"."name") AS "c", SUBSTRING("users"."name", 1, 3) AS "d", TRIM("users"."name") AS "e", (COALESCE("users"."name", '') || COALESCE((COALESCE(' ', '') || COALESCE("users"."email", '')), '')) AS "f" FROM "users"

-- text_functions_2
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", LEFT("users"."name", 2) AS "a", RIGHT("users"."name", 2) AS "b", LPAD("users"."name", 5, 'x') AS "c", REPLACE("users"."name", 'a', 'b') AS "d", STRPOS("users"."name", 'a') AS "e", REPEAT("users"."name", 2) AS "f", REVERSE("users"."name") AS "g", MD5("users"."name") AS "h", ASCII("users"."name") AS "j", CHR("users"."age") AS "k" FROM "users"

-- math_functions
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", ABS("users"."age") AS "a", CEILING("users"."balance") AS "b", FLOOR("users"."balance") AS "c", ROUND("users"."balance", 1) AS "d", MOD("users"."age", 3) AS "e", POWER("users"."age", 2) AS "f", SQRT(ABS("users"."age")) AS "g", SIGN("users"."age") AS "h" FROM "users"

-- null_functions
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", COALESCE("users"."name", 'x') AS "a", NULLIF("users"."name", '') AS "b", GREATEST("users"."age", 1) AS "c", LEAST("users"."age", 9) AS "d" FROM "users"

-- cast
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", ("users"."age")::text AS "a", ("users"."id")::double precision AS "b" FROM "users"

-- trunc
SELECT DATE_TRUNC('day', "events"."occurred_at" AT TIME ZONE 'America/Chicago') AS "d", COUNT("events"."id") AS "n" FROM "events" GROUP BY 1 ORDER BY 1 ASC

-- trunc_date
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took", DATE_TRUNC('month', "events"."occurred_at" AT TIME ZONE 'America/Chicago') AS "m", DATE_TRUNC('hour', "events"."occurred_at" AT TIME ZONE 'America/Chicago') AS "t", ("events"."occurred_at" AT TIME ZONE 'America/Chicago')::date AS "x" FROM "events"

-- extract
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took", EXTRACT(YEAR FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') AS "y", EXTRACT(WEEK FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') AS "w", EXTRACT(ISODOW FROM "events"."occurred_at" AT TIME ZONE 'America/Chicago') AS "d", EXTRACT(SECOND FROM DATE_TRUNC('second', "events"."occurred_at" AT TIME ZONE 'America/Chicago')) AS "s" FROM "events"

-- now
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."last_login" < (STATEMENT_TIMESTAMP() - '7 days 0:00:00'::interval)

-- date_arithmetic
SELECT "events"."id", "events"."kind", "events"."payload", "events"."occurred_at", "events"."ip", "events"."took", ("events"."occurred_at" + "events"."took") AS "end" FROM "events" WHERE ("events"."occurred_at" + "events"."took") > '2024-01-01 00:00:00+00:00'::timestamptz

-- json_key
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."settings" -> 'theme') = '"dark"'::jsonb

-- json_nested
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE (("users"."settings" #> '{a,b,0}') = '"x"'::jsonb AND ("users"."settings" -> 'n') > '3'::jsonb)

-- json_has
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."settings" ?| '{b,c}' AND "users"."settings" ? 'a' AND "users"."settings" ?& '{d,e}')

-- json_contains
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."settings" <@ '{"a": [1, 2]}'::jsonb AND "users"."settings" @> '{"a": [1]}'::jsonb)

-- json_isnull
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE (("users"."settings" -> 'a') IS NULL AND ("users"."settings" -> 'b') = 'null'::jsonb)

-- json_text
SELECT ("users"."settings" ->> 'theme') AS "t" FROM "users"

-- json_icontains
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE UPPER(("users"."settings" ->> 'name')::text) LIKE UPPER('%x%')

-- json_in
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."settings" -> 'n') IN ('1'::jsonb, '2'::jsonb)

-- json_object
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", JSONB_BUILD_OBJECT(('id')::text, "users"."id", ('name')::text, LOWER("users"."name")) AS "j" FROM "users"

-- array_contains
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE ("posts"."labels" @> (ARRAY['a'])::text[] AND "posts"."labels" && (ARRAY['b', 'c'])::text[])

-- array_contained
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE ("posts"."labels" <@ (ARRAY['a', 'b'])::text[] AND CASE WHEN "posts"."labels" IS NULL THEN NULL ELSE coalesce(array_length("posts"."labels", 1), 0) END > 1)

-- array_index
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE (("posts"."labels")[1] = 'a' AND ("posts"."labels")[2:3] = (ARRAY['b'])::text[])

-- array_any
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."roles" @> (ARRAY['admin'])::text[]

-- range_contains
SELECT "products"."id", "products"."category_id", "products"."sku", "products"."name", "products"."price", "products"."stock", "products"."attributes", "products"."available_during" FROM "products" WHERE "products"."available_during" @> '2024-01-01 00:00:00+00:00'::timestamptz::timestamp with time zone

-- range_bounds
SELECT "products"."id", "products"."category_id", "products"."sku", "products"."name", "products"."price", "products"."stock", "products"."attributes", "products"."available_during" FROM "products" WHERE (NOT isempty("products"."available_during") AND lower("products"."available_during") < '2024-01-01 00:00:00+00:00'::timestamptz)

-- search
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", to_tsvector('english'::regconfig, COALESCE("posts"."title", '') || ' ' || COALESCE("posts"."body", '')) AS "v" FROM "posts" WHERE to_tsvector('english'::regconfig, COALESCE("posts"."title", '') || ' ' || COALESCE("posts"."body", '')) @@ (plainto_tsquery('english'::regconfig, 'cat'))

-- search_rank
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", ts_rank("posts"."search", plainto_tsquery('english'::regconfig, 'cat dog')) AS "rank" FROM "posts" WHERE "posts"."search" @@ (websearch_to_tsquery('cat')) ORDER BY 12 DESC

-- search_weighted
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", ts_rank((setweight(to_tsvector(COALESCE("posts"."title", '')), 'A') || setweight(to_tsvector(COALESCE("posts"."body", '')), 'B')), (plainto_tsquery('a') || (plainto_tsquery('b') && !!(plainto_tsquery('c'))))) AS "r" FROM "posts" WHERE ts_rank((setweight(to_tsvector(COALESCE("posts"."title", '')), 'A') || setweight(to_tsvector(COALESCE("posts"."body", '')), 'B')), (plainto_tsquery('a') || (plainto_tsquery('b') && !!(plainto_tsquery('c'))))) >= 0.1

-- search_headline
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", ts_headline("posts"."body", plainto_tsquery('cat'), 'StartSel=''<b>'', StopSel=''</b>''') AS "h" FROM "posts"

-- alias
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" LEFT OUTER JOIN "posts" ON ("users"."id" = "posts"."author_id") GROUP BY "users"."id" HAVING COUNT("posts"."id") = 0

-- func
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", INITCAP("users"."name") AS "x" FROM "users"

-- value_true
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at", 1 AS "one", true AS "yes", 'x' AS "text" FROM "users"

-- extra
SELECT (upper(name)) AS "up", "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE (age > 3)

-- raw
SELECT id, name FROM users WHERE age > 1 ORDER BY id

-- explain
EXPLAIN SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."age" = 1

-- explain_options
EXPLAIN (COSTS false, VERBOSE true, FORMAT json) SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."age" = 2

-- dates
SELECT DISTINCT DATE_TRUNC('month', "orders"."placed_on") AS "datefield" FROM "orders" WHERE "orders"."placed_on" IS NOT NULL ORDER BY 1 DESC

-- datetimes
SELECT DISTINCT DATE_TRUNC('week', "events"."occurred_at" AT TIME ZONE 'America/Chicago') AS "datetimefield" FROM "events" WHERE "events"."occurred_at" IS NOT NULL ORDER BY 1 ASC

-- session
SELECT "sessions"."session_key", "sessions"."session_data", "sessions"."expire_date" FROM "sessions" WHERE ("sessions"."expire_date" > '2024-01-01 00:00:00+00:00'::timestamptz AND "sessions"."session_key" = 'abc')

-- for_update
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."id" = 1 FOR UPDATE

-- for_update_of
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search", "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "posts" INNER JOIN "users" ON ("posts"."author_id" = "users"."id") FOR UPDATE OF "posts" NOWAIT

-- skip_locked
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" ORDER BY "users"."id" ASC LIMIT 1 FOR UPDATE SKIP LOCKED

-- no_key
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."id" = 2 FOR NO KEY UPDATE

-- prefetch
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('0@x.org', 'n0', true, 0, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.368877+00:00'::timestamptz, '2026-11-27 23:10:57.368899+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- prefetch_2
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('1@x.org', 'n1', true, 1, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.374457+00:00'::timestamptz, '2026-11-27 23:10:57.374474+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- prefetch_3
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('2@x.org', 'n2', true, 2, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.381238+00:00'::timestamptz, '2026-11-27 23:10:57.381255+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- prefetch_4
INSERT INTO "posts" ("author_id", "title", "body", "published", "published_at", "views", "rating", "metadata", "labels", "search") VALUES (2, 't', NULL, false, '2024-01-01 00:00:00+00:00'::timestamptz, 0, NULL, '{"a": 1}'::jsonb, '{a}'::text[], NULL) RETURNING "posts"."id"

-- prefetch_5
INSERT INTO "tags" ("name") VALUES ('t2') RETURNING "tags"."id"

-- prefetch_6
INSERT INTO "posts_tags" ("post_id", "tag_id") VALUES (2, 6) RETURNING "posts_tags"."id"

-- prefetch_7
INSERT INTO "comments" ("post_id", "author_id", "parent_id", "body") VALUES (2, 2, NULL, 'b') RETURNING "comments"."id"

-- prefetch_8
INSERT INTO "profiles" ("user_id", "bio", "birthday") VALUES (2, NULL, NULL) RETURNING "profiles"."id"

-- prefetch_9
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE "posts"."author_id" IN (2, 3, 4)

-- prefetch_10
SELECT "comments"."id", "comments"."post_id", "comments"."author_id", "comments"."parent_id", "comments"."body" FROM "comments" WHERE "comments"."post_id" IN (2)

-- prefetch_11
SELECT "orders"."id", "orders"."user_id", "orders"."state", "orders"."total", "orders"."placed_on", "orders"."note", "orders"."created_at" FROM "orders" WHERE ("orders"."total" > 1 AND "orders"."user_id" IN (2, 3, 4))

-- prefetch_12
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts"

-- prefetch_13
SELECT ("posts_tags"."post_id") AS "_prefetch_related_val_post_id", "tags"."id", "tags"."name" FROM "tags" INNER JOIN "posts_tags" ON ("tags"."id" = "posts_tags"."tag_id") WHERE "posts_tags"."post_id" IN (2)

-- prefetch_14
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE ("users"."id") IN ((2))

-- prefetch_15
SELECT "profiles"."id", "profiles"."user_id", "profiles"."bio", "profiles"."birthday" FROM "profiles" WHERE "profiles"."user_id" IN (2)

-- lazy
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('3@x.org', 'n3', true, 3, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.447726+00:00'::timestamptz, '2026-11-27 23:10:57.447741+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- lazy_2
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('4@x.org', 'n4', true, 4, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.450295+00:00'::timestamptz, '2026-11-27 23:10:57.450309+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- lazy_3
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('5@x.org', 'n5', true, 5, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.458418+00:00'::timestamptz, '2026-11-27 23:10:57.458435+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- lazy_4
INSERT INTO "posts" ("author_id", "title", "body", "published", "published_at", "views", "rating", "metadata", "labels", "search") VALUES (5, 't', NULL, false, '2024-01-01 00:00:00+00:00'::timestamptz, 0, NULL, '{"a": 1}'::jsonb, '{a}'::text[], NULL) RETURNING "posts"."id"

-- lazy_5
INSERT INTO "tags" ("name") VALUES ('t3') RETURNING "tags"."id"

-- lazy_6
INSERT INTO "posts_tags" ("post_id", "tag_id") VALUES (3, 7) RETURNING "posts_tags"."id"

-- lazy_7
INSERT INTO "comments" ("post_id", "author_id", "parent_id", "body") VALUES (3, 5, NULL, 'b') RETURNING "comments"."id"

-- lazy_8
INSERT INTO "profiles" ("user_id", "bio", "birthday") VALUES (5, NULL, NULL) RETURNING "profiles"."id"

-- lazy_9
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE "posts"."id" = 3 LIMIT 21

-- lazy_10
SELECT "users"."id", "users"."email", "users"."name", "users"."is_active", "users"."age", "users"."balance", "users"."roles", "users"."settings", "users"."manager_id", "users"."last_login", "users"."created_at", "users"."updated_at", "users"."deleted_at" FROM "users" WHERE "users"."id" = 5 LIMIT 21

-- lazy_11
SELECT "posts"."id", "posts"."author_id", "posts"."title", "posts"."body", "posts"."published", "posts"."published_at", "posts"."views", "posts"."rating", "posts"."metadata", "posts"."labels", "posts"."search" FROM "posts" WHERE "posts"."author_id" = 5

-- lazy_12
SELECT "tags"."id", "tags"."name" FROM "tags" INNER JOIN "posts_tags" ON ("tags"."id" = "posts_tags"."tag_id") WHERE "posts_tags"."post_id" = 3

-- lazy_13
SELECT "profiles"."id", "profiles"."user_id", "profiles"."bio", "profiles"."birthday" FROM "profiles" WHERE "profiles"."user_id" = 5 LIMIT 21

-- lazy_14
SELECT "comments"."id", "comments"."post_id", "comments"."author_id", "comments"."parent_id", "comments"."body" FROM "comments" WHERE "comments"."post_id" = 3 LIMIT 21

-- lazy_15
SELECT "comments"."id", "comments"."post_id", "comments"."author_id", "comments"."parent_id", "comments"."body" FROM "comments" WHERE ("comments"."post_id" = 3 AND NOT ("comments"."id" = 1))

-- lazy_16
SELECT COUNT(*) AS "__count" FROM "posts" WHERE ("posts"."author_id" = 5 AND "posts"."published")

-- lazy_17
SELECT "users"."id", "users"."name" FROM "users" WHERE "users"."id" = 5 LIMIT 21

-- writes
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('6@x.org', 'n6', true, 6, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.537125+00:00'::timestamptz, '2026-11-27 23:10:57.537143+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- writes_2
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('7@x.org', 'n7', true, 7, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.540475+00:00'::timestamptz, '2026-11-27 23:10:57.540488+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- writes_3
INSERT INTO "users" ("email", "name", "is_active", "age", "balance", "roles", "settings", "manager_id", "last_login", "created_at", "updated_at", "deleted_at") VALUES ('8@x.org', 'n8', true, 8, 0, '{}'::text[], '{}'::jsonb, NULL, NULL, '2026-11-27 23:10:57.541541+00:00'::timestamptz, '2026-11-27 23:10:57.541551+00:00'::timestamptz, NULL) RETURNING "users"."id"

-- writes_4
INSERT INTO "posts" ("author_id", "title", "body", "published", "published_at", "views", "rating", "metadata", "labels", "search") VALUES (8, 't', NULL, false, '2024-01-01 00:00:00+00:00'::timestamptz, 0, NULL, '{"a": 1}'::jsonb, '{a}'::text[], NULL) RETURNING "posts"."id"

-- writes_5
INSERT INTO "tags" ("name") VALUES ('t4') RETURNING "tags"."id"

-- writes_6
INSERT INTO "posts_tags" ("post_id", "tag_id") VALUES (4, 8) RETURNING "posts_tags"."id"

-- writes_7
INSERT INTO "comments" ("post_id", "author_id", "parent_id", "body") VALUES (4, 8, NULL, 'b') RETURNING "comments"."id"

-- writes_8
INSERT INTO "profiles" ("user_id", "bio", "birthday") VALUES (8, NULL, NULL) RETURNING "profiles"."id"

-- writes_9
UPDATE "users" SET "email" = '6@x.org', "name" = 'new', "is_active" = true, "age" = 6, "balance" = 0, "roles" = '{}'::text[], "settings" = '{}'::jsonb, "manager_id" = NULL, "last_login" = NULL, "created_at" = '2026-11-27 23:10:57.537125+00:00'::timestamptz, "updated_at" = '2026-11-27 23:10:57.570205+00:00'::timestamptz, "deleted_at" = NULL WHERE "users"."id" = 8

-- writes_10
UPDATE "users" SET "name" = 'new' WHERE "users"."id" = 8

-- writes_11
UPDATE "users" SET "email" = '6@x.org', "name" = 'new', "is_active" = true, "age" = 6, "balance" = 0, "roles" = '{}'::text[], "settings" = '{}'::jsonb, "manager_id" = NULL, "last_login" = NULL, "created_at" = '2026-11-27 23:10:57.537125+00:00'::timestamptz, "updated_at" = '2026-11-27 23:10:57.578093+00:00'::timestamptz, "deleted_at" = NULL WHERE "users"."id" = 8

-- writes_12
UPDATE "sessions" SET "session_data" = 'd', "expire_date" = '2024-01-01 00:00:00+00:00'::timestamptz WHERE "sessions"."session_key" = 'k'

-- writes_13
INSERT INTO "sessions" ("session_key", "session_data", "expire_date") VALUES ('k', 'd', '2024-01-01 00:00:00+00:00'::timestamptz)

-- writes_14
UPDATE "sessions" SET "session_data" = 'e', "expire_date" = '2024-01-01 00:00:00+00:00'::timestamptz WHERE "sessions"."session_key" = 'k'

-- writes_15
INSERT INTO "tags" ("name") SELECT * FROM UNNEST(('{b0,b1,b2}')::varchar[]) RETURNING "tags"."id"

-- writes_16
INSERT INTO "tags" ("name") VALUES ('b1') ON CONFLICT DO NOTHING

-- writes_17
INSERT INTO "tags" ("name") SELECT * FROM UNNEST(('{b1,b7}')::varchar[]) ON CONFLICT("name") DO UPDATE SET "name" = EXCLUDED."name" RETURNING "tags"."id"

-- writes_18
SELECT "tags"."id", "tags"."name" FROM "tags"

-- writes_19
UPDATE "tags" SET "name" = (CASE WHEN ("tags"."id" = 6) THEN 't2!' WHEN ("tags"."id" = 7) THEN 't3!' WHEN ("tags"."id" = 8) THEN 't4!' WHEN ("tags"."id" = 9) THEN 'b0!' WHEN ("tags"."id" = 11) THEN 'b2!' WHEN ("tags"."id" = 10) THEN 'b1!' WHEN ("tags"."id" = 14) THEN 'b7!' ELSE NULL END)::varchar(50) WHERE "tags"."id" IN (6, 7, 8, 9, 11, 10, 14)

-- writes_20
UPDATE "users" SET "age" = ("users"."age" + 1), "settings" = '{"a": 1}'::jsonb, "roles" = '{x}'::text[] WHERE "users"."id" = 8

-- writes_21
UPDATE "posts" SET "views" = ("posts"."views" + 1) WHERE "posts"."id" IN (SELECT U0."id" FROM "posts" U0 INNER JOIN "users" U1 ON (U0."author_id" = U1."id") WHERE U1."name" = 'new')

-- writes_22
UPDATE "users" SET "name" = (SELECT U0."title" AS "title" FROM "posts" U0 WHERE U0."author_id" = ("users"."id") LIMIT 1)

-- writes_23
INSERT INTO "products" ("category_id", "sku", "name", "price", "stock", "attributes", "available_during") VALUES (NULL, '0f8fad5bd9cb469fa16570867728950e'::uuid, 'p', 9.99, 0, '{}'::jsonb, NULL::tstzrange) RETURNING "products"."id"

-- writes_24
UPDATE "products" SET "price" = CASE WHEN ("products"."stock" > 5) THEN ("products"."price" * 2) ELSE "products"."price" END

-- writes_25
INSERT INTO "orders" ("user_id", "state", "total", "placed_on", "note", "created_at") VALUES (8, 'new', 0, '2024-01-01'::date, NULL, '2026-11-27 23:10:57.670350+00:00'::timestamptz) RETURNING "orders"."id"

-- writes_26
INSERT INTO "events" ("kind", "payload", "occurred_at", "ip", "took") VALUES ('k', '{}'::jsonb, '2024-01-01 00:00:00+00:00'::timestamptz, '::1'::inet, '1:00:00'::interval) RETURNING "events"."id"

-- writes_27
SELECT "tags"."id", "tags"."name" FROM "tags" WHERE "tags"."name" = 'zz' LIMIT 21

-- writes_28
INSERT INTO "tags" ("name") VALUES ('zz') RETURNING "tags"."id"

-- writes_29
SELECT "tags"."id", "tags"."name" FROM "tags" WHERE "tags"."name" = 'zz' LIMIT 21 FOR UPDATE

-- writes_30
UPDATE "tags" SET "name" = 'yy' WHERE "tags"."id" = 15

-- writes_31
SELECT "comments"."id", "comments"."post_id", "comments"."author_id", "comments"."parent_id", "comments"."body" FROM "comments" WHERE "comments"."body" = 'b'

-- writes_32
SELECT "comments"."id" FROM "comments" WHERE "comments"."parent_id" IN (2, 3, 4)

-- writes_33
DELETE FROM "comments" WHERE "comments"."id" IN (4, 3, 2)

-- writes_34
DELETE FROM "posts_tags" WHERE "posts_tags"."id" IN (SELECT U0."id" FROM "posts_tags" U0 INNER JOIN "posts" U1 ON (U0."post_id" = U1."id") WHERE U1."title" = 't')

-- writes_35
SELECT "tags"."id", "tags"."name" FROM "tags" WHERE "tags"."name"::text LIKE 'b%'

-- writes_36
DELETE FROM "posts_tags" WHERE "posts_tags"."tag_id" IN (9, 10, 11, 14)

-- writes_37
DELETE FROM "tags" WHERE "tags"."id" IN (14, 11, 10, 9)

-- writes_38
DELETE FROM "orders"

-- writes_39
SELECT "posts"."id" FROM "posts" WHERE "posts"."author_id" IN (8)

-- writes_40
SELECT "comments"."id" FROM "comments" WHERE "comments"."post_id" IN (4)

-- writes_41
DELETE FROM "posts_tags" WHERE "posts_tags"."post_id" IN (4)

-- writes_42
DELETE FROM "profiles" WHERE "profiles"."user_id" IN (8)

-- writes_43
DELETE FROM "orders" WHERE "orders"."user_id" IN (8)

-- writes_44
UPDATE "users" SET "manager_id" = NULL WHERE "users"."manager_id" IN (8)

-- writes_45
UPDATE "comments" SET "author_id" = NULL WHERE "comments"."author_id" IN (8)

-- writes_46
DELETE FROM "posts" WHERE "posts"."id" IN (4)

-- writes_47
DELETE FROM "users" WHERE "users"."id" IN (8)

-- writes_48
DELETE FROM "posts" WHERE "posts"."author_id" IS NULL

-- migrations
SELECT
                c.relname,
                CASE
                    WHEN c.relispartition THEN 'p'
                    WHEN c.relkind IN ('m', 'v') THEN 'v'
                    ELSE 't'
                END,
                obj_description(c.oid, 'pg_class')
            FROM pg_catalog.pg_class c
            LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
                AND pg_catalog.pg_table_is_visible(c.oid)

-- migrations_2
SELECT "django_migrations"."id", "django_migrations"."app", "django_migrations"."name", "django_migrations"."applied" FROM "django_migrations"

-- migrations_3
INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ('shop', '0001', '2026-11-27 23:10:57.758179+00:00'::timestamptz) RETURNING "django_migrations"."id"

-- migrations_4
DELETE FROM "django_migrations" WHERE ("django_migrations"."app" = 'shop' AND "django_migrations"."name" = '0001')

-- introspection
SELECT
                a.attname AS column_name,
                NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS is_nullable,
                pg_get_expr(ad.adbin, ad.adrelid) AS column_default,
                CASE WHEN collname = 'default' THEN NULL ELSE collname END AS collation,
                a.attidentity != '' AS is_autofield,
                col_description(a.attrelid, a.attnum) AS column_comment
            FROM pg_attribute a
            LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
            LEFT JOIN pg_collation co ON a.attcollation = co.oid
            JOIN pg_type t ON a.atttypid = t.oid
            JOIN pg_class c ON a.attrelid = c.oid
            JOIN pg_namespace n ON c.relnamespace = n.oid
            WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
                AND c.relname = 'users'
                AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
                AND pg_catalog.pg_table_is_visible(c.oid)

-- introspection_2
SELECT * FROM "users" LIMIT 1

-- introspection_3
SELECT
                s.relname AS sequence_name,
                a.attname AS colname
            FROM
                pg_class s
                JOIN pg_depend d ON d.objid = s.oid
                    AND d.classid = 'pg_class'::regclass
                    AND d.refclassid = 'pg_class'::regclass
                JOIN pg_attribute a ON d.refobjid = a.attrelid
                    AND d.refobjsubid = a.attnum
                JOIN pg_class tbl ON tbl.oid = d.refobjid
                    AND tbl.relname = 'users'
                    AND pg_catalog.pg_table_is_visible(tbl.oid)
            WHERE
                s.relkind = 'S'

-- introspection_4
SELECT a1.attname, c2.relname, a2.attname
            FROM pg_constraint con
            LEFT JOIN pg_class c1 ON con.conrelid = c1.oid
            LEFT JOIN pg_class c2 ON con.confrelid = c2.oid
            LEFT JOIN
                pg_attribute a1 ON c1.oid = a1.attrelid AND a1.attnum = con.conkey[1]
            LEFT JOIN
                pg_attribute a2 ON c2.oid = a2.attrelid AND a2.attnum = con.confkey[1]
            WHERE
                c1.relname = 'posts' AND
                con.contype = 'f' AND
                c1.relnamespace = c2.relnamespace AND
                pg_catalog.pg_table_is_visible(c1.oid)

-- introspection_5
SELECT
                c.conname,
                array(
                    SELECT attname
                    FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx)
                    JOIN pg_attribute AS ca ON cols.colid = ca.attnum
                    WHERE ca.attrelid = c.conrelid
                    ORDER BY cols.arridx
                ),
                c.contype,
                (SELECT fkc.relname || '.' || fka.attname
                FROM pg_attribute AS fka
                JOIN pg_class AS fkc ON fka.attrelid = fkc.oid
                WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]),
                cl.reloptions
            FROM pg_constraint AS c
            JOIN pg_class AS cl ON c.conrelid = cl.oid
            WHERE cl.relname = 'posts' AND pg_catalog.pg_table_is_visible(cl.oid)

-- introspection_6
SELECT
                indexname,
                array_agg(attname ORDER BY arridx),
                indisunique,
                indisprimary,
                array_agg(ordering ORDER BY arridx),
                amname,
                exprdef,
                s2.attoptions
            FROM (
                SELECT
                    c2.relname as indexname, idx.*, attr.attname, am.amname,
                    CASE
                        WHEN idx.indexprs IS NOT NULL THEN
                            pg_get_indexdef(idx.indexrelid)
                    END AS exprdef,
                    CASE am.amname
                        WHEN 'btree' THEN
                            CASE (option & 1)
                                WHEN 1 THEN 'DESC' ELSE 'ASC'
                            END
                    END as ordering,
                    c2.reloptions as attoptions
                FROM (
                    SELECT *
                    FROM
                        pg_index i,
                        unnest(i.indkey, i.indoption)
                            WITH ORDINALITY koi(key, option, arridx)
                ) idx
                LEFT JOIN pg_class c ON idx.indrelid = c.oid
                LEFT JOIN pg_class c2 ON idx.indexrelid = c2.oid
                LEFT JOIN pg_am am ON c2.relam = am.oid
                LEFT JOIN
                    pg_attribute attr ON attr.attrelid = c.oid AND attr.attnum = idx.key
                WHERE c.relname = 'posts' AND pg_catalog.pg_table_is_visible(c.oid)
            ) s2
            GROUP BY indexname, indisunique, indisprimary, amname, exprdef, attoptions

-- introspection_7
SHOW server_version

-- introspection_8
SELECT pg_advisory_xact_lock(7)

-- introspection_9
SET CONSTRAINTS ALL IMMEDIATE

-- introspection_10
SET CONSTRAINTS ALL DEFERRED

-- introspection_11
SELECT set_config('TimeZone', 'UTC', false)

-- introspection_12
SELECT typname FROM pg_type WHERE typname = 'citext'

-- begin
BEGIN

-- commit
COMMIT

-- rollback
ROLLBACK

-- rollback_to
ROLLBACK TO SAVEPOINT "s1_x1"

-- release
RELEASE SAVEPOINT "s1_x1"

