// Prisma, by its adapter for node-postgres, against the URL in the first argument: prints a transcript that must not
// depend on who answers.
'use strict';
const { PrismaClient } = require('prisma-models');
const { PrismaPg } = require('@prisma/adapter-pg');

const { out } = require('./transcript.js');

const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.argv[2], max: 3 }) });
const show = (value) =>
  JSON.stringify(value ?? null, (_, v) => (typeof v === 'bigint' ? `${v}n` : v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v));

async function attempt(label, action) {
  try {
    out(label, '->', show(await action()));
  } catch (e) {
    out(label, '!!', show([e.constructor.name, e.code, e.meta, e.code ? null : e.message]));
  }
}

async function main() {
  const { item, note } = prisma;

  for (let turn = 0; turn < 6; turn++) await attempt('kept', () => prisma.$queryRaw`SELECT * FROM warm.kept WHERE id = ${1}`);

  out('# definitions');
  for (const sql of [
    'DROP SCHEMA IF EXISTS pr CASCADE',
    'CREATE SCHEMA pr',
    `CREATE TYPE pr."Colour" AS ENUM ('red', 'green')`,
    `CREATE TABLE pr.item (id int PRIMARY KEY, name text, price numeric NOT NULL DEFAULT 0, big int8 NOT NULL DEFAULT 0, raw bytea,
       extra jsonb, tags text[], colour pr."Colour" NOT NULL DEFAULT 'red', made timestamptz(3) NOT NULL DEFAULT '2024-02-29 12:00:00Z')`,
    `CREATE TABLE pr.note (id serial PRIMARY KEY, "itemId" int NOT NULL REFERENCES pr.item ON DELETE CASCADE, text text NOT NULL UNIQUE)`,
  ])
    await attempt(sql, () => prisma.$executeRawUnsafe(sql));

  out('# writes');
  const whole = { id: 1, name: 'snow ☃', price: '12.50', big: 2n ** 60n, raw: Buffer.from([0, 255]), extra: { a: [1, null] }, tags: ['x', 'y'], colour: 'green' };
  await attempt('nested', () => item.create({ data: { ...whole, notes: { create: [{ text: 'a' }, { text: 'b' }] } }, include: { notes: true } }));
  await attempt('many', () => item.createMany({ data: Array.from({ length: 20 }, (_, n) => ({ id: n + 2, name: `row ${n}`, big: n })) }));
  await attempt('returning', () => note.createManyAndReturn({ data: [2, 3, 3].map((itemId, n) => ({ itemId, text: `n${n}` })) }));

  out('# reads, cold and warm');
  for (let turn = 0; turn < 3; turn++) {
    await attempt('one', () => item.findUnique({ where: { id: 1 } }));
    await attempt('none', () => item.findUnique({ where: { id: 99 } }));
    await attempt('with', () => item.findMany({ where: { id: { lte: 3 } }, include: { notes: { orderBy: { id: 'asc' } } }, orderBy: { id: 'asc' } }));
    await attempt('page', () => item.findMany({ cursor: { id: 5 }, skip: 1, take: 3, orderBy: { id: 'asc' }, select: { id: true, name: true } }));
    await attempt('where', () => item.findMany({ where: { OR: [{ name: { contains: '1' } }, { tags: { has: 'x' } }, { notes: { some: { text: 'n1' } } }] }, orderBy: { id: 'desc' } }));
    await attempt('colours', () => item.groupBy({ by: ['colour'], _count: true, _sum: { price: true }, orderBy: { colour: 'asc' } }));
    await attempt('sums', () => item.aggregate({ _avg: { big: true }, _max: { id: true }, _count: { _all: true } }));
    await attempt('raw', () => prisma.$queryRaw`SELECT id, name, big FROM pr.item WHERE id = ${turn + 1} AND colour::text = ANY(${['red', 'green']})`);
    await attempt('batched', () => Promise.all([1, 2, 3].map((id) => item.findUnique({ where: { id }, select: { name: true } }))));
  }

  out('# a write is seen by the next read');
  for (let turn = 0; turn < 10; turn++) {
    await attempt('update', () => item.update({ where: { id: 2 }, data: { big: { increment: turn } }, select: { big: true } }));
    await attempt('read', () => item.findUnique({ where: { id: 2 }, select: { big: true } }));
    await attempt('upsert', () => note.upsert({ where: { text: 'up' }, create: { itemId: 4, text: 'up' }, update: { itemId: turn + 2 }, select: { itemId: true } }));
    await attempt('count', () => note.count({ where: { itemId: turn + 2 } }));
  }

  out('# transactions');
  await attempt('array', () => prisma.$transaction([item.count(), item.delete({ where: { id: 20 } }), item.count()]));
  for (const isolationLevel of ['ReadCommitted', 'RepeatableRead', 'Serializable'])
    await attempt(isolationLevel, () =>
      prisma.$transaction(
        async (tx) => {
          await tx.item.update({ where: { id: 3 }, data: { name: isolationLevel } });
          const level = await tx.$queryRaw`SELECT current_setting('transaction_isolation') AS level`;
          return [level, await tx.item.findUnique({ where: { id: 3 } })];
        },
        { isolationLevel, timeout: 60000, maxWait: 60000 },
      ),
    );
  await attempt('rolled back', () =>
    prisma.$transaction(
      async (tx) => {
        await tx.item.deleteMany();
        out('inside', show(await tx.item.count()));
        throw new RangeError('no');
      },
      { timeout: 60000, maxWait: 60000 },
    ),
  );
  await attempt('after', () => item.count());

  out('# errors');
  await attempt('unique', () => note.create({ data: { itemId: 1, text: 'a' } }));
  await attempt('foreign key', () => note.create({ data: { itemId: 999, text: 'orphan' } }));
  await attempt('absent', () => item.update({ where: { id: 999 }, data: { name: 'x' } }));
  await attempt('raw', () => prisma.$queryRawUnsafe('SELECT 1/0'));
  await attempt('syntax', () => prisma.$queryRawUnsafe('SELEC 1'));
  await attempt('ended by an error', () =>
    prisma.$transaction([item.update({ where: { id: 5 }, data: { name: 'gone' } }), note.create({ data: { itemId: 1, text: 'a' } })]),
  );
  await attempt('unchanged', () => item.findUnique({ where: { id: 5 } }));

  out('# a table changes');
  await attempt('add', () => prisma.$executeRawUnsafe("ALTER TABLE pr.item ADD COLUMN more int DEFAULT 7"));
  for (let turn = 0; turn < 2; turn++) {
    await attempt('known', () => item.findUnique({ where: { id: 1 } }));
    await attempt('all', () => prisma.$queryRaw`SELECT * FROM pr.item WHERE id = ${1}`);
  }
  await attempt('cascade', () => item.deleteMany({ where: { id: { lt: 4 } } }));
  await attempt('left', () => note.findMany({ orderBy: { id: 'asc' }, select: { text: true } }));
  await prisma.$disconnect();
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
