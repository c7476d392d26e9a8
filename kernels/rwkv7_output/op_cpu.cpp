#include "kernels/rwkv7_output/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/group_stats.h"

namespace rk::cpu {
namespace {

// The factor of v: sum over the head of r k r_k.
template <class T>
acc_t<T> bonus(const T* r, const T* k, const T* r_k, int64_t N) {
  acc_t<T> sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < N; ++j) sum += get(r, j) * get(k, j) * get(r_k, j);
  return sum;
}

// Methods work on a local copy of the struct, so that the compiler sees that writing elements does not change pointers.
template <class T>
struct Forward {
  using A = acc_t<T>;
  const Rwkv7OutputForward& args;
  int64_t N = args.N;
  double eps = args.eps;
  const T *y = args.y.as<T>(), *r = args.r.as<T>(), *k = args.k.as<T>(), *v = args.v.as<T>(), *g = args.g.as<T>();
  const T *weight = args.weight.as<T>(), *bias = args.bias.as<T>(), *r_k = args.r_k.as<T>();
  T* out = args.out.as<T>();

  // One head of one row: elements i .. i + N, columns c .. c + N.
  void operator()(int64_t i, int64_t c) const {
    const auto p = *this;
    const GroupStats<A> s = group_stats(p.y + i, p.N, p.eps);
    const A extra = bonus(p.r + i, p.k + i, p.r_k + c, p.N);
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A normed = (get(p.y, i + j) - s.mean) * s.rstd * get(p.weight, c + j) + get(p.bias, c + j);
      put(p.out, i + j, (normed + extra * get(p.v, i + j)) * get(p.g, i + j));
    }
  }
};

template <class T, bool Add>
struct Backward {
  using A = acc_t<T>;
  const Rwkv7OutputBackward& args;
  int64_t N = args.N;
  double eps = args.eps;
  const T *y = args.y.as<T>(), *r = args.r.as<T>(), *k = args.k.as<T>(), *v = args.v.as<T>(), *g = args.g.as<T>();
  const T *weight = args.weight.as<T>(), *bias = args.bias.as<T>(), *r_k = args.r_k.as<T>(), *dout = args.dout.as<T>();
  T *dy = args.dy.as<T>(), *dr = args.dr.as<T>(), *dk = args.dk.as<T>(), *dv = args.dv.as<T>(), *dg = args.dg.as<T>(),
    *out = maybe<T>(args.out);

  // Sums of parameter gradients of one block of rows.
  struct Sums {
    A *weight, *bias, *r_k;
  };

  void operator()(int64_t i, int64_t c, Sums sums) const {
    const auto p = *this;
    A dz[kMaxGroup];
    const GroupStats<A> s = group_stats(p.y + i, p.N, p.eps);
    const A extra = bonus(p.r + i, p.k + i, p.r_k + c, p.N);
    if (p.out) {
#pragma omp simd
      for (int64_t j = 0; j < p.N; ++j) {
        const A normed = (get(p.y, i + j) - s.mean) * s.rstd * get(p.weight, c + j) + get(p.bias, c + j);
        put(p.out, i + j, (normed + extra * get(p.v, i + j)) * get(p.g, i + j));
      }
    }
    A dextra = 0, plain = 0, scaled = 0;
#pragma omp simd reduction(+ : dextra, plain, scaled)
    for (int64_t j = 0; j < p.N; ++j) {
      const A g_out = get(p.dout, i + j), normed = (get(p.y, i + j) - s.mean) * s.rstd;
      const A z = normed * get(p.weight, c + j) + get(p.bias, c + j) + extra * get(p.v, i + j);
      dz[j] = g_out * get(p.g, i + j);
      put(p.dg, i + j, g_out * z);
      dextra += dz[j] * get(p.v, i + j);
      sums.weight[c + j] += dz[j] * normed;
      sums.bias[c + j] += dz[j];
      plain += dz[j] * get(p.weight, c + j);
      scaled += dz[j] * get(p.weight, c + j) * normed;
    }
    plain /= static_cast<A>(p.N);
    scaled /= static_cast<A>(p.N);
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A normed = (get(p.y, i + j) - s.mean) * s.rstd;
      const A r_j = get(p.r, i + j), k_j = get(p.k, i + j), share = dextra * get(p.r_k, c + j);
      put(p.dy, i + j, s.rstd * (dz[j] * get(p.weight, c + j) - plain - normed * scaled));
      sums.r_k[c + j] += dextra * r_j * k_j;
      put(p.dr, i + j, (Add ? get(p.dr, i + j) : A(0)) + share * k_j);
      put(p.dk, i + j, (Add ? get(p.dk, i + j) : A(0)) + share * r_j);
      put(p.dv, i + j, (Add ? get(p.dv, i + j) : A(0)) + extra * dz[j]);
    }
  }
};

template <class T>
void forward(const Exec& ex, const Rwkv7OutputForward& a) {
  const int64_t C = a.weight.numel();
  const Forward<T> head{a};
  for_rows(ex, a.y.numel() / C, 2 * C, [&](int64_t row) {
    for (int64_t c = 0; c < C; c += a.N) head(row * C + c, c);
  });
}

template <class T, bool Add>
void backward(const Exec& ex, const Rwkv7OutputBackward& a, const Tensor& partial) {
  using A = acc_t<T>;
  const int64_t C = a.weight.numel();
  const RowBlocks blocks(a.y.numel() / C);
  const Backward<T, Add> head{a};
  A* all = partial.as<A>();
  for_blocks(ex, blocks, 4 * C, [&](int64_t block) {
    A* s = all + block * 3 * C;
    std::fill(s, s + 3 * C, A(0));
    for (int64_t row = blocks.first(block); row < blocks.last(block); ++row) {
      for (int64_t c = 0; c < C; c += a.N) head(row * C + c, c, {s, s + C, s + 2 * C});
    }
  });
  add_partials(ex, all, blocks.n, 3 * C, C, a.dweight);
  add_partials(ex, all + C, blocks.n, 3 * C, C, a.dbias);
  add_partials(ex, all + 2 * C, blocks.n, 3 * C, C, a.dr_k);
}

}  // namespace

void run(const Exec& ex, const Rwkv7OutputForward& a) {
  with_dtype(a.y.dtype, [&]<class T>() { forward<T>(ex, a); });
}

void run(const Exec& ex, const Rwkv7OutputBackward& a, const Tensor& partial) {
  with_dtype(a.y.dtype, [&]<class T>() {
    if (a.add) {
      backward<T, true>(ex, a, partial);
    } else {
      backward<T, false>(ex, a, partial);
    }
  });
}

}  // namespace rk::cpu
