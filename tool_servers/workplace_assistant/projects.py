"""Tools of the project boards."""

from __future__ import annotations

from typing import Final

from gym_mcp import ToolError, tool

from .common import Desk, Text, address, given, has, one_of, output

LISTS: Final = ("Backlog", "In Progress", "In Review", "Completed")
BOARDS: Final = ("Back end", "Front end", "Design")


class ProjectTools(Desk):
    """Find, make, change and delete tasks."""

    @tool(read_only=True)
    def project_management_get_task_information_by_id(self, task_id: str, field: str) -> str:
        """Read one field of a task.

        Args:
            task_id: The task's 8-digit id.
            field: `task_id`, `task_name`, `assigned_to_email`, `list_name`, `due_date` or `board`.
        """
        return output(self.world.tasks.value(task_id, field))

    @tool(read_only=True)
    def project_management_search_tasks(
        self,
        task_name: Text = None,
        assigned_to_email: Text = None,
        list_name: Text = None,
        due_date: Text = None,
        board: Text = None,
    ) -> str:
        """Find the tasks that fit everything given; parts of values do, in any case.

        Args:
            task_name: What the task's name contains.
            assigned_to_email: Address, or a part of it, of the person who has the task.
            list_name: `Backlog`, `In Progress`, `In Review` or `Completed`.
            due_date: The day on which it is due, as YYYY-MM-DD.
            board: `Back end`, `Front end` or `Design`.
        """
        wanted = {
            "task_name": task_name,
            "assigned_to_email": assigned_to_email,
            "list_name": list_name,
            "due_date": due_date,
            "board": board,
        }
        if not any(wanted.values()):
            raise ToolError(f"Give at least one of {', '.join(wanted)}.")
        found = [row for row in self.world.tasks if all(has(row[c], part) for c, part in wanted.items())]
        return output(found or "No tasks found.")

    @tool
    def project_management_create_task(
        self, task_name: str, assigned_to_email: str, list_name: str, due_date: str, board: str
    ) -> str:
        """Make a task; the result is its id.

        Args:
            task_name: What is to be done.
            assigned_to_email: Address of the colleague who does it.
            list_name: `Backlog`, `In Progress`, `In Review` or `Completed`.
            due_date: The day on which it is due, as YYYY-MM-DD.
            board: `Back end`, `Front end` or `Design`.
        """
        given(task_name=task_name, due_date=due_date)
        cells = {
            "task_name": task_name,
            "assigned_to_email": self._checked("assigned_to_email", assigned_to_email),
            "list_name": self._checked("list_name", list_name),
            "due_date": due_date,
            "board": self._checked("board", board),
        }
        return output(self.world.tasks.add(cells))

    @tool
    def project_management_delete_task(self, task_id: str) -> str:
        """Delete a task.

        Args:
            task_id: The task's 8-digit id.
        """
        self.world.tasks.delete(task_id)
        return output("Task deleted successfully.")

    @tool
    def project_management_update_task(self, task_id: str, field: str, new_value: str) -> str:
        """Change one field of a task.

        Args:
            task_id: The task's 8-digit id.
            field: `task_name`, `assigned_to_email`, `list_name`, `due_date` or `board`.
            new_value: What the field shall hold.
        """
        given(new_value=new_value)
        self.world.tasks.update(task_id, field, self._checked(field, new_value))
        return output("Task updated successfully.")

    def _checked(self, field: str, value: str) -> str:
        if field == "list_name":
            return one_of(value, LISTS, field)
        if field == "board":
            return one_of(value, BOARDS, field)
        if field == "assigned_to_email":
            value = address(value, field)
            if value not in self.world.tables.directory:
                raise ToolError(f"{field} '{value}' is not in the company directory.")
        return value
