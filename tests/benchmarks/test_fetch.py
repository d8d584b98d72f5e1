"""Downloads: redirects, resumption, checksums, gates, and servers that misbehave."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym_mcp.benchmarks.fetch import Fetched, Fetcher, FetchError, hub_url
from tests.benchmarks.hub import COMMIT, TOKEN, Hub, serving

REPO, PATH = "someone/some-set", "data/test.jsonl"
BODY = bytes(range(256)) * 4_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        hub.put(REPO, PATH, BODY)
        yield hub


def fetch(to: Path, path: str = PATH, *, repo: str = REPO, tries: int = 3, revision: str = "main") -> Fetched:
    with Fetcher(tries=tries, backoff=0.01, timeout=5) as fetcher:
        return fetcher.fetch(hub_url(repo, revision, path), to, what=repo)


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_file_behind_a_redirect(hub: Hub, tmp_path: Path) -> None:
    got = fetch(tmp_path / "f.jsonl")
    assert got.path.read_bytes() == BODY
    assert got == Fetched(tmp_path / "f.jsonl", hashlib.sha256(BODY).hexdigest(), len(BODY), COMMIT)
    assert left(tmp_path) == ["f.jsonl"]


def test_a_small_file_that_the_hub_sends_itself(hub: Hub, tmp_path: Path) -> None:
    hub.direct.add(PATH)
    got = fetch(tmp_path / "f.jsonl")
    assert got.path.read_bytes() == BODY and got.revision == COMMIT
    assert not hub.requests("/store")


def test_names_with_blanks_and_signs(hub: Hub, tmp_path: Path) -> None:
    hub.put(REPO, "a b/té?st#1.jsonl", b"{}")
    assert fetch(tmp_path / "f", "a b/té?st#1.jsonl").path.read_bytes() == b"{}"


def test_progress_grows_to_the_size(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    with Fetcher(lambda *now: seen.append(now)) as fetcher:
        fetcher.fetch(hub_url(REPO, "main", PATH), tmp_path / "f.jsonl")
    assert seen[0] == ("f.jsonl", 0, len(BODY)) and seen[-1] == ("f.jsonl", len(BODY), len(BODY))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_the_token_goes_to_the_hub_alone(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.gated.add(REPO)
    assert fetch(tmp_path / "f").path.read_bytes() == BODY
    assert [h.get("authorization") for h in hub.requests("/datasets")] == [f"Bearer {TOKEN}"]
    assert [h.get("authorization") for h in hub.requests("/store")] == [None]
    with Fetcher(tries=1) as fetcher:
        fetcher.fetch(f"{hub.store}/store/{REPO}/{COMMIT}/{PATH}", tmp_path / "g")
    assert hub.requests("/store")[-1].get("authorization") is None


def test_a_broken_connection_is_resumed(hub: Hub, tmp_path: Path) -> None:
    hub.cut = [100_000, 200_000]
    assert fetch(tmp_path / "f").path.read_bytes() == BODY
    assert hub.served == len(BODY)
    assert [h.get("range") for h in hub.requests("/store")] == [None, "bytes=100000-", "bytes=300000-"]
    assert all("if-range" in h for h in hub.requests("/store")[1:])


def test_progress_restarts_the_count_of_failures(hub: Hub, tmp_path: Path) -> None:
    hub.cut = [100_000] * 8
    assert fetch(tmp_path / "f", tries=2).path.read_bytes() == BODY


def test_another_process_goes_on_from_what_is_there(hub: Hub, tmp_path: Path) -> None:
    hub.cut = [100_000, 0, 0]
    with pytest.raises(FetchError, match="run the command again to go on"):
        fetch(tmp_path / "f", tries=2)
    assert left(tmp_path) == ["f.part", "f.part.json"]
    assert fetch(tmp_path / "f").path.read_bytes() == BODY
    assert hub.served == len(BODY)


def test_a_file_that_changed_meanwhile_comes_whole(hub: Hub, tmp_path: Path) -> None:
    hub.cut = [100_000, 0]
    with pytest.raises(FetchError):
        fetch(tmp_path / "f", tries=1)
    hub.cut = []
    hub.put(REPO, PATH, b"other" * 50_000)
    assert fetch(tmp_path / "f").path.read_bytes() == b"other" * 50_000


def test_a_server_without_ranges_sends_it_all_again(hub: Hub, tmp_path: Path) -> None:
    hub.ranges = False
    hub.cut = [100_000]
    assert fetch(tmp_path / "f").path.read_bytes() == BODY
    assert hub.served == len(BODY) + 100_000


def test_more_than_there_is_begins_again(hub: Hub, tmp_path: Path) -> None:
    hub.cut = [100_000]
    with pytest.raises(FetchError):
        fetch(tmp_path / "f", tries=1)
    with (tmp_path / "f.part").open("ab") as part:
        part.write(bytes(len(BODY)))
    assert fetch(tmp_path / "f").path.read_bytes() == BODY


def test_damage_in_the_part_is_found_by_the_hubs_checksum(hub: Hub, tmp_path: Path) -> None:
    hub.cut = [100_000]
    with pytest.raises(FetchError):
        fetch(tmp_path / "f", tries=1)
    (tmp_path / "f.part").write_bytes(b"x" * 100_000)
    with pytest.raises(FetchError, match=r"sha256 is \w{64}, but the hub says \w{64}"):
        fetch(tmp_path / "f")
    assert left(tmp_path) == []
    assert fetch(tmp_path / "f").path.read_bytes() == BODY


def test_a_busy_hub_is_asked_again_when_it_says(hub: Hub, tmp_path: Path) -> None:
    hub.refuse = [(503, {"Retry-After": "0"}), (429, {"Retry-After": "0"})]
    assert fetch(tmp_path / "f").path.read_bytes() == BODY
    hub.refuse = [(500, {})] * 3
    with pytest.raises(FetchError, match=r"HTTP 500; is the network there\?"):
        fetch(tmp_path / "g")


@pytest.mark.parametrize(
    ("repo", "path", "revision", "why"),
    [
        ("no/such", PATH, "main", "no such dataset"),
        (REPO, "other.jsonl", "main", "no such file"),
        (REPO, PATH, "f" * 40, "no such revision"),
    ],
)
def test_what_is_not_there(hub: Hub, tmp_path: Path, repo: str, path: str, revision: str, why: str) -> None:
    with pytest.raises(FetchError, match=f"HTTP 404: {why}"):
        fetch(tmp_path / "f", path, repo=repo, revision=revision)
    assert len(hub.asked) == 1


def test_a_gate_names_the_token(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(REPO)
    with pytest.raises(FetchError, match=f"accept the terms at {hub.url}/datasets/{REPO} and set HF_TOKEN"):
        fetch(tmp_path / "f")
    assert len(hub.asked) == 1


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    with pytest.raises(FetchError, match=r"ConnectError: .*; is the network there"):
        fetch(tmp_path / "f", tries=2)
