// What the Node scripts share: lines of a transcript, and errors as the server told them. Nothing may be printed that
// differs between two runs on one server: no process ids, no object ids, no times.

const out = (...words) => console.log(...words.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))));

const FIELDS = ['severity', 'severity_local', 'code', 'detail', 'hint', 'position', 'schema', 'table', 'constraint', 'schema_name', 'table_name', 'constraint_name'];

// Drizzle wraps what the driver raised.
const told = (e) => {
  const source = e.cause ?? e;
  return [source.constructor.name, source.message, ...FIELDS.map((name) => source[name] ?? null)];
};

async function attempt(label, action) {
  try {
    out(label, '->', (await action()) ?? null);
  } catch (e) {
    out(label, '!!', told(e));
  }
}

module.exports = { out, attempt };
