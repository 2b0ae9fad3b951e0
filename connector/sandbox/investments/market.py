"""The market: invented companies and funds, and what each costs on a day. The same for everybody at one bank."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

InstrumentType = Literal["EQUITY", "FUND"]
FundClass = Literal["MONEY_MARKET", "INCOME", "EQUITY"]
_SATURDAY = 5
_FIRST_DAY = date(2024, 1, 1)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A share or a fund. `swing` is how far a day's price may stray, `daily` by how much it grows a day."""

    type: InstrumentType
    id: str
    name: str
    base: Decimal
    swing: float
    daily: float
    fund_class: FundClass | None = None

    @property
    def entity(self) -> str:
        """The entity of a position in it."""
        return f"holding/{self.type.lower()}/{self.id}"

    @property
    def step(self) -> Decimal:
        """The smallest difference between two of its prices."""
        return Decimal("0.0001") if self.type == "FUND" else Decimal("0.01")


def _share(symbol: str, name: str, base: str) -> Instrument:
    return Instrument("EQUITY", symbol, name, Decimal(base), swing=0.04, daily=0.0002)


EQUITIES = (
    _share("INDPOL", "Indus Polymers Ltd", "84.50"),
    _share("KHYCEM", "Khyber Cement Ltd", "132.20"),
    _share("MAKSUG", "Makran Sugar Mills Ltd", "46.75"),
    _share("RAVTEX", "Ravi Textile Mills Ltd", "61.10"),
    _share("CHEPOW", "Chenab Power Ltd", "28.90"),
    _share("THAFER", "Thal Fertilizer Ltd", "207.40"),
    _share("SUTLOG", "Sutlej Logistics Ltd", "19.35"),
    _share("BOLAUT", "Bolan Motors Ltd", "318.00"),
)
FUNDS = (
    Instrument("FUND", "F-MMF-01", "Invented Cash Fund", Decimal("100.0000"), 0.0001, 0.0004, "MONEY_MARKET"),
    Instrument("FUND", "F-INC-02", "Invented Income Fund", Decimal("52.5000"), 0.0015, 0.0003, "INCOME"),
    Instrument("FUND", "F-EQF-03", "Invented Stock Fund", Decimal("14.2500"), 0.03, 0.0005, "EQUITY"),
)
INSTRUMENTS = {instrument.id: instrument for instrument in (*EQUITIES, *FUNDS)}


def is_trading_day(day: date) -> bool:
    """Monday to Friday."""
    return day.weekday() < _SATURDAY


def next_trading_day(day: date) -> date:
    """The first trading day after `day`."""
    day += timedelta(days=1)
    while not is_trading_day(day):
        day += timedelta(days=1)
    return day


class Market:
    """What everything costs at the bank of that seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def price(self, instrument: Instrument, day: date) -> Decimal:
        """A share's closing price or a fund's net asset value of the day."""
        strayed = Random(f"{self._seed}/market/{instrument.id}/{day}").uniform(-instrument.swing, instrument.swing)
        grown = 1 + instrument.daily * (day - _FIRST_DAY).days + strayed
        return (instrument.base * Decimal(str(round(grown, 6)))).quantize(instrument.step)
