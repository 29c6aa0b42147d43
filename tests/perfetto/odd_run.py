"""Writes a run of odd ids, times and values, by nothing but ringbuf/FORMAT.md: `odd_run.py DIRECTORY`."""

import struct
import sys
import zlib
from pathlib import Path

PROCESS, LOCK, RING = b"RSPROC\r\n", b"RSLOCK\r\n", b"RSRING\r\n"
BOOT = bytes(range(16))
CAPACITY_LOG2 = 9
MONOTONIC = 3  # the clock source: ticks are nanoseconds
START_NS = 5_000_000_000
REAL_NS = 1_800_000_000 * 10**9

SPAN, INSTANT, COUNTER, FLOW_OUT, FLOW_IN, ASYNC_BEGIN, ASYNC_END = 1, 4, 5, 6, 7, 8, 9
I64, U64, F64, BOOL, TEXT, JSON, HEX, NULL = 1, 2, 3, 4, 5, 6, 7, 8
CONTINUATION = 255

EDGES = [1, 2, 2**15, 2**22 - 1, 2**22, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]


def file_start(magic, record_len, header_len, nonce, pid, index, rest, covered):
    """The common header and what follows, `covered` bytes of it under the check sum."""

    def sealed(magic, crc):
        head = struct.pack("<8sHHIIIQQQII", magic, 1, record_len, header_len, 0x01020304, crc, 0, 0, nonce, pid, index)
        return head + rest

    crc = zlib.crc32(sealed(bytes(8), 0)[:covered])
    return sealed(magic, crc)


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<H", len(value)) + value


def block(kind, payload):
    body = struct.pack("<HHI", kind, 0, len(payload))
    crc = zlib.crc32(body + payload)
    whole = b"RSBK" + body + struct.pack("<I", crc) + payload
    return whole + bytes(-len(whole) % 8)


def site(number, name, category="odd", arguments=()):
    fields = b"".join(bytes([kind]) + text(key) + text("") for key, kind in arguments)
    head = struct.pack("<IBBBBI", number, 1, 0, len(arguments), 0, 1)
    return block(1, head + text(name) + text(category) + text("odd.rs") + fields)


def owner(tid, name):
    return block(4, struct.pack("<IIQQ", 0, tid, 0, START_NS) + text(name))


def clock_pair(ns):
    return block(8, struct.pack("<QQQII", ns, ns, REAL_NS + ns, 10, 1))


class Ring:
    def __init__(self):
        self.slots, self.records = [], 0

    def put(self, kind, number, w0, w1=0, w2=0, payload=b""):
        more = [payload[at:at + 28].ljust(28, b"\0") for at in range(0, len(payload), 28)]
        self.slots.append(struct.pack("<QQQIBBH", w0, w1, w2 % 2**64, number, kind, 0, 0x8000))
        for piece in more:
            self.slots.append(piece[:28] + struct.pack("<BBH", CONTINUATION, 0, 0x8000))
        self.records += 1

    def span(self, number, start, duration, payload=b""):
        first, rest = payload[:8].ljust(8, b"\0"), payload[8:]
        self.put(SPAN, number, START_NS + start, duration, struct.unpack("<Q", first)[0], rest)

    def at(self, kind, number, start, word=0, w1=0):
        self.put(kind, number, START_NS + start, w1, word)

    def bytes(self, nonce, pid, tid):
        rest = struct.pack("<IIIIQQQII24x", CAPACITY_LOG2, 0, 128, 1, 0, START_NS, START_NS, MONOTONIC, tid)
        head = file_start(RING, 32, 4096, nonce, pid, 0, rest, 128)
        words = struct.pack("<QQ", len(self.slots) | (self.records & 0xFFFF) << 48, len(self.slots) - self.records)
        header = head.ljust(192, b"\0") + words
        return header.ljust(4096, b"\0") + b"".join(self.slots).ljust(32 << CAPACITY_LOG2, b"\0")


def value_text(value):
    value = value.encode()
    return struct.pack("<H", len(value)) + value


def odd_values():
    """Arguments of each type at the ends of its range."""
    numbers = [("i", I64, "<q", n) for n in (-(2**63), -1, 0, 2**53 + 1, 2**63 - 1)]
    numbers += [("u", U64, "<Q", n) for n in (0, 2**53 + 1, 2**63, 2**64 - 1)]
    numbers += [("f", F64, "<d", n) for n in (0.5, -0.0, 1e300, 5e-324, float("inf"), float("-inf"), float("nan"))]
    numbers += [("h", HEX, "<Q", n) for n in (0, 2**64 - 1)] + [("b", BOOL, "<B", n) for n in (0, 1)]
    values = [(key, kind, struct.pack(form, n)) for key, kind, form, n in numbers]
    values += [("t", TEXT, value_text(t)) for t in ("", "\\", 'a"b\\', "é\ufffd模", "\0mid\0", "x" * 200, "%s {} \x7f")]
    json = ('{"a":[1,{"b":null}],"c.d":"\\\\"}', "[]", "{}", "[[[1.5]]]", "null", '"text"', "not json", "1e5")
    values += [("j", JSON, value_text(t)) for t in json]
    keys = ("", "a.b", "a[0]", 'quoted "key"', "back\\", "é", "new\nline", "\0nul")
    return values + [("n", NULL, b"")] + [(key, U64, struct.pack("<Q", 7)) for key in keys]


def fill(ring, blocks, variety):
    """Records of every form; `variety` tells processes apart."""
    names = ["", " ", "back\\", "\\", "\\\\", 'quote"', '"', "é模🦀", "\ufffd", "ctl\x01\x1f", "nl\n", "nul\0nul", "</script>", "a" * 5000]
    number = 0
    at = variety
    for name in names:
        number += 1
        blocks.append(site(number, name, category=name if variety else ""))
        ring.span(number, at, 10)
        ring.at(INSTANT, number, at + 3)
        at += 20
    for key, kind, value in odd_values():
        number += 1
        blocks.append(site(number, "value", arguments=[(key, kind)]))
        ring.span(number, at, 5, value)
        at += 10
    first = number + 1
    for offset, name in enumerate(("outer", "inner", "counter", "arrow", "apart", "back\\")):
        number += 1
        blocks.append(site(number, name))
        assert first + offset == number
    outer, inner, counter, arrow, apart, named_so = range(first, first + 6)
    # Nested to the nanosecond, without duration, side by side, over each other; ends come in order.
    for start, duration in ((0, 0), (0, 0), (0, 5), (5, 5), (0, 10), (10, 0), (10, 3), (13, 3), (0, 20), (15, 10), (18, 30)):
        ring.span(inner if duration < 10 else outer, at + start, duration)
    at += 100
    for value, form, kind in ((-(2**63), "<q", I64), (2**64 - 1, "<Q", U64), (0.25, "<d", F64), (1, "<Q", BOOL), (2**40, "<q", I64)):
        word = struct.unpack("<Q", struct.pack(form, value))[0]
        ring.at(COUNTER, counter, at, word, kind)
        ring.at(COUNTER, named_so, at, word, kind)
        at += 5
    for flow in (0, 1, 2**63, 2**64 - 1):
        word = flow ^ variety << 8
        ring.at(FLOW_OUT, arrow, at + 1, word)
        ring.span(outer, at, 10)
        ring.at(FLOW_IN, arrow, at + 21, word)
        ring.span(inner, at + 20, 10)
        at += 40
    for number_of in (7, 2**64 - 1):
        word = number_of ^ variety << 8
        for kind, offset in ((ASYNC_BEGIN, 0), (ASYNC_BEGIN, 1), (ASYNC_END, 50), (ASYNC_END, 60)):
            ring.at(kind, apart, at + offset, word)
        at += 70


def write_process(directory, pid, tid, variety):
    nonce = 0x0DD0_0000_0000_0000 + variety
    ring, blocks = Ring(), [clock_pair(START_NS), clock_pair(START_NS + 10**9), owner(tid, f"thread {tid}")]
    fill(ring, blocks, variety)
    host, stem, name = b"odd-host", b"odd", f"process {pid}".encode()
    # role, parent, start time, namespace, boot, created, clock, rank, …, as the table has them.
    rest = struct.pack(
        "<HHIQQ16sQQIiQQQIiQQQQII64s64s64s128x", 1, 0, 0, 1000 + variety, 1, BOOT, START_NS, REAL_NS + START_NS,
        MONOTONIC, -1, 0, 0, 1, 1, -1, 0, 0, 7, 32 << CAPACITY_LOG2, 0, 0, host, stem, name)
    stem = f"{pid}-{nonce:016x}"
    process = file_start(PROCESS, 0, 512, nonce, pid, 0, rest, 512)
    (directory / f"{stem}.process").write_bytes(process + b"".join(blocks))
    lock = file_start(LOCK, 0, 4096, nonce, pid, 0, bytes(8), 64)
    end = struct.pack("<QQQQQ", 1, START_NS + 10**9, START_NS + 10**9, REAL_NS + START_NS + 10**9, 10)
    (directory / f"{stem}.lock").write_bytes((lock + end).ljust(4096, b"\0"))
    (directory / f"{stem}-0.ring").write_bytes(ring.bytes(nonce, pid, tid))


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True)
    for variety, (pid, tid) in enumerate(zip(EDGES, reversed(EDGES))):
        write_process(directory, pid, tid, variety)


main()
