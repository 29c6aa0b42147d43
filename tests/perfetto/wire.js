// The wire format of protocol buffers, as far as the engine's questions and answers need it.
'use strict';

const VARINT = 0, FIXED64 = 1, BYTES = 2;

function varint(number) {
  const bytes = [];
  for (; number >= 0x80; number = Math.floor(number / 0x80)) bytes.push((number % 0x80) | 0x80);
  bytes.push(number);
  return Buffer.from(bytes);
}

/** A field that holds a number. */
function numberField(field, number) {
  return Buffer.concat([varint(field << 3 | VARINT), varint(number)]);
}

/** A field that holds text, bytes or a message. */
function bytesField(field, bytes) {
  return Buffer.concat([varint(field << 3 | BYTES), varint(bytes.length), bytes]);
}

/** Reads numbers from `bytes`, one after the other. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get isAtEnd() {
    return this.at >= this.bytes.length;
  }

  /** A number of up to 64 bits, signed. */
  varint() {
    let number = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at++];
      number |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, number);
    }
  }

  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}

/** The fields of a message: pairs of number and value, a signed 64-bit number or the bytes. */
function* fields(bytes) {
  const reader = new Reader(bytes);
  while (!reader.isAtEnd) {
    const tag = Number(reader.varint());
    const wireType = tag & 7;
    if (wireType === VARINT) yield [tag >>> 3, reader.varint()];
    else if (wireType === BYTES) yield [tag >>> 3, reader.take(Number(reader.varint()))];
    else yield [tag >>> 3, reader.take(wireType === FIXED64 ? 8 : 4)];
  }
}

/** The numbers of a packed field. */
function packedNumbers(bytes) {
  const reader = new Reader(bytes);
  const numbers = [];
  while (!reader.isAtEnd) numbers.push(reader.varint());
  return numbers;
}

module.exports = { Reader, bytesField, fields, numberField, packedNumbers, varint };
