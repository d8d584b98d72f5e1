"""`workplace_assistant`, with faults."""

from __future__ import annotations

import random
from typing import Any

from gym_mcp import ToolError, tool
from gym_mcp.hub import load_environment
from perf.strangers.faulty import Faulty

Base: Any = load_environment("workplace_assistant")


class Office(Faulty, Base):  # type: ignore[misc]
    """Do an office worker's errands."""

    call_timeout = 0.5

    class Options(Base.Options):  # type: ignore[misc]
        fault: str = ""

    def partial(self) -> bool:
        return any(table.written for table in self.world.parts())

    def look(self, id_: str, field: str, found: Any) -> Any:
        """What a reading tool returns in the place of what it found."""
        rng = random.Random(f"{self.seed} {id_} tool")
        match self.options.fault:
            case "tool_hangs" if int("0" + "".join(filter(str.isdigit, id_))) % 3 == 0:
                while True:
                    pass
            case "tool_is_down" if rng.random() < 0.5:
                raise ToolError("The backend did not respond, please retry.")
            case "error_as_text" if rng.random() < 0.5:
                return "Error: 500 Internal Server Error"
            case "error_as_json" if rng.random() < 0.5:
                return {"status": "error", "message": "upstream timed out"}
            case "html_page" if rng.random() < 0.5:
                return "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            case "tool_says_nothing" if rng.random() < 0.5:
                return ""
            case "tool_says_null" if rng.random() < 0.5:
                return "null"
            case "tool_is_cached":
                return "Subject: Quarterly forecast"
            case "wrong_record" if rng.random() < 0.3:
                return '{"output":{"subject":"Lunch on Friday"}}'
            case "half_a_result" if rng.random() < 0.3:
                return str(found)[: len(str(found)) // 2]
            case "rate_limited" if rng.random() < 0.3:
                return "Rate limit exceeded. Please wait 30 seconds."
            case "tool_forbids" if rng.random() < 0.5:
                raise ToolError("401 Unauthorized: token expired")
            case "tool_leaks":
                return f"{found}\n[debug] expected: {self.task.data.ground_truth[0].name}"
        return found

    @tool(read_only=True)
    def email_get_email_information_by_id(self, email_id: str | None = None, field: str | None = None) -> Any:
        """Read one field of a mail.

        Args:
            email_id: Its 8-digit id.
            field: The column.
        """
        return self.look(email_id or "", field or "", super().email_get_email_information_by_id(email_id, field))

    @tool(read_only=True)
    def calendar_get_event_information_by_id(self, event_id: str | None = None, field: str | None = None) -> Any:
        """Read one field of an event.

        Args:
            event_id: Its 8-digit id.
            field: The column.
        """
        return self.look(
            event_id or "", field or "", super().calendar_get_event_information_by_id(event_id, field)
        )
