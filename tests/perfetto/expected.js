// What a trace holds, read from its JSON by nothing but a JSON parser: what every importer has to find in it.
'use strict';

const fs = require('fs');
const readline = require('readline');

/** Nanoseconds of a time in microseconds, from its digits: a double would not do. */
function nanoseconds(line, key) {
  const [, sign, whole, part] = new RegExp(`"${key}":(-?)(\\d+)\\.(\\d{3})`).exec(line);
  return BigInt(`${sign}${whole}${part}`);
}

/** Numbers of 64 bits as text: a double would not hold them. */
const withLongNumbersAsText = line => line.replace(/":(\d{16,20})(?=[,}])/g, '":"integer $1"');

/** A value as the engine shows it: it takes all integers for signed ones. */
function shown(value) {
  if (typeof value === 'number') return value;
  const text = String(value);
  const integer = /^integer (\d{16,20})$/.exec(text);
  return integer ? Number(BigInt.asIntN(64, BigInt(integer[1]))) : text;
}

/** Leaves of an argument's value, by path. The engine has nothing for null, and leaves it out. */
function* leaves(path, value, shows) {
  if (Array.isArray(value)) {
    const items = value.filter(item => item !== null);
    for (const [index, item] of items.entries()) yield* leaves(`${path}[${index}]`, item, shows);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, item] of Object.entries(value)) yield* leaves(`${path}.${shows.key(key)}`, item, shows);
  } else if (value !== null) {
    const leaf = shown(value);
    yield [path, typeof leaf === 'string' ? shows.text(leaf) : leaf];
  }
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
};

/** How the engine shows what stands in Perfetto's format. */
const inProtobuf = {
  text: text => text.replaceAll('\0', '\u2400'),
  name: name => inProtobuf.text(name),
  key: key => inProtobuf.text(key).replace(/[.[\]]/g, '_'),
};

/** Adds to an entry of a table of sums. */
function add(table, key, numbers) {
  const sums = table.get(key);
  if (sums === undefined) table.set(key, numbers);
  else numbers.forEach((number, index) => { sums[index] += number; });
}

class Expected {
  /** `shows`: how the engine shows texts and keys. */
  constructor(shows) {
    this.shows = shows;
    this.slices = new Map(); // name and category: number, sum of ts, sum of dur
    this.depths = new Map(); // depth: number of spans and instants
    this.arguments = new Map(); // name, key and value: number
    this.counters = new Map(); // process and name: number, sum of ts, sum of values
    this.lanes = new Map(); // process and name: number
    this.processes = new Map(); // pid and name: number
    this.arrows = 0;
    this.asyncSpans = 0;
    this.spans = 0;
    this.openEnds = new Map();
    this.open = new Map();
    this.starts = new Map();
  }

  /** What is to be found in the JSON `file`, and in the other format. */
  static async read(file) {
    const both = [new Expected(inJson), new Expected(inProtobuf)];
    for await (const line of readline.createInterface({ input: fs.createReadStream(file), crlfDelay: Infinity })) {
      if (!line.startsWith('{"name":')) continue;
      const event = JSON.parse(withLongNumbersAsText(line.replace(/,$/, '')));
      for (const expected of both) expected.take(line, event);
    }
    return both;
  }

  take(line, event) {
    const key = JSON.stringify([this.shows.name(event.name), event.cat ?? null]);
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
    const key = JSON.stringify([event.pid, this.shows.text(String(event.args.name))]);
    if (event.name === 'process_name') add(this.processes, key, [1]);
    if (event.name === 'thread_name') add(this.lanes, key, [1]);
  }

  takeSpan(key, event, ts, dur) {
    this.spans += 1;
    add(this.slices, key, [1n, ts, dur]);
    const lane = `${event.pid}/${event.tid}`;
    if (!this.openEnds.has(lane)) this.openEnds.set(lane, []);
    const ends = this.openEnds.get(lane);
    while (ends.length > 0 && ends.at(-1) <= ts) ends.pop();
    add(this.depths, ends.length, [1]);
    ends.push(ts + dur);
    this.takeArguments(event);
  }

  takeArguments(event) {
    const name = this.shows.name(event.name);
    for (const [key, value] of Object.entries(event.args ?? {})) {
      for (const [path, leaf] of leaves(this.shows.key(key), value, this.shows)) {
        add(this.arguments, JSON.stringify([name, path, leaf]), [1]);
      }
    }
  }

  takeCounter(event, ts) {
    add(this.counters, JSON.stringify([event.pid, this.shows.text(event.name)]), [1, Number(ts), Number(shown(event.args.value))]);
  }

  /** Spans that no lane holds: the innermost one of an id ends. One that never does has no duration. */
  takeBegin(key, event, ts) {
    const id = JSON.stringify([event.pid, event.cat, event.id]);
    if (!this.open.has(id)) this.open.set(id, []);
    this.open.get(id).push([key, ts]);
    add(this.slices, key, [1n, ts, -1n]);
    this.takeArguments(event);
  }

  takeEnd(key, event, ts) {
    const begun = this.open.get(JSON.stringify([event.pid, event.cat, event.id])) ?? [];
    const at = begun.findLastIndex(([name]) => name === key);
    if (at < 0) return;
    const [[, start]] = begun.splice(at, 1);
    this.asyncSpans += 1;
    add(this.slices, key, [0n, 0n, ts - start + 1n]);
  }

  /** Arrows that have both ends. */
  takeArrow(key, event) {
    const id = JSON.stringify([key, event.id]);
    if (event.ph === 's') this.starts.set(id, true);
    else if (this.starts.delete(id)) this.arrows += 1;
  }
}

module.exports = { Expected, add };
