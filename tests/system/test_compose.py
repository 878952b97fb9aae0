"""The files of deploy/ for containers agree with each other and with the server: names, ports, volumes, secrets."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from headcount import __version__
from server.settings import ServerSettings
from tests.support import ROOT
from tests.support.clients import client, needs
from tests.support.proxies import free_ports, replaced
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

DEPLOY = ROOT / "deploy"
LOCKS = ("requirements.lock", "requirements-postgres.lock")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
PROMETHEUS = (DEPLOY / "prometheus.yaml").read_text(encoding="utf-8")
SITE = "files.example.com"
FULL_VERSION = re.compile(r"[\w/]+:v?\d+\.\d+\.\d+(-[a-z]+)*")


def lines_of(instruction: str) -> list[str]:
    """Return the arguments of each such instruction of the Dockerfile; a line may be continued."""
    text = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{instruction} +(.+)$", text, re.MULTILINE)


def image_env() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(lines_of("ENV"))))


def compose_env(service: str) -> dict[str, str]:
    """Return the environment that compose.yaml gives a service."""
    values = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{SITE_NAME:\?[^}]*\}", SITE, value) for name, value in values.items()}


def mounts(service: str) -> list[tuple[str, str]]:
    return [(each.split(":")[0], each.split(":")[1]) for each in SERVICES[service].get("volumes", [])]


def default(name: str) -> Any:
    return ServerSettings.model_fields[name].default


# The image


def test_the_base_is_a_full_version_of_a_python_that_the_server_supports() -> None:
    base, _lock = lines_of("ARG")[:2]
    found = re.fullmatch(r"BASE=python:3\.(\d+)\.\d+-slim-[a-z]+", base)
    assert found
    assert int(found[1]) >= 11
    assert [each.split()[0] for each in lines_of("FROM")] == ["${BASE}"] * 2


def test_the_image_runs_as_another_user_than_root_with_one_volume_for_the_data() -> None:
    (user,), (volume,), env = lines_of("USER"), lines_of("VOLUME"), image_env()
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert f"--uid {user.split(':')[0]} " in DOCKERFILE
    assert volume == env["HEADCOUNT_DATA_DIR"]
    assert json.loads(lines_of("ENTRYPOINT")[0]) + json.loads(lines_of("CMD")[0]) == ["headcount", "serve"]
    assert lines_of("EXPOSE") == [f"{default('sftp_port')} {default('http_port')}"]


def test_the_image_has_every_package_and_nothing_else_that_could_be_secret() -> None:
    wanted = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.split(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    documents = {project["project"]["readme"], *project["project"]["license-files"]}
    # The help of the server is a link to docs/.
    assert wanted == packages | documents | {"docs", "pyproject.toml", *LOCKS}
    assert f"ARG LOCK={LOCKS[0]}\n" in DOCKERFILE
    assert "--require-hashes -r ${LOCK}" in DOCKERFILE


def test_the_health_check_fails_if_the_server_does_not_answer(tmp_path: Path) -> None:
    check = json.loads(lines_of("HEALTHCHECK")[0].partition("CMD")[2])
    assert f", {default('http_port')})" in check[-1]
    with ServerProcess(tmp_path) as server:
        command, env = [sys.executable, *check[1:]], {"HEADCOUNT_HTTP_PORT": str(server.http_port)}

        def is_well() -> bool:
            """Check once. The answer of a busy machine may come after the check has given up."""
            return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0

        wait_until(is_well, what="the check to succeed")
        server.stop()
        assert not is_well()


# compose.yaml


def test_every_image_is_pinned_to_a_full_version_and_that_of_headcount_to_this_one() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert all(FULL_VERSION.fullmatch(image) for image in images.values()), images
    assert images["headcount"] == f"headcount:{__version__}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_read_only_and_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])


@pytest.mark.parametrize("name", SERVICES)
def test_the_log_of_no_container_grows_without_limit(name: str) -> None:
    """By default, Docker never rotates the log of a container. Its driver `local` does."""
    assert SERVICES[name]["logging"] == {"driver": "local", "options": {"max-size": "20m", "max-file": "5"}}


def test_only_sftp_and_the_proxy_are_reachable_from_outside() -> None:
    outside = {
        port for service in SERVICES.values() for port in service["ports"] if not port.startswith("127.0.0.1:")
    }
    sftp = default("sftp_port")
    assert outside == {f"{sftp}:{sftp}", "80:80", "443:443"}


def test_the_data_is_on_the_volume_of_the_image() -> None:
    folders = dict(mounts("headcount"))
    assert folders["data"] == lines_of("VOLUME")[0]
    assert folders["backup"] in DOCKERFILE, "the image makes it for its user"


def test_every_volume_and_secret_is_declared_and_used() -> None:
    named = {source for name in SERVICES for source, _ in mounts(name) if not source.startswith((".", "/"))}
    assert named == COMPOSE["volumes"].keys()
    secrets = {each for service in SERVICES.values() for each in service.get("secrets", [])}
    assert secrets == COMPOSE["secrets"].keys()
    assert f"credentials_file: /run/secrets/{SERVICES['prometheus']['secrets'][0]}\n" in PROMETHEUS
    (password,) = SERVICES["grafana"]["secrets"]
    assert compose_env("grafana")["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"/run/secrets/{password}"


def test_every_file_that_a_container_gets_is_in_deploy() -> None:
    given = {source.removeprefix("./") for name in SERVICES for source, _ in mounts(name) if source[0] in "./"}
    assert {"alerts.yaml", "dashboard.json"} <= given
    assert [name for name in given if not (DEPLOY / name).is_file()] == []


def test_the_page_lets_every_user_of_a_container_read_its_files(tmp_path: Path) -> None:
    """A clone by root with umask 077 is readable for root alone; Prometheus and Grafana run as other users."""
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    section = page.partition("\n## In containers\n")[2].partition("\n## ")[0]
    (command,) = re.findall(r"^    (chmod .+)$", section, re.MULTILINE)
    given = [source for name in SERVICES for source, _ in mounts(name) if source[0] in "./"]
    for source in given:
        (tmp_path / source).parent.mkdir(exist_ok=True)
        (tmp_path / source).touch(0o600)
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True)
    assert {source: f"{(tmp_path / source).stat().st_mode & 0o777:o}" for source in given} == dict.fromkeys(
        given, "644"
    )


def test_the_server_gets_time_to_stop() -> None:
    period = SERVICES["headcount"]["stop_grace_period"]
    assert int(period.removesuffix("s")) > default("stop_grace_s")


def test_the_proxy_has_the_address_that_the_server_trusts() -> None:
    address = ipaddress.ip_address(SERVICES["caddy"]["networks"]["inside"]["ipv4_address"])
    (network,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    assert address in ipaddress.ip_network(network["subnet"])
    assert address not in ipaddress.ip_network(network["ip_range"]), "Docker could give it to another container"
    assert compose_env("headcount")["HEADCOUNT_HTTP_TRUSTED_PROXIES"] == str(address)


def test_each_container_finds_the_others_by_name_and_port() -> None:
    server = f"headcount:{default('http_port')}"
    caddy = compose_env("caddy")
    asked = set(re.findall(r"\{\$(\w+):", (DEPLOY / "Caddyfile").read_text(encoding="utf-8")))
    assert caddy == {"SITE_NAME": SITE, "UPSTREAM": server}
    assert asked == caddy.keys()
    (job,) = yaml.safe_load(PROMETHEUS)["scrape_configs"]
    assert job["static_configs"] == [{"targets": [server]}]
    (source,) = yaml.safe_load((DEPLOY / "grafana" / "datasource.yaml").read_text(encoding="utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]


def test_prometheus_and_grafana_read_the_folders_that_they_get() -> None:
    rules, dashboards = dict(mounts("prometheus"))["./alerts.yaml"], dict(mounts("grafana"))["./dashboard.json"]
    assert [Path(each).parent for each in yaml.safe_load(PROMETHEUS)["rule_files"]] == [Path(rules).parent]
    assert f"--config.file={dict(mounts('prometheus'))['./prometheus.yaml']}" in SERVICES["prometheus"]["command"]
    provider = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text(encoding="utf-8"))["providers"][0]
    assert provider["options"]["path"] == str(Path(dashboards).parent)


def test_every_setting_in_the_files_is_a_setting() -> None:
    given = {**image_env(), **compose_env("headcount")}
    names = {name.removeprefix("HEADCOUNT_").lower() for name in given if name.startswith("HEADCOUNT_")}
    assert names <= ServerSettings.model_fields.keys()
    assert len(names) == 6


@needs("docker-compose")
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    folder.mkdir()
    shutil.copy(DEPLOY / "compose.yaml", folder)
    (folder / "headcount.env").touch()
    command = [client("docker-compose"), "--file", "compose.yaml", "config", "--quiet"]
    done = subprocess.run(command, cwd=folder, env={"SITE_NAME": SITE}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "is missing in .env" in done.stderr


# prometheus.yaml


@pytest.fixture
def scraping(tmp_path: Path) -> Iterator[tuple[ServerProcess, Path]]:
    """Start a server with the settings of compose.yaml, and write prometheus.yaml for it."""
    with ServerProcess(tmp_path, env=compose_env("headcount")) as server:
        token = tmp_path / "metrics_token"
        token.write_text(server.cli("token", "create", "--operator").text)
        text = replaced(
            PROMETHEUS,
            {
                "/run/secrets/metrics_token": str(token),
                "/etc/prometheus/rules/*.yaml": str(tmp_path / "*.rules.yaml"),
                "headcount:8080": f"127.0.0.1:{server.http_port}",
                "scrape_interval: 15s": "scrape_interval: 1s",
            },
        )
        config = tmp_path / "prometheus.yml"
        config.write_text(text)
        yield server, config


@needs("promtool", "prometheus")
def test_prometheus_reads_the_metrics_with_the_token_of_an_operator(scraping: tuple[ServerProcess, Path]) -> None:
    server, config = scraping
    subprocess.run([client("promtool"), "check", "config", str(config)], check=True, capture_output=True)
    assert server.get("/metrics").status_code == 401
    (port,) = free_ports(1)
    command = [client("prometheus"), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
    with (config.parent / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--storage.tsdb.path={config.parent / 'series'}"], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: _healths(port) == ["up"], what="Prometheus to have read the metrics")
    finally:
        process.kill()
        process.wait()


def _healths(port: int) -> list[str]:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/targets")
    except httpx.TransportError:
        return []
    return [each["health"] for each in answer.json()["data"]["activeTargets"]] if answer.is_success else []
