"""The page in a real browser: nothing logged, asked for or run, on a phone and on a desk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_mcp.analysis.compare import compare
from gym_mcp.report.collect import collect
from gym_mcp.report.page import render
from tests.report.browser import CHROMIUM, Page, tab
from tests.report.made import graded, write
from tests.report.test_page import hostile_run
from tests.support import missing, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
WIDTHS = (320, 390, 1280)


@pytest.fixture(autouse=True)
def _browser() -> None:
    if CHROMIUM is None:
        missing("needs chromium (apt-get install chromium)")


def opened(file: Path, *, dark: bool = False) -> None:
    """Open a page at each width with everything unfolded: quiet, inert, and no wider than the screen."""

    async def main() -> None:
        async with tab() as one:
            for width in WIDTHS:
                page = await one.open(file, width=width, dark=dark)
                await one.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                wide = await one.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{wide} px wide on a screen of {width}"
                title, drawn = await one.evaluate(
                    "[document.title, [...document.querySelectorAll('svg')].every("
                    "s => s.getBoundingClientRect().width > 100)]"
                )
                assert drawn and title != "owned"
                assert await one.evaluate("document.scripts.length") == 0
                await one.evaluate("new Promise(r => requestAnimationFrame(() => setTimeout(r, 50)))")
                assert page == Page(requests=[file.resolve().as_uri()])

    run(main)


def test_one_run(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render([collect(write(tmp_path / "run", graded(29, 8)))], None), encoding="utf-8")
    opened(file)
    opened(file, dark=True)


def test_several_runs(tmp_path: Path) -> None:
    reports = [collect(write(tmp_path / f"run{i}", graded(20, 4, skill=0.2 * i), model=f"m{i}")) for i in range(3)]
    file = tmp_path / "report.html"
    file.write_text(render(reports, compare([r.run for r in reports])), encoding="utf-8")
    opened(file)


def test_a_thousand_tasks(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render([collect(write(tmp_path / "run", graded(1_000, 16)))], None), encoding="utf-8")
    opened(file)


def test_hostile_text(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    reports = [collect(hostile_run(tmp_path / name)) for name in "ab"]
    file.write_text(render(reports, compare([r.run for r in reports]), with_answers=True), encoding="utf-8")
    opened(file)


def test_the_policy_forbids_scripts_even_if_one_got_in(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    markup = render([collect(write(tmp_path / "run", graded(6, 2)))], None)
    intruder = "<script>document.title='owned'</script><img src='http://127.0.0.1:9/x.png'>"
    file.write_text(markup.replace("</main>", f"{intruder}</main>"), encoding="utf-8")

    async def main() -> None:
        async with tab() as one:
            page = await one.open(file)
            assert await one.evaluate("document.title") != "owned"
            assert len([line for line in page.logged if "Content Security Policy" in line]) == 2, page.logged

    run(main)
