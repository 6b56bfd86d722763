"""The model card of a bundle: figures, data, licences and limits, from its manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyhead_server.bundle import HeadSpec, Manifest

CARD = "MODEL_CARD.md"
"""The card's file in a bundle."""

STAND_IN = "a local directory"
"""What the provenance says an encoder was taken from that was given for the configured one."""

_RESTRICTED = re.compile(
    r"non-?commercial|research|not (specified|stated)|terms of|\bNC\b", re.IGNORECASE
)
_SHARE_ALIKE = re.compile(r"\bSA\b|share-?alike", re.IGNORECASE)


def model_card(manifest: Manifest) -> str:
    """Write the card as Markdown."""
    parts = [
        _head(manifest),
        _tasks(manifest),
        _figures(manifest),
        _added(manifest),
        _calibration(manifest),
        _data(manifest),
        _limits(manifest),
    ]
    return "\n".join(parts)


def _head(manifest: Manifest) -> str:
    encoder = manifest.encoder
    tasks = len(manifest.heads)
    made = f"made from {encoder_name(manifest)}, {encoder.precision}"
    return f"""# {manifest.name} {manifest.version}

One shared encoder and {tasks} task head{"s" if tasks > 1 else ""}, fine-tuned jointly with
polyhead; every task is answered from one encoder pass.

- Language: {manifest.language}
- Encoder: {made}, {encoder.hidden_size} values a token
- Window: {manifest.tokenizer.max_tokens} tokens; longer text is read in windows that overlap by
  {manifest.tokenizer.overlap} tokens and merged, never cut
"""


def encoder_name(manifest: Manifest, mark: str = "`") -> str:
    """What the encoder was made from, as far as it is known.

    Args:
        manifest: of the bundle.
        mark: put around the model's name.
    """
    named = f"{mark}{manifest.encoder.model}{mark}"
    taken = manifest.provenance.get("encoder_taken_from")
    return f"{taken} given for {named}" if taken else named


def _tasks(manifest: Manifest) -> str:
    rows = [f"| {head.name} | {head.kind} | {', '.join(head.labels)} |" for head in manifest.heads]
    return "\n".join(["## Tasks", "", "| task | kind | labels |", "|---|---|---|", *rows, ""])


def _figures(manifest: Manifest) -> str:
    rows = [row for head in manifest.heads for row in _figure_rows(head, manifest.provenance)]
    if not rows:
        return ""
    title = "| task | data | part | measure | served | torch |"
    return "\n".join(
        [
            "## Figures",
            "",
            "Measured in percent with the engine that serves the bundle (`served`) and, for",
            "comparison, with the network in torch before export (`torch`).",
            "",
            title,
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _figure_rows(head: HeadSpec, provenance: Mapping[str, Any]) -> list[str]:
    torch = {
        (item["source"], item["split"], item["metric"]): item["value"]
        for item in provenance.get("torch_figures", [])
        if item["head"] == head.name
    }
    rows = []
    for figure in head.figures:
        other = torch.get((figure.data_set, figure.split, figure.metric))
        reference = f"{100 * other:.2f}" if other is not None else ""
        rows.append(
            f"| {head.name} | {figure.data_set} | {figure.split} | {figure.metric} "
            f"| {100 * figure.value:.2f} | {reference} |"
        )
    return rows


def _added(manifest: Manifest) -> str:
    """Heads that came later, with how sure their figures are."""
    heads = manifest.provenance.get("added_heads", [])
    if not heads:
        return ""
    rows = [
        f"| {head['name']} | {item['split']} | {item['count']} | {item['metric']} "
        f"| {100 * item['value']:.2f} | {100 * item['low']:.2f} to {100 * item['high']:.2f} |"
        for head in heads
        for item in head["figures"]
    ]
    return "\n".join(
        [
            "## Heads added later",
            "",
            "Trained on the vectors of the finished encoder, which stayed as it was. Figures in",
            "percent with the 95 % interval of a bootstrap over texts.",
            "",
            "| task | part | texts | measure | value | interval |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _calibration(manifest: Manifest) -> str:
    rows = [
        f"| {head['head']} | {head['temperature']:.3f} | {item['source']} | {item['split']} "
        f"| {100 * item['before']:.2f} | {100 * item['after']:.2f} |"
        for head in manifest.provenance.get("calibration", [])
        for item in head["errors"]
    ]
    if not rows:
        return ""
    return "\n".join(
        [
            "## Calibration",
            "",
            "One temperature for each task, fitted on dev data, makes scores as high as answers",
            "are right. The expected calibration error in percent (15 bins; of labels, words' tags",
            "or predicted spans) is the mean distance of the two, without it and with it.",
            "",
            "| task | temperature | data | part | before | after |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _data(manifest: Manifest) -> str:
    rows = []
    for item in manifest.provenance.get("data_sets", []):
        use = "training" if item["trained_on"] else "measuring only"
        rows.append(f"| {item['name']} | {item['head']} | {use} | {item['licence']} |")
    lines = ["## Data", "", "| set | head | use | licence |", "|---|---|---|---|", *rows, ""]
    return "\n".join([*lines, *_restrictions(manifest)])


def _restrictions(manifest: Manifest) -> list[str]:
    trained = [item for item in manifest.provenance.get("data_sets", []) if item["trained_on"]]
    closed = [item["name"] for item in trained if _RESTRICTED.search(item["licence"])]
    alike = [item["name"] for item in trained if _SHARE_ALIKE.search(item["licence"])]
    lines = []
    if closed:
        lines += [
            "**Commercial use:** this bundle was trained on data that are not free for every",
            f"commercial use or whose licence is not stated: {', '.join(closed)}. Whether weights",
            "carry the terms of their training data is not settled law: before commercial use,",
            "take advice, or train a bundle without these sets.",
            "",
        ]
    if alike:
        lines += [f"Share-alike data: {', '.join(alike)}; attribution is due to their makers.", ""]
    return lines


def _limits(manifest: Manifest) -> str:
    return f"""## Limits

- Trained on {manifest.language} text of the kinds named above; other languages and kinds of text
  get answers too, but nobody has measured them here.
- {_scores(manifest)}
- Labels reflect the habits of the people who made the data, with their biases. Do not decide
  about people by these labels alone.
"""


def _scores(manifest: Manifest) -> str:
    known = {item["head"] for item in manifest.provenance.get("calibration", [])}
    others = [head.name for head in manifest.heads if head.name not in known]
    if not known:
        return "Scores are the model's own and are not calibrated; a high score is not a guarantee."
    rest = f" Those of {', '.join(others)} are not." if others else ""
    return (
        "Scores are calibrated on the data named above; on other kinds of text they may mislead."
        + rest
    )
