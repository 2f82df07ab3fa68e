"""What was tried, and what came of it."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Row:
    """One case: what it must show, what it has shown, and all that is wrong with that."""

    case: str
    target: str
    figures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def tell(self, figure: str) -> None:
        self.figures.append(figure)

    def need(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


def slowness() -> float:
    """How many times slower than by itself a process of this machine runs now, by what waits for a processor."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Table:
    """The rows in the order of their coming, each said as soon as it is known."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.begun = time.monotonic()

    def add(self, row: Row) -> None:
        """Takes a row that is known."""
        self.rows.append(row)
        print(f"[{time.monotonic() - self.begun:4.0f} s] {self.line(row)}", flush=True)
        for wrong in row.wrong:
            print(f"         {wrong}", flush=True)

    def attempt(self, case: str, target: str, tried: Callable[[Row], None]) -> None:
        """Tries a case, which tells its row what it sees; one that breaks off is wrong, and the next ones go on."""
        row = Row(case, target)
        try:
            tried(row)
        except (RuntimeError, LookupError, ValueError, OSError) as error:
            row.wrong.append(f"broke off: {error!r}")
        self.add(row)

    def line(self, row: Row) -> str:
        return f"{'FAILED' if row.wrong else 'ok    '} {row.case}: {', '.join(row.figures)}"

    def show(self) -> int:
        """Prints all as Markdown; the number of rows that are wrong."""
        print("\n| case | target | measured | |\n|---|---|---|---|")
        for row in self.rows:
            verdict = "; ".join(row.wrong) if row.wrong else "ok"
            print(f"| {row.case} | {row.target} | {', '.join(row.figures)} | {verdict} |")
        failed = sum(bool(row.wrong) for row in self.rows)
        print(f"\n{len(self.rows) - failed} passed, {failed} failed")
        return failed
