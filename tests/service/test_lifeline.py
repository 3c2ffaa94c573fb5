import os
import threading

from service import lifeline


def test_the_end_of_the_other_side_is_noticed_and_its_words_are_not() -> None:
    read, write = os.pipe()
    ended = threading.Event()
    lifeline.watch(read, ended.set)
    os.write(write, b"still here")
    assert not ended.wait(0.1)
    os.close(write)
    assert ended.wait(30)
    os.close(read)
