-- find
select u1_0.id,u1_0.age,u1_0.balance,u1_0.created_at,u1_0.email,u1_0.is_active,u1_0.manager_id,u1_0.name from users u1_0 where u1_0.id=$1

-- find_eager
select p1_0.id,a1_0.id,a1_0.email,a1_0.name,p1_0.body,p1_0.published,p1_0.title from posts p1_0 left join users a1_0 on a1_0.id=p1_0.author_id where p1_0.id=$1

-- find_lock
select o1_0.id,o1_0.state,o1_0.total,o1_0.version from orders o1_0 where o1_0.id=$1 for no key update

-- find_lock_nowait
select o1_0.id,o1_0.version from orders o1_0 where o1_0.id=$1 for no key update nowait

-- find_lock_read
select o1_0.id,o1_0.version from orders o1_0 where o1_0.id=$1 for share

-- lock_of_alias
select o1_0.id,o1_0.total,u1_0.id,u1_0.name from orders o1_0 join users u1_0 on u1_0.id=o1_0.user_id where o1_0.id=$1 for no key update of o1_0

-- lock_skip
select j1_0.id,j1_0.payload,j1_0.state from jobs j1_0 where j1_0.state=$1 order by j1_0.priority desc,j1_0.id fetch first $2 rows only for no key update skip locked

-- version_check
select version from orders where id =$1

-- collection
select p1_0.author_id,p1_0.id,p1_0.body,p1_0.published,p1_0.title from posts p1_0 where p1_0.author_id=$1

-- collection_batch
select p1_0.author_id,p1_0.id,p1_0.title from posts p1_0 where p1_0.author_id = any ($1::bigint[])

-- collection_in
select c1_0.post_id,c1_0.id,c1_0.body from comments c1_0 where c1_0.post_id in ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)

-- collection_many_to_many
select t1_0.post_id,t1_1.id,t1_1.name from posts_tags t1_0 join tags t1_1 on t1_1.id=t1_0.tag_id where t1_0.post_id=$1

-- collection_subselect
select p1_0.author_id,p1_0.id,p1_0.title from posts p1_0 where p1_0.author_id in (select u1_0.id from users u1_0 where u1_0.is_active=true)

-- element_collection
select r1_0.order_id,r1_0.line,r1_0.price,r1_0.quantity from order_items r1_0 where r1_0.order_id=$1 order by r1_0.line

-- query_all
select u1_0.id,u1_0.email,u1_0.name from users u1_0

-- query_where
select u1_0.id,u1_0.email from users u1_0 where u1_0.email=$1 and u1_0.is_active

-- query_like
select u1_0.id,u1_0.name from users u1_0 where u1_0.name like $1 escape ''

-- query_like_escape
select u1_0.id from users u1_0 where lower(u1_0.name) like lower($1) escape '\'

-- query_ignore_case
select u1_0.id from users u1_0 where upper(u1_0.email)=upper($1)

-- query_between
select o1_0.id from orders o1_0 where o1_0.total between $1 and $2 and o1_0.placed_at>=$3

-- query_not_in
select u1_0.id from users u1_0 where u1_0.id not in ($1,$2) and u1_0.name is not null

-- query_page
select p1_0.id,p1_0.title from posts p1_0 order by p1_0.id desc offset $1 rows fetch first $2 rows only

-- query_page_old
select post0_.id as id1_0_, post0_.title as title2_0_ from posts post0_ order by post0_.id desc limit $1 offset $2

-- query_first
select p1_0.id from posts p1_0 where p1_0.published=true order by p1_0.published_at desc nulls last fetch first 1 rows only

-- query_with_ties
select p1_0.id,p1_0.views from posts p1_0 order by p1_0.views desc fetch first 3 rows with ties

-- query_count
select count(u1_0.id) from users u1_0 where u1_0.is_active=true

-- query_count_star
select count(*) from posts p1_0 join users a1_0 on a1_0.id=p1_0.author_id where a1_0.email=$1

-- query_count_distinct
select count(distinct p1_0.author_id) from posts p1_0

-- query_exists
select u1_0.id from users u1_0 where exists(select 1 from posts p1_0 where p1_0.author_id=u1_0.id and p1_0.published=true)

-- query_member_of
select p1_0.id from posts p1_0 where $1 in (select t1_0.tag_id from posts_tags t1_0 where p1_0.id=t1_0.post_id)

-- query_is_empty
select u1_0.id from users u1_0 where not exists(select 1 from posts p1_0 where u1_0.id=p1_0.author_id)

-- query_size
select u1_0.id from users u1_0 where (select count(1) from posts p1_0 where u1_0.id=p1_0.author_id)>$1

-- query_all_subquery
select p1_0.id from products p1_0 where p1_0.price>=all(select p2_0.price from products p2_0 where p2_0.category_id=p1_0.category_id)

-- query_any_subquery
select p1_0.id from products p1_0 where p1_0.price>any((select p2_0.price from products p2_0 where p2_0.stock=0))

-- query_join_fetch
select u1_0.id,u1_0.name,p1_0.author_id,p1_0.id,p1_0.title from users u1_0 left join posts p1_0 on u1_0.id=p1_0.author_id where u1_0.id=$1 order by p1_0.id

-- query_join_entity
select u1_0.id,o1_0.id from users u1_0 join orders o1_0 on o1_0.user_id=u1_0.id and o1_0.total>$1

-- query_cross_join
select u1_0.id,t1_0.id from users u1_0,tags t1_0 where u1_0.name=t1_0.name

-- query_cross_join_word
select u1_0.id,c1_0.id from users u1_0 cross join categories c1_0

-- query_lateral
select u1_0.id,l1_0.title from users u1_0 join lateral (select p1_0.title from posts p1_0 where p1_0.author_id=u1_0.id order by p1_0.id desc fetch first 1 rows only) l1_0(title) on true

-- query_derived
select d1_0.author,d1_0.n from (select p1_0.author_id,count(p1_0.id) from posts p1_0 group by p1_0.author_id) d1_0(author,n) where d1_0.n>$1

-- query_cte
with totals (user_id,total) as (select o1_0.user_id,sum(o1_0.total) from orders o1_0 group by o1_0.user_id) select t1_0.user_id,t1_0.total from totals t1_0 where t1_0.total>$1

-- query_recursive
with recursive tree (id,parent_id,depth) as (select c1_0.id,c1_0.parent_id,0 from categories c1_0 where c1_0.parent_id is null union all select c2_0.id,c2_0.parent_id,t2_0.depth+1 from tree t2_0 join categories c2_0 on c2_0.parent_id=t2_0.id) select t1_0.id,t1_0.depth from tree t1_0 order by t1_0.depth

-- query_recursive_cycle
with recursive tree (id,parent_id) as (select c1_0.id,c1_0.parent_id from categories c1_0 where c1_0.id=$1 union all select c2_0.id,c2_0.parent_id from tree t2_0 join categories c2_0 on c2_0.parent_id=t2_0.id) cycle id set is_cycle using path select t1_0.id from tree t1_0

-- query_group
select o1_0.state,sum(o1_0.total),avg(o1_0.total),max(o1_0.placed_on) from orders o1_0 group by o1_0.state having sum(o1_0.total)>$1 order by 2 desc

-- query_group_ordinal
select extract(year from o1_0.placed_on),count(o1_0.id) from orders o1_0 group by 1 order by 1

-- query_rollup
select o1_0.state,o1_0.user_id,sum(o1_0.total) from orders o1_0 group by rollup(o1_0.state,o1_0.user_id)

-- query_filter
select count(o1_0.id) filter(where o1_0.state=$1) from orders o1_0

-- query_listagg
select string_agg(t1_0.name,',' order by t1_0.name) from tags t1_0

-- query_percentile
select percentile_disc(0.5) within group(order by p1_0.price) from products p1_0

-- query_window
select p1_0.id,row_number() over(partition by p1_0.author_id order by p1_0.views desc nulls last) from posts p1_0

-- query_window_frame
select sum(o1_0.total) over(partition by o1_0.user_id order by o1_0.id rows between unbounded preceding and current row) from orders o1_0

-- query_case
select case when u1_0.age<18 then 'minor' when u1_0.age<65 then 'adult' else 'senior' end from users u1_0

-- query_case_simple
select case o1_0.state when 'new' then 1 else 0 end from orders o1_0

-- query_coalesce
select coalesce(u1_0.name,u1_0.email),nullif(u1_0.age,0) from users u1_0

-- query_concat
select (u1_0.name||' '||u1_0.email) from users u1_0

-- query_substring
select substring(u1_0.name,1,3),trim(both from u1_0.name),length(u1_0.email),position('@' in u1_0.email) from users u1_0

-- query_cast
select cast(u1_0.age as varchar),cast(u1_0.balance as double precision) from users u1_0

-- query_locale
select to_char(o1_0.placed_at,'YYYY-MM') from orders o1_0

-- query_extract
select extract(month from e1_0.occurred_at),extract(epoch from e1_0.occurred_at) from events e1_0

-- query_date_arithmetic
select e1_0.id from events e1_0 where e1_0.occurred_at>e1_0.occurred_at-$1::interval

-- query_date_add
select (o1_0.placed_at+interval '1 day') from orders o1_0

-- query_current
select localtimestamp,current_date,current_timestamp

-- query_now
select u1_0.id from users u1_0 where u1_0.last_login<current_timestamp

-- query_tuple
select i1_0.quantity from order_items i1_0 where (i1_0.order_id,i1_0.line) in (($1,$2),($3,$4))

-- query_tuple_equal
select i1_0.quantity from order_items i1_0 where (i1_0.order_id,i1_0.line)=($1,$2)

-- query_keyset
select p1_0.id from posts p1_0 where p1_0.published_at<$1 or p1_0.published_at=$2 and p1_0.id<$3 order by p1_0.published_at desc,p1_0.id desc fetch first $4 rows only

-- query_bool
select u1_0.id from users u1_0 where u1_0.is_active=false or not(u1_0.is_staff)

-- query_distinct_from
select u1_0.id from users u1_0 where u1_0.name is distinct from $1

-- query_array
select p1_0.id from posts p1_0 where p1_0.labels @> $1::text[]

-- query_array_contains
select p1_0.id from posts p1_0 where $1=any(p1_0.labels)

-- query_array_position
select array_position(p1_0.labels,'x'),cardinality(p1_0.labels) from posts p1_0

-- query_json_value
select jsonb_path_query_first(u1_0.settings,'$.a') #>> '{}' from users u1_0

-- query_json_arrow
select (u1_0.settings->>'theme'),(u1_0.settings #>> '{a,b}') from users u1_0

-- query_unnest
select u1_0.id,r1_0.v from users u1_0 join lateral unnest(u1_0.roles) r1_0(v) on true

-- query_series
select g1_0.n from generate_series(1,10) g1_0(n)

-- query_series_ordinality
select g1_0.v,g1_0.i from generate_series(1,10) with ordinality g1_0(v,i)

-- query_union
select u1_0.id from users u1_0 union all select o1_0.user_id from orders o1_0 order by 1

-- query_union_parens
(select u1_0.id from users u1_0 order by u1_0.id fetch first 1 rows only) union all (select o1_0.user_id from orders o1_0 order by o1_0.id fetch first 1 rows only)

-- query_intersect
select u1_0.id from users u1_0 intersect select p1_0.author_id from posts p1_0

-- query_inheritance
select p1_0.id,p1_0.type,p1_0.name from products p1_0 where p1_0.type in ('Book','Film')

-- query_joined_inheritance
select u1_0.id,case when u1_1.user_id is not null then 1 when u1_0.id is not null then 0 end,u1_0.name,u1_1.bio from users u1_0 left join profiles u1_1 on u1_0.id=u1_1.user_id

-- query_union_inheritance
select x1_0.id,x1_0.clazz_ from (select id, name, 0 as clazz_ from users union all select id, name, 1 as clazz_ from teams) x1_0 where x1_0.id=$1

-- query_formula
select u1_0.id,(select count(*) from posts p where p.author_id = u1_0.id) from users u1_0

-- query_soft_delete
select u1_0.id from users u1_0 where (u1_0.deleted_at is null) and u1_0.id=$1

-- query_comment
/* select u from User u where u.id = :id */ select u1_0.id,u1_0.name from users u1_0 where u1_0.id=$1

-- query_hint
/*+ IndexScan(u1_0) */ select u1_0.id from users u1_0 where u1_0.age=$1

-- old_alias
select user0_.id as id1_3_0_, user0_.email as email2_3_0_, orders1_.id as id1_1_1_ from users user0_ left outer join orders orders1_ on user0_.id=orders1_.user_id where user0_.id=$1

-- sequence
select nextval('orders_seq')

-- sequence_schema
select nextval('public.orders_seq')

-- insert
insert into orders (note,state,total,user_id,version,id) values ($1,$2,$3,$4,$5,$6)

-- insert_identity
insert into tags (name) values ($1) returning id

-- insert_identity_columns
insert into users (email,name) values ($1,$2) returning id,created_at

-- insert_batch_rewritten
insert into tags (name) values ($1),($2),($3),($4)

-- insert_select
insert into events(kind,payload,occurred_at) select 'order',o1_0.shipping,current_timestamp from orders o1_0 where o1_0.state=$1

-- insert_conflict
insert into tags as t1_0(id,name) values ($1,$2) on conflict(name) do update set id=excluded.id where t1_0.id<excluded.id

-- upsert_merge
merge into tags as t using (select cast($1 as bigint) id, cast($2 as varchar(255)) name) as s on (t.id=s.id) when matched then update set name=s.name when not matched then insert (id, name) values (s.id, s.name)

-- update
update users set age=$1,email=$2,is_active=$3,name=$4 where id=$5

-- update_versioned
update orders set note=$1,state=$2,total=$3,user_id=$4,version=$5 where id=$6 and version=$7

-- update_bulk
update posts p1_0 set views=(p1_0.views+1) where p1_0.author_id=$1

-- update_from
update order_items i1_0 set price=p1_0.price from products p1_0 where p1_0.id=i1_0.product_id and p1_0.stock=0

-- delete
delete from orders where id=$1 and version=$2

-- delete_bulk
delete from comments c1_0 where c1_0.post_id in (select p1_0.id from posts p1_0 where p1_0.published=false)

-- delete_using
delete from comments c1_0 using posts p1_0 where p1_0.id=c1_0.post_id and p1_0.deleted_at is not null

-- connection_check
select 1

-- isolation
SHOW TRANSACTION ISOLATION LEVEL

-- begin_read_only
BEGIN READ ONLY

-- characteristics
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY

-- hikari
SET application_name = 'PostgreSQL JDBC Driver'

-- extra_float_digits
SET extra_float_digits = 3

-- timeout
SET LOCAL statement_timeout = 5000

-- schema_validation
select * from information_schema.sequences

-- jdbc_type
SELECT t.typname,t.oid FROM pg_catalog.pg_type t  JOIN pg_catalog.pg_namespace n ON (t.typnamespace = n.oid)  WHERE n.nspname  != 'pg_toast' AND  (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))

-- jdbc_tables
SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME,  CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema'  WHEN true THEN CASE  WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' THEN CASE c.relkind   WHEN 'r' THEN 'SYSTEM TABLE'   WHEN 'v' THEN 'SYSTEM VIEW'   ELSE NULL   END  ELSE NULL  END  WHEN false THEN CASE c.relkind  WHEN 'r' THEN 'TABLE'  ELSE NULL  END  ELSE NULL  END  AS TABLE_TYPE, d.description AS REMARKS FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c  LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0  and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid  AND c.relname LIKE 'users' ORDER BY TABLE_TYPE,TABLE_SCHEM,TABLE_NAME

-- jdbc_columns
SELECT * FROM (SELECT n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,a.atttypmod,a.attlen,row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity,pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description FROM pg_catalog.pg_namespace n  JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)  JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid)  JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)  LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum)  LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped  AND c.relname LIKE 'users') c WHERE true  ORDER BY nspname,c.relname,attnum
