// What Perfetto's engine finds in a trace, in tables like those of `Expected`.
'use strict';

const { add } = require('./expected');

/** The sum of a column, in two parts: the engine's own sum fails where it leaves 64 bits. */
const sumOf = column => `sum(${column} >> 24), sum(${column} & 16777215)`;
const sum = (high, low) => ((high ?? 0n) << 24n) + (low ?? 0n);

/** Errors and losses that the engine tells of. */
function complaints(engine) {
  return engine.query("select name, idx, value from stats where severity != 'info' and value > 0")
    .map(row => row.map(String).join(' '));
}

function slices(engine) {
  const rows = engine.query(
    `select name, category, count(*), ${sumOf('ts')}, ${sumOf('dur')} from slice group by name, category`);
  return table(rows, ([name, category, count, ...sums]) =>
    [[name ?? '', category], [count, sum(sums[0], sums[1]), sum(sums[2], sums[3])]]);
}

/** Of spans and instants on lanes: spans that no lane holds have tracks of their own. */
function depths(engine) {
  const rows = engine.query(`
    select depth, count(*) from slice
    where track_id not in (select id from track where type glob '*async*' or type glob '*legacy*')
    group by depth`);
  return table(rows, ([depth, count]) => [[Number(depth)], [count]]);
}

const ARGUMENTS = `
  from slice s join args a using (arg_set_id)
  where (a.key glob 'args.*' or a.key glob 'debug.*')`;
const path = key => key.replace(/^(args|debug)\./, '');

function numbers(engine) {
  const rows = engine.query(`
    select s.name, a.key, a.value_type = 'real', count(*), ${sumOf('a.int_value')}, sum(a.real_value) ${ARGUMENTS}
    and a.value_type in ('int', 'uint', 'real') group by 1, 2, 3`);
  return table(rows, ([name, key, isReal, count, high, low, real]) =>
    [[name ?? '', path(key), isReal ? 'real' : 'integer'], [count, isReal ? real : sum(high, low)]]);
}

function texts(engine) {
  const rows = engine.query(`
    select s.name, a.key, a.display_value, count(*) ${ARGUMENTS}
    and a.value_type in ('string', 'bool', 'pointer', 'json') group by 1, 2, 3`);
  return table(rows, ([name, key, text, count]) => [[name ?? '', path(key), text ?? ''], [count]]);
}

function counters(engine) {
  // From JSON the engine names a counter after its value's key as well.
  const rows = engine.query(`
    select p.pid, t.name, count(*), ${sumOf('c.ts')}, sum(c.value)
    from counter c join process_counter_track t on t.id = c.track_id join process p using (upid)
    group by 1, 2`);
  return table(rows, ([pid, name, count, high, low, values]) =>
    [[Number(pid), name.replace(/ value$/, '')], [count, sum(high, low), values]]);
}

function processes(engine) {
  return table(engine.query('select pid, name from process where pid > 0'), ([pid, name]) => [[Number(pid), name], [1n]]);
}

/** Threads, and in Perfetto's format the tracks of a process that stand for other lanes. */
function lanes(engine) {
  const rows = engine.query(`
    select p.pid, t.name from thread t join process p using (upid)
    where t.name is not null and t.utid in (select utid from thread_track)
    union all
    select p.pid, t.name from process_track t join process p using (upid)
    where t.type = 'process_track_event' and t.name is not null`);
  return table(rows, ([pid, name]) => [[Number(pid), name], [1n]]);
}

/** Names of the spans at both ends of each arrow. */
function arrows(engine) {
  const rows = engine.query(`
    select o.name, i.name, count(*) from flow f
    join slice o on o.id = f.slice_out join slice i on i.id = f.slice_in group by 1, 2`);
  return table(rows, ([from, to, count]) => [[from, to], [count]]);
}

function table(rows, entry) {
  const result = new Map();
  for (const row of rows) {
    const [key, sums] = entry(row);
    add(result, JSON.stringify(key), sums);
  }
  return result;
}

function found(engine) {
  return {
    complaints: complaints(engine),
    slices: slices(engine),
    depths: depths(engine),
    numbers: numbers(engine),
    texts: texts(engine),
    counters: counters(engine),
    processes: processes(engine),
    lanes: lanes(engine),
    arrows: arrows(engine),
  };
}

module.exports = { found };
