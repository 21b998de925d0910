"""The plain peer: reads a store's vectors with sqlite3, scores them with numpy, prints the ids of the best ten.

python3 numpy_reader.py STORE QUERY.f32
"""

import sqlite3
import sys

import numpy as np

VECTORS = """
SELECT r.record_id, v.embedding
FROM embedding_records AS r
JOIN collections AS c ON c.collection_id = r.collection_id
JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
WHERE c.name = 'faq'
"""
TEXTS = "SELECT document, title, body FROM embedding_records WHERE record_id = ?"


def main(store, query_file):
    query = np.fromfile(query_file, dtype="<f4")
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    rows = connection.execute(VECTORS).fetchall()
    matrix = np.frombuffer(b"".join(vector for _, vector in rows), dtype="<f4")
    matrix = matrix.reshape(len(rows), -1)
    scores = matrix @ query / np.linalg.norm(matrix, axis=1)
    for row in np.argsort(-scores)[:10]:
        document, _, _ = connection.execute(TEXTS, (rows[row][0],)).fetchone()
        print(document)


main(*sys.argv[1:])
