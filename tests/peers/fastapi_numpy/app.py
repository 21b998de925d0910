"""A search service as it is usually written: FastAPI over a numpy matrix, every row compared with every question.

It holds the same rows as ours: PEER_ITEMS (JSON lines with id, text, metadata) and PEER_VECTORS (f32, PEER_DIMENSIONS a row).
"""

import json
import os

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

DIMENSIONS = int(os.environ["PEER_DIMENSIONS"])
with open(os.environ["PEER_ITEMS"], encoding="utf-8") as lines:
    ITEMS = [json.loads(line) for line in lines]
ROWS = np.fromfile(os.environ["PEER_VECTORS"], dtype=np.float32).reshape(len(ITEMS), DIMENSIONS)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)

app = FastAPI()


class Search(BaseModel):
    vector: list[float] = Field(min_length=DIMENSIONS, max_length=DIMENSIONS)
    top_k: int = Field(default=3, ge=1, le=1000)


class Hit(BaseModel):
    rank: int
    id: str
    score: float
    answer: str
    metadata: dict


class Found(BaseModel):
    hits: list[Hit]


@app.get("/readyz")
def ready():
    return {"status": "ready", "rows": len(ITEMS)}


@app.post("/search", response_model=Found)
def search(request: Search):
    question = np.asarray(request.vector, dtype=np.float32)
    length = np.linalg.norm(question)
    if not length > 0:
        raise HTTPException(400, "no direction")
    scores = ROWS @ (question / length)
    best = np.argpartition(-scores, request.top_k - 1)[: request.top_k]
    best = best[np.argsort(-scores[best])]
    hits = [
        Hit(rank=rank + 1, id=ITEMS[row]["id"], score=float(scores[row]), answer=ITEMS[row]["text"],
            metadata=ITEMS[row]["metadata"])
        for rank, row in enumerate(best)
    ]
    return Found(hits=hits)
