"""`minigpt selftest`."""

import typer
from rich.markup import escape
from rich.table import Column, Table

from minigpt.cli.shared import console
from minigpt.diagnosis.selftest import selftest as outcomes_of_selftest


def selftest() -> None:
    """Say in a few seconds whether the installation works, and what to do where it does not.

    Nothing is downloaded, and nothing is left behind. The exit code is 1 if a check fails.
    """
    table = Table("check", "", "found", Column("seconds", justify="right"))
    outcomes = list(outcomes_of_selftest())
    for outcome in outcomes:
        verdict = "[green]passed[/]" if outcome.passed else "[bold red]failed[/]"
        table.add_row(outcome.check.name, verdict, escape(outcome.found), f"{outcome.seconds:.1f}")
    console.print(table)
    failed = [outcome.check for outcome in outcomes if not outcome.passed]
    for check in failed:
        console.print(f"{check.name}: {check.remedy}", markup=False)
    if failed:
        raise typer.Exit(1)
    console.print("minigpt works on this machine.")
