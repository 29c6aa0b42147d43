"""Spans as decorators of functions, coroutines, generators and async generators."""

import unittest

from support import ProgramTest


class Decorators(ProgramTest):
    def test_functions_and_coroutines_are_one_span_a_call(self):
        trace = self.trace_of(
            """
            import asyncio
            @ringscope.span('f', kind='plain')
            def f(a, *, b=2):
                'doc'
                return a + b
            @ringscope.span('g')
            async def g():
                await asyncio.sleep(0)
                raise LookupError
            assert (f(1), f(1, b=3), f.__name__, f.__doc__) == (3, 4, 'f', 'doc')
            try:
                asyncio.run(g())
            except LookupError:
                pass
            """
        )
        self.assertEqual([e["args"] for e in trace.spans("f")], [{"kind": "plain"}] * 2)
        self.assertEqual(len(trace.spans("g")), 1)

    def test_methods_are_recorded_whichever_decorator_stands_outside(self):
        trace = self.trace_of(
            """
            class C:
                @ringscope.span('outside')
                @classmethod
                def a(cls): return cls
                @ringscope.span('outside')
                @staticmethod
                def b(x): return x
                @classmethod
                @ringscope.span('inside')
                def c(cls): return cls
            assert C.a() is C().a() is C.c() is C and C.b(3) == C().b(3) == 3
            """
        )
        self.assertEqual((len(trace.spans("outside")), len(trace.spans("inside"))), (4, 1))

    def test_a_decorator_made_while_off_records_later_and_in_children(self):
        self.run_program(
            """
            import os, ringscope
            @ringscope.span('f', n=1)
            def f(): pass
            f()
            ringscope.start(os.environ['RUNS'])
            f()
            if os.fork() == 0:
                f()
                os._exit(0)
            os.wait()
            """
        )
        spans = self.decode().spans("f")
        self.assertEqual([e["args"] for e in spans], [{"n": 1}] * 2)
        self.assertEqual(len({e["pid"] for e in spans}), 2)

    def test_generators_are_one_span_over_the_iteration(self):
        trace = self.trace_of(
            """
            @ringscope.span('g')
            def g():
                got = yield 1
                try:
                    yield got
                except ValueError:
                    yield 'caught'
                return 'done'
            it = g()
            assert next(it) == 1 and it.send(5) == 5 and it.throw(ValueError) == 'caught'
            ringscope.instant('inside')
            try:
                next(it)
            except StopIteration as stop:
                assert stop.value == 'done'
            closed = g()
            next(closed)
            closed.close()
            """
        )
        first, _ = trace.spans("g")
        inside = trace.instants("inside")[0]["ts"]
        self.assertTrue(first["ts"] <= inside <= first["ts"] + first["dur"])

    def test_async_generators_end_by_exhaustion_close_exception_and_cancellation(self):
        trace = self.trace_of(
            """
            import asyncio
            cleaned = []
            @ringscope.span('ag')
            async def ag(n):
                try:
                    for i in range(n):
                        got = yield i
                        if got: yield got
                        await asyncio.sleep(0)
                finally:
                    cleaned.append(n)
            async def main():
                assert [i async for i in ag(3)] == [0, 1, 2]
                it = ag(5)
                assert await it.__anext__() == 0 and await it.asend('sent') == 'sent'
                await it.aclose()
                it = ag(6)
                await it.__anext__()
                try:
                    await it.athrow(ValueError)
                except ValueError:
                    pass
                async def consume():
                    async for _ in ag(10**9): pass
                task = asyncio.create_task(consume())
                await asyncio.sleep(0.01)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
            asyncio.run(main())
            assert cleaned == [3, 5, 6, 10**9], cleaned
            """
        )
        self.assertEqual(len(trace.spans("ag")), 4)
        self.assertFalse(any(e.get("args", {}).get("ringscope.open") for e in trace.spans()))


if __name__ == "__main__":
    unittest.main()
