"""Ctrl-C between steps: remembered once, taken at once when pressed again, and given back afterwards."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pinnx.train.interrupt import deferred_interrupt


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_one_press_is_remembered() -> None:
    with deferred_interrupt() as interrupted:
        assert not interrupted()
        press()
        assert interrupted()
        assert interrupted(), "asking does not forget it"


def test_a_second_press_interrupts_at_once() -> None:
    def twice() -> None:
        with deferred_interrupt():
            press()
            press()

    with pytest.raises(KeyboardInterrupt):
        twice()


def test_the_handler_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before

    def fail() -> None:
        with deferred_interrupt():
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_gets_no_signals() -> None:
    answers: list[bool] = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with deferred_interrupt() as interrupted:
            answers.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]
    assert signal.getsignal(signal.SIGINT) is before
