"""A real Prometheus that scrapes a server for a test: `with Prometheus(folder, server, ...) as prometheus`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from tests.support.clients import client
from tests.support.ports import free_port as free_port
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until

INTERVAL = "1s"


class Prometheus:
    """`prometheus` with its data below `folder`. It ends with its context.

    `scrape` is its job; `rules` are its rules, as a file has them.
    """

    def __init__(self, folder: Path, scrape: Mapping[str, Any], rules: str | None = None) -> None:
        self._folder = folder
        folder.mkdir()
        self._url = f"http://127.0.0.1:{free_port()}"
        config: dict[str, Any] = {
            "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
            "scrape_configs": [scrape],
        }
        if rules is not None:
            (folder / "rules.yaml").write_text(rules, encoding="utf-8")
            config["rule_files"] = ["rules.yaml"]
        self._config = folder / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(config), encoding="utf-8")

    def __enter__(self) -> Prometheus:
        options = {
            "config.file": self._config,
            "storage.tsdb.path": self._folder / "data",
            "web.listen-address": self._url.removeprefix("http://"),
            "log.level": "warn",
        }
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [client("prometheus"), *(f"--{name}={value}" for name, value in options.items())],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._is_ready, what="Prometheus to be ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if kind is not None:
            sys.stderr.write((self._folder / "log").read_text())

    def query(self, expression: str) -> list[Mapping[str, Any]]:
        """Return the samples that an expression has now. Raises httpx.HTTPStatusError if it is refused."""
        found = self._get("/api/v1/query", query=expression)["result"]
        assert isinstance(found, list)
        return found

    def label_values(self, metric: str, label: str) -> list[str]:
        """Return the values of a label, as a variable of a dashboard asks for them."""
        found = self._get(f"/api/v1/label/{label}/values", **{"match[]": metric})
        return list(found)

    def firing(self) -> dict[str, list[Mapping[str, str]]]:
        """Return the alerts that fire, by name, each with its labels and annotations."""
        found: dict[str, list[Mapping[str, str]]] = {}
        for each in self._get("/api/v1/alerts")["alerts"]:
            if each["state"] == "firing":
                facts = {**each["labels"], **each["annotations"]}
                found.setdefault(facts["alertname"], []).append(facts)
        return found

    def fires(self, alert: str, **facts: str) -> None:
        """Wait until this alert fires, with these labels and annotations."""
        wait_until(lambda: _has(self.firing().get(alert, []), facts), what=f"{alert} to fire")

    def fired(self, alert: str, **labels: str) -> None:
        """Wait until this alert has fired, even if it does no more: for one that fires for some seconds only."""
        wanted = {"alertname": alert, "alertstate": "firing", **labels}
        chosen = ",".join(f'{name}="{value}"' for name, value in wanted.items())
        ever = f"last_over_time(ALERTS{{{chosen}}}[1h])"
        wait_until(lambda: self.query(ever), 2 * DEADLINE_S, f"{alert} to have fired")

    def clears(self, alert: str) -> None:
        wait_until(lambda: alert not in self.firing(), what=f"{alert} to clear")

    def _get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self._url}{path}", params=parameters, timeout=DEADLINE_S)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return json.loads(answer.text)["data"]

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            return httpx.get(f"{self._url}/-/ready").status_code == 200
        except httpx.HTTPError:
            return False


def _has(found: Sequence[Mapping[str, str]], facts: Mapping[str, str]) -> bool:
    return any(facts.items() <= each.items() for each in found)


def scrape_of(server: ServerProcess, **more: Any) -> dict[str, Any]:
    """Return the job that scrapes `server`."""
    return {"job_name": "headcount", "static_configs": [{"targets": [f"127.0.0.1:{server.http_port}"]}], **more}
