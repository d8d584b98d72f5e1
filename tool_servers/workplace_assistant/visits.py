"""Tools of the website's analytics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from gym_mcp import ToolError, tool

from .common import Desk, Text, day, one_of, output, within
from .tables import Row

VALUES: Final = (
    "total_visits",
    "session_duration_seconds",
    "user_engaged",
    "visits_direct",
    "visits_referral",
    "visits_search_engine",
    "visits_social_media",
)
PLOTS: Final = ("bar", "line", "scatter", "histogram")
SOURCES: Final = ("direct", "referral", "search engine", "social media")


class AnalyticsTools(Desk):
    """Count visits day by day, and plot them."""

    @tool(read_only=True)
    def analytics_get_visitor_information_by_id(self, visitor_id: str) -> str:
        """List all visits of one visitor.

        Args:
            visitor_id: The visitor's 4-digit id.
        """
        found = [_visit(row) for row in self.world.tables.visits if row["visitor_id"] == visitor_id]
        if not found:
            raise ToolError(f"Visitor not found: there is no visitor_id '{visitor_id}'.")
        return output(found)

    @tool
    def analytics_create_plot(self, time_min: str, time_max: str, value_to_plot: str, plot_type: str) -> str:
        """Plot a value over a range of days; the result is the plot's file.

        Args:
            time_min: First day, as YYYY-MM-DD.
            time_max: Last day, as YYYY-MM-DD.
            value_to_plot: `total_visits`, `session_duration_seconds`, `user_engaged`, `visits_direct`,
                `visits_referral`, `visits_search_engine` or `visits_social_media`.
            plot_type: `bar`, `line`, `scatter` or `histogram`.
        """
        if day(time_min, "time_min") is None or day(time_max, "time_max") is None:
            raise ToolError("time_min and time_max must not be empty.")
        one_of(value_to_plot, VALUES, "value_to_plot")
        one_of(plot_type, PLOTS, "plot_type")
        path = f"plots/{time_min}_{time_max}_{value_to_plot}_{plot_type}.png"
        self.world.plots.append(path)
        return output(path)

    @tool(read_only=True)
    def analytics_total_visits_count(self, time_min: Text = None, time_max: Text = None) -> str:
        """Count the visits on each day of a range.

        Args:
            time_min: First day, as YYYY-MM-DD.
            time_max: Last day, as YYYY-MM-DD.
        """
        return output(_per_day(self._visits(time_min, time_max)))

    @tool(read_only=True)
    def analytics_engaged_users_count(self, time_min: Text = None, time_max: Text = None) -> str:
        """Count the visits of engaged users on each day of a range.

        Args:
            time_min: First day, as YYYY-MM-DD.
            time_max: Last day, as YYYY-MM-DD.
        """
        return output(_per_day(self._visits(time_min, time_max), lambda row: row["user_engaged"] == "True"))

    @tool(read_only=True)
    def analytics_traffic_source_count(
        self, time_min: Text = None, time_max: Text = None, traffic_source: Text = None
    ) -> str:
        """Count the visits from one source, or from all, on each day of a range.

        Args:
            time_min: First day, as YYYY-MM-DD.
            time_max: Last day, as YYYY-MM-DD.
            traffic_source: `direct`, `referral`, `search engine` or `social media`.
        """
        if traffic_source:
            one_of(traffic_source, SOURCES, "traffic_source")
        rows = self._visits(time_min, time_max)
        return output(_per_day(rows, lambda row: not traffic_source or row["traffic_source"] == traffic_source))

    @tool(read_only=True)
    def analytics_get_average_session_duration(self, time_min: Text = None, time_max: Text = None) -> str:
        """Average the length of sessions, in seconds, on each day of a range.

        Args:
            time_min: First day, as YYYY-MM-DD.
            time_max: Last day, as YYYY-MM-DD.
        """
        seconds: dict[str, list[int]] = {}
        for row in self._visits(time_min, time_max):
            seconds.setdefault(row["date_of_visit"] or "", []).append(_number(row["session_duration_seconds"]))
        return output({date: round(sum(s) / len(s), 2) for date, s in sorted(seconds.items())})

    def _visits(self, time_min: str | None, time_max: str | None) -> Iterator[Row]:
        first, last = day(time_min, "time_min"), day(time_max, "time_max")
        return (row for row in self.world.tables.visits if within(row["date_of_visit"], first, last))


def _per_day(rows: Iterator[Row], counts: Any = lambda row: True) -> dict[str, int]:
    """How many rows of each day count; days on which none does are there with 0."""
    days: Counter[str] = Counter()
    for row in rows:
        days[row["date_of_visit"] or ""] += bool(counts(row))
    return dict(sorted(days.items()))


def _visit(row: Row) -> dict[str, Any]:
    return {
        **row,
        "page_views": _number(row["page_views"]),
        "session_duration_seconds": _number(row["session_duration_seconds"]),
        "user_engaged": row["user_engaged"] == "True",
    }


def _number(cell: str | None) -> int:
    return int(cell) if cell else 0
