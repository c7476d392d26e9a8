// Who holds what of the parameters, gradients and optimizer state, and how it is exchanged: ZeRO as three booleans.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/comm.h"
#include "device/exec.h"
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
  double weight_decay = 0;  // of parameters that decay
  DType reduce_dtype = DType::f32;  // bf16: gradients travel between ranks in it
  bool offload_state = false;       // gradients, master weights and moments live in pinned host memory (stage 2 and 3, on a GPU)
  bool offload_params = false;      // and the weights too (stage 3)
  int weight_slots = 2;             // gathered units at a time under stage 3: the one at work and those on their way
};

struct AdamWRule {
  double lr = 0, beta1 = 0.9, beta2 = 0.99, eps = 1e-18;
  Tensor decision;  // kernels/step_control/op.h
};

// This rank's run of elements of one parameter in its part of the optimizer state; flat tensors of the accumulation dtype.
struct OwnedPiece {
  Param* param;
  int64_t first;  // first element inside the parameter
  Tensor master, m, v;
  Tensor values;  // through what weights are set: master, or, where nothing is trained, the weights themselves; then refresh_weights()
};

// Owner of all flat buffers of one rank. All ranks call the same functions in the same order; the plan is that order.
// The buffers are allocated by the constructor, on the device of its Exec; nothing later allocates.
class Shards {
 public:
  Shards(const Exec& ex, Comm& comm, FlatLayout layout, const ShardsOptions& options);
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  // Bytes that a rank of such a world would hold; nothing is allocated.
  static ShardBytes predict(const FlatLayout& layout, int world, const ShardsOptions& options);
  ShardBytes bytes() const;
  // Counts the scratch that a step takes here in the measuring arenas of `dry`.
  static void measure(const Exec& dry, const FlatLayout& layout, const ShardsOptions& options);

  // Values into every buffer that holds them here: elements [first, first + values.size()) of p.
  void set(const Exec& ex, const Param& p, int64_t first, std::span<const double> values);
  // Weights from the owned master weights, on all ranks (after a checkpoint was read into owned_pieces()).
  void refresh_weights(const Exec& ex);

  void prefetch(int unit);                                // starts gathering the unit's weights
  void acquire(int unit);                                 // binds Param::w of the unit's parameters
  void release(int unit);                                 // unbinds them; the weights may leave
  void bind_grads(const Exec& ex, int unit);              // binds Param::dw; zeroes them where a new sum begins
  void grads_ready(const Exec& ex, int unit, bool last);  // the unit's gradients of this visit are complete; `last` of the step
  void start_step(const Exec& ex);                        // gradients of a new step begin at zero

  // Finishes all reductions. Sum of squares of this rank's part of the gradients, added to out [1] f64.
  void finish_grads(const Exec& ex);
  void add_grad_squares(const Exec& ex, Tensor out);
  // One optimizer step on owned elements; starts sending the new weights around.
  void update(const Exec& ex, const AdamWRule& rule);

  std::vector<OwnedPiece> owned_pieces();
  // The owned gradients after finish_grads, with the parameter and the first element (tests, reports).
  void for_each_owned_grad(const std::function<void(const Param&, int64_t first, Tensor dw)>& visit);
  const FlatLayout& layout() const { return layout_; }
  Comm& comm() { return comm_; }

 private:
  // A transient buffer for one unit at a time.
  struct Slot {
    Tensor full, shard;
    int unit = -1;
    Ticket ticket;
    bool in_use = false;
  };
  struct Held {
    Tensor w;       // full or shard, model dtype
    Tensor g;       // full or shard, accumulation dtype
    Tensor master;  // whole state range, accumulation dtype; aliases w where dtypes agree
    Tensor m, v;
    Tensor ends, lr_scale, weight_decay;  // groups of the state's range
    Ticket weights_on_the_way, grads_on_the_way;
  };

  int64_t own_begin(const BucketLayout& b) const { return b.shard * comm_.rank(); }
  int64_t state_begin(const BucketLayout& b) const { return sharding_.state ? own_begin(b) : 0; }
  int64_t state_n(const BucketLayout& b) const { return sharding_.state ? b.shard : b.n; }
  void upload(const Exec& ex, const Tensor& source, const Tensor& to);
  void upload_groups(const Exec& ex);
  Tensor own_grads(int unit);
  Slot& weight_slot(int unit);
  void drain(const Exec& ex, Slot& slot);
  void send_weights(int unit);

  Comm& comm_;
  FlatLayout layout_;
  DType dtype_, acc_;
  Sharding sharding_;
  bool training_;
  double weight_decay_;
  Buffer params_, grads_, state_, transient_, groups_;
  Buffer staging_;  // values on their way to a GPU
  std::vector<Held> held_;
  std::vector<Slot> weight_slots_, grad_slots_;
  size_t next_weight_slot_ = 0, next_grad_slot_ = 0;
};

}  // namespace rk
