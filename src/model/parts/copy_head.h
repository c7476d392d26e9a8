// The head's copying of earlier tokens in old models (golden rwkv456 §8), without softmax:
//   logits[t, ids[s]] += c[t,s],  c[t,s] = (W_q z_t . W_k z_s) / width for s <= t,  z the output of ln_out
#pragma once
#include "model/families.h"
#include "nn/linear.h"

namespace rk {

// One sequence of T tokens while its chunks of rows pass; the chunk at work begins with row t0.
struct CopySequence {
  Tensor ids;  // [T]
  int64_t t0 = 0;
  Tensor q, k;    // [T,width]
  Tensor c;       // of a chunk, flat, in the accumulation dtype
  Tensor dc, dq;  // of a chunk, flat
  Tensor dk;      // [T,width] accumulation dtype, the sum over the chunks so far
};
struct CopyChunk {
  Tensor normed, dlogits;  // [n,C], [n,V]
  Tensor dnormed;          // [n,C] added to
};

class CopyHead {
 public:
  CopyHead(Param& q, Param& k, const ModelSpec& spec);
  // Memory from scratch for a sequence of T tokens and chunks of `rows`.
  CopySequence take(const Exec& ex, int64_t T, int64_t rows, bool trains) const;
  // q and k of the rows from t on; begins the sums of gradients anew at t = 0.
  void project(const Exec& ex, const CopySequence& s, int64_t t, Tensor normed) const;
  void add_logits(const Exec& ex, const CopySequence& s, Tensor logits) const;
  void backward_chunk(const Exec& ex, const CopySequence& s, const CopyChunk& c) const;
  // After the last chunk: the sum's rounded values take the place of k, ...
  void round_key_gradients(const Exec& ex, const CopySequence& s) const;
  // ... and go on into the rows from t on.
  void backward_keys(const Exec& ex, const CopySequence& s, int64_t t, Tensor normed, Tensor dnormed) const;

 private:
  int64_t width() const { return q_.n_out(); }

  Linear q_, k_;
  double scale_;
  DType dtype_;
};

}  // namespace rk
