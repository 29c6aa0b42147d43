"""The HTTP interface: completions in the form that OpenAI's clients know, and profiling."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional

from aiohttp import web

from engine import AsyncLLMEngine, EngineError
from model import MAX_TOKENS
from ringscope.profile import profile_duration, profile_instant, profile_span

_MODEL = "tiny"
_DEFAULT_MAX_TOKENS = 16


class BadRequest(ValueError):
    """What the client sent cannot be served."""


@dataclass(frozen=True)
class Completion:
    """What a client asks for."""

    request_id: str
    prompt: List[int]
    max_tokens: int
    stream: bool
    is_chat: bool

    @classmethod
    def of(cls, body: Any, request_id: str, is_chat: bool) -> "Completion":
        """Reads the body of a request; raises BadRequest."""
        if not isinstance(body, dict):
            raise BadRequest("body: expected an object")
        text = _chat_prompt(body.get("messages")) if is_chat else body.get("prompt")
        if not isinstance(text, str) or not text:
            raise BadRequest("prompt: expected a text that is not empty")
        prompt = list(text.encode())
        max_tokens = body.get("max_tokens", _DEFAULT_MAX_TOKENS)
        room = MAX_TOKENS - len(prompt)
        if type(max_tokens) is not int or not 1 <= max_tokens <= room:
            raise BadRequest(f"max_tokens: expected 1 to {room} after this prompt, found {max_tokens!r}")
        return cls(request_id, prompt, max_tokens, body.get("stream") is True, is_chat)


def _chat_prompt(messages: Any) -> Optional[str]:
    if not isinstance(messages, list):
        return None
    contents = [m.get("content") for m in messages if isinstance(m, dict)]
    return "\n".join(content for content in contents if isinstance(content, str))


class Pace:
    """When a request's tokens left, and the spans that say so: time to first token, mean time per token after it."""

    def __init__(self) -> None:
        self._arrived_us = self._last_us = self._first_us = _now_us()
        self.tokens = 0

    def token(self, request_id: str) -> None:
        """A token has left."""
        self.tokens += 1
        self._last_us = _now_us()
        profile_instant("request.token", cat="request", args={"request_id": request_id})
        if self.tokens == 1:
            self._first_us = self._last_us
            self._record("request.ttft", self._arrived_us, self._first_us - self._arrived_us, request_id)

    def finish(self, request_id: str) -> None:
        """The last token has left."""
        if self.tokens > 1:
            mean_us = (self._last_us - self._first_us) / (self.tokens - 1)
            self._record("request.tpot", self._first_us, mean_us, request_id)

    def _record(self, name: str, start_us: int, duration_us: float, request_id: str) -> None:
        profile_duration(name, dur_us=duration_us, ts_us=start_us, cat="request", args={"request_id": request_id})


class HttpApi:
    """The server's handlers."""

    def __init__(self, engine: AsyncLLMEngine) -> None:
        self._engine = engine
        self._request_numbers = itertools.count(1)
        self._first_arrival_us: Optional[int] = None
        self._last_token_us = 0

    def app(self) -> web.Application:
        """The application that serves them."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/health", self.health),
                web.post("/v1/completions", self.completions),
                web.post("/v1/chat/completions", self.chat_completions),
                web.post("/start_profile", lambda _: self._switch(self._engine.start_profile)),
                web.post("/stop_profile", lambda _: self._switch(self._engine.stop_profile)),
            ]
        )
        return app

    async def health(self, _: web.Request) -> web.Response:
        """200 while a worker lives."""
        workers = len(self._engine.living)
        return web.json_response({"workers": workers}, status=200 if workers else 503)

    async def _switch(self, switch: Callable[[], Awaitable[None]]) -> web.Response:
        try:
            await switch()
        except EngineError as error:
            return _failure(500, error)
        return web.Response()

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/completions`"""
        return await self._in_task(request, is_chat=False)

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/chat/completions`"""
        return await self._in_task(request, is_chat=True)

    async def _in_task(self, request: web.Request, is_chat: bool) -> web.StreamResponse:
        """A request is a task, and so a lane of the trace, of its own: a connection serves many."""
        request_id = f"cmpl-{next(self._request_numbers)}"
        return await asyncio.create_task(self._serve(request, request_id, is_chat), name=f"request {request_id}")

    async def _serve(self, request: web.Request, request_id: str, is_chat: bool) -> web.StreamResponse:
        if self._first_arrival_us is None:
            self._first_arrival_us = _now_us()
        args: Dict[str, Any] = {"request_id": request_id}
        with profile_span("http.chat_completions" if is_chat else "http.completions", cat="request", args=args):
            try:
                completion = Completion.of(await _json(request), request_id, is_chat)
                # The span reads its arguments when it ends.
                args.update(max_tokens=completion.max_tokens, stream=completion.stream)
                if completion.stream:
                    return await self._stream(request, completion)
                return await self._whole(completion)
            except BadRequest as error:
                return _failure(400, error)
            except EngineError as error:
                return _failure(503, error)

    async def _whole(self, completion: Completion) -> web.Response:
        tokens = []
        async for token in self._tokens(completion):
            tokens.append(token)
            profile_instant("request.token", cat="request", args={"request_id": completion.request_id})
        usage = {"prompt_tokens": len(completion.prompt), "completion_tokens": len(tokens)}
        return web.json_response({**_chunk(completion, _text(tokens), "length"), "usage": usage})

    async def _stream(self, request: web.Request, completion: Completion) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        request_id, finish_reason = completion.request_id, "length"
        with profile_span("http.stream_completion", cat="request", args={"request_id": request_id}):
            pace = Pace()
            try:
                async for token in self._tokens(completion):
                    if not response.prepared:
                        await response.prepare(request)
                    last = pace.tokens + 1 == completion.max_tokens
                    await _send(response, _chunk(completion, _text([token]), "length" if last else None))
                    pace.token(request_id)
                pace.finish(request_id)
                await response.write(b"data: [DONE]\n\n")
            except (ConnectionResetError, asyncio.CancelledError):
                finish_reason = "abort"
                raise
            except EngineError as error:
                finish_reason = "error"
                if not response.prepared:
                    raise
                await _send(response, {"error": {"message": str(error)}})
            finally:
                finished = {"request_id": request_id, "finish_reason": finish_reason}
                profile_instant("http.stream_completion.finished", cat="request", args=finished)
        return response

    async def _tokens(self, completion: Completion) -> AsyncIterator[int]:
        tokens = self._engine.generate(completion.request_id, completion.prompt, completion.max_tokens)
        try:
            async for token in tokens:
                yield token
                self._last_token_us = _now_us()
        finally:
            await tokens.aclose()

    def record_load(self) -> None:
        """Records the time from the first request to the last token, which makes counts of tokens a rate."""
        if self._first_arrival_us is not None and self._last_token_us:
            duration_us = self._last_token_us - self._first_arrival_us
            profile_duration("serving.load", dur_us=duration_us, ts_us=self._first_arrival_us, cat="serving")


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise BadRequest("body: expected JSON") from None


async def _send(response: web.StreamResponse, chunk: Dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def _chunk(completion: Completion, text: str, finish_reason: Optional[str]) -> Dict[str, Any]:
    choice: Dict[str, Any] = {"index": 0, "finish_reason": finish_reason}
    if completion.is_chat:
        choice["delta" if completion.stream else "message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    kind = "chat.completion" if completion.is_chat else "text_completion"
    return {"id": completion.request_id, "object": kind, "model": _MODEL, "choices": [choice]}


def _text(tokens: List[int]) -> str:
    return bytes(tokens).decode("latin-1")


def _failure(status: int, error: Exception) -> web.Response:
    return web.json_response({"error": {"message": str(error)}}, status=status)


def _now_us() -> int:
    return time.perf_counter_ns() // 1000
