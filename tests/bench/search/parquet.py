"""What one would do without an index: a Parquet file of the prompts, scanned by DuckDB."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import duckdb

from tests.bench.search.prompts import documents, queries

_WORDS = ("a common word", "a rare word", "two common words", "five words")


def measure(path: Path, images: int) -> dict[str, Any]:
    """Write the file, and look for words in it as a query with LIKE does: without stems, newest first."""
    rows = path.with_suffix(".csv")
    with rows.open("w", encoding="utf-8") as file:
        file.writelines(f"{each.at},{each.image},{each.prompt}\n" for each in documents(images))
    connection = duckdb.connect()
    columns = "{'written': 'BIGINT', 'image': 'VARCHAR', 'prompt': 'VARCHAR'}"
    connection.execute(
        f"COPY (SELECT * FROM read_csv('{rows}', header=false, columns={columns})) TO '{path}' (COMPRESSION zstd)"
    )
    rows.unlink()
    times = []
    for kind in _WORDS:
        for text in queries(of_each=3)[kind]:
            conditions = " AND ".join("prompt ILIKE ?" for _ in text.split())
            began = time.perf_counter()
            connection.execute(
                f"SELECT image FROM '{path}' WHERE {conditions} ORDER BY written DESC LIMIT 20",
                [f"%{word}%" for word in text.split()],
            ).fetchall()
            times.append(time.perf_counter() - began)
    return {"bytes": path.stat().st_size, "p50": median(times), "p99": quantiles(times, n=100)[98]}
