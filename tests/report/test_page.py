"""The page: what it says, how large it is, and that text which an agent wrote stays text."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.analysis.compare import compare
from gym_mcp.analysis.profile import profile_of
from gym_mcp.report import markdown
from gym_mcp.report.collect import collect
from gym_mcp.report.page import render
from gym_mcp.report.words import number, percent
from gym_mcp.types import JSONObject
from tests.report.made import HOSTILE, PIXEL, graded, output, write

pytestmark = pytest.mark.slow  # real processes, or searches that take their time


class Outline(html.parser.HTMLParser):
    """Tags, attributes and texts, as a browser would find them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page(path: Path, **options: Any) -> Outline:
    return Outline(render([collect(path)], None, **options))


def test_the_numbers_are_those_of_the_profile(tmp_path: Path) -> None:
    path = write(tmp_path / "run", graded(20, 4, failures=0.1))
    found, text = profile_of(path), page(path).text
    passes = found["score"]["pass"]["failed_excluded"]
    for share in (passes["value"], passes["new_tasks"]["low"], passes["new_tasks"]["high"]):
        assert percent(share) in text
    assert percent(found["score"]["pass"]["failed_as_worst"]["value"]) in text
    assert f"{found['counts']['scored']} of 80" in text
    assert all(note.replace("`", "") in text for note in found["notes"])
    assert "HTTP 503 after 5 retries: overloaded" in text
    assert "fedcba9876543210" in text and "0 third" not in text


def test_every_chart_has_a_text_beside_it(tmp_path: Path) -> None:
    outline = page(write(tmp_path / "run", graded(12, 4)))
    charts = outline.tags.count("svg")
    labels = [v for k, v in outline.attributes if k == "aria-label" and v]
    assert charts >= 6 and outline.attributes.count(("role", "img")) == charts
    assert "The same as a table: 12 tasks" in outline.text and any("Heat map of 12 tasks" in v for v in labels)
    assert "k attempts, as a table" in outline.text and "A rollout takes, as a table" in outline.text
    marks = re.findall(r"\b[P0123x·]{4}\b", outline.text)
    assert len(marks) >= 10


def test_it_runs_and_loads_nothing(tmp_path: Path) -> None:
    outline = page(write(tmp_path / "run", graded(12, 4)))
    assert "script" not in outline.tags and "iframe" not in outline.tags
    links = [
        v for k, v in outline.attributes if k in ("src", "href", "xlink:href", "action", "data", "poster") and v
    ]
    assert all(v.startswith(("#", "data:image/png;base64,")) for v in links), links
    assert not [k for k, _ in outline.attributes if k.startswith("on")]
    policy = next(v for k, v in outline.attributes if k == "content" and v and "default-src" in v)
    assert policy.startswith("default-src 'none'") and "script-src" not in policy


def hostile(row: JSONObject) -> None:
    """An agent, a server and a verifier that write the worst they can."""
    row["response"]["output"] = [
        *output(HOSTILE, turns=2, image="javascript:alert(5)"),
        {"type": HOSTILE, "x": HOSTILE},
        {"type": "message", "role": HOSTILE, "content": HOSTILE},
        {"type": "function_call", "call_id": "h", "name": HOSTILE, "arguments": '{"a": ' + HOSTILE},
        {
            "type": "function_call_output",
            "call_id": "h",
            "output": [{"type": "input_image", "image_url": "http://127.0.0.1:9/x.png"}],
        },
        {
            "type": "function_call_output",
            "call_id": "h",
            "output": [{"type": "input_image", "image_url": "data:image/svg+xml;base64,PHN2Zz4="}],
        },
        {"type": "message", "role": "assistant", "content": [None, 3, {"text": None}]},
    ]
    row["response"]["stop"] = HOSTILE
    row["notes"] = HOSTILE
    if row["failure"]:
        row["failure"]["message"] = HOSTILE + str(row["repeat"])
    else:
        row["components"] = {HOSTILE: 1.0}


def hostile_run(path: Path) -> Path:
    def task(i: int) -> JSONObject:
        return {"id": f"{HOSTILE}{i}", "prompt": HOSTILE, "data": {HOSTILE: HOSTILE}}

    write(path, graded(6, 4, failures=0.3), change=hostile, task=task, model=f"openai/{HOSTILE}", name=HOSTILE)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["command"] = ["gym-mcp", HOSTILE]
    manifest["identity"]["sampling"] = {HOSTILE: HOSTILE}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def test_text_stays_text(tmp_path: Path) -> None:
    path = hostile_run(tmp_path / "run")
    markup = render([collect(path)], None, with_answers=True)
    outline = Outline(markup)
    assert "script" not in outline.tags and outline.tags.count("style") == 1
    assert not [k for k, _ in outline.attributes if k.startswith("on")]
    assert all(v.startswith(("#", "data:image/png")) for k, v in outline.attributes if k in ("src", "href") and v)
    assert "document.title='owned'" in outline.text, "it is shown"
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|(?<![\d.])49(?![\d.])", outline.text)
    for bad in ("\x00", "\x1b", "\u202e", "\u2066", "\ufeff"):
        assert bad not in markup
    assert "⟨U+202E⟩" in markup
    assert "[an image is left out: http://127.0.0.1:9/x.png]" in outline.text


def test_several_runs_of_hostile_names(tmp_path: Path) -> None:
    one, two = (collect(hostile_run(tmp_path / name)) for name in ("a", "b"))
    outline = Outline(render([one, two], compare([one.run, two.run])))
    assert "script" not in outline.tags and outline.tags.count("style") == 1


def test_runs_compared_by_something_else(tmp_path: Path) -> None:
    reports = [
        collect(write(tmp_path / f"r{i}", graded(12, 4, skill=0.3 * i), seed=i, model=f"m{i}")) for i in range(2)
    ]
    for metric in ("reward", "usage.output_tokens", "components.tidy"):
        found = compare([r.run for r in reports], metric=metric)
        value, name = found["arms"][0]["failed_excluded"]["value"], re.escape(metric)
        page = Outline(render(reports, found)).text
        assert number(value) in page and metric in page and "Fully solved" not in page
        assert re.search(rf"\| run \| {name} \|", markdown.render(reports, found).replace("\\", ""))


def test_text_and_images_are_bounded(tmp_path: Path) -> None:
    def change(row: JSONObject) -> None:
        small, huge = f"data:image/png;base64,{PIXEL}", "data:image/png;base64," + "A" * 300_000
        row["response"]["output"] = [
            *output("x" * 6_000, turns=30, image=small),
            *output("y" * 200_000, image=huge),
        ]

    path = write(tmp_path / "run", graded(6, 4), change=change)
    markup = render([collect(path)], None)
    assert len(markup) < 2_000_000
    outline = Outline(markup)
    assert "characters more)" in outline.text and "steps are left out here" in outline.text
    images = [v for k, v in outline.attributes if k == "src"]
    assert images and len(images) <= 4 * 4 and max(len(v or "") for v in images) < 1_000


def test_answers_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "run", graded(6, 4))
    without, with_them = page(path).text, page(path, with_answers=True).text
    assert "the answer" not in without and "the calendar holds" not in without
    assert "the answer" in with_them and "the calendar holds" in with_them
    assert "and reference answers" in with_them


def test_transcripts_show_each_kind_of_task(tmp_path: Path) -> None:
    rewards: list[list[float | None]] = [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [None, None]]
    path = write(tmp_path / "run", rewards)
    found = [(e.row["task_id"], e.row["repeat"], e.why.split(":")[0]) for e in collect(path).examples]
    assert found == [
        ("errand-001", 1, "Passes sometimes"),
        ("errand-001", 0, "Passes sometimes"),
        ("errand-000", 0, "Passes every time"),
        ("errand-002", 0, "Never passes"),
    ]
    assert len(collect(path, transcripts=False, chosen_tasks=["errand-003"]).examples) == 2
    assert "failed" in Outline(render([collect(path, chosen_tasks=["errand-003"])], None)).text


@pytest.mark.parametrize(
    "rewards",
    [
        [[float("nan")]],
        [[None]],
        [[1.0]],
        [[0.5, 0.5], [0.5, float("nan")]],
        [[-3.0, 7.0], [2.0, 2.0]],
    ],
)
@pytest.mark.parametrize("bounds", [[0.0, 1.0], [None, None], [-10.0, None]])
def test_runs_of_every_shape(
    tmp_path: Path, rewards: list[list[float | None]], bounds: list[float | None]
) -> None:
    path = write(tmp_path / "run", rewards, reward_range=bounds, higher_is_better=bounds[0] is not None)
    assert page(path).tags.count("h2") >= 2


def test_many_repeats_stay_small_and_visible(tmp_path: Path) -> None:
    path = write(tmp_path / "run", [[float(i % 3 > 0)] * 250 + [None] * 250 for i in range(12)])
    markup = render([collect(path)], None)
    assert len(markup) < 150_000
    first = markup[markup.index('<div class="panels">') :].partition("</svg>")[0]
    assert first.count("<title>") == 24 and 'stroke-width="1.5"' not in first


def test_many_tasks_stay_small(tmp_path: Path) -> None:
    path = write(tmp_path / "run", graded(1_000, 16))
    markup = render([collect(path)], None)
    assert len(markup) < 1_000_000
    assert len(re.findall(r'class="marks"', markup)) == 1_000
