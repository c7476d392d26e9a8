// Sequential in time, vectorised over channels, parallel over sequences and blocks of channels.
#include "kernels/wkv4/op.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/fast_math.h"
#include "kernels/common/resets.h"
#include "kernels/wkv4/saved.h"

namespace rk::cpu {
namespace {

constexpr int64_t kChannels = 64;
constexpr double kNothing = -1e38;  // the exponent of an empty state

// Two sums with the exponent that they share: a e^p, b e^p.
template <class A>
struct Sum {
  A a, b, p;
};
template <class A>
[[gnu::always_inline]] inline Sum<A> plus(Sum<A> x, Sum<A> y) {
  const A d = x.p - y.p, e = fast_exp(-std::fabs(d)), ex = d >= A(0) ? A(1) : e, ey = d >= A(0) ? e : A(1);
  return {x.a * ex + y.a * ey, x.b * ex + y.b * ey, d >= A(0) ? x.p : y.p};
}
template <class A>
[[gnu::always_inline]] inline Sum<A> aged(Sum<A> x, A decay) {
  return {x.a, x.b, x.p + decay};
}

// A token's result: y, and the weights that lead to it divided by their sum: its own, and (times e^-scale) anybody's e^exponent.
template <class A>
struct Mean {
  A y, own, unit, scale;
};
template <class A>
[[gnu::always_inline]] inline Mean<A> mean(Sum<A> x, A v, A own_exponent) {
  const A d = x.p - own_exponent, e = fast_exp(-std::fabs(d)), ex = d >= A(0) ? A(1) : e, own = d >= A(0) ? e : A(1);
  const A unit = A(1) / (x.b * ex + own);
  return {(x.a * ex + v * own) * unit, own * unit, unit, d >= A(0) ? x.p : own_exponent};
}

// The same for the channels of a block.
template <class A>
struct Sums {
  A a[kChannels], b[kChannels], p[kChannels];

  void clear() {
    std::fill_n(a, kChannels, A(0));
    std::fill_n(b, kChannels, A(0));
    std::fill_n(p, kChannels, static_cast<A>(kNothing));
  }
};

// Loops over channels have plain pointers only: with members of structs the compiler leaves some of them as they are.
template <class A>
struct SumPointers {
  A *a, *b, *p;
  explicit SumPointers(Sums<A>& x) : a(x.a), b(x.b), p(x.p) {}
  [[gnu::always_inline]] Sum<A> get(int64_t j) const { return {a[j], b[j], p[j]}; }
  [[gnu::always_inline]] void set(int64_t j, Sum<A> x) const {
    a[j] = x.a;
    b[j] = x.b;
    p[j] = x.p;
  }
};

// y [n] of a token from the sums before it, which become those after it; y null: the sums alone.
template <class T, class A = acc_t<T>>
void forward_token(int64_t n, const T* k, const T* v, T* y, const A* decay, const A* u, const SumPointers<A> x) {
  if (y) {
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) put(y, j, mean(x.get(j), get(v, j), u[j] + get(k, j)).y);
  }
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) x.set(j, plus(aged(x.get(j), decay[j]), {get(v, j), A(1), get(k, j)}));
}

// Gradients of a token from the sums before it and G, of the sums after it, which becomes that of the sums before it; du, ddecay are added.
template <class T>
struct BackwardToken {
  using A = acc_t<T>;
  const T *k, *v, *dy;
  T *dk, *dv;
  const A *decay, *u;
  SumPointers<A> before, G;
  A *du, *ddecay;

  // A body of its own: structs that a vectorised loop declares itself stay in memory.
  [[gnu::always_inline]] void channel(int64_t j) const {
    const A key = get(k, j), value = get(v, j), incoming = get(dy, j);
    const Sum<A> x = before.get(j), g = G.get(j);
    const Mean<A> m = mean(x, value, u[j] + key);
    const A own = incoming * m.own, own_dk = own * (value - m.y), weight = fast_exp(key + g.p), unit = incoming * m.unit;
    put(dv, j, own + weight * g.a);
    put(dk, j, own_dk + weight * (g.a * value + g.b));
    du[j] += own_dk;
    ddecay[j] += fast_exp(decay[j] + g.p + x.p) * (g.a * x.a + g.b * x.b);
    G.set(j, plus(aged(g, decay[j]), {unit, -unit * m.y, -m.scale}));
  }
  void run(int64_t n) const {
    const BackwardToken own = *this;
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) own.channel(j);
  }
};

// Some channels of one sequence.
template <class T>
struct Block {
  using A = acc_t<T>;
  int64_t row, first, n;  // of the batch; channels
  int64_t n_tokens, stride;
  const uint8_t* resets;
  A decay[kChannels], u[kChannels];

  Block(const Tensor& k, const Tensor& w, const Tensor& bonus, const Tensor& flags, int64_t item)
      : n_tokens(k.shape[1]), stride(k.shape[2]) {
    const int64_t blocks = (stride + kChannels - 1) / kChannels;
    row = item / blocks;
    first = item % blocks * kChannels;
    n = std::min(kChannels, stride - first);
    resets = flags ? reset_flags(flags) + row * n_tokens : nullptr;
    for (int64_t j = 0; j < n; ++j) {
      // Beyond -1e30 nothing is left after one token, and exponents stay finite.
      decay[j] = std::max(-std::exp(cpu::get(w.as<T>(), first + j)), A(-1e30));
      u[j] = cpu::get(bonus.as<T>(), first + j);
    }
  }
  bool begins(int64_t t) const { return resets && resets[t]; }
  int64_t n_steps() const { return (n_tokens + kWkv4Step - 1) / kWkv4Step; }
  template <class X = T>
  X* at(const Tensor& x, int64_t t) const {
    return x.as<X>() + (row * n_tokens + t) * stride + first;
  }
  A* state(const Tensor& x) const { return x.as<A>() + (row * stride + first) * 3; }
  A* saved(const Tensor& x, int64_t step) const { return x.as<A>() + (row * n_steps() + step) * 3 * stride + first; }

  void save(const Sums<A>& x, A* to) const {
    std::copy_n(x.a, n, to);
    std::copy_n(x.b, n, to + stride);
    std::copy_n(x.p, n, to + 2 * stride);
  }
  void load(const A* from, Sums<A>& x) const {
    std::copy_n(from, n, x.a);
    std::copy_n(from + stride, n, x.b);
    std::copy_n(from + 2 * stride, n, x.p);
  }
};

template <class T>
void forward_block(const Wkv4Forward& a, int64_t item) {
  using A = acc_t<T>;
  const Block<T> block(a.k, a.w, a.u, a.resets, item);
  Sums<A> x;
  x.clear();
  if (a.state_in) {
    const A* from = block.state(a.state_in);
    for (int64_t j = 0; j < block.n; ++j) {
      if (from[3 * j + 1] != A(0)) SumPointers(x).set(j, {from[3 * j], from[3 * j + 1], from[3 * j + 2]});
    }
  }
  for (int64_t t = 0; t < block.n_tokens; ++t) {
    if (a.saved_states && t % kWkv4Step == 0) block.save(x, block.saved(a.saved_states, t / kWkv4Step));
    if (block.begins(t)) x.clear();
    forward_token(block.n, block.at(a.k, t), block.at(a.v, t), block.at(a.y, t), block.decay, block.u, SumPointers(x));
  }
  if (!a.state_out) return;
  A* to = block.state(a.state_out);
  for (int64_t j = 0; j < block.n; ++j) {
    to[3 * j] = x.a[j];
    to[3 * j + 1] = x.b[j];
    to[3 * j + 2] = x.p[j];
  }
}

// A thread's scratch, and sums of a block's gradients.
template <class A>
struct Tape {
  Sums<A> before[kWkv4Step];  // the state before every token of a step
};
template <class A>
struct ChannelSums {
  A du[kChannels] = {}, ddecay[kChannels] = {};
};

// partial: du, dw of this row.
template <class T>
void backward_block(const Wkv4Backward& a, int64_t item, Tape<acc_t<T>>& tape, acc_t<T>* partial) {
  using A = acc_t<T>;
  const Block<T> block(a.k, a.w, a.u, a.resets, item);
  Sums<A> G;
  G.clear();
  ChannelSums<A> sums;
  for (int64_t step = block.n_steps() - 1; step >= 0; --step) {
    const int64_t begin = step * kWkv4Step, n = std::min(kWkv4Step, block.n_tokens - begin);
    Sums<A> x;
    x.clear();
    block.load(block.saved(a.saved_states, step), x);
    for (int64_t t = 0; t < n; ++t) {
      if (block.begins(begin + t)) x.clear();
      tape.before[t] = x;
      T* const no_y = nullptr;
      forward_token(block.n, block.at(a.k, begin + t), block.at(a.v, begin + t), no_y, block.decay, block.u, SumPointers(x));
    }
    if (a.dstate_out && step == block.n_steps() - 1) {
      const A* from = block.state(a.dstate_out);
      for (int64_t j = 0; j < block.n; ++j) SumPointers(G).set(j, {from[3 * j], from[3 * j + 1], -x.p[j]});
    }
    for (int64_t t = n - 1; t >= 0; --t) {
      BackwardToken<T>{block.at(a.k, begin + t),
                       block.at(a.v, begin + t),
                       block.at(a.dy, begin + t),
                       block.at(a.dk, begin + t),
                       block.at(a.dv, begin + t),
                       block.decay,
                       block.u,
                       SumPointers(tape.before[t]),
                       SumPointers(G),
                       sums.du,
                       sums.ddecay}
          .run(block.n);
      if (block.begins(begin + t)) G.clear();
    }
  }
  A *du = partial + block.row * 2 * block.stride + block.first, *dw = du + block.stride;
  for (int64_t j = 0; j < block.n; ++j) {
    du[j] = sums.du[j];
    dw[j] = sums.ddecay[j] * block.decay[j];
  }
  if (!a.dstate_in) return;
  Sums<A> x;
  block.load(block.saved(a.saved_states, 0), x);
  A* to = block.state(a.dstate_in);
  for (int64_t j = 0; j < block.n; ++j) {
    const A unit = fast_exp(G.p[j] + x.p[j]);
    to[3 * j] = unit * G.a[j];
    to[3 * j + 1] = unit * G.b[j];
    to[3 * j + 2] = 0;
  }
}

int64_t n_items(const Shape& s) { return s[0] * ((s[2] + kChannels - 1) / kChannels); }

}  // namespace

void run(const Exec& ex, const Wkv4Forward& a) {
  if (ex.dry()) return;
  with_dtype(a.k.dtype,
             [&]<class T>() { for_each_claimed(ex, n_items(a.k.shape), [&](int64_t item, int) { forward_block<T>(a, item); }); });
}

void run(const Exec& ex, const Wkv4Backward& a) {
  with_dtype(a.k.dtype, [&]<class T>() {
    using A = acc_t<T>;
    const int64_t B = a.k.shape[0], C = a.k.shape[2], tape_size = sizeof(Tape<A>) / sizeof(A);
    ArenaScope scope(*ex.scratch);
    const Tensor partial = ex.scratch->take(dtype_of<A>, {B, 2, C});
    const Tensor tapes = ex.scratch->take(dtype_of<A>, {n_threads(ex), tape_size});
    if (ex.dry()) return;
    for_each_claimed(ex, n_items(a.k.shape), [&](int64_t item, int slot) {
      auto* tape = new (tapes.as<A>() + slot * tape_size) Tape<A>;
      backward_block<T>(a, item, *tape, partial.as<A>());
    });
    add_partials(ex, partial.as<A>(), B, 2 * C, C, a.du);
    add_partials(ex, partial.as<A>() + C, B, 2 * C, C, a.dw);
  });
}

}  // namespace rk::cpu
