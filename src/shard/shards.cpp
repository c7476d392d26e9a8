#include "shard/shards.h"

#include <algorithm>

#include "kernels/adamw/op.h"
#include "kernels/elementwise/op.h"

namespace rk {
namespace {

// A unit at work and the next one on its way.
constexpr int kWeightSlots = 2;
constexpr int kGradSlots = 2;

constexpr int64_t kStaged = 1 << 20;  // elements that are on their way to a GPU at a time

// Neighbours in a bucket that are updated alike; padding belongs to the group before it.
struct Group {
  int64_t end;
  double lr_scale, weight_decay;
};
std::vector<Group> groups_of(const BucketLayout& bucket, int64_t begin, int64_t end, double weight_decay) {
  std::vector<Group> groups;
  for (const Placement& p : bucket.placements) {
    const Overlap o = overlap(p, begin, end);
    if (o.n == 0) continue;
    const Group g{0, p.param->lr_scale, p.param->decay ? weight_decay : 0};
    if (!groups.empty() && groups.back().lr_scale == g.lr_scale && groups.back().weight_decay == g.weight_decay) continue;
    if (!groups.empty()) groups.back().end = o.at - begin;
    groups.push_back(g);
  }
  if (groups.empty()) groups.push_back({0, 0, 0});  // nothing but padding
  groups.back().end = end - begin;
  return groups;
}

// Takes tensors from a buffer one after another.
class Cursor {
 public:
  explicit Cursor(const Buffer& buffer) : buffer_(buffer) {}
  Tensor take(DType dtype, int64_t n) {
    Tensor t = buffer_.tensor(dtype, {n}, at_);
    at_ += t.n_bytes();
    return t;
  }

 private:
  const Buffer& buffer_;
  size_t at_ = 0;
};

}  // namespace

ShardBytes Shards::predict(const FlatLayout& layout, int world, const ShardsOptions& options) {
  const Sharding s = options.sharding;
  const DType dtype = options.dtype;
  const auto n = static_cast<size_t>(layout.n());
  const auto per_rank = n / static_cast<size_t>(world);
  const size_t wide = size_of(acc_dtype(dtype)), narrow = size_of(dtype);
  const auto largest = static_cast<size_t>(layout.largest_bucket()), largest_shard = static_cast<size_t>(layout.largest_shard());
  ShardBytes b;
  b.params = (s.params ? per_rank : n) * narrow;
  if (s.params) b.transient += kWeightSlots * largest * narrow;
  if (!options.training) return b;
  b.grads = (s.grads ? per_rank : n) * wide;
  b.state = (s.state ? per_rank : n) * wide * (dtype == acc_dtype(dtype) ? 2 : 3);
  if (s.grads) b.transient += kGradSlots * (largest + largest_shard) * wide;
  return b;
}

Shards::Shards(const Exec& ex, Comm& comm, FlatLayout layout, const ShardsOptions& options)
    : comm_(comm),
      layout_(std::move(layout)),
      dtype_(options.dtype),
      acc_(acc_dtype(options.dtype)),
      sharding_(options.sharding),
      training_(options.training),
      weight_decay_(options.weight_decay) {
  const Sharding sharding = sharding_;
  const bool training = training_;
  const ShardBytes b = predict(layout_, comm.size(), options);
  params_ = Buffer(ex.device, b.params);
  grads_ = Buffer(ex.device, b.grads);
  state_ = Buffer(ex.device, b.state);
  transient_ = Buffer(ex.device, b.transient);
  if (ex.device == Device::cuda) staging_ = Buffer(Device::pinned, kStaged * sizeof(double));
  Cursor params(params_), grads(grads_), state(state_), transient(transient_);
  for (const BucketLayout& bucket : layout_.buckets) {
    Held h;
    h.w = params.take(dtype_, sharding.params ? bucket.shard : bucket.n);
    if (training) {
      h.g = grads.take(acc_, sharding.grads ? bucket.shard : bucket.n);
      const bool whole = sharding.params || !sharding.state;  // w covers exactly the state's range
      h.master = dtype_ != acc_ ? state.take(acc_, state_n(bucket)) : whole ? h.w : h.w.slice(own_begin(bucket), bucket.shard);
      h.m = state.take(acc_, state_n(bucket));
      h.v = state.take(acc_, state_n(bucket));
    }
    held_.push_back(h);
  }
  weight_slots_.resize(sharding.params ? kWeightSlots : 0);
  for (Slot& slot : weight_slots_) slot.full = transient.take(dtype_, layout_.largest_bucket());
  grad_slots_.resize(training && sharding.grads ? kGradSlots : 0);
  for (Slot& slot : grad_slots_) {
    slot.full = transient.take(acc_, layout_.largest_bucket());
    slot.shard = transient.take(acc_, layout_.largest_shard());
  }
  if (training) upload_groups(ex);
}

// The groups of every bucket, where its state is.
void Shards::upload_groups(const Exec& ex) {
  std::vector<std::vector<Group>> all;
  size_t n = 0;
  for (const BucketLayout& bucket : layout_.buckets) {
    all.push_back(groups_of(bucket, state_begin(bucket), state_begin(bucket) + state_n(bucket), weight_decay_));
    n += all.back().size();
  }
  groups_ = Buffer(ex.device, n * (sizeof(int64_t) + 2 * sizeof(double)));
  Cursor cursor(groups_);
  for (size_t u = 0; u < all.size(); ++u) {
    std::vector<int64_t> ends;
    std::vector<double> lr_scale, weight_decay;
    for (const Group& g : all[u]) {
      ends.push_back(g.end);
      lr_scale.push_back(g.lr_scale);
      weight_decay.push_back(g.weight_decay);
    }
    Held& h = held_[u];
    const auto k = static_cast<int64_t>(all[u].size());
    h.ends = cursor.take(DType::i64, k);
    h.lr_scale = cursor.take(DType::f64, k);
    h.weight_decay = cursor.take(DType::f64, k);
    copy(ex, {ends.data(), {k}, DType::i64, Device::cpu}, h.ends);
    copy(ex, {lr_scale.data(), {k}, DType::f64, Device::cpu}, h.lr_scale);
    copy(ex, {weight_decay.data(), {k}, DType::f64, Device::cpu}, h.weight_decay);
  }
}

void Shards::measure(const Exec& dry, const FlatLayout& layout, const ShardsOptions& options) {
  const int64_t n = options.sharding.grads ? layout.largest_shard() : layout.largest_bucket();
  run(dry, SumOfSquares{.x = {nullptr, {n}, acc_dtype(options.dtype), dry.device}, .out = {nullptr, {1}, DType::f64, dry.device}});
}

ShardBytes Shards::bytes() const { return {params_.size(), grads_.size(), state_.size(), transient_.size()}; }

// Numbers of the host into memory of the device, rounded to its type.
void Shards::upload(const Exec& ex, const Tensor& source, const Tensor& to) {
  if (ex.device == Device::cpu) return run(ex, Cast{.x = source, .y = to});
  const Exec host{.pool = ex.pool};
  for (int64_t at = 0; at < to.numel(); at += kStaged) {
    const int64_t n = std::min(kStaged, to.numel() - at);
    const Tensor staged = staging_.tensor(to.dtype, {n});
    if (to.dtype == DType::f16) {
      const double* from = source.as<double>() + at;
      auto* half = static_cast<f16*>(staged.data);
      ex.pool->parallel_for(n, int64_t{1} << 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) half[i] = to_f16(static_cast<float>(from[i]));
      });
    } else {
      run(host, Cast{.x = source.slice(at, n), .y = staged});
    }
    copy(ex, staged, to.slice(at, n));
    synchronize(ex);
  }
}

void Shards::set(const Exec& ex, const Param& p, int64_t first, std::span<const double> values) {
  const BucketLayout& bucket = layout_.buckets.at(static_cast<size_t>(p.unit));
  Held& h = held_.at(static_cast<size_t>(p.unit));
  Tensor source;
  source.data = const_cast<double*>(values.data());
  source.dtype = DType::f64;
  source.shape = {static_cast<int64_t>(values.size())};
  const auto place = std::find_if(bucket.placements.begin(), bucket.placements.end(), [&](const Placement& x) { return x.param == &p; });
  require(place != bucket.placements.end(), "a parameter lies in the bucket of its unit");
  // Writes the values that fall into elements [begin, begin + held.numel()) of the bucket.
  const auto store = [&](Tensor held, int64_t begin) {
    const Overlap o = overlap(*place, begin, begin + held.numel());
    const int64_t lo = std::max(o.first, first), hi = std::min(o.first + o.n, first + source.numel());
    if (lo >= hi) return;
    upload(ex, source.slice(lo - first, hi - lo), held.slice(place->offset + lo - begin, hi - lo));
  };
  store(h.w, sharding_.params ? own_begin(bucket) : 0);
  if (training_ && dtype_ != acc_) store(h.master, state_begin(bucket));
}

void Shards::refresh_weights(const Exec& ex) {
  for (size_t u = 0; u < held_.size(); ++u) {
    const BucketLayout& bucket = layout_.buckets[u];
    Held& h = held_[u];
    if (dtype_ != acc_) {
      const bool same_range = sharding_.params || !sharding_.state;
      run(ex, Cast{.x = h.master, .y = same_range ? h.w : h.w.slice(own_begin(bucket), bucket.shard)});
    }
    // Every rank of stage 0 has read only its own part of the state: all of it is sent around.
    if (!sharding_.state) {
      for (Tensor t : {h.master, h.m, h.v}) comm_.all_gather(t.slice(own_begin(bucket), bucket.shard), t).wait();
      if (dtype_ != acc_) run(ex, Cast{.x = h.master, .y = h.w});
    }
    send_weights(static_cast<int>(u));
  }
}

// Bucket u's new weights to every rank that holds the whole of them.
void Shards::send_weights(int unit) {
  const auto u = static_cast<size_t>(unit);
  const BucketLayout& bucket = layout_.buckets[u];
  if (sharding_.state && !sharding_.params)
    held_[u].weights_on_the_way = comm_.all_gather(held_[u].w.slice(own_begin(bucket), bucket.shard), held_[u].w);
}

Shards::Slot& Shards::weight_slot(int unit) {
  for (Slot& s : weight_slots_)
    if (s.unit == unit) return s;
  Slot* free_slot = nullptr;
  for (size_t i = 0; i < weight_slots_.size() && !free_slot; ++i) {
    Slot& s = weight_slots_[(next_weight_slot_ + i) % weight_slots_.size()];
    if (!s.in_use) {
      free_slot = &s;
      next_weight_slot_ = (next_weight_slot_ + i + 1) % weight_slots_.size();
    }
  }
  require(free_slot != nullptr, "no more units are acquired than there are slots");
  const auto u = static_cast<size_t>(unit);
  free_slot->ticket.wait();
  free_slot->unit = unit;
  free_slot->ticket = comm_.all_gather(held_[u].w, free_slot->full.slice(0, layout_.buckets[u].n));
  return *free_slot;
}

void Shards::prefetch(int unit) {
  if (sharding_.params) weight_slot(unit);
}

void Shards::acquire(int unit) {
  const auto u = static_cast<size_t>(unit);
  Tensor w = held_[u].w;
  held_[u].weights_on_the_way.wait();
  if (sharding_.params) {
    Slot& slot = weight_slot(unit);
    slot.ticket.wait();
    slot.in_use = true;
    w = slot.full;
  }
  for (const Placement& p : layout_.buckets[u].placements) p.param->w = w.slice(p.offset, p.param->numel()).view(p.param->shape);
}

void Shards::release(int unit) {
  for (const Placement& p : layout_.buckets[static_cast<size_t>(unit)].placements) p.param->w.data = p.param->dw.data = nullptr;
  for (Slot& s : weight_slots_)
    if (s.unit == unit) s.in_use = false;
}

void Shards::start_step(const Exec& ex) {
  const auto n = static_cast<int64_t>(grads_.size() / size_of(acc_));
  run(ex, Fill{.x = grads_.tensor(acc_, {n}), .value = 0});
}

void Shards::bind_grads(const Exec& ex, int unit) {
  const auto u = static_cast<size_t>(unit);
  Tensor g = held_[u].g;
  if (sharding_.grads) {
    const auto at_work = [&](const Slot& s) { return s.unit == unit && s.in_use; };
    auto slot = std::find_if(grad_slots_.begin(), grad_slots_.end(), at_work);
    if (slot == grad_slots_.end()) {
      slot = grad_slots_.begin() + static_cast<std::ptrdiff_t>(next_grad_slot_);
      next_grad_slot_ = (next_grad_slot_ + 1) % grad_slots_.size();
      drain(ex, *slot);
      slot->unit = unit;
      slot->in_use = true;
      run(ex, Fill{.x = slot->full.slice(0, layout_.buckets[u].n), .value = 0});
    }
    g = slot->full;
  }
  for (const Placement& p : layout_.buckets[u].placements) p.param->dw = g.slice(p.offset, p.param->numel()).view(p.param->shape);
}

// Adds a finished reduction to the shard that collects the step's gradients.
void Shards::drain(const Exec& ex, Slot& slot) {
  if (slot.unit < 0) return;
  require(!slot.in_use, "gradients of a slot are complete before it is used again");
  const auto u = static_cast<size_t>(slot.unit);
  slot.ticket.wait();
  run(ex, Add{.x = slot.shard.slice(0, layout_.buckets[u].shard), .y = held_[u].g});
  slot.unit = -1;
}

void Shards::grads_ready(const Exec&, int unit, bool last) {
  const auto u = static_cast<size_t>(unit);
  const BucketLayout& bucket = layout_.buckets[u];
  Held& h = held_[u];
  if (sharding_.grads) {
    for (Slot& s : grad_slots_)
      if (s.unit == unit && s.in_use) {
        s.ticket = comm_.reduce_scatter(s.full.slice(0, bucket.n), s.shard.slice(0, bucket.shard));
        s.in_use = false;
      }
  } else if (last) {
    h.grads_on_the_way =
        sharding_.state ? comm_.reduce_scatter(h.g, h.g.slice(own_begin(bucket), bucket.shard)) : comm_.all_reduce(h.g, Reduce::sum);
  }
}

void Shards::finish_grads(const Exec& ex) {
  for (Held& h : held_) h.grads_on_the_way.wait();
  // In the order in which they were filled, so that sums form in one order.
  for (size_t i = 0; i < grad_slots_.size(); ++i) drain(ex, grad_slots_[(next_grad_slot_ + i) % grad_slots_.size()]);
}

Tensor Shards::own_grads(int unit) {
  const auto u = static_cast<size_t>(unit);
  const BucketLayout& bucket = layout_.buckets[u];
  return sharding_.grads ? held_[u].g : held_[u].g.slice(own_begin(bucket), bucket.shard);
}

void Shards::add_grad_squares(const Exec& ex, Tensor out) {
  for (size_t u = 0; u < held_.size(); ++u) run(ex, SumOfSquares{.x = own_grads(static_cast<int>(u)), .out = out});
}

void Shards::update(const Exec& ex, const AdamWRule& rule) {
  for (size_t u = 0; u < held_.size(); ++u) {
    const BucketLayout& bucket = layout_.buckets[u];
    Held& h = held_[u];
    const int64_t begin = state_begin(bucket), n = state_n(bucket);
    const int64_t g_begin = sharding_.grads ? own_begin(bucket) : 0, w_begin = sharding_.params ? own_begin(bucket) : 0;
    run(ex, AdamW{.p = h.master,
                  .g = h.g.slice(begin - g_begin, n),
                  .m = h.m,
                  .v = h.v,
                  .w = h.w.slice(begin - w_begin, n),
                  .ends = h.ends,
                  .lr_scale = h.lr_scale,
                  .weight_decay = h.weight_decay,
                  .decision = rule.decision,
                  .lr = rule.lr,
                  .beta1 = rule.beta1,
                  .beta2 = rule.beta2,
                  .eps = rule.eps});
    send_weights(static_cast<int>(u));
  }
  for (Slot& s : weight_slots_) {  // gathered copies are of the old weights
    s.ticket.wait();
    s.unit = -1;
  }
}

std::vector<OwnedPiece> Shards::owned_pieces() {
  std::vector<OwnedPiece> pieces;
  for (size_t u = 0; u < held_.size(); ++u) {
    const BucketLayout& bucket = layout_.buckets[u];
    const Held& h = held_[u];
    const int64_t base = state_begin(bucket);
    for (const Placement& p : bucket.placements) {
      const Overlap o = overlap(p, own_begin(bucket), own_begin(bucket) + bucket.shard);
      if (o.n == 0) continue;
      const auto part = [&](const Tensor& t) { return t.slice(o.at - base, o.n); };
      const Tensor weights = sharding_.params ? h.w.slice(o.at - own_begin(bucket), o.n) : h.w.slice(o.at, o.n);
      if (training_) {
        pieces.push_back({p.param, o.first, part(h.master), part(h.m), part(h.v), part(h.master)});
      } else {
        pieces.push_back({.param = p.param, .first = o.first, .values = weights});
      }
    }
  }
  return pieces;
}

void Shards::for_each_owned_grad(const std::function<void(const Param&, int64_t, Tensor)>& visit) {
  for (size_t u = 0; u < held_.size(); ++u) {
    const BucketLayout& bucket = layout_.buckets[u];
    const Tensor g = own_grads(static_cast<int>(u));
    for (const Placement& p : bucket.placements) {
      const Overlap o = overlap(p, own_begin(bucket), own_begin(bucket) + bucket.shard);
      if (o.n) visit(*p.param, o.first, g.slice(o.at - own_begin(bucket), o.n));
    }
  }
}

}  // namespace rk
