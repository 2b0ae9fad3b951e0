from __future__ import annotations

import base64
import re
import tomllib
from pathlib import Path

import pytest

from connector.domains.registry import DOMAINS
from connector.errors import ConfigurationError
from connector.master_key import make_master_key, read_master_key
from connector.settings import KEYS, MASK, Effective, Settings, load_settings

SHIPPED = Path(__file__).parents[2] / "config" / "connector.toml"
SECRET = "UExBTlRFRC1JTi1BLVRFU1Q="


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(directory: Path, text: str) -> Path:
    path = directory / "given.toml"
    path.write_text(text)
    return path


def shown(effective: Effective, key: str) -> tuple[str, str]:
    return next((value.text, value.source) for value in effective.values() if value.key == key)


def refused(config: Path | None = None, flags: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config, flags)
    return str(caught.value)


class TestTheShippedFile:
    def test_it_says_every_default_and_nothing_else(self) -> None:
        tables = tomllib.loads(SHIPPED.read_text())
        defaults = Settings().model_dump(mode="json")
        access = ("username", "password", "ca_file")
        unset = {("vault", "master_key"), ("registry", "url")}
        unset |= {(section, name) for section in ("kafka", "registry") for name in access}
        for section, name in unset:
            assert defaults[section].pop(name) is None
        assert tables == defaults

    def test_every_key_has_a_comment_with_its_default(self) -> None:
        lines = SHIPPED.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.match(r"(# )?[a-z_]+ = ", line):
                comment = lines[number - 1]
                assert comment.startswith("# "), line
                assert "Default: " in comment, line
                said = comment.rpartition("Default: ")[2].rstrip(".").partition(" (")[0]
                value = re.sub(r"^(\d+)\.0$", r"\1", line.partition(" = ")[2].strip('"'))
                assert said == value or said in {"not set", "the sandbox on this machine"}, line

    def test_secrets_are_named_in_it_but_not_set(self) -> None:
        assert "# master_key = " in SHIPPED.read_text()
        assert "# password = " in SHIPPED.read_text()

    def test_it_loads(self) -> None:
        effective = load_settings(SHIPPED)
        assert effective.settings == Settings()
        assert shown(effective, "bank.app_version")[1] == f"{SHIPPED}, line 16"


class TestLayers:
    def test_defaults_alone(self) -> None:
        assert {value.source for value in load_settings().values()} == {"default"}
        assert [value.key for value in load_settings().values()] == list(KEYS)

    def test_each_layer_counts_over_the_one_below(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = written(tmp_path, "[polling]\npage_limit = 10\nhead_page_cap = 11\njitter_ratio = 0.3\n")
        monkeypatch.setenv("ZINDIGI_POLLING__HEAD_PAGE_CAP", "12")
        monkeypatch.setenv("ZINDIGI_POLLING__JITTER_RATIO", "0.4")
        effective = load_settings(path, {"polling.jitter_ratio": "0.5"})
        assert shown(effective, "polling.page_limit") == ("10", f"{path}, line 2")
        assert shown(effective, "polling.head_page_cap") == ("12", "$ZINDIGI_POLLING__HEAD_PAGE_CAP")
        assert shown(effective, "polling.jitter_ratio") == ("0.5", "--set")
        assert shown(effective, "polling.read_restart_cap") == ("5", "default")

    def test_one_key_of_a_section_leaves_the_others_alone(self) -> None:
        settings = load_settings(
            flags={"backends.bank.rate_per_second": "7", "polling.transactions.head_interval_seconds": "0.5"}
        ).settings
        assert settings.backends.limits("bank").max_concurrency == 16
        assert settings.polling.cadence("transactions").reconcile_interval_seconds == 1800

    def test_the_file_in_the_working_directory_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "connector.toml").write_text("shutdown_seconds = 3\n")
        assert shown(load_settings(), "shutdown_seconds") == ("3.0", "config/connector.toml, line 1")

    def test_the_file_named_by_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZINDIGI_CONFIG", str(written(tmp_path, "shutdown_seconds = 4\n")))
        assert load_settings().settings.shutdown_seconds == 4
        assert load_settings(written(tmp_path, "shutdown_seconds = 5\n")).settings.shutdown_seconds == 5

    def test_every_kind_of_resource_and_backend_can_be_set(self) -> None:
        settings = Settings()
        for domain in DOMAINS.values():
            for kind in domain.resources:
                cadence = settings.polling.cadence(kind.name)
                assert cadence.head_interval_seconds == kind.head_interval_seconds
                assert cadence.reconcile_interval_seconds == kind.reconcile_interval_seconds
                assert settings.backends.limits(kind.backend).max_concurrency > 0


class TestRefusals:
    def test_an_unknown_key_of_the_file(self, tmp_path: Path) -> None:
        path = written(tmp_path, "[bank]\n\nbase_ulr = 'http://x'\n")
        assert refused(path) == f"unknown setting bank.base_ulr ({path}, line 3): did you mean bank.base_url?"

    def test_an_unknown_section_of_the_file(self, tmp_path: Path) -> None:
        path = written(tmp_path, "[jurnal]\npath = 'x'\n")
        assert "unknown setting jurnal.path" in refused(path)
        assert "did you mean journal.path?" in refused(path)

    def test_a_key_in_the_wrong_section(self, tmp_path: Path) -> None:
        assert "did you mean consent.default_days?" in refused(written(tmp_path, "default_days = 3\n"))

    def test_a_section_given_as_a_value(self, tmp_path: Path) -> None:
        assert "bank is a section, not a value" in refused(written(tmp_path, "bank = 'http://x'\n"))

    def test_a_wrong_value_of_each_layer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = written(tmp_path, "[polling]\npage_limit = 0\n")
        monkeypatch.setenv("ZINDIGI_SHUTDOWN_SECONDS", "soon")
        lines = refused(path, {"log.format": "jsn"}).splitlines()
        assert f"polling.page_limit = 0 ({path}, line 2): input should be greater than or equal to 1" in lines
        assert any(line.startswith("shutdown_seconds = 'soon' ($ZINDIGI_SHUTDOWN_SECONDS): ") for line in lines)
        assert any(line.startswith("log.format = 'jsn' (--set): ") and "mean json?" in line for line in lines)
        assert len(lines) == 3

    def test_a_cadence_that_there_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZINDIGI_CADENCE__LOYALTY", "hourly")
        said = refused()
        assert said.startswith("cadence.loyalty = 'hourly' ($ZINDIGI_CADENCE__LOYALTY): 'hourly' is no cadence; there ")
        assert "snapshot@06:00,18:00" in said

    def test_a_cadence_of_each_domain(self) -> None:
        settings = load_settings(flags={"cadence.loyalty": "snapshot@18:00,06:00"}).settings
        assert {name: str(settings.cadence.mode(name)) for name in DOMAINS} == {
            **dict.fromkeys(DOMAINS, "live"),
            "loyalty": "snapshot@06:00,18:00",
        }

    def test_what_kubernetes_sets_for_a_service_is_passed_over_and_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        links = {
            "ZINDIGI_SERVICE_HOST": "10.0.0.7",
            "ZINDIGI_SERVICE_PORT": "8642",
            "ZINDIGI_SERVICE_PORT_HTTP": "8642",
            "ZINDIGI_PORT": "tcp://10.0.0.7:8642",
            "ZINDIGI_PORT_8642_TCP": "tcp://10.0.0.7:8642",
            "ZINDIGI_PORT_8642_TCP_PROTO": "tcp",
            "ZINDIGI_PORT_8642_TCP_PORT": "8642",
            "ZINDIGI_PORT_8642_TCP_ADDR": "10.0.0.7",
            "ZINDIGI_SANDBOX_SERVICE_HOST": "10.0.0.8",
        }
        for name, value in links.items():
            monkeypatch.setenv(name, value)
        assert set(load_settings().ignored) == set(links)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("ZINDIGI_PORT", "8642"), ("ZINDIGI_BANK__PORT", "tcp://10.0.0.7:1"), ("ZINDIGI_HOST", "10.0.0.7")],
    )
    def test_what_only_looks_like_it_is_refused_as_ever(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        assert f"unknown environment variable {name}" in refused()

    def test_an_unknown_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZINDIGI_VAULT__MASTERKEY", SECRET)
        said = refused()
        assert said == (
            "unknown environment variable ZINDIGI_VAULT__MASTERKEY: did you mean ZINDIGI_VAULT__MASTER_KEY?"
        )

    def test_an_unknown_flag(self) -> None:
        assert refused(flags={"log.lvl": "info"}) == "unknown setting log.lvl (--set): did you mean log.level?"

    def test_a_file_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "(from --config)" in refused(tmp_path / "none.toml")
        monkeypatch.setenv("ZINDIGI_CONFIG", "none.toml")
        assert "there is no configuration file none.toml (from $ZINDIGI_CONFIG)" in refused()

    def test_a_file_that_is_no_toml(self, tmp_path: Path) -> None:
        path = written(tmp_path, "[bank\n")
        assert f"the configuration file {path} cannot be read" in refused(path)

    def test_a_secret_is_never_repeated(self, tmp_path: Path) -> None:
        path = written(tmp_path, f"[vault]\nmaster_key = ['{SECRET}']\n")
        assert f"vault.master_key = {MASK} ({path}, line 2)" in refused(path)
        assert SECRET not in refused(path)

    def test_a_section_that_is_wrong_as_a_whole_does_not_repeat_its_secrets(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ZINDIGI_KAFKA__PASSWORD", SECRET)
        said = refused(flags={"kafka.commit_timeout_seconds": "50"})
        assert "commit_timeout_seconds must be at most half of transaction_timeout_seconds" in said
        assert SECRET not in said

    def test_a_password_in_an_address_is_refused_and_not_repeated(self) -> None:
        said = refused(flags={"registry.url": f"https://user:{SECRET}@registry.example.invalid"})
        assert said.startswith(f"registry.url = {MASK} (--set): ")
        assert SECRET not in said


class TestTheMasterKey:
    def test_made_once_for_its_owner_only(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "master.key"
        make_master_key(path)
        assert path.stat().st_mode & 0o777 == 0o600
        key = read_master_key(load_settings(flags={"vault.master_key_file": str(path)}).settings)
        assert len(key) == 32
        with pytest.raises(ConfigurationError, match="never overwritten"):
            make_master_key(path)

    def test_the_variable_counts_before_the_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZINDIGI_VAULT__MASTER_KEY", base64.b64encode(b"k" * 32).decode())
        effective = load_settings()
        assert read_master_key(effective.settings, effective.sources) == b"k" * 32
        assert shown(effective, "vault.master_key") == (MASK, "$ZINDIGI_VAULT__MASTER_KEY")
        assert "a2tra2tr" not in repr(effective)

    def test_none_says_where_it_was_looked_for(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            read_master_key(load_settings().settings)
        for place in ("$ZINDIGI_VAULT__MASTER_KEY", "data/master.key", "zindigi vault init"):
            assert place in str(caught.value)

    @pytest.mark.parametrize("text", ["short", SECRET, "not base64!", ""])
    def test_a_wrong_key_is_refused_without_being_shown(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "master.key"
        path.write_text(text)
        path.chmod(0o600)
        settings = load_settings(flags={"vault.master_key_file": str(path)}).settings
        with pytest.raises(ConfigurationError, match="is not base64 of 32 bytes") as caught:
            read_master_key(settings)
        assert not text or text not in str(caught.value)

    def test_a_key_that_others_may_read_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "master.key"
        make_master_key(path)
        path.chmod(0o640)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            read_master_key(load_settings(flags={"vault.master_key_file": str(path)}).settings)
