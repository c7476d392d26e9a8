// Who holds what of the parameters, gradients and optimizer state, and how it is exchanged behind the computation.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/comm.h"
#include "device/exec.h"
#include "shard/host_state.h"
#include "shard/sharding.h"
#include "shard/square_blocks.h"

namespace rk {

// This rank's run of elements of one parameter in its part of the optimizer state; flat tensors of the accumulation dtype.
struct OwnedPiece {
  Param* param;
  int64_t first;  // first element inside the parameter
  size_t bucket;  // of the layout
  Tensor master, m, v;
  Tensor values;  // through what weights are set: master, or, where nothing is trained, the weights themselves; then refresh_weights()
};

// Owner of all flat buffers of one rank. All ranks call the same functions in the same order; the plan is that order.
// The buffers are allocated by the constructor, on the device of its Exec; nothing later allocates. On a GPU nothing here waits for it,
// but for what is offloaded to the host.
class Shards {
 public:
  // comm: all ranks. layout.world: ranks of a group that divides everything among itself, comm.size() unless options.node says otherwise.
  Shards(const Exec& ex, Comm& comm, FlatLayout layout, const ShardsOptions& options);
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;
  ~Shards();

  ShardBytes bytes() const;
  // Counts the scratch that a step takes here in the measuring arenas of `dry`.
  static void measure(const Exec& dry, const FlatLayout& layout, const ShardsOptions& options);

  // Values into every buffer that holds them here: elements [first, first + values.size()) of p.
  void set(const Exec& ex, const Param& p, int64_t first, std::span<const double> values);
  // Weights from what was written into owned_pieces(), on all ranks.
  void refresh_weights(const Exec& ex);

  // Starts gathering the weights of units that are about to be acquired, in that order; at most prefetch_depth().
  void prefetch(std::span<const int> upcoming);
  int prefetch_depth() const { return sharding_.params ? static_cast<int>(weight_slots_.size()) - 1 : 0; }
  void acquire(int unit);                                 // binds Param::w of the unit's parameters
  void release(int unit);                                 // unbinds them; the weights may leave
  void bind_grads(const Exec& ex, int unit);              // binds Param::dw; zeroes them where a new sum begins
  void grads_ready(const Exec& ex, int unit, bool last);  // the unit's gradients of this visit are complete; `last` of the step
  void start_step(const Exec& ex);                        // gradients of a new step begin at zero

  // Finishes all reductions.
  void finish_grads(const Exec& ex);
  // Adds the sum of squares of this rank's part of the gradients to out [1] f64, which holds zero. Every element counts on one rank only.
  void add_grad_squares(const Exec& ex, Tensor out);
  // Of ordered sums: the same by block, out [SquareBlockMap(layout()).n()] f64, in which the blocks of other ranks are left alone.
  void square_blocks(const Exec& ex, Tensor out);
  // One optimizer step on owned elements; starts sending the new weights around.
  void update(const Exec& ex, const AdamWRule& rule);

  // What updates wait for from now on (null: nothing); called for every bucket of the layout, where the state is updated.
  void guard_updates(UpdateGate* gate);

  // This rank's part of the state, bucket after bucket. What runs in the background has ended on return.
  std::vector<OwnedPiece> owned_pieces();
  // Whether this rank's group is the first: the others hold the same pieces once more.
  bool in_first_group() const { return !replicas_ || replicas_->rank() == 0; }
  // The owned gradients after finish_grads, with the parameter and the first element (tests, reports).
  void for_each_owned_grad(const std::function<void(const Param&, int64_t first, Tensor dw)>& visit);
  const FlatLayout& layout() const { return layout_; }
  Comm& comm() { return comm_; }

 private:
  // One bucket.
  struct Held {
    Tensor w;       // full or shard, model dtype
    Tensor g;       // full or shard, accumulation dtype; null where gradients live on the host
    Tensor master;  // the state's range, accumulation dtype; aliases w where dtypes agree
    Tensor m, v;
    Ticket weights_on_the_way;
  };
  // A reduction that was started, and what remains to be done with its result.
  struct Arrival {
    Ticket ticket;
    Tensor from, to;  // null: it arrives where it belongs
    bool add = false;
    int parts = 1;           // that are added one after the other
    bool completes = false;  // the group's sum in `to`, which the other groups then add to theirs
  };
  struct WeightSlot {
    Tensor full;
    int unit = -1;
    bool in_use = false;
    bool waits = false;  // gathering has not begun: the host still computes the weights
    std::vector<Ticket> tickets;
    std::unique_ptr<GpuEvent> came_up;  // from host memory
  };
  struct GradSlot {
    Tensor full;    // stages 2 and 3: a unit's gradients in the accumulation dtype
    Tensor travel;  // the same in the dtype of reductions, where that is another
    Tensor came;    // of ordered sums: every rank's part of what this rank owns, bucket by bucket
    int unit = -1;
    bool in_use = false;
    std::vector<Arrival> arrivals;
  };

  size_t begin_of(int unit) const { return layout_.first_bucket[static_cast<size_t>(unit)]; }
  size_t end_of(int unit) const { return layout_.first_bucket[static_cast<size_t>(unit) + 1]; }
  int64_t own_begin(const BucketLayout& b) const { return b.shard * weights_->rank(); }
  int64_t state_begin(const BucketLayout& b) const { return sharding_.state ? own_begin(b) : 0; }
  int64_t state_n(const BucketLayout& b) const { return sharding_.state ? b.shard : b.n; }
  Tensor own_weights(size_t bucket) const;
  Tensor own_grads(size_t bucket) const;
  Tensor unit_of(const Tensor Held::*what, int unit) const;

  void make_groups(Comm& comm, int node);
  void allocate(const Exec& ex, const ShardsOptions& options);
  void upload(const Exec& ex, const Tensor& source, const Tensor& to);
  void send_weights(int unit);
  void invalidate_weights();
  WeightSlot* slot_of(int unit);
  WeightSlot& free_slot(std::span<const int> upcoming);
  void assign(WeightSlot& slot, int unit);
  void gather(WeightSlot& slot);
  bool on_its_way_up(int unit) const { return !pending_up_.empty() && pending_up_[static_cast<size_t>(unit)]; }
  void bind(int unit, const Tensor& flat, Tensor Param::*what);
  GradSlot* slot_at_work(int unit);
  GradSlot& grad_slot(const Exec& ex, int unit);
  void drain(const Exec& ex, GradSlot& slot);
  void finish(const Exec& ex, const Arrival& arrival);
  Ticket sum_over_groups(const Ticket& summed, const Tensor& part);

  Comm& comm_;
  FlatLayout layout_;
  DType dtype_, acc_;
  Sharding sharding_;
  bool ordered_;
  bool training_, travels_ = false;  // gradients travel in a dtype of their own
  Gpu* gpu_ = nullptr;
  OpWatch* watch_ = nullptr;                   // of the running step
  std::unique_ptr<Comm> weights_, gradients_;  // this rank's group, once for each use
  std::unique_ptr<Comm> replicas_;             // the ranks of other groups that hold the same parts; null where there is one group
  Buffer params_, grads_, state_, transient_;
  UpdateGroupTables groups_;
  std::vector<Held> held_;
  std::vector<Tensor> unit_w_, unit_g_;  // whole units, where they are held whole
  std::vector<WeightSlot> weight_slots_;
  std::vector<GradSlot> grad_slots_;
  size_t next_grad_slot_ = 0;
  std::vector<Arrival> arrivals_;         // of gradients that need no slot
  std::vector<Ticket> group_sums_;        // of gradients that were completed part by part
  std::vector<bool> begun_;               // by unit: the step's sum has its first part
  std::optional<SquareBlockMap> blocks_;  // of ordered sums
  std::unique_ptr<HostState> host_;
  UpdateGate* gate_ = nullptr;
  std::vector<bool> pending_up_;  // by unit: new weights are not here yet; empty where the state is on the GPU
};

}  // namespace rk
