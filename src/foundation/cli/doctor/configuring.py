"""The environment and the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from foundation.cli.doctor.cookies import check_cookie
from foundation.cli.doctor.finding import Finding, Verdict, ok, problem, warning
from foundation.cli.doctor.subject import Subject


def check_environment(subject: Subject) -> Iterator[Finding]:
    """Say where the program runs, by which evidence, and what ``auto`` would make of it."""
    choice = subject.reading.detection.choice(subject.merged)
    for step in choice.steps:
        yield ok(str(step))
    is_auto = any(given.source == "detected" for key, given in subject.merged.items() if key == ("cluster",))
    for name, why in choice.unusable.items() if is_auto else ():
        yield warning(f"the strategy {name} would fit and cannot be used: {why}", f"set what it needs, or not {name}")
    yield ok(f'cluster = "auto" {"means" if is_auto else "would mean"} {choice}')


def check_configuration(subject: Subject) -> Iterator[Finding]:
    """Say what ``foundation config --check`` says, and what else keeps a node from starting."""
    for text in subject.problems:
        yield problem(text, "correct it; `foundation config` shows all values")
    is_about_cookie = any(finding.verdict is Verdict.PROBLEM for finding in check_cookie(subject))
    if subject.refusal and not is_about_cookie:
        yield problem(subject.refusal, "correct it; `foundation config` shows all values")
    if not subject.problems and not subject.refusal:
        where = subject.reading.file or "no file, the environment and defaults"
        yield ok(f"{where}, profile {subject.reading.profile}")
