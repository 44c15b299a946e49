"""Progress on stderr: whole lines in a log, and nothing of an earlier start in the rate."""

from __future__ import annotations

from methods.cli.progress import progress, steps


def test_a_log_gets_lines_that_say_how_far_it_is(capsys):
    with progress(100, "Scored: ", done=20) as bar:
        bar.set_postfix_str("1 failed", refresh=False)
        bar.update(80)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Scored: 20/100 (20 %)")
    assert lines[-1].startswith("Scored: 100/100 (100 %)")
    assert lines[-1].endswith("1 failed")
    assert not any("\r" in line for line in lines)


def test_a_callback_of_steps_ends_with_the_last_one_and_can_begin_anew(capsys):
    tell = steps("Features: ")
    for done in (1, 2, 3):
        tell(done, 3)
    tell(1, 1)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("Features: 3/3 (100 %)") for line in lines)
    assert lines[-1].startswith("Features: 1/1 (100 %)")


def test_a_slow_rate_reads_as_a_fast_one():
    with progress(4) as bar:
        bar.start_t -= 8
        bar.n = 2
        assert "0.25 images/s" in str(bar)
