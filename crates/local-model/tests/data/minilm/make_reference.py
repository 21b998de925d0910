"""Makes the reference that tests/agreement.rs compares all-MiniLM-L6-v2 with.

    python3 -m venv venv && venv/bin/pip install numpy tokenizers
    venv/bin/python make_reference.py DIRECTORY

DIRECTORY holds model.safetensors and tokenizer.json. Reads sentences.txt and tricky.jsonl and writes, beside them,
  token_ids.txt  one line a sentence: piece numbers with the begin and end marks, 256 at most
  vectors.f32    50 x 384 little-endian f32, each row of length 1
  tricky_ids.txt one line a tricky text (a JSON string a line): piece numbers, uncut

Independent of the Rust code on purpose: the tokenizer is Hugging Face's own, told to read special pieces as text, and the
network is numpy in f64 over the file's weights, one text at a time, with erf from the standard library.
"""

import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HERE = Path(__file__).parent
LAYERS, HEADS, HIDDEN, EPSILON, LONGEST = 6, 12, 384, 1e-12, 256
ERF = np.vectorize(math.erf)


def read(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            raw = data[8 + length + begin : 8 + length + end]
            tensors[name] = np.frombuffer(raw, "<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


def main():
    directory = Path(sys.argv[1])
    tensors = read(directory / "model.safetensors")
    encoder = Tokenizer.from_file(str(directory / "tokenizer.json"))
    encoder.no_padding()
    encoder.no_truncation()
    encoder.encode_special_tokens = True
    uncut = lambda text: encoder.encode(text).ids
    texts = (HERE / "sentences.txt").read_text("utf-8").splitlines()
    texts = [text.replace("\\n", "\n") for text in texts]
    ids = [uncut(text) for text in texts]
    ids = [line if len(line) <= LONGEST else [*line[: LONGEST - 1], line[-1]] for line in ids]

    def linear(x, name):
        return x @ tensors[name + ".weight"].T + tensors[name + ".bias"]

    def norm(x, name):
        mean = x.mean(axis=1, keepdims=True)
        variance = ((x - mean) ** 2).mean(axis=1, keepdims=True)
        return (x - mean) / np.sqrt(variance + EPSILON) * tensors[name + ".weight"] + tensors[name + ".bias"]

    width = HIDDEN // HEADS
    vectors = []
    for tokens in ids:
        n = len(tokens)
        embedding = lambda kind: tensors[f"embeddings.{kind}_embeddings.weight"]
        x = embedding("word")[tokens] + embedding("position")[:n] + embedding("token_type")[0]
        x = norm(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}."
            q, k, v = (
                linear(x, f"{name}attention.self.{part}").reshape(n, HEADS, width).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            scores = q @ k.transpose(0, 2, 1) / math.sqrt(width)
            scores = np.exp(scores - scores.max(axis=2, keepdims=True))
            scores /= scores.sum(axis=2, keepdims=True)
            context = (scores @ v).transpose(1, 0, 2).reshape(n, HIDDEN)
            x = norm(x + linear(context, name + "attention.output.dense"), name + "attention.output.LayerNorm")
            inner = linear(x, name + "intermediate.dense")
            inner = 0.5 * inner * (1 + ERF(inner / math.sqrt(2)))
            x = norm(x + linear(inner, name + "output.dense"), name + "output.LayerNorm")
        mean = x.mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))

    lines = lambda rows: "".join(" ".join(map(str, row)) + "\n" for row in rows)
    (HERE / "token_ids.txt").write_text(lines(ids))
    (HERE / "vectors.f32").write_bytes(np.array(vectors, "<f4").tobytes())
    tricky = (HERE / "tricky.jsonl").read_text("utf-8").splitlines()
    (HERE / "tricky_ids.txt").write_text(lines(uncut(json.loads(line)) for line in tricky))


main()
