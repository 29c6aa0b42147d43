"""Spans as decorators: one span a call; for generators one over the whole iteration."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable


def decorate(template: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """What `template(function)` gives: the function, recorded."""
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(decorate(template, function.__func__))
    new_span = template._copy
    if inspect.isasyncgenfunction(function):
        wrapped = _of_async_generator(new_span, function)
    elif inspect.iscoroutinefunction(function):
        wrapped = _of_coroutine(new_span, function)
    elif inspect.isgeneratorfunction(function):
        wrapped = _of_generator(new_span, function)
    else:
        wrapped = _of_function(new_span, function)
    return functools.update_wrapper(wrapped, function)


def _of_function(new_span: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with new_span():
            return function(*args, **kwargs)

    return recorded


def _of_coroutine(new_span: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        with new_span():
            return await function(*args, **kwargs)

    return recorded


def _of_generator(new_span: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with new_span():
            return (yield from function(*args, **kwargs))

    return recorded


def _of_async_generator(new_span: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        with new_span():
            generator = function(*args, **kwargs)
            try:
                item = await generator.__anext__()
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as error:
                        item = await generator.athrow(error)
                    else:
                        item = await generator.asend(sent)
            except StopAsyncIteration:
                return

    return recorded
