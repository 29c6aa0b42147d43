"""Log records on the time line."""

from __future__ import annotations

import logging

from ringscope import _ringscope


class LogHandler(logging.Handler):
    """A `logging.Handler` that records each log record as an instant, named after its logger.

        logging.getLogger().addHandler(ringscope.LogHandler())
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _ringscope.instant(record.name, cat="log", args={"severity": record.levelname, "message": self.format(record)})
        except Exception:
            self.handleError(record)
