#!/usr/bin/env python3
"""RWKV-7 training steps in eager PyTorch on the CPU: the peer of `rookery train --accelerator cpu`.

The operator is the chunk-parallel matrix form with batched products (chunks of 16 positions), everything else plain torch
modules, AdamW and gradient clipping as the reference trainer has them. Prints tokens/s as the median over the steps after
warm-up, and the highest resident memory.

    python torch_rwkv7.py --n_layer 6 --n_embd 512 --ctx_len 512 --micro_bsz 4 --vocab_size 65536 --threads 1 --steps 50
"""
import argparse
import math
import resource
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CHUNK = 16
LAMBDA = math.exp(-0.5)


def wkv7_chunked(r, w, k, v, a, b):
    """r, w, k, v, a, b [B,T,H,N], w raw; T a multiple of CHUNK. Returns y [B,T,H,N]."""
    B, T, H, N = r.shape
    K, M = CHUNK, T // CHUNK

    def chunks(x):  # [B,H,M,K,N]
        return x.view(B, M, K, H, N).permute(0, 3, 1, 2, 4)

    r, w, k, v, a, b = map(chunks, (r, w, k, v, a, b))
    log_d = -LAMBDA * torch.sigmoid(w)
    log_c = torch.cumsum(log_d, dim=3)
    c = torch.exp(log_c)
    inverse = torch.exp(-log_c)
    rt, at = r * c, a * torch.exp(log_c - log_d)
    kh, bh = k * inverse, b * inverse
    strict = torch.tril(torch.ones(K, K), -1)
    lower = torch.tril(torch.ones(K, K))
    ab = (at @ bh.transpose(-1, -2)) * strict
    ak = (at @ kh.transpose(-1, -2)) * strict
    rb = (rt @ bh.transpose(-1, -2)) * lower
    rk = (rt @ kh.transpose(-1, -2)) * lower
    akv, rkv = ak @ v, rk @ v
    inv = torch.linalg.solve_triangular(torch.eye(K) - ab, torch.eye(K).expand_as(ab), upper=False, unitriangular=True)
    S = torch.zeros(B, H, N, N)
    out = []
    for m in range(M):
        St = S.transpose(-1, -2)
        u = inv[:, :, m] @ (akv[:, :, m] + at[:, :, m] @ St)
        out.append(rkv[:, :, m] + rb[:, :, m] @ u + rt[:, :, m] @ St)
        S = (S + v[:, :, m].transpose(-1, -2) @ kh[:, :, m] + u.transpose(-1, -2) @ bh[:, :, m]) * c[:, :, m, -1:, :]
    return torch.stack(out, 2).permute(0, 2, 3, 1, 4).reshape(B, T, H, N)


def shift(x):
    return F.pad(x, (0, 0, 1, -1))


def width(f, C):
    return max(32, int(round(f * math.sqrt(C) / 32)) * 32)


class TimeMix(nn.Module):
    def __init__(self, layer, C, N):
        super().__init__()
        self.layer, self.N = layer, N
        dw, dv, dg = width(2.5, C), width(1.7, C), width(5, C)
        for name in "rwkvag":
            setattr(self, "x_" + name, nn.Parameter(torch.rand(C)))
        for name, d in (("w", dw), ("a", dw), ("v", dv), ("g", dg)):
            setattr(self, name + "1", nn.Parameter(torch.randn(C, d) * 0.02))
            setattr(self, name + "2", nn.Parameter(torch.randn(d, C) * 0.02))
        for name in ("w0", "a0", "v0", "k_k", "k_a"):
            setattr(self, name, nn.Parameter(torch.randn(C) * 0.1))
        self.r_k = nn.Parameter(torch.randn(C // N, N) * 0.1)
        self.receptance, self.key, self.value, self.output = (nn.Linear(C, C, bias=False) for _ in range(4))
        self.ln_x = nn.GroupNorm(C // N, C, eps=64e-5)

    def forward(self, x, v_first):
        B, T, C = x.shape
        H, N = C // self.N, self.N
        d = shift(x) - x
        xr, xw, xk, xv, xa, xg = (x + d * getattr(self, "x_" + n) for n in "rwkvag")
        r, k, v = self.receptance(xr), self.key(xk), self.value(xv)
        w = self.w0 + torch.tanh(xw @ self.w1) @ self.w2
        if self.layer == 0:
            v_first = v
        else:
            v = v + (v_first - v) * torch.sigmoid(self.v0 + (xv @ self.v1) @ self.v2)
        alpha = torch.sigmoid(self.a0 + (xa @ self.a1) @ self.a2)
        g = torch.sigmoid(xg @ self.g1) @ self.g2
        kappa = F.normalize((k * self.k_k).view(B, T, H, N), dim=-1).view(B, T, C)
        k = k * (1 + (alpha - 1) * self.k_a)

        def heads(t):
            return t.view(B, T, H, N)

        y = wkv7_chunked(heads(r), heads(w), heads(k), heads(v), heads(-kappa), heads(kappa * alpha)).reshape(B * T, C)
        y = self.ln_x(y).view(B, T, C)
        y = y + ((heads(r) * heads(k) * self.r_k).sum(-1, keepdim=True) * heads(v)).view(B, T, C)
        return self.output(y * g), v_first


class ChannelMix(nn.Module):
    def __init__(self, C):
        super().__init__()
        self.x_k = nn.Parameter(torch.rand(C))
        self.key, self.value = nn.Linear(C, 4 * C, bias=False), nn.Linear(4 * C, C, bias=False)

    def forward(self, x):
        return self.value(torch.relu(self.key(x + (shift(x) - x) * self.x_k)) ** 2)


class Model(nn.Module):
    def __init__(self, L, C, V, N=64):
        super().__init__()
        self.emb, self.ln0, self.ln_out = nn.Embedding(V, C), nn.LayerNorm(C), nn.LayerNorm(C)
        self.ln1 = nn.ModuleList(nn.LayerNorm(C) for _ in range(L))
        self.ln2 = nn.ModuleList(nn.LayerNorm(C) for _ in range(L))
        self.att = nn.ModuleList(TimeMix(i, C, N) for i in range(L))
        self.ffn = nn.ModuleList(ChannelMix(C) for _ in range(L))
        self.head = nn.Linear(C, V, bias=False)

    def forward(self, ids):
        x, v_first = self.ln0(self.emb(ids)), None
        for ln1, att, ln2, ffn in zip(self.ln1, self.att, self.ln2, self.ffn):
            y, v_first = att(ln1(x), v_first)
            x = x + y
            x = x + ffn(ln2(x))
        return self.head(self.ln_out(x))


def main():
    p = argparse.ArgumentParser()
    for name, default in (("n_layer", 6), ("n_embd", 512), ("ctx_len", 512), ("micro_bsz", 4), ("vocab_size", 65536), ("threads", 1),
                          ("steps", 50), ("warmup", 3)):
        p.add_argument("--" + name, type=int, default=default)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    model = Model(o.n_layer, o.n_embd, o.vocab_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.99), eps=1e-18, weight_decay=0.1)
    times = []
    for step in range(o.steps + o.warmup):
        ids = torch.randint(0, o.vocab_size, (o.micro_bsz, o.ctx_len + 1))
        begin = time.perf_counter()
        logits = model(ids[:, :-1])
        loss = F.cross_entropy(logits.view(-1, o.vocab_size), ids[:, 1:].reshape(-1))
        with torch.no_grad():  # L2Wrap's part of the gradient
            largest, at = logits.max(-1, keepdim=True)
            extra = torch.zeros_like(logits).scatter_(-1, at, largest * 1e-4 / (o.micro_bsz * o.ctx_len))
        torch.autograd.backward([loss, logits], [torch.ones(()), extra])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= o.warmup:
            times.append(time.perf_counter() - begin)
    tokens = o.micro_bsz * o.ctx_len
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peer torch {torch.__version__} threads {o.threads} vocab {o.vocab_size}: {tokens / statistics.median(times):.1f} tokens/s "
          f"(median of {o.steps} steps), loss {loss.item():.4f}, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
