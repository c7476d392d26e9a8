// What a rank holds of the parameters, gradients and optimizer state: choices and their bytes, pure data.
#pragma once
#include <cstddef>

#include "base/dtype.h"
#include "params/flat_layout.h"

namespace rk {

// What each rank holds only 1/N of. Stages are presets: 0 nothing, 1 state, 2 state and gradients, 3 all.
struct Sharding {
  bool state = false, grads = false, params = false;
  static Sharding stage(int zero) { return {zero >= 1, zero >= 2, zero >= 3}; }
};

// This rank's bytes by purpose, from the buffers themselves.
struct ShardBytes {
  size_t params = 0;  // weights in the model's dtype
  size_t grads = 0;
  size_t state = 0;      // fp32 master weights (where the model's dtype is narrower) and both moments
  size_t transient = 0;  // gathered weights and unreduced gradients of the units at work
  size_t host = 0;       // of host memory: what is offloaded, and its staging
  size_t device() const { return params + grads + state + transient; }
};

struct ShardsOptions {
  DType dtype = DType::f32;  // of weights; gradients, master weights and moments are held in its accumulation dtype
  Sharding sharding;
  bool training = true;
  DType reduce_dtype = DType::f32;  // bf16: gradients travel between ranks in it
  bool offload_state = false;       // gradients, master weights and moments live in pinned host memory (stage 2 and 3, on a GPU)
  bool offload_params = false;      // and the weights too (stage 3)
  // Each micro-batch's gradients leave by themselves, and their owner adds them to the sum one after the other, rank by rank: the sum's
  // order is that of the step's micro-batches, for any number of ranks. Needs divided gradients, all ranks in one group, and shards of
  // whole blocks of squares; nothing is offloaded.
  bool ordered = false;
  int weight_slots = 2;  // gathered units at a time under stage 3: the one at work and those on their way
  bool inbox = false;    // room for what GPUs of one host write into each other's memory (Comm::share)
  // The ranks that divide all this among themselves: `node` is this rank's group, the layout is made for as many ranks as it has, and every
  // group holds everything once. Negative: all ranks are one group.
  int node = -1;
};

// Bytes that a rank of a group of layout.world ranks would hold; nothing is allocated. n_ranks: of the whole world.
ShardBytes predict_bytes(const FlatLayout& layout, int n_ranks, const ShardsOptions& options);

}  // namespace rk
