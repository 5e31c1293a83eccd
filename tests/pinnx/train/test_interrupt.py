"""Ctrl-C and SIGTERM between steps: remembered once, taken at once the second time, handlers given back afterwards."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pinnx.train.interrupt import deferred_interrupt, sigterm_interrupts

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_one_signal_is_remembered(number: int) -> None:
    with deferred_interrupt() as interrupted:
        assert interrupted() == 0
        send(number)
        assert interrupted() == number
        assert interrupted() == number, "asking does not forget it"


@pytest.mark.parametrize("second", NUMBERS)
@pytest.mark.parametrize("first", NUMBERS)
def test_a_second_one_interrupts_at_once(first: int, second: int) -> None:
    def twice() -> None:
        with deferred_interrupt():
            send(first)
            send(second)

    with pytest.raises(KeyboardInterrupt) as caught:
        twice()
    assert caught.value.args == (second,)


def test_sigterm_interrupts_at_once_where_nothing_is_deferred() -> None:
    def ended() -> None:
        with sigterm_interrupts():
            with deferred_interrupt():
                pass
            send(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as caught:
        ended()
    assert caught.value.args == (signal.SIGTERM,)
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_the_process_ignores_stays_ignored() -> None:
    """As in the background of a shell script, where Ctrl-C is meant for another program."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_interrupt() as interrupted:
            send(signal.SIGINT)
            assert interrupted() == 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_handler_before_comes_back(number: int) -> None:
    before = signal.getsignal(number)
    with deferred_interrupt():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before

    def fail() -> None:
        with deferred_interrupt():
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert signal.getsignal(number) is before


def test_a_thread_gets_no_signals() -> None:
    answers: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with deferred_interrupt() as interrupted:
            answers.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [0]
    assert signal.getsignal(signal.SIGINT) is before
