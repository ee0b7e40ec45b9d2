// Knex and Drizzle against the URL in the first argument: the two most used query builders of Node, each over node-postgres,
// and Drizzle over postgres.js too.

const { out, attempt } = require('./transcript.js');
const { drizzle: overPg } = require('drizzle-orm/node-postgres');
const { drizzle: overPostgresJs } = require('drizzle-orm/postgres-js');
const { pgSchema, integer, text, numeric, jsonb } = require('drizzle-orm/pg-core');
const { eq, lt, sql, relations, count, asc } = require('drizzle-orm');
const pg = require('pg');
const postgres = require('postgres');
const knexOf = require('knex');

const url = process.argv[2];

async function withKnex() {
  // One connection: what another has written, a second session may see a little later.
  const knex = knexOf({ client: 'pg', connection: url, searchPath: ['kx', 'public'], pool: { min: 1, max: 1 } });
  for (let turn = 0; turn < 6; turn++) await attempt('kept', () => knex('warm.kept').where({ id: 1 }));
  await knex.raw('SET client_min_messages = warning; DROP SCHEMA IF EXISTS kx CASCADE; RESET client_min_messages');
  await knex.schema.createSchema('kx');
  await attempt('create', () => knex.schema.createTable('author', (t) => { t.increments('id'); t.string('name', 40).unique(); t.jsonb('more'); t.specificType('tags', 'text[]'); }));
  await attempt('create', () => knex.schema.createTable('book', (t) => { t.increments('id'); t.integer('author_id').references('author.id').onDelete('CASCADE').index(); t.text('title'); t.decimal('price', 8, 2); }));
  await attempt('there', async () => [await knex.schema.hasTable('author'), await knex.schema.hasColumn('author', 'mood'), await knex('author').columnInfo()]);
  await attempt('insert', () => knex('author').insert([{ name: 'one', more: { a: 1 }, tags: ['x'] }, { name: 'two' }]).returning(['id', 'name']));
  await attempt('batch', () => knex.batchInsert('book', Array.from({ length: 200 }, (_, n) => ({ author_id: 1 + (n % 2), title: `book ${n}`, price: n })), 50).returning('id').then((r) => r.length));
  for (let turn = 0; turn < 3; turn++) {
    await attempt('read', () => knex('author').where({ id: 1 }).first());
    await attempt('join', () => knex('book').join('author', 'author.id', 'book.author_id').where('price', '<', 5).orderBy('book.id').select('title', 'name'));
    await attempt('sum', () => knex('book').groupBy('author_id').orderBy('author_id').select('author_id').sum('price').count('*'));
    await attempt('update', () => knex('book').where({ id: 3 }).update({ title: `turn ${turn}` }));
    await attempt('updated', () => knex('book').where({ id: 3 }).pluck('title'));
  }
  await attempt('transaction', () => knex.transaction(async (trx) => {
    await trx('book').where({ id: 4 }).del();
    await trx.transaction(async (inner) => { await inner('book').del(); throw new Error('back'); }).catch((e) => out(e.message));
    return [await trx('book').count(), await trx('book').where({ id: 4 }).first()];
  }));
  await attempt('rolled back', () => knex.transaction(async (trx) => { await trx('book').del(); throw new Error('back'); }));
  await attempt('isolated', () => knex.transaction((trx) => trx('book').count(), { isolationLevel: 'serializable', readOnly: true }));
  await attempt('upsert', () => knex('author').insert({ id: 1, name: 'upserted' }).onConflict('id').merge().returning('name'));
  await attempt('unique', () => knex('author').insert({ name: 'two' }));
  await attempt('lock', () => knex.transaction((trx) => trx('author').where({ id: 1 }).forUpdate().first('name')));
  await attempt('migrated', async () => { const source = { getMigrations: async () => ['one'], getMigrationName: (m) => m, getMigration: () => ({ up: (k) => k.schema.alterTable('book', (t) => t.integer('extra').defaultTo(3)), down: (k) => k.schema.alterTable('book', (t) => t.dropColumn('extra')) }) }; const done = [(await knex.migrate.latest({ migrationSource: source }))[1], await knex('book').where({ id: 5 }).first(), (await knex.migrate.rollback({ migrationSource: source }))[1]]; return done; });
  await knex.destroy();
}

const schema = pgSchema('dz');
const author = schema.table('author', { id: integer('id').primaryKey(), name: text('name').unique(), tags: text('tags').array(), more: jsonb('more') });
const book = schema.table('book', { id: integer('id').primaryKey().generatedAlwaysAsIdentity(), authorId: integer('author_id').references(() => author.id), title: text('title'), price: numeric('price', { precision: 8, scale: 2 }) });
const authorRelations = relations(author, ({ many }) => ({ books: many(book) }));
const bookRelations = relations(book, ({ one }) => ({ author: one(author, { fields: [book.authorId], references: [author.id] }) }));
const tables = { author, book, authorRelations, bookRelations };

async function withDrizzle(db) {
  for (let turn = 0; turn < 6; turn++) await attempt('kept', async () => [...((r) => r.rows ?? r)(await db.execute(sql`SELECT * FROM warm.kept WHERE id = ${1}`))]);
  await db.execute(sql.raw('SET client_min_messages = warning'));
  await db.execute(sql.raw('DROP SCHEMA IF EXISTS dz CASCADE'));
  await db.execute(sql.raw('RESET client_min_messages'));
  await db.execute(sql.raw('CREATE SCHEMA dz'));
  await db.execute(sql.raw('CREATE TABLE dz.author (id int PRIMARY KEY, name text UNIQUE, tags text[], more jsonb)'));
  await db.execute(sql.raw('CREATE TABLE dz.book (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, author_id int REFERENCES dz.author, title text, price numeric(8,2))'));
  await attempt('insert', () => db.insert(author).values([{ id: 1, name: 'one', tags: ['x', 'y'], more: { a: [1] } }, { id: 2, name: 'two' }]).returning());
  await attempt('books', async () => (await db.insert(book).values(Array.from({ length: 100 }, (_, n) => ({ authorId: 1 + (n % 2), title: `book ${n}`, price: `${n}` }))).returning({ id: book.id })).length);
  const prepared = db.select({ title: book.title }).from(book).where(eq(book.id, sql.placeholder('id'))).prepare('by_id');
  for (let turn = 0; turn < 4; turn++) {
    await attempt('read', () => db.select().from(author).where(eq(author.id, 1)));
    await attempt('join', () => db.select({ title: book.title, name: author.name }).from(book).innerJoin(author, eq(book.authorId, author.id)).where(lt(book.id, 5)).orderBy(asc(book.id)));
    await attempt('related', () => db.query.author.findMany({ with: { books: { limit: 2, orderBy: asc(book.id) } }, orderBy: asc(author.id) }));
    await attempt('count', () => db.select({ n: count() }).from(book));
    await attempt('update', () => db.update(book).set({ title: `turn ${turn}` }).where(eq(book.id, 3)).returning({ title: book.title }));
    await attempt('prepared', () => prepared.execute({ id: 3 }));
  }
  await attempt('transaction', () => db.transaction(async (tx) => {
    await tx.delete(book).where(eq(book.id, 4));
    await tx.transaction(async (inner) => { await inner.delete(book); inner.rollback(); }).catch((e) => out(e.constructor.name));
    return tx.select({ n: count() }).from(book);
  }, { isolationLevel: 'repeatable read' }));
  await attempt('unique', () => db.insert(author).values({ id: 3, name: 'two' }));
  await attempt('upsert', () => db.insert(author).values({ id: 2, name: 'two' }).onConflictDoUpdate({ target: author.id, set: { name: 'again' } }).returning({ name: author.name }));
}

async function main() {
  out('# knex');
  await withKnex();
  out('# drizzle over node-postgres');
  const client = new pg.Client(url);
  await client.connect();
  await withDrizzle(overPg(client, { schema: tables }));
  await client.end();
  out('# drizzle over postgres.js');
  const over = postgres(url, { max: 1 });
  await withDrizzle(overPostgresJs(over, { schema: tables }));
  await over.end();
}

main().catch((e) => { console.error(e); process.exit(1); });
