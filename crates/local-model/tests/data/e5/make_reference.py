"""Makes the reference that tests/agreement.rs compares the Rust forward pass with.

    python3 -m venv venv && venv/bin/pip install numpy tokenizers
    venv/bin/python make_reference.py WEIGHTS

Reads sentences.txt (one text a line, "\\n" stands for a line break) and writes, beside it,
  token_ids.txt  one line a text: piece numbers with the begin and end marks
  vectors.f32    50 x 384 little-endian f32, each row of length 1

Independent of the Rust code on purpose: the tokenizer is Hugging Face's Unigram with Unicode's own NFKC instead of the
file's replacement table, and the network is numpy in f64 over the same file's weights unpacked to f32, one text
at a time, with erf from the standard library.
"""

import math
import struct
import sys
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

HERE = Path(__file__).parent


def read(path):
    """Header numbers, vocabulary and tensors of an E5S1 file; the layout is described in src/layout.rs."""
    data = Path(path).read_bytes()
    assert data[:4] == b"E5S1"
    _, hidden, layers, heads, _, _, _, _, epsilon, _ = struct.unpack_from("<I7ifi", data, 4)
    at = 44
    pieces, bos, eos, _, unknown, blob_length = struct.unpack_from("<5iQ", data, at)
    at += 28
    offsets = np.frombuffer(data, "<u4", pieces + 1, at)
    at += 4 * (pieces + 1)
    scores = np.frombuffer(data, "<f4", pieces, at)
    at += 4 * pieces
    blob = data[at : at + blob_length]
    at += blob_length
    vocabulary = [
        (blob[a:b].decode(), float(s)) for a, b, s in zip(offsets[:-1], offsets[1:], scores)
    ]
    _, fold_bytes = struct.unpack_from("<iI", data, at)
    at += 8 + fold_bytes
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, _, offset, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        raw = np.frombuffer(data, np.uint8, size, offset)
        if kind == 0:
            tensors[name] = raw.view("<f4")
        else:
            blocks = raw.reshape(-1, 18)
            scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
            nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
            tensors[name] = (scale, nibbles)
    return hidden, layers, heads, epsilon, (bos, eos, unknown), vocabulary, tensors


def unpack(packed, columns, rows=slice(None)):
    scale, nibbles = packed
    values = (nibbles.reshape(-1, columns)[rows].astype(np.float32) - 8).reshape(-1, 32)
    return (values * scale.reshape(-1, columns // 32)[rows].reshape(-1, 1)).reshape(-1, columns)


def tokenizer(vocabulary, unknown):
    result = Tokenizer(models.Unigram(vocabulary, unknown))
    result.normalizer = normalizers.Sequence(
        [normalizers.Replace("\n", " "), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    result.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return result


ERF = np.vectorize(math.erf)


def norm(x, weight, bias, epsilon):
    mean = x.mean(axis=1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * weight + bias


def main():
    hidden, layers, heads, epsilon, (bos, eos, unknown), vocabulary, tensors = read(sys.argv[1])
    encoder = tokenizer(vocabulary, unknown)
    texts = (HERE / "sentences.txt").read_text("utf-8").splitlines()
    texts = [text.replace("\\n", "\n") for text in texts]
    ids = [[bos, *encoder.encode(text).ids[:510], eos] for text in texts]
    width = hidden // heads
    linear = {}

    def apply(x, name, columns):
        if name not in linear:
            linear[name] = unpack(tensors[name + ".w"], columns).astype(np.float64)
        return x @ linear[name].T + tensors[name + ".b"]

    vectors = []
    for tokens in ids:
        n = len(tokens)
        x = unpack(tensors["emb.word"], hidden, tokens).astype(np.float64)
        x = x + tensors["emb.pos"].reshape(-1, hidden)[:n] + tensors["emb.type"][:hidden]
        x = norm(x, tensors["emb.ln.w"], tensors["emb.ln.b"], epsilon)
        for layer in range(layers):
            name = f"l{layer}."
            q, k, v = (
                apply(x, name + part, hidden).reshape(n, heads, width).transpose(1, 0, 2) for part in "qkv"
            )
            scores = q @ k.transpose(0, 2, 1) / math.sqrt(width)
            scores = np.exp(scores - scores.max(axis=2, keepdims=True))
            scores /= scores.sum(axis=2, keepdims=True)
            context = (scores @ v).transpose(1, 0, 2).reshape(n, hidden)
            x = x + apply(context, name + "ao", hidden)
            x = norm(x, tensors[name + "aln.w"], tensors[name + "aln.b"], epsilon)
            inner = apply(x, name + "fi", hidden)
            inner = 0.5 * inner * (1 + ERF(inner / math.sqrt(2)))
            x = x + apply(inner, name + "fo", inner.shape[1])
            x = norm(x, tensors[name + "oln.w"], tensors[name + "oln.b"], epsilon)
        mean = x.mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
    (HERE / "token_ids.txt").write_text("".join(" ".join(map(str, line)) + "\n" for line in ids))
    (HERE / "vectors.f32").write_bytes(np.array(vectors, "<f4").tobytes())


main()
