"""Server settings: their sources, which source wins, and the message about an invalid one."""

import os
from pathlib import Path

import pytest

from server.settings import (
    GIVEN_TO_HOOKS,
    PREFIX,
    ServerSettings,
    SettingsError,
    choose_data_dir,
    load_settings,
    unknown_variables,
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*ServerSettings.model_fields, "config"]:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)


def test_settings_have_the_promised_defaults() -> None:
    settings = load_settings()
    assert settings.data_dir == Path("./data")
    assert (settings.sftp_host, settings.sftp_port) == ("0.0.0.0", 2222)
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)
    assert (settings.log_format, settings.metrics_auth, settings.sftp_legacy_algorithms) == ("text", "none", False)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "headcount.toml"
    config.write_text('sftp_port = 2022\nhttp_port = 8081\nlog_format = "json"\n')
    monkeypatch.setenv("HEADCOUNT_CONFIG", str(config))
    monkeypatch.setenv("HEADCOUNT_SFTP_PORT", "2023")
    settings = load_settings()
    assert (settings.sftp_port, settings.http_port, settings.log_format) == (2023, 8081, "json")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_SFTP_PORT", "")
    monkeypatch.setenv("HEADCOUNT_SMTP_URL", "")
    assert load_settings().sftp_port == 2222


def test_words_are_accepted_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_LOG_LEVEL", "WARNING")
    assert load_settings().log_level == "warning"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SFTP_PORT", "70000", "HEADCOUNT_SFTP_PORT: must be at most 65535, not “70000”"),
        ("HTTP_PORT", "tcp://10.0.0.1:80", "HEADCOUNT_HTTP_PORT: must be a whole number, not “tcp"),
        ("LOG_FORMAT", "xml", "HEADCOUNT_LOG_FORMAT: must be “text” or “json”, not “xml”"),
        ("MAX_CHANNELS", "0", "HEADCOUNT_MAX_CHANNELS: must be at least 1, not “0”"),
        ("SFTP_LEGACY_ALGORITHMS", "maybe", "HEADCOUNT_SFTP_LEGACY_ALGORITHMS: must be true or false, not “maybe”"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"HEADCOUNT_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_only_this_machine_is_a_trusted_proxy_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [str(each) for each in load_settings().http_trusted_proxies] == ["127.0.0.1/32", "::1/128"]
    monkeypatch.setenv("HEADCOUNT_HTTP_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1")
    assert [str(each) for each in load_settings().http_trusted_proxies] == ["10.0.0.0/8", "2001:db8::1/128"]
    monkeypatch.setenv("HEADCOUNT_HTTP_TRUSTED_PROXIES", "traefik")
    with pytest.raises(SettingsError, match=r"_TRUSTED_PROXIES: “traefik” is not a network such as [^,]*$"):
        load_settings()


def test_an_invalid_mail_server_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_SMTP_URL", "http://me:hunter2@mail")
    with pytest.raises(SettingsError, match="HEADCOUNT_SMTP_URL") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_wrong_value_in_the_file_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "headcount.toml"
    config.write_text("max_handles = -1\n")
    monkeypatch.setenv("HEADCOUNT_CONFIG", str(config))
    with pytest.raises(SettingsError, match=r"max_handles in .*headcount\.toml: must be"):
        load_settings()


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "headcount.toml"
    config.write_text("sftp_prot = 22\n")
    monkeypatch.setenv("HEADCOUNT_CONFIG", str(config))
    with pytest.raises(SettingsError, match=r"sftp_prot in .*: is not a setting; did you mean sftp_port"):
        load_settings()


def test_all_wrong_settings_are_named_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "headcount.toml"
    config.write_text("sftp_prot = 22\nmax_handles = -1\n")
    monkeypatch.setenv("HEADCOUNT_CONFIG", str(config))
    monkeypatch.setenv("HEADCOUNT_SMTP_URL", "http://me:hunter2@mail")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.settings.keys() == {
        "HEADCOUNT_SMTP_URL", f"max_handles in {config}", f"sftp_prot in {config}"
    }  # fmt: skip
    assert "hunter2" not in str(caught.value.settings)


def test_the_chosen_data_folder_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_DATA_DIR", str(tmp_path / "one"))
    choose_data_dir(tmp_path / "two")
    assert load_settings().data_dir == tmp_path / "two"
    choose_data_dir(None)
    assert load_settings().data_dir == tmp_path / "one"


def test_unknown_variables_are_named_with_the_nearest_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for name in ("DATADIR", "CONFIG", "sftp_port", "ZZZ", *GIVEN_TO_HOOKS):
        monkeypatch.setenv(f"{PREFIX}{name}", "1")
    monkeypatch.setenv(f"{PREFIX}EMPTY", "")
    assert unknown_variables() == [
        "HEADCOUNT_DATADIR is not a setting; did you mean HEADCOUNT_DATA_DIR?",
        "HEADCOUNT_ZZZ is not a setting",
    ]


@pytest.mark.parametrize("content", [b"sftp_port = ", b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    config = tmp_path / "headcount.toml"
    if content is not None:
        config.write_bytes(content)
    monkeypatch.setenv("HEADCOUNT_CONFIG", str(config))
    with pytest.raises(SettingsError, match="HEADCOUNT_CONFIG names"):
        load_settings()


def test_no_network_is_unbanned_and_no_balancer_trusted_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings()
    assert (settings.unbanned_networks, settings.trusted_balancers) == ((), ())
    assert (settings.penalty_no_login_s, settings.penalty_refused_s, settings.penalty_grace_s) == (1, 5, 10)
    assert (settings.penalty_min_s, settings.penalty_max_s) == (15, 600)
    monkeypatch.setenv("HEADCOUNT_UNBANNED_NETWORKS", "10.0.0.0/8,2001:db8::/32")
    assert [str(each) for each in load_settings().unbanned_networks] == ["10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://hr.example.com/", "https://hr.example.com"),
        ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ("HTTPS://hr.example.com:8443", "HTTPS://hr.example.com:8443"),
    ],
)
def test_the_public_address_of_the_pages_is_kept_without_its_last_slash(
    monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    assert load_settings().http_public_url is None
    monkeypatch.setenv("HEADCOUNT_HTTP_PUBLIC_URL", given)
    assert load_settings().http_public_url == kept


@pytest.mark.parametrize(
    "given",
    [
        *(
            "hr.example.com",
            "ftp://hr.example.com",
            "https://",
            "https://hr.example.com/?a=b",
            "https://a.example/#b",
        ),
        *(
            "https://hr.example.com:99999",
            "https://hr example.com",
            "https://[::1",
            "https://hér.example",
            "https://a?",
        ),
        "https://me:hunter2@hr.example.com",
        *(
            "https://example.com/headcount",
            "https://example.com//",
            "https://example.com/;a",
            "https://example.com/%20",
        ),
        *(
            'https://example.com/"><b>',
            "https://a_b<.example",
            "javascript://example.com",
            "https:///x",
            "https://a\\b",
        ),
    ],
)
def test_a_wrong_public_address_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HEADCOUNT_HTTP_PUBLIC_URL", given)
    said = r"^HEADCOUNT_HTTP_PUBLIC_URL: must be a web address without path and query, such as https://headcount\.example\.com"
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_modules_of_hooks_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load_settings().hooks == ()
    monkeypatch.setenv("HEADCOUNT_HOOKS", "my_hooks, acme.more_hooks,")
    assert load_settings().hooks == ("my_hooks", "acme.more_hooks")
    monkeypatch.delenv("HEADCOUNT_HOOKS")
    (tmp_path / "headcount.toml").write_text('hooks = ["my_hooks"]\n')
    monkeypatch.setenv("HEADCOUNT_CONFIG", str(tmp_path / "headcount.toml"))
    assert load_settings().hooks == ("my_hooks",)


@pytest.mark.parametrize("given", ["my_hooks.py", "./my_hooks", "a..b", "my-hooks", "1"])
def test_what_is_not_a_module_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HEADCOUNT_HOOKS", f"good,{given}")
    with pytest.raises(SettingsError, match="HEADCOUNT_HOOKS: “") as caught:
        load_settings()
    assert str(caught.value) == f"HEADCOUNT_HOOKS: “{given}” is not the name of a module, such as my_hooks"
