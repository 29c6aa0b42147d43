"""Which row a record stands on: the thread's, the asyncio task's, or a track's."""

import unittest

from support import ProgramTest


class Lanes(ProgramTest):
    def test_each_task_has_a_row_named_after_it(self):
        trace = self.trace_of(
            """
            import asyncio
            async def work(n):
                with ringscope.span('outer', n=n):
                    await asyncio.sleep(0.001)
                    with ringscope.span('inner', n=n):
                        await asyncio.sleep(0.001)
            async def main():
                with ringscope.span('main'):
                    await asyncio.gather(*(asyncio.create_task(work(n), name=f'req-{n}') for n in range(5)))
            with ringscope.span('before'): pass
            asyncio.run(main())
            with ringscope.span('after'): pass
            """
        )
        for name in ("outer", "inner"):
            rows = {e["args"]["n"]: trace.row(e) for e in trace.spans(name)}
            self.assertEqual(rows, {n: f"req-{n}" for n in range(5)})
        self.assertEqual(trace.row(trace.span("main")), "Task-1")
        self.assertEqual({trace.row(trace.span(n)) for n in ("before", "after")}, {"MainThread"})

    def test_tasks_of_one_name_at_once_have_a_row_each(self):
        trace = self.trace_of(
            """
            import asyncio
            async def work(n):
                with ringscope.span('a', n=n): await asyncio.sleep(0.001)
                with ringscope.span('b', n=n): await asyncio.sleep(0)
            async def main():
                await asyncio.gather(*(asyncio.create_task(work(n), name='same') for n in range(3)))
            asyncio.run(main())
            """
        )
        row_of = lambda name: {e["args"]["n"]: e["tid"] for e in trace.spans(name)}
        self.assertEqual(row_of("a"), row_of("b"))
        self.assertEqual(len(set(row_of("a").values())), 3)

    def test_tasks_by_the_thousand_reuse_rows(self):
        trace = self.trace_of(
            """
            import asyncio
            async def work():
                with ringscope.span('w'): await asyncio.sleep(0)
            async def main():
                for _ in range(500):
                    await asyncio.gather(*(asyncio.create_task(work()) for _ in range(10)))
            asyncio.run(main())
            """
        )
        spans = trace.spans("w")
        self.assertEqual(len(spans), 5000)
        self.assertLess(len({e["tid"] for e in spans}), 40)

    def test_a_thread_beside_an_event_loop_keeps_its_own_row(self):
        trace = self.trace_of(
            """
            import asyncio, threading
            def beside(stop, ready):
                with ringscope.span('beside'): pass
                ready.set()
            async def main():
                with ringscope.span('task'): pass
                stop, ready = threading.Event(), threading.Event()
                thread = threading.Thread(target=beside, args=(stop, ready), name='helper')
                thread.start()
                ready.wait()
                thread.join()
                await asyncio.to_thread(lambda: ringscope.instant('pooled')) if hasattr(asyncio, 'to_thread') else None
            asyncio.run(main())
            """
        )
        self.assertEqual(trace.row(trace.span("beside")), "helper")
        self.assertNotEqual(trace.row(trace.instants("pooled")[0]), "Task-1")

    def test_a_loop_in_each_of_two_threads(self):
        trace = self.trace_of(
            """
            import asyncio, threading
            barrier = threading.Barrier(2)
            async def work(name):
                for _ in range(20):
                    with ringscope.span(name): barrier.wait()
            def run(name):
                async def main():
                    await asyncio.create_task(work(name), name=name)
                asyncio.run(main())
            threads = [threading.Thread(target=run, args=(n,)) for n in ('left', 'right')]
            for t in threads: t.start()
            for t in threads: t.join()
            """
        )
        for name in ("left", "right"):
            self.assertEqual({trace.row(e) for e in trace.spans(name)}, {name})

    def test_a_track_follows_the_context_across_tasks_and_threads(self):
        trace = self.trace_of(
            """
            import asyncio
            def blocking():
                with ringscope.span('thread'): pass
            async def child():
                with ringscope.span('child'): await asyncio.sleep(0)
            async def request(n):
                with ringscope.track(f'req {n}'):
                    with ringscope.span('request', n=n):
                        await asyncio.create_task(child())
                        await asyncio.to_thread(blocking)
                with ringscope.span('outside'): pass
            async def main():
                await asyncio.gather(*(asyncio.create_task(request(n), name=f't{n}') for n in range(2)))
            asyncio.run(main())
            with ringscope.span('plain'): pass
            """
        )
        self.assertEqual({trace.row(e) for e in trace.spans("request")}, {"req 0", "req 1"})
        for name in ("child", "thread"):
            self.assertEqual({trace.row(e).split(" (")[0] for e in trace.spans(name)}, {"req 0", "req 1"})
        self.assertEqual({trace.row(e) for e in trace.spans("outside")}, {"t0", "t1"})
        self.assertEqual(trace.row(trace.span("plain")), "MainThread")

    def test_a_track_may_be_shared_and_left_in_another_context(self):
        trace = self.trace_of(
            """
            import asyncio, contextvars
            shared = ringscope.track('shared')
            async def request(n):
                with shared:
                    await asyncio.sleep(0.001 * n)
                    ringscope.instant('inside')
                    await asyncio.sleep(0.001 * (5 - n))
                ringscope.instant('outside')
            async def entered():
                with ringscope.track('generator'):
                    yield 1
            async def main():
                await asyncio.gather(*(asyncio.create_task(request(n), name=f't{n}') for n in (1, 2, 3)))
                generator = entered()
                await generator.__anext__()
                async def close(): await generator.aclose()
                await asyncio.create_task(close())
            asyncio.run(main())
            track = ringscope.track('elsewhere')
            contextvars.copy_context().run(track.__enter__)
            track.__exit__(None, None, None)
            track.__exit__(None, None, None)
            ringscope.instant('after')
            """
        )
        self.assertEqual({trace.row(e) for e in trace.instants("inside")}, {"shared"})
        self.assertEqual({trace.row(e) for e in trace.instants("outside")}, {"t1", "t2", "t3"})
        self.assertEqual(trace.row(trace.instants("after")[0]), "MainThread")


if __name__ == "__main__":
    unittest.main()
