#include "kernels/rwkv7_prepare/op.h"

#include <cmath>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/fast_math.h"

namespace rk::cpu {
namespace {

constexpr int64_t kMaxN = 256;

// |k0 * k_k| over one head, not below its floor.
template <class T>
acc_t<T> key_norm(const T* k0, const T* k_k, int64_t N) {
  acc_t<T> squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t j = 0; j < N; ++j) {
    const acc_t<T> u = get(k0, j) * get(k_k, j);
    squares += u * u;
  }
  return std::max(std::sqrt(squares), acc_t<T>(1e-12));
}

// Methods work on a local copy of the struct, so that the compiler sees that writing elements does not change pointers.
template <class T>
struct Forward {
  using A = acc_t<T>;
  const Rwkv7PrepareForward& args;
  int64_t N = args.N;
  const T *k0 = args.k0.as<T>(), *w_lora = maybe<T>(args.w_lora), *a_lora = args.a_lora.as<T>();
  const T *v0_in = maybe<T>(args.v0_in), *v_lora = maybe<T>(args.v_lora), *v_first = maybe<T>(args.v_first);
  const T *w0 = maybe<T>(args.w0), *a0 = args.a0.as<T>(), *v0 = maybe<T>(args.v0), *k_k = args.k_k.as<T>(), *k_a = args.k_a.as<T>();
  T *w = maybe<T>(args.w), *k = args.k.as<T>(), *out_a = args.a.as<T>(), *b = args.b.as<T>(), *v = maybe<T>(args.v);

  // One head of one row: elements i .. i + N, columns c .. c + N.
  void operator()(int64_t i, int64_t c) const {
    const auto p = *this;
    const A inverse = A(1) / key_norm(p.k0 + i, p.k_k + c, p.N);
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A key = get(p.k0, i + j), alpha = fast_sigmoid(get(p.a0, c + j) + get(p.a_lora, i + j));
      const A kappa = key * get(p.k_k, c + j) * inverse;
      put(p.k, i + j, key * (A(1) + (alpha - A(1)) * get(p.k_a, c + j)));
      put(p.out_a, i + j, -kappa);
      put(p.b, i + j, kappa * alpha);
    }
    if (p.w) {
#pragma omp simd
      for (int64_t j = 0; j < p.N; ++j) put(p.w, i + j, get(p.w0, c + j) + get(p.w_lora, i + j));
    }
    if (!p.v_first) return;
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A q = fast_sigmoid(get(p.v0, c + j) + get(p.v_lora, i + j));
      put(p.v, i + j, get(p.v0_in, i + j) + (get(p.v_first, i + j) - get(p.v0_in, i + j)) * q);
    }
  }
};

template <class T>
struct Backward {
  using A = acc_t<T>;
  const Rwkv7PrepareBackward& args;
  int64_t N = args.N;
  const T *k0 = args.k0.as<T>(), *a_lora = args.a_lora.as<T>();
  const T *v0_in = maybe<T>(args.v0_in), *v_lora = maybe<T>(args.v_lora), *v_first = maybe<T>(args.v_first);
  const T *a0 = args.a0.as<T>(), *v0 = maybe<T>(args.v0), *k_k = args.k_k.as<T>(), *k_a = args.k_a.as<T>();
  const T *dw = args.dw.as<T>(), *dk = args.dk.as<T>(), *da = args.da.as<T>(), *db = args.db.as<T>(), *dv = maybe<T>(args.dv);
  T *dw_lora = maybe<T>(args.dw_lora), *da_lora = args.da_lora.as<T>(), *dk0 = args.dk0.as<T>();
  T *dv0_in = maybe<T>(args.dv0_in), *dv_lora = maybe<T>(args.dv_lora);
  A* dv_first = maybe<A>(args.dv_first);

  // Sums of parameter gradients of one block of rows.
  struct Sums {
    A *w0, *a0, *v0, *k_k, *k_a;
  };

  // One head of one row. Outputs may lie over inputs: they are written after everything is read.
  void keys(int64_t i, int64_t c, Sums sums) const {
    const auto p = *this;
    A alpha[kMaxN], kappa[kMaxN], dkappa[kMaxN], pre[kMaxN], key_grad[kMaxN];
    const A norm = key_norm(p.k0 + i, p.k_k + c, p.N), inverse = A(1) / norm;
    A along = 0;
#pragma omp simd reduction(+ : along)
    for (int64_t j = 0; j < p.N; ++j) {
      alpha[j] = fast_sigmoid(get(p.a0, c + j) + get(p.a_lora, i + j));
      kappa[j] = get(p.k0, i + j) * get(p.k_k, c + j) * inverse;
      dkappa[j] = get(p.db, i + j) * alpha[j] - get(p.da, i + j);
      along += kappa[j] * dkappa[j];
    }
    if (!(norm > A(1e-12))) along = 0;  // at the floor the norm is a constant
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A key = get(p.k0, i + j), mixed = get(p.dk, i + j), share = get(p.k_a, c + j);
      const A du = (dkappa[j] - kappa[j] * along) * inverse;
      const A dalpha = mixed * key * share + get(p.db, i + j) * kappa[j];
      pre[j] = dalpha * alpha[j] * (A(1) - alpha[j]);
      key_grad[j] = mixed * (A(1) + (alpha[j] - A(1)) * share) + du * get(p.k_k, c + j);
      sums.k_k[c + j] += du * key;
      sums.k_a[c + j] += mixed * key * (alpha[j] - A(1));
      sums.a0[c + j] += pre[j];
      sums.w0[c + j] += get(p.dw, i + j);
    }
    if (p.dw_lora && p.dw_lora != p.dw) std::copy_n(p.dw + i, p.N, p.dw_lora + i);
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) put(p.da_lora, i + j, pre[j]);
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) put(p.dk0, i + j, key_grad[j]);
  }

  void values(int64_t i, int64_t c, Sums sums) const {
    const auto p = *this;
    A own[kMaxN], pre[kMaxN];
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A g = get(p.dv, i + j), q = fast_sigmoid(get(p.v0, c + j) + get(p.v_lora, i + j));
      own[j] = g * (A(1) - q);
      pre[j] = g * (get(p.v_first, i + j) - get(p.v0_in, i + j)) * q * (A(1) - q);
      p.dv_first[i + j] += g * q;
      sums.v0[c + j] += pre[j];
    }
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) put(p.dv0_in, i + j, own[j]);
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) put(p.dv_lora, i + j, pre[j]);
  }
};

template <class T>
void forward(const Exec& ex, const Rwkv7PrepareForward& a) {
  const int64_t C = a.k_k.numel();
  const Forward<T> head{a};
  for_rows(ex, a.k0.numel() / C, 4 * C, [&](int64_t row) {
    for (int64_t c = 0; c < C; c += a.N) head(row * C + c, c);
  });
}

template <class T>
void backward(const Exec& ex, const Rwkv7PrepareBackward& a, const Tensor& partial) {
  using A = acc_t<T>;
  const int64_t C = a.k_k.numel();
  const RowBlocks blocks(a.k0.numel() / C);
  const Backward<T> head{a};
  A* all = partial.as<A>();
  for_blocks(ex, blocks, 4 * C, [&](int64_t block) {
    A* s = all + block * 5 * C;
    std::fill(s, s + 5 * C, A(0));
    const typename Backward<T>::Sums sums{s, s + C, s + 2 * C, s + 3 * C, s + 4 * C};
    for (int64_t row = blocks.first(block); row < blocks.last(block); ++row) {
      for (int64_t c = 0; c < C; c += a.N) {
        head.keys(row * C + c, c, sums);
        if (a.v_first) head.values(row * C + c, c, sums);
      }
    }
  });
  const Tensor* totals[] = {&a.dw0, &a.da0, &a.dv0, &a.dk_k, &a.dk_a};
  for (int64_t i = 0; i < 5; ++i) {
    if (totals[i] == &a.dv0 && !a.v_first) continue;
    add_partials(ex, all + i * C, blocks.n, 5 * C, C, *totals[i]);
  }
}

}  // namespace

void run(const Exec& ex, const Rwkv7PrepareForward& a) {
  with_dtype(a.k0.dtype, [&]<class T>() { forward<T>(ex, a); });
}

void run(const Exec& ex, const Rwkv7PrepareBackward& a, const Tensor& partial) {
  with_dtype(a.k0.dtype, [&]<class T>() { backward<T>(ex, a, partial); });
}

}  // namespace rk::cpu
