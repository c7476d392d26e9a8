// Values into the shards and out of them, beside training.
#include <algorithm>

#include "kernels/elementwise/op.h"
#include "shard/shards.h"

namespace rk {

constexpr size_t kUploadBytes = size_t{8} << 20;  // of values on their way to a GPU at a time

// Numbers of the host into memory of the device, rounded to its type.
void Shards::upload(const Exec& ex, const Tensor& source, const Tensor& to) {
  const Exec host{.pool = ex.pool};
  if (to.device != Device::cuda) return run(host, Cast{.x = source, .y = to});
  const Buffer staging(Device::pinned, kUploadBytes);
  const auto step = static_cast<int64_t>(staging.size() / size_of(to.dtype));
  for (int64_t at = 0; at < to.numel(); at += step) {
    const int64_t n = std::min(step, to.numel() - at);
    const Tensor staged = staging.tensor(to.dtype, {n});
    run(host, Cast{.x = source.slice(at, n), .y = staged});
    copy(ex, staged, to.slice(at, n));
    synchronize(ex);
  }
}

void Shards::set(const Exec& ex, const Param& p, int64_t first, std::span<const double> values) {
  Tensor source;
  source.data = const_cast<double*>(values.data());
  source.dtype = DType::f64;
  source.shape = {static_cast<int64_t>(values.size())};
  bool placed = false;
  for (size_t b = begin_of(p.unit); b < end_of(p.unit); ++b) {
    const BucketLayout& bucket = layout_.buckets[b];
    const Held& h = held_[b];
    for (const Placement& place : bucket.placements) {
      if (place.param != &p) continue;
      placed = true;
      // Writes the values that fall into elements [begin, begin + held.numel()) of the bucket.
      const auto store = [&](const Tensor& held, int64_t begin) {
        const Overlap o = overlap(place, begin, begin + held.numel());
        const int64_t lo = std::max(o.first, first), hi = std::min(o.first + o.n, first + source.numel());
        if (lo >= hi) return;
        upload(ex, source.slice(lo - first, hi - lo), held.slice(o.at - begin + lo - o.first, hi - lo));
      };
      if (h.w) store(h.w, sharding_.params ? own_begin(bucket) : 0);
      if (host_) {
        store(host_->of(b).master, own_begin(bucket));
        if (!h.w) store(host_->of(b).w, own_begin(bucket));
      } else if (h.master && dtype_ != acc_) {
        store(h.master, state_begin(bucket));
      }
    }
  }
  require(placed, "a parameter lies in the buckets of its unit");
  invalidate_weights();
}

void Shards::refresh_weights(const Exec& ex) {
  invalidate_weights();
  for (int unit = 0; unit < layout_.n_units(); ++unit) {
    for (size_t b = begin_of(unit); b < end_of(unit); ++b) {
      const BucketLayout& bucket = layout_.buckets[b];
      const Held& h = held_[b];
      const auto own = [&](const Tensor& t) { return t.slice(own_begin(bucket), bucket.shard); };
      if (host_) {
        host_->refresh(ex, b);
      } else if (!h.master) {
        if (!sharding_.params && !sharding_.state) weights_->all_gather(own(h.w), h.w).wait();
      } else if (!sharding_.state) {
        // Every rank of stage 0 has its own part of the state only: all of it is sent around.
        for (const Tensor& t : {h.master, h.m, h.v}) weights_->all_gather(own(t), t).wait();
        if (dtype_ != acc_) run(ex, Cast{.x = h.master, .y = h.w});
      } else if (dtype_ != acc_) {
        run(ex, Cast{.x = h.master, .y = own_weights(b)});
      }
    }
    send_weights(unit, end_of(unit));
  }
}

std::vector<OwnedPiece> Shards::owned_pieces() {
  if (host_) host_->settle();
  std::vector<OwnedPiece> pieces;
  for (size_t b = 0; b < held_.size(); ++b) {
    const BucketLayout& bucket = layout_.buckets[b];
    const int64_t own = own_begin(bucket);
    for (const Placement& p : bucket.placements) {
      const Overlap o = overlap(p, own, own + bucket.shard);
      if (o.n == 0) continue;
      const auto of_own = [&](const Tensor& t) { return t.slice(o.at - own, o.n); };
      const auto of_state = [&](const Tensor& t) { return t.slice(o.at - state_begin(bucket), o.n); };
      OwnedPiece piece{.param = p.param, .first = o.first, .bucket = b};
      if (host_) {
        const HostState::Tensors& t = host_->of(b);
        piece.master = of_own(t.master), piece.m = of_own(t.m), piece.v = of_own(t.v);
      } else if (const Held& h = held_[b]; h.master) {
        piece.master = of_state(h.master), piece.m = of_state(h.m), piece.v = of_state(h.v);
      }
      piece.values = piece.master ? piece.master : of_own(own_weights(b));
      pieces.push_back(piece);
    }
  }
  return pieces;
}

}  // namespace rk
