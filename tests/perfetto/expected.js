// What a trace holds, read from its JSON by nothing but a JSON parser: what every importer has to find in it.
'use strict';

const fs = require('fs');
const readline = require('readline');

/** Nanoseconds of a time in microseconds, from its digits: a double would not do. */
function nanoseconds(line, key) {
  const at = line.indexOf(`"${key}":`) + key.length + 3;
  const [, digits, part] = /^(-?\d+)\.(\d{3})/.exec(line.slice(at, at + 32));
  return BigInt(digits + part);
}

/** Numbers that a double does not hold, and those with a point, which it does not tell from integers, as text. */
const withNumbersAsText = line => line
  .replace(/":(-?\d{16,20})(?=[,}])/g, '":"integer $1"')
  .replace(/":(-?\d+(?:\.\d+)?(?:[.eE][-+]?\d+)?)(?=[,}])/g, (match, digits) =>
    (/[.eE]/.test(digits) ? `":"real ${digits}"` : match));

/** A leaf of an argument: an integer as BigInt. */
function leaf(value) {
  if (Number.isInteger(value)) return BigInt(value);
  const [, kind, digits] = (typeof value === 'string' && /^(integer|real) (-?\d[-+.\deE]*)$/.exec(value)) || [];
  if (kind === 'integer') return BigInt(digits);
  return kind === 'real' ? Number(digits) : value;
}

/** Leaves of an argument's value, by keys and indexes. The engine has nothing for null, and leaves it out. */
function* leaves(path, value) {
  if (Array.isArray(value)) {
    const items = value.filter(item => item !== null);
    for (const [index, item] of items.entries()) yield* leaves([...path, index], item);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, item] of Object.entries(value)) yield* leaves([...path, key], item);
  } else if (value !== null) {
    yield [path, leaf(value)];
  }
}

/** Adds to an entry of a table of sums. */
function add(table, key, numbers) {
  const sums = table.get(key);
  if (sums === undefined) table.set(key, numbers);
  else numbers.forEach((number, index) => { sums[index] += number; });
}

const SHORT_ESCAPES = { '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r', '\\': '\\\\' };

/** How the engine shows what stands in JSON: it resolves escapes only in strings with an escaped quote. */
const inJson = {
  text: text => (text.includes('"') ? text : text.replace(/[\\\0-\x1f]/g, (character, at) => {
    const isLast = character === '\\' && at === text.length - 1;
    if (!isLast && character in SHORT_ESCAPES) return SHORT_ESCAPES[character];
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  })),
  name: name => (name === '' ? '[No name]' : inJson.text(name)),
  key: key => inJson.text(key),
  // It takes the number for a signed one, and makes a double of it.
  huge: number => Number(BigInt.asIntN(64, number)),
  hugeSample: number => Number(BigInt.asIntN(64, number)),
};

/** How the engine shows what stands in Perfetto's format. */
const inProtobuf = {
  text: text => text.replaceAll('\0', '\u2400'),
  name: name => inProtobuf.text(name),
  key: key => inProtobuf.text(key).replace(/[.[\]]/g, '_'),
  huge: number => BigInt.asIntN(64, number),
  hugeSample: Number,
};

/** Counts and sums. Keys of the tables are JSON. */
class Expected {
  constructor() {
    this.slices = new Map(); // name, category: number, sum of ts, sum of dur
    this.depths = new Map(); // depth: number of spans and instants
    this.numbers = new Map(); // name, path of an argument, 'integer' or 'real': number, sum
    this.huge = []; // name, path, number: integers that do not fit 63 bits
    this.texts = new Map(); // name, path of an argument, text: number
    this.counters = new Map(); // process, name: number, sum of ts, sum of values
    this.hugeSamples = []; // key in `counters`, value: integers that do not fit 63 bits
    this.lanes = new Map(); // process, name: number
    this.processes = new Map(); // pid, name: number
    this.arrows = 0;
    this.asyncSpans = 0;
    this.spans = 0;
    this.openEnds = new Map();
    this.open = new Map();
    this.starts = new Set();
  }

  static async read(file) {
    const expected = new Expected();
    for await (const line of readline.createInterface({ input: fs.createReadStream(file), crlfDelay: Infinity })) {
      if (!line.startsWith('{"name":')) continue;
      const event = JSON.parse(withNumbersAsText(line.endsWith(',') ? line.slice(0, -1) : line));
      expected.take(line, event);
    }
    return expected;
  }

  take(line, event) {
    const key = JSON.stringify([event.name, event.cat ?? null]);
    switch (event.ph) {
      case 'M': return this.takeName(event);
      case 'X': return this.takeSpan(key, event, nanoseconds(line, 'ts'), nanoseconds(line, 'dur'));
      case 'i': return this.takeSpan(key, event, nanoseconds(line, 'ts'), 0n);
      case 'C': return this.takeCounter(event, nanoseconds(line, 'ts'));
      case 'b': return this.takeBegin(key, event, nanoseconds(line, 'ts'));
      case 'e': return this.takeEnd(key, event, nanoseconds(line, 'ts'));
      case 's': case 'f': return this.takeArrow(key, event);
      default: throw new Error(`phase ${event.ph}: ${line}`);
    }
  }

  takeName(event) {
    const key = JSON.stringify([event.pid, event.args.name ?? null]);
    if (event.name === 'process_name') add(this.processes, key, [1n]);
    if (event.name === 'thread_name') add(this.lanes, key, [1n]);
  }

  takeSpan(key, event, ts, dur) {
    this.spans += 1;
    add(this.slices, key, [1n, ts, dur]);
    const lane = event.pid * 2 ** 20 + event.tid;
    if (!this.openEnds.has(lane)) this.openEnds.set(lane, []);
    const ends = this.openEnds.get(lane);
    // What has no duration holds what else starts at that moment.
    while (ends.length > 0 && ends.at(-1)[1] <= ts && ends.at(-1)[0] < ts) ends.pop();
    add(this.depths, JSON.stringify([ends.length]), [1n]);
    ends.push([ts, ts + dur]);
    this.takeArguments(event);
  }

  takeArguments(event) {
    for (const [key, value] of Object.entries(event.args ?? {})) {
      for (const [path, leaf] of leaves([key], value)) this.takeLeaf(event.name, path, leaf);
    }
  }

  takeLeaf(name, path, leaf) {
    const kind = typeof leaf;
    if (kind === 'bigint' && leaf >= 2n ** 63n) this.huge.push([name, path, leaf]);
    else if (kind === 'bigint') add(this.numbers, JSON.stringify([name, path, 'integer']), [1n, leaf]);
    else if (kind === 'number') add(this.numbers, JSON.stringify([name, path, 'real']), [1n, leaf]);
    else add(this.texts, JSON.stringify([name, path, String(leaf)]), [1n]);
  }

  takeCounter(event, ts) {
    const value = leaf(event.args.value);
    const isHuge = typeof value === 'bigint' && value >= 2n ** 63n;
    const key = JSON.stringify([event.pid, event.name]);
    add(this.counters, key, [1n, ts, isHuge ? 0 : Number(value)]);
    if (isHuge) this.hugeSamples.push([key, value]);
  }

  /** Spans that no lane holds: the innermost one of an id and name ends. One that never does has no duration. */
  takeBegin(key, event, ts) {
    const id = JSON.stringify([event.pid, key, event.id]);
    if (!this.open.has(id)) this.open.set(id, []);
    this.open.get(id).push(ts);
    add(this.slices, key, [1n, ts, -1n]);
    this.takeArguments(event);
  }

  takeEnd(key, event, ts) {
    const start = this.open.get(JSON.stringify([event.pid, key, event.id]))?.pop();
    if (start === undefined) return;
    this.asyncSpans += 1;
    add(this.slices, key, [0n, 0n, ts - start + 1n]);
  }

  /** Arrows that have both ends. */
  takeArrow(key, event) {
    const id = JSON.stringify([key, event.id]);
    if (event.ph === 's') this.starts.add(id);
    else if (this.starts.delete(id)) this.arrows += 1;
  }

  /** The tables as the engine shows them, one way or the other. */
  as(shows) {
    const path = ([first, ...rest]) =>
      rest.reduce((sum, part) => sum + (typeof part === 'number' ? `[${part}]` : `.${shows.key(part)}`), shows.key(first));
    const numbers = renamed(this.numbers, ([name, keys, kind]) => [shows.name(name), path(keys), kind]);
    for (const [name, keys, number] of this.huge) {
      const value = shows.huge(number);
      const kind = typeof value === 'bigint' ? 'integer' : 'real';
      add(numbers, JSON.stringify([shows.name(name), path(keys), kind]), [1n, value]);
    }
    const counters = renamed(this.counters, key => key);
    for (const [key, value] of this.hugeSamples) add(counters, key, [0n, 0n, shows.hugeSample(value)]);
    return {
      slices: renamed(this.slices, ([name, category]) => [shows.name(name), category ? shows.text(category) : null]),
      depths: this.depths,
      numbers,
      texts: renamed(this.texts, ([name, keys, text]) => [shows.name(name), path(keys), shows.text(text)]),
      counters: renamed(counters, ([pid, name]) => [pid, shows.text(name)]),
      processes: renamed(this.processes, ([pid, name]) => [pid, shows.text(name)]),
      lanes: renamed(this.lanes, ([pid, name]) => [pid, shows.text(name)]),
    };
  }
}

function renamed(table, rename) {
  const result = new Map();
  for (const [key, sums] of table) add(result, JSON.stringify(rename(JSON.parse(key))), [...sums]);
  return result;
}

module.exports = { Expected, add, inJson, inProtobuf };
