// What Perfetto's engine finds in a trace, in the form of `Expected`.
'use strict';

const { add } = require('./expected');

/** Errors and losses that the engine tells of. */
function complaints(engine) {
  return engine.query("select name, idx, value from stats where severity != 'info' and value > 0")
    .map(row => row.map(String).join(' '));
}

function slices(engine) {
  const rows = engine.query(
    'select name, category, count(*), sum(ts), sum(dur) from slice group by name, category');
  return new Map(rows.map(([name, category, ...sums]) => [JSON.stringify([name ?? '', category]), sums]));
}

/** Of spans and instants on lanes: spans that no lane holds have tracks of their own. */
function depths(engine) {
  const rows = engine.query(`
    select depth, count(*) from slice
    where track_id not in (select id from track where type glob '*async*' or type glob '*legacy*')
    group by depth`);
  return new Map(rows.map(([depth, count]) => [Number(depth), [Number(count)]]));
}

function argumentsOfSlices(engine) {
  const rows = engine.query(`
    select s.name, a.key, a.value_type, a.display_value, count(*)
    from slice s join args a using (arg_set_id)
    where a.key glob 'args.*' or a.key glob 'debug.*'
    group by 1, 2, 3, 4`);
  const found = new Map();
  for (const [name, key, type, display, count] of rows) {
    const isNumber = ['int', 'uint', 'real'].includes(type);
    const value = isNumber ? Number(display) : display ?? '';
    add(found, JSON.stringify([name ?? '', key.replace(/^(args|debug)\./, ''), value]), [Number(count)]);
  }
  return found;
}

function counters(engine) {
  // From JSON the engine names a counter after its value's key as well.
  const rows = engine.query(`
    select p.pid, t.name, count(*), sum(c.ts), sum(c.value)
    from counter c join process_counter_track t on t.id = c.track_id join process p using (upid)
    group by 1, 2`);
  return new Map(rows.map(([pid, name, count, ts, values]) =>
    [JSON.stringify([Number(pid), name.replace(/ value$/, '')]), [count, ts, values].map(Number)]));
}

function processes(engine) {
  const rows = engine.query('select pid, name from process where pid > 0');
  return table(rows);
}

/** Threads, and in Perfetto's format the tracks of a process that stand for other lanes. */
function lanes(engine) {
  const threads = engine.query(`
    select p.pid, t.name from thread t join process p using (upid)
    where t.name is not null and t.utid in (select utid from thread_track)`);
  const tracks = engine.query(`
    select p.pid, t.name from process_track t join process p using (upid)
    where t.type = 'process_track_event' and t.name is not null`);
  return table(threads.concat(tracks));
}

function table(rows) {
  const found = new Map();
  for (const [pid, name] of rows) add(found, JSON.stringify([Number(pid), name]), [1]);
  return found;
}

/** Names of the spans at both ends of each arrow. */
function arrows(engine) {
  const rows = engine.query(`
    select o.name, i.name, count(*) from flow f
    join slice o on o.id = f.slice_out join slice i on i.id = f.slice_in group by 1, 2`);
  return new Map(rows.map(([from, to, count]) => [JSON.stringify([from, to]), [Number(count)]]));
}

function found(engine) {
  return {
    complaints: complaints(engine),
    slices: slices(engine),
    depths: depths(engine),
    arguments: argumentsOfSlices(engine),
    counters: counters(engine),
    processes: processes(engine),
    lanes: lanes(engine),
    arrows: arrows(engine),
  };
}

module.exports = { found };
