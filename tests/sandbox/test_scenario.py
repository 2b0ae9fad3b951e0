"""Scenario files: those that ship are sound, and mistakes in one's own are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.sandbox.people import iban
from connector.sandbox.scenario import load_scenario

HOLDER = """
[[holders]]
label = "one"
tier = "L1"
persona = "salaried"
name = "Sania Khuhro"
msisdn = "+923000000011"
cnic = "42000-0000011-2"
pin = "2741"
"""
HEAD = 'title = "t"\nmode = "free"\n'
SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "config" / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_are_sound(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.title == name
    assert all(holder.msisdn.startswith("+9230000000") for holder in scenario.holders)


def test_the_scenarios_that_are_promised_ship() -> None:
    assert {"demo", "life", "lockstep", "crash", "peers", "faults"} <= set(SHIPPED)
    assert [holder.tier for holder in load_scenario("demo").holders] == ["L1", "L0", "ULTRA", "L1", "L1"]
    assert [holder.minor for holder in load_scenario("demo").holders] == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "paice = 3.0\n" + HOLDER, "unknown key paice; did you mean pace?"),
        (HEAD + HOLDER + 'persno = "x"\n', "unknown key holders.0.persno; did you mean persona?"),
        (HEAD + HOLDER + "[rates]\nammend = 0.1\n", "unknown key rates.ammend; did you mean amend?"),
        (HEAD + HOLDER + "[front_door]\notp_second = 3.0\n", "front_door.otp_second; did you mean otp_seconds?"),
        (HEAD + HOLDER.replace("salaried", "salary"), "holders.0.persona"),
        (HEAD + HOLDER.replace("+92300", "0300"), "holders.0.msisdn"),
        (HEAD + HOLDER + '[[faults]]\nkind = "latancy"\n', "faults.0.kind"),
        (HEAD + HOLDER + '[[faults]]\nkind = "latency"\nparams = { second = 1 }\n', "did you mean seconds?"),
        (HEAD + HOLDER + HOLDER, "two holders share the label one"),
        (HEAD, "holders"),
        ("title = ", "Invalid value"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_scenario(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_scenario_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="did you mean lockstep"):
        load_scenario("lockstpe")
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load_scenario("nowhere.toml")


def test_ibans_carry_valid_check_digits() -> None:
    made = iban("JSBL", "9999903000000011")
    assert len(made) == 24
    assert int("".join(str(int(character, 36)) for character in made[4:] + made[:4])) % 97 == 1
