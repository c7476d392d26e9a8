#include "shard/shards.h"

#include <algorithm>

#include "kernels/adamw/op.h"
#include "kernels/elementwise/op.h"
#include "shard/slots.h"

namespace rk {
namespace {

// Where the computation waits for an exchange: a watch sees it as an operator that moves nothing.
Exec watched(OpWatch* watch) {
  Exec ex;
  ex.watch = watch;
  return ex;
}

}  // namespace

Shards::Shards(const Exec& ex, Comm& comm, FlatLayout layout, const ShardsOptions& options)
    : comm_(comm),
      layout_(std::move(layout)),
      dtype_(options.dtype),
      acc_(acc_dtype(options.dtype)),
      sharding_(options.sharding),
      ordered_(options.ordered),
      training_(options.training),
      gpu_(ex.gpu) {
  require(!options.offload_state || (sharding_.grads && gpu_ && acc_ == DType::f32), "only divided gradients on a GPU are offloaded");
  require(!options.offload_params || (options.offload_state && sharding_.params), "weights are offloaded together with the state");
  require(!ordered_ || (sharding_.grads && options.node < 0 && !options.offload_state),
          "ordered sums are of gradients that are divided once");
  make_groups(comm, options.node);
  travels_ = travels_narrow(comm.size(), options);
  allocate(ex, options);
}

Shards::~Shards() = default;

void Shards::make_groups(Comm& comm, int node) {
  if (node < 0) {
    weights_ = comm.twin("weights");
    gradients_ = comm.twin("gradients");
  } else {
    weights_ = comm.split(node);
    gradients_ = weights_->twin("gradients");
    replicas_ = comm.split(weights_->rank());
    if (replicas_->size() == 1) replicas_.reset();
  }
  require(weights_->size() == layout_.world, "a layout is made for the ranks that divide it");
}

void Shards::allocate(const Exec& ex, const ShardsOptions& options) {
  const Sharding s = sharding_;
  const ShardBytes b = predict_bytes(layout_, comm_.size(), options);
  params_ = Buffer(ex.device, b.params);
  grads_ = Buffer(ex.device, b.grads);
  state_ = Buffer(ex.device, b.state);
  transient_ = Buffer(ex.device, b.transient);
  BufferCursor params(params_), grads(grads_), state(state_), transient(transient_);
  held_.resize(layout_.buckets.size());
  for (size_t i = 0; i < held_.size(); ++i) {
    const BucketLayout& bucket = layout_.buckets[i];
    Held& h = held_[i];
    if (!options.offload_params) h.w = params.take(dtype_, s.params ? bucket.shard : bucket.n);
    if (!training_ || options.offload_state) continue;
    h.g = grads.take(acc_, s.grads ? bucket.shard : bucket.n);
    const bool whole = s.params || !s.state;  // w covers exactly the state's range
    h.master = dtype_ != acc_ ? state.take(acc_, state_n(bucket)) : whole ? h.w : own_weights(i);
    h.m = state.take(acc_, state_n(bucket));
    h.v = state.take(acc_, state_n(bucket));
  }
  for (int u = 0; u < layout_.n_units(); ++u) {
    unit_w_.push_back(s.params ? Tensor{} : unit_of(&Held::w, u));
    unit_g_.push_back(!training_ || s.grads ? Tensor{} : unit_of(&Held::g, u));
  }
  weight_slots_.resize(s.params ? static_cast<size_t>(n_weight_slots(layout_, options)) : 0);
  for (WeightSlot& slot : weight_slots_) {
    slot.full = transient.take(dtype_, layout_.largest_unit());
    slot.tickets.reserve(held_.size());
    if (options.offload_params) slot.came_up = std::make_unique<GpuEvent>(GpuEvent::Use::order);
  }
  const Buffer& gathered = s.params ? transient_ : params_;
  if (options.inbox && s.state && gathered.size() > 0)
    weights_->share(gathered.tensor(DType::u8, {static_cast<int64_t>(gathered.size())}), {});
  if (!training_) return;
  grad_slots_.resize(s.grads || travels_ ? kGradSlots : 0);
  for (GradSlot& slot : grad_slots_) {
    if (s.grads) slot.full = transient.take(acc_, layout_.largest_unit());
    if (travels_) slot.travel = transient.take(options.reduce_dtype, layout_.largest_unit());
    if (ordered_) slot.came = transient.take(inbox_dtype(comm_.size(), options), layout_.largest_unit());
    slot.arrivals.reserve(held_.size());
  }
  const Tensor inbox = transient.take(inbox_dtype(comm_.size(), options), inbox_elements(layout_, options));
  if (inbox.numel() > 0) gradients_->share(transient_.tensor(DType::u8, {static_cast<int64_t>(transient_.size())}), inbox);
  if (ordered_) blocks_.emplace(layout_);
  arrivals_.reserve(held_.size());
  group_sums_.reserve(replicas_ ? held_.size() : 0);
  begun_.assign(static_cast<size_t>(layout_.n_units()), false);
  std::vector<std::vector<UpdateGroup>> groups;
  for (const BucketLayout& bucket : layout_.buckets)
    groups.push_back(update_groups(bucket, state_begin(bucket), state_begin(bucket) + state_n(bucket)));
  if (!options.offload_state) {
    groups_ = UpdateGroupTables(ex, groups);
    return;
  }
  std::vector<HostState::Part> parts;
  for (size_t i = 0; i < held_.size(); ++i)
    parts.push_back({layout_.buckets[i].shard, options.offload_params ? Tensor{} : own_weights(i), groups[i]});
  host_ = std::make_unique<HostState>(*gpu_, dtype_, parts, ex.pool->size());
  pending_up_.assign(static_cast<size_t>(layout_.n_units()), false);
}

// The buckets of a unit lie one behind another.
Tensor Shards::unit_of(const Tensor Held::*what, int unit) const {
  Tensor t = held_[begin_of(unit)].*what;
  t.shape = {layout_.n_of(unit)};
  return t;
}

Tensor Shards::own_weights(size_t bucket) const {
  const BucketLayout& b = layout_.buckets[bucket];
  if (host_ && !held_[bucket].w) return host_->of(bucket).w;
  return sharding_.params ? held_[bucket].w : held_[bucket].w.slice(own_begin(b), b.shard);
}

Tensor Shards::own_grads(size_t bucket) const {
  const BucketLayout& b = layout_.buckets[bucket];
  if (host_) return host_->of(bucket).g;
  return sharding_.grads ? held_[bucket].g : held_[bucket].g.slice(own_begin(b), b.shard);
}

void Shards::measure(const Exec& dry, const FlatLayout& layout, const ShardsOptions& options) {
  if (options.offload_state) return;
  int64_t n = 0;
  for (const BucketLayout& b : layout.buckets) n = std::max(n, b.shard);
  run(dry, SumOfSquares{.x = {nullptr, {n}, acc_dtype(options.dtype), dry.device}, .out = {nullptr, {1}, DType::f64, dry.device}});
}

ShardBytes Shards::bytes() const { return {params_.size(), grads_.size(), state_.size(), transient_.size(), host_ ? host_->n_bytes() : 0}; }

// The unit's new weights to every rank that holds the whole of them.
void Shards::send_weights(int unit) {
  if (!sharding_.state || sharding_.params) return;
  for (size_t b = begin_of(unit); b < end_of(unit); ++b) held_[b].weights_on_the_way = weights_->all_gather(own_weights(b), held_[b].w);
}

Shards::WeightSlot* Shards::slot_of(int unit) {
  for (WeightSlot& s : weight_slots_)
    if (s.unit == unit) return &s;
  return nullptr;
}

// One that nothing uses and nothing will soon.
Shards::WeightSlot& Shards::free_slot(std::span<const int> upcoming) {
  for (WeightSlot& s : weight_slots_)
    if (!s.in_use && std::find(upcoming.begin(), upcoming.end(), s.unit) == upcoming.end()) return s;
  broken_promise("no more units are acquired and prefetched than there are slots", Where::here());
}

// Which slot a unit gets must not depend on how fast this host is: all ranks gather the same units in the same order.
void Shards::assign(WeightSlot& slot, int unit) {
  for (Ticket& t : slot.tickets) t.wait();
  slot.tickets.clear();
  slot.unit = unit;
  slot.waits = true;
}

void Shards::gather(WeightSlot& slot) {
  const int unit = slot.unit;
  const bool comes_up = slot.came_up != nullptr;
  for (size_t b = begin_of(unit); b < end_of(unit); ++b) {
    const BucketLayout& bucket = layout_.buckets[b];
    if (host_) host_->hold_until_updated(b, weights_->stream());
    if (comes_up) host_->bring_up(b, slot.full.slice(bucket.begin + own_begin(bucket), bucket.shard));
  }
  if (comes_up) {
    host_->record_up(*slot.came_up);
    if (weights_->size() > 1) slot.came_up->hold(weights_->stream());
  }
  for (size_t b = begin_of(unit); b < end_of(unit); ++b) {
    const BucketLayout& bucket = layout_.buckets[b];
    const Tensor full = slot.full.slice(bucket.begin, bucket.n);
    slot.tickets.push_back(weights_->all_gather(comes_up ? full.slice(own_begin(bucket), bucket.shard) : held_[b].w, full));
  }
  slot.waits = false;
}

void Shards::prefetch(std::span<const int> upcoming) {
  if (!sharding_.params) return;
  bool goes_on = true;  // one after the other: acquire() will wait for those that the host still computes
  for (int unit : upcoming) {
    WeightSlot* slot = slot_of(unit);
    if (!slot) assign(*(slot = &free_slot(upcoming)), unit);
    if (!slot->waits) continue;
    goes_on = goes_on && (!host_ || host_->updated(end_of(unit) - 1));
    if (goes_on) gather(*slot);
  }
}

void Shards::acquire(int unit) {
  const auto u = static_cast<size_t>(unit);
  Tensor w = unit_w_[u];
  const OpScope scope(watched(watch_), "wait weights", 0);
  if (sharding_.params) {
    WeightSlot* slot = slot_of(unit);
    if (!slot) {
      slot = &free_slot({});
      assign(*slot, unit);
    }
    if (slot->waits) gather(*slot);
    for (Ticket& t : slot->tickets) t.wait();
    if (slot->came_up) slot->came_up->hold(gpu_->stream());
    slot->in_use = true;
    w = slot->full;
  } else if (on_its_way_up(unit)) {
    for (size_t b = begin_of(unit); b < end_of(unit); ++b) host_->hold_until_updated(b, gpu_->stream());
    send_weights(unit);
    pending_up_[u] = false;
  }
  for (size_t b = begin_of(unit); b < end_of(unit); ++b) held_[b].weights_on_the_way.wait();
  bind(unit, w, &Param::w);
}

// Shows the unit's parameters their parts of its flat memory.
void Shards::bind(int unit, const Tensor& flat, Tensor Param::*what) {
  for (size_t b = begin_of(unit); b < end_of(unit); ++b)
    for (const Placement& p : layout_.buckets[b].placements)
      if (p.first == 0) p.param->*what = flat.slice(layout_.buckets[b].begin + p.offset, p.param->numel()).view(p.param->shape);
}

void Shards::release(int unit) {
  for (size_t b = begin_of(unit); b < end_of(unit); ++b)
    for (const Placement& p : layout_.buckets[b].placements) p.param->w.data = p.param->dw.data = nullptr;
  if (WeightSlot* slot = slot_of(unit)) slot->in_use = false;
}

void Shards::start_step(const Exec& ex) {
  watch_ = ex.watch;
  begun_.assign(begun_.size(), false);
  if (host_) host_->start_step();
  if (sharding_.grads && !ordered_) return;  // the first part of a sum replaces the last step's
  const auto n = static_cast<int64_t>(grads_.size() / size_of(acc_));
  run(ex, Fill{.x = grads_.tensor(acc_, {n}), .value = 0});
}

// A slot for the unit's gradients, emptied of those it held.
Shards::GradSlot& Shards::grad_slot(const Exec& ex, int unit) {
  GradSlot& slot = grad_slots_[next_grad_slot_];
  next_grad_slot_ = (next_grad_slot_ + 1) % grad_slots_.size();
  drain(ex, slot);
  slot.unit = unit;
  slot.in_use = true;
  return slot;
}

// The slot in which the unit's gradients are being formed; null outside of stages 2 and 3.
Shards::GradSlot* Shards::slot_at_work(int unit) {
  for (GradSlot& s : grad_slots_)
    if (s.unit == unit && s.in_use) return &s;
  return nullptr;
}

void Shards::bind_grads(const Exec& ex, int unit) {
  Tensor g = unit_g_[static_cast<size_t>(unit)];
  if (sharding_.grads) {
    if (const GradSlot* slot = slot_at_work(unit)) {
      g = slot->full;
    } else {
      g = grad_slot(ex, unit).full;
      run(ex, Fill{.x = g.slice(0, layout_.n_of(unit)), .value = 0});
    }
  }
  bind(unit, g, &Param::dw);
}

// Adds up what the groups have, each rank with those that hold the same part.
Ticket Shards::sum_over_groups(const Ticket& summed, const Tensor& part) {
  if (!replicas_) return summed;
  summed.wait_on(replicas_->stream());
  return replicas_->all_reduce(part, Reduce::sum);
}

void Shards::grads_ready(const Exec& ex, int unit, bool last) {
  if (!sharding_.grads && !last) return;
  GradSlot* slot = slot_at_work(unit);
  if (!slot && travels_) slot = &grad_slot(ex, unit);
  std::vector<Arrival>& arrivals = slot ? slot->arrivals : arrivals_;
  const bool first = !begun_[static_cast<size_t>(unit)];
  // What is added up part by part crosses the groups' borders once, when it is complete; the host adds up the sums of all groups.
  const bool later = replicas_ && !host_ && !(first && last);
  begun_[static_cast<size_t>(unit)] = true;
  const int slot_index = slot ? static_cast<int>(slot - grad_slots_.data()) : 0;
  for (size_t b = begin_of(unit); b < end_of(unit); ++b) {
    const BucketLayout& bucket = layout_.buckets[b];
    const Tensor whole = sharding_.grads ? slot->full.slice(bucket.begin, bucket.n) : held_[b].g;
    Tensor sent = whole;
    if (travels_) {
      sent = slot->travel.slice(bucket.begin, bucket.n);
      run(ex, Cast{.x = whole, .y = sent});
    }
    Arrival a;
    if (ordered_) {
      a.from = slot->came.slice(bucket.begin, bucket.n), a.to = own_grads(b), a.add = true, a.parts = layout_.world;
      a.ticket = gradients_->all_to_all(sent, a.from);
    } else if (!sharding_.state) {
      a.ticket = sum_over_groups(gradients_->all_reduce(sent, Reduce::sum), sent);
      if (travels_) a.from = sent, a.to = whole;
    } else {
      // In place, or straight to where the sum belongs.
      const bool straight = first && !travels_ && !host_;
      const Tensor out = straight ? own_grads(b) : sent.slice(own_begin(bucket), bucket.shard);
      a.ticket = gradients_->reduce_scatter(sent, out);
      if (!later) a.ticket = sum_over_groups(a.ticket, out);
      if (host_) {
        host_->receive(b, out, slot_index, first, last);
        a.ticket.wait_on(host_->after());
      } else if (!straight) {
        a.from = out, a.to = own_grads(b), a.add = !first, a.completes = later && last;
      }
    }
    arrivals.push_back(a);
  }
  if (host_) host_->hand_over(slot_index);
  if (slot) slot->in_use = false;
}

void Shards::finish(const Exec& ex, const Arrival& arrival) {
  {
    const OpScope scope(watched(watch_), "wait gradients", 0);
    Ticket(arrival.ticket).wait();
  }
  if (!arrival.from) return;
  if (arrival.add) {
    const int64_t n = arrival.to.numel();
    for (int part = 0; part < arrival.parts; ++part) run(ex, Add{.x = arrival.from.slice(part * n, n), .y = arrival.to});
  } else {
    run(ex, Cast{.x = arrival.from, .y = arrival.to});
  }
  if (arrival.completes) group_sums_.push_back(replicas_->all_reduce(arrival.to, Reduce::sum));
}

// Finishes what a slot sent, so that it may be written again.
void Shards::drain(const Exec& ex, GradSlot& slot) {
  if (slot.unit < 0) return;
  require(!slot.in_use, "gradients of a slot are complete before it is used again");
  for (const Arrival& a : slot.arrivals) finish(ex, a);
  slot.arrivals.clear();
  if (host_) host_->hold_until_taken(static_cast<int>(&slot - grad_slots_.data()), gpu_->stream());
  slot.unit = -1;
}

void Shards::finish_grads(const Exec& ex) {
  for (const Arrival& a : arrivals_) finish(ex, a);
  arrivals_.clear();
  // In the order in which they were filled, so that sums form in one order.
  for (size_t i = 0; i < grad_slots_.size(); ++i) drain(ex, grad_slots_[(next_grad_slot_ + i) % grad_slots_.size()]);
  for (Ticket& t : group_sums_) t.wait();
  group_sums_.clear();
}

void Shards::add_grad_squares(const Exec& ex, Tensor out) {
  if (host_) {
    const double sum = host_->squares();
    if (in_first_group()) copy(ex, {const_cast<double*>(&sum), {1}, DType::f64, Device::cpu}, out);
    return;
  }
  if (!in_first_group()) return;
  for (size_t b = 0; b < held_.size(); ++b) run(ex, SumOfSquares{.x = own_grads(b), .out = out});
}

void Shards::square_blocks(const Exec& ex, Tensor out) {
  for (size_t b = 0; b < held_.size(); ++b) {
    const SquareBlockMap::Run own = blocks_->of(layout_, b, weights_->rank());
    if (own.n == 0) continue;
    run(ex, SquareBlocks{.x = own_grads(b).slice(0, own.n * kSquareBlock), .out = out.slice(own.first, own.n)});
  }
}

void Shards::update(const Exec& ex, const AdamWRule& rule) {
  invalidate_weights();
  if (host_) {
    host_->update(ex, rule);
    pending_up_.assign(pending_up_.size(), true);
    return;
  }
  for (int unit = 0; unit < layout_.n_units(); ++unit) {
    for (size_t b = begin_of(unit); b < end_of(unit); ++b) {
      const BucketLayout& bucket = layout_.buckets[b];
      const Held& h = held_[b];
      if (gate_) gate_->before_update(b, gpu_ ? gpu_->stream() : nullptr);
      const int64_t begin = state_begin(bucket), n = state_n(bucket);
      const int64_t g_begin = sharding_.grads ? own_begin(bucket) : 0, w_begin = sharding_.params ? own_begin(bucket) : 0;
      run(ex, AdamW{.p = h.master,
                    .g = h.g.slice(begin - g_begin, n),
                    .m = h.m,
                    .v = h.v,
                    .w = h.w.slice(begin - w_begin, n),
                    .ends = groups_[b].ends,
                    .lr_scale = groups_[b].lr_scale,
                    .weight_decay = groups_[b].decay,
                    .decision = rule.decision,
                    .lr = rule.lr,
                    .beta1 = rule.beta1,
                    .beta2 = rule.beta2,
                    .eps = rule.eps,
                    .decay = rule.weight_decay});
    }
    send_weights(unit);
    // The next step begins with these units: they travel while the others are updated.
    if (unit < prefetch_depth()) {
      WeightSlot& slot = weight_slots_[static_cast<size_t>(unit)];
      assign(slot, unit);
      gather(slot);
    }
  }
}

void Shards::guard_updates(UpdateGate* gate) {
  gate_ = gate;
  if (!host_) return;
  host_->settle();
  host_->guard_updates(gate);
}

// Gathered copies are of weights that change.
void Shards::invalidate_weights() {
  for (WeightSlot& s : weight_slots_) {
    for (Ticket& t : s.tickets) t.wait();
    s.tickets.clear();
    s.unit = -1;
    s.waits = false;
  }
}

void Shards::for_each_owned_grad(const std::function<void(const Param&, int64_t, Tensor)>& visit) {
  for (size_t b = 0; b < held_.size(); ++b) {
    const BucketLayout& bucket = layout_.buckets[b];
    const Tensor g = own_grads(b);
    for (const Placement& p : bucket.placements) {
      const Overlap o = overlap(p, own_begin(bucket), own_begin(bucket) + bucket.shard);
      if (o.n) visit(*p.param, o.first, g.slice(o.at - own_begin(bucket), o.n));
    }
  }
}

}  // namespace rk
