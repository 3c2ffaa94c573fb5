"""Every code of the catalogue is caused by a test."""

import ast
from pathlib import Path

import pytest

from api_schemas.problems import PROBLEMS, FieldError, problem

TESTS = Path(__file__).parent.parent

ELSEWHERE = {
    "out_of_memory": "service/test_restoration.py",
    "prior_load_failed": "service/test_restoration.py",
    "input_decode_failed": "service/test_restoration.py",
    "solver_diverged": "service/test_restoration.py",
    "worker_lost": "contracts/test_running_jobs.py",
    "deadline_exceeded": "service/routes/test_jobs.py",
}
"""Codes inside failed jobs, and the tests that cause them."""


def asserted_codes() -> set[str]:
    """Second arguments of every `assert_problem(response, "code", ...)` in the tests."""
    trees = [ast.parse(path.read_text()) for path in TESTS.rglob("test_*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "assert_problem"]
    return {str(call.args[1].value) for call in named if isinstance(call.args[1], ast.Constant)}


def test_every_code_is_caused_by_a_test() -> None:
    assert set(PROBLEMS) - asserted_codes() == set(ELSEWHERE)
    assert asserted_codes() <= set(PROBLEMS)


@pytest.mark.parametrize(("code", "place"), ELSEWHERE.items())
def test_codes_of_failed_jobs_are_caused_elsewhere(code: str, place: str) -> None:
    path = TESTS / place
    files = path.rglob("test_*.py") if path.is_dir() else [path]
    assert any(f'"{code}"' in file.read_text() for file in files)


def test_a_problem_names_its_kind() -> None:
    found = problem("validation_failed", "x", errors=[FieldError(pointer="/a", code="b", detail="c")], instance="/v1")
    assert (found.type, found.status, found.title) == ("/problems/validation_failed", 422, "A field is wrong")
    with pytest.raises(KeyError):
        problem("no_such_code", "x")
