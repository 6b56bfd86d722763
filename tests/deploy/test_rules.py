"""Every alert fires when it should, not before, and clears: proven by promtool on made-up hours."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from itertools import accumulate

import pytest
import yaml
from prometheus_run import RULES

AT = 'job="polyhead",instance="a:9464"'
CALL = f'{AT},grpc_type="unary",grpc_service="polyhead.v1.AnnotationService",grpc_method="Annotate"'
SHED = f'polyhead_shed_total{{{AT},reason="queue_full"}}'
STARTED = f"grpc_server_started_total{{{CALL}}}"


@dataclass(frozen=True)
class Case:
    """Series that make an alert fire and clear, and when to look."""

    series: dict[str, str]
    quiet: str
    """A time at which it does not fire yet."""
    fires: str
    clears: str
    severity: str = "warning"
    interval: str = "1m"


def counter(*phases: tuple[int, int]) -> str:
    """A counter that grows by so much an interval for so many intervals, in phases."""
    grown = accumulate(each for each, number in phases for _ in range(number))
    return " ".join(map(str, grown))


def gauge(*phases: tuple[float, int]) -> str:
    return " ".join(f"{value}x{number - 1}" for value, number in phases)


def errors(bad: int, before: int, during: int, after: int) -> dict[str, str]:
    """1,000 calls an interval, of which some end in an internal error for a while."""
    good = counter((1000, before), (1000 - bad, during), (1000, after))
    handled = f"grpc_server_handled_total{{{CALL}"
    return {
        f'{handled},grpc_code="OK"}}': good,
        f'{handled},grpc_code="Internal"}}': counter((0, before), (bad, during), (0, after)),
        STARTED: counter((1000, before + during + after)),
        SHED: counter((0, before + during + after)),
    }


def slow(bad: int, before: int, during: int, after: int) -> dict[str, str]:
    """The same with calls that take longer than the objective."""
    quick = counter((1000, before), (1000 - bad, during), (1000, after))
    name = "grpc_server_handling_seconds"
    return {
        f'{name}_bucket{{{CALL},le="0.25"}}': quick,
        f"{name}_count{{{CALL}}}": counter((1000, before + during + after)),
    }


def drift(name: str, key: str, one: str, other: str, *, whole: bool) -> dict[str, str]:
    """A day in which for an hour the shares of two labels, or of two buckets, are swapped."""
    series = f'{name}{{{AT},task="topic",{key}='
    swapped = {
        f'{series}"{one}"}}': counter((90, 144), (10, 12), (90, 48)),
        f'{series}"{other}"}}': counter((10, 144), (90, 12), (10, 48)),
    }
    if whole:
        count = name.replace("_bucket", "_count")
        all_of_them = counter((100, 204))
        swapped[f'{series}"{other}"}}'] = all_of_them
        swapped[f'{count}{{{AT},task="topic"}}'] = all_of_them
    return swapped


HOURS = (60, 90, 120)
DAYS = (72, 288, 200)
WORKERS = f"polyhead_worker_restarts_total{{{AT}}}"
CASES = {
    "PolyheadErrorBudgetBurnsFast": Case(errors(20, *HOURS), "80m", "145m", "190m", "critical"),
    "PolyheadErrorBudgetBurnsSlow": Case(
        errors(5, *DAYS), "5h", "29h", "37h", "warning", interval="5m"
    ),
    "PolyheadLatencyBudgetBurnsFast": Case(slow(200, *HOURS), "80m", "145m", "190m", "critical"),
    "PolyheadLatencyBudgetBurnsSlow": Case(
        slow(50, *DAYS), "5h", "29h", "37h", "warning", interval="5m"
    ),
    "PolyheadTargetDown": Case(
        {f"up{{{AT}}}": gauge((1, 5), (0, 10), (1, 10))}, "6m", "8m", "16m", "critical"
    ),
    "PolyheadAbsent": Case(
        {f"up{{{AT}}}": gauge((1, 5), (0, 10), (1, 10))}, "8m", "11m", "16m", "critical"
    ),
    "PolyheadEngineStuck": Case(
        {
            f"polyhead_queue_texts{{{AT}}}": gauge((0, 5), (7, 10), (0, 10)),
            f"polyhead_batch_texts_count{{{AT}}}": counter((9, 5), (0, 10), (9, 10)),
        },
        *("5m", "11m", "17m", "critical"),
    ),
    "PolyheadQueueSlow": Case(
        {f"polyhead_queue_delay_seconds{{{AT}}}": gauge((0.01, 5), (2, 10), (0.01, 10))},
        *("7m", "11m", "16m"),
    ),
    "PolyheadShedding": Case(
        {SHED: counter((0, 10), (50, 20), (0, 20)), STARTED: counter((1000, 50))},
        *("12m", "20m", "36m"),
    ),
    "PolyheadInternalErrors": Case(errors(1, 5, 2, 20), "4m", "9m", "14m"),
    "PolyheadBatchesFail": Case(
        {f"polyhead_failed_batches_total{{{AT}}}": counter((0, 5), (1, 2), (0, 20))},
        *("4m", "9m", "14m"),
    ),
    "PolyheadReloadFailed": Case(
        {
            f'polyhead_reload_total{{{AT},result="failed"}}': counter((0, 5), (1, 1), (0, 20)),
            f"polyhead_last_reload_successful{{{AT}}}": gauge((1, 5), (0, 3), (1, 20)),
        },
        *("4m", "5m", "17m"),
    ),
    "PolyheadWorkersRestart": Case({WORKERS: counter((0, 5), (1, 1), (0, 30))}, "4m", "6m", "22m"),
    "PolyheadFilesRunOut": Case(
        {
            f"process_open_fds{{{AT}}}": gauge((50, 5), (900, 10), (50, 10)),
            f"process_max_fds{{{AT}}}": gauge((1000, 25)),
        },
        *("6m", "8m", "16m"),
    ),
    "PolyheadLabelsDrift": Case(
        drift("polyhead_labels_total", "label", "Sports", "World", whole=False),
        *("11h", "13h", "15h"),
        interval="5m",
    ),
    "PolyheadScoresDrift": Case(
        drift("polyhead_scores_bucket", "le", "0.5", "+Inf", whole=True),
        *("11h", "13h", "15h"),
        interval="5m",
    ),
}


def alerts() -> list[dict]:
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def promtool(*arguments: object) -> str:
    command = ["promtool", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def prove(folder, case: Case, **wanted: object) -> None:
    """Have promtool run a case against all rules."""
    test = {
        "interval": case.interval,
        "input_series": [{"series": key, "values": text} for key, text in case.series.items()],
        **wanted,
    }
    rules = [str(rule) for rule in RULES]
    whole = {"rule_files": rules, "evaluation_interval": case.interval, "tests": [test]}
    file = folder / "case.yml"
    file.write_text(yaml.safe_dump(whole))
    promtool("test", "rules", file)


def test_rules_are_sound():
    """Promtool takes every file, and finds nothing twice."""
    assert "SUCCESS" in promtool("check", "rules", *RULES)
    names = [rule["alert"] for rule in alerts()]
    assert sorted(names) == sorted(set(names))


def test_every_alert_has_its_case():
    """No alert is left unproven, and each says how bad it is and what to do."""
    assert {rule["alert"] for rule in alerts()} == set(CASES)
    for rule in alerts():
        assert rule["labels"] == {"severity": CASES[rule["alert"]].severity}
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("name", CASES)
def test_fires_and_clears(name, tmp_path):
    """It is quiet, fires once, and clears."""
    case = CASES[name]
    firing = f'count by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}})'
    fired = [{"labels": f'{{alertname="{name}"}}', "value": 1}]
    looks = ((case.quiet, []), (case.fires, fired), (case.clears, []))
    asked = [{"expr": firing, "eval_time": time, "exp_samples": samples} for time, samples in looks]
    prove(tmp_path, case, promql_expr_test=asked)


def test_messages_are_filled_in(tmp_path):
    """What a person reads names job, instance and value."""
    case = CASES["PolyheadShedding"]
    wanted = {
        "eval_time": case.fires,
        "alertname": "PolyheadShedding",
        "exp_alerts": [
            {
                "exp_labels": {"severity": "warning", "job": "polyhead"},
                "exp_annotations": {
                    "summary": "polyhead refuses 5% of calls for want of room",
                    "description": "Queues are full, or calls could not be answered by their "
                    "deadlines.",
                },
            }
        ],
    }
    prove(tmp_path, case, alert_rule_test=[wanted])
