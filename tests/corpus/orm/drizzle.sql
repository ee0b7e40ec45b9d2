-- all
select "id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at" from "users"

-- where
select "id" from "users" where ("users"."email" = $1 and "users"."age" <> $2 and "users"."name" is null)

-- or
select "id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at" from "users" where ("users"."age" > $1 or "users"."age" <= $2 or not "users"."name" is not null)

-- in
select "id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at" from "users" where ("users"."id" in ($1, $2, $3) and "users"."age" not in ($4))

-- like
select "name" from "users" where ("users"."name" like $1 or "users"."email" ilike $2)

-- between
select "id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at" from "users" where "users"."age" between $1 and $2 order by "users"."id" desc, "users"."name" asc limit $3 offset $4

-- arrays
select "id" from "posts" where ("posts"."labels" @> $1 and "posts"."labels" && $2)

-- join
select "users"."id", "users"."email", "users"."name", "users"."age", "users"."is_active", "users"."settings", "users"."roles", "users"."manager_id", "users"."created_at", "posts"."id", "posts"."author_id", "posts"."title", "posts"."published", "posts"."views", "posts"."labels", "posts"."published_at" from "users" inner join "posts" on "posts"."author_id" = "users"."id"

-- left_join
select "users"."id", "posts"."title" from "users" left join "posts" on ("posts"."author_id" = "users"."id" and "posts"."published" = $1) where "posts"."id" is null

-- full_join
select "users"."id", "orders"."id" from "users" full join "orders" on "orders"."user_id" = "users"."id"

-- self_join
select "users"."name", "manager"."name" from "users" right join "users" "manager" on "manager"."id" = "users"."manager_id"

-- lateral
select "users"."id", "recent"."title" from "users" left join lateral (select "id", "title" from "posts" where "posts"."author_id" = "users"."id" order by "posts"."id" desc limit $1) "recent" on true

-- subquery
select "users"."name", "n" from (select "author_id", count(*) as "n" from "posts" group by "posts"."author_id") "sub" inner join "users" on "users"."id" = "sub"."author_id" where "n" > $1

-- exists
select "id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at" from "users" where (exists (select 1 from "posts" where "posts"."author_id" = "users"."id") and not exists (select "id", "user_id", "state", "total" from "orders" where "orders"."user_id" = "users"."id"))

-- in_subquery
select "id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at" from "users" where "users"."id" in (select "author_id" from "posts")

-- with
with "totals" as (select "user_id", sum("total") as "total" from "orders" group by "orders"."user_id") select "user_id", "total" from "totals" where "total" > $1

-- group
select "state", count(*), sum("total"), avg("total"), max("id"), count(distinct "user_id") from "orders" group by "orders"."state" having count(*) > $1

-- distinct
select distinct "author_id" from "posts"

-- distinct_on
select distinct on ("posts"."author_id") "id", "author_id", "title", "published", "views", "labels", "published_at" from "posts" order by "posts"."author_id", "posts"."views" desc

-- union
(select "id" from "users") union (select "author_id" from "posts") order by 1  limit $1

-- union_all
(select "name" from "users") union all (select "name" from "tags")

-- except
(select "id" from "users") except (select "user_id" from "orders")

-- intersect_all
(select "id" from "users") intersect all (select "user_id" from "orders")

-- sql
select lower("name"), count(*) filter (where "age" > $1) as "n" from "users" group by 1

-- json
select "settings"->>'a' from "users" where "users"."settings" @> $1::jsonb

-- case
select case when "age" < 18 then 'young' else 'old' end from "users"

-- window
select "id", row_number() over (partition by "author_id" order by "views" desc) from "posts"

-- count
select count(*) from "users"

-- query_many
select "users"."id", "users"."email", "users"."name", "users"."age", "users"."is_active", "users"."settings", "users"."roles", "users"."manager_id", "users"."created_at", "users_posts"."data" as "posts" from "users" "users" left join lateral (select coalesce(json_agg(json_build_array("users_posts"."id", "users_posts"."author_id", "users_posts"."title", "users_posts"."published", "users_posts"."views", "users_posts"."labels", "users_posts"."published_at")), '[]'::json) as "data" from "posts" "users_posts" where "users_posts"."author_id" = "users"."id") "users_posts" on true

-- query_first
select "id", "email" from "users" "users" where "users"."email" = $1 limit $2

-- query_deep
select "users"."id", "users_posts"."data" as "posts", "users_orders"."data" as "orders" from "users" "users" left join lateral (select coalesce(json_agg(json_build_array("users_posts"."id", "users_posts"."author_id", "users_posts"."title", "users_posts"."published", "users_posts"."views", "users_posts"."labels", "users_posts"."published_at", "users_posts_comments"."data") order by "users_posts"."id" desc), '[]'::json) as "data" from (select * from "posts" "users_posts" where ("users_posts"."author_id" = "users"."id" and "users_posts"."published" = $1) order by "users_posts"."id" desc limit $2) "users_posts" left join lateral (select coalesce(json_agg(json_build_array("users_posts_comments"."id", "users_posts_comments"."post_id", "users_posts_comments"."body")), '[]'::json) as "data" from (select * from "comments" "users_posts_comments" where "users_posts_comments"."post_id" = "users_posts"."id" limit $3) "users_posts_comments") "users_posts_comments" on true) "users_posts" on true left join lateral (select coalesce(json_agg(json_build_array("users_orders"."id", "users_orders"."user_id", "users_orders"."state", "users_orders"."total")), '[]'::json) as "data" from "orders" "users_orders" where "users_orders"."user_id" = "users"."id") "users_orders" on true

-- query_one
select "posts"."id", "posts"."author_id", "posts"."title", "posts"."published", "posts"."views", "posts"."labels", "posts"."published_at", upper("posts"."title") as "up", "posts_author"."data" as "author" from "posts" "posts" left join lateral (select json_build_array("posts_author"."name") as "data" from (select * from "users" "posts_author" where "posts_author"."id" = "posts"."author_id" limit $1) "posts_author") "posts_author" on true limit $2 offset $3

-- insert
insert into "users" ("id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at") values (default, $1, $2, default, default, default, default, default, default) returning "id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at"

-- insert_many
insert into "tags" ("id", "name") values (default, $1), (default, $2) returning "id"

-- insert_nothing
insert into "tags" ("id", "name") values (default, $1) on conflict ("name") do nothing

-- insert_update
insert into "users" ("id", "email", "name", "age", "is_active", "settings", "roles", "manager_id", "created_at") values (default, $1, default, default, default, default, default, default, default) on conflict ("email") do update set "name" = excluded.name where "users"."is_active" = $2

-- insert_select
insert into "tags" ("id", "name") select "id", "title" from "posts"

-- update
update "users" set "name" = $1, "age" = "users"."age" + 1 where "users"."id" = $2 returning "id"

-- update_from
update "posts" set "title" = "users"."name" from "users" where "users"."id" = "posts"."author_id"

-- delete
delete from "posts" where ("posts"."id" = $1 and "posts"."published" = $2) returning "id", "author_id", "title", "published", "views", "labels", "published_at"

-- with_delete
with "totals" as (select "user_id", sum("total") as "total" from "orders" group by "orders"."user_id") delete from "orders" where "orders"."user_id" in (select "user_id" from "totals")

-- for_update
select "id", "user_id", "state", "total" from "orders" where "orders"."id" = $1 for update

-- skip_locked
select "id", "user_id", "state", "total" from "orders" limit $1 for no key update of "orders" skip locked

