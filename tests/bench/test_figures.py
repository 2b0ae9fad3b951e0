"""Arithmetic and printing of figures."""

from __future__ import annotations

import os

import anyio
import pytest

from tests.bench import __main__ as command_line
from tests.bench.comparison import Comparison
from tests.bench.measure import Sample, Spread, apart, metered, percentile, ratio_of
from tests.bench.resident import Footprint, solve
from tests.bench.table import Table, figure, times


def test_ratios_are_of_cpu_and_within_a_round() -> None:
    ours = [Sample(2.0, 9.0, 10), Sample(6.0, 9.0, 10), Sample(4.0, 9.0, 10)]
    other = [Sample(1.0, 1.0, 10), Sample(2.0, 1.0, 10), Sample(4.0, 1.0, 10)]
    compared = Comparison("sqlite", "ours", {"ours": ours, "other": other})
    assert compared.ratio("other") == Spread(2.0, 1.0, 3.0)
    assert [row[-1] for row in compared.rows()] == ["", "2.00x (1.00-3.00)"]
    assert times(ratio_of([3.0], [2.0])) == "1.50x"
    assert Sample(2.0, 4.0, 1000).cpu_micros == 2000.0


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)


def test_coefficients_are_those_that_the_points_were_made_of() -> None:
    def point(holders: int, entities: int) -> Footprint:
        size = 5_000 + holders * (1_000 + 96 * entities)
        return Footprint("resident set", holders, entities, size, size + holders)

    points = [point(500, 20), point(2500, 20), point(500, 100)]
    found = solve(points, "restored"), solve(points, "polled")
    assert [(one.fixed, one.holder, one.entity) for one in found] == [(5_000, 1_000, 96), (5_000, 1_001, 96)]


def test_the_meter_counts_work_and_not_waiting() -> None:
    with metered() as waiting:
        anyio.run(anyio.sleep, 0.2)
    with metered() as working:
        sum(range(5_000_000))
    assert waiting.wall_seconds >= 0.2
    assert waiting.cpu_seconds < 0.2
    assert working.cpu_seconds > 0


def test_work_apart_is_done_in_another_process() -> None:
    assert apart(os.getpid) != os.getpid()


def test_figures_have_three_digits() -> None:
    shown = {0.01234: "0.0123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 12345.6: "12,346"}
    assert {value: figure(value) for value in shown} == shown


def test_a_table_has_names_to_the_left_and_figures_to_the_right() -> None:
    table = Table("Title", ("a", "b", "c"), (("x", "longer", "1"), ("y", "z", "100")), ("A note.",))
    assert table.text() == "Title\na  b         c\nx  longer    1\ny  z       100\n  A note."
    assert table.markdown().splitlines()[3] == "| --- | --- | ---: |"


def test_tables_are_put_between_the_marks_of_a_document() -> None:
    document = f"before\n{command_line.BEGINNING}\nold\n{command_line.END}\nafter\n"
    put = command_line.put_into(document, "new")
    assert put == f"before\n{command_line.BEGINNING}\n\nnew\n\n{command_line.END}\nafter\n"
    with pytest.raises(ValueError, match="no marks"):
        command_line.put_into("nothing", "new")


def test_a_subject_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.parse(["--only", "idle,nothing"])
    assert "there is no nothing" in capsys.readouterr().err
    assert command_line.parse(["--only", "idle,commit"]).only == ["idle", "commit"]
