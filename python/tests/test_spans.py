"""Spans, instants and the rest of the API: what is recorded is what was said."""

import subprocess
import sys
import unittest

from support import ProgramTest, strict


class Spans(ProgramTest):
    def test_arguments_come_out_as_the_values_they_were(self):
        trace = self.trace_of(
            """
            import enum
            class Step(enum.IntEnum):
                SEVEN = 7
            class Odd:
                def __str__(self): raise RuntimeError
            values = dict(i=-5, big=2**63, huge=10**30, f=0.1, t=True, none=None, s='grün \\ud800 "\\\\', e=Step.SEVEN,
                          l=[1, {'a': (None, float('nan'))}], inf=float('inf'), o=ringscope, odd=Odd(), b=b'x')
            with ringscope.span('x', cat='c', args={'name': 'n', 5: 1, (1, 2): 'no'}, **values) as s:
                s.set(late=3, i=6)
            """
        )
        args = trace.span("x")["args"]
        self.assertEqual(trace.span("x")["cat"], "c")
        self.assertEqual(
            {key: args[key] for key in ("i", "big", "huge", "f", "t", "none", "e", "inf", "late", "name", "5")},
            dict(i=6, big=2**63, huge=10**30, f=0.1, t=True, none=None, e=7, inf="Infinity", late=3, name="n", **{"5": 1}),
        )
        self.assertEqual(args["l"], [1, {"a": [None, "NaN"]}])
        self.assertTrue(args["s"].startswith("grün ") and args["s"].endswith('"\\'))
        self.assertIn("module", args["o"])
        self.assertIsInstance(args["odd"], str)
        self.assertEqual(args["b"], "b'x'")
        self.assertNotIn("(1, 2)", args)

    def test_values_can_be_kept_out(self):
        trace = self.trace_of(
            """
            with ringscope.span('x', n=1, args={'s': 'secret'}) as s:
                s.set(late='secret')
            ringscope.instant('i', n=1)
            ringscope.counter('c', 3)
            """,
            RINGSCOPE_ARGS="off",
        )
        self.assertNotIn("args", trace.span("x"))
        self.assertNotIn("args", trace.instants("i")[0])
        self.assertEqual([e["args"] for e in trace.events if e["name"] == "c" and e["ph"] == "C"], [{"value": 3}])

    def test_keys_that_are_data_leave_the_names_of_spans_alone(self):
        trace = self.trace_of(
            """
            for turn in range(30):
                with ringscope.span('data', args={f'{turn} {n}': n for n in range(1000)}): pass
            with ringscope.span('after', args={'data': 1}): pass
            with ringscope.span('last'): pass
            """
        )
        self.assertEqual(len(trace.spans("data")), 30)
        self.assertEqual(len(trace.spans("data")[0]["args"]), 1000)
        self.assertEqual(len(trace.spans("last")), 1)
        self.assertEqual(len(trace.spans("after")), 1)

    def test_long_values_are_cut_and_say_so(self):
        trace = self.trace_of(
            """
            with ringscope.span('x', text='é' * 20000, n=1): pass
            with ringscope.span('y', numbers=list(range(20000))): pass
            many = {f'k{i}': 'v' * 100 for i in range(400)}
            with ringscope.span('z', args=many): pass
            deep = []
            deep.append(deep)
            with ringscope.span('deep', d=deep): pass
            """
        )
        self.assertTrue(trace.span("x")["args"]["text"].endswith("… [40000 bytes]"))
        self.assertEqual(trace.span("x")["args"]["n"], 1)
        self.assertIn(" bytes]", trace.span("y")["args"]["numbers"])
        self.assertEqual(trace.span("z")["args"]["k0"], "v" * 100)
        self.assertIsInstance(trace.span("deep")["args"]["d"], (list, str))

    def test_levels_choose_what_is_recorded(self):
        trace = self.trace_of(
            """
            ringscope.level('kernel')
            with ringscope.span('e2e'): pass
            with ringscope.span('kernel', level='kernel'): pass
            ringscope.stop()
            with ringscope.span('off', level='kernel'): pass
            assert not ringscope.is_enabled('kernel')
            ringscope.start(level='verbose')
            with ringscope.span('all', level='verbose'): pass
            try:
                ringscope.span('x', level='loud')
            except ValueError as error:
                assert 'expected e2e, kernel or verbose' in str(error)
            else:
                raise SystemExit('a level that is none was taken')
            """
        )
        self.assertEqual([e["name"] for e in trace.spans()], ["kernel", "all"])

    def test_start_raises_nothing_and_tells_what_it_refused(self):
        self.run_program(
            """
            import os, ringscope
            wrong = [
                ('ring_size', -1), ('ring_size', 1 << 64), ('ring_size', '1 mile'), ('max_size', -5), ('ring_size', None),
                ('mode', 'loud'), ('level', 'loud'), ('level', '\\udc80'), ('rank', 1 << 40), ('rank', 'x'), ('dir', 5),
                ('dir', 'a\\0b'), ('process_name', 7),
            ]
            for key, value in wrong:
                assert ringscope.start(**{key: value}) is False, key
                told = ringscope.status().refusal
                assert told and told.startswith('start: '), (key, told)
                assert ringscope.status().run is None, key
            place = os.fsdecode(os.fsencode(os.environ['OUT']) + b'/\\xff-no-utf-8')
            os.makedirs(place)
            assert ringscope.start(place, process_name='\\udc80') is True, ringscope.status()
            with ringscope.span('x'): pass
            status = ringscope.status()
            assert status.refusal is None and os.fsencode(status.run).startswith(os.fsencode(place)), status
            """,
            OUT=str(self.dir),
        )

    def test_the_level_counts_at_entry(self):
        trace = self.trace_of(
            """
            before = ringscope.Span('began-on').begin()
            ringscope.stop()
            before.end()
            with ringscope.span('began-off'):
                ringscope.start(level='verbose')
            """
        )
        self.assertEqual([e["name"] for e in trace.spans()], ["began-on"])

    def test_a_span_ends_when_its_body_raises(self):
        trace = self.trace_of(
            """
            try:
                with ringscope.span('raises'): raise KeyError
            except KeyError:
                pass
            """
        )
        self.assertEqual(len(trace.spans("raises")), 1)

    def test_one_object_may_be_entered_again_also_while_it_is_open(self):
        trace = self.trace_of(
            """
            s = ringscope.Span('again', n=1)
            for k in range(3):
                with s:
                    s.set(k=k)
            with s, s:
                s.set(inner=True)
            """
        )
        spans = trace.spans("again")
        self.assertEqual([e["args"].get("k") for e in spans[:3]], [0, 1, 2])
        self.assertEqual([e["args"] for e in spans[3:]], [{"n": 1}, {"n": 1, "inner": True}])

    def test_one_object_in_two_threads_ends_what_it_began(self):
        trace = self.trace_of(
            """
            import threading
            s, entered, left = ringscope.Span('shared'), threading.Event(), threading.Event()
            def other():
                with s:
                    s.set(who='other')
                    entered.set()
                    left.wait()
            thread = threading.Thread(target=other, name='worker')
            thread.start()
            entered.wait()
            with s:
                s.set(who='main')
            left.set()
            thread.join()
            """
        )
        rows = {e["args"]["who"]: trace.row(e) for e in trace.spans("shared")}
        self.assertEqual(rows, {"main": "MainThread", "other": "worker"})

    def test_a_span_that_is_dropped_ends(self):
        trace = self.trace_of("ringscope.span('dropped').begin()\nringscope.instant('after')")
        self.assertLessEqual(trace.span("dropped")["ts"], trace.instants("after")[0]["ts"])

    def test_everything_that_is_no_span(self):
        trace = self.trace_of(
            """
            start = ringscope.now_ns()
            ringscope.complete('chip', start, 1500, device=3)
            ringscope.counter('pages', 7)
            ringscope.counter('load', 0.5)
            with ringscope.span('from'): ringscope.flow_out('id')
            with ringscope.span('to'): ringscope.flow_in('id')
            ringscope.async_begin('request', 'r-1', n=1)
            ringscope.async_end('request', 'r-1')
            with ringscope.lap('embed') as lap:
                lap.next('attention')
                lap.next('mlp')
            import logging
            logging.getLogger('engine').addHandler(ringscope.LogHandler())
            logging.getLogger('engine').warning('slow %d', 5)
            ringscope.thread_name('boss')
            """
        )
        self.assertEqual(trace.span("chip")["dur"], 1.5)
        self.assertEqual(trace.span("chip")["args"], {"device": 3})
        counters = {e["name"]: e["args"]["value"] for e in trace.events if e["ph"] == "C"}
        self.assertEqual(counters, {"pages": 7, "load": 0.5})
        flows = [e for e in trace.events if e["ph"] in "sf"]
        self.assertEqual([e["ph"] for e in flows], ["s", "f"])
        self.assertEqual(len({e["id"] for e in flows}), 1)
        asynchronous = [e for e in trace.events if e["ph"] in "be"]
        self.assertEqual([e["ph"] for e in asynchronous], ["b", "e"])
        self.assertEqual(len({e["id"] for e in asynchronous}), 1)
        phases = [trace.span(name) for name in ("embed", "attention", "mlp")]
        for phase, following in zip(phases, phases[1:]):
            self.assertAlmostEqual(phase["ts"] + phase["dur"], following["ts"], delta=0.0015)
        self.assertEqual(trace.instants("engine")[0]["args"], {"severity": "WARNING", "message": "slow 5"})
        self.assertEqual(trace.row(trace.span("chip")), "boss")

    def test_launches_and_what_runs_on_devices(self):
        trace = self.trace_of(
            """
            domain = ringscope.clock_domain('npu', 50_000_000)
            before = domain.ticks()
            domain.anchor(before, 1_000_000, domain.ticks())
            with ringscope.launch('decode_fwd', device=1, stream=3, step=5) as launch:
                pass
            with launch.wait(): pass
            launch.device_span(1_000_100, 1_000_600, domain)
            """
        )
        by_device = [e for e in trace.spans("decode_fwd") if e["args"].get("step") != 5 and "device" in e["args"]]
        self.assertEqual(len(trace.spans("decode_fwd")), 3)
        self.assertEqual(len({e["args"]["correlation"] for e in trace.spans("decode_fwd")}), 1)
        [device_span] = [e for e in by_device if trace.row(e) == "stream 3"]
        self.assertEqual((device_span["args"]["device"], device_span["args"]["stream"]), (1, 3))
        self.assertEqual({e["cat"] for e in trace.spans("decode_fwd")}, {"kernel"})
        self.assertAlmostEqual(device_span["dur"], 10.0, delta=0.5)

    def test_values_that_are_no_numbers_and_ids_of_any_kind_do_not_raise(self):
        trace = self.trace_of(
            """
            import decimal, fractions, uuid
            class Hostile:
                def __str__(self): raise RuntimeError
                __index__ = __float__ = __repr__ = __str__
            for n, value in enumerate([2**63, decimal.Decimal('1.5'), fractions.Fraction(1, 4), 10**400, None, '7', 1j, Hostile()]):
                ringscope.counter(f'c{n}', value)
            now = ringscope.now_ns()
            for start, duration in [(float(now), 1.5), (now, 2**64), (None, 1), (now, 'x'), (Hostile(), Hostile())]:
                ringscope.complete('complete', start, duration)
            for id in (uuid.UUID(int=7), 1.5, b'x', (1, 2), None, Hostile(), -1, 2**64 + 1):
                ringscope.async_begin('request', id)
                ringscope.async_end('request', id)
                ringscope.flow_out(id)
                ringscope.flow_in(id)
            """
        )
        counters = {e["name"]: e["args"]["value"] for e in trace.events if e["ph"] == "C"}
        self.assertEqual(counters, {"c0": 2.0**63, "c1": 1.5, "c2": 0.25})
        self.assertEqual(trace.span("complete")["dur"], 0.001)
        ids = {ph: [e["id"] for e in trace.events if e["ph"] == ph] for ph in "be"}
        self.assertEqual(ids["b"], ids["e"])
        self.assertEqual(len(set(ids["b"])), 8)

    def test_launches_described_by_anything_do_not_raise(self):
        trace = self.trace_of(
            """
            domain = ringscope.clock_domain('npu', 50_000_000.0)
            before = domain.ticks()
            for pair in [(-1, -2, -3), (None, 1, 2), (2**63, 1, 2**63), (before + 1, 1, before)]:
                domain.anchor(*pair)
            domain.anchor(before, 1_000_000, domain.ticks())
            unknown = ringscope.clock_domain('unknown', None)
            unknown.anchor(1.5, 'x', 2)
            for options in (dict(device='npu0'), dict(stream=None), dict(device=-1), dict(correlation='c'), dict(correlation=2**64)):
                with ringscope.launch('odd', **options) as launch: pass
                launch.device_span(1_000_100, 1_000_600, domain)
            with ringscope.launch('good', correlation='c') as launch: pass
            for ticks in [(1.5, None), (2**70, 2**71), (1_002_000, 1_002_500)]:
                launch.device_span(*ticks, domain)
            """
        )
        self.assertEqual(len([e for e in trace.spans("odd") if trace.row(e) == "MainThread"]), 5)
        [device_span] = [e for e in trace.spans("good") if trace.row(e) == "stream 0"]
        self.assertAlmostEqual(device_span["dur"], 10.0, delta=0.5)
        # A pair of times that can't be one would have stretched the run.
        self.assertLess(max(e["ts"] for e in trace.spans()), 60e6)

    def test_keys_that_come_out_the_same_are_one(self):
        trace = self.trace_of(
            """
            nan = float('nan')
            nested = {1: 'a', '1': 'b', None: 'c', 'null': 'd', nan: 'e', float('nan'): 'f', 'x\\ud800': 'g', 'x\\ud801': 'h',
                      1.5: 'i', 10**5000: 'j', 10**5001: 'k', 2: 'l', True + 2: 'm'}
            ringscope.instant('x', d=nested, args={1: 'a', '1': 'b'})
            """
        )
        args = trace.instants("x")[0]["args"]
        self.assertEqual(args["1"], "b")
        self.assertEqual({k: args["d"][k] for k in ("1", "null", "NaN", "1.5", "2", "3")}, dict(zip("1 null NaN 1.5 2 3".split(), "bdeilm")))

    def test_showing_a_value_may_end_the_span_that_it_is_set_on(self):
        trace = self.trace_of(
            """
            class Ending:
                def __init__(self, span): self.span = span
                def __str__(self):
                    self.span.end()
                    return 'y' * 1000
            for _ in range(300):
                s = ringscope.Span('x')
                s.begin(), s.begin()
                s.set(value=Ending(s))
                s.end()
                s.begin()
                s.set(value=Ending(s))
            """
        )
        self.assertEqual(len(trace.spans("x")), 900)

    def test_wrong_options_of_commands_are_named(self):
        import ringscope

        with self.assertRaisesRegex(ringscope.CommandError, "bogus"):
            ringscope.decode(self.dir, self.dir / "t.json", format="bogus")

    def test_options_of_decode_are_those_of_the_command(self):
        import ringscope

        self.run_program(
            """
            import os, ringscope
            ringscope.start(os.environ['RUNS'])
            with ringscope.span('outer'):
                with ringscope.span('inner'): pass
            """
        )
        out = self.dir / "t.json"
        ringscope.decode(self.dir / "runs", out, order="lane", time_base="monotonic", split_by="1MiB")
        [part] = self.dir.glob("t*.json")
        self.assertNotEqual(part, out)
        self.assertEqual(ringscope.decode(self.dir / "runs", out, slack=True), out)
        with self.assertRaisesRegex(ringscope.CommandError, "tid"):
            ringscope.decode(self.dir / "runs", out, tid=["x"])
        with self.assertRaisesRegex(ringscope.CommandError, "align"):
            ringscope.decode(self.dir / "runs", out, align="nothing of this name")

    def test_off_by_default_and_silent(self):
        out = self.run_program(
            """
            import ringscope
            with ringscope.span('x', n=1) as s: s.set(m=2)
            ringscope.instant('i')
            print(ringscope.status().run, ringscope.status().level, ringscope.stop())
            """
        )
        self.assertEqual(out, "None off False\n")

    def test_stats_are_a_list_of_dicts(self):
        out = self.run_program(
            """
            import os, ringscope
            ringscope.start(os.environ['RUNS'])
            for _ in range(5):
                with ringscope.span('a'): pass
            [row] = ringscope.stats()
            print(row['name'], row['count'])
            """
        )
        self.assertEqual(out, "a 5\n")

    def test_a_failing_command_says_its_one_line(self):
        import ringscope

        with self.assertRaisesRegex(ringscope.CommandError, "^ringscope: find run: "):
            ringscope.decode(self.dir / "nothing", self.dir / "t.json")


class Record(ProgramTest):
    def test_under_record_a_program_needs_no_start(self):
        from ringscope._command import _find

        program = self.dir / "p.py"
        program.write_text("import ringscope\nwith ringscope.span('x', n=1): pass\n")
        out = self.dir / "trace.json"
        command = [_find(), "record", "-o", str(out), "--dir", str(self.dir / "runs"), "--", sys.executable, str(program)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=60)
        events = strict(out.read_text())["traceEvents"]
        self.assertEqual([e["args"] for e in events if e["ph"] == "X"], [{"n": 1}])


if __name__ == "__main__":
    unittest.main()
