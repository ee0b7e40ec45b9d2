-- all
select * from "users"

-- where
select "id", "name" from "users" where "email" = $1 and "is_active" = $2 limit $3

-- where_operators
select * from "users" where "age" > $1 and "name" like $2 or "deleted_at" is null

-- where_in
select * from "users" where "id" in ($1, $2, $3) and "email" not in ($4)

-- where_in_pairs
select * from "order_items" where ("order_id", "line") in (($1, $2), ($3, $4))

-- where_between
select * from "users" where "age" between $1 and $2 and "id" not between $3 and $4

-- where_group
select * from "users" where ("age" = $1 or "age" = $2) and not "name" = $3

-- where_ilike
select * from "users" where "name" ilike $1 and "email" like $2

-- where_exists
select * from "users" where exists (select 1 from "posts" where posts.author_id = users.id)

-- where_json
select * from "users" where jsonb_path_query_first("settings", $1) #>> '{}' = $2 and "settings" @> $3

-- where_raw
select * from "users" where lower(email) = $1 and age > $2

-- where_subquery
select * from "users" where "balance" > (select avg("balance") from "users")

-- page
select * from "posts" order by "created_at" desc limit $1 offset $2

-- order
select * from "posts" order by "published_at" desc nulls last, "id" asc

-- join
select "users"."id", "posts"."title" as "title" from "users" inner join "posts" on "users"."id" = "posts"."author_id"

-- left_join
select "users".* from "users" left join "orders" as "o" on "o"."user_id" = "users"."id" where "o"."id" is null

-- join_on
select * from "users" inner join "posts" on "posts"."author_id" = "users"."id" and "posts"."published" = $1

-- join_using
select * from "posts" full outer join "comments" on "comments"."post_id" = "posts"."id"

-- cross_join
select "tags"."name" from "tags" cross join "categories"

-- count
select count("id") as "n" from "users" limit $1

-- count_distinct
select count(distinct "author_id") from "posts"

-- group
select "state", sum("total") as "sum" from "orders" group by "state" having "state" <> $1 and sum(total) > $2

-- group_raw
select date_trunc('month', placed_at) as m, count(*) from "orders" group by 1 order by 1 desc

-- distinct_on
select distinct on ("author_id") * from "posts" order by "author_id" asc, "views" desc

-- row_number
select "id", row_number() over (partition by "author_id" order by "views" desc) as "n" from "posts"

-- rank
select *, rank() over (partition by "author_id" order by "views") as "r" from "posts"

-- union
(select "id" from "users") union select "author_id" from "posts" union all (select "user_id" from "orders")

-- intersect
select "id" from "users" intersect select "author_id" from "posts" except select "user_id" from "orders"

-- with
with "t" as (select "user_id", sum("total") as "total" from "orders" group by "user_id") select * from "t" where "total" > $1

-- with_materialized
with "t" as materialized (select * from "users" where "age" > $1) select "id" from "t"

-- with_recursive
with recursive "tree" as (select "id", "parent_id" from "categories" where "parent_id" is null union all select "c"."id", "c"."parent_id" from "categories" as "c" inner join "tree" on "tree"."id" = "c"."parent_id") select * from "tree"

-- from_subquery
select "author_id" from (select "author_id", count(*) as "n" from "posts" group by "author_id") as "s" where "n" > $1

-- column_subquery
select "id", (select count(*) from "posts" where author_id = users.id) as "n" from "users"

-- json_extract
select jsonb_path_query("settings", $1) as "ab", "id" from "users"

-- schema
select * from "public"."posts" where "id" = $1

-- insert
insert into "users" ("email", "name") values ($1, $2) returning "id", "created_at"

-- insert_many
insert into "tags" ("name") values ($1), ($2) returning "id"

-- insert_default
insert into "jobs" ("priority", "queue") values ($1, $2), (DEFAULT, $3)

-- insert_ignore
insert into "tags" ("name") values ($1) on conflict ("name") do nothing

-- insert_merge
insert into "users" ("email", "name") values ($1, $2) on conflict ("email") do update set "email" = excluded."email", "name" = excluded."name" returning *

-- insert_merge_some
insert into "users" ("email", "name") values ($1, $2) on conflict ("email") do update set "name" = excluded.name || '!' where "users"."is_active" = $3

-- insert_select
insert into "tags" ("name") select "name" from "categories"

-- update
update "users" set "name" = $1, "updated_at" = CURRENT_TIMESTAMP where "id" = $2 returning "id"

-- increment
update "posts" set "views" = "views" + $1, "comments_count" = "comments_count" - $2 where "id" = $3

-- update_from
update "order_items" set "price" = "products"."price" from "products" where order_items.product_id = products.id

-- update_json
update "users" set "settings" = (jsonb_set("settings", $1, $2)) where "id" = $3

-- delete
delete from "jobs" where "state" = $1 returning "id"

-- delete_using
delete from "comments" using "posts" where posts.id = comments.post_id and "posts"."published" = $1

-- truncate
truncate "events" restart identity

-- for_update
select * from "orders" where "id" = $1 for update

-- skip_locked
select * from "jobs" where "state" = $1 order by "id" asc limit $2 for update skip locked

-- for_share
select * from "orders" where "id" = $1 for share nowait

-- for_no_key
select * from "orders" where "id" = $1 for no key update

-- for_key_share
select * from "orders" where "id" = $1 for key share

-- migrations_table
select * from "information_schema"."tables" where "table_name" = $1 and table_schema = current_schema()

-- column_info
select "column_name", "data_type", "is_nullable" from "information_schema"."columns" where "table_name" = $1 and "table_catalog" = $2 and table_schema = current_schema()

-- raw
select * from users where id = $1 and name = $2

