"""The peer of an import: chromadb's own client, which writes a collection, or reads one whole in batches.

python3 chroma_client.py write DIRECTORY ROWS
python3 chroma_client.py read DIRECTORY
"""

import sys

import chromadb
import numpy as np

BATCH = 5_000
DIMENSIONS = 384


def client(directory):
    settings = chromadb.Settings(anonymized_telemetry=False)
    return chromadb.PersistentClient(directory, settings=settings)


def write(directory, rows):
    space = {"hnsw:space": "cosine"}
    collection = client(directory).get_or_create_collection(
        "faq", metadata=space, embedding_function=None
    )
    numbers = np.random.default_rng(7)
    for start in range(0, rows, BATCH):
        batch = range(start, min(start + BATCH, rows))
        collection.add(
            ids=[f"entry-{row:06d}" for row in batch],
            embeddings=numbers.standard_normal(
                (len(batch), DIMENSIONS), dtype=np.float32
            ),
            documents=[
                f"Как заблокировать карту номер {row}, если телефон потерян? "
                + "Откройте приложение и выберите карту. " * 4
                for row in batch
            ],
            metadatas=[
                {
                    "category": f"Категория {row % 12}",
                    "rank": row,
                    "weight": row / 7.0,
                    "active": row % 2 == 0,
                }
                for row in batch
            ],
        )


def read(directory):
    collection = client(directory).get_collection("faq", embedding_function=None)
    found = 0
    while True:
        batch = collection.get(
            limit=BATCH,
            offset=found,
            include=["embeddings", "documents", "metadatas"],
        )
        if not batch["ids"]:
            break
        assert batch["embeddings"].shape == (len(batch["ids"]), DIMENSIONS)
        found += len(batch["ids"])
    print(found)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]))
    else:
        read(sys.argv[2])
