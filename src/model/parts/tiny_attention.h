// One small attention that ends a block of old models (golden rwkv456 §8), without softmax:
//   out = x + c W_v x_emb,  c[t,s] = (W_q z_t . W_k z_s) / sqrt(width) for s <= t, else 0,  z = LN(x)
#pragma once
#include "model/parts/old_parts.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace rk {

struct TinyAttentionForward {
  int64_t B, T;
  Tensor x, out;  // [R,C], R = B*T: the residual stream before and after; out may be x
  Tensor x_emb;   // [R,C] the raw embedding
};
struct TinyAttentionBackward {
  int64_t B, T;
  Tensor x, x_emb;  // as in forward
  Tensor dx;        // gradient of out on entry, of x on return
  Tensor dx_emb;    // accumulation dtype; added to
};

// Rows of c are formed some at a time. Nothing is saved but x, which is the caller's.
class TinyAttention {
 public:
  TinyAttention() = default;
  TinyAttention(const TinyAttentionParams& p, const ModelSpec& spec);
  void forward(const Exec& ex, const TinyAttentionForward& a) const;
  void backward(const Exec& ex, const TinyAttentionBackward& a) const;

 private:
  struct Projected {
    Tensor z, q, k, v;  // [R,C], [R,width], [R,width], [R,C]
    NormStats stats;
  };
  // Places for one chunk's products and one sequence's sums.
  struct Sums {
    Tensor c, dc;   // [n,T], flat
    Tensor dk, dv;  // [T,width], [T,C] accumulation dtype
  };
  Projected project(const Exec& ex, Tensor x, Tensor x_emb) const;
  int64_t chunk(int64_t T) const;
  Tensor products(const Exec& ex, const Tensor& memory, Tensor q, Tensor k) const;  // c of rows that end with the last of k
  void sequence_backward(const Exec& ex, const Projected& p, const Sums& sums, Tensor dx, Tensor dq) const;

  Norm ln_;
  Linear q_, k_, v_;
  double scale_ = 1;
  DType dtype_ = DType::f32;
};

}  // namespace rk
