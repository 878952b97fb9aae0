"""An export of another system on the real server: checked, settings loaded, sent, fixed, exported."""

from __future__ import annotations

from pathlib import Path

from tests.integration.reconcile.test_hr_exports import BY_NUMBER
from tests.support.clients import needs
from tests.support.server_process import ServerProcess

pytestmark = needs("sftp")


def test_an_export_of_an_hr_system_fits_with_suggested_settings(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme", custom_fields='[{"key": "employee_id"}]', identifier="employee_id")
        file, settings = tmp_path / "export.csv", tmp_path / "acme.toml"
        file.write_bytes(BY_NUMBER)
        checked = server.cli("check", "acme", str(file), "--propose", str(settings), check=False)
        assert (checked.code, "With these settings: completed, 3 created" in checked.text) == (1, True)
        server.cli("tenant", "load", "acme", str(settings))
        server.put("acme", BY_NUMBER.replace(b"3/30/2015", b"someday"))
        assert server.wait("acme")["counts"] | {"created": 2, "rejected": 1} == server.wait("acme")["counts"]
        # The fixed row is recognized as a correction although the file has semicolons.
        errors = server.stored.visible("acme", "/results/sync_users-1.errors.csv")
        assert errors
        server.cli("tenant", "set", "acme", "deactivate_missing=true")
        server.put("acme", errors.replace(b"someday", b"3/30/2015"))
        fixed = server.wait("acme")
        assert (fixed["state"], fixed["counts"]["created"], fixed["counts"]["deactivated"]) == ("completed", 1, 0)
        karthikeyan = server.cli("users", "show", "acme", "10084", "--json").json
        assert (karthikeyan["manager"], karthikeyan["hire_date"]) == ("10026", "2015-03-30")
        assert server.cli("users", "show", "acme", "10026", "--json").json["last_name"] == "Ad\u00ednolfi"
        # The export has the form that the settings read.
        exported = server.cli("users", "export", "acme").out
        assert exported.startswith(b"\xef\xbb\xbffirst_name;last_name;email;")
        server.put("acme", exported)
        assert server.wait("acme")["state"] == "unchanged"
        changed = [entry["key"] for entry in server.cli("tenant", "history", "acme", "--json").json]
        assert changed[0] == "deactivate_missing"
        assert {"delimiter", "encoding", "date_format", "field_mapping"} <= set(changed)
        assert server.stop() == 0
