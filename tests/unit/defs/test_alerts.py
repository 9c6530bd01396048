"""An alert that can't be sent is told, and is never the end of a run."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from cvm_pipeline.config.load import load_project
from cvm_pipeline.defs.alerts import send_alert

CONFIG = """\
project: Shop
currency: EUR
sources:
  - entity: orders
    path: orders.csv
    columns: {order_id: a, customer_id: b, ordered_at: c, amount: d}
engine: {alerts: {webhook: "${HOOK}"}}
"""


@pytest.fixture
def babbler() -> Iterator[str]:
    """The address of a server that answers with what is no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            asked, _ = server.accept()
            with asked:
                asked.recv(65536)
                asked.sendall(b"garbage\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/s3cret"
        thread.join(5)


def test_a_webhook_that_answers_nonsense_is_told_without_its_address(tmp_path, monkeypatch, babbler) -> None:
    monkeypatch.setenv("HOOK", babbler)
    (tmp_path / "cvm.yml").write_text(CONFIG)
    told = send_alert(load_project(tmp_path / "cvm.yml"), "cvm Shop: failed", "gate: no", "run-1")
    assert told == "the alert's webhook did not take it (BadStatusLine)"
