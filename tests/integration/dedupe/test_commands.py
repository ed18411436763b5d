"""The commands of deduplication as they are typed, on a real target, and the terminal review on a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from etl.dedupe.decisions import read_decisions
from etl.dedupe.review import read_frame
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from fixtures.data.generate import LegacyData
from tests.integration.dedupe.conftest import Typed


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of one dry run are kept, once there was one."""
    return tmp_path_factory.mktemp("run") / "dedupe"


@pytest.fixture
def ran(typed: Typed, settings: Settings, kept_run: Path) -> Typed:
    """Commands after a dry run."""
    if kept_run.exists():
        shutil.rmtree(settings.dedupe_dir, ignore_errors=True)
        shutil.copytree(kept_run, settings.dedupe_dir)
    else:
        typed.run("run")
        shutil.copytree(settings.dedupe_dir, kept_run)
    return typed


def pair_of(settings: Settings, file: str, position: int = 0) -> tuple[str, str]:
    """A pair of a file of the last run, as people write records."""
    pairs, records = read_frame(settings.dedupe_dir / file), read_frame(settings.dedupe_dir / "records.parquet")
    left, right = pairs.select("left", "right").row(position)
    named = {number: f"{system}:{key}" for number, system, key in records.select("record", "system", "source_id").iter_rows()}
    return named[left], named[right]


def test_the_story_from_plan_to_report(typed: Typed, settings: Settings, retailer: LegacyData, tmp_path: Path) -> None:
    plan = typed.json("plan")
    assert sum(system["records"] for system in plan["systems"]) == 3_500
    assert "no run" not in typed.run("status")
    done = typed.json("run", "--execute", "--by", "li.na")
    assert done["executed"]
    truth = retailer.folder / "truth_person.parquet"
    report = typed.json("report", "--truth", str(truth), "--html", str(tmp_path / "report.html"))
    assert report["quality"]["basis"] == "truth"
    assert report["quality"]["precision"]["value"] > 0.95
    assert report["quality"]["surplus_after"]["surplus"] < report["quality"]["surplus_before"]["surplus"] / 3
    assert sum(int(size) * members for size, members in report["sizes"].items()) == report["accepted"]
    reach = report["reach"]
    assert reach["missed_seen"] + reach["missed_unseen"] == report["quality"]["counts"]["missed"]
    assert "<script" not in (tmp_path / "report.html").read_text("utf-8")
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600
    status = typed.json("status")
    assert (status["merged_members"], status["merged_records"]) == (done["merged_members"], done["merged_records"])
    model = typed.json("model", "show")
    assert model["sha"] == done["model_sha"]
    assert typed.json("model", "compare", str(settings.dedupe_dir / "model.json"))["verdict_status"] == "ok"


def test_explain_says_what_decided_and_shows_no_personal_value(ran: Typed, settings: Settings, tmp_path: Path) -> None:
    clusters = read_frame(settings.dedupe_dir / "clusters.parquet").sort("cluster", "record").head(2)
    pl.DataFrame({"left": [clusters.item(0, "record")], "right": [clusters.item(1, "record")]}).write_parquet(
        settings.dedupe_dir / "one.parquet"
    )
    left, right = pair_of(settings, "one.parquet")
    html = tmp_path / "why.html"
    found = ran.json("explain", left, right, "--html", str(html))
    assert (found["same"], found["decider"]) == (True, "weight")
    assert sum(weight["weight"] for weight in found["weights"]) == pytest.approx(found["weight"])
    records = read_frame(settings.dedupe_dir / "records.parquet").filter(pl.col("record").is_in(clusters["record"].implode()))
    secrets = [value for value in (*records["name"], *records["phone"], *records["id_card"]) if value]
    page = html.read_text("utf-8") + json.dumps(found, ensure_ascii=False)
    assert secrets
    assert not [value for value in secrets if value in page]
    assert secrets[0] in ran.run("explain", left, right, "--show-personal")
    swapped = ran.json("explain", right, left)
    assert (swapped["left"], swapped["weight"]) == (found["left"], found["weight"])
    assert "no record crm:0" in ran.run("explain", "crm:0", right, expected=2)
    assert "one record, not two" in ran.run("explain", left, left, expected=2)


def test_a_decision_is_heeded_by_the_next_run_and_can_be_taken_back(ran: Typed, settings: Settings) -> None:
    before = ran.json("run")
    left, right = pair_of(settings, "review.parquet")
    assert ran.json("review", "decide", right, left, "same", "--by", "li.na", "--note", "asked her")["changed"]
    assert not ran.json("review", "decide", left, right, "same")["changed"]
    (decision,) = read_decisions(settings)
    assert (str(decision.left), str(decision.right), decision.decided_by, decision.note) == (left, right, "li.na", "asked her")
    assert ran.json("run")["merged_records"] > before["merged_records"]
    assert ran.json("explain", left, right)["decider"] == "decision"
    assert ran.json("review", "decide", left, right, "none")["changed"]
    assert read_decisions(settings) == ()
    assert ran.json("run")["merged_records"] == before["merged_records"]


def test_a_spreadsheet_goes_round(ran: Typed, settings: Settings, tmp_path: Path) -> None:
    book = tmp_path / "pairs.xlsx"
    exported = ran.json("review", "export", str(book), "--limit", "5", "--lang", "zh")
    assert (exported["pairs"], exported["masked"], book.stat().st_mode & 0o777) == (5, True, 0o600)
    workbook = openpyxl.load_workbook(book)
    workbook["pairs"].cell(3, 1).value = "同一人"
    workbook["pairs"].cell(4, 1).value = "不同人"
    workbook.save(book)
    ran.run("review", "import", str(book))
    assert read_decisions(settings) == (), "a dry run stores nothing"
    assert ran.json("review", "import", str(book), "--execute", "--by", "店长")["same"] == 1
    assert {(decision.kind, decision.decided_by) for decision in read_decisions(settings)} == {
        ("must_link", "店长"),
        ("cannot_link", "店长"),
    }
    assert ran.json("review", "import", str(book), "--execute")["unchanged"] == 2
    assert ran.json("status")["same"] == 1


def test_labels_of_a_sample_measure_the_run(ran: Typed, settings: Settings, retailer: LegacyData, tmp_path: Path) -> None:
    book = tmp_path / "sample.xlsx"
    ran.run("review", "export", str(book), "--sample", "--size", "80")
    people = {
        f"{system}:{key}": person
        for system, key, person in retailer.frame("truth_person").select("system", "legacy_id", "person_id").iter_rows()
    }
    workbook = openpyxl.load_workbook(book)
    for row in workbook["pairs"].iter_rows(min_row=3):
        row[0].value = "same" if people[str(row[2].value)] == people[str(row[3].value)] else "different"
    workbook.save(book)
    ran.run("review", "import", str(book), "--execute")
    by_labels = ran.json("report")["quality"]
    by_truth = ran.json("report", "--truth", str(retailer.folder / "truth_person.parquet"))["quality"]
    assert by_labels["basis"] == "labels"
    assert by_labels["precision"]["low"] <= by_truth["precision"]["value"] <= by_labels["precision"]["high"]
    assert by_labels["unknown"] == 0


def test_a_terminal_review_by_single_keys(ran: Typed, settings: Settings, config: Path) -> None:
    raw = play(["review", "--config", str(config)], ["y", "u", "n", "s", "q"], asked="[q] stop")
    screen = re.sub(r"\x1b\[[0-9;]*m", "", raw)
    assert "Pair 1 of" in screen
    assert "Pair 3 of" in screen
    assert re.search(r"Different people +1", screen)
    assert re.search(r"Undone +1", screen)
    assert not re.search(r"\x1b\[[0-9;]*[34]\d", raw), "NO_COLOR asks for no colour"
    assert max(len(line) for line in screen.replace("\r", "").split("\n")) <= 80
    (decision,) = read_decisions(settings)
    assert decision.kind == "cannot_link"


def play(arguments: list[str], keys: list[str], *, asked: str) -> str:
    """Run a command on a terminal of 80 columns; press each when the screen has asked once more. All that was shown."""
    environment = os.environ | {"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "cli", "dedupe", *arguments]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, close_fds=True) as process:
        os.close(slave)
        screen, waiting = "", list(keys)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(master, 65_536)
            except OSError:  # the other end of a terminal is closed this way on Linux
                break
            if not data:
                break
            screen += data.decode("utf-8", "replace")
            if waiting and screen.count(asked) > len(keys) - len(waiting):
                os.write(master, waiting.pop(0).encode())
        if time.monotonic() >= deadline:
            process.kill()
        process.wait()
    os.close(master)
    assert process.returncode == 0, screen
    return screen


def test_answers_can_come_line_by_line(ran: Typed, settings: Settings, config: Path) -> None:
    command = [sys.executable, "-m", "cli", "dedupe", "review", "--limit", "2", "--json", "--config", str(config)]
    done = subprocess.run(command, input="yes\nskip\n", capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["same"] == 1
    assert "Pair 2 of 2" in done.stderr
    assert [decision.kind for decision in read_decisions(settings)] == ["must_link"]


def test_nothing_run_yet_names_the_remedy(typed: Typed) -> None:
    for command in (["report"], ["explain", "crm:1", "crm:2"], ["review"]):
        assert "membershift dedupe run" in typed.run(*command, expected=3)


def test_a_merge_is_taken_back_and_what_came_after_it_is_asked_about(
    typed: Typed, settings: Settings, target: BulkConnection, config: Path
) -> None:
    typed.run("run", "--execute")
    merged = (
        "SELECT member_id FROM member_source WHERE linked_by = 'dedupe' GROUP BY member_id HAVING COUNT(*) = 2 ORDER BY member_id"
    )
    quiet, changed = (str(member) for (member,) in target.query(f"{merged} LIMIT 2"))
    target.execute("UPDATE member SET phone = '+8613900000000' WHERE member_id = %s", (int(changed),))

    told = typed.json("unmerge", quiet, changed)
    assert [bool(member["changed"]) for member in told["members"]] == [False, True]
    assert read_decisions(settings) == (), "a dry run writes nothing"

    done = typed.json("unmerge", quiet, changed, "--execute", "--by", "li.na", "--note", "sisters", expected=7)
    assert [member["done"] for member in done["members"]] == [True, False]
    assert [(one.kind, one.decided_by, one.note) for one in read_decisions(settings)] == [("cannot_link", "li.na", "sisters")]
    again = typed.json("unmerge", quiet, "--execute", "--by", "li.na")
    assert (again["members"], again["already"]) == ([], [quiet]), "done already: the same command again changes nothing"
    assert "is not merged" in typed.run("unmerge", "4000000000000", expected=2)

    screen = play(["unmerge", changed, "--execute", "--config", str(config)], ["92"], asked="[s]")
    assert "changed: phone" in screen
    assert target.query("SELECT 1 FROM member_source WHERE member_id = %s AND linked_by = 'dedupe'", (int(changed),)) == []
    again = typed.json("run", "--execute")
    assert again["merged_members"] == typed.json("status")["merged_members"]
    assert len(read_decisions(settings)) == 2
