from xpfeh.cluster.pace import Pace

TIMES = {f"part-{i}": 2.0 for i in range(6)}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def paced() -> tuple[Pace, Clock]:
    clock = Clock()
    pace = Pace([*TIMES, "slow", "late", "a", "b", "c"], clock)
    for shard, seconds in TIMES.items():
        assert pace.finished(shard, seconds) == ""
    return pace, clock


def test_a_part_of_more_than_ten_times_the_median_is_named() -> None:
    pace, _ = paced()
    assert pace.finished("late", 19.9) == ""
    assert pace.finished("slow", 21.0) == "slow took 21 s, the median is 2.0 s"


def test_parts_that_all_wait_for_are_named_once() -> None:
    pace, clock = paced()
    clock.now = 20.0
    assert pace.waiting() == ""
    clock.now = 21.0
    assert pace.waiting() == "no part finished for 21 s; not done yet: slow, late, a and 2 more"
    assert pace.waiting() == ""
    pace.finished("slow", 2.0)
    clock.now = 42.0
    assert pace.waiting().endswith("not done yet: late, a, b and 1 more")


def test_a_few_parts_and_short_ones_are_no_measure() -> None:
    clock = Clock()
    pace = Pace(["a", "b"], clock)
    assert pace.finished("a", 0.1) == ""
    clock.now = 1000.0
    assert pace.waiting() == ""
    quick = Pace([str(i) for i in range(9)], clock)
    assert [quick.finished(str(i), 0.01) for i in range(8)] == [""] * 8
    assert quick.finished("8", 9.0) == ""


def test_the_watch_tells_and_ends() -> None:
    pace, clock = paced()
    lines: list[str] = []
    with pace.watched(lines.append, every_s=0.001):
        clock.now = 100.0
        while not lines:
            pass
    assert lines == ["no part finished for 100 s; not done yet: slow, late, a and 2 more"]
