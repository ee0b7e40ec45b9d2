// node-postgres against the URL in the first argument: prints a transcript that must not depend on who answers.
'use strict';
const pg = require('pg');
const Cursor = require('pg-cursor');
const copy = require('pg-copy-streams');
const { pipeline } = require('stream/promises');
const { Readable, Writable } = require('stream');

const { out, attempt } = require('./transcript.js');

const url = process.argv[2];
const brief = (r) =>
  Array.isArray(r)
    ? r.map(brief)
    : { command: r.command, count: r.rowCount, fields: r.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.format]), rows: r.rows };

async function main() {
  const client = new pg.Client({ connectionString: url });
  const notices = [];
  client.on('notice', (n) => notices.push([n.severity, n.code, n.message]));
  await client.connect();
  const run = async (...query) => brief(await client.query(...query));

  out('# what is there, until it is kept');
  for (let turn = 0; turn < 6; turn++) await attempt('kept', () => run('SELECT * FROM warm.kept WHERE id = $1', [1]));

  out('# definitions');
  for (const sql of [
    'SET client_min_messages = warning',
    'DROP SCHEMA IF EXISTS js CASCADE',
    'RESET client_min_messages',
    'CREATE SCHEMA js',
    `CREATE TABLE js.t (id int PRIMARY KEY, i8 int8, f8 float8, n numeric, b bool, s text, by bytea, d date, tz timestamptz,
       u uuid, jb jsonb, ia int[])`,
    'CREATE TABLE js.child (id int PRIMARY KEY, t int REFERENCES js.t ON DELETE CASCADE, note text)',
    "INSERT INTO js.child SELECT g, NULL, 'note ' || g FROM generate_series(1, 30) g",
  ])
    await attempt(sql, () => run(sql));

  out('# writes and typed reads, cold and warm');
  const row = [1, '4611686018427387904', 0.1, '12.50', true, 'snow ☃', Buffer.from([0, 255, 1]), '2024-02-29', '2024-02-29T12:00:00Z', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', { a: [1, null] }, [1, 2, 3]];
  await attempt('insert', () => run(`INSERT INTO js.t VALUES (${row.map((_, i) => '$' + (i + 1))}) RETURNING *`, row));
  await attempt('nulls', () => run('INSERT INTO js.t (id) VALUES ($1), ($2) RETURNING id', [2, 3]));
  for (let turn = 0; turn < 3; turn++) {
    await attempt('simple', () => run('SELECT * FROM js.t ORDER BY id'));
    await attempt('one', () => run('SELECT s, n, jb FROM js.t WHERE id = $1', [1]));
    await attempt('none', () => run('SELECT s, n, jb FROM js.t WHERE id = $1', [99]));
    await attempt('array rows', () => run({ text: 'SELECT id, s FROM js.t ORDER BY id', rowMode: 'array' }));
    await attempt('binary', () => run({ text: 'SELECT id, b FROM js.t WHERE id = $1', values: [1], binary: true }));
    await attempt('named', () => run({ name: 'by id', text: 'SELECT id, s FROM js.t WHERE id = $1', values: [turn + 1] }));
    await attempt('page', () => run({ text: 'SELECT id, note FROM js.child WHERE id > $1 ORDER BY id LIMIT 3', values: [turn] }));
  }

  out('# a write is seen by the next read');
  for (let turn = 0; turn < 10; turn++) {
    await attempt('update', () => run('UPDATE js.t SET i8 = $1 WHERE id = 2', [turn]));
    await attempt('read', () => run('SELECT i8 FROM js.t WHERE id = $1', [2]));
    await attempt('named', () => run({ name: 'i8', text: 'SELECT i8 FROM js.t WHERE id = $1', values: [2] }));
  }

  out('# queued queries');
  await attempt('queue', async () => {
    const queries = [];
    for (let n = 0; n < 20; n++) queries.push(client.query('SELECT $1::int AS n, s FROM js.t WHERE id = 1', [n]));
    return (await Promise.all(queries)).map((r) => r.rows[0].n);
  });

  out('# transactions');
  await attempt('begin', () => run('BEGIN'));
  await attempt('insert', () => run("INSERT INTO js.t (id, s) VALUES (10, 'inside')"));
  await attempt('read', () => run('SELECT s FROM js.t WHERE id = $1', [10]));
  await attempt('savepoint', () => run('SAVEPOINT one'));
  await attempt('fails', () => run('SELECT 1/0'));
  await attempt('refused', () => run('SELECT s FROM js.t WHERE id = $1', [10]));
  await attempt('back', () => run('ROLLBACK TO SAVEPOINT one'));
  await attempt('read', () => run('SELECT s FROM js.t WHERE id = $1', [10]));
  await attempt('rollback', () => run('ROLLBACK'));
  await attempt('gone', () => run('SELECT s FROM js.t WHERE id = $1', [10]));

  out('# errors');
  for (const sql of ['SELEC 1', 'SELECT * FROM js.nowhere', 'INSERT INTO js.t (id) VALUES (1)', 'SELECT 1; SELECT 1/0', 'SELECT 1 AS a; SELECT 2 AS b', ''])
    await attempt(sql, () => run(sql));
  await attempt('wrong parameter', () => run('SELECT s FROM js.t WHERE id = $1', ['seven']));
  await attempt('parameters amiss', () => run('SELECT $1::int + $2::int', [1]));
  await attempt('after', () => run('SELECT s FROM js.t WHERE id = $1', [1]));
  await attempt('notice', () => run("DO $$ BEGIN RAISE NOTICE 'hello'; END $$"));
  out('notices', notices);

  out('# settings');
  for (const sql of ["SET TimeZone = 'Asia/Tokyo'", 'SELECT tz::text FROM js.t WHERE id = 1', 'SET search_path = js', 'SELECT s FROM t WHERE id = 1', 'RESET ALL', 'SELECT tz::text FROM js.t WHERE id = 1', 'SELECT s FROM t WHERE id = 1'])
    await attempt(sql, () => run(sql));

  out('# cursor');
  await attempt('cursor', async () => {
    const cursor = client.query(new Cursor('SELECT id FROM js.child WHERE id <= $1 ORDER BY id', [20]));
    const parts = [(await cursor.read(3)).length, (await cursor.read(3)).length, (await cursor.read(100)).length, (await cursor.read(3)).length];
    await cursor.close();
    return parts;
  });

  out('# copy');
  await attempt('copy in', async () => {
    const lines = Array.from({ length: 5000 }, (_, n) => `${1000 + n}\t1\tcopied ${n}\n`);
    const stream = client.query(copy.from('COPY js.child FROM STDIN'));
    await pipeline(Readable.from(lines), stream);
    return stream.rowCount;
  });
  await attempt('copy out', async () => {
    let bytes = 0;
    const sink = new Writable({ write(chunk, _, done) { bytes += chunk.length; done(); } });
    await pipeline(client.query(copy.to('COPY js.child TO STDOUT')), sink);
    return bytes;
  });
  await attempt('count', () => run('SELECT count(*) FROM js.child'));

  out('# big rows');
  for (let turn = 0; turn < 2; turn++) await attempt('big', async () => (await client.query("SELECT repeat('x', 3000000) AS big FROM generate_series(1, 3)")).rows.map((r) => r.big.length));
  await attempt('big in', () => run('SELECT length($1) AS n', ['y'.repeat(2000000)]));

  out('# listen and notify');
  const other = new pg.Client({ connectionString: url });
  await other.connect();
  await attempt('listen', async () => {
    const heard = [];
    const both = new Promise((resolve) => client.on('notification', (n) => { heard.push([n.channel, n.payload]); if (heard.length === 2) resolve(); }));
    await client.query('LISTEN news');
    await other.query("NOTIFY news, 'from another'");
    await client.query("NOTIFY news, 'own'");
    await both;
    await client.query('UNLISTEN *');
    return heard.sort();
  });

  out('# cancel');
  await attempt('cancelled', async () => {
    const text = 'SELECT pg_sleep(600) -- node cancels';
    const query = new pg.Query(text);
    const ended = new Promise((resolve, reject) => { query.on('error', reject); query.on('end', resolve); });
    ended.catch(() => {});
    client.query(query);
    for (;;) {
      const seen = await other.query("SELECT 1 FROM pg_stat_activity WHERE query = $1 AND wait_event = 'PgSleep'", [text]);
      if (seen.rowCount > 0) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    new pg.Client({ connectionString: url }).cancel(client, query);
    await ended;
  });
  await attempt('after', () => run('SELECT s FROM js.t WHERE id = $1', [1]));
  await other.end();

  out('# a pool');
  const pool = new pg.Pool({ connectionString: url, max: 5 });
  await attempt('pool', async () => {
    const reads = Array.from({ length: 50 }, (_, n) => pool.query('SELECT id, note FROM js.child WHERE id = $1', [1 + (n % 30)]));
    return (await Promise.all(reads)).map((r) => r.rows[0].id);
  });
  await pool.end();
  await client.end();

  await attempt('wrong password', async () => {
    const wrong = new pg.Client({ connectionString: url.replace('app:app@', 'app:wrong@') });
    await wrong.connect().finally(() => wrong.end());
  });
}

main().catch((e) => { console.error(e); process.exit(1); });
