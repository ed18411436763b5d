"""Draw the weights of the comparison set chinese_members, as trained on generated members: the picture of docs/dedupe.md.

python -m bench.draw_weights docs/dedupe-weights.svg
"""

from __future__ import annotations

import argparse
import tempfile
from html import escape
from pathlib import Path
from typing import Final

from etl.dedupe.model import Limits
from etl.dedupe.read_model import open_model
from etl.dedupe.records import records_from_frames
from etl.dedupe.train import train_model
from etl.dedupe.trained_model import TrainedModel
from fixtures.data.generate import generate
from fixtures.data.member_frames import KEY, member_frames

MEMBERS: Final = 57_143  # 100,000 records
SEED: Final = 5
ROW, ZERO, BIT, WIDTH = 17, 470, 9, 820
FOR, AGAINST = "#0072b2", "#d55e00"  # told apart by colour-blind readers


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membershift-bench-") as name:
        folder = Path(name)
        generate(MEMBERS, SEED, folder / "data")
        comparison_set = open_model("chinese_members")
        records = records_from_frames(member_frames(folder / "data"), KEY, comparison_set, folder)
        options.picture.write_text(draw(train_model(records.path, comparison_set, Limits())), encoding="utf-8")


def draw(model: TrainedModel) -> str:
    """An SVG with a bar for each level: to the right what speaks for one person, to the left what speaks against it, in bits."""
    bars = [("Prior", "two records at random", model.prior_weight)]
    for comparison in model.comparison_set.comparisons:
        bars += [
            (comparison.title, level.name, model.weight(comparison, comparison.gamma_of(level.name)))
            for level in comparison.weighed
        ]
    height = ROW * (len(bars) + 2)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    before = ""
    for number, (title, level, weight) in enumerate(bars, 1):
        y = number * ROW
        shown = escape(title) if title != before else ""
        before = title
        left, width = (ZERO, weight * BIT) if weight >= 0 else (ZERO + weight * BIT, -weight * BIT)
        at, anchor = (ZERO + width + 4, "start") if weight >= 0 else (left - 4, "end")
        lines += [
            f'<text x="8" y="{y + 11}" font-weight="bold">{shown}</text>',
            f'<text x="125" y="{y + 11}">{escape(level)}</text>',
            f'<rect x="{left:.1f}" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" fill="{FOR if weight >= 0 else AGAINST}"/>',
            f'<text x="{at:.1f}" y="{y + 11}" text-anchor="{anchor}">{weight:+.1f}</text>',
        ]
    lines += [f'<line x1="{ZERO}" y1="{ROW}" x2="{ZERO}" y2="{height - ROW}" stroke="black"/>', "</svg>"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
