"""The workplace: published schemas, rows and recorded calls; scoring by final state; texts of mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp import ToolError
from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import entries, load_environment
from gym_mcp.types import JSONObject, Reward, Transcript
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "workplace_assistant"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
CRM = "customer_relationship_manager"


def environment(*, published: bool = False) -> type[Environment[Any]]:
    return load_environment("workplace_assistant", {"tables": str(DATA / "tables")} if published else None)


def call(name: str, /, **arguments: Any) -> tuple[str, JSONObject]:
    return name, arguments


async def play(
    gold: list[tuple[str, JSONObject]], calls: list[tuple[str, JSONObject]]
) -> tuple[Reward, list[str]]:
    """Reward and result texts of `calls` in an episode whose reference is `gold`."""
    cls = environment()
    row = {"id": "t", "data": {"ground_truth": [{"name": n, "arguments": json.dumps(a)} for n, a in gold]}}
    async with DirectClient(cls) as client:
        episode = await client.open_episode(parse_task(cls, row, "row"), seed=0)
        texts = [(await episode.agent.call(name, arguments)).text for name, arguments in calls]
        return (await episode.verify(Transcript())).reward, texts


def results(*calls: tuple[str, JSONObject]) -> list[str]:
    return run(play, [], list(calls))[1]


def result(name: str, /, **arguments: Any) -> Any:
    return json.loads(results(call(name, **arguments))[0])["output"]


def score(gold: list[tuple[str, JSONObject]], *calls: tuple[str, JSONObject]) -> float:
    return run(play, gold, list(calls))[0].score


# -- tasks -------------------------------------------------------------------------------------------------------


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 58


def test_bundled_tasks_cover_all_domains_and_hide_the_ids() -> None:
    tasks = list(load_tasks(environment()))
    assert len({task.data.category for task in tasks}) == 6
    assert len({task.prompt[1]["content"] for task in tasks}) == len(tasks)
    for task in tasks:
        assert task.data.ground_truth
        assert "2025-05-22" in task.prompt[0]["content"]
        for reference in task.data.ground_truth:
            ids = [v for k, v in reference.arguments.items() if k.endswith("_id")]
            assert not any(id in task.prompt[1]["content"] for id in ids)


def test_every_bundled_reference_call_succeeds() -> None:
    assert [problem for task in load_tasks(environment()) for problem in failures(environment(), task)] == []


def failures(cls: type[Environment[Any]], task: Any) -> Iterator[str]:
    episode = cls()
    episode.open(task)
    for reference in task.data.ground_truth:
        tool = cls.tools()[reference.name]
        try:
            tool.invoke(episode, tool.validate(reference.arguments))
        except ToolError as e:
            yield f"{task.id}: {reference.name}: {e}"


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([{"name": "fly", "arguments": "{}"}], r"ground_truth\.0\.name: .*there is no tool `fly`"),
        ([{"name": "email_delete_email", "arguments": "{"}], r"ground_truth\.0\.arguments: "),
        (None, "ground_truth: "),
    ],
)
def test_rows_that_do_not_fit_are_refused(gold: Any, message: str) -> None:
    with pytest.raises(UsageError, match=rf"rows\.jsonl:4: .*{message}"):
        parse_task(environment(), {"id": "x", "data": {"ground_truth": gold}}, "rows.jsonl:4")


def test_listing_sees_the_tools_of_all_groups_without_importing() -> None:
    entry = next(e for e in entries("environment") if e.name == "workplace_assistant")
    assert set(entry.facts["tools"]) == set(environment().tools())


# -- published data ----------------------------------------------------------------------------------------------


def shape(schema: JSONObject) -> Any:
    """What must agree: names and types in order, what is required, and nothing else allowed."""
    types = [(name, p.get("type")) for name, p in schema["properties"].items()]
    return types, sorted(schema.get("required", [])), schema["type"], schema["additionalProperties"]


@needs_data
def test_schemas_are_the_published_ones() -> None:
    mine = {name: shape(tool.spec.input_schema) for name, tool in environment().tools().items()}
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((DATA / "tools").glob("*.json"))]
    listed = {t["name"]: shape(t["parameters"]) for file in files for t in file.get("tools", [])}
    assert mine == listed
    for row in read_rows(DATA / "example.jsonl"):
        assert mine == {t["name"]: shape(t["parameters"]) for t in row["responses_create_params"]["tools"]}


def test_schemas_are_plain_and_described() -> None:
    for tool in environment().tools().values():
        assert tool.spec.description
        for parameter in tool.spec.input_schema["properties"].values():
            assert set(parameter) <= {"type", "description", "default"}
            assert parameter["description"]
            assert parameter.get("default", 1) is not None


@needs_data
def test_published_rows_are_solved_on_the_published_tables() -> None:
    cls = environment(published=True)
    tasks = list(load_tasks(cls, DATA / "example.jsonl"))
    assert [problem for task in tasks for problem in failures(cls, task)] == []
    assert run(check_environment, cls, tasks) == 5


@needs_data
def test_every_recorded_call_gives_the_recorded_text() -> None:
    cls = environment(published=True)
    compared = 0
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        items = recorded["response"]["output"]
        outputs = {i["call_id"]: i["output"] for i in items if i["type"] == "function_call_output"}
        episode = cls()
        episode.open(parse_task(cls, {"id": "r", "data": {"ground_truth": []}}, "row"))
        for item in items:
            if item["type"] == "function_call":
                tool = cls.tools()[item["name"]]
                text = tool.invoke(episode, tool.validate(json.loads(item["arguments"])))
                assert text == outputs[item["call_id"]]
                compared += 1
    assert compared == 8


# -- scoring -----------------------------------------------------------------------------------------------------

REPLY = call("email_reply_email", email_id="00000010", body="Fine with me.")
FIND = call("email_search_emails", query="roadmap")


def test_reads_are_free_and_extra_writes_are_not() -> None:
    assert score([REPLY], FIND, REPLY, FIND) == 1.0
    assert score([REPLY], REPLY, call("email_delete_email", email_id="00000011")) == 0.0
    assert score([REPLY], REPLY, REPLY) == 0.0
    assert score([REPLY]) == 0.0


def test_another_way_to_the_same_state_counts() -> None:
    subject, sender = (
        result("email_get_email_information_by_id", email_id="00000010", field=field)[field]
        for field in ("subject", "sender/recipient")
    )
    assert score([REPLY], call("email_send_email", recipient=sender, subject=subject, body="fine with me.")) == 1.0


def test_a_write_that_is_undone_leaves_no_trace() -> None:
    original = result("calendar_get_event_information_by_id", event_id="00000003", field="event_name")[
        "event_name"
    ]
    change = {"event_id": "00000003", "field": "event_name"}
    undone = [call("calendar_update_event", **change, new_value=value) for value in ("Party", original)]
    assert score([REPLY], *undone, REPLY) == 1.0


def test_failing_calls_are_skipped_on_both_sides() -> None:
    bad = call("email_delete_email", email_id="99999999")
    unfit = call("email_delete_email", id=1)
    assert score([bad, unfit, REPLY], REPLY) == 1.0
    assert score([REPLY], bad, unfit, REPLY) == 1.0


def test_notes_name_the_tables_that_differ() -> None:
    plot = call(
        "analytics_create_plot",
        time_min="2025-05-01",
        time_max="2025-05-02",
        value_to_plot="total_visits",
        plot_type="bar",
    )
    reward, _ = run(play, [REPLY, plot], [])
    assert reward == Reward(0.0, {}, "differs: email, plots")


def test_the_operator_sees_what_was_written() -> None:
    async def state() -> JSONObject:
        async with DirectClient(environment()) as client:
            episode = await client.open_episode(next(iter(load_tasks(environment()))), seed=0)
            await episode.agent.call("project_management_delete_task", {"task_id": "00000001"})
            return await episode.state()

    shown = run(state)
    assert shown["written"] == ["project_management"]
    assert shown["rows"]["project_management"] == 299


def test_snapshots() -> None:
    episode = environment()()
    episode.open(next(iter(load_tasks(environment()))))
    world: Any = episode
    snapshot = episode.snapshot()
    world.world.tasks.delete("00000001")
    assert len(snapshot["world"].tasks) == 300
    episode.restore(snapshot)
    assert len(world.world.tasks) == 300


# -- tools -------------------------------------------------------------------------------------------------------


def test_pages() -> None:
    first = result("email_search_emails", query="kwame about", page_size=2)
    second = result("email_search_emails", query="kwame about", page=2, page_size=2)
    total = first["pagination"]["total_emails"]
    assert first["pagination"] == {
        "total_emails": total,
        "page": 1,
        "page_size": 2,
        "total_pages": (total + 1) // 2,
    }
    times = [mail["sent_datetime"] for mail in first["emails"] + second["emails"]]
    assert times == sorted(times, reverse=True)
    assert len(times) == min(total, 4)


def test_searches_that_find_nothing() -> None:
    found = results(
        call("company_directory_find_email_address", name="nobody"),
        call("email_search_emails", query="zebra"),
        call("calendar_search_events", query="zebra"),
        call("project_management_search_tasks", task_name="zebra"),
        call(f"{CRM}_search_customers", customer_name="zebra"),
    )
    assert found == [
        f'{{"output":"No {things} found."}}'
        for things in ("email addresses", "emails", "events", "tasks", "customers")
    ]


def test_date_limits_are_inclusive() -> None:
    day = "2025-05-20"
    mails = result("email_search_emails", date_min=day, date_max=day, page_size=100)["emails"]
    assert mails
    assert {mail["sent_datetime"][:10] for mail in mails} == {day}
    limits = {"last_contact_date_min": day, "last_contact_date_max": day}
    found = result(f"{CRM}_search_customers", **limits, page_size=100)["customers"]
    assert found
    assert {customer["last_contact_date"] for customer in found} == {f"{day} 23:59:00"}


def test_event_limits_look_at_the_end_and_the_start() -> None:
    made = {"event_name": "Tea", "participant_email": "Nora.Lindahl@larkfield.example", "duration": "60"}
    create = call("calendar_create_event", **made, event_start="2031-01-01 10:00:00")
    searches = [
        call(
            "calendar_search_events", query="tea nora", time_min=f"2031-01-01 {low}", time_max=f"2031-01-01 {high}"
        )
        for low, high in (
            ("11:00:00", "12:00:00"),
            ("11:01:00", "12:00:00"),
            ("09:00:00", "10:00:00"),
            ("08:00:00", "09:59:00"),
        )
    ]
    found = [isinstance(json.loads(text)["output"], dict) for text in results(create, *searches)[1:]]
    assert found == [True, False, True, False]


def test_counts_per_day() -> None:
    days = {"time_min": "2025-05-10", "time_max": "2025-05-16"}
    total = result("analytics_total_visits_count", **days)
    assert min(total) >= "2025-05-10"
    assert max(total) <= "2025-05-16"
    sources = [
        result("analytics_traffic_source_count", **days, traffic_source=source)
        for source in ("direct", "referral", "search engine", "social media")
    ]
    assert {day: sum(counts[day] for counts in sources) for day in total} == total
    engaged = result("analytics_engaged_users_count", **days)
    assert all(engaged[day] <= total[day] for day in total)
    assert all(seconds >= 0 for seconds in result("analytics_get_average_session_duration", **days).values())


def test_new_rows_as_they_are_stored() -> None:
    texts = results(
        call("email_send_email", recipient="Nora.Lindahl@larkfield.example", subject="Hi", body="Tea?"),
        call("email_search_emails", query="hi nora tea?"),
        call(
            f"{CRM}_add_customer",
            customer_name="Ada Nu",
            assigned_to_email="gita.raman@larkfield.example",
            status="Lead",
        ),
        call(f"{CRM}_search_customers", customer_name="ada nu"),
    )
    mail = json.loads(texts[1])["output"]["emails"][0]
    assert list(mail) == ["email_id", "inbox/outbox", "sender/recipient", "subject", "sent_datetime", "body"]
    assert (mail["email_id"], mail["inbox/outbox"], mail["sent_datetime"]) == (
        "00000500",
        "outbox",
        "2025-05-22 23:59:00",
    )
    assert mail["sender/recipient"] == "nora.lindahl@larkfield.example"
    assert texts[2] == '{"output":"00000200"}'
    assert json.loads(texts[3])["output"]["customers"][0]["customer_phone"] is None


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("email_delete_email", {"email_id": "x"}, "Email not found: there is no email_id 'x'."),
        ("email_delete_email", {}, "Invalid arguments for email_delete_email: email_id: Field required"),
        ("email_delete_email", {"email_id": 7}, "Invalid arguments for email_delete_email: email_id: "),
        (
            "email_send_email",
            {"recipient": "nora", "subject": "a", "body": "b"},
            "recipient 'nora' is no e-mail address.",
        ),
        ("email_send_email", {"recipient": "a@b.c", "subject": "", "body": "b"}, "subject must not be empty."),
        ("email_search_emails", {"date_min": "soon"}, "date_min 'soon' is no date. Write YYYY-MM-DD"),
        ("email_search_emails", {"page": 0}, "page and page_size start at 1."),
        ("company_directory_find_email_address", {}, "Give the name"),
        (
            "calendar_update_event",
            {"event_id": "00000000", "field": "room", "new_value": "1"},
            "Unknown field 'room'.",
        ),
        ("project_management_search_tasks", {}, "Give at least one of task_name, "),
        (
            "project_management_update_task",
            {"task_id": "00000000", "field": "board", "new_value": "design"},
            "board 'design' is not valid. Choose one of: Back end, Front end, Design.",
        ),
        (
            "project_management_update_task",
            {"task_id": "00000000", "field": "assigned_to_email", "new_value": "a@b.c"},
            "assigned_to_email 'a@b.c' is not in the company directory.",
        ),
        (
            f"{CRM}_update_customer",
            {"customer_id": "00000000", "field": "status", "new_value": "Gone"},
            "status 'Gone' is not valid. Choose one of: Qualified, Won, Lost, Lead, Proposal.",
        ),
        (
            "analytics_get_visitor_information_by_id",
            {"visitor_id": "-1"},
            "Visitor not found: there is no visitor_id '-1'.",
        ),
        (
            "analytics_create_plot",
            {"time_min": "2025-05-01", "time_max": "2025-05-02", "value_to_plot": "visits", "plot_type": "bar"},
            "value_to_plot 'visits' is not valid.",
        ),
    ],
)
def test_mistakes_are_explained_and_change_nothing(name: str, arguments: JSONObject, text: str) -> None:
    reward, texts = run(play, [], [(name, arguments)])
    assert texts[0].startswith(text)
    assert reward.score == 1.0


def test_null_counts_as_left_out() -> None:
    assert result("company_directory_find_email_address", name="nora") == ["nora.lindahl@larkfield.example"]
    assert result("email_search_emails", query=None, page_size=1)["pagination"]["total_emails"] == 500


_VALUES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["00000000", "event_start", "duration", "9999-12-31 23:59:59", "0001-01-01", "10" * 6, "a@b.c", "²"]
    ),
)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_arguments_make_a_tool_raise(data: st.DataObject) -> None:
    cls = environment()
    episode = cls()
    episode.open(next(iter(load_tasks(cls))))
    for _ in range(4):
        tool = data.draw(st.sampled_from(list(cls.tools().values())))
        schema = tool.spec.input_schema
        types = {name: p["type"] for name, p in schema["properties"].items()}
        arguments = {
            name: data.draw(st.integers(-2, 10**6) if type_ == "integer" else _VALUES)
            for name, type_ in types.items()
        }
        try:
            assert tool.invoke(episode, tool.validate(arguments)).startswith('{"output":')
        except ToolError as e:
            assert str(e)
