#include "kernels/wkv6/chunk_pairs.cuh"
#include "kernels/wkv6/chunk_states.h"

namespace rk::cuda::wkv6 {
namespace {

template <class T>
struct Args {
  const T *r, *k, *v, *w, *u;
  T* y;
  const Half* states;
  Sequences s;
};

template <class T>
struct Shared {
  Half R[2 * kSquare], K[2 * kSquare], V[kParts<T> * kSquare], S[2 * kSquare];
  Totals totals;
};

// A chunk's outputs.
template <class T>
__global__ void __launch_bounds__(kThreads, 3) outputs(Args<T> p) {
  auto& shared = *shared_memory<Shared<T>>();
  const Place c(p.s);
  fetch_state(shared.S, p.states + c.state(p.s));
  copy_async_commit();
  const Documents documents(p.s, c);
  float pairs[2][4] = {};
  {
    Own<T> r, k, v;
    r.load(p.r, c);
    k.load(p.k, c);
    LogDecay l;
    l.load(p.w, c, p.s.shared_w);
    v.load(p.v, c);
    float u[2];
    unpack(*reinterpret_cast<const uint32_t*>(p.u + c.h * kHead + own_channel()), u[0], u[1], static_cast<const T*>(nullptr));
    const float bonus = products_of_tokens(r, k, u[0], u[1]);
    write_own_operands(shared.R, shared.K, r, k, l);
    __syncwarp();
    own_pairs<false>(pairs, shared.R, shared.K, bonus, documents);
    __syncwarp();
    write_operands(shared.R, shared.K, shared.totals, r, k, l);
    write_raw(shared.V, v);
  }
  copy_async_wait<0>();
  __syncthreads();
  float y[8][4] = {};
  gather_values<kParts<T>, false>(y, pairs, shared.R, shared.K, shared.V, shared.S, shared.totals, documents);
  write_rows(p.y, y, shared.R, c);
}

}  // namespace

void run_chunked(const Exec& ex, const Wkv6Forward& a) {
  const Shape& s = a.r.shape;
  ArenaScope scope(*ex.scratch);
  const Tensor states = a.saved_states ? a.saved_states : ex.scratch->take(DType::bf16, {saved_numbers(s)});
  make_states(ex, ForwardStates{a.k, a.v, a.w, a.resets, a.state_in, a.state_out, states});
  if (ex.dry()) return;
  const auto run_for = [&]<class T>() {
    const Args<T> p{a.r.as<T>(), a.k.as<T>(), a.v.as<T>(),       a.w.as<T>(),
                    a.u.as<T>(), a.y.as<T>(), states.as<Half>(), sequences(s, a.w, a.resets)};
    const auto chunks = static_cast<unsigned>(s[0] * s[2] * n_chunks(s[1]));
    launch(ex, outputs<T>, {.grid = dim3(chunks), .block = kThreads, .shared = sizeof(Shared<T>)}, p);
  };
  if (a.r.dtype == DType::f16) return run_for.template operator()<__half>();
  run_for.template operator()<__nv_bfloat16>();
}

}  // namespace rk::cuda::wkv6
