"""The report card of an environment: what every environment must hold, checked on this one."""

from __future__ import annotations

from gym_mcp.report_card.card import Check, ReportCard, Timing, render
from gym_mcp.report_card.examine import examine

__all__ = ["Check", "ReportCard", "Timing", "examine", "render"]
