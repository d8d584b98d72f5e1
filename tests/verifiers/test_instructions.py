"""Instruction checkers: each id with texts that follow it and texts that do not, strict and loose, any text."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.instructions import check, check_all, known_ids, language, problem, variants
from verifiers.instructions.text import divided, sentences, tokens

IFEVAL = {
    "keywords": ["existence", "frequency", "forbidden_words", "letter_frequency"],
    "language": ["response_language"],
    "length_constraints": ["number_sentences", "number_paragraphs", "number_words", "nth_paragraph_first_word"],
    "detectable_content": ["number_placeholders", "postscript"],
    "detectable_format": [
        "number_bullet_lists",
        "constrained_response",
        "number_highlighted_sections",
        "multiple_sections",
        "json_format",
        "title",
    ],
    "combination": ["two_responses", "repeat_prompt"],
    "startend": ["end_checker", "quotation"],
    "change_case": ["capital_word_frequency", "english_capital", "english_lowercase"],
    "punctuation": ["no_comma"],
}
PROMPT = "Name two rivers."
# id, kwargs, texts that follow it, texts that do not
CASES: list[tuple[str, dict[str, Any] | None, list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["Moss", "c++"]}, ["mossy stones and C++"], ["moss only", "c+ moss"]),
    (
        "keywords:frequency",
        {"keyword": "oak", "frequency": 2, "relation": "at least"},
        ["Oak and oak.", "soaked oaks"],
        ["One oak."],
    ),
    ("keywords:frequency", {"keyword": "a.b", "frequency": 1, "relation": "less than"}, ["axb"], ["a.b"]),
    ("keywords:forbidden_words", {"forbidden_words": ["part"]}, ["a party"], ["This PART.", "part-time"]),
    (
        "keywords:letter_frequency",
        {"letter": "Z", "let_frequency": 2, "let_relation": "at least"},
        ["zigzag"],
        ["one z"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at least"},
        ["one two three", "well-kept dogs"],
        ["two words"],
    ),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, ["two words"], ["a b c"]),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        ["It rains. It pours!", "Why? Because."],
        ["Dr. Roe met Mr. J. Poe at 3.5 km.", "One line\n\nand another"],
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["one\n***\ntwo", "*** one *** two ***"],
        ["one\n\ntwo", "one *** *** two", "one *** two *** three"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Crash"},
        ["Well.\n\n'crash', it went", "Well.\n\ncrash."],
        ["Crash.\n\nWell.", "Well.\n\ncrash.\n\nThird.", "Well.\n\ncrashing"],
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] and [b c]"], ["[a", "[a] b]"]),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        ["Bye.\nP.S. Call.", "p. s. call"],
        ["PS: call"],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S call", "p. p. s"], ["P.S. call"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n- b", "  * a\ntext\n  - b\n**bold**"],
        ["* a", "* a\n* b\n* c", "**a**\n**b**"],
    ),
    ("detectable_format:constrained_response", {}, ["So: My answer is no."], ["No.", "my answer is no."]),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*one* and *two*", "**one** and *two*"],
        ["*one*", "* * and **", "*one\ntwo* *three*"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        ["SECTION 1\na\nSECTION 2\nb"],
        ["SECTION 1\na", "Section 1 Section 2"],
    ),
    (
        "detectable_format:json_format",
        None,
        ['{"a": 1}', '```json\n{"a": 1}\n```', "```\n[]\n```"],
        ["{a: 1}", 'Here: {"a": 1}', "[" * 100_000],
    ),
    (
        "detectable_format:title",
        None,
        ["<<poem>>\ntext", "a <<b> c>>"],
        ["<<>>", "<< >>", "<poem>", "<<a\nb>>", ">> <<"],
    ),
    (
        "combination:two_responses",
        {},
        ["one ****** two", "******one******two******"],
        ["one", "one ****** one", "a ****** b ****** c"],
    ),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, ["say IT. It."], ["Well: say it."]),
    ("combination:repeat_prompt", {}, [PROMPT + " Rhine."], ["Rhine. " + PROMPT]),
    ("startend:end_checker", {"end_phrase": "The end."}, ["So. THE END.", '"So. The end."'], ["The end. So"]),
    ("startend:quotation", {}, ['"all of it"', ' "a" '], ['"', "a", '"a" b']),
    ("change_case:english_capital", {}, ["THE WEATHER IS FINE TODAY AND WE WALK."], ["The weather is fine."]),
    ("change_case:english_lowercase", {}, ["the weather is fine today and we walk."], ["The weather is fine."]),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        ["NASA and (ESA).", "I'm OK"],
        ["NASA only", "Nasa Esa"],
    ),
    ("punctuation:no_comma", {}, ["a; b"], ["a, b"]),
    ("paragraphs:paragraphs", {}, ["a\n***\nb"], ["a", "a\n\nb"]),
    ("paragraphs:paragraphs2", {}, ["a\n\nb", "\n\na\n\nb\n"], ["a\nb", "a\n\nb\n\nc"]),
    ("first_word:first_word_answer", {"first_word": "yes"}, ["Yes it is", "Yes, it is"], ["It is. Yes"]),
    ("first_word:first_word_sent", {"first_word": "so"}, ["So it is. So be it."], ["So it is. It is."]),
    ("last_word:last_word_answer", {"last_word": "contest"}, ["It was a contest.", "**Contest**"], ["contest it"]),
    ("last_word:last_word_sent", {"last_word": "rain"}, ["Here is rain. No rain!"], ["Rain is here. No rain."]),
    ("count:lowercase_counting", {"N": 2}, ["ALL of the", "A B C"], ["all of the"]),
    ("letters:letter_counting", {"N": 3, "relation": "less than"}, ["a1b2"], ["abc"]),
    (
        "letters:letter_counting2",
        {"letter": "q", "let_frequency": 1, "let_relation": "at least"},
        ["Quick"],
        ["slow"],
    ),
    ("count:count_unique", {}, ["each word once", "A a"], ["the cat the dog"]),
    ("count:count_increment_word", {"keyword1": "ash", "keyword2": "elm"}, ["ash, elm, elm"], ["ash elm"]),
    (
        "count:counting_composition",
        {"n_sent": 1, "n_words": 2},
        ["Rain falls. *** Sun shines. *** Wind blows."],
        ["Rain falls. *** Sun shines.", "Rain. *** Sun shines. *** Wind blows.", "A b. C d. *** e f. *** g h."],
    ),
    ("keywords:word_once", {"keyword": "fern"}, ["A fern."], ["fern, fern", "none"]),
    ("keywords:word_count_different_numbers", {"keyword": "fern", "frequency": 2}, ["fern fern"], ["fern"]),
    ("keywords:palindrome", {}, ["a level field"], ["a flat field"]),
    (
        "keywords:keyword_specific_position",
        {"keyword": "blue", "n": 2, "m": 3},
        ["Look up. Skies are blue today."],
        ["Skies are blue.", "Look up. Blue skies."],
    ),
    ("keywords:start_end", {}, ["Peace is peace", "one"], ["Peace is peace.", "Peace is war"]),
    ("keywords:exclude_word_harder", {"keyword": "sea"}, ["The sea."], ["The sea is"]),
    ("keywords:no_adjacent_consecutive", {}, ["a cat eats"], ["a bird", "Do eat"]),
    ("punctuation:punctuation_dot", {}, ["no dots!"], ["a dot."]),
    ("punctuation:punctuation_exclamation", {}, ["calm."], ["wow!"]),
    ("detectable_format:square_brackets", {}, ["[each] [word]"], ["[each] word"]),
    ("detectable_format:bigram_wrapping", {}, ["<<I am>> <<at home>>", "<<I am>> so"], ["I am", "<<I am so>> x"]),
    ("detectable_format:sentence_hyphens", {}, ["It rains.-It pours."], ["It rains. It pours.", "It rains.- It."]),
    ("copy:copying_simple", {}, [PROMPT, " name two rivers. "], [PROMPT + " Rhine."]),
    ("copy:copying_multiple", {"N": 2}, [f"{PROMPT}******{PROMPT}"], [PROMPT, f"{PROMPT}******{PROMPT}******"]),
    ("copy:copy_span_idx", {"n_start": 5, "n_end": 8}, ["two", " TWO "], ["Name"]),
    (
        "copy:repeat_phrase",
        {"phrase": "the red fox", "small_n": 2},
        ["the old fox and the new fox"],
        ["the red fox", "the red fox the red fox", "the old fox"],
    ),
]


def test_the_25_of_ifeval_and_more() -> None:
    names = {f"{group}:{name}" for group, members in IFEVAL.items() for name in members}
    assert len(names) == 25
    assert names < set(known_ids())
    aliases = {"copy:copy", "new:copy_span_idx", "new:repeat_phrase", "language:response_language"}
    assert {case[0] for case in CASES} | aliases == set(known_ids())


@pytest.mark.parametrize(("name", "kwargs", "good", "bad"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_each_checker(name: str, kwargs: dict[str, Any] | None, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert check(name, kwargs, text, PROMPT).followed, text
    for text in bad:
        result = check(name, kwargs, text, PROMPT)
        assert not result.followed, text
        assert result.note


@pytest.mark.parametrize("name", known_ids())
def test_blank_texts_follow_nothing(name: str) -> None:
    kwargs = next((case[1] for case in CASES if case[0] == name), {})
    assert not check(name, kwargs, " \n", PROMPT).followed


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("keywords:existance", {}, "unknown instruction `keywords:existance`"),
        ("keywords:existence", {"keywords": None}, "argument `keywords` is missing"),
        ("keywords:existence", {"keywords": "a"}, "must be list"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2.5}, "must be int"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": True}, "must be int"),
        ("length_constraints:number_words", {"num_words": 3, "relation": "around"}, "is one of less than"),
    ],
)
def test_what_cannot_be_judged(name: str, kwargs: dict[str, Any], words: str) -> None:
    assert words in problem(name, kwargs)
    result = check(name, kwargs, "some text")
    assert not result.followed
    assert words in result.note


def test_null_and_foreign_arguments_are_dropped() -> None:
    assert check("length_constraints:number_paragraphs", {"num_paragraphs": 1.0, "N": None, "x": 3}, "a").followed


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "The rain in Spain stays mainly in the plain."),
        ("de", "Das Wetter ist heute schön und wir gehen lange spazieren."),
        ("sw", "Leo nilikwenda sokoni na kununua mboga nyingi."),
        ("mr", "मी आज बाजारात गेलो होतो आणि भाजी घेतली."),
        ("ur", "میں آج بازار گیا تھا اور سبزی خریدی۔"),
        ("zh-cn", "我今天去了市场买了蔬菜。"),
        ("bg", "Днес ходих на пазар и купих зеленчуци."),
        ("xx", "12 + 34"),
    ],
)
def test_language(code: str, text: str) -> None:
    pytest.importorskip("py3langid")
    assert check("language:response_language", {"language": code}, text).followed
    if code != "xx":
        assert not check("language:response_language", {"language": "fr"}, text).followed


def test_without_a_language_detector_the_script_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_classifier", lambda: None)
    ask = {"language": "ru"}
    assert check("language:response_language", ask, "Днес ходих на пазар.").note == language.MISSING
    assert check("language:response_language", ask, "Днес ходих на пазар.").followed
    assert not check("language:response_language", ask, "The rain in Spain.").followed
    assert check("change_case:english_lowercase", {}, "das wetter").followed


def test_variants_are_eight() -> None:
    assert variants("Sure:\n*a*\nb\nBye") == [
        "Sure:\n*a*\nb\nBye",
        "*a*\nb\nBye",
        "Sure:\n*a*\nb",
        "*a*\nb",
        "Sure:\na\nb\nBye",
        "a\nb\nBye",
        "Sure:\na\nb",
        "a\nb",
    ]


def test_loose_forgives_an_introduction_and_markdown() -> None:
    ids = ["combination:repeat_prompt", "startend:end_checker", "punctuation:no_comma"]
    kwargs: list[dict[str, Any] | None] = [None, {"end_phrase": "done"}]
    text = f"Sure, here:\n{PROMPT}\nRhine and Elbe **done**\nAnything else, dear user?"
    strict = check_all(ids, kwargs, text, PROMPT)
    loose = check_all(ids, kwargs, text, PROMPT, evaluation="loose")
    assert [r.followed for r in strict] == [False, False, False]
    assert [r.followed for r in loose] == [True, True, True]
    assert strict[2].note == "contains a comma"


def test_sentences() -> None:
    text = 'Dr. Roe paid 3.5 dollars, e.g. to J. Poe. Really?! Yes... "It works." Fine\n\nso far. 好。很好！'
    assert sentences(text) == [
        "Dr. Roe paid 3.5 dollars, e.g. to J. Poe.",
        "Really?!",
        "Yes...",
        '"It works."',
        "Fine\n\nso far.",
        "好。",
        "很好！",
    ]
    assert sentences("") == []


def test_tokens_and_paragraphs() -> None:
    assert tokens("I'm NASA's (\"big\") man; isn't U.S. law.") == [
        *("I", "'m", "NASA", "'s", "big", "man"),
        *("is", "n't", "U.S.", "law"),
    ]
    assert divided("***") == []


@pytest.mark.parametrize("piece", [".", "[", "*", "\n", "<<", "a", "a.", "- ", "P.", " ", '"', "’s"])
def test_long_texts_take_linear_time(piece: str) -> None:
    check("change_case:english_lowercase", {}, "the weather")  # loads the language model
    text = piece * 100_000 + "x"
    start = time.perf_counter()
    for name, kwargs, *_ in CASES:
        check(name, kwargs, text, PROMPT)
    assert time.perf_counter() - start < 10


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=80))
def test_no_text_raises(text: str) -> None:
    for name, kwargs, *_ in CASES:
        assert check(name, kwargs, text, PROMPT).followed in (True, False)
