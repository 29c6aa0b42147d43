"""A program that knows the PyPI package nvtx and nothing of ringscope: threads, forked and spawned processes."""

import multiprocessing
import threading

import nvtx

THREADS, STEPS = 3, 50
domain = nvtx.get_domain("train")


@nvtx.annotate("forward", domain="train", category="model")
def forward():
    pass


def steps(started):
    for step in range(STEPS):
        with nvtx.annotate("step", domain="train", payload=step):
            forward()
    nvtx.end_range(started)


def in_process(method):
    with nvtx.annotate(f"in {method}"):
        nvtx.mark("mark", domain="train", payload=0.5)


def main():
    started = [nvtx.start_range("request", domain="train", payload=n) for n in range(THREADS)]
    threads = [threading.Thread(target=steps, args=(one,)) for one in started]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for method in ("fork", "spawn"):
        process = multiprocessing.get_context(method).Process(target=in_process, args=(method,))
        process.start()
        process.join()
        assert process.exitcode == 0, process.exitcode


if __name__ == "__main__":
    main()
