// Prints knex.sql and drizzle.sql, what Knex and Drizzle compile for the queries below: `knex` or `drizzle` says which.
//
// To make them again:
//     NODE_PATH=target/drivers/node/node_modules node tests/corpus/orm/make_builders.js knex >tests/corpus/orm/knex.sql
'use strict';

const print = (name, sql) => process.stdout.write(`-- ${name}\n${sql}\n\n`);

function knex() {
  const k = require('knex')({ client: 'pg' });
  const show = (name, builder) => {
    const compiled = builder.toSQL();
    print(name, (Array.isArray(compiled) ? compiled[0] : compiled.toNative()).sql);
  };
  const u = () => k('users');
  show('all', u());
  show('where', u().where({ email: 'a', is_active: true }).select('id', 'name').first());
  show('where_operators', u().where('age', '>', 1).andWhere('name', 'like', 'a%').orWhereNull('deleted_at'));
  show('where_in', u().whereIn('id', [1, 2, 3]).whereNotIn('email', ['a']));
  show('where_in_pairs', k('order_items').whereIn(['order_id', 'line'], [[1, 2], [3, 4]]));
  show('where_between', u().whereBetween('age', [1, 9]).whereNotBetween('id', [5, 6]));
  show('where_group', u().where((q) => q.where('age', 1).orWhere('age', 2)).whereNot('name', 'x'));
  show('where_ilike', u().whereILike('name', '%x%').whereLike('email', 'y%'));
  show('where_exists', u().whereExists(k('posts').select(k.raw('1')).whereRaw('posts.author_id = users.id')));
  show('where_json', u().whereJsonPath('settings', '$.a', '=', 'x').whereJsonSupersetOf('settings', { a: 1 }));
  show('where_raw', u().whereRaw('lower(email) = ? and age > ?', ['a', 3]));
  show('where_subquery', u().where('balance', '>', k('users').avg('balance')));
  show('page', k('posts').orderBy('created_at', 'desc').limit(10).offset(20));
  show('order', k('posts').orderBy([{ column: 'published_at', order: 'desc', nulls: 'last' }, 'id']));
  show('join', u().join('posts', 'users.id', 'posts.author_id').select('users.id', 'posts.title as title'));
  show('left_join', u().leftJoin('orders as o', 'o.user_id', 'users.id').whereNull('o.id').select('users.*'));
  show('join_on', u().innerJoin('posts', function () { this.on('posts.author_id', '=', 'users.id').andOnVal('posts.published', '=', true); }));
  show('join_using', k('orders').join('order_items', function () { this.using('id'); }).toSQL ? k('posts').fullOuterJoin('comments', 'comments.post_id', 'posts.id') : u());
  show('cross_join', k('tags').crossJoin('categories').select('tags.name'));
  show('count', u().count('id as n').first());
  show('count_distinct', k('posts').countDistinct('author_id'));
  show('group', k('orders').select('state').sum('total as sum').groupBy('state').having('state', '<>', 'x').havingRaw('sum(total) > ?', [1]));
  show('group_raw', k('orders').select(k.raw("date_trunc('month', placed_at) as m")).count('*').groupByRaw('1').orderByRaw('1 desc'));
  show('distinct_on', k('posts').distinctOn('author_id').orderBy([{ column: 'author_id' }, { column: 'views', order: 'desc' }]));
  show('row_number', k('posts').select('id').rowNumber('n', (q) => q.partitionBy('author_id').orderBy('views', 'desc')));
  show('rank', k('posts').select('*').rank('r', 'views', 'author_id'));
  show('union', u().select('id').union([k('posts').select('author_id')]).unionAll(k('orders').select('user_id'), true));
  show('intersect', u().select('id').intersect(k('posts').select('author_id')).except(k('orders').select('user_id')));
  show('with', k.with('t', k('orders').select('user_id').sum('total as total').groupBy('user_id')).select('*').from('t').where('total', '>', 5));
  show('with_materialized', k.withMaterialized('t', k('users').where('age', '>', 1)).from('t').select('id'));
  show('with_recursive', k.withRecursive('tree', (q) => q.select('id', 'parent_id').from('categories').whereNull('parent_id').unionAll((r) => r.select('c.id', 'c.parent_id').from('categories as c').join('tree', 'tree.id', 'c.parent_id'))).select('*').from('tree'));
  show('from_subquery', k.from(k('posts').select('author_id').count('* as n').groupBy('author_id').as('s')).where('n', '>', 1).select('author_id'));
  show('column_subquery', u().select('id', k('posts').count('*').whereRaw('author_id = users.id').as('n')));
  show('json_extract', u().jsonExtract('settings', '$.a.b', 'ab').select('id'));
  show('schema', k('posts').withSchema('public').where('id', 1));
  show('insert', u().insert({ email: 'a', name: 'b' }).returning(['id', 'created_at']));
  show('insert_many', k('tags').insert([{ name: 'a' }, { name: 'b' }], ['id']));
  show('insert_default', k('jobs').insert([{ queue: 'a', priority: 1 }, { queue: 'b' }]));
  show('insert_ignore', k('tags').insert({ name: 'a' }).onConflict('name').ignore());
  show('insert_merge', u().insert({ email: 'a', name: 'b' }).onConflict(['email']).merge().returning('*'));
  show('insert_merge_some', u().insert({ email: 'a', name: 'b' }).onConflict('email').merge({ name: k.raw("excluded.name || '!'") }).where('users.is_active', true));
  show('insert_select', k(k.raw('?? (??)', ['tags', 'name'])).insert(k('categories').select('name')));
  show('update', u().where('id', 1).update({ name: 'x', updated_at: k.fn.now() }, ['id']));
  show('increment', k('posts').where({ id: 1 }).increment('views', 1).decrement('comments_count', 2));
  show('update_from', k('order_items').updateFrom('products').update({ price: k.ref('products.price') }).whereRaw('order_items.product_id = products.id'));
  show('update_json', u().where('id', 1).update({ settings: k.jsonSet('settings', '$.a', '1') }));
  show('delete', k('jobs').where('state', 'done').del(['id']));
  show('delete_using', k('comments').using('posts').whereRaw('posts.id = comments.post_id').where('posts.published', false).del());
  show('truncate', k('events').truncate());
  show('for_update', k('orders').where('id', 1).forUpdate());
  show('skip_locked', k('jobs').where('state', 'queued').orderBy('id').first().forUpdate().skipLocked());
  show('for_share', k('orders').where('id', 2).forShare().noWait());
  show('for_no_key', k('orders').where('id', 2).forNoKeyUpdate());
  show('for_key_share', k('orders').where('id', 2).forKeyShare());
  show('migrations_table', k.select('*').from('information_schema.tables').where('table_name', 'x').andWhereRaw('table_schema = current_schema()'));
  show('column_info', k.select(['column_name', 'data_type', 'is_nullable']).from('information_schema.columns').where({ table_name: 'users', table_catalog: 'x' }).andWhereRaw('table_schema = current_schema()'));
  show('raw', k.raw('select * from users where id = :id and name = :name', { id: 1, name: 'x' }));
}

function drizzle() {
  const d = require('drizzle-orm');
  const pg = require('drizzle-orm/pg-core');
  const { drizzle: make } = require('drizzle-orm/node-postgres');
  const { eq, ne, and, or, not, gt, lte, like, ilike, inArray, notInArray, isNull, isNotNull, between, exists, notExists, sql, desc, asc, count, sum, avg, max, countDistinct, arrayContains, arrayOverlaps, relations } = d;
  const users = pg.pgTable('users', {
    id: pg.bigserial('id', { mode: 'number' }).primaryKey(), email: pg.varchar('email', { length: 255 }).notNull(), name: pg.varchar('name'),
    age: pg.integer('age'), isActive: pg.boolean('is_active'), settings: pg.jsonb('settings'), roles: pg.text('roles').array(),
    managerId: pg.bigint('manager_id', { mode: 'number' }), createdAt: pg.timestamp('created_at', { withTimezone: true }).defaultNow(),
  });
  const posts = pg.pgTable('posts', {
    id: pg.bigserial('id', { mode: 'number' }).primaryKey(), authorId: pg.bigint('author_id', { mode: 'number' }), title: pg.varchar('title'),
    published: pg.boolean('published'), views: pg.integer('views'), labels: pg.text('labels').array(), publishedAt: pg.timestamp('published_at', { withTimezone: true }),
  });
  const comments = pg.pgTable('comments', { id: pg.bigserial('id', { mode: 'number' }).primaryKey(), postId: pg.bigint('post_id', { mode: 'number' }), body: pg.text('body') });
  const orders = pg.pgTable('orders', { id: pg.bigserial('id', { mode: 'number' }).primaryKey(), userId: pg.bigint('user_id', { mode: 'number' }), state: pg.varchar('state'), total: pg.numeric('total') });
  const tags = pg.pgTable('tags', { id: pg.bigserial('id', { mode: 'number' }).primaryKey(), name: pg.varchar('name') });
  const schema = {
    users, posts, comments, orders, tags,
    usersRelations: relations(users, ({ many }) => ({ posts: many(posts), orders: many(orders) })),
    postsRelations: relations(posts, ({ one, many }) => ({ author: one(users, { fields: [posts.authorId], references: [users.id] }), comments: many(comments) })),
    commentsRelations: relations(comments, ({ one }) => ({ post: one(posts, { fields: [comments.postId], references: [posts.id] }) })),
    ordersRelations: relations(orders, ({ one }) => ({ user: one(users, { fields: [orders.userId], references: [users.id] }) })),
  };
  const db = make.mock({ schema });
  const show = (name, q) => print(name, q.toSQL().sql);
  show('all', db.select().from(users));
  show('where', db.select({ id: users.id }).from(users).where(and(eq(users.email, 'a'), ne(users.age, 3), isNull(users.name))));
  show('or', db.select().from(users).where(or(gt(users.age, 1), lte(users.age, 9), not(isNotNull(users.name)))));
  show('in', db.select().from(users).where(and(inArray(users.id, [1, 2, 3]), notInArray(users.age, [4]))));
  show('like', db.select({ n: users.name }).from(users).where(or(like(users.name, 'a%'), ilike(users.email, 'b%'))));
  show('between', db.select().from(users).where(between(users.age, 1, 9)).orderBy(desc(users.id), asc(users.name)).limit(10).offset(5));
  show('arrays', db.select({ id: posts.id }).from(posts).where(and(arrayContains(posts.labels, ['a']), arrayOverlaps(posts.labels, ['b', 'c']))));
  show('join', db.select().from(users).innerJoin(posts, eq(posts.authorId, users.id)));
  show('left_join', db.select({ u: users.id, t: posts.title }).from(users).leftJoin(posts, and(eq(posts.authorId, users.id), eq(posts.published, true))).where(isNull(posts.id)));
  show('full_join', db.select({ u: users.id, o: orders.id }).from(users).fullJoin(orders, eq(orders.userId, users.id)));
  const manager = pg.alias(users, 'manager');
  show('self_join', db.select({ a: users.name, b: manager.name }).from(users).rightJoin(manager, eq(manager.id, users.managerId)));
  const recent = db.select({ id: posts.id, title: posts.title }).from(posts).where(eq(posts.authorId, users.id)).orderBy(desc(posts.id)).limit(3).as('recent');
  show('lateral', db.select({ u: users.id, t: recent.title }).from(users).leftJoinLateral(recent, sql`true`));
  const sub = db.select({ author: posts.authorId, n: count().as('n') }).from(posts).groupBy(posts.authorId).as('sub');
  show('subquery', db.select({ name: users.name, n: sub.n }).from(sub).innerJoin(users, eq(users.id, sub.author)).where(gt(sub.n, 1)));
  show('exists', db.select().from(users).where(and(exists(db.select({ one: sql`1` }).from(posts).where(eq(posts.authorId, users.id))), notExists(db.select().from(orders).where(eq(orders.userId, users.id))))));
  show('in_subquery', db.select().from(users).where(inArray(users.id, db.select({ id: posts.authorId }).from(posts))));
  const totals = db.$with('totals').as(db.select({ user: orders.userId, total: sum(orders.total).as('total') }).from(orders).groupBy(orders.userId));
  show('with', db.with(totals).select().from(totals).where(gt(totals.total, '5')));
  show('group', db.select({ state: orders.state, n: count(), s: sum(orders.total), a: avg(orders.total), m: max(orders.id), d: countDistinct(orders.userId) }).from(orders).groupBy(orders.state).having(({ n }) => gt(n, 1)));
  show('distinct', db.selectDistinct({ a: posts.authorId }).from(posts));
  show('distinct_on', db.selectDistinctOn([posts.authorId]).from(posts).orderBy(posts.authorId, desc(posts.views)));
  show('union', pg.union(db.select({ id: users.id }).from(users), db.select({ id: posts.authorId }).from(posts)).orderBy(sql`1`).limit(5));
  show('union_all', db.select({ n: users.name }).from(users).unionAll(db.select({ n: tags.name }).from(tags)));
  show('except', pg.except(db.select({ id: users.id }).from(users), db.select({ id: orders.userId }).from(orders)));
  show('intersect_all', pg.intersectAll(db.select({ id: users.id }).from(users), db.select({ id: orders.userId }).from(orders)));
  show('sql', db.select({ low: sql`lower(${users.name})`, n: sql`count(*) filter (where ${users.age} > ${3})`.as('n') }).from(users).groupBy(sql`1`));
  show('json', db.select({ x: sql`${users.settings}->>'a'` }).from(users).where(sql`${users.settings} @> ${'{}'}::jsonb`));
  show('case', db.select({ x: sql`case when ${users.age} < 18 then 'young' else 'old' end` }).from(users));
  show('window', db.select({ id: posts.id, n: sql`row_number() over (partition by ${posts.authorId} order by ${posts.views} desc)` }).from(posts));
  show('count', db.$count ? db.select({ count: count() }).from(users) : db.select().from(users));
  show('query_many', db.query.users.findMany({ with: { posts: true } }));
  show('query_first', db.query.users.findFirst({ where: eq(users.email, 'a'), columns: { id: true, email: true } }));
  show('query_deep', db.query.users.findMany({ columns: { id: true }, with: { posts: { with: { comments: { limit: 2 } }, where: eq(posts.published, true), orderBy: [desc(posts.id)], limit: 5 }, orders: true } }));
  show('query_one', db.query.posts.findMany({ with: { author: { columns: { name: true } } }, extras: { up: sql`upper(${posts.title})`.as('up') }, limit: 3, offset: 1 }));
  show('insert', db.insert(users).values({ email: 'a', name: 'b' }).returning());
  show('insert_many', db.insert(tags).values([{ name: 'a' }, { name: 'b' }]).returning({ id: tags.id }));
  show('insert_nothing', db.insert(tags).values({ name: 'a' }).onConflictDoNothing({ target: tags.name }));
  show('insert_update', db.insert(users).values({ email: 'a' }).onConflictDoUpdate({ target: users.email, set: { name: sql`excluded.name` }, setWhere: eq(users.isActive, true) }));
  show('insert_select', db.insert(tags).select(db.select({ id: posts.id, name: posts.title }).from(posts)));
  show('update', db.update(users).set({ name: 'x', age: sql`${users.age} + 1` }).where(eq(users.id, 1)).returning({ id: users.id }));
  show('update_from', db.update(posts).set({ title: users.name }).from(users).where(eq(users.id, posts.authorId)));
  show('delete', db.delete(posts).where(and(eq(posts.id, 1), eq(posts.published, false))).returning());
  show('with_delete', db.with(totals).delete(orders).where(inArray(orders.userId, db.select({ u: totals.user }).from(totals))));
  show('for_update', db.select().from(orders).where(eq(orders.id, 1)).for('update'));
  show('skip_locked', db.select().from(orders).limit(1).for('no key update', { of: orders, skipLocked: true }));
}

({ knex, drizzle })[process.argv[2]]();
