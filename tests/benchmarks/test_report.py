from benchmarks.report import means


def test_means_are_over_the_rows_that_have_the_figure():
    assert means([{"a": 1.0}, {"a": 3.0, "b": 5.0}]) == {"a": 2.0, "b": 5.0}
    assert means([]) == {}
