// postgres.js against the URL in the first argument: named statements of its own, pipelined on few connections, array
// types looked up in the catalog. It sends a simple query only where it is told to.

const postgres = require('postgres');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { out, attempt } = require('./transcript.js');

const url = process.argv[2];
const notices = [];
const sql = postgres(url, { max: 1, onnotice: (n) => notices.push([n.severity, n.code, n.message]) });

async function main() {
  for (let turn = 0; turn < 6; turn++) await attempt('kept', () => sql`SELECT * FROM warm.kept WHERE id = ${1}`);
  await sql.unsafe('SET client_min_messages = warning; DROP SCHEMA IF EXISTS pj CASCADE; RESET client_min_messages');
  out('# definitions');
  await attempt('several', async () => (await sql.unsafe(`CREATE SCHEMA pj; CREATE TYPE pj.mood AS ENUM ('sad', 'happy');
    CREATE TABLE pj.t (id int PRIMARY KEY, i8 int8, n numeric, s text, tz timestamptz, by bytea, j jsonb, a text[], m pj.mood, ms pj.mood[]);
    SELECT 1 AS one`)).map((r) => [r.command, r.count, [...r]]));
  for (const name of ['server_version', 'client_encoding', 'TimeZone', 'DateStyle', 'integer_datetimes']) out('parameter', name, sql.parameters[name] ?? null);

  out('# writes and reads');
  await attempt('insert', () => sql`INSERT INTO pj.t ${sql({ id: 1, i8: '4611686018427387904', n: '1.50', s: 'naïve ☃', tz: new Date('2024-02-29T12:00:00Z'), by: Buffer.from([0, 255]), j: { a: [1] }, a: ['x', 'q"'], m: 'happy' })} RETURNING *`);
  await attempt('insert many', async () => (await sql`INSERT INTO pj.t ${sql(Array.from({ length: 300 }, (_, n) => ({ id: n + 2, s: `row ${n}` })))}`).count);
  await attempt('array of own type', () => sql`UPDATE pj.t SET ms = ${sql.array(['sad', 'happy'])}::pj.mood[] WHERE id = 2 RETURNING ms`);
  for (let turn = 0; turn < 3; turn++) {
    await attempt('one', () => sql`SELECT * FROM pj.t WHERE id = ${1}`);
    await attempt('none', () => sql`SELECT s FROM pj.t WHERE id = ${9999}`);
    await attempt('in', () => sql`SELECT id, s FROM pj.t WHERE id IN ${sql([1, 2, 3])} ORDER BY id`);
    await attempt('values', () => sql`SELECT id, s FROM pj.t WHERE id < ${5} ORDER BY id`.values());
    await attempt('raw', async () => (await sql`SELECT id, s FROM pj.t WHERE id < ${5} ORDER BY id`.raw()).map((r) => r.map(String)));
    await attempt('simple', () => sql`SELECT id, s FROM pj.t WHERE id < 4 ORDER BY id`.simple());
    await attempt('unnamed', () => sql.unsafe('SELECT id, s FROM pj.t WHERE id = $1', [3]));
    await attempt('prepared', () => sql.unsafe('SELECT id, s FROM pj.t WHERE id = $1', [3], { prepare: true }));
  }
  await attempt('described', async () => { const d = await sql`SELECT id, s FROM pj.t WHERE id = ${1}`.describe(); return [d.string, d.types, d.columns.map((c) => [c.name, c.type])]; });
  for (let turn = 0; turn < 10; turn++) {
    await sql`UPDATE pj.t SET i8 = ${turn} WHERE id = 3`;
    await attempt('written', () => sql`SELECT i8 FROM pj.t WHERE id = ${3}`);
  }
  await attempt('pipelined', async () => (await Promise.all(Array.from({ length: 60 }, (_, n) => (n % 7 ? sql`SELECT s FROM pj.t WHERE id = ${n}` : sql`UPDATE pj.t SET n = ${n} WHERE id = 5`)))).map((r) => [r.command, r.count]));
  await attempt('pipelined with errors', async () => (await Promise.allSettled(Array.from({ length: 30 }, (_, n) => sql`SELECT 1 / (${n}::int % 5) AS q`))).map((r) => (r.status === 'fulfilled' ? r.value[0].q : r.reason.code)));

  out('# transactions');
  await attempt('committed', () => sql.begin(async (sql) => {
    await sql`INSERT INTO pj.t (id, s) VALUES (1000, 'inside')`;
    await sql.savepoint(async (sql) => { await sql`DELETE FROM pj.t`; throw new Error('back'); }).catch((e) => out('savepoint', e.message));
    return [await sql`SELECT s FROM pj.t WHERE id = 1000`, await sql`SELECT count(*) FROM pj.t`];
  }));
  await attempt('rolled back', () => sql.begin(async (sql) => { await sql`DELETE FROM pj.t`; await sql`SELECT 1/0`; }));
  await attempt('read only', () => sql.begin('isolation level repeatable read read only', async (sql) => [await sql`SHOW transaction_isolation`, await sql`SELECT s FROM pj.t WHERE id = ${2}`]));
  await attempt('refused', () => sql.begin('read only', (sql) => sql`DELETE FROM pj.t`));
  await attempt('pipelined in one', () => sql.begin((sql) => [sql`UPDATE pj.t SET n = 1 WHERE id = 6`, sql`SELECT n FROM pj.t WHERE id = 6`]));
  await attempt('two phases', () => sql.begin(async (sql) => { await sql`UPDATE pj.t SET n = 2 WHERE id = 6`; await sql.prepare('postgres.js in two phases'); }));
  await attempt('commit', () => sql.unsafe("COMMIT PREPARED 'postgres.js in two phases'"));
  await attempt('count', () => sql`SELECT count(*), sum(n) FROM pj.t`);

  out('# cursors and copies');
  await attempt('cursor', async () => { const seen = []; await sql`SELECT id FROM pj.t ORDER BY id`.cursor(97, (rows) => { seen.push(rows.length); }); return seen; });
  await attempt('cursor, closed early', async () => { let n = 0; for await (const rows of sql`SELECT id FROM pj.t ORDER BY id`.cursor(10)) { n += rows.length; if (n >= 30) break; } return n; });
  await attempt('for each', async () => { let sum = 0; await sql`SELECT id FROM pj.t`.forEach((row) => { sum += row.id; }); return sum; });
  await attempt('copy in', async () => pipeline(Readable.from(Array.from({ length: 3000 }, (_, n) => `${2000 + n}\tcopied ${n}\n`)), await sql`COPY pj.t (id, s) FROM STDIN`.writable()));
  // Less than the 16 KiB that a stream of Node holds: past it postgres.js may pause its socket at the last chunk, for ever.
  await attempt('copy out', async () => { let bytes = 0; for await (const chunk of await sql`COPY (SELECT id, s FROM pj.t WHERE id < 500 ORDER BY id) TO STDOUT`.readable()) bytes += chunk.length; return bytes; });

  out('# errors');
  for (const text of ['SELEC 1', 'SELECT * FROM pj.nowhere', 'INSERT INTO pj.t (id) VALUES (1)', 'SELECT 1; SELECT 1/0', ''])
    await attempt(text, () => sql.unsafe(text));
  await attempt('wrong parameter', () => sql`SELECT s FROM pj.t WHERE id = ${'seven'}`);
  await attempt('after', () => sql`SELECT s FROM pj.t WHERE id = ${2}`);
  await attempt('notice', () => sql.unsafe("DO $$ BEGIN RAISE NOTICE 'hello'; END $$"));
  out('notices', notices);

  out('# listen and cancel');
  await attempt('listen', () => new Promise((resolve, reject) => { sql.listen('news', resolve).then(() => sql.notify('news', 'hello')).catch(reject); }));
  await attempt('cancelled', async () => {
    const text = 'SELECT pg_sleep(600) -- postgres.js cancels';
    const other = postgres(url, { max: 1 });
    const query = sql.unsafe(text);
    query.catch(() => {});
    query.execute();
    while (!(await other`SELECT 1 FROM pg_stat_activity WHERE query = ${text} AND wait_event = 'PgSleep'`).length) await new Promise((resolve) => setTimeout(resolve, 10));
    query.cancel();
    try { await query; } finally { await other.end(); }
  });
  await attempt('after', () => sql`SELECT s FROM pj.t WHERE id = ${2}`);
  await attempt('reserved', async () => { const one = await sql.reserve(); await one`SET TimeZone = 'Asia/Tokyo'`; const seen = await one`SELECT tz::text FROM pj.t WHERE id = 1`; await one`RESET TimeZone`; one.release(); return seen; });
  await sql.end();

  out('# many connections');
  const many = postgres(url, { max: 6, prepare: false, connection: { application_name: 'postgres.js', search_path: 'pj' } });
  await attempt('many', async () => (await Promise.all(Array.from({ length: 80 }, (_, n) => many`SELECT s, current_setting('application_name') AS name FROM t WHERE id = ${2 + (n % 40)}`))).map((r) => [r[0].s, r[0].name]));
  await many.end();
  const wrong = postgres(url.replace('app:app@', 'app:wrong@'), { max: 1 });
  await attempt('wrong password', () => wrong`SELECT 1`);
  await wrong.end();
}

main().catch((e) => { console.error(e); process.exit(1); });
